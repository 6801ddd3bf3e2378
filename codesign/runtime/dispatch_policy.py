"""A policy at work: frames go through the first turn's width, those that are not sure through the next one's, and so on.

A *turn* is one pass through the dispatcher with the accelerator set to a width: its exits are stages of the policy, and
its hosts end with `Pass` where frames may go on to the next turn, from their images. What fails in a turn is redone in
software by the dispatcher's own rules, so a frame is answered once, in order, with the same integers, whatever fails.
"""

# Legend: N frames of a batch; M frames of a turn; H, W, C rows, columns, channels.
from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from codesign.runtime.dispatch_types import Answers, Route, Unit

if TYPE_CHECKING:
    from codesign.runtime.dispatch import Dispatcher
    from codesign.runtime.dispatch_types import Array, Ints

GOES_ON = -1


class Pass:
    """Ends a turn that is not the last: tail and unit of frames that no stage of it was sure of."""

    def run(self, features_NHWC: Array) -> Ints:
        return np.zeros((len(features_NHWC), 1), np.int64)

    def evaluate(self, logits_NC: Ints) -> tuple[Ints, Ints]:
        return np.zeros(len(logits_NC), np.int64), np.zeros(len(logits_NC), np.int64)

    def decide(self, codes_N: Ints, threshold_code: int) -> Array:
        return np.ones(len(codes_N), bool)

    def threshold_code(self, value: float) -> int:
        return 0

    def confidence(self, code: int) -> float:
        return 0.0


@dataclass(frozen=True, eq=False)
class Turn:
    """A route, and for each of its exits the policy's stage, `GOES_ON` where a frame goes on to the next turn."""

    route: Route
    stages: Sequence[int]


class _Piece(NamedTuple):
    """Frames of a batch in a turn, and when they were handed in."""

    batch: _Batch
    rows_M: Ints
    turn: int
    submitted_s: float = 0.0


class _Batch:
    """Frames that came together; `missing` counts those without an answer."""

    def __init__(self, first: int, images_NHWC: Array, now_s: float) -> None:
        self.first, self.images_NHWC, self.submitted_s = first, images_NHWC, now_s
        self.missing = len(images_NHWC)
        self.columns_3N = np.full((3, self.missing), GOES_ON)  # stage, class, code
        self.latency_s_N, self.redone_N = np.zeros(self.missing), np.zeros(self.missing, bool)


class PolicyDispatcher:
    """Batches in, answers out, in order; `exit` of an answer is the stage of the policy, `units` are by stage.

    The dispatcher must be open and nobody else's.

        with Dispatcher(...) as dispatcher:
            for answers in PolicyDispatcher(dispatcher, turns, units).run(images):
                ...
    """

    def __init__(self, dispatcher: Dispatcher, turns: Sequence[Turn], units: Sequence[Unit]) -> None:
        self.dispatcher, self._turns, self._units = dispatcher, turns, units
        self._frames = 0

    def run(self, images_NHWC: Array, batch: int = 1024) -> Iterator[Answers]:
        """Answers for an array of frames, a batch at a time."""
        return self.stream(images_NHWC[start : start + batch] for start in range(0, len(images_NHWC), batch))

    def stream(self, batches: Iterable[Array]) -> Iterator[Answers]:
        """Answers for batches of frames as they come. Frames that go on are handed in before new ones."""
        source, clock = iter(batches), self.dispatcher.clock
        under_way: deque[_Piece] = deque()  # in the order of submission, which is that of the dispatcher's answers
        again: deque[_Piece] = deque()
        open_: deque[_Batch] = deque()
        while True:
            while self.dispatcher.room:
                if not again and len(open_) < self.dispatcher.rules.window:
                    again.extend(self._next(source, open_))
                if not again:
                    break
                piece = again.popleft()._replace(submitted_s=clock.now())
                images_MHWC = piece.batch.images_NHWC[piece.rows_M]
                self.dispatcher.submit(images_MHWC, route=self._turns[piece.turn].route)
                under_way.append(piece)
            if not under_way:
                return
            again.extend(self._settle(under_way.popleft(), self.dispatcher.next_answers()))
            while open_ and not open_[0].missing:
                yield self._answers(open_.popleft())

    def _next(self, source: Iterator[Array], open_: deque[_Batch]) -> Iterator[_Piece]:
        """The next batch in its first turn, where there is one."""
        for images_NHWC in source:
            batch = _Batch(self._frames, images_NHWC, self.dispatcher.clock.now())
            self._frames += len(images_NHWC)
            open_.append(batch)
            yield _Piece(batch, np.arange(len(images_NHWC)), 0)
            return

    def _settle(self, piece: _Piece, answers: Answers) -> Iterator[_Piece]:
        """Writes down what a turn answered, and gives the frames that go on."""
        batch, rows_M = piece.batch, piece.rows_M
        stage_M = np.asarray(self._turns[piece.turn].stages)[answers.exit_N]
        stops_M = stage_M != GOES_ON
        stopped = rows_M[stops_M]
        assert (batch.columns_3N[0, stopped] == GOES_ON).all(), "a frame is answered twice"
        batch.columns_3N[:, stopped] = np.array([stage_M, answers.class_N, answers.code_N])[:, stops_M]
        batch.latency_s_N[stopped] = piece.submitted_s - batch.submitted_s + answers.latency_s_N[stops_M]
        batch.redone_N[rows_M] |= answers.redone_N
        batch.missing -= len(stopped)
        if len(stopped) < len(rows_M):
            yield _Piece(batch, rows_M[~stops_M], piece.turn + 1)

    def _answers(self, batch: _Batch) -> Answers:
        stage_N, class_N, code_N = batch.columns_3N
        return Answers(
            batch.first,
            stage_N,
            class_N,
            code_N,
            batch.latency_s_N,
            batch.redone_N,
            waited_s=self.dispatcher.clock.now() - batch.submitted_s,
            units=self._units,
        )
