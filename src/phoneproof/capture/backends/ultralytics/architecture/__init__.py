"""The architecture a checkpoint describes: parsed from its layer table, never evaluated."""
