"""What a cosimulation streams through a design and what must come back: batches of frames, and every word of them."""

# Legend: N frames; H, W rows and columns; C channels; B beats; K 32-bit words of a beat.
from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codesign.files import write_json
from codesign.ir import Codes, Graph
from codesign.plan.dataflow import Dataflow
from codesign.plan.ports import RESULT_WIDTH_LOW, feature_word, image_word
from codesign.verify import golden
from codesign.verify.packets import Words, feature_packet, image_words, result_packet

CLOCK_NS = 10
MOST_32 = (1 << 32) - 1

# Chances that a cycle is left out on the image, result and feature port: one at a time, all alike, and each its own way.
STALLS = ((0.3, 0.0, 0.0), (0.0, 0.6, 0.3), (0.0, 0.2, 0.6), (0.2, 0.2, 0.2), (0.5, 0.7, 0.4), (0.1, 0.5, 0.6))
CLOSED = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.1, 1.0, 1.0))  # 1: for several frames' time, until all is full behind it
ALL_PORTS = tuple(stalls for stalls in STALLS if all(stalls))
STALLED_BATCHES = 6  # of the bench that stalls all ports


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames by their numbers in the pool, the threshold register, how the ports stall, and each frame's width where a
    design has several.

    `abort` is the cycle behind the start in which reset ends the batch, and how long; then nothing is compared.
    """

    frames: tuple[int, ...]
    threshold: int
    stalls: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seed: int = 0
    abort: tuple[int, int] | None = None
    widths: tuple[int, ...] = ()


class Oracle:
    """The golden model's answers for a pool of frames, worked out once and good for any threshold.

    Of a design with several widths `narrow` are the heads of the others, narrow to wide; `head` is the widest's.
    """

    def __init__(self, head: Graph, dataflow: Dataflow, image_NHWC: Codes, narrow: Sequence[Graph] = ()) -> None:
        self.dataflow, self.image_NHWC = dataflow, image_NHWC
        self.widths = len(narrow) + 1
        self._decision: Any = head.node("decision").op
        buffer = next(p for p in dataflow.processes if p.op.port)
        feature, logits = head.node(buffer.node).inputs[0], head.node("decision").inputs[0]
        inputs = {"image": image_NHWC, "threshold": np.zeros((1, 1, 1, 1), np.int64)}
        want = [golden.run(graph, inputs, keep=(feature, logits)) for graph in (*narrow, head)]
        self._maps, self._logits = [w[feature] for w in want], [w[logits] for w in want]
        self.codes_N = self.decisions(0) & MOST_32

    def decisions(self, threshold: int, index: int = -1) -> npt.NDArray[np.int64]:
        """The decision word of every frame of the pool at a width, the widest by default."""
        register = np.full((1, 1, 1, 1), threshold, np.int64)
        words_N = np.asarray(self._decision.golden(self._logits[index], register)).reshape(-1)
        return words_N if self.widths == 1 else words_N | index % self.widths << RESULT_WIDTH_LOW

    @property
    def never(self) -> int:
        """The threshold at which no frame exits."""
        return int(self._decision.never)

    @property
    def always(self) -> int:
        """The threshold at which every frame exits that can."""
        return MOST_32 - self.never

    @cached_property
    def middle(self) -> int:
        """A threshold at which about half of the frames exit; it is the very code of one of them."""
        codes = np.unique(self.codes_N)
        shares = [self._decision.decide(self.codes_N, int(code)).mean() for code in codes]
        return int(codes[np.argmin(np.abs(np.array(shares) - 0.5))])

    def exiting(self) -> tuple[int, ...]:
        """The frames that can exit at all."""
        return tuple(np.flatnonzero(self.decisions(self.always) >> 47 & 1).tolist())

    def words(self, batch: Batch) -> tuple[dict[str, Words], int]:
        """The words of the batch on the three ports, and how many of its frames exit."""
        at = np.array(batch.frames)
        widths = np.array(batch.widths or [self.widths - 1] * len(at))
        decisions = np.stack([self.decisions(batch.threshold, index) for index in range(self.widths)])
        decisions_N = decisions[widths, at]
        exited_N = (decisions_N >> 47 & 1).astype(bool)
        maps: list[Codes] = [self._maps[width][frame] for width, frame in zip(widths, at, strict=True)]
        words = {
            "image": image_words(self.image_NHWC[at], image_word(self.dataflow)),
            "result": result_packet(decisions_N).words_BK,
            "feature": feature_packet(
                maps, exited_N, feature_word(self.dataflow), widths if self.widths > 1 else None
            ).words_BK,
        }
        return words, int(exited_N.sum())

    def beats(self) -> list[int]:
        """The words of a feature map at every width."""
        return [maps[0].size // feature_word(self.dataflow).lanes for maps in self._maps]


def schedule(
    oracle: Oracle, frames: int, *, brief: bool = False, seed: int = 1, width: int | None = None
) -> dict[str, list[Batch]]:
    """The batches of every bench; `frames` frames go through the bench that stalls all ports. Where there are several widths
    frames have random ones, or all the one with index `width`.

    A brief schedule is for Icarus, which takes seconds for a frame: it is there for what only a simulator with X can see.
    """
    rng = random.Random(seed)
    none, every, some = oracle.never, oracle.always, oracle.middle

    def take(count: int, threshold: int, stalls: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Batch:
        pool = oracle.exiting() if threshold == every else range(len(oracle.image_NHWC))
        chosen = rng.choices(pool or (0,), k=count)
        return Batch(tuple(chosen), threshold, stalls, rng.getrandbits(30), widths=one_width(count))

    def one_width(count: int) -> tuple[int, ...]:
        index = rng.randrange(oracle.widths) if width is None else width
        return (index,) * count if oracle.widths > 1 else ()

    def mixed(batch: Batch) -> Batch:
        """The batch with a width of its own for every frame."""
        if oracle.widths == 1 or width is not None:
            return batch
        return replace(batch, widths=tuple(rng.randrange(oracle.widths) for _ in batch.frames))

    if brief:
        return {
            "stalls": [mixed(take(frames, some, ALL_PORTS[1]))],
            "packets": [take(1, every)],
            "registers": [take(1, none)],
            "reset": _resets([take(1, none), take(1, some)], oracle.dataflow, rng),
        }
    sizes, thresholds = (1, 3, 5, 2, 1, 6, 2), (none, every, some, none, every, some, every)
    pool = len(oracle.image_NHWC)
    parts = [tuple(n % pool for n in part) for part in _split(frames, STALLED_BATCHES)]
    resets = [take(2, some, STALLS[k % len(STALLS)]) for k in range(12)]
    return {
        **({"race": [take(24, some), take(24, none, ALL_PORTS[0])]} if oracle.widths > 1 else {}),
        "full_rate": [mixed(take(8, some))],
        "stalls": [
            mixed(replace(take(len(n), some, ALL_PORTS[k % len(ALL_PORTS)]), frames=n)) for k, n in enumerate(parts)
        ],
        "one_port": [mixed(take(3, some, stalls)) for stalls in STALLS if not all(stalls)],
        "blocked": [mixed(take(6, some, stalls)) for stalls in CLOSED],
        "batches": [take(n, t, rng.choice(STALLS)) for n, t in zip(sizes, thresholds, strict=True)],
        "packets": [take(4, every), take(1, none), take(1, every, ALL_PORTS[0]), take(2, none)],
        "surplus": [take(2, some), take(2, some, ALL_PORTS[0]), take(1, none)],
        "registers": [take(3, some, ALL_PORTS[0]), take(1, none)],
        "reset": _resets(resets, oracle.dataflow, rng),
    }


def _split(frames: int, parts: int) -> list[range]:
    """0 .. frames in about equal parts, none of them empty."""
    edges = [frames * k // parts for k in range(parts + 1)]
    return [range(a, b) for a, b in pairwise(edges) if b > a]


def _resets(batches: Sequence[Batch], dataflow: Dataflow, rng: random.Random) -> list[Batch]:
    """Every second batch is aborted: some early, some late, most in the middle of a frame."""
    made: list[Batch] = []
    for number, batch in enumerate(batches):
        if number % 2 == 0:
            last = (len(batch.frames) + 1) * dataflow.bound
            cycle = rng.randrange(1, 40) if number % 6 == 4 else rng.randrange(dataflow.bound // 4, last)
            batch = replace(batch, abort=(cycle, rng.randrange(1, 6)))
        made.append(batch)
    return made


def write_case(
    folder: Path, oracle: Oracle, benches: Mapping[str, Sequence[Batch]], *, kind: str, registers: Mapping[str, int]
) -> Path:
    """Writes `case.json` and `words.npz`, all that the benches know of the design, and returns the first."""
    folder.mkdir(parents=True, exist_ok=True)
    words: dict[str, Words] = {}
    rows: dict[str, list[dict[str, Any]]] = {}
    bound = oracle.dataflow.bound
    for name, batches in benches.items():
        rows[name] = []
        for batch in batches:
            key = f"{name}{len(rows[name])}"
            ports, exits = oracle.words(batch)
            words |= {f"{key}_{port}": array for port, array in ports.items()}
            if name == "race":
                for index in range(oracle.widths):
                    found, _ = oracle.words(replace(batch, widths=(index,) * len(batch.frames)))
                    words |= {f"{key}_{index}_{port}": found[port] for port in ("result", "feature")}
            # Beyond this many cycles the design hangs: stalls slow a batch down by less than eight.
            limit = 8 * (len(batch.frames) + 4) * bound + 5_000
            row = {"key": key, "exits": exits, "limit_cycles": limit, **asdict(batch), "frames": len(batch.frames)}
            rows[name].append(row)
    np.savez(folder / "words.npz", **words)  # pyright: ignore[reportArgumentType]
    about = {"kind": kind, "clock_ns": CLOCK_NS, "frame_cycles": bound, "feature_beats": oracle.beats()}
    write_json(folder / "case.json", {**about, "registers": dict(registers), "benches": rows})
    return folder / "case.json"
