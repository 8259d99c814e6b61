"""A trained model frozen with its evidence."""
