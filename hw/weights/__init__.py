"""Weights on their way to the array: loader with codebook decode, double buffer."""
