"""Which frames to run at which widths: all of one, one at random for each, or every frame narrow and then stepped up."""

# Legend: N frames.
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from codesign.errors import ConfigError
from codesign.flow.hls import Design
from codesign.flow.widths import index_of

RANDOM = "random"  # a width for every frame
STEP_CHANCE = 0.5  # that a frame of a random width is also run at the next, where the design can step up

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The test frame that every frame of a run is, and its kind: an index of `Design.kinds`."""

    images_N: Indices
    kinds_N: Indices


def frames_for(design: Design, width: str, step_up: str, frames: int, seed: int) -> Frames | None:
    """`frames` test frames at the width named (the widest), at random widths, or stepped up to `step_up` from the next
    narrower one; None where there is one width.

    Raises ConfigError for a width that the design has not, and for a step that it cannot take.
    """
    names = tuple(view.width for view in design.widths)
    if step_up:
        to = index_of(names, step_up)
        if not design.steps or not to:
            hint = "name one above the narrowest, of a network trained with slim.recipe = causal"
            raise ConfigError(f"nothing steps up to {step_up}", where="--step-up", hint=hint)
        return Frames(np.repeat(np.arange(frames), 2), np.tile([to - 1, len(names) + to - 1], frames))
    if width == RANDOM and names:
        return _random(design, frames, np.random.default_rng(seed))
    index = index_of(names, width) if width else len(names) - 1
    return Frames(np.arange(frames), np.full(frames, index, np.int64)) if names else None


def _random(design: Design, frames: int, rng: np.random.Generator) -> Frames:
    rows: list[tuple[int, int]] = []
    for image, width in enumerate(rng.integers(0, len(design.widths), frames).tolist()):
        rows.append((image, width))
        while width < len(design.steps) and rng.random() < STEP_CHANCE:
            rows.append((image, len(design.widths) + width))
            width += 1
    images, kinds = zip(*rows, strict=True) if rows else ((), ())
    return Frames(np.array(images, np.int64), np.array(kinds, np.int64))
