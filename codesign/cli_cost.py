"""The commands of the cost oracle: estimate and explore. Parse, call a step, print, as in `cli`."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from codesign import console

Answer = tuple[dict[str, Any], bool]
Common = Callable[[argparse.ArgumentParser, Callable[[argparse.Namespace], Answer]], None]

TARGET = "a run folder, a config (TOML), the name of a shipped config, or a sketch (.net)"


def add_commands(commands: Any, common: Common) -> None:
    """Adds both commands; `common` gives a parser --json and the function that runs it."""
    text = "price a design before anything is built: cycles, resources, watts, energy, throughput, with bands"
    estimate = commands.add_parser("estimate", help=text, description=f"{text[0].upper()}{text[1:]}.")
    estimate.add_argument(
        "target", metavar="RUN", nargs="?", help=f"{TARGET}; without one the default network on every device"
    )
    estimate.add_argument(
        "--run", dest="folder", metavar="DIR", help="the run folder of a config, instead of runs/NAME"
    )
    estimate.add_argument(
        "--device", metavar="NAME", default="", help="part or board, or `all`; by default the config's"
    )
    estimate.add_argument("--backend", choices=("hls", "rtl"), default="hls", help="HLS C++ or SystemVerilog")
    estimate.add_argument("--clock", type=float, metavar="MHZ", help="another clock than the plan's")
    estimate.add_argument("--exit-rate", type=float, metavar="P", help="share of frames that stop early")
    estimate.add_argument("--batch", type=int, default=1024, metavar="N", help="frames a batch of the accelerator")
    estimate.add_argument("--workers", type=int, default=1, metavar="N", help="threads that finish hard frames")
    estimate.add_argument("--tail-us", type=float, metavar="US", help="a worker's time for a frame behind the exit")
    estimate.add_argument("--software-us", type=float, metavar="US", help="a worker's time for the whole network")
    estimate.add_argument("--width", default="", metavar="W", help="of several widths the one to price")
    estimate.add_argument("--measure", action="store_true", help="measure both times on this machine")
    estimate.add_argument(
        "--correction", metavar="FILE", default="", help="correct by designs of your own (`calibrate --runs`)"
    )
    if any(word.startswith("--layer") for word in sys.argv) or "--help" in sys.argv or "-h" in sys.argv:
        _add_layer_options(estimate)
    common(estimate, _estimate)
    text = "the Pareto front of all foldings of a network on a device: interval against every resource and energy"
    explore = commands.add_parser("explore", help=text, description=f"{text[0].upper()}{text[1:]}.")
    explore.add_argument("target", metavar="RUN", nargs="?", help=f"{TARGET}; without one the default network")
    explore.add_argument("--run", dest="folder", metavar="DIR", help="the run folder of a config, instead of runs/NAME")
    explore.add_argument("--device", metavar="NAME", default="", help="part or board; by default the config's")
    explore.add_argument("--backend", choices=("hls", "rtl"), default="hls", help="HLS C++ or SystemVerilog")
    explore.add_argument("--clock", type=float, metavar="MHZ", help="another clock than the config's")
    explore.add_argument("--min-interval", type=int, default=0, metavar="CYCLES", help="no designs that are faster")
    explore.add_argument("--max-interval", type=int, metavar="CYCLES", help="no designs that are slower")
    explore.add_argument("--pixels", action="store_true", help="also beats of 2 and 4 pixels")
    explore.add_argument("--points", type=int, default=16, metavar="N", help="points to print, each as a whole plan")
    explore.add_argument("--all", action="store_true", help="also price every design one by one, and compare")
    explore.add_argument("--limit", type=int, metavar="N", help="of --all: only the first N designs")
    explore.add_argument("--point", type=int, metavar="N", help="one of the printed points, as foldings for a config")
    explore.add_argument(
        "--write-plan", nargs="?", const="", metavar="FILE", help="that point as a plan, in FILE or in the run folder"
    )
    common(explore, _explore)


def _add_layer_options(parser: argparse.ArgumentParser) -> None:
    from codesign.flow.layer_estimate import add_layer_options

    add_layer_options(parser)


def _estimate(arguments: argparse.Namespace) -> Answer:
    if getattr(arguments, "layer", ""):
        return _layer(arguments)
    names = (
        "device",
        "backend",
        "exit_rate",
        "batch",
        "workers",
        "tail_us",
        "software_us",
        "measure",
        "correction",
        "width",
    )
    asked = {"clock_mhz": arguments.clock, **{name: getattr(arguments, name) for name in names}}
    if arguments.measure or arguments.correction:
        answer = _priced(arguments, asked)
    else:
        from codesign.flow.estimate_cache import remembered

        answer = remembered(asked, arguments.target, arguments.folder, lambda: _priced(arguments, asked))
    if not arguments.json:
        _tables(answer)
    return answer, any("problem" not in row for row in answer["estimates"])


def _priced(arguments: argparse.Namespace, asked: dict[str, Any]) -> dict[str, Any]:
    _hurry()
    from codesign.flow.estimate import EstimateOptions, estimate_target

    options = EstimateOptions(**asked)
    return estimate_target(arguments.target, options, arguments.folder)


def _explore(arguments: argparse.Namespace) -> Answer:
    _hurry()
    from codesign.flow.explore import ExploreOptions, explore

    options = ExploreOptions(
        device=arguments.device,
        backend=arguments.backend,
        clock_mhz=arguments.clock,
        min_interval=arguments.min_interval,
        max_interval=arguments.max_interval or 1 << 62,
        pixels=arguments.pixels,
        points=arguments.points,
        every=arguments.all,
        limit=arguments.limit,
        point=arguments.point if arguments.point is not None or arguments.write_plan is None else 0,
        write_plan=arguments.write_plan,
    )
    answer, agrees = explore(arguments.target, options, arguments.folder)
    if not arguments.json:
        _front(answer)
    return answer, agrees


def _front(answer: Mapping[str, Any]) -> None:
    table = [
        ["point", "interval", "frames/s", "latency us", "DSP", "LUT", "FF", "BRAM18", "board W", "uJ a frame", "fits"]
    ]
    for row in answer["shown"]:
        taken = [_band(row["resources"][kind], 2) for kind in ("dsp", "lut", "ff", "bram18")]
        speed = [f"{row['interval_cycles']:,}", number(row["frames_per_second"]), _band(row["latency_us"])]
        costs = [_band(row["power_w"]), _band(row["energy_uj"]["board"]), row["fits"]]
        table.append([str(row["point"]), *speed, *taken, *costs])
    _plain(f"{answer['network']} on {answer['device']}, {answer['backend']}, {answer['clock_mhz']:g} MHz", table)
    console.say(
        f"{answer['front_points']:,} of {answer['designs']:.3g} designs are on the front ({answer['method']}); "
        f"{answer['priced']:,} partial designs priced in {answer['seconds']:.3g} s, {answer['priced_per_s']:,} a second"
    )
    if every := answer.get("every"):
        verdict = {True: "their front is the same", False: "THEIR FRONT IS ANOTHER", None: "not all of them"}
        console.say(
            f"one by one: {every['designs']:,} designs priced in {every['seconds']:.3g} s, {every['designs_per_s']:,} a "
            f"second; {verdict[every['agrees']]}"
        )
    console.say(answer["left_out"])
    if chosen := answer.get("chosen"):
        console.say(f"point {chosen['point']} for a config:\n\n{chosen['config']}\n")
        if "plan" in chosen:
            console.say(f"its plan: {chosen['plan']}")


def _hurry() -> None:
    """An estimate is over in a third of a second, of which numpy's threads and the garbage collector took a third."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()


