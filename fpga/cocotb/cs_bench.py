"""Drives a design through its AXI ports as the host would, and holds every beat against what must come."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, SimTimeoutError, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from cs_case import Batch, Case, first_mismatch, mismatches, open_case, pauses

CASE = open_case()
START, DONE, IDLE = 1, 2, 4  # bits of the control register
PORTS = ("s_axis_image", "m_axis_result", "m_axis_feature")
QUIET_CYCLES = 60  # in which nothing more may come
LITE_CYCLES = 1000  # in which a register access must be answered, also to a slow host
STREAM_FAULTS = {
    1: "tvalid falls before the beat is taken",
    2: "tdata moves while the beat waits",
    3: "tlast moves while the beat waits",
    4: "a handshake signal is X",
    5: "a beat is X",
    6: "tkeep is not all ones",
    7: "tvalid is high in reset",
}
LITE_FAULTS = {
    1: "an answer falls before it is taken",
    2: "an answer moves while it waits",
    3: "an answer comes that nobody asked for",
    4: "a handshake signal is X",
    5: "an answer is X",
    7: "an answer is valid in reset",
}


class Wrong(AssertionError):
    """The design did what it must not, and going on would only repeat it."""


def bench(test: Callable[[Bench], Awaitable[None]]) -> Any:
    """A cocotb test of the function's name, left out where the case has no batches for it. What it found goes to a file."""

    @functools.wraps(test)
    async def run(dut: Any) -> None:
        made = Bench(dut, CASE, test.__name__)
        try:
            await made.reset()
            await test(made)
            await made.quiet()
        except Wrong as error:
            made.note(str(error))
        except Exception as error:
            made.note(f"{type(error).__name__}: {error}")
            raise
        finally:
            made.finish()
        assert not made.notes, "; ".join(made.notes)

    return cocotb.test(skip=not CASE.has(test.__name__))(run)


