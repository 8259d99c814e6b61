"""One format to another: a converter changes the format, never the numbers."""
