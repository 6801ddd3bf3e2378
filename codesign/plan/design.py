"""design.json: everything the host must know of a design to feed it frames and read its answers."""

from __future__ import annotations

from typing import Any, Protocol, cast

from codesign.ir.graph import Graph
from codesign.ir.types import TensorType
from codesign.plan.dataflow import Dataflow, Process
from codesign.plan.plan import Plan
from codesign.plan.ports import RESULT_BITS, PortWord, feature_word, image_word
from codesign.plan.widths import kinds_of

RESULT_FIELDS = {"confidence": [31, 0], "class": [46, 32], "exited": [47, 47], "frame": [63, 48]}
WIDTH_FIELDS = {"class": [43, 32], "width": [46, 44]}  # where a frame can have one of several widths
TRAILER_FRAME = 0xFFFFFFFF


class _Decision(Protocol):
    """What the host needs of an exit decision; any op with these is one. `scale` and `fraction_bits` give a code's unit."""

    criterion: str
    classes: int
    scale: float
    fraction_bits: int
    unit: str
    never: int
    threshold_range: tuple[float, float]


def design_info(graph: Graph, dataflow: Dataflow, plan: Plan) -> dict[str, Any]:
    """The content of design.json: ports, types and scales, registers, criterion, clock and estimated speed."""
    info: dict[str, Any] = {
        "format": "codesign-design-1",
        "name": dataflow.name,
        "device": plan.device,
        "clock_mhz": plan.clock_mhz,
        "estimate": {
            "interval_cycles": plan.interval_cycles,
            "latency_cycles": plan.latency_cycles,
            "frames_per_second": plan.frames_per_second,
            "source": "estimated",
        },
        "image": _image(graph, dataflow),
        "registers": _registers(dataflow),
    }
    if decider := next((p for p in dataflow.processes if hasattr(p.op, "criterion")), None):
        fields = RESULT_FIELDS | (WIDTH_FIELDS if kinds_of(dataflow)[0] > 1 else {})
        info["result"] = {"tdata_bits": RESULT_BITS, "fields": {name: list(bits) for name, bits in fields.items()}}
        info["exit"] = _exit(graph, decider)
    if buffer := next((p for p in dataflow.processes if p.op.port), None):
        info["feature"] = _feature(dataflow, buffer)
    return info


def _image(graph: Graph, dataflow: Dataflow) -> dict[str, Any]:
    value = next(i for i in graph.inputs if i.kind == "stream")
    return {**_tensor(value.type), **_word(image_word(dataflow))}


def _feature(dataflow: Dataflow, buffer: Process) -> dict[str, Any]:
    depth = dataflow.channel(buffer.inputs[0]).depth
    packet = {"header_beats": 1, "trailer_frame": TRAILER_FRAME, "buffer_depth": depth}
    return {**_tensor(buffer.types[0]), **_word(feature_word(dataflow)), **packet}


def _word(word: PortWord) -> dict[str, int]:
    return {"lanes": word.lanes, "beats": word.beats, "container_bits": word.container, "tdata_bits": word.bits}


def _tensor(x: TensorType) -> dict[str, Any]:
    return {"shape": list(x.shape), "type": str(x.dtype), "scale": x.scale}


def _exit(graph: Graph, decider: Process) -> dict[str, Any]:
    """`threshold_scale` is what one step of the confidence and threshold codes is worth: nats, odds against, or logits."""
    op = cast(_Decision, decider.op)
    return {
        "name": graph.exits[0].name if graph.exits else "",
        "criterion": op.criterion,
        "classes": op.classes,
        "threshold_scale": 2.0**-op.fraction_bits if op.fraction_bits else op.scale,
        "threshold_range": list(op.threshold_range),
        "unit": op.unit,
        "never": op.never,
        "logits": _tensor(decider.types[0]),
    }


def _registers(dataflow: Dataflow) -> list[dict[str, Any]]:
    """Names and widths; the addresses are the backend's and stand in the .hwh that Vivado writes."""
    rows: list[dict[str, Any]] = [{"name": "frames", "bits": 32, "access": "write"}]
    rows += [{"name": r.name, "bits": r.type.dtype.bits, "access": "write"} for r in dataflow.registers]
    if kinds_of(dataflow)[0] > 1:
        rows.append({"name": "width", "bits": 32, "access": "write"})
    return rows + [{"name": name, "bits": 32, "access": "read"} for name in ("frames_done", "exits")]
