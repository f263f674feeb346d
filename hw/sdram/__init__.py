"""SDRAM: a controller with ports of fixed priority, from streams of words to the registers at the pins."""
