"""The bench of reset: in the middle of a batch, at random moments; the batch behind it must come out right."""

from cocotb.triggers import ClockCycles
from cs_bench import DONE, IDLE, START, Bench, bench


@bench
async def reset(at: Bench) -> None:
    for batch in at.batches:
        if batch.abort is None:
            await at.run(batch)
            continue
        cycles, width = batch.abort
        at.stall(batch)
        await at.start(batch)
        at.offer(batch)
        await ClockCycles(at.dut.aclk, cycles)
        at.breaches()
        await at.reset(width)
        control = await at.read("control")
        at.demand(control & (START | DONE | IDLE) == IDLE, f"the control register is {control:#x} behind reset")
