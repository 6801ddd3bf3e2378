"""Early-exit and runtime-width networks, co-designed for an FPGA and its host."""

__version__ = "0.1.0"
