"""Benches of the AXI4-Lite port: what can be written, strobes, reads in a run, start and done, interrupts."""

from __future__ import annotations

import random
from itertools import count

import cocotb
from cocotb.triggers import ClockCycles
from cs_bench import DONE, IDLE, START, Bench, bench, channels

DONE_INTERRUPT, READY_INTERRUPT = 1, 2


@bench
async def registers(at: Bench) -> None:
    rng = random.Random(at.batches[0].seed)
    await values(at, rng)
    await slow_host(at, rng)
    await values(at, rng)
    fast_host(at)
    await read_only(at, rng)
    await busy(at, at.batches[0], rng)
    for batch in at.batches[1:]:
        await interrupts(at, batch)


async def values(at: Bench, rng: random.Random) -> None:
    """Every writable register keeps its own value, byte by byte as the strobes say."""
    held = {name: rng.getrandbits(32) for name in ("frames", "threshold")}
    for name, value in held.items():
        await at.write(name, value)
    for _ in range(12):
        name = rng.choice(list(held))
        first = rng.randrange(4)
        data = rng.randbytes(rng.randrange(1, 5 - first))
        await at.write_bytes(name, at.case.registers[name] + first, data)
        whole = bytearray(held[name].to_bytes(4, "little"))
        whole[first : first + len(data)] = data
        held[name] = int.from_bytes(whole, "little")
        for other, value in held.items():
            got = await at.read(other)
            at.demand(got == value, f"{other} reads {got:#x}, must be {value:#x}")


async def slow_host(at: Bench, rng: random.Random) -> None:
    """From now on every channel of the port waits at random, so address and data come in any order."""
    for end in (at.control.write_if, at.control.read_if):
        for channel in channels(end):
            channel.set_pause_generator(rng.random() < 0.6 for _ in count())
    await ClockCycles(at.dut.aclk, 3)


def fast_host(at: Bench) -> None:
    for end in (at.control.write_if, at.control.read_if):
        for channel in channels(end):
            channel.set_pause_generator(None)
            channel.pause = False


async def read_only(at: Bench, rng: random.Random) -> None:
    """Writes to what only the design writes are answered and change nothing; so are accesses where nothing is."""
    for name in ("frames_done", "exits"):
        before = await at.read(name)
        await at.write(name, rng.getrandbits(32))
        after = await at.read(name)
        at.demand(after == before, f"{name} was written: {after:#x}, must be {before:#x}")
    used = set(at.case.registers.values())
    free = next(address for address in count(0, 4) if address not in used)
    await at.write_bytes("no register", free, rng.randbytes(4))
    await at.read_word("no register", free)
    control = await at.read("control")
    at.demand(control & (START | DONE | IDLE) == IDLE, f"the control register is {control:#x} before any start")


async def busy(at: Bench, batch: object, rng: random.Random) -> None:
    """Reads during a run disturb nothing, a start is not heard, and done is cleared by the first read that sees it."""
    at.stall(batch)
    await at.start(batch)
    at.offer(batch)
    reader = cocotb.start_soon(_look(at, batch, rng))
    await at.packet("m_axis_result", at.result, batch.result, batch)
    await at.packet("m_axis_feature", at.feature, batch.feature, batch)
    at.frames += batch.frames
    await reader
    await at.done()
    control = await at.read("control")
    at.demand(control & (START | DONE | IDLE) == IDLE, f"the control register is {control:#x} behind done")
    await at.counters(batch)
    if at.case.kind == "codesign":
        await ClockCycles(at.dut.aclk, 50)
        control = await at.read("control")
        at.demand(control & IDLE != 0, "a start in the middle of a run was kept for later")


async def _look(at: Bench, batch: object, rng: random.Random) -> None:
    """Reads in the run; a start that must not be heard, and registers that are for the next batch."""
    want = {"frames": batch.frames, "threshold": batch.threshold}
    for turn in range(20):
        if turn == 0:
            control = await at.read("control")
            at.demand(control & (DONE | IDLE) == 0, f"the control register is {control:#x} in a run")
            if at.case.kind == "codesign":  # HLS keeps such a start for later, and reads its registers in the run
                want = {name: rng.getrandbits(16) for name in want}
                for name, value in want.items():
                    await at.write(name, value)
                await at.write("control", START)
        for name, value in want.items():
            got = await at.read(name)
            at.demand(got == value, f"{name} reads {got:#x} in a run, must be {value:#x}")
        await at.read(rng.choice([name for name in at.case.registers if name != "control"]))


async def interrupts(at: Bench, batch: object) -> None:
    """Status bits come with done where they are enabled, go when a one is written, and reach the pin when all is enabled."""
    for enabled in (0, 1):
        await at.write("interrupts", enabled)
        await at.write("interrupt_enable", DONE_INTERRUPT | READY_INTERRUPT)
        at.demand(await at.read("interrupts") == enabled, "the global interrupt enable does not read back")
        at.demand(await at.read("interrupt_enable") == 3, "the interrupt enable does not read back")
        at.demand(await at.read("interrupt_status") == 0, "an interrupt is pending before the run")
        await at.run(batch)
        status = await at.read("interrupt_status")
        at.demand(status == 3, f"the interrupt status is {status} behind a run, must be 3")
        at.demand(int(at.dut.interrupt.value) == enabled, f"the interrupt pin is not {enabled}")
        await at.write("interrupt_status", DONE_INTERRUPT)
        at.demand(await at.read("interrupt_status") == READY_INTERRUPT, "writing a one does not clear the status bit")
        await at.write("interrupt_status", READY_INTERRUPT)
        await ClockCycles(at.dut.aclk, 3)
        at.demand(int(at.dut.interrupt.value) == 0, "the interrupt pin stays high")
    await at.write("interrupt_enable", 0)
    await at.run(batch)
    status = await at.read("interrupt_status")
    at.demand(status == 0, f"the interrupt status is {status} behind a run with interrupts disabled")
    await at.write("interrupts", 0)
