"""Hub to artifact: a converter changes the format."""