class Bench:
    """A design under test. `frames` and `mismatched_beats` count what was compared, `notes` say what was wrong."""

    def __init__(self, dut: Any, case: Case, name: str) -> None:
        self.dut, self.case, self.name = dut, case, name
        self.batches = case.batches(name)
        self.frames = self.mismatched_beats = 0
        self.notes: list[str] = []
        self.began = time.perf_counter()
        cocotb.start_soon(Clock(dut.aclk, case.clock_ns, unit="ns").start())
        dut.aresetn.value = 0
        dut.clear.value = 1
        about = (dut.aclk, dut.aresetn, False)
        # One lane as wide as the port: a beat is one integer.
        source, result, feature = (AxiStreamBus.from_prefix(dut, port) for port in PORTS)
        self.source = AxiStreamSource(source, *about, byte_lanes=1)
        self.result = AxiStreamSink(result, *about, byte_lanes=1)
        self.feature = AxiStreamSink(feature, *about, byte_lanes=1)
        self.control = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_control"), *about)
        lite = (self.control.write_if, self.control.read_if)
        for part in (self.source, self.result, self.feature, *lite, *(c for end in lite for c in channels(end))):
            part.log.setLevel("ERROR")

    async def reset(self, cycles: int = 4) -> None:
        """Resets the design and forgets what is under way on every port."""
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, cycles)
        for part in (self.source, self.result, self.feature):
            part.clear()
            part.set_pause_generator(None)
            part.pause = False
        self.dut.clear.value = 0  # set at the beginning only, so that the monitors see what happens in reset
        self.dut.aresetn.value = 1
        await ClockCycles(self.dut.aclk, 2)

    def stall(self, batch: Batch) -> None:
        """Makes the ports leave cycles out as the batch says."""
        rng, frame_cycles = random.Random(batch.seed), self.case.frame_cycles
        for part, chance in zip((self.source, self.result, self.feature), batch.stalls, strict=True):
            own = random.Random(rng.getrandbits(32))
            part.set_pause_generator(pauses(own, chance, frame_cycles) if chance else None)
            part.pause = False

    async def write(self, name: str, value: int) -> None:
        await self.write_bytes(name, self.case.registers[name], value.to_bytes(4, "little"))

    async def read(self, name: str) -> int:
        return await self.read_word(name, self.case.registers[name])

    async def write_bytes(self, name: str, address: int, data: bytes) -> None:
        """A write whose strobes are those of the bytes that it has."""
        answer = await self._answer(self.control.write(address, data), f"a write to {name}")
        self.demand(answer.resp == AxiResp.OKAY, f"a write to {name} is answered {answer.resp}")

    async def read_word(self, name: str, address: int) -> int:
        answer = await self._answer(self.control.read(address, 4), f"a read of {name}")
        self.demand(answer.resp == AxiResp.OKAY, f"a read of {name} is answered {answer.resp}")
        return int.from_bytes(answer.data, "little")

    async def _answer(self, access: Any, what: str) -> Any:
        try:
            return await with_timeout(access, LITE_CYCLES * self.case.clock_ns, "ns")
        except SimTimeoutError:
            self.breaches()
            raise Wrong(f"{what} is not answered in {LITE_CYCLES} cycles") from None

    async def start(self, batch: Batch) -> None:
        """Sets the registers of the batch and starts it."""
        await self.write("frames", batch.frames)
        await self.write("threshold", batch.threshold)
        if batch.widths:
            await self.write("width", batch.widths[0])
        await self.write("control", START)

    def offer(self, *batches: Batch) -> None:
        """Offers the words of the batches, one behind the other; of one whose frames differ in width as they can go in."""
        for batch in batches:
            if len(set(batch.widths)) > 1:
                cocotb.start_soon(self._feed(batch))
            else:
                self.source.send_nowait(AxiStreamFrame(batch.image))

    async def _feed(self, batch: Batch) -> None:
        """A frame at a time, each behind the write of its width, which comes when the frame before has begun."""
        base = self.beats(PORTS[0])
        for frame, width in enumerate(batch.widths):
            if width != batch.widths[max(0, frame - 1)]:
                await self.write("width", width)
            self.offer_frame(batch, frame)
            await self.begun(batch, frame, base)

    def offer_frame(self, batch: Batch, frame: int) -> None:
        words = len(batch.image) // batch.frames
        self.source.send_nowait(AxiStreamFrame(batch.image[frame * words : (frame + 1) * words]))

    async def begun(self, batch: Batch, frame: int, base: int) -> None:
        """Waits until the first word of a frame is taken, `base` words being taken before the batch."""
        first = base + frame * (len(batch.image) // batch.frames)
        for _ in range(batch.limit_cycles):
            if self.beats(PORTS[0]) > first:
                return
            await ClockCycles(self.dut.aclk, 1)
        raise Wrong(f"frame {frame} of {batch.key} is not taken in {batch.limit_cycles} cycles")

    async def run(self, batch: Batch) -> None:
        """A whole batch: start, words in, words out, done."""
        self.stall(batch)
        await self.start(batch)
        self.offer(batch)
        await self.collect(batch)

    async def collect(self, batch: Batch) -> None:
        """Takes both packets of a batch, compares them, and waits until the design says that it is done."""
        await self.packet("m_axis_result", self.result, batch.result, batch)
        await self.packet("m_axis_feature", self.feature, batch.feature, batch)
        self.frames += batch.frames
        await self.done()
        await self.counters(batch)

    async def packet(self, port: str, sink: AxiStreamSink, want: list[int], batch: Batch) -> None:
        """The next packet of a port, which ends with TLAST and only there."""
        try:
            frame = await self.packet_of(port, sink, batch)
        except Wrong:
            self.mismatched_beats += len(want)
            raise
        self.compare(port, want, list(frame.tdata), batch)

    async def packet_of(self, port: str, sink: AxiStreamSink, batch: Batch) -> AxiStreamFrame:
        """The next packet of a port, whatever is in it."""
        try:
            return await with_timeout(sink.recv(), batch.limit_cycles * self.case.clock_ns, "ns")
        except SimTimeoutError:
            beats = int(getattr(self.dut, f"{port}_beats").value)
            raise Wrong(f"{port}: no TLAST in {batch.limit_cycles} cycles, {beats} beats since reset") from None

    def compare(self, port: str, want: list[int], got: list[int], batch: Batch) -> None:
        """Counts and notes the beats of a packet that differ."""
        if wrong := mismatches(want, got):
            self.mismatched_beats += wrong
            self.note(f"{port} of {batch.key}: {first_mismatch(want, got)}, {wrong} wrong in all")

    async def done(self, polls: int = 100) -> None:
        """Waits for the done bit, which is cleared by the read that sees it."""
        for _ in range(polls):
            if await self.read("control") & DONE:
                return
        raise Wrong(f"not done, {polls} reads of the control register behind the last beat")

    async def counters(self, batch: Batch) -> None:
        """The registers that count the batch."""
        for name, want in (("frames_done", batch.frames), ("exits", batch.exits)):
            got = await self.read(name)
            self.demand(got == want, f"{name} is {got} behind {batch.key}, must be {want}")

    async def quiet(self) -> None:
        """A while in which nothing moves; then the monitors must have seen all packets, no further beat and no breach."""
        self.stall_none()
        await ClockCycles(self.dut.aclk, QUIET_CYCLES)
        for sink, port in ((self.result, "m_axis_result"), (self.feature, "m_axis_feature")):
            self.demand(sink.empty(), f"{port}: a packet that nobody asked for")
            self.demand(not sink.active, f"{port}: beats behind the last packet")
        self.breaches()

    def breaches(self) -> None:
        """Notes the first breach of protocol that each monitor has seen."""
        for port in (*PORTS, "s_axi_control"):
            fault = int(getattr(self.dut, f"{port}_fault").value)
            faults = LITE_FAULTS if port == "s_axi_control" else STREAM_FAULTS
            self.demand(not fault, f"{port}: {faults.get(fault, fault)}")

    def stall_none(self) -> None:
        for part in (self.source, self.result, self.feature):
            part.set_pause_generator(None)
            part.pause = False

    def beats(self, port: str) -> int:
        """Beats that the monitor of a port has counted since reset."""
        return int(getattr(self.dut, f"{port}_beats").value)

    def demand(self, condition: bool, what: str) -> None:
        if not condition:
            self.note(what)

    def note(self, what: str) -> None:
        if len(self.notes) < 5:
            self.notes.append(what)

    def finish(self) -> None:
        facts = {"frames": self.frames, "mismatched_beats": self.mismatched_beats, "notes": self.notes}
        self.case.report(self.name, {**facts, "seconds": round(time.perf_counter() - self.began, 3)})


def channels(end: Any) -> list[Any]:
    """The channels of one half of an AXI4-Lite master."""
    names = ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel")
    return [getattr(end, name) for name in names if hasattr(end, name)]
