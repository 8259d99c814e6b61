"""One file per converter."""
