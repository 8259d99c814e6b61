"""What each filter computes, written to be read: the specification of the phone libraries."""
