"""Classifies frames by a policy: all with the first width, those that no exit of it is sure of again with the next.

    python3 policy.py                                  # the test frames of this folder, by its policy.json
    python3 policy.py --policy other.json --frames mine.npz
    python3 policy.py --json

A policy is data: `codesign tune RUN` writes it, and one with other stages or thresholds needs no other hardware. `mine.npz` has
`images`, codes (N, H, W, C), and may have `labels`. Standard library, numpy and pynq; Python 3.8.
"""

# Legend: N frames; M frames that are still under way.
from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from typing import Any, NamedTuple

import files
import numpy as np
from classify import GOES_ON, Answers, Cascade, compare
from driver import Branch
from exits import LARGEST

AGAIN = "`codesign tune RUN` writes one for this network, `codesign board RUN` packs it"
USAGE = 2  # exit status for what cannot be run


class Stage(NamedTuple):
    """Frames stop here when the exit, a number from 0, is sure of them at this width; at the last, without a threshold, all do."""

    width: float
    exit: int
    threshold: int | None


class Turn(NamedTuple):
    """One pass with the accelerator at one width; the number of the stage for each exit of it, and last `GOES_ON`."""

    cascade: Cascade
    stages: np.ndarray


class PolicyCascade:
    """An accelerator of several widths and the software behind each, by a policy. `exit_N` of its answers counts stages."""

    def __init__(self, branch: Branch, stages: list[Stage]) -> None:
        self.stages = stages
        numbered = enumerate(stages)
        self._turns = [
            _turn(branch, width, list(own)) for width, own in itertools.groupby(numbered, lambda s: s[1].width)
        ]

    def classify(self, images_NHWC: np.ndarray) -> Answers:
        """The answers of all frames."""
        class_N, stage_N, code_N = (np.full(len(images_NHWC), GOES_ON, np.int64) for _ in range(3))
        rows_M = np.arange(len(images_NHWC))
        for turn in self._turns:
            answers = turn.cascade.classify(images_NHWC[rows_M])
            class_N[rows_M], code_N[rows_M] = answers.class_N, answers.code_N
            stage_N[rows_M] = turn.stages[answers.exit_N]
            rows_M = rows_M[answers.exit_N == GOES_ON]
        return Answers(class_N, stage_N, code_N)


def load_policy(path: str, branch: Branch) -> list[Stage]:
    """The stages of a policy file. Raises files.OverlayError for one that this network and hardware cannot run."""
    exits = [facts["name"] for facts in branch.board["exits"]]
    widths = [row["width"] for row in branch.board.get("widths", [])]
    if not widths:
        raise files.OverlayError("this overlay is of a network with one width and has no policy; classify.py runs it")
    table = files.read_json(*os.path.split(path), AGAIN)
    try:
        rows = [(float(row["width"]), str(row["exit"]), row["threshold_code"]) for row in table["stages"]]
        key, criterion = table["key"], table["criterion"]
    except (KeyError, TypeError, ValueError) as error:
        raise files.OverlayError(f"{path} is no policy: {error!r}; {AGAIN}") from error
    if (key, criterion) != (branch.board["policy_key"], branch.board["exits"][0]["criterion"]):
        raise files.OverlayError(f"{path} is the policy of another network than this overlay's; {AGAIN}")
    for width, name, _ in rows:
        if width not in widths:
            has = ", ".join(f"{w:g}" for w in widths)
            raise files.OverlayError(f"{path} asks for width {width:g}, and the hardware has {has}; {AGAIN}")
        if name not in exits:
            raise files.OverlayError(f"{path} asks for exit {name}, and the network has {', '.join(exits)}; {AGAIN}")
    stages = [Stage(width, exits.index(name), code) for width, name, code in rows]
    _demand_order(path, stages, len(exits))
    return stages


