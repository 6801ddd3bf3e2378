"""The cascade against software, as `codesign bench` timed both."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.report.records import Records


@dataclass(frozen=True, slots=True)
class Rival:
    """Software at one batch size: `share` of the fastest row's speed, `ratio` of the cascade's speed to its own."""

    name: str
    batch: int
    images_per_s: float
    share: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Contest:
    """The cascade first, then software; `chosen` says where the thresholds came from."""

    frames: int
    exit_rate: float
    chosen: str
    rows: tuple[Rival, ...]
    notes: tuple[str, ...]


def contest(records: Records) -> Contest | None:
    """What the last benchmark found; None without one."""
    found = records.section("bench")
    if not found:
        return None
    cascade, software = float(found["cascade_images_per_s"]), found["software"]
    most = max([cascade, *(row["images_per_s"] for row in software)])
    rows = [Rival("the cascade", found["batch"], cascade, cascade / most, None)]
    for row in software:
        name = f"{row['name']}, early exits" if row["early_exits"] else str(row["name"])
        speed = float(row["images_per_s"])
        rows.append(Rival(name, row["batch"], speed, speed / most, float(row["ratio"])))
    notes = tuple(map(str, found.get("notes", ())))
    return Contest(found["frames"], found["exit_rate"], str(found["thresholds_from"]), tuple(rows), notes)
