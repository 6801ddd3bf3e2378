"""The step behind `codesign calibrate --runs`: what Vivado reported of the runs' designs becomes a correction of estimates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from codesign.cost.correction import correction_of, save_corrections
from codesign.errors import ConfigError
from codesign.files import RunFolder

DEFAULT = "correction.json"
_Found = tuple[str, str, Mapping[str, Mapping[str, Any]]]  # backend, design, resources


def correct(runs: Sequence[str], out: str = "") -> dict[str, Any]:
    """Writes the corrections of the runs' backends to `out`; raises ConfigError for a run of which Vivado built nothing."""
    found = [row for run in runs for row in _built(Path(run))]
    corrections = [
        correction_of(backend, [(design, kinds) for where, design, kinds in found if where == backend])
        for backend in sorted({backend for backend, _, _ in found})
    ]
    target = Path(out or DEFAULT)
    save_corrections(corrections, target)
    rows = [{**c.to_json(), "median": {kind: median(r) for kind, r in c.ratios.items()}} for c in corrections]
    return {"file": str(target), "designs": [design for _, design, _ in found], "corrections": rows}


def _built(run: Path) -> Iterator[_Found]:
    """The accelerator of every board that was built, without the DMA around it."""
    metrics = RunFolder(run).read_metrics() if run.is_dir() else {}
    built = {name: row for name, row in metrics.items() if name.startswith("bitstream_")}
    if not built:
        raise ConfigError(
            "no design of this run was built in Vivado", where=str(run), hint="run `codesign bitstream` on it first"
        )
    for name, row in built.items():
        yield row["backend"], f"{run}, {name.removeprefix('bitstream_')}", row["estimate"]["accelerator"]["resources"]
