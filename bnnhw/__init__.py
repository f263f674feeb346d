"""bnnhw: a trained binary neural network becomes verified FPGA hardware."""

__version__ = "0.1.0"
