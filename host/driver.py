"""Drives an accelerator of codesign on a PYNQ board: batches of frames in, decisions and feature maps out.

    branch = Branch("overlay")
    batch = branch.run(images)                  # codes (N, H, W, C), at most branch.batch frames
    batch.class_N[batch.exited_N]               # answered by the exit
    batch.features_MHWC                         # what goes on, for the tail

Every wait has a deadline. When it passes, `HangError` has the registers of the accelerator and of both DMAs, and the next
`run` starts from a reset. Standard library, numpy and pynq; Python 3.8.
"""

# Legend: N frames; M frames that go on; H, W, C rows, columns, channels.
from __future__ import annotations

import os
import threading
import time
from typing import Any, NamedTuple

import files
import numpy as np
import packets

MAX_FRAMES = 65535  # frame numbers in a result word have 16 bits
START, IDLE = 0b001, 0b100  # bits of the control register
DMACR, DMASR, LENGTH = 0x00, 0x04, 0x28  # of a DMA channel
MM2S, S2MM = 0x00, 0x30  # where the registers of sending and receiving begin
DMA_RESET = 0b100
DMA_STATES = {0: "halted", 1: "idle", 4: "internal error", 5: "slave error", 6: "decode error"}  # bits of DMASR
RESET_S = 0.1
HOT_POLLS = 200  # without giving the processor away, for short batches


class HangError(Exception):
    """Nothing came in time, or a DMA stopped; `registers` is {place: {name: value}}, and the message has it in words."""

    def __init__(self, what: str, registers: dict[str, dict[str, Any]]) -> None:
        lines = [f"{place}: {_words(values)}" for place, values in registers.items()]
        super().__init__("\n  ".join([what, *lines]))
        self.what, self.registers = what, registers


class Batch(NamedTuple):
    """What came of a batch: `words_N` as they came; class, exited, confidence code of every frame; the maps of frames that
    go on with their numbers; the counters; the accelerator's cycles (0 where it does not count them) and the call's seconds."""

    words_N: np.ndarray
    class_N: np.ndarray
    exited_N: np.ndarray
    code_N: np.ndarray
    feature_frames_M: np.ndarray
    features_MHWC: np.ndarray
    frames_done: int
    exits: int
    cycles: int
    seconds: float


