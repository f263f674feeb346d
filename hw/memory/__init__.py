"""Memories of the engine: activation banks, value memory, read-only streams."""
