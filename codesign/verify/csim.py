"""C simulation: streams frames through a compiled design and holds every code against the golden model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
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
from codesign.verify.packets import pack_image, with_widths
from codesign.verify.process import run

BATCH = 4  # frames a call: its channels' beats stay in the second-level cache
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Widths:
    """What the width register says as each frame comes in, and the design's narrower dataflows and golden heads.

    `widths_N` are indices from narrow to wide, and behind them the `steps` up; any above the last stands for the widest.
    `heads` are plain graphs, for `check`; of a step only the channels of its feature map from `firsts` on are sent.
    """

    widths_N: Ints
    narrow: tuple[Dataflow, ...]
    heads: tuple[Graph, ...] = ()
    steps: tuple[Dataflow, ...] = ()
    firsts: tuple[int, ...] = ()

    @property
    def now_N(self) -> Ints:
        """The width or step that each frame is."""
        known = self.widths_N <= len(self.narrow) + len(self.steps)
        return np.where(known, self.widths_N, len(self.narrow))

    def kinds(self, head: Graph) -> tuple[Graph, ...]:
        """The golden head of everything that a frame can be; `head` is the widest's."""
        widths = (*self.heads, head)
        return (*widths, *widths[1 : 1 + len(self.steps)])

    def of(self, frames: slice) -> Widths:
        return replace(self, widths_N=self.widths_N[frames])


@dataclass(frozen=True, slots=True)
class Outputs:
    """What left the design: decision words (N,), the maps of frames that went on by frame number, and the codes of every
    frame in the traced channels, maps and traces as long as the frame's width makes them."""

    decisions: Ints
    features: Mapping[int, Codes]
    traces: Mapping[str, Sequence[Codes]]
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
    widths: Widths | None = None,
) -> Outputs:
    """Streams frames through a compiled design. `trace` names channels to record (native or vendor types, no threads).

    A design with several widths needs `widths`, and `dataflow` is the widest's. Raises VerificationError when the design breaks its protocol, deadlocks or crashes.
    """
    with tempfile.TemporaryDirectory(prefix="codesign-csim-") as folder:
        prefix = Path(folder) / "out"
        frames_file = Path(folder) / "images"
        frames_file.write_bytes(pack_image(image_NHWC, image_word(dataflow)))
        frames = len(image_NHWC)
        flows = (*widths.narrow, dataflow, *widths.steps) if widths else (dataflow,)
        now_N = widths.now_N if widths else np.zeros(frames, np.int64)
        sizes = {name: [_codes(flow, name) for flow in flows] for name in trace}
        options: list[str | Path] = [str(frames), str(min(batch, frames)), str(threshold)]
        if widths:
            options.append(Path(folder) / "widths")
            (Path(folder) / "widths").write_bytes(widths.widths_N.astype(np.uint8).tobytes())
        options += [f"{name}:{','.join(map(str, size))}" for name, size in sizes.items()]
        done = run([build.program, frames_file, prefix, *options], timeout_s=timeout_s)
        if done.status:
            reason = done.stderr.strip() or f"ended with status {done.status}"
            raise VerificationError(
                reason.removeprefix("error: "), where="C simulation", hint="the frames' codes were not compared"
            )
        decisions = np.fromfile(f"{prefix}.results", dtype="<u8").astype(np.int64) & ((1 << 48) - 1)
        words = [feature_word(flow) for flow in flows]
        going_on = now_N[(decisions >> 47 & 1) == 0]
        features = unpack_features(Path(f"{prefix}.features").read_bytes(), (words[int(index)] for index in going_on))
        traces = {
            name: np.split(
                np.fromfile(f"{prefix}.{i}.trace", dtype="<i8"), np.cumsum(np.array(size, np.int64)[now_N])[:-1]
            )
            for i, (name, size) in enumerate(sizes.items())
        }
        return Outputs(decisions, features, traces, json.loads(done.stdout)["cpu_s"])


