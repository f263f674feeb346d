"""Amaranth hardware: the engine that the compiler's program runs on."""
