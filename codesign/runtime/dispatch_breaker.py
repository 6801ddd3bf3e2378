"""Is the accelerator to be trusted with a batch? After failures in a row it rests, then one batch tries it again."""

from __future__ import annotations

GROWTH, LONGEST = (
    2.0,
    16.0,
)  # a rest that ends in another failure is followed by a longer one, up to so many times the first


class Breaker:
    """Three states: trusted, resting until a time, and on trial with a single batch."""

    def __init__(self, failures: int, rest_s: float) -> None:
        self._limit, self._rest_s = failures, rest_s
        self._failures, self._rest, self._until_s = 0, rest_s, 0.0
        self._state = "trusted"

    @property
    def trusted(self) -> bool:
        return self._state == "trusted"

    def admits(self, now_s: float) -> bool:
        """Whether a batch may go to the accelerator. A yes at the end of a rest is for that one batch."""
        if self._state == "resting" and now_s >= self._until_s:
            self._state = "trial"
            return True
        return self._state == "trusted"

    def failed(self, now_s: float) -> float:
        """Notes a failure; the seconds of the rest that it starts, or 0."""
        self._failures += 1
        if self._state == "resting" or (self._state == "trusted" and self._failures < self._limit):
            return 0.0
        rest_s = self._rest
        self._state, self._until_s = "resting", now_s + rest_s
        self._rest = min(rest_s * GROWTH, self._rest_s * LONGEST)
        return rest_s

    def worked(self) -> bool:
        """Notes a success; whether it is the one that ends a trial."""
        ends = self._state == "trial"
        if self._state != "resting":
            self._failures, self._rest, self._state = 0, self._rest_s, "trusted"
        return ends
