"""What the board draws while something runs: watts from its own sensors, sampled in a thread.

    with Recorder() as recorder:
        work()
    recorder.watts            # {"rail": ..., "mean_w": ..., "samples": ..., "seconds": ...}, or None where there is no sensor

    python3 power.py          # lists the sensors

A ZCU104 has PMBus rails that PYNQ knows; a KV260 and an Ultra96-V2 have sensors in /sys/class/hwmon when their image
loads the drivers. A Pynq-Z1 and a Pynq-Z2 have none: put a meter into the supply. Standard library and pynq; Python 3.8.
"""

from __future__ import annotations

import glob
import os
import sys
import threading
import time
import warnings
from typing import Any, Callable, Iterable  # noqa: UP035  as old as boards

NONE = (
    "this board tells nothing of its power: a Pynq-Z1 or Pynq-Z2 has no sensor, so measure at the supply; on other boards "
    "libsensors needs its configuration (PYNQ ships that of the ZCU104), or the kernel its hwmon drivers"
)
WHOLE_BOARD = ("12V", "VIN", "SOM", "total")  # names of rails that carry everything, the best first


def rails() -> dict[str, Callable[[], float]]:
    """{name: function that returns watts} of every sensor of power."""
    found = {}
    for name, rail in _pynq_rails().items():
        if rail.power is not None:
            found[name] = lambda sensor=rail.power: float(sensor.value)
        elif rail.voltage is not None and rail.current is not None:
            found[name] = lambda rail=rail: float(rail.voltage.value) * float(rail.current.value)
    return found or _hwmon_rails()


def main_rail(names: Iterable[str]) -> str | None:
    """The rail that carries the whole board, or the first; None where there is none."""
    for wanted in WHOLE_BOARD:
        for name in names:
            if wanted.lower() in name.lower():
                return name
    return next(iter(names), None)


class Recorder:
    """Samples one rail from `with` to the end of the block, by default the one that carries the whole board."""

    def __init__(self, rail: str = "", interval_s: float = 0.02) -> None:
        known = rails()
        self.rail = rail or main_rail(known)
        if rail and rail not in known:
            raise ValueError("no rail is named {!r}; there are {}".format(rail, ", ".join(known) or "none"))
        self._read = known.get(self.rail)
        self._interval_s, self._samples, self._done, self._thread = interval_s, [], threading.Event(), None
        self._begin = self._end = 0.0

    def __enter__(self) -> Recorder:
        self._begin = time.monotonic()
        if self._read is not None:
            self._thread = threading.Thread(target=self._sample, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        self._end = time.monotonic()

    @property
    def watts(self) -> dict[str, Any] | None:
        """What was measured; None without a sensor."""
        if not self._samples:
            return None
        return {
            "rail": self.rail,
            "mean_w": sum(self._samples) / len(self._samples),
            "least_w": min(self._samples),
            "most_w": max(self._samples),
            "samples": len(self._samples),
            "seconds": self._end - self._begin,
        }

    def _sample(self) -> None:
        while True:
            self._samples.append(self._read())
            if self._done.wait(self._interval_s):
                return


def _pynq_rails() -> dict[str, Any]:
    try:
        from pynq import pmbus

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PYNQ warns where there is no libsensors
            return pmbus.get_rails() or {}
    except Exception:  # PYNQ is not there, or its sensors library fails in one of many ways
        return {}


def _hwmon_rails() -> dict[str, Callable[[], float]]:
    """Sensors of the kernel: power in microwatts."""
    found = {}
    for path in sorted(glob.glob("/sys/class/hwmon/hwmon*/power*_input")):
        folder, label = os.path.dirname(path), path[: -len("input")] + "label"
        name = _line(label) or "{} {}".format(
            _line(os.path.join(folder, "name")), os.path.basename(path)[: -len("_input")]
        )
        found[name] = lambda path=path: float(_line(path)) * 1e-6
    return found


def _line(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.readline().strip()
    except OSError:
        return ""


def main() -> int:
    found = rails()
    for name, read in found.items():
        print(f"{name:20} {read():8.3f} W")
    if not found:
        print(NONE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
