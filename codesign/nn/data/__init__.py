"""Data sets in their official formats, as frames of 8-bit pixels with explicit, disjoint splits."""

from codesign.nn.data.frames import Frames, Splits, to_tensor
from codesign.nn.data.load import load_data

__all__ = ["Frames", "Splits", "load_data", "to_tensor"]
