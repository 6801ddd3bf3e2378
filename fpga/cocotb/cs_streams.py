"""Benches of the streams: full rate, stalls on every port, batches behind each other, packets, words that come early."""

from cocotb.triggers import ClockCycles
from cs_bench import DONE, IDLE, PORTS, QUIET_CYCLES, Bench, bench
from cs_case import Batch


@bench
async def full_rate(at: Bench) -> None:
    """No port ever waits."""
    for batch in at.batches:
        await at.run(batch)


@bench
async def stalls(at: Bench) -> None:
    """Random idles of the source and random back-pressure of both sinks, at once."""
    for batch in at.batches:
        await at.run(batch)


@bench
async def one_port(at: Bench) -> None:
    """Stalls on some ports only: each can stop the design alone."""
    for batch in at.batches:
        await at.run(batch)


@bench
async def blocked(at: Bench) -> None:
    """An output that is closed for the time of several frames: everything behind it fills up, waits, and goes on."""
    for batch in at.batches:
        await at.run(batch)


@bench
async def batches(at: Bench) -> None:
    """Batches of other sizes and thresholds, each started as soon as the one before is done, its words there already."""
    at.offer(*at.batches)
    for batch in at.batches:
        at.stall(batch)
        await at.start(batch)
        await at.collect(batch)


@bench
async def packets(at: Bench) -> None:
    """Every batch ends both packets once, also when all of its frames exit: beats and TLASTs are counted on the wires."""
    want = dict.fromkeys(PORTS[1:], 0)
    for number, batch in enumerate(at.batches, 1):
        single = 1 in (len(batch.result), len(batch.feature))
        if single and at.case.kind == "codesign":  # a port of HLS may end in a register that a word can wait in
            await one_waits(at, batch)
        else:
            await at.run(batch)
        for port, words in zip(want, (batch.result, batch.feature), strict=True):
            want[port] += len(words)
            ends = int(getattr(at.dut, f"{port}_packets").value)
            at.demand(at.beats(port) == want[port], f"{port}: {at.beats(port)} beats, must be {want[port]}")
            at.demand(ends == number, f"{port}: {ends} TLASTs in {number} batches")


async def one_waits(at: Bench, batch: Batch) -> None:
    """A batch that is not done before its last word is taken, on the port that gets only one."""
    ports = [(PORTS[1], at.result, batch.result), (PORTS[2], at.feature, batch.feature)]
    ports.sort(key=lambda port: len(port[2]), reverse=True)
    (other, waiting) = ports
    at.stall(batch)
    waiting[1].set_pause_generator(None)
    waiting[1].pause = True
    await at.start(batch)
    at.offer(batch)
    await at.packet(*other, batch)
    await ClockCycles(at.dut.aclk, QUIET_CYCLES)
    control = await at.read("control")
    at.demand(
        control & (DONE | IDLE) == 0, f"the control register is {control:#x}, and a word of {waiting[0]} still waits"
    )
    waiting[1].pause = False
    await at.packet(*waiting, batch)
    at.frames += batch.frames
    await at.done()
    await at.counters(batch)


@bench
async def surplus(at: Bench) -> None:
    """Words beyond the batch are offered all the time and not taken before the next start."""
    at.offer(*at.batches)
    taken = 0
    await ClockCycles(at.dut.aclk, 50)
    for batch in at.batches:
        if at.case.kind == "codesign":  # HLS puts a register slice in front of the port, which holds a word or two
            at.demand(
                at.beats(PORTS[0]) == taken, f"{at.beats(PORTS[0])} words are taken before a start, must be {taken}"
            )
        at.stall(batch)
        await at.start(batch)
        await at.collect(batch)
        taken += len(batch.image)
        await ClockCycles(at.dut.aclk, 100)
