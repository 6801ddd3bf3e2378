"""C simulation: streams frames through a compiled design and holds every code against the golden model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codesign.emit.hls import channel_of
from codesign.errors import VerificationError
from codesign.ir import Codes, Graph
from codesign.plan.dataflow import Dataflow
from codesign.plan.ports import PortWord, feature_word, image_word
from codesign.verify import golden
from codesign.verify.builds import Build, Types
from codesign.verify.compare import Difference, compare_values
from codesign.verify.packets import pack_image
from codesign.verify.process import run

BATCH = 4  # frames a call: its channels' beats stay in the second-level cache


@dataclass(frozen=True, slots=True)
class Outputs:
    """What left the design: decision words (N,), the maps of frames that went on by frame number, and traced channels."""

    decisions: npt.NDArray[np.int64]
    features: Mapping[int, Codes]
    traces: Mapping[str, Codes]
    cpu_s: float


@dataclass(frozen=True, slots=True)
class CsimReport:
    """The verdict on a set of frames, with the figures of the run; every figure here is simulated or measured."""

    frames: int
    mismatched_frames: int
    mismatched_codes: int
    types: Types
    compile_cpu_s: float
    images_per_cpu_s: float
    headers: str
    first_difference: Difference | None
    compared: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        first = None if self.first_difference is None else str(self.first_difference)
        return {
            "frames": self.frames,
            "mismatched_frames": self.mismatched_frames,
            "mismatched_codes": self.mismatched_codes,
            "compared": list(self.compared),
            "types": self.types,
            "compile_cpu_s": round(self.compile_cpu_s, 3),
            "images_per_cpu_s": round(self.images_per_cpu_s, 1),
            "headers": self.headers,
            "first_difference": first,
            "source": "C simulation",
        }


def simulate(
    build: Build,
    dataflow: Dataflow,
    image_NHWC: Codes,
    threshold: int,
    *,
    trace: Sequence[str] = (),
    batch: int = BATCH,
    timeout_s: float = 3600.0,
) -> Outputs:
    """Streams frames through a compiled design. `trace` names channels to record (native or vendor types, no threads).

    Raises VerificationError when the design breaks its protocol, deadlocks or crashes.
    """
    with tempfile.TemporaryDirectory(prefix="codesign-csim-") as folder:
        prefix = Path(folder) / "out"
        frames_file = Path(folder) / "images"
        frames_file.write_bytes(pack_image(image_NHWC, image_word(dataflow)))
        channels = [dataflow.channel(name) for name in trace]
        wanted = [f"{c.name}:{c.beats * c.lanes}" for c in channels]
        frames = len(image_NHWC)
        done = run(
            [build.program, frames_file, prefix, str(frames), str(min(batch, frames)), str(threshold), *wanted],
            timeout_s=timeout_s,
        )
        if done.status:
            reason = done.stderr.strip() or f"ended with status {done.status}"
            raise VerificationError(
                reason.removeprefix("error: "), where="C simulation", hint="the frames' codes were not compared"
            )
        decisions = np.fromfile(f"{prefix}.results", dtype="<u8").astype(np.int64) & ((1 << 48) - 1)
        features = unpack_features(Path(f"{prefix}.features").read_bytes(), feature_word(dataflow))
        traces = {
            c.name: np.fromfile(f"{prefix}.{i}.trace", dtype="<i8").reshape(frames, -1) for i, c in enumerate(channels)
        }
        return Outputs(decisions, features, traces, json.loads(done.stdout)["cpu_s"])


def check(
    head: Graph, dataflow: Dataflow, build: Build, image_NHWC: Codes, threshold: int, *, batch: int = BATCH
) -> CsimReport:
    """Holds logits, decision, entropy code and feature map of every frame against the golden model.

    A build without traces gives the decision, the entropy code and the maps of frames that go on, and those are compared.
    On a difference the first wrong frame runs once more with every channel traced, so that the report names the layer.
    """
    logits, feature = _exit_inputs(head, dataflow)
    inputs = {"image": image_NHWC, "threshold": np.full((1, 1, 1, 1), threshold, dtype=np.int64)}
    want = golden.run(head, inputs, keep=(logits[0], feature[0], "decision"))
    traced = (logits, feature) if build.traces else ()
    out = simulate(build, dataflow, image_NHWC, threshold, trace=[channel for _, channel in traced], batch=batch)
    wants = {
        logits[0]: want[logits[0]],
        feature[0]: want[feature[0]],
        "decision": want["decision"],
        "m_axis_feature": _sent(want, feature[0]),
    }
    gots = {
        **{name: out.traces[channel].reshape(want[name].shape) for name, channel in traced},
        "decision": out.decisions.reshape(-1, 1, 1, 1),
        "m_axis_feature": _received(out.features, want[feature[0]]),
    }
    result = compare_values(wants, gots, list(wants))
    wrong = np.zeros(len(image_NHWC), dtype=bool)
    for name in gots:
        wrong |= (wants[name] != gots[name]).reshape(len(wrong), -1).any(axis=1)
    first = result.first
    if first is not None and build.traces:
        first = _locate(head, dataflow, build, image_NHWC[first.frame : first.frame + 1], threshold, first)
    rate = len(image_NHWC) / max(out.cpu_s, 1e-9)
    return CsimReport(
        len(image_NHWC),
        int(wrong.sum()),
        result.mismatched_codes,
        build.types,
        build.compile_cpu_s,
        rate,
        build.headers,
        first,
        compared=(*(("logits", "features") if build.traces else ()), "decision", "m_axis_feature"),
    )


def unpack_features(data: bytes, word: PortWord) -> dict[int, Codes]:
    """{frame: codes in raster order} from frame numbers and the bus words behind them."""
    size = 4 + word.beats * word.bits // 8
    kind = f"<i{word.container // 8}" if word.dtype.signed else f"<u{word.container // 8}"
    maps: dict[int, Codes] = {}
    for start in range(0, len(data), size):
        frame = int.from_bytes(data[start : start + 4], "little")
        words = np.frombuffer(data[start + 4 : start + size], dtype=kind).reshape(word.beats, -1)
        maps[frame] = words[:, : word.lanes].astype(np.int64).reshape(-1)
    return maps


def _exit_inputs(head: Graph, dataflow: Dataflow) -> tuple[tuple[str, str], tuple[str, str]]:
    """(value, channel) of the logits, and of the feature map, as the exit unit and the conditional buffer read them."""
    decision, buffer = dataflow.process("decision"), next(p for p in dataflow.processes if p.op.port)
    nodes = head.node("decision").inputs[0], head.node(buffer.node).inputs[0]
    return (nodes[0], decision.inputs[0]), (nodes[1], buffer.inputs[0])


def _exited(want: Mapping[str, Codes]) -> npt.NDArray[np.bool_]:
    return (want["decision"].reshape(-1) >> 47 & 1).astype(bool)


def _sent(want: Mapping[str, Codes], feature: str) -> Codes:
    """The maps that must leave the port, zero for frames that exited."""
    return np.where(_exited(want)[:, None, None, None], 0, want[feature])


def _received(features: Mapping[int, Codes], like: Codes) -> Codes:
    maps = np.zeros_like(like)
    for frame, codes in features.items():
        maps[frame] = codes.reshape(like.shape[1:])
    return maps


def _locate(
    head: Graph, dataflow: Dataflow, build: Build, image_NHWC: Codes, threshold: int, seen: Difference
) -> Difference:
    """The first difference in topological order, found by tracing every channel of that one frame."""
    channels = {n.name: c.name for n in head.nodes if (c := channel_of(dataflow, n.name)) is not None}
    channels.pop("decision", None)
    inputs = {"image": image_NHWC, "threshold": np.full((1, 1, 1, 1), threshold, dtype=np.int64)}
    want = golden.run(head, inputs, keep=tuple(channels))
    try:
        out = simulate(build, dataflow, image_NHWC, threshold, trace=tuple(channels.values()))
    except VerificationError:
        return seen
    gots = {name: out.traces[channel].reshape(want[name].shape) for name, channel in channels.items()}
    first = compare_values({name: want[name] for name in channels}, gots, list(channels)).first
    return seen if first is None else replace(first, frame=seen.frame)
