"""From image bytes to im2col windows of bit planes."""
