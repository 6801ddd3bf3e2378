"""What boards need to run policies of a slimmable network: software of every width, the tuned policy, its answers on test frames."""

# Legend: N frames; H, W rows and columns; C channels.
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from codesign.emit.overlay import SoftStage, as_json, stage_rows
from codesign.files import read_json
from codesign.flow.experiment import Experiment
from codesign.flow.policy import policy_key, policy_path
from codesign.flow.policy_dispatch import open_policy
from codesign.runtime.policy import AGAIN, policy_from

POLICY = "policy.json"  # not sealed with the other files: another policy needs no other overlay


class PolicyPart(NamedTuple):
    """Sections of board.json, files of the overlay, and arrays of frames.npz."""

    facts: dict[str, Any]
    files: dict[str, str]
    frames: dict[str, npt.NDArray[np.int64]]


def policy_part(
    experiment: Experiment, widths: Mapping[float, Sequence[SoftStage]], images_NHWC: npt.NDArray[np.uint8]
) -> PolicyPart:
    """The part of a run with these widths; nothing without widths. A policy is there when one was tuned for these networks."""
    if not widths:
        return PolicyPart({}, {}, {})
    key, path = policy_key(experiment), policy_path(experiment.folder)
    rows = [{"width": width, "stages": stage_rows(soft)} for width, soft in widths.items()]
    facts: dict[str, Any] = {"widths": rows, "policy_key": key}
    table: dict[str, Any] = read_json(path, hint=AGAIN) if path.is_file() else {}
    if table.get("key") != key:
        experiment.say(f"board: without a policy; `codesign tune` finds one, and it can be copied later as {POLICY}")
        return PolicyPart(facts, {}, {})
    text = as_json(table)
    with open_policy(experiment, "software", policy=policy_from(table, str(path)), tail="numpy") as cascade:
        parts = list(cascade.run(images_NHWC.astype(np.int64)))
    columns = {"class": "class_N", "exit": "exit_N", "code": "code_N"}
    frames = {f"policy_{name}": np.concatenate([getattr(p, own) for p in parts]) for name, own in columns.items()}
    return PolicyPart({**facts, "policy_sha256": hashlib.sha256(text.encode()).hexdigest()}, {POLICY: text}, frames)
