"""The command that calibrates the model of single HLS layers: parse, call a step, print."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from codesign import console

Answer = tuple[dict[str, Any], bool]


def add_commands(commands: Any, common: Callable[[argparse.ArgumentParser, Callable[..., Answer]], None]) -> None:
    """Adds `calibrate`; `common` gives a parser --json and the function that runs it."""
    text = "fit the model of single HLS layers to published synthesis reports, and print its cross-validated error"
    parser = commands.add_parser("calibrate", help=text, description=f"{text[0].upper()}{text[1:]}.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="cross-validate by repository (what it does by default)")
    what.add_argument("--fit", action="store_true", help="fit to all reports and write the coefficients")
    what.add_argument("--judge", metavar="TABLE", default="", help="judge the shipped coefficients by other reports")
    what.add_argument(
        "--runs",
        metavar="RUN",
        nargs="+",
        default=[],
        help="correct whole designs by what `bitstream` reported of these",
    )
    parser.add_argument(
        "--table", metavar="FILE", default="", help="reports; default: csynth_calibrate.json in CODESIGN_TABLES"
    )
    parser.add_argument("--out", metavar="FILE", default="", help="of --fit and --runs: where to write")
    common(parser, _calibrate)


def _calibrate(arguments: argparse.Namespace) -> Answer:
    from codesign.flow import calibrate

    if arguments.runs:
        from codesign.flow.correct import correct

        answer = correct(arguments.runs, arguments.out)
        console.say(f"{answer['file']}: reported over estimated, {len(answer['designs'])} designs")
        for row in answer["corrections"]:
            console.say(f"{row['backend']}: " + ", ".join(f"{k} {v:.2f}" for k, v in row["median"].items()))
        return answer, True
    if arguments.fit:
        answer = calibrate.fit_table(arguments.table, arguments.out)
        console.say(f"fitted to {answer['layers']} layers: {answer['file']}")
        return answer, True
    answer = calibrate.judge_table(arguments.judge) if arguments.judge else calibrate.check(arguments.table)
    if not arguments.json:
        _tables(answer)
    return answer, calibrate.holds(answer)


def _tables(answer: Mapping[str, Any]) -> None:
    columns = ("layers", "repositories", *answer["bounds"])
    heads = ("layers", "repos", "cycles in 5 %", "DSP in 1", "BRAM18 in 1", "LUT median off", "FF median off")
    for title, rows, key in (("By kind of layer", "kinds", "kind"), ("By repository", "held_out", "repository")):
        shown = [[row[key].removeprefix("github.com/"), *(_cell(row[c], c) for c in columns)] for row in answer[rows]]
        console.table(title, (key, *heads), shown)
    rows = [
        [name.replace("_", " "), _cell(row["value"], name), _cell(row["bound"], name), "yes" if row["ok"] else "NO"]
        for name, row in answer["bounds"].items()
    ]
    notes = (
        answer["method"],
        f"{answer['layers']} layers, {answer['layers_with_known_loops']} of them with loops; "
        f"{answer['networks_left_out']} reports of whole networks left out of {answer['reports']}",
        *_beside(answer["beside"]),
        *_owners(answer),
    )
    console.table("Bounds", ("figure", "value", "bound", "held"), rows, notes)


def _beside(beside: Mapping[str, Any]) -> tuple[str, ...]:
    def share(value: float | None) -> str:
        return "none" if value is None else f"{100 * value:.1f} %"

    alone = beside["description_alone"]
    return (
        f"cycles exact {share(beside['cycles_exact'])}; within 5 % without the iteration latency of outer loops "
        f"{share(beside['cycles_from_inner_loops_within_5_percent'])}",
        f"DSP exact {share(beside['dsp_exact'])}, BRAM18 exact {share(beside['bram18_exact'])}, BRAM18 within 1 of "
        f"memories that are listed {share(beside['bram18_within_1_of_listed_memories'])}",
        f"within 30 %: LUT {share(beside['lut_within_30_percent'])}, FF {share(beside['ff_within_30_percent'])}; every layer "
        f"type of a repository counted once, median off LUT {share(beside['lut_median_error_of_implementations'])}, "
        f"FF {share(beside['ff_median_error_of_implementations'])}",
        f"from the description alone, {alone['layers']} layers with sizes: cycles within 5 % "
        f"{share(alone['cycles_within_5_percent'])}, median off {share(alone['cycles_median_error'])}; DSP within 1 "
        f"{share(alone['dsp_within_1'])}, BRAM18 {share(alone['bram18_within_1'])}; median off LUT "
        f"{share(alone['lut_median_error'])}, FF {share(alone['ff_median_error'])}",
    )


def _owners(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """What is left when all repositories of one account are held out together."""
    apart = answer.get("owners_held_out")
    if not apart:
        return ()
    lut, ff = (_cell(apart[f"{name}_median_error"], name) for name in ("lut", "ff"))
    return (f"with all repositories of an owner held out together: median off LUT {lut}, FF {ff}",)


def _cell(value: float | None, name: str) -> object:
    if value is None:
        return "-"
    return value if name in ("layers", "repositories") else f"{100 * value:.1f} %"
