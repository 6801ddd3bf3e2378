"""The bench of the width register: written around the first word of every frame, before, behind, and in the same cycle."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ClockCycles
from cs_bench import PORTS, Bench, bench
from cs_case import Batch

SOONEST, LATEST = -6, 14  # cycles by which a write begins before the frame's first word is offered
TRAILER = 0xFFFFFFFF


@bench
async def race(at: Bench) -> None:
    """Every frame has the old width or the new one as a whole, and its result says which; a write that was answered before
    the frame counts, one that began behind its first word does not."""
    for batch in at.batches:
        await raced(at, batch)


async def raced(at: Bench, batch: Batch) -> None:
    rng = random.Random(batch.seed)
    answers = at.case.at_widths(batch)
    value, base = batch.widths[0], at.beats(PORTS[0])
    allowed: list[set[int]] = []
    at.stall(batch)
    await at.start(batch)
    for frame in range(batch.frames):
        new, early = rng.randrange(len(answers)), rng.randint(SOONEST, LATEST)
        writing = cocotb.start_soon(at.write("width", new)) if early >= 0 else None
        await ClockCycles(at.dut.aclk, abs(early) + 1)
        if writing is None:  # the frame first
            at.offer_frame(batch, frame)
            await ClockCycles(at.dut.aclk, -early)
            begun = at.beats(PORTS[0]) > base + frame * (len(batch.image) // batch.frames)
            writing = cocotb.start_soon(at.write("width", new))
            allowed.append({value} if begun else {value, new})
        else:
            allowed.append({new} if writing.done() else {value, new})
            at.offer_frame(batch, frame)
        await writing
        await at.begun(batch, frame, base)
        value = new
    await compare(at, batch, allowed, answers)


async def compare(at: Bench, batch: Batch, allowed: list[set[int]], answers: list[dict[str, list[int]]]) -> None:
    """Every word against the answers at the width that the result names."""
    results = list((await at.packet_of(PORTS[1], at.result, batch)).tdata)
    features = list((await at.packet_of(PORTS[2], at.feature, batch)).tdata)
    widths = [word >> 44 & 7 for word in results]
    at.demand(len(widths) == batch.frames, f"{len(widths)} results of {batch.frames} frames")
    for frame, (width, can) in enumerate(zip(widths, allowed, strict=False)):
        at.demand(width in can, f"frame {frame} of {batch.key} has width {width}, not {sorted(can)}")
    if any(width >= len(answers) for width in widths):
        return
    maps = [maps_of(answer["feature"], beats) for answer, beats in zip(answers, at.case.feature_beats, strict=True)]
    want = [answers[width]["result"][frame] for frame, width in enumerate(widths)]
    sent = [word for frame, width in enumerate(widths) for word in maps[width].get(frame, [])] + [TRAILER]
    at.compare(PORTS[1], want, results, batch)
    at.compare(PORTS[2], sent, features, batch)
    at.frames += batch.frames
    await at.done()
    exits = await at.read("exits")
    at.demand(exits == sum(word >> 47 & 1 for word in want), f"exits is {exits} behind {batch.key}")


def maps_of(words: list[int], beats: int) -> dict[int, list[int]]:
    """{frame: its header and map} of a feature packet."""
    starts = range(0, len(words) - 1, beats + 1)
    return {words[start] & TRAILER: words[start : start + beats + 1] for start in starts}
