"""Data sets on disk: reading, labels, splits."""
