"""RTL simulation: streams frames through the emitted SystemVerilog and holds every word against the golden model."""

# Legend: N frames; H, W rows and columns; C channels; B beats; K 32-bit words of a beat.
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.emit.rtl import CONTROL, RtlDesign
from codesign.errors import VerificationError
from codesign.ir import Codes, Graph
from codesign.plan.dataflow import Dataflow
from codesign.plan.ports import RESULT_BITS, feature_word, image_word
from codesign.verify.packets import Packet, feature_packet, image_words, result_packet
from codesign.verify.verilated import Interface, Library, Simulation, Stream, Traffic, compile_rtl
from codesign.verify.widths import Kind, wanted

BATCH_BYTES = 1 << 28  # of feature words that one batch may bring


@dataclass(frozen=True, slots=True)
class Stalls:
    """Chances in 256 that a port leaves a cycle out, and where its random numbers begin."""

    image: int = 0
    result: int = 0
    feature: int = 0
    seed: int = 1

    def __bool__(self) -> bool:
        return bool(self.image or self.result or self.feature)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one batch brought: both packets, the cycles of the result words from the first image word on, both counters."""

    results: Packet
    features: Packet
    cycles_N: npt.NDArray[np.int64]
    frames_done: int
    exits: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RtlReport:
    """The verdict on a set of frames with the cycles that were counted; `images_per_s` is wall-clock time of simulation.

    `step_up` has the cycles that stepping up from one width to another adds to a frame, and the difference of their work.
    """

    frames: int
    mismatched_codes: int
    mismatched_frames: int
    interval_cycles: float
    latency_cycles: int
    estimated_interval_cycles: int
    estimated_latency_cycles: int
    images_per_s: float
    exits: int
    first_difference: str | None
    tool: str
    step_up: dict[str, Any] | None = None

    @property
    def agrees(self) -> bool:
        """Whether every code is right."""
        return not self.mismatched_codes and not self.mismatched_frames and self.first_difference is None

    @property
    def exact(self) -> bool:
        """Whether the cycles are those that were computed, if any were; a single frame has no interval."""
        if not self.estimated_interval_cycles:
            return True
        interval = self.frames == 1 or self.interval_cycles == self.estimated_interval_cycles
        return interval and self.latency_cycles == self.estimated_latency_cycles

    def to_json(self) -> dict[str, Any]:
        interval = self.interval_cycles
        return {
            "frames": self.frames,
            "mismatched_codes": self.mismatched_codes,
            "mismatched_frames": self.mismatched_frames,
            "interval_cycles": int(interval) if interval == int(interval) else round(interval, 3),
            "latency_cycles": self.latency_cycles,
            "estimated_interval_cycles": self.estimated_interval_cycles,
            "estimated_latency_cycles": self.estimated_latency_cycles,
            "images_per_s": round(self.images_per_s, 1),
            "exits": self.exits,
            "first_difference": self.first_difference,
            **({"step_up": self.step_up} if self.step_up else {}),
            "tool": self.tool,
            "source": "RTL simulation",
        }


def compile_design(
    design: RtlDesign, dataflow: Dataflow, folder: Path, *, wave: bool = False, statistics: bool = False
) -> Library:
    """The simulation of a design with AXI ports."""
    interface = Interface(
        (Stream("s_axis_image", image_word(dataflow).bits, axi=True),),
        (
            Stream("m_axis_result", RESULT_BITS, last=True, axi=True),
            Stream("m_axis_feature", feature_word(dataflow).bits, last=True, axi=True),
        ),
        control=True,
        channels=len(dataflow.channels),
    )
    return compile_rtl(design, interface, folder, wave=wave, statistics=statistics)


def run_batch(
    simulation: Simulation,
    dataflow: Dataflow,
    image_NHWC: Codes,
    threshold: int,
    stalls: Stalls | None = None,
    kinds_N: npt.NDArray[np.int64] | None = None,
) -> Batch:
    """Streams one batch through the design as the host would: registers, start, words in, words out, counters.

    `kinds_N` are what the register `width` holds for each frame; where they differ it is written while the batch runs, in
    front of the frame's first word. Raises VerificationError when the design stops, when beats come that should not, and when it is not done at the end.
    """
    stalls, frames, word = stalls or Stalls(), len(image_NHWC), feature_word(dataflow)
    simulation.seed(stalls.seed)
    simulation.write(CONTROL["frames"], frames)
    simulation.write(CONTROL["threshold"], threshold)
    if kinds_N is not None:
        _set_kinds(simulation, kinds_N.astype(np.uint8), image_word(dataflow).beats)
    simulation.write(CONTROL["control"], 1)
    image = Traffic(image_words(image_NHWC, image_word(dataflow)), stalls.image)
    results = _room(frames, RESULT_BITS, stalls.result)
    features = _room(frames * (word.beats + 1) + 1, word.bits, stalls.feature)
    results.ends = features.ends = True
    image.cycles = np.zeros(len(image.beats), np.uint64)
    begin = time.perf_counter()
    simulation.run([image], [results, features])
    seconds = time.perf_counter() - begin
    _demand_done(simulation)
    return Batch(
        Packet(results.beats[: results.done], results.last[: results.done]),
        Packet(features.beats[: features.done], features.last[: features.done]),
        results.cycles[: results.done].astype(np.int64) - int(image.cycles[0]),
        simulation.read(CONTROL["frames_done"]),
        simulation.read(CONTROL["exits"]),
        seconds,
    )


def check_rtl_widths(
    kinds: Sequence[Kind],
    dataflow: Dataflow,
    simulation: Simulation,
    image_NHWC: Codes,
    kinds_N: npt.NDArray[np.int64] | None,
    threshold: int,
    stalls: Stalls | None = None,
) -> tuple[Batch, tuple[int, int, str | None]]:
    """As `check_rtl`, of frames that each have a width or step up: `kinds_N` are indices of `kinds`, None in a
    design that has no register for them."""
    known_N = np.zeros(len(image_NHWC), np.int64) if kinds_N is None else kinds_N
    want = wanted(kinds, image_NHWC, known_N, threshold)
    batch = run_batch(simulation, dataflow, image_NHWC, threshold, stalls, kinds_N)
    word, exited_N = feature_word(dataflow), want.exited_N
    features = feature_packet(want.maps, exited_N, word, known_N)
    counters = {"frames_done": (len(known_N), batch.frames_done), "exits": (int(exited_N.sum()), batch.exits)}
    sent = np.flatnonzero(~exited_N)
    beats = [want.maps[frame].size // word.lanes for frame in sent.tolist()]
    frame_B = np.append(np.repeat(sent, np.add(beats, 1, dtype=np.int64) if beats else 0), -1)
    return batch, differences(result_packet(want.decisions_N), features, batch, frame_B, counters)


def check_rtl(
    head: Graph,
    dataflow: Dataflow,
    simulation: Simulation,
    image_NHWC: Codes,
    threshold: int,
    stalls: Stalls | None = None,
) -> tuple[Batch, tuple[int, int, str | None]]:
    """One batch, and what differs from the golden model: codes, frames, and the first difference in words."""
    return check_rtl_widths((Kind(head),), dataflow, simulation, image_NHWC, None, threshold, stalls)


def differences(
    results: Packet,
    features: Packet,
    batch: Batch,
    sent_B: npt.NDArray[np.int64],
    counters: dict[str, tuple[int, int]],
) -> tuple[int, int, str | None]:
    """(wrong words, wrong frames, the first in words) of a batch's packets and counters against what must come.

    `sent_B` is the frame of every word of the feature port, -1 for the trailer.
    """
    first: str | None = None
    wrong, frames = 0, set[int]()
    for name, want, got in (("m_axis_result", results, batch.results), ("m_axis_feature", features, batch.features)):
        if want.words_BK.shape != got.words_BK.shape:
            first = first or f"{name}: {len(got.words_BK)} words came, {len(want.words_BK)} must"
            wrong += abs(len(want.words_BK) - len(got.words_BK))
            continue
        bad_B = (want.words_BK != got.words_BK).any(axis=1) | (want.last_B != got.last_B)
        if not bad_B.any():
            continue
        at = int(np.argmax(bad_B))
        frame_B = np.arange(len(bad_B)) if name == "m_axis_result" else sent_B[: len(bad_B)]
        frames |= set(frame_B[bad_B].tolist())
        wrong += int(bad_B.sum())
        first = first or (f"{name}: frame {frame_B[at]}, word {at}: want {_hex(want, at)}, got {_hex(got, at)}")
    for name, (must, is_) in counters.items():
        if must != is_:
            first = first or f"register {name} is {is_}, must be {must}"
    return wrong, len(frames), first


def _hex(packet: Packet, at: int) -> str:
    digits = "".join(f"{int(part):08x}" for part in packet.words_BK[at][::-1])
    return f"{digits}{' with TLAST' if packet.last_B[at] else ''}"


def interval_of(cycles_N: npt.NDArray[np.int64]) -> float:
    """Cycles between results in the middle half of a batch: the first ones fill the pipeline, and behind the last nothing
    comes. Exact when all are equal, else their mean."""
    if len(cycles_N) < 2:
        return float(cycles_N.max(initial=0))
    quarter = (len(cycles_N) - 1) // 4
    middle = cycles_N[quarter : len(cycles_N) - quarter]
    return float(middle[-1] - middle[0]) / (len(middle) - 1)


def _set_kinds(simulation: Simulation, kinds_N: npt.NDArray[np.uint8], beats: int) -> None:
    simulation.write(CONTROL["width"], int(kinds_N[0]))
    simulation.per_frame(CONTROL["width"], None if (kinds_N == kinds_N[0]).all() else kinds_N, beats)


def _room(beats: int, bits: int, stall: int) -> Traffic:
    return Traffic(
        np.zeros((beats, -(-bits // 32)), np.uint32),
        stall,
        cycles=np.zeros(beats, np.uint64),
        last=np.zeros(beats, np.uint8),
    )


def _demand_done(simulation: Simulation) -> None:
    if extra := simulation.excess():
        raise VerificationError(f"{extra} words came behind the batch's last", where="RTL simulation")
    if simulation.read(CONTROL["control"]) & 0b110 != 0b110:
        raise VerificationError("the design does not say that it is done", where="RTL simulation")
