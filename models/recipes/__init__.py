"""Training recipes, one file a network."""
