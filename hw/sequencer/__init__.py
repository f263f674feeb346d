"""Walks the program: passes, positions and steps; prefetches weights and parameters."""
