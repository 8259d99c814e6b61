"""Checks: measured claims about an artifact, with evidence and a verdict."""
