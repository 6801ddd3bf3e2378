"""The commands of the cascade at work: tune and bench. Parse, call a step, print, as in `cli`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from codesign import console
from codesign.cli_slim import policy_table

Answer = tuple[dict[str, Any], bool]
Run = Callable[[argparse.Namespace], Answer]
Add = Callable[[Any, str, Run, str], argparse.ArgumentParser]
Open = Callable[[argparse.Namespace], Any]

GOALS = (
    ("--max-accuracy-drop", "SHARE", "right answers given up against the final exit alone, on the calibration split"),
    ("--max-risk", "SHARE", "promised share of unseen frames that exiting spoils, at most"),
    ("--min-throughput", "FPS", "frames a second, at least"),
    ("--max-latency", "US", "mean microseconds of frames that come one at a time"),
    ("--max-energy", "UJ", "microjoules a frame of the board"),
    ("--min-exit-rate", "SHARE", "frames that stop before the last exit, at least"),
)


def add_commands(commands: Any, add: Add, open_run: Open) -> None:
    """Adds both commands; `open_run` opens the experiment that the arguments name."""
    tune = add(
        commands, "tune", lambda arguments: _tune(arguments, open_run), "choose thresholds for a goal, with a guarantee"
    )
    for option, unit, text in GOALS:
        tune.add_argument(option, type=float, metavar=unit, help=text)
    tune.add_argument("--delta", type=float, default=0.05, metavar="P", help="chance that the guarantee does not hold")
    tune.add_argument(
        "--tail-us", type=float, metavar="US", help="a host's time for a frame behind each exit, instead of measuring"
    )
    tune.add_argument("--stages", type=int, default=4, metavar="N", help="of a slimmable run's policy, at most")
    tune.add_argument(
        "--reference",
        default="",
        metavar="WIDTH/EXIT",
        help="its last stage, by default the widest network's last exit",
    )
    tune.add_argument(
        "--least", choices=("cycles", "energy"), default="cycles", help="what the cheapest policy has least of"
    )
    _parts(tune)
    text = "time the cascade and the same network all in software"
    bench = add(commands, "bench", lambda arguments: _bench(arguments, open_run), text)
    bench.add_argument("--frames", type=int, default=0, metavar="N", help="only the first N test frames")
    bench.add_argument("--batch", type=int, default=2048, metavar="N", help="frames a batch of the accelerator")
    bench.add_argument("--seconds", type=float, default=0.5, metavar="S", help="of every contestant in every turn")
    bench.add_argument("--turns", type=int, default=5, metavar="N", help="the best of so many counts")
    bench.add_argument("--threads", type=int, default=1, metavar="N", help="threads of torch and ONNX Runtime")
    bench.add_argument("--clock-mhz", type=float, metavar="F", help="another clock than the plan's")
    bench.add_argument(
        "--host-watts", type=float, metavar="W", help="of this processor at work, for the energy of software"
    )
    _parts(bench)


def _parts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="threads that finish hard frames")
    parser.add_argument("--tail", choices=("auto", "cpp", "numpy"), default="auto", help="software behind the exit")
    parser.add_argument("--board-watts", type=float, metavar="W", help="the board's power, instead of a typical figure")


def _tune(arguments: argparse.Namespace, open_run: Open) -> Answer:
    from codesign.flow.tune import TuneOptions, tune
    from codesign.runtime.goals import Goals

    goals = Goals(
        **{option[2:].replace("-", "_"): vars(arguments)[option[2:].replace("-", "_")] for option, _, _ in GOALS}
    )
    options = TuneOptions(
        arguments.delta,
        arguments.workers,
        arguments.tail,
        arguments.tail_us,
        arguments.board_watts,
        arguments.stages,
        arguments.reference,
        arguments.least,
    )
    answer = tune(open_run(arguments), goals, options)
    if "stages" in answer:
        if not arguments.json:
            policy_table(answer)
    elif not arguments.json:
        promised = answer["guarantee"]
        rows = [
            [name, value, f"{100 * rate:.2f} %"]
            for name, value, rate in zip(answer["exits"], answer["thresholds"], answer["exit_rates"], strict=True)
        ]
        console.table(
            f"Thresholds: {answer['chosen']}",
            ("exit", f"threshold, {answer['unit']}", "stop here"),
            rows,
            (
                f"accuracy {100 * answer['accuracy']:.2f} %, the final exit alone {100 * answer['final_accuracy']:.2f} % "
                f"({promised['n']} calibration frames)",
                f"guarantee: at most {100 * promised['epsilon']:.3g} % of unseen frames are spoiled by stopping early, "
                f"with {100 * (1 - promised['delta']):g} % confidence",
                f"estimated: {answer['throughput']:,.0f} frames a second, {answer['latency_us']:.1f} us one at a time"
                + (f", {answer['energy_uj'][0]:.3g} uJ a frame" if answer["energy_uj"] else ""),
            ),
        )
    return answer, True


def _bench(arguments: argparse.Namespace, open_run: Open) -> Answer:
    from codesign.flow.bench import BenchOptions, bench

    options = BenchOptions(
        frames=arguments.frames,
        batch=arguments.batch,
        seconds=arguments.seconds,
        windows=arguments.turns,
        workers=arguments.workers,
        threads=arguments.threads,
        tail=arguments.tail,
        clock_mhz=arguments.clock_mhz,
        board_watts=arguments.board_watts,
        host_watts=arguments.host_watts,
    )
    answer = bench(open_run(arguments), options)
    if not arguments.json:
        _bench_table(answer)
    return answer, True


def _bench_table(answer: dict[str, Any]) -> None:
    rows: list[list[object]] = [
        [
            f"{row['name']}{', early exits' if row['early_exits'] else ''}",
            str(row["batch"]),
            f"{row['images_per_s']:,.0f}",
            f"{row['p50_us'] / row['batch']:,.1f}",
            f"{row['ratio']:.2f}x",
        ]
        for row in answer["software"]
    ]
    rows.append(["cascade", str(answer["batch"]), f"{answer['cascade_images_per_s']:,.0f}", "", "1"])
    energy, single = answer["energy_uj"]["board"], answer["latency_us"]["one_at_a_time"]
    console.table(
        f"{answer['frames']} frames; accelerator at {answer['clock_mhz']:g} MHz, a frame every {answer['interval_cycles']:g} cycles",
        ("who", "batch", "images a second", "us an image", "cascade is faster by"),
        rows,
        (
            f"cascade: {100 * answer['exit_rate']:.2f} % stop early, accuracy {100 * answer['accuracy']:.2f} %, the final exit "
            f"alone {100 * answer['final_accuracy']:.2f} %",
            f"one at a time: {single['p50']:,.0f} us (p50), {single['p99']:,.0f} us (p99) through the dispatcher",
            f"board: {energy[0]:.3g} uJ an image (estimated)" if energy else "board: no figure for its power",
            "software and host: measured here; the device: simulated, in exact cycles; its driver's time is left out",
            *answer["notes"],
        ),
    )
