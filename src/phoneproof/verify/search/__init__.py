"""What a search measures: the source under alternatives of its contract, and paired gains."""
