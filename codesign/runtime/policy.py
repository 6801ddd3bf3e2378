"""policy.json: the stages of a (width, exit) cascade with their thresholds, as data. On a board `host/policy.py` reads
the same file.

    {"stages": [{"width": 0.25, "exit": "exit1", "threshold": 0.31, "threshold_code": 1234, "rate": 0.81, ..},
                {"width": 1.0, "exit": "final", "threshold": null, "threshold_code": null, ..}], "criterion": "entropy", ..}

A frame stops at the first stage that is sure enough of it; the last one stops all that are left.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.errors import ConfigError

AGAIN = "run `codesign tune RUN --max-accuracy-drop 0.005` again"


@dataclass(frozen=True)
class PolicyStage:
    """One stage; `threshold` is in the criterion's unit and `threshold_code` the register's value, None in the last stage."""

    width: float
    exit: str
    threshold: float | None
    threshold_code: int | None


@dataclass(frozen=True)
class Policy:
    """Stages in order, widths never falling, and a threshold in all but the last. Raises ConfigError for anything else."""

    stages: Sequence[PolicyStage]
    criterion: str

    def __post_init__(self) -> None:
        widths = [stage.width for stage in self.stages]
        has = [stage.threshold_code is not None for stage in self.stages]
        if not self.stages or has != [True] * (len(has) - 1) + [False]:
            raise ConfigError("every stage but the last needs a threshold", where="policy.stages", hint=AGAIN)
        if widths != sorted(widths) or len({(stage.width, stage.exit) for stage in self.stages}) < len(widths):
            raise ConfigError("stages must not come twice, nor get narrower", where="policy.stages", hint=AGAIN)


def policy_from(table: Mapping[str, Any], where: str = "policy") -> Policy:
    """The policy in a JSON object. Raises ConfigError for one that is none."""
    try:
        stages = tuple(
            PolicyStage(float(row["width"]), str(row["exit"]), row["threshold"], row["threshold_code"])
            for row in table["stages"]
        )
        return Policy(stages, str(table["criterion"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"not a policy: {error!r}", where=where, hint=AGAIN) from error


def load_policy(path: Path) -> Policy:
    """The policy in a file. Raises ConfigError where there is none."""
    try:
        return policy_from(json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path), hint=AGAIN) from error
