"""The sketch of a config's network, and how exact its integers are: what an estimate needs before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codesign.errors import ConfigError
from codesign.passes.sketch import Sketch
from codesign.passes.sketch_graph import Precision
from codesign.passes.sketch_zoo import zoo_sketch

if TYPE_CHECKING:
    from codesign.config import Config

IMAGES = {
    "mnist-subset": ((28, 28, 1), 10),
    "mnist": ((28, 28, 1), 10),
    "fashion-mnist": ((28, 28, 1), 10),
    "cifar10": ((32, 32, 3), 10),
    "svhn": ((32, 32, 3), 10),
}


def config_sketch(config: Config) -> Sketch:
    """The sketch of a config's network; raises for a network or data of the user's own, which only a graph tells."""
    if config.data.dataset not in IMAGES:
        raise ConfigError(
            f"the size of frames of {config.data.dataset!r} is not known without reading them",
            where="data.dataset",
            hint="run `codesign quantize` first, whose graph is then used",
        )
    return zoo_sketch(config.model.name, *IMAGES[config.data.dataset], config.model.options)


def precision_of(config: Config) -> Precision:
    q = config.quantize
    layers = {name: (bits.weight_bits, bits.activation_bits) for name, bits in q.layers.items()}
    return Precision(
        q.weight_bits, q.activation_bits, q.scales, q.multiplier_bits, q.logit_bits, q.logit_fraction_bits, layers
    )