def _layer(arguments: argparse.Namespace) -> Answer:
    from codesign.flow.layer_estimate import LAYER_COLUMNS, layer_estimate, layer_rows

    answer = layer_estimate(arguments)
    if not arguments.json:
        title = f"{answer['layer']}, style {answer['style']}, {answer['device']}"
        console.table(title, LAYER_COLUMNS, layer_rows(answer))
    return answer, bool(answer["fits"])


def _tables(answer: Mapping[str, Any]) -> None:
    rows = [row for row in answer["estimates"] if "problem" not in row]
    _plain(
        f"{answer['network']}: {answer['source']}; bands in brackets, all of it estimated",
        [list(COLUMNS), *map(_summary, rows)],
    )
    for row in answer["estimates"]:
        if "problem" in row:
            console.say(f"{row['device']}: {row['problem']}")
    if "widths" in answer:
        _plain("Every width on the same hardware", [list(WIDTH_COLUMNS), *map(_width, answer["widths"])])
    if len(answer["estimates"]) == 1:
        _details(rows[0])
    else:
        console.say("one device in detail: `codesign estimate --device NAME`; every figure with its source: `--json`")


COLUMNS = (
    *("device", "MHz", "interval", "latency us", "DSP", "LUT", "FF", "BRAM18"),
    *("dynamic W", "board W", "uJ a frame", "of it PL", "frames/s", "limit"),
)


