"""Models of the hardware: golden (graph level), machine (program level), RTL (Verilator)."""