def _demand_order(path: str, stages: list[Stage], exits: int) -> None:
    """Raises files.OverlayError unless stages go on along widths and exits to a last exit, with a threshold in all but the last."""
    places = [(stage.width, stage.exit) for stage in stages]
    if not places or places != sorted(set(places)) or places[-1][1] != exits - 1:
        raise files.OverlayError(
            f"{path}: stages must go on to wider widths and later exits, and end with a last exit; {AGAIN}"
        )
    sure = all(type(stage.threshold) is int and 0 <= stage.threshold <= LARGEST for stage in stages[:-1])
    if not sure or stages[-1].threshold is not None:
        raise files.OverlayError(f"{path}: every stage but the last needs a threshold code in 0..{LARGEST}; {AGAIN}")


def _turn(branch: Branch, width: float, numbered: list[tuple[int, Stage]]) -> Turn:
    """The pass with one width, as far as the last of its exits that is a stage; exits that are none stop no frame."""
    used = 1 + numbered[-1][1].exit
    thresholds, numbers = [branch.design["exit"]["never"]] * used, [GOES_ON] * (used + 1)
    for number, stage in numbered:
        thresholds[stage.exit], numbers[stage.exit] = stage.threshold, number
    if thresholds[-1] is None:
        del thresholds[-1]
    rows = next(row["stages"] for row in branch.board["widths"] if row["width"] == width)
    return Turn(Cascade(branch, rows[: used - 1], thresholds, width), np.array(numbers))


def rates(stages: list[Stage], answers: Answers, names: list[str]) -> list[dict[str, Any]]:
    """Every stage with the share of frames that stop there."""
    counts = np.bincount(answers.exit_N, minlength=len(stages)) / max(1, len(answers.exit_N))
    return [
        {"width": stage.width, "exit": names[stage.exit], "threshold_code": stage.threshold, "rate": float(share)}
        for stage, share in zip(stages, counts)  # noqa: B905  strict is newer than boards
    ]


def known_answers(arguments: argparse.Namespace, path: str, board: dict[str, Any]) -> dict[str, np.ndarray]:
    """The frames, with labels where they have some, and with the answers of this very policy where those are known."""
    with np.load(arguments.frames or os.path.join(arguments.folder, "frames.npz"), allow_pickle=False) as loaded:
        known = {name: loaded[name] for name in ("images", "labels") if name in loaded.files}
        if not arguments.frames and board.get("policy_sha256") == files.digest(path):
            known.update({name: loaded["policy_" + name] for name in ("class", "exit", "code")})
    return known


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """What there is to say of the frames' answers."""
    path = arguments.policy or os.path.join(arguments.folder, "policy.json")
    with Branch(arguments.folder, arguments.batch) as branch:
        cascade = PolicyCascade(branch, load_policy(path, branch))
        known = known_answers(arguments, path, branch.board)
        begin = time.monotonic()
        answers = cascade.classify(known["images"])
        seconds = time.monotonic() - begin
        names = [facts["name"] for facts in branch.board["exits"]]
    stages = rates(cascade.stages, answers, names)
    return {**compare(answers, known), "stages": stages, "frames_per_second": len(answers.class_N) / seconds}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Classify frames by a policy over widths and exits.")
    parser.add_argument("--folder", default=os.path.dirname(os.path.abspath(__file__)), help="the overlay folder")
    parser.add_argument("--policy", default="", help="another policy than policy.json in the folder")
    parser.add_argument("--frames", default="", help="an .npz with images; by default the test frames of the folder")
    parser.add_argument("--batch", type=int, default=256, help="frames of a batch")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(words)
    try:
        told = run(arguments)
    except files.OverlayError as error:
        print(f"error: {error}", file=sys.stderr)
        if arguments.json:
            print(json.dumps({"error": str(error)}))
        return USAGE
    if arguments.json:
        print(json.dumps(told))
    else:
        for stage in told.pop("stages"):
            print("width {width:<6g} exit {exit:12} {0:6.2f} % of the frames".format(100 * stage["rate"], **stage))
        for name, value in told.items():
            print(f"{name:20} {value}")
    return 1 if told.get("different_frames") else 0


if __name__ == "__main__":
    sys.exit(main())
