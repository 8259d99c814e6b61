"""Ultralytics checkpoints, read without running them and rebuilt from their own description."""
