"""The commands of the SystemVerilog backend: parse, call a step, print."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from codesign import console

Answer = tuple[dict[str, Any], bool]
Open = Callable[[argparse.Namespace], Any]


def add_commands(commands: Any, add: Callable[..., argparse.ArgumentParser], open_: Open) -> None:
    """Adds `rtl`, `rtlsim`, `cosim` and `synth`; `add` makes a command that takes a run, `open_` the experiment of its arguments."""

    def bind(run: Callable[[argparse.Namespace, Open], Answer]) -> Callable[[argparse.Namespace], Answer]:
        return lambda arguments: run(arguments, open_)

    rtl = add(commands, "rtl", bind(_rtl), "emit the same design as SystemVerilog: rtl/")
    rtl.add_argument("--force", action="store_true", help="do it again even if up to date")
    rtlsim = add(
        commands, "rtlsim", bind(_rtlsim), "simulate the SystemVerilog and compare every word with the integer model"
    )
    rtlsim.add_argument("--frames", type=int, default=0, metavar="N", help="only the first N test frames")
    rtlsim.add_argument("--threshold", type=float, metavar="T", help="another exit threshold than the chosen one")
    rtlsim.add_argument("--stall", type=int, default=0, metavar="P", help="every port waits in P of 256 cycles")
    rtlsim.add_argument("--wave", metavar="FILE", default="", help="write a waveform (VCD) of the frames, 2 by default")
    rtlsim.add_argument("--timing", action="store_true", help="the bottleneck, stalls and how full each FIFO gets")
    rtlsim.add_argument("--width", default="", metavar="W", help="one of several widths, or random: one for each frame")
    rtlsim.add_argument("--step-up", default="", metavar="W", help="every frame at the next narrower width, then to W")
    cosim = add(
        commands,
        "cosim",
        bind(_cosim),
        "drive the RTL with cocotb, its ports stalled at random, and compare every beat",
    )
    cosim.add_argument("--simulator", choices=("verilator", "icarus", "both"), default="both", help="which simulator")
    cosim.add_argument("--frames", type=int, default=300, metavar="N", help="frames with stalls on every port")
    cosim.add_argument("--wave", default="", metavar="FILE", help="record a brief run: VCD (Verilator) or FST (Icarus)")
    cosim.add_argument("--hls-export", default="", metavar="DIR", help="drive the Verilog of an HLS export instead")
    cosim.add_argument("--width", default="", metavar="W", help="one of several widths for all frames, not random ones")
    synth = add(commands, "synth", bind(_synth), "synthesize the SystemVerilog with Yosys, beside the estimate")
    synth.add_argument(
        "--family", choices=("xc7", "xcup"), help="7-series or UltraScale+, instead of the plan's device"
    )
    synth.add_argument("--place", action="store_true", help="also place and route it for an ECP5")


def _rtl(arguments: argparse.Namespace, open_: Open) -> Answer:
    from codesign.flow.rtl import rtl

    answer = rtl(open_(arguments), force=arguments.force)
    if not arguments.json:
        estimate = answer["estimate"]
        console.say(
            f"a frame every {estimate['interval_cycles']} cycles, latency {estimate['latency_cycles']} (computed, to the "
            f"cycle): {estimate['frames_per_second']:,.0f} frames a second at {answer['clock_mhz']:g} MHz"
        )
    return answer, True


def _rtlsim(arguments: argparse.Namespace, open_: Open) -> Answer:
    from codesign.flow.rtlsim import RtlOptions, rtlsim

    options = RtlOptions(
        arguments.frames,
        arguments.threshold,
        arguments.stall,
        arguments.wave,
        arguments.timing,
        arguments.width,
        arguments.step_up,
    )
    report, view = rtlsim(open_(arguments), options)
    answer = report.to_json()
    console.say(
        f"rtlsim: {report.frames} frames, {report.mismatched_codes} wrong words in {report.mismatched_frames} frames, "
        f"{report.images_per_s:,.0f} images a second"
    )
    if not arguments.stall:
        computed = f"{report.estimated_interval_cycles}, {report.estimated_latency_cycles}"
        console.say(
            f"a frame every {answer['interval_cycles']} cycles, latency {report.latency_cycles} (simulated); computed: "
            f"{computed if report.estimated_interval_cycles else 'nothing for frames of different widths'}"
        )
    if report.step_up:
        console.say(
            "stepping up from {from:g} to {to:g}: {cycles:g} cycles more (simulated), {difference} of work".format(
                **report.step_up
            )
        )
    if report.first_difference:
        console.say(f"first difference: {report.first_difference}")
    if view and not arguments.json:
        _timing_tables(view)
    return {**answer, **({"timing": view} if view else {})}, report.agrees and (bool(arguments.stall) or report.exact)


def _cosim(arguments: argparse.Namespace, open_: Open) -> Answer:
    from codesign.flow.cosim import CosimOptions, cosim

    options = CosimOptions(arguments.simulator, arguments.frames, arguments.wave, arguments.hls_export, arguments.width)
    report = cosim(open_(arguments), options)
    answer = report.to_json()
    if not arguments.json:
        rows = [
            [name, "green" if bench.passed else "RED", bench.frames, bench.mismatched_beats, bench.first_difference]
            for name, bench in report.benches.items()
        ]
        console.table("Cosimulation", ("bench", "verdict", "frames", "wrong beats", "first difference"), rows)
    tools = ", ".join(answer["simulators"])
    console.say(f"cosim: {answer['frames']} frames, {answer['mismatched_beats']} wrong beats, {tools}")
    return answer, report.passed


def _synth(arguments: argparse.Namespace, open_: Open) -> Answer:
    from codesign.flow.synth import synth

    answer = synth(open_(arguments), family=arguments.family, place_too=arguments.place)
    if not arguments.json:
        off, share = answer["estimate"]["off_percent"], answer["share_percent"]
        rows = [
            [name.upper(), answer[name], f"{share[name]} %", answer["estimate"][name], f"{off[name]} %"]
            for name in share
        ]
        longest = f"longest path {answer['critical_path_ns']:.2f} ns ({answer['method']})"
        placed = (
            [f"placed for {answer['place']['part']}: {answer['place']['fmax_mhz']:.1f} MHz"]
            if "place" in answer
            else []
        )
        columns = ("resource", "synthesized", f"of {answer['device']}", "estimated", "estimate off by")
        console.table(f"{answer['top']}, {answer['tool']}", columns, rows, (longest, *placed))
    return answer, True


def _timing_tables(view: Mapping[str, Any]) -> None:
    rows = [[p["name"], p["op"], p["cycles"], f"{100 * p['share']:.0f} %", p["wait"]] for p in view["processes"]]
    console.table(
        f"Processes; the bottleneck is {view['bottleneck']}",
        ("process", "op", "work a frame", "of the interval", f"cycles waited in {view['frames']} frames"),
        rows,
    )
    rows = [[c["name"], c["depth"], c["high_water"], c["full_cycles"], c["empty_cycles"]] for c in view["channels"]]
    console.table("Channels (simulated)", ("channel", "depth", "most beats", "cycles full", "cycles empty"), rows)
