"""Running an artifact here."""
