"""Front unit: the first convolution on multipliers beside the array, from image bytes to stored maps."""
