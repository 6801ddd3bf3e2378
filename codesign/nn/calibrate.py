"""Scales from data: powers of two for activations, and weight scales with their integer multipliers."""

# Legend: O outputs; C channels.

from __future__ import annotations

import math

import torch
from torch import Tensor

from codesign.config import QuantizeConfig
from codesign.errors import ConfigError, ModelError
from codesign.ir.types import IntType
from codesign.nn.layers import Add, Conv, Identity, Linear
from codesign.nn.units import MAX_EXPONENT, MAX_SHIFT, Unit

SAMPLE = 1 << 17  # values of one tensor that a scale is chosen on
OCTAVES = 5  # powers of two tried, from the first that clips nothing
SHRINKS = 40  # weight scales tried per output, between a third of and the whole range
HEADROOM = 1.5  # of logits over the largest seen in calibration
LOGIT_BITS = "quantize.logit_bits"
MAX_FACTOR = 1 << 20  # between the scales of an add's inputs
WIDE_BITS = 60  # of acc * multiplier, below the 63 that requantize allows


def calibrate_output(unit: Unit, y: Tensor, config: QuantizeConfig) -> None:
    """Sets the unit's output exponent from its real outputs `y`: least squared error, or the configured logit scale."""
    if unit.step.logits:
        unit.exponent.fill_(logit_exponent(y, unit.y_dtype, config))
        return
    exponent = best_exponent(sample(y), unit.y_dtype)
    if isinstance(unit.step.layer, Add | Identity) and not unit.step.norms:
        exponent = max(exponent, unit.acc_exponent)  # a finer step than the input's holds nothing more
    unit.exponent.fill_(exponent)


def calibrate_gain(unit: Unit, config: QuantizeConfig) -> None:
    """Sets the unit's multipliers and shift, and thereby its weight scales, once its grids are known."""
    check_factors(unit, unit.step.name)
    if unit.weight is None:
        ratio = unit.gain * 2.0 ** (unit.acc_exponent - unit.grid.exponent)
        multiplier, shift = integer_gain(ratio, multiplier_bits(unit, config))
    else:
        scale = weight_scale(unit.weight.detach().double().flatten(1), unit.weight_top, config.scales == "per-channel")
        ratio = scale * 2.0 ** (unit.acc_exponent - unit.grid.exponent)
        multiplier, shift = integer_gain(ratio, multiplier_bits(unit, config), upwards=True)
    unit.multiplier.copy_(multiplier)
    unit.shift.fill_(shift)


def check_factors(unit: Unit, where: str) -> None:
    """Raises ModelError for an add whose inputs are too far apart for one integer to hold both."""
    if max(unit.factors) > MAX_FACTOR:
        raise ModelError(
            f"{unit.step.name} adds values whose scales differ {max(unit.factors)} times",
            where=where,
            hint="put a batch norm behind both branches, and train again",
        )


def best_exponent(values: Tensor, dtype: IntType) -> int:
    """The exponent of the power-of-two scale with the least squared error when `values` become `dtype` codes."""
    reach = max(float(values.max()) / dtype.max, float(values.min()) / dtype.min if dtype.signed else 0.0)
    first = math.ceil(math.log2(reach if reach > 0 else 1.0 / dtype.max))  # a value that was always 0 gets 0..1
    errors = {e: _squared_error(values, dtype, 2.0**e) for e in range(first, first - OCTAVES, -1)}
    return min(max(min(errors, key=errors.__getitem__), -MAX_EXPONENT), MAX_EXPONENT)


def logit_exponent(logits: Tensor, dtype: IntType, config: QuantizeConfig) -> int:
    """-logit_fraction_bits, or as much more as the logits seen in calibration need to fit with headroom.

    Raises ConfigError when not even whole logits fit.
    """
    largest = HEADROOM * float(logits.abs().max())
    needed = math.ceil(math.log2(largest / dtype.max)) if largest > 0 else -config.logit_fraction_bits
    if needed > 0:
        raise ConfigError(f"logits up to {largest:.0f} do not fit {dtype}", where=LOGIT_BITS, hint="use more bits")
    return max(-config.logit_fraction_bits, needed)


