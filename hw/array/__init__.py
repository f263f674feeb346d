"""The output-stationary array of processing elements."""
