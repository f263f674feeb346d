"""Maps of values in the SDRAM: rows of them are loaded and stored beside the lanes."""
