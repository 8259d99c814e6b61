"""One file per runtime library."""
