"""Synthesis of SystemVerilog for Xilinx parts with Yosys: LUT, FF, DSP, BRAM18 and the longest path, cached by content.

Figures are those of the mapped netlist, before anything is placed. Vivado shares LUTs between two small functions, which
Yosys does not, and gives a constant multiplier to LUTs where Yosys takes a DSP (docs/estimates.md).
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from codesign.errors import ToolError
from codesign.files import read_json, write_json
from codesign.verify.synth_cells import Counts, cell_types, count
from codesign.verify.synth_timing import WIRE_PS, longest_path
from codesign.verify.yosys import run_yosys, yosys_version

Family = Literal["xc7", "xcup"]  # 7-series; UltraScale+, whose longest path is one of 7-series delays without its DSPs
_REVISION = 1  # raised whenever equal sources may give another result


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What a design takes, and its longest path with `WIRE_PS` in every net.

    `memory_lut` are those of `lut` that store or shift; `abc9_ns` is the longest path through LUTs and carries alone as
    the mapper saw it, with 300 ps in every net, 0 when it said nothing.
    """

    tool: str
    family: Family
    top: str
    lut: int
    memory_lut: int
    ff: int
    dsp: int
    bram18: int
    critical_path_ns: float
    path: tuple[str, ...]
    abc9_ns: float
    cells: Mapping[str, int]
    cpu_s: float
    cached: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def synthesize(
    sources: Mapping[str, str],
    top: str,
    *,
    family: Family = "xc7",
    parameters: Mapping[str, int] | None = None,
    cache: Path | None = None,
    timing: bool = True,
    timeout_s: float = 1800.0,
) -> Synthesis:
    """Synthesis of module `top` of {file name: text}, flattened; taken from the folder `cache` when it is there.

    `parameters` are those of the top module. Without `timing` the critical path is 0 and nothing looks for it. Raises
    ToolError with the message of Yosys when a source has an error.
    """
    sources = reachable(sources, top)
    script = read_script(sources, top, parameters or {}) + _map_script(family, top)
    settings = f"{_REVISION} {yosys_version()} {timing} {WIRE_PS} {script}"
    record = cache / f"{content_key(sources, settings)}.json" if cache else None
    if record and record.is_file():
        kept: dict[str, Any] = read_json(record, hint="delete it")
        kept |= {"path": tuple(kept["path"]), "cached": True}
        return Synthesis(**kept)
    result = _run(sources, script, top, family, timing, timeout_s)
    if record:
        write_json(record, result.to_json())
    return result


def _run(
    sources: Mapping[str, str], script: str, top: str, family: Family, timing: bool, timeout_s: float
) -> Synthesis:
    with tempfile.TemporaryDirectory(prefix="codesign-synth-") as name:
        folder = Path(name)
        done = run_yosys(script, folder, sources=sources, where=f"{top}: synthesis", timeout_s=timeout_s)
        module = json.loads((folder / "netlist.json").read_text(encoding="utf-8"))["modules"][top]
    counts: Counts = count(cells := cell_types(module))
    result = Synthesis(
        tool=yosys_version(),
        family=family,
        top=top,
        **asdict(counts),
        critical_path_ns=0.0,
        path=(),
        abc9_ns=_mapper_delay(done.stdout),
        cells=cells,
        cpu_s=round(done.cpu_s, 1),
    )
    if not timing:
        return result
    path = longest_path(top, module)
    return replace(result, critical_path_ns=path.ns, path=path.cells)


def read_script(sources: Mapping[str, str], top: str, parameters: Mapping[str, int]) -> str:
    """Yosys commands that read the sources; names are checked, since Yosys has no quoting that could be trusted."""
    for word in (*sources, top, *parameters):
        if not re.fullmatch(r"[A-Za-z_][\w./]*", word) or ".." in word:
            raise ToolError(f"{word!r} is no name that Yosys can be given", where="synthesis", hint="rename it")
    values = "".join(f" -set {name} {value}" for name, value in parameters.items())
    return f"read_verilog -sv {' '.join(sources)}\n" + (f"chparam{values} {top}\n" if values else "")


def _map_script(family: Family, top: str) -> str:
    return f"synth_xilinx -family {family} -top {top} -noiopad -noclkbuf -flatten\ncheck -assert\nwrite_json netlist.json\n"


def content_key(sources: Mapping[str, str], settings: str) -> str:
    """A hash of the sources and of everything else that decides a result."""
    digest = hashlib.sha256(settings.encode())
    for name, text in sources.items():
        digest.update(f"\0{name} {len(text)}\0{text}".encode())
    return digest.hexdigest()[:24]


def _mapper_delay(log: str) -> float:
    delays = re.findall(r"ABC: .* Del = *(\d+)", log)
    return float(delays[-1]) / 1000 if delays else 0.0


def reachable(sources: Mapping[str, str], top: str) -> dict[str, str]:
    """The files that the module `top` needs, each named after its module, so that no other one changes the key."""
    found: dict[str, str] = {}
    words = [top]
    while words:
        name = f"{words.pop()}.sv"
        if name in sources and name not in found:
            found[name] = sources[name]
            words += set(re.findall(r"[A-Za-z_]\w*", sources[name]))
    if not found:
        raise ToolError(
            f"there is no {top}.sv", where="synthesis", hint=f"there are {', '.join(sources) or 'no files'}"
        )
    return dict(sorted(found.items()))


def read_sources(*folders: Path) -> dict[str, str]:
    """The SystemVerilog files of folders as {file name: text}, by name; of equal names the later folder's counts."""
    files = {path.name: path for folder in folders for path in sorted(folder.glob("*.sv"))}
    return {name: path.read_text(encoding="utf-8") for name, path in sorted(files.items())}