def check(
    head: Graph,
    dataflow: Dataflow,
    build: Build,
    image_NHWC: Codes,
    threshold: int,
    *,
    batch: int = BATCH,
    widths: Widths | None = None,
) -> CsimReport:
    """Holds logits, decision, entropy code and feature map of every frame against the golden model.

    With several widths `head` and `dataflow` are the widest's, every frame is held against the golden model of its width,
    and the width in its decision word against the register. A build without traces gives the decision, the entropy code and the maps of frames that go on, and those are compared.
    On a difference the first wrong frame runs once more with every channel traced, so that the report names the layer.
    """
    logits, feature = _exit_inputs(head, dataflow)
    want = _golden(head, image_NHWC, threshold, (logits[0], feature[0], "decision"), widths)
    traced = (logits, feature) if build.traces else ()
    names = [channel for _, channel in traced]
    out = simulate(build, dataflow, image_NHWC, threshold, trace=names, batch=batch, widths=widths)
    wants = {
        logits[0]: want[logits[0]],
        feature[0]: want[feature[0]],
        "decision": want["decision"],
        "m_axis_feature": _sent(want, feature[0]),
    }
    gots = {
        **{name: _as_widest(enumerate(out.traces[channel]), want[name]) for name, channel in traced},
        "decision": out.decisions.reshape(-1, 1, 1, 1),
        "m_axis_feature": _as_widest(out.features.items(), want[feature[0]]),
    }
    result = compare_values(wants, gots, list(wants))
    wrong = np.zeros(len(image_NHWC), dtype=bool)
    for name in gots:
        wrong |= (wants[name] != gots[name]).reshape(len(wrong), -1).any(axis=1)
    first = result.first
    if first is not None and build.traces:
        first = _locate(head, dataflow, build, image_NHWC, threshold, first, widths)
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


def unpack_features(data: bytes, words: Iterable[PortWord]) -> dict[int, Codes]:
    """{frame: codes in raster order} from frame numbers and the bus words behind them, of every map its own."""
    maps: dict[int, Codes] = {}
    start, of_map = 0, iter(words)
    while start < len(data):
        word = next(of_map)
        kind = f"<i{word.container // 8}" if word.dtype.signed else f"<u{word.container // 8}"
        frame = int.from_bytes(data[start : start + 4], "little")
        stop = start + 4 + word.beats * word.bits // 8
        rows = np.frombuffer(data[start + 4 : stop], dtype=kind).reshape(word.beats, -1)
        maps[frame] = rows[:, : word.lanes].astype(np.int64).reshape(-1)
        start = stop
    return maps


def _codes(dataflow: Dataflow, channel: str) -> int:
    """Codes a frame that a channel carries."""
    found = dataflow.channel(channel)
    return found.beats * found.lanes


def _golden(
    head: Graph, image_NHWC: Codes, threshold: int, keep: Sequence[str], widths: Widths | None
) -> dict[str, Codes]:
    """The golden codes of every frame at its width, the decision as the result port sends it."""
    inputs = {"image": image_NHWC, "threshold": np.full((1, 1, 1, 1), threshold, dtype=np.int64)}
    if widths is None:
        return golden.run(head, inputs, keep=keep)
    want = golden.run_widths(widths.kinds(head), inputs, widths.now_N, keep=keep)
    feature = head.node("features").inputs[0]
    for step, first in enumerate(widths.firsts if feature in want else ()):
        at = widths.now_N == 1 + len(widths.narrow) + step
        want[feature][at] = np.pad(want[feature][at][..., first:], ((0, 0), (0, 0), (0, 0), (0, first)))
    if "decision" in want:
        want["decision"] = with_widths(want["decision"], widths.now_N[:, None, None, None])
    return want


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


def _as_widest(frames: Iterable[tuple[int, Codes]], like: Codes) -> Codes:
    """The codes of numbered frames in an array like the golden one's: those of narrow frames in the first channels."""
    maps = np.zeros_like(like)
    for frame, codes in frames:
        own_HWC = codes.reshape(*like.shape[1:3], -1)
        maps[frame, :, :, : own_HWC.shape[-1]] = own_HWC
    return maps


def _locate(
    head: Graph,
    dataflow: Dataflow,
    build: Build,
    image_NHWC: Codes,
    threshold: int,
    seen: Difference,
    widths: Widths | None,
) -> Difference:
    """The first difference in topological order, found by tracing every channel of that one frame, or where it can matter
    also of the one before it."""
    channels = {n.name: c.name for n in head.nodes if (c := channel_of(dataflow, n.name)) is not None}
    channels.pop("decision", None)
    if widths is not None and widths.now_N[seen.frame] > len(
        widths.narrow
    ):  # what it has of each layer is not in one channel
        return seen
    start = max(0, seen.frame - (widths is not None))
    frames = slice(start, seen.frame + 1)
    own = None if widths is None else widths.of(frames)
    want = _golden(head, image_NHWC[frames], threshold, tuple(channels), own)
    try:
        out = simulate(build, dataflow, image_NHWC[frames], threshold, trace=tuple(channels.values()), widths=own)
    except VerificationError:
        return seen
    gots = {name: _as_widest(enumerate(out.traces[channel]), want[name]) for name, channel in channels.items()}
    first = compare_values({name: want[name] for name in channels}, gots, list(channels)).first
    return seen if first is None else replace(first, frame=start + first.frame)