WIDTH_COLUMNS = ("width", "interval", "frames/s", "uJ a frame", "of it PL")


def _width(row: Mapping[str, Any]) -> list[str]:
    energy = row["energy_uj"]
    figures = (row["frames_per_second"], energy["board"], energy["dynamic"])
    return [f"{row['width']:g}", number(row["interval_cycles"]["value"]), *map(_band, figures)]


def _summary(row: Mapping[str, Any]) -> list[str]:
    power, energy, system = row["power_w"], row["energy_uj"], row["system"]
    figures = [power["dynamic"], power["board"], energy["board"], energy["dynamic"], system["throughput"]]
    return [
        *(row["device"], f"{row['clock_mhz']:g}", number(row["interval_cycles"]["value"]), _band(row["latency_us"])),
        *(_band(taken["synthesis"], 2) for taken in row["resources"].values()),
        *map(_band, figures),
        system["limit"].partition(":")[0],
    ]


def _details(row: Mapping[str, Any]) -> None:
    table = [["process", "op", "PE", "SIMD", "cycles", "DSP", "LUT", "FF", "BRAM18", "mW"]]
    for p in sorted(row["processes"], key=lambda p: -p["cycles"]):
        folding = [str(p["pe"]), str(p["simd"]), f"{p['cycles']:,}"] if p["op"] else ["", "", ""]
        taken = [str(p[kind]) for kind in ("dsp", "lut", "ff", "bram18")]
        table.append([p["name"], p["op"], *folding, *taken, number(p["dynamic_mw"], 2)])
    _plain(f"{row['device']}, {row['backend']}; {row['plan']}", table)
    shares = ", ".join(f"{kind.upper()} {100 * taken['share']:.0f} %" for kind, taken in row["resources"].items())
    console.say(f"fits {row['device']}: {row['fits']}; {shares}")
    printed = [f"{k.upper()} {_band(t['csynth'], 2)}" for k, t in row["resources"].items() if "csynth" in t]
    if printed:
        console.say(f"as csynth prints, without the shell: {', '.join(printed)}")
    console.say(f"bottleneck: {row['bottleneck']['text']}")
    _cascade(row["system"])


def _cascade(s: Mapping[str, Any]) -> None:
    limit, _, busy = s["limit"].partition(":")
    relief = "its bottleneck is above" if busy else "; ".join(s["relief"])
    console.say(
        f"cascade at an exit rate of {100 * s['exit_rate']:.4g} % ({s['exit_rate_source']}), batches of {s['batch']}: "
        f"{_band(s['throughput'])} frames/s; limit: {limit}; {relief}"
    )
    waits = "without bound" if s["queue_us"] is None else f"at most {number(s['queue_us']['value'])} us on average"
    console.say(
        f"host: {s['host']}, workers: {s['workers']}; {_band(s['tail_us'])} us a frame of the tail, {_band(s['call_us'])} us a "
        f"call, a hard frame waits {waits}; one frame alone takes {_band(s['alone_us'])} us"
    )
    console.say(
        f"the accelerator sets the pace {_from(s['balance_rate'])}; faster than software {_from(s['break_even_rate'])} in a "
        f"long run, {_from(s['break_even_alone'])} for single frames"
    )


def _from(rate: float | None) -> str:
    if rate is None:
        return "at no exit rate"
    return f"from an exit rate of {100 * rate:.2f} % on" if rate else "at every exit rate"


def _band(figure: Mapping[str, Any], digits: int = 3) -> str:
    """`13.3 (10.2-20)`, short enough for a table."""
    middle = number(figure["value"], digits)
    if figure["low"] == figure["high"]:
        return middle
    return f"{middle} ({number(figure['low'], digits)}-{number(figure['high'], digits)})"


def _plain(title: str, rows: Sequence[Sequence[str]]) -> None:
    """A table without rich, whose import alone would take 50 ms of the 300 there are."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    console.say(title)
    for row in rows:
        console.say("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def number(value: float, digits: int = 3) -> str:
    """So many significant digits, whole numbers in full: 12345 -> `12,345`, 0.04567 -> `0.0457`."""
    return f"{value:,.0f}" if value == 0 or abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"