def weight_scale(weight_OI: Tensor, top: int, per_output: bool) -> Tensor:
    """The scale of every output (O,) with the least squared error; one power of two for all unless `per_output`."""
    largest = weight_OI.abs().amax(1)
    if not per_output:
        peak = float(largest.max())
        first = 2.0 ** math.ceil(math.log2(peak / top)) if peak > 0 else 1.0
        candidates = [torch.full_like(largest, first / 2**k) for k in range(OCTAVES)]
        errors = [float(_weight_error(weight_OI, scale, top).sum()) for scale in candidates]
        return candidates[errors.index(min(errors))]
    whole = largest / top
    whole = torch.where(whole > 0, whole, whole.max() if bool(whole.max() > 0) else torch.ones_like(whole))
    candidates_SO = torch.linspace(1.0, 1 / 3, SHRINKS, dtype=whole.dtype)[:, None] * whole
    errors_SO = torch.stack([_weight_error(weight_OI, scale, top) for scale in candidates_SO])
    return candidates_SO.gather(0, errors_SO.argmin(0, keepdim=True))[0]


def integer_gain(ratio_C: Tensor, bits: int, *, upwards: bool = False) -> tuple[Tensor, int]:
    """Integers and a shift with `multiplier * 2**-shift` near `ratio`: the largest multiplier has `bits` bits.

    One power of two for all channels becomes multiplier 1 and a shift. Multipliers are rounded to nearest, or upwards.
    """
    largest = float(ratio_C.abs().max())
    if largest == 0:
        return torch.zeros_like(ratio_C).long(), 0
    mantissa, exponent = math.frexp(largest)
    if mantissa == 0.5 and bool((ratio_C == largest).all()):
        shift = min(max(1 - exponent, 0), MAX_SHIFT)
        return torch.full_like(ratio_C, max(1, largest * 2.0**shift)).long(), shift
    top = (1 << bits) - 1
    shift = min(max(math.floor(math.log2(top / largest)), 0), MAX_SHIFT)
    if shift and math.ceil(largest * 2.0**shift) > top:
        shift -= 1
    scaled = ratio_C * 2.0**shift
    return (scaled.ceil() if upwards else scaled.round()).long(), shift


def multiplier_bits(unit: Unit, config: QuantizeConfig) -> int:
    """The configured bits, or fewer where the widest accumulator leaves no room for them."""
    bits = max(grid.dtype.bits for grid in unit.x_grids)
    if isinstance(unit.step.layer, Conv | Linear):
        assert unit.weight is not None
        bits += unit.weight_bits + math.ceil(math.log2(unit.weight[0].numel()))
    else:
        bits += max(unit.factors).bit_length() + 16  # 16: a sum of up to 65,536 positions
    return max(1, min(config.multiplier_bits, WIDE_BITS - bits))


def sample(values: Tensor) -> Tensor:
    """At most SAMPLE of the values, evenly spread, with the extremes kept."""
    flat = values.flatten()
    if flat.numel() <= SAMPLE:
        return flat
    spread = flat[:: flat.numel() // SAMPLE + 1]
    return torch.cat([spread, flat.max()[None], flat.min()[None]])


def _squared_error(values: Tensor, dtype: IntType, scale: float) -> float:
    codes = (values / scale).round().clamp(dtype.min, dtype.max)
    return float((codes * scale - values).double().square().mean())


def _weight_error(weight_OI: Tensor, scale_O: Tensor, top: int) -> Tensor:
    codes = (weight_OI / scale_O[:, None]).round().clamp(-top, top)
    return (codes * scale_O[:, None] - weight_OI).square().sum(1)
