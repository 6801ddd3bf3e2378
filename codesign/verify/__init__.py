"""Exact results and where two implementations part: the golden model and comparison, light enough for estimate-only use."""

from codesign.verify.compare import Comparison, Difference, compare_values, first_difference
from codesign.verify.golden import run

__all__ = ["Comparison", "Difference", "compare_values", "first_difference", "run"]
