"""Stages from graph to graph."""

from codesign.passes.split import Split, split

__all__ = ["Split", "split"]
