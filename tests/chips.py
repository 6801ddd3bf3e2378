"""Accelerators to put behind the stand-in for pynq: the golden model with faults, and the RTL simulation; and overlays for them."""

# Legend: N frames; B beats; K 32-bit words of a beat.
from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.emit.rtl import CONTROL
from codesign.flow import open_experiment
from codesign.flow.board import bitstream
from codesign.flow.hls import Design
from codesign.flow.rtl import load_rtl_design
from codesign.plan.ports import RESULT_BITS, feature_word, image_word
from codesign.verify import golden
from codesign.verify.packets import Packet, feature_packet, result_packet
from codesign.verify.verilated import Simulation, Traffic

STANDINS = Path(__file__).parent / "standins"
SCRIPTS = ("files", "packets", "driver", "tail", "exits", "classify", "policy", "power", "benchmark")
CYCLES = 4000  # that pass between two looks at a status register


class GoldenChip:
    """Takes a batch's words, answers with the golden model's.

    `fault`: hang (stops taking words), short (a result word is lost), cut (the trailer of the maps is lost), swapped (two
    result words), miscounted (the register `exits`), flood (more maps than there are).
    """

    def __init__(self, design: Design) -> None:
        self._views, self.fault = design.widths or (design,), ""
        self._image, self._feature = image_word(design.dataflow), feature_word(design.dataflow)
        self.reset()

    def reset(self) -> None:
        self.registers = dict.fromkeys(CONTROL.values(), 0)
        self.registers[CONTROL["width"]] = len(self._views) - 1
        self._taken, self._running, self._done = bytearray(), False, False
        self._left: dict[str, bytes] = {}

    def read(self, offset: int) -> int:
        if offset != CONTROL["control"]:
            return self.registers[offset]
        state = self._running | self._done << 1 | (not self._running) << 2
        self._done = False
        return state

    def write(self, offset: int, value: int) -> None:
        if offset == CONTROL["control"] and value & 1 and not self._running and self.registers[CONTROL["frames"]]:
            self._taken, self._running, self._left = bytearray(), True, {}
        elif offset in (CONTROL["frames"], CONTROL["threshold"], CONTROL["width"]):
            self.registers[offset] = value

    def step(self, image: np.ndarray, rooms: dict[str, int]) -> tuple[int, dict[str, tuple[bytes, bool]]]:
        if not self._running:
            return 0, {}
        want = self.registers[CONTROL["frames"]] * self._image.beats * self._image.bits // 8
        room = want // 2 if self.fault == "hang" else want
        taken = min(len(image), max(0, room - len(self._taken)), CYCLES)
        self._taken += image[:taken].tobytes()
        if len(self._taken) == want and not self._left:
            self._answer()
        brought: dict[str, tuple[bytes, bool]] = {}
        for port, nbytes in rooms.items():
            if self._left.get(port):
                part, self._left[port] = self._left[port][:nbytes], self._left[port][nbytes:]
                brought[port] = (part, not self._left[port])
        if self._left and not any(self._left.values()):
            self._running, self._done = False, True
        return taken, brought

    def _answer(self) -> None:
        frames, width = self.registers[CONTROL["frames"]], self.registers[CONTROL["width"]]
        view = self._views[width]
        head, value = view.head, view.head.node("features").inputs[0]
        x = head.inputs[0].type
        words = np.frombuffer(bytes(self._taken), f"<u{self._image.container // 8}")
        images = words.reshape(-1, self._image.bits // self._image.container)[:, : self._image.lanes].astype(np.int64)
        threshold = self.registers[CONTROL["threshold"]]
        want = golden.run(
            head, {"image": images.reshape(-1, *x.shape), "threshold": threshold}, keep=("decision", value)
        )
        decisions_N = want["decision"].reshape(-1)
        exited_N = (decisions_N >> 47 & 1).astype(bool)
        widths_N = np.full(frames, width) if len(self._views) > 1 else None
        results = result_packet(decisions_N, widths_N)
        features = feature_packet(want[value], exited_N, feature_word(view.dataflow), widths_N)
        self._left = {"m_axis_result": _bytes(results), "m_axis_feature": _bytes(features)}
        self.registers[CONTROL["frames_done"]] = frames
        self.registers[CONTROL["exits"]] = int(exited_N.sum()) + (self.fault == "miscounted")
        self.registers[CONTROL["cycles"]] = 100 * frames
        self._spoil()

    def _spoil(self) -> None:
        results, features, beat = self._left["m_axis_result"], self._left["m_axis_feature"], self._feature.bits // 8
        if self.fault == "short":
            self._left["m_axis_result"] = results[:-8]
        elif self.fault == "swapped":
            self._left["m_axis_result"] = results[8:16] + results[:8] + results[16:]
        elif self.fault == "cut":
            self._left["m_axis_feature"] = features[:-beat]
        elif self.fault == "flood":
            self._left["m_axis_feature"] = bytes(
                beat * (self.registers[CONTROL["frames"]] * (self._feature.beats + 1) + 2)
            )


class RtlChip:
    """The emitted SystemVerilog in Verilator; only the words that the DMAs have room for move."""

    def __init__(self, simulation: Simulation, design: Design) -> None:
        self._simulation, flow = simulation, design.dataflow
        self._bits = {"m_axis_result": RESULT_BITS, "m_axis_feature": feature_word(flow).bits}
        self._image_bytes = image_word(flow).bits // 8

    def reset(self) -> None:
        self._simulation.reset()

    def read(self, offset: int) -> int:
        return self._simulation.read(offset)

    def write(self, offset: int, value: int) -> None:
        self._simulation.write(offset, value)

    def step(self, image: np.ndarray, rooms: dict[str, int]) -> tuple[int, dict[str, tuple[bytes, bool]]]:
        nbytes = self._image_bytes
        rows_BK = image[: nbytes * (CYCLES + 1)].reshape(-1, nbytes)
        words_BK = np.ascontiguousarray(np.pad(rows_BK, ((0, 0), (0, -nbytes % 4)))).view(np.uint32)
        send = Traffic(words_BK)
        outputs = [self._room(port, rooms.get(port)) for port in self._bits]
        self._simulation.run([send], outputs, cycles=CYCLES)
        brought: dict[str, tuple[bytes, bool]] = {}
        for port, traffic in zip(self._bits, outputs, strict=True):
            if port in rooms:
                last = bool(traffic.done and traffic.last[traffic.done - 1])
                brought[port] = (traffic.beats[: traffic.done].tobytes(), last)
        return send.done * nbytes, brought

    def _room(self, port: str, nbytes: int | None) -> Traffic:
        """Room for words; a port that no DMA waits at is never ready."""
        beats = min((nbytes or 0) * 8 // self._bits[port], CYCLES + 1)
        words = np.zeros((beats, self._bits[port] // 32), np.uint32)
        return Traffic(words, 256 if nbytes is None else 0, ends=True, last=np.zeros(beats, np.uint8))


def _bytes(packet: Packet) -> bytes:
    return packet.words_BK.tobytes()


def build_overlay(run: Path, board: str = "pynq-z2") -> Path:
    """The overlay folder of a run with a bitstream of the stand-in for Vivado."""
    programs = run.parent / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "vivado").symlink_to(STANDINS / "vivado_tool.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("STANDIN_LOG", str(run.parent / "log"))
        patch.setenv("STANDIN_FAULT", "")
        return Path(bitstream(open_experiment(run), board)["overlay"])


def design_of(run: Path) -> Design:
    return load_rtl_design(open_experiment(run))


@contextmanager
def on_board(overlay: Path, chip: Any) -> Iterator[SimpleNamespace]:
    """The very scripts in the overlay folder, imported as on a board, with `chip` behind the stand-in's DMAs."""
    with scripts_in(overlay) as scripts:
        scripts.fabric = scripts.pynq.fabric.plug(chip)
        yield scripts


@contextmanager
def scripts_in(folder: Path) -> Iterator[SimpleNamespace]:
    """The scripts of a folder and the stand-in for pynq as modules, forgotten behind the block."""
    assert not _loaded(), f"{_loaded()} are imported already"
    added = [str(folder), str(STANDINS)]
    sys.path[:0] = added
    try:
        scripts = SimpleNamespace(**{name: importlib.import_module(name) for name in SCRIPTS})
        assert all(Path(module.__file__).parent == folder for module in vars(scripts).values())
        scripts.pynq = importlib.import_module("pynq")
        yield scripts
    finally:
        sys.path[:] = [path for path in sys.path if path not in added]
        for name in _loaded():
            del sys.modules[name]


def _loaded() -> list[str]:
    return [name for name in sys.modules if name in SCRIPTS or name.partition(".")[0] == "pynq"]
