"""Artifact to candidates: an optimizer changes the numbers and proposes, never judges."""
