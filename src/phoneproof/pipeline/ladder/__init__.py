"""The repair ladder: from the smallest file that could be, up to the first that is accepted."""
