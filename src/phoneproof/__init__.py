"""Phoneproof: from a trained vision model to a verified mobile model."""
