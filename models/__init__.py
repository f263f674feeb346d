"""Network definitions, training recipes, data sets and shipped weights."""
