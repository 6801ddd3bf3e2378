"""LUT, FF, DSP and BRAM18 of an RTL design, process by process and channel by channel, without running a tool.

What can be counted is counted from the parameters of the units and the contents of their ROMs (`units`); LUTs of control
logic have coefficients (`rtl_xc7.toml`). All of it speaks of what Yosys makes for a 7-series part; docs/estimates.md
says how near it comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from codesign.cost.coefficients import coefficients
from codesign.cost.exits import control_port, image_port, result_port
from codesign.cost.fabric import Parts
from codesign.cost.slim import PLAIN
from codesign.cost.streams import fifo
from codesign.cost.units import unit_parts
from codesign.ir.types import TensorType
from codesign.ops.base import Folding, Op
from codesign.plan.budget import Resources, storage
from codesign.plan.dataflow import Dataflow
from codesign.plan.ports import RESULT_BITS, feature_word
from codesign.plan.widths import TOKEN_DEPTH


def rtl_resources(dataflow: Dataflow, *, ports: bool = True) -> Resources:
    """Estimate of a whole design with its FIFOs; `ports`: with the AXI ports and registers of one that ends in an exit.

    The depths are those of `plan.exact.for_rtl`.
    """
    return _sum(rtl_breakdown(dataflow, ports=ports).values())


def rtl_breakdown(dataflow: Dataflow, *, ports: bool = True) -> dict[str, Resources]:
    """What every process and every channel takes, and "ports" for all at the edge of the design."""
    rows = {p.name: unit_price(p.op, p.folding, p.types) for p in dataflow.processes}
    rows |= {f"{c.name} (FIFO)": fifo_price(c.width, c.depth) for c in dataflow.channels}
    rows |= {f"{name} (width)": fifo_price(bits, TOKEN_DEPTH) for name, bits in _tokens(dataflow).items()}
    if any(p.op.port for p in dataflow.processes):
        rows["ports"] = _port_price(dataflow, whole=ports)
    return rows


def _tokens(dataflow: Dataflow) -> dict[str, int]:
    """The processes that are told a frame's width, and the bits that say it."""
    widths = {p.name: p.op.rtl(p.folding, *p.types).widths for p in dataflow.processes}
    return {name: (count - 1).bit_length() for name, count in widths.items() if count > 1}


@lru_cache(maxsize=1 << 18)
def unit_price(op: Op, folding: Folding, types: tuple[TensorType, ...]) -> Resources:
    """Estimate of one process with its ROMs, without its FIFOs."""
    unit = op.rtl(folding, *types)
    return _priced(unit.module, unit_parts(unit))


@lru_cache(maxsize=1 << 16)
def fifo_price(width: int, depth: int) -> Resources:
    """Estimate of a channel's FIFO where the emitter puts it."""
    block = storage(depth, width) == "bram"
    return _priced("cs_fifo", fifo(width, depth, block=block))


def _port_price(dataflow: Dataflow, *, whole: bool) -> Resources:
    """The FIFO in front of the feature port; `whole` adds the other ports and the registers."""
    rows = [fifo_price(feature_word(dataflow).bits + 1, 2)]
    if whole:
        (image,) = dataflow.inputs
        rows += [
            fifo_price(RESULT_BITS + 1, 2),
            _priced("cs_image_port", image_port(dataflow.channel(image).beats)),
            _priced("cs_result_port", result_port()),
            _priced("cs_control", control_port()),
        ]
    return _sum(rows)


def _priced(module: str, parts: Parts) -> Resources:
    c = coefficients()[PLAIN.get(module, module)]
    lut = parts.lut + c.per_bit * parts.control + c.fixed
    return Resources(lut=round(max(0.0, lut)), ff=parts.ff + parts.fed, dsp=parts.dsp, bram18=parts.bram18)


def _sum(rows: Iterable[Resources]) -> Resources:
    return sum(rows, Resources())
