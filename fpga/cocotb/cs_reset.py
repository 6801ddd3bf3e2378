"""The bench of reset: in the middle of a batch, at random moments; the batch behind it must come out right."""

from cocotb.triggers import ClockCycles
from cs_bench import DONE, IDLE, PORTS, START, Bench, bench
from cs_case import Batch


@bench
async def reset(at: Bench) -> None:
    for batch in at.batches:
        if batch.abort is not None:
            await abort(at, batch, *batch.abort)
            continue
        at.offer(batch)
        await ClockCycles(at.dut.aclk, 20)
        if at.case.kind == "codesign":
            at.demand(at.beats(PORTS[0]) == 0, f"{at.beats(PORTS[0])} words are taken between reset and start")
        at.stall(batch)
        await at.start(batch)
        await at.collect(batch)


async def abort(at: Bench, batch: Batch, cycle: int, width: int) -> None:
    """Starts a batch and resets the design `cycle` cycles later, for `width` cycles."""
    at.stall(batch)
    await at.start(batch)
    at.offer(batch)
    await ClockCycles(at.dut.aclk, cycle)
    at.breaches()
    await at.reset(width)
    control = await at.read("control")
    at.demand(control & (START | DONE | IDLE) == IDLE, f"the control register is {control:#x} behind reset")
