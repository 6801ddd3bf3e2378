"""Every op, by the name it has in the text form: one file each, and this one table."""

from collections.abc import Mapping

from codesign.ops.add import Add
from codesign.ops.base import Example, Folding, Op, Schedule, Work
from codesign.ops.channel_dot import ChannelDot
from codesign.ops.conditional_buffer import ConditionalBuffer
from codesign.ops.exit_decision import ExitDecision
from codesign.ops.flatten import Flatten
from codesign.ops.fork import Fork
from codesign.ops.global_sum import GlobalSum
from codesign.ops.matrix_vector import MatrixVector
from codesign.ops.max_pool import MaxPool
from codesign.ops.pad import Pad
from codesign.ops.requantize import Requantize
from codesign.ops.sliding_window import SlidingWindow
from codesign.ops.sum_pool import SumPool
from codesign.ops.width_converter import WidthConverter

OPS: Mapping[str, type[Op]] = {
    op.name: op
    for op in (
        Add,
        ChannelDot,
        ConditionalBuffer,
        ExitDecision,
        Flatten,
        Fork,
        GlobalSum,
        MatrixVector,
        MaxPool,
        Pad,
        Requantize,
        SlidingWindow,
        SumPool,
        WidthConverter,
    )
}

__all__ = ["OPS", "Example", "Folding", "Op", "Schedule", "Work"]
