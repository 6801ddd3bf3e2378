"""Classifies frames: the accelerator runs a batch while the processor finishes the hard frames of the one before.

    python3 classify.py                               # the test frames of this folder, against their known answers
    python3 classify.py --frames mine.npz --threshold 0.3
    python3 classify.py --json

`mine.npz` has `images`, codes (N, H, W, C), and may have `labels`. Standard library, numpy and pynq; Python 3.8.
"""

# Legend: N frames; M frames that go on.
from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from driver import Batch, Branch
from exits import load_units
from tail import Tail

GOES_ON = -1  # the exit of frames that nothing here was sure of


class Answers(NamedTuple):
    """The class of every frame, the exit it stopped at (0 is the accelerator's), its confidence code there."""

    class_N: np.ndarray
    exit_N: np.ndarray
    code_N: np.ndarray


class Cascade:
    """An accelerator and the software behind it: of one width, and that of a stage for each later exit.

    `stages` are rows as in board.json, by default its own. `thresholds` has a code for every exit but the last; where there
    is one for the last too, frames that it does not stop have `GOES_ON` as their exit.
    """

    def __init__(
        self,
        branch: Branch,
        stages: list[dict[str, Any]] | None = None,
        thresholds: list[int] | None = None,
        width: float | None = None,
    ) -> None:
        self.branch, self.width, board = branch, width, branch.board
        with np.load(os.path.join(branch.folder, "exits.npz"), allow_pickle=False) as tables:
            self.units = load_units(board, tables)
        self._stages = board["stages"] if stages is None else stages
        self._tails = [Tail(os.path.join(branch.folder, stage["folder"])) for stage in self._stages]
        self.thresholds = list(board["thresholds"] if thresholds is None else thresholds)

    def classify(self, images_NHWC: np.ndarray) -> Answers:
        """The answers of all frames."""
        size = self.branch.batch
        parts = [None] * -(-len(images_NHWC) // size)
        with ThreadPoolExecutor(1) as worker:
            for index in range(len(parts)):
                images = images_NHWC[index * size : (index + 1) * size]
                batch = self.branch.run(images, self.thresholds[0], width=self.width)
                parts[index] = worker.submit(self.finish, batch)
        answers = [part.result() for part in parts]
        return Answers(*(np.concatenate(columns) for columns in zip(*answers))) if answers else _none()  # noqa: B905  strict is newer than boards

    def finish(self, batch: Batch) -> Answers:
        """The answers of a batch that came back from the accelerator."""
        class_N, code_N = batch.class_N.copy(), batch.code_N.copy()
        exit_N = np.zeros(len(class_N), np.int64)
        rows_M, maps = batch.feature_frames_M, batch.features_MHWC
        for index, (stage, tail) in enumerate(zip(self._stages, self._tails), 1):  # noqa: B905
            if not len(rows_M):
                break
            values = tail.run(maps)
            classes_M, codes_M = self.units[index].evaluate(values[stage["logits"]].reshape(len(maps), -1))
            class_N[rows_M], code_N[rows_M], exit_N[rows_M] = classes_M, codes_M, index
            goes_on_M = ~self._stops(index, codes_M)
            rows_M, maps = rows_M[goes_on_M], values.get(stage["feature"], maps)[goes_on_M]
        exit_N[rows_M] = GOES_ON
        return Answers(class_N, exit_N, code_N)

    def _stops(self, index: int, codes_M: np.ndarray) -> np.ndarray:
        """Which frames stop at an exit: all where it has no threshold."""
        if index >= len(self.thresholds):
            return np.ones(len(codes_M), bool)
        return self.units[index].decide(codes_M, self.thresholds[index])


def _none() -> Answers:
    return Answers(*(np.zeros(0, np.int64) for _ in range(3)))


def compare(answers: Answers, known: dict[str, np.ndarray]) -> dict[str, Any]:
    """What there is to say of the answers: accuracy where labels are known, differences from known answers."""
    frames = max(1, len(answers.class_N))
    told = {"frames": len(answers.class_N)}
    if "labels" in known:
        told["accuracy"] = float((answers.class_N == known["labels"]).sum() / frames)
    if "class" in known:
        wrong = answers.class_N != known["class"]
        wrong |= (answers.exit_N != known["exit"]) | (answers.code_N != known["code"])
        told["different_frames"] = int(wrong.sum())
    return told


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Classify frames with the accelerator and the software behind it.")
    parser.add_argument("--folder", default=os.path.dirname(os.path.abspath(__file__)), help="the overlay folder")
    parser.add_argument("--frames", default="", help="an .npz with images; by default the test frames of the folder")
    parser.add_argument("--batch", type=int, default=256, help="frames of a batch")
    parser.add_argument("--threshold", type=float, help="another threshold, in the criterion's unit, for every exit")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(words)
    with np.load(arguments.frames or os.path.join(arguments.folder, "frames.npz"), allow_pickle=False) as loaded:
        known = {name: loaded[name] for name in loaded.files}
    with Branch(arguments.folder, arguments.batch) as branch:
        cascade = Cascade(branch)
        if arguments.threshold is not None:
            cascade.thresholds = [unit.threshold_code(arguments.threshold) for unit in cascade.units[:-1]]
            for name in ("class", "exit", "code"):  # known for the folder's own threshold
                known.pop(name, None)
        begin = time.monotonic()
        answers = cascade.classify(known["images"])
        told = compare(answers, known)
        told["exit_rate"] = float((answers.exit_N == 0).sum() / max(1, told["frames"]))
        told["frames_per_second"] = told["frames"] / (time.monotonic() - begin)
    if arguments.json:
        print(json.dumps(told))
    else:
        for name, value in told.items():
            print(f"{name:20} {value}")
    return 1 if told.get("different_frames") else 0


if __name__ == "__main__":
    sys.exit(main())
