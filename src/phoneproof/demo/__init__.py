"""A small model trained on the spot, on pictures drawn on the spot: the demo's only material."""