class Branch:
    """The network up to its exit, in hardware. One thread calls `run`; another may call `stop`.

    `folder` is the overlay folder, `batch` the most frames of a run, for which memory is taken once. Raises
    files.OverlayError when the files, the bitstream and design.json do not belong together.
    """

    def __init__(self, folder: str = ".", batch: int = 256, timeout_s: float = 5.0) -> None:
        import pynq
        import pynq.lib.dma  # the driver of the DMA registers itself

        self.folder = os.path.abspath(folder)
        self.design = files.read_json(self.folder, "design.json")
        self.board = files.read_json(self.folder, "board.json")
        files.check_files(self.folder, self.board)
        self.timeout_s = timeout_s
        self.threshold = self.board["thresholds"][0]
        _bind(pynq, self.board["vlnv"])
        self.overlay = pynq.Overlay(os.path.join(self.folder, self.board["bitstream"]))
        files.check_hardware(self.overlay.ip_dict, self.design, self.board)
        self.addresses = files.addresses(self.overlay.ip_dict, self.design, self.board)
        self._stopped, self._broken = threading.Event(), False
        self._connect()
        self.batch = min(batch, self._most_frames())
        self._allocate(pynq)

    def run(
        self,
        images_NHWC: np.ndarray,
        threshold: int | None = None,
        timeout_s: float | None = None,
        width: float | None = None,
    ) -> Batch:
        """A batch of 1 to `batch` frames; `threshold` is a code, by default the chosen one; `width` one of several that the
        design has, by default the widest.

        Raises HangError, packets.PacketError for an answer that cannot be right, ValueError for other images.
        """
        frames = len(images_NHWC)
        if not 1 <= frames <= self.batch:
            raise ValueError(f"{frames} frames in a batch of 1 to {self.batch}")
        index, feature = self._width(width)
        packets.pack_images(images_NHWC, self.design["image"], self._image_bytes)
        if self._broken:
            self.reset()
        self._broken = True  # until the batch has gone well
        begin = time.monotonic()
        deadline = begin + (self.timeout_s if timeout_s is None else timeout_s)
        self._start(frames, self.threshold if threshold is None else int(threshold), index)
        self._wait(deadline)
        batch = self._collect(frames, begin, index, feature)
        self._broken = False
        return batch

    def stop(self) -> None:
        """Makes a `run` that is under way end soon, with HangError; `reset` lets the next one start."""
        self._stopped.set()

    def reset(self) -> None:
        """Both DMAs from the start, and the bitstream again when the accelerator is still in a batch."""
        self._stopped.clear()
        for dma, offset in ((self._images_dma, MM2S), (self._features_dma, S2MM)):
            dma.mmio.write(offset + DMACR, DMA_RESET)  # resets both directions
            deadline = time.monotonic() + RESET_S
            while dma.mmio.read(offset + DMACR) & DMA_RESET and time.monotonic() < deadline:
                pass
        if not self.accelerator.read(self.addresses["control"]) & IDLE:
            self.overlay.download()
            self._connect()
        for channel in (self._send, self._results_in, self._features_in):
            channel.start()
        self._broken = False

    def registers(self) -> dict[str, dict[str, Any]]:
        """{place: {name: value}} of the accelerator's registers and the DMA channels'."""
        state = {"accelerator": {name: self.accelerator.read(at) for name, at in self.addresses.items()}}
        for name, dma, offset in (
            ("images", self._images_dma, MM2S),
            ("results", self._images_dma, S2MM),
            ("features", self._features_dma, S2MM),
        ):
            status = dma.mmio.read(offset + DMASR)
            said = [word for bit, word in DMA_STATES.items() if status >> bit & 1] or ["busy"]
            state["DMA of " + name] = {
                "DMACR": dma.mmio.read(offset + DMACR),
                "DMASR": status,
                "LENGTH": dma.mmio.read(offset + LENGTH),
                "state": ", ".join(said),
            }
        return state

    def close(self) -> None:
        """Gives the memory back."""
        self._images = self._results = self._features = None
        self._image_bytes = None

    def __enter__(self) -> Branch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The parts of a run.

    def _width(self, width: float | None) -> tuple[int | None, dict[str, Any]]:
        """The index that the register takes, and the port's maps at that width."""
        widths = self.design.get("widths") or []
        if not widths and width is None:
            return None, self.design["feature"]
        names = [row["width"] for row in widths]
        if width is not None and width not in names:
            raise ValueError(f"{width} is not a width of this design: {names}")
        index = len(names) - 1 if width is None else names.index(width)
        return index, {**self.design["feature"], **widths[index]["feature"]}

    def _start(self, frames: int, threshold: int, width: int | None) -> None:
        """Registers, then both receiving channels, then the sending one: a full output would stop the design."""
        self._write("frames", frames)
        self._write("threshold", threshold)
        if width is not None:
            self._write("width", width)
        self._results_in.transfer(self._results, nbytes=8 * frames)
        self._features_in.transfer(self._features, nbytes=packets.feature_bytes(self.design["feature"], frames))
        self._write("control", START)
        self._send.transfer(self._images, nbytes=packets.image_bytes(self.design["image"], frames))

    def _wait(self, deadline: float) -> None:
        """Until all three channels are through and the design is idle."""
        waiting = [("images", self._send), ("results", self._results_in), ("features", self._features_in)]
        polls = 0
        while waiting:
            for name, channel in waiting:
                if channel.error or not channel.running:
                    raise self._hang(f"the DMA of {name} stopped")
            waiting = [(name, channel) for name, channel in waiting if not channel.idle]
            polls = self._pause(polls, deadline, " and ".join(name for name, _ in waiting)) if waiting else 0
        while not self.accelerator.read(self.addresses["control"]) & IDLE:
            polls = self._pause(polls, deadline, "the end of the batch")

    def _pause(self, polls: int, deadline: float, what: str) -> int:
        if self._stopped.is_set():
            raise self._hang(f"stopped while waiting for {what}")
        if time.monotonic() > deadline:
            raise self._hang(f"no {what} in time")
        if polls >= HOT_POLLS:
            time.sleep(50e-6)
        return polls + 1

    def _collect(self, frames: int, begin: float, width: int | None, feature: dict[str, Any]) -> Batch:
        """The batch from the buffers, checked as far as it can be without knowing the answer."""
        for channel in (self._send, self._results_in, self._features_in):
            channel.wait()  # returns at once; it makes the processor's caches forget what they held
        got, must = int(self._results_in.transferred), 8 * frames
        if got != must:
            raise packets.PacketError("short", f"{got} bytes of results came, {must} must")
        words_N = np.array(self._results[:frames], np.uint64)
        class_N, exited_N, code_N = packets.unpack_results(words_N, self.design["exit"]["classes"], width)
        sent_M = np.flatnonzero(~exited_N)
        raw = np.asarray(self._features)[: int(self._features_in.transferred)]
        maps_MHWC = packets.unpack_features(raw, feature, sent_M)
        counters = {name: self._read(name) for name in ("frames_done", "exits")}
        for name, must in (("frames_done", frames), ("exits", frames - len(sent_M))):
            if counters[name] != must:
                raise packets.PacketError("corrupt", f"register {name} is {counters[name]}, must be {must}")
        seconds = time.monotonic() - begin
        cycles = self._read("cycles") if "cycles" in self.addresses else 0
        return Batch(
            words_N,
            class_N,
            exited_N,
            code_N,
            sent_M,
            maps_MHWC,
            counters["frames_done"],
            counters["exits"],
            cycles,
            seconds,
        )

    def _hang(self, what: str) -> HangError:
        return HangError(what, self.registers())

    # Hardware.

    def _connect(self) -> None:
        cells = self.board["cells"]
        self.accelerator = getattr(self.overlay, cells["accelerator"])
        self._images_dma = getattr(self.overlay, cells["images"])
        self._features_dma = getattr(self.overlay, cells["features"])
        self._send, self._results_in = self._images_dma.sendchannel, self._images_dma.recvchannel
        self._features_in = self._features_dma.recvchannel

    def _most_frames(self) -> int:
        """Frames of the longest transfers that the DMAs' length registers can say."""
        parameters = (self.overlay.ip_dict[self.board["cells"][name]]["parameters"] for name in ("images", "features"))
        most = min((1 << int(p["c_sg_length_width"])) - 1 for p in parameters)
        image, feature = packets.image_bytes(self.design["image"], 1), packets.word_bytes(self.design["feature"])
        maps = (most // feature - 1) // (self.design["feature"]["beats"] + 1)
        return max(1, min(MAX_FRAMES, most // 8, most // image, maps))

    def _allocate(self, pynq: Any) -> None:
        """Cached memory, which Python reads many times faster; the DMA's driver keeps it in step."""

        def room(nbytes: int, kind: str) -> Any:
            buffer = pynq.allocate(shape=(nbytes // np.dtype(kind).itemsize,), dtype=kind, cacheable=1)
            buffer[:] = 0
            return buffer

        self._images = room(packets.image_bytes(self.design["image"], self.batch), "u1")
        self._results = room(8 * self.batch, "u8")
        self._features = room(packets.feature_bytes(self.design["feature"], self.batch), "u1")
        self._image_bytes = np.asarray(self._images)

    def _write(self, name: str, value: int) -> None:
        self.accelerator.write(self.addresses[name], int(value))

    def _read(self, name: str) -> int:
        return int(self.accelerator.read(self.addresses[name]))


def _bind(pynq: Any, vlnv: str) -> type:
    """Lets PYNQ make an `Accelerator` of the IP, so that `overlay.accelerator` has its registers by name."""

    class Accelerator(pynq.DefaultIP):
        """Registers of the accelerator, `register_map` by name; `Branch` runs batches."""

        bindto = [vlnv]  # noqa: RUF012  as PYNQ wants it

    return Accelerator


def _words(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value if isinstance(value, str) else hex(value)}" for name, value in values.items())
