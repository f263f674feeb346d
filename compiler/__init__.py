"""From a trained network to a schedule and memory images."""
