"""The command line: parse, call a step, print. Heavy imports wait until a command needs them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from codesign import __version__, cli_board, cli_calibrate, cli_cascade, cli_cost, cli_report, cli_rtl, console
from codesign.cli_slim import width_table, widths_table
from codesign.errors import CodesignError, ConfigError, ToolError, VerificationError

OK, DIFFERENT, USAGE, INTERRUPTED = 0, 1, 2, 130

EXTRAS = {"torch": "train", "safetensors": "train"}  # packages that only some commands need

# A command's JSON value, and whether what was asked is true.
Answer = tuple[dict[str, Any], bool]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns 0 when what was asked is true, 1 when it is not, 2 for an error, 130 for Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    if not words:
        parser.print_help()
        return USAGE
    try:
        arguments = parser.parse_args(words)
    except ConfigError as error:
        return _fail(error, as_json="--json" in words)
    try:
        answer, true = arguments.run(arguments)
    except CodesignError as error:
        return _fail(error, as_json=arguments.json)
    except KeyboardInterrupt:
        console.say("interrupted; the same command goes on from here")
        return INTERRUPTED
    except BrokenPipeError:
        return DIFFERENT
    except (OSError, ModuleNotFoundError) as error:
        return _fail(_as_user_error(error), as_json=arguments.json)
    if arguments.json:
        print(json.dumps(answer), flush=True)
    return OK if true else DIFFERENT


def _fail(error: CodesignError, *, as_json: bool) -> int:
    console.say(f"error: {error}")
    if as_json:
        kind = type(error).__name__
        print(json.dumps({"error": {"kind": kind, "what": error.what, "where": error.where, "hint": error.hint}}))
    return DIFFERENT if isinstance(error, VerificationError) else USAGE


def _as_user_error(error: OSError | ModuleNotFoundError) -> CodesignError:
    """What the machine lacks, in our words: an extra that is not installed, a folder that cannot be written."""
    if isinstance(error, OSError):
        place = str(error.filename or "")
        return CodesignError(
            error.strerror or str(error), where=place, hint="check the path, its permissions and the free space"
        )
    name = (error.name or "").partition(".")[0]
    if name not in EXTRAS:
        raise error
    return ToolError(f"the package {name} is not installed", hint=f"pip install 'codesign[{EXTRAS[name]}]'")


class _Parser(argparse.ArgumentParser):
    """Raises ConfigError for a wrong command line, where argparse prints and exits."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, where=self.prog, hint=f"see `{self.prog} --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="codesign",
        description="Early-exit networks from PyTorch to bit-exact HLS C++ and SystemVerilog, the rest as host software.",
        epilog="RUN is a run folder, or a config (TOML) whose run folder is runs/NAME. A step runs whatever is missing before it.",
    )
    parser.add_argument("--version", action="version", version=f"codesign {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, run, text in (
        ("train", _train, "train the network: weights.safetensors"),
        ("quantize", _quantize, "make it integers: quantized.safetensors, graph.json"),
        ("plan", _plan, "choose foldings and FIFO depths: plan.json"),
        ("hls", _hls, "emit the path to the exit as HLS C++: hls/, design.json"),
    ):
        _add(commands, name, run, text).add_argument(
            "--force", action="store_true", help="do it again even if up to date"
        )
    csim = _add(commands, "csim", _csim, "simulate the C++ and compare every code with the integer model")
    csim.add_argument(
        "--types", choices=("native", "vendor", "packed"), default="native", help="integer types to compile with"
    )
    csim.add_argument("--frames", type=int, default=0, metavar="N", help="only the first N test frames")
    csim.add_argument("--threads", action="store_true", help="one thread a process and FIFOs of the planned depths")
    csim.add_argument("--threshold", type=float, metavar="T", help="another exit threshold than the chosen one")
    csim.add_argument("--width", default="", metavar="W", help="one of several widths, or random: one for each frame")
    csim.add_argument("--step-up", default="", metavar="W", help="every frame at the next narrower width, then to W")
    tail = _add(
        commands, "tail", _tail, "emit the layers behind the split as host C++ and compare it with numpy and torch"
    )
    tail.add_argument("--force", action="store_true", help="emit again even if up to date")
    tail.add_argument("--frames", type=int, default=0, metavar="N", help="only the first N test frames")
    _add(commands, "evaluate", _evaluate, "accuracies, exit rate and flip rate on the test split").add_argument(
        "--width", default="", metavar="W", help="one of several widths; by default all of them"
    )
    cli_rtl.add_commands(commands, _add, _open)
    cli_cascade.add_commands(commands, _add, _open)
    cli_board.add_commands(commands, _add, _open)
    cli_report.add_commands(commands, _add, _open)
    cli_calibrate.add_commands(commands, _common)
    cli_cost.add_commands(commands, _common)
    doctor = commands.add_parser("doctor", help="what is installed, and what to install", description=_doctor.__doc__)
    _common(doctor, _doctor)
    return parser


def _add(commands: Any, name: str, run: Callable[[argparse.Namespace], Answer], text: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("target", metavar="RUN", help="a run folder, a config (TOML), or the name of a shipped config")
    parser.add_argument("--run", dest="folder", metavar="DIR", help="the run folder of a config, instead of runs/NAME")
    _common(parser, run)
    return parser


def _common(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], Answer]) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.set_defaults(run=run)


def _open(arguments: argparse.Namespace) -> Any:
    from codesign.flow.experiment import open_experiment

    return open_experiment(arguments.target, arguments.folder, say=console.say, progress=True)


def _train(arguments: argparse.Namespace) -> Answer:
    from codesign.flow.train import train

    metrics = train(_open(arguments), force=arguments.force)
    _accuracy_table(arguments, "Float accuracy", metrics, ("validation", "test"))
    return {key: value for key, value in metrics.items() if key != "history"}, True


def _quantize(arguments: argparse.Namespace) -> Answer:
    from codesign.flow.quantize import quantize

    metrics = quantize(_open(arguments), force=arguments.force)
    _accuracy_table(arguments, "Integer accuracy", metrics.get("quantized", {}), ("validation", "test"))
    return {key: value for key, value in metrics.items() if key != "history"}, True


def _plan(arguments: argparse.Namespace) -> Answer:
    from codesign.flow.plan import plan

    answer = plan(_open(arguments), force=arguments.force)
    if not arguments.json:
        columns = ("name", "op", "lanes", "pe", "simd", "cycles", "dsp", "lut", "ff", "bram18")
        rows = [[process[column] for column in columns] for process in answer["processes"]]
        total = ", ".join(f"{count} {name.upper()}" for name, count in answer["resources"].items())
        console.table("Processes", columns, rows, (f"With FIFOs and shell: {total} (estimated)", _speed(answer)))
    return answer, True


def _hls(arguments: argparse.Namespace) -> Answer:
    from codesign.flow.hls import hls

    answer = hls(_open(arguments), force=arguments.force)
    if not arguments.json:
        operating = answer["operating"]
        console.say(_speed({**answer, **answer["estimate"]}))
        console.say(f"threshold {operating['threshold']:.6g} {operating['unit']}, from the {operating['chosen']}")
    return answer, True


def _csim(arguments: argparse.Namespace) -> Answer:
    from codesign.flow.csim import csim

    options = {"types": arguments.types, "frames": arguments.frames, "threads": arguments.threads}
    options |= {"threshold": arguments.threshold, "width": arguments.width, "step_up": arguments.step_up}
    report = csim(_open(arguments), **options)
    wrong = f"{report.mismatched_codes} wrong codes in {report.mismatched_frames} frames"
    console.say(f"csim: {report.frames} frames, {wrong}, {report.images_per_cpu_s:,.0f} images per CPU second")
    if report.first_difference is not None:
        console.say(f"first difference: {report.first_difference}")
    return report.to_json(), not report.mismatched_codes and not report.mismatched_frames


def _tail(arguments: argparse.Namespace) -> Answer:
    from codesign.flow.tail import tail

    answer = tail(_open(arguments), force=arguments.force, frames=arguments.frames)
    if not arguments.json:
        rows = [
            [name, answer["frames"], wrong, round(answer["images_per_s"][name])]
            for name, wrong in answer["different_frames"].items()
        ]
        columns = ("tail", "frames", "with another logit", "images a second")
        apart = answer["float"]
        note = f"{100 * apart['same_class']:.2f} % of classes as in float; logits {apart['mean_difference']:.3f} apart on average"
        console.table(f"Logits of exit {answer['exit']} against those recorded", columns, rows, (note,))
    return answer, not any(answer["different_frames"].values())


def _evaluate(arguments: argparse.Namespace) -> Answer:
    from codesign.flow.evaluate import evaluate

    answer = evaluate(_open(arguments), arguments.width)
    if not arguments.json and arguments.width:
        width_table(answer, _cascade(answer))
    elif not arguments.json:
        rows = [[name, 100 * answer["float"][name], 100 * answer["quantized"][name]] for name in answer["float"]]
        console.table(
            f"Accuracy on {answer['frames']} test frames, %", ("exit", "float", "integers"), rows, _cascade(answer)
        )
        if "widths" in answer:
            widths_table(answer)
    return answer, True


def _doctor(arguments: argparse.Namespace) -> Answer:
    """List what is installed and, for what is missing, how to install it."""
    from codesign.doctor import examine

    found = examine()
    if not arguments.json:
        rows = [[item.name, item.state, item.found or item.install, item.purpose] for item in found]
        console.table("codesign doctor", ("what", "state", "version, place, or how to install", "for"), rows)
    missing = [item.name for item in found if item.required and not item.found]
    for name in missing:
        console.say(f"error: {name} is required and missing")
    return {"ok": not missing, "items": [item.to_json() for item in found]}, not missing


def _accuracy_table(
    arguments: argparse.Namespace, title: str, metrics: Mapping[str, Any], parts: Sequence[str]
) -> None:
    shown = [part for part in parts if part in metrics]
    if arguments.json or not shown:
        return
    rows = [[name, *(100 * metrics[part][name] for part in shown)] for name in metrics[shown[0]]]
    console.table(f"{title}, %", ("exit", *shown), rows)


def _speed(estimate: Mapping[str, Any]) -> str:
    return (
        f"estimated: a frame every {estimate['interval_cycles']} cycles, {estimate['frames_per_second']:,.0f} frames a second "
        f"at {estimate['clock_mhz']:g} MHz on {estimate['device']}, latency {estimate['latency_cycles']} cycles"
    )


def _cascade(answer: Mapping[str, Any]) -> list[str]:
    cascade = answer["cascade"]
    return [
        f"cascade: {100 * cascade['exit_rate']:.2f} % stop at {cascade['exit']} ({cascade['criterion']}, threshold "
        f"{cascade['threshold']:.6g} {cascade['unit']}, from the {cascade['chosen']})",
        f"accuracy {100 * cascade['accuracy']:.2f} %, the final exit alone {100 * cascade['final_alone']:.2f} %; "
        f"{100 * answer['flip_rate']:.3f} % of decisions flip against float",
    ]


if __name__ == "__main__":
    sys.exit(main())
