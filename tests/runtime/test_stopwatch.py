"""What the stopwatch counts: whole batches, round and round; the best window speaks."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.runtime import stopwatch
from codesign.runtime.stopwatch import WARM_UP, Window, rate, window


class Ticking:
    """A clock that each run moves on by as many milliseconds as it has frames."""

    def __init__(self, monkeypatch):
        self.now, self.seen = 0.0, []
        monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(stopwatch.time, "process_time", lambda: self.now / 2)

    def run(self, images):
        self.seen.append(images.reshape(-1).tolist())
        self.now += len(images) / 1000


def test_a_window_goes_round_the_frames_in_whole_batches(monkeypatch):
    clock = Ticking(monkeypatch)
    done = window(clock.run, np.arange(10).reshape(10, 1, 1, 1), 4, 0.020)
    assert clock.seen == [[0, 1, 2, 3], [4, 5, 6, 7]] * 4
    assert (done.frames, done.seconds) == (20, pytest.approx(0.020))
    assert len(done.calls_s) == len(clock.seen) - WARM_UP
    assert done.cpu_s == pytest.approx(0.010)


def test_a_batch_larger_than_the_set_is_the_set(monkeypatch):
    clock = Ticking(monkeypatch)
    window(clock.run, np.arange(3).reshape(3, 1, 1, 1), 8, 0.001)
    assert set(map(len, clock.seen)) == {3}


def test_the_rate_is_that_of_the_best_window():
    slow, fast = Window(100, 1.0, [1.0], 0.5), Window(100, 0.5, [0.1, 0.2, 0.2], 0.4)
    got = rate([slow, fast, slow])
    assert (got.images_per_s, got.worst_images_per_s) == (200, 100)
    assert got.p50_us == pytest.approx(2e5)
    assert got.p99_us == pytest.approx(2e5, rel=0.01)
    assert got.cpu_us_per_image == pytest.approx(4000)
    assert got.to_json()["images_per_s"] == 200
