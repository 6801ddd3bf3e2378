"""The time, as the dispatcher sees it. Standard library only, Python 3.8: it goes to boards."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """The time, and waiting for a condition; tests have their own."""

    def now(self) -> float: ...
    def wait(self, condition: threading.Condition, timeout_s: float) -> None: ...


class SystemClock:
    """Seconds that never run backwards."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout_s: float) -> None:
        condition.wait(None if timeout_s == float("inf") else max(0.0, min(timeout_s, threading.TIMEOUT_MAX)))
