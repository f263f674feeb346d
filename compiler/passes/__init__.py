"""Passes from the float network to the integer network, one a file."""
