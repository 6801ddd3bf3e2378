"""How many torch threads a job runs with."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(threads: int) -> Generator[None]:
    """Runs with `threads` torch threads, then puts the old number back.

    0 takes one: LeNet-5 gains nothing from two, and two threads that wait for each other on a busy machine take many
    times as long as one. The zoo's CIFAR networks are 1.5 times as fast with two, so their configs say 2.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
