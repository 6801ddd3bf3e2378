"""exit_decision: does this frame stop here? Entropy, max-probability or margin of its logits against a threshold.

Every criterion is an integer *confidence code* compared with an integer threshold, so the host can replay any threshold
on recorded codes. Entropy and probability are bounded from the safe side: when the unit exits, the true value of the
quantized logits meets the threshold. No division, no multiplication, no floating point. Proofs: docs/exit_unit.md.
"""

# Legend: N frames; C classes. S and U sum the two exponential tables over the classes, in units of 2**-fraction_bits.
from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from codesign.errors import ConfigError, GraphError
from codesign.ir.types import Codes, IntType, TensorType
from codesign.ops.base import Example, Folding, Op, Rom, Schedule, Unit, Work
from codesign.ops.exit_tables import (
    LOG_GUARD_BITS,
    MAX_ADDRESS_BITS,
    EntropyTables,
    ExpTables,
    Ints,
    address_bits,
    clips_safely,
    entropy_codes,
    entropy_rom,
    entropy_tables,
    fraction_bits_for,
    probability_rom,
)
from codesign.ops.exit_widths import comparison_types, entropy_types, sum_types, unit_work

Bools = npt.NDArray[np.bool_]

# Confidence code in bits 31..0 (saturating), class in 46..32, exited in 47.
DECISION_TYPE = IntType(48, signed=False)
THRESHOLD_TYPE = IntType(32, signed=False)
CRITERIA = ("entropy", "max-probability", "margin")


@dataclass(frozen=True, slots=True)
class ExitDecision(Op):
    """One decision word a frame, from its logits and the register %threshold (see `threshold_code`).

        entropy          exit when the entropy in nats is below the threshold
        max-probability  exit when the largest softmax probability is above it
        margin           exit when the largest logit leads the second by more

    The class is the smallest index of a largest logit. `fraction_bits` and `entries` shape the exponential table; a
    margin needs none and has 0 of both. `for_logits` chooses them.
    """

    name: ClassVar[str] = "exit_decision"
    registers: ClassVar[int] = 1

    criterion: str
    classes: int
    scale: float
    fraction_bits: int
    entries: int

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            raise ValueError(f"criterion must be one of {', '.join(CRITERIA)}, not {self.criterion!r}")
        if not 2 <= self.classes <= 4096:
            raise ValueError(f"classes must be in 2..4096, not {self.classes!r}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale must be a positive number, not {self.scale!r}")
        if self.criterion == "margin":
            if (self.fraction_bits, self.entries) != (0, 0):
                raise ValueError("a margin has no table: fraction_bits and entries must be 0")
            return
        if not 12 <= self.fraction_bits <= 24:
            raise ValueError(f"fraction_bits must be in 12..24, not {self.fraction_bits!r}")
        if self.entries not in (1 << bits for bits in range(1, MAX_ADDRESS_BITS + 1)):
            raise ValueError(f"entries must be a power of two in 2..{1 << MAX_ADDRESS_BITS}, not {self.entries!r}")

    @staticmethod
    def for_logits(
        logits: TensorType, criterion: str = "entropy", min_threshold: float = 0.02, fraction_bits: int = 0
    ) -> ExitDecision:
        """The unit for these logits, precise enough for thresholds down to `min_threshold`.

        That is in nats for the entropy, and a bound on 1 / C - 1 for a probability threshold C.
        """
        if logits.scale is None:
            raise GraphError("the logits have no single scale", hint="requantize them first")
        if not min_threshold > 0:
            raise ConfigError(f"min_threshold must be above 0, not {min_threshold!r}", where="exit")
        if criterion == "margin":
            return ExitDecision(criterion, logits.channels, logits.scale, 0, 0)
        fraction_bits = fraction_bits or fraction_bits_for(logits.channels, min_threshold)
        bits = address_bits(logits.scale, fraction_bits, logits.dtype.bits)
        if bits > MAX_ADDRESS_BITS:
            raise GraphError(f"logits of scale {logits.scale} need 2^{bits} table entries", hint="requantize to 2^-6")
        return ExitDecision(criterion, logits.channels, logits.scale, fraction_bits, 1 << bits)

    def infer(self, *x: TensorType) -> TensorType:
        logits, threshold = x
        if logits.shape != (1, 1, self.classes):
            raise GraphError(f"{logits} are not {self.classes} logits", hint="flatten them, one channel a class")
        if logits.scale != self.scale:
            raise GraphError(f"the logits' scale is {logits.scale}, the unit's {self.scale}", hint="use for_logits")
        if logits.dtype.bits > 32:
            raise GraphError(f"logits of {logits.dtype.bits} bits", hint="requantize them to at most 32 bits")
        short = 0 < self.entries < 1 << logits.dtype.bits
        if short and not clips_safely(self.scale, self.fraction_bits, self.entries):
            raise GraphError(f"{self.entries} table entries are too few for {logits}", hint="use for_logits")
        if threshold.shape != (1, 1, 1) or threshold.dtype != THRESHOLD_TYPE:
            raise GraphError(f"{threshold} is not a threshold", hint=f"use a {THRESHOLD_TYPE}[1x1x1] register")
        return TensorType((1, 1, 1), DECISION_TYPE)

    def golden(self, *x: Codes) -> Codes:
        logits_NHWC, threshold = x
        classes_N, codes_N = self.evaluate(logits_NHWC.reshape(-1, self.classes))
        exited_N = self.decide(codes_N, int(np.asarray(threshold).reshape(())))
        return self.pack(exited_N, classes_N, codes_N).reshape(-1, 1, 1, 1)

    def evaluate(self, logits_NC: Codes) -> tuple[Ints, Ints]:
        """The class and the confidence code of every frame, whatever the threshold."""
        logits_NC = np.asarray(logits_NC, np.int64)
        classes_N = logits_NC.argmax(axis=1)
        distances_NC = logits_NC.max(axis=1, keepdims=True) - logits_NC
        if self.criterion == "margin":
            codes_N = np.partition(distances_NC, 1, axis=1)[:, 1]
        else:
            codes_N = self._softmax_codes(distances_NC)
        return classes_N, np.minimum(codes_N, THRESHOLD_TYPE.max)

    def _softmax_codes(self, distances_NC: Ints) -> Ints:
        tables = self._exp_tables
        at_NC = np.minimum(distances_NC, self.entries - 1)
        sum_N = tables.exp_D[at_NC].sum(axis=1)
        if self.criterion == "max-probability":
            return sum_N - self._one
        return entropy_codes(sum_N, tables.weighted_D[at_NC].sum(axis=1), self._entropy_tables, self.fraction_bits)

    @property
    def _one(self) -> int:
        return 1 << self.fraction_bits

    @property
    def _exp_tables(self) -> ExpTables:
        rom = entropy_rom if self.criterion == "entropy" else probability_rom
        return rom(self.scale, self.fraction_bits, self.entries)

    @property
    def _entropy_tables(self) -> EntropyTables:
        return entropy_tables(self.classes, self.scale, self.fraction_bits, self.entries)

    # Thresholds and codes, for the host.

    def decide(self, codes_N: Ints, threshold_code: int) -> Bools:
        """Which frames exit, given their confidence codes; the very comparison the hardware makes."""
        return codes_N > threshold_code if self.criterion == "margin" else codes_N < threshold_code

    def threshold_code(self, value: float) -> int:
        """The register's value for a threshold in nats, probability or logit units. Raises ConfigError out of range."""
        low, high = self.threshold_range
        if not low <= value <= high:
            raise ConfigError(
                f"a threshold of {value!r} is out of range for {self.criterion}",
                where="exit",
                hint=f"use {low:g} to {high:g} {self.unit}",
            )
        return min(THRESHOLD_TYPE.max, self._floor_code(value))

    def _floor_code(self, value: float) -> int:
        """The last code on the safe side of `value`, which `decide` compares with strictly: no rounding on the way."""
        exact = Fraction(float(value))
        if self.criterion == "margin":
            return math.floor(exact / Fraction(self.scale))
        return math.floor((exact if self.criterion == "entropy" else 1 / exact - 1) * self._one)

    def threshold_value(self, code: int) -> float:
        """A threshold whose code is `code`."""
        value = self._real(code)
        toward = 0.0 if self.criterion == "max-probability" else math.inf  # where codes grow
        return value if self._floor_code(value) >= code else math.nextafter(value, toward)

    def confidence(self, code: int) -> float:
        """What a confidence code says of its frame: entropy at most, probability at least, or margin exactly this."""
        saturated = self.criterion == "max-probability" and code == THRESHOLD_TYPE.max
        return 1 / self.classes if saturated else self._real(code)

    def _real(self, code: int) -> float:
        if self.criterion == "margin":
            return code * self.scale
        return code / self._one if self.criterion == "entropy" else self._one / (self._one + code)

    @property
    def never(self) -> int:
        """The threshold code at which no frame exits."""
        return THRESHOLD_TYPE.max if self.criterion == "margin" else 0

    @property
    def unit(self) -> str:
        return {"entropy": "nats", "max-probability": "probability", "margin": "logit units"}[self.criterion]

    @property
    def threshold_range(self) -> tuple[float, float]:
        if self.criterion == "entropy":
            return 0.0, math.log(self.classes)
        if self.criterion == "max-probability":
            return 1.0 / self.classes, 1.0
        return 0.0, THRESHOLD_TYPE.max * self.scale

    @staticmethod
    def pack(exited_N: Bools, classes_N: Ints, codes_N: Ints) -> Ints:
        """Decision words."""
        return codes_N | classes_N << 32 | exited_N.astype(np.int64) << 47

    @staticmethod
    def unpack(words: Ints) -> tuple[Bools, Ints, Ints]:
        """Exited, class and confidence code of decision words, each in the words' shape; higher bits are ignored."""
        words = np.asarray(words, np.int64)
        return (words >> 47 & 1).astype(bool), words >> 32 & 0x7FFF, words & 0xFFFFFFFF

    def foldings(self, *x: TensorType) -> tuple[Folding, ...]:
        return (Folding(1, 1),)

    def y_lanes(self, folding: Folding) -> int:
        return 1

    def cycles(self, folding: Folding, *x: TensorType) -> int:
        """Read every class; look every class up and drain; normalize and refine the entropy; write."""
        if self.criterion == "margin":
            return self.classes + 1
        refine = 1 + self._entropy_tables.steps if self.criterion == "entropy" else 0
        return 2 * self.classes + 1 + refine + 1

    def schedule(self, folding: Folding, frames: int, *x: TensorType) -> Schedule:
        period = self.cycles(folding, *x)
        starts = np.arange(frames, dtype=np.int64) * period
        reads = (starts[:, None] + np.arange(self.classes)).reshape(-1)
        return Schedule(frames * period, (reads,), starts + period - 1)

    def work(self, folding: Folding, *x: TensorType) -> Work:
        logits = x[0]
        steps = self._entropy_tables.steps if self.criterion == "entropy" else 0
        return unit_work(self.classes, self._entries(logits), steps, logits, self._types(logits))

    def hls(self, folding: Folding, *x: TensorType) -> Mapping[str, Any]:
        logits = x[0]
        entries = self._entries(logits)
        facts: dict[str, Any] = {**self._types(logits), "entries": entries, "steps": 0}
        if self.criterion == "margin":
            return facts
        facts |= {"rom": self._exp_tables.words_D[:entries], "weighted_bits": self._exp_tables.weighted_bits}
        if self.criterion == "max-probability":
            return facts
        tables = self._entropy_tables
        return facts | {
            "steps": tables.steps,
            "ln_step": tables.ln_step_K,
            "ln_power": tables.ln_power_P,
            "log_guard_bits": LOG_GUARD_BITS,
        }

    def rtl(self, folding: Folding, *x: TensorType) -> Unit:
        logits = x[0]
        module = "cs_exit_" + self.criterion.replace("-", "_")
        facts = {"CLASSES": self.classes, "X_BITS": logits.dtype.bits, "X_SIGNED": int(logits.dtype.signed)}
        if self.criterion == "margin":
            return Unit(module, facts, latency=1, registers=("threshold",))
        kinds, entries = self._types(logits), self._entries(logits)
        facts |= {"ENTRIES": entries, "WORD_BITS": kinds["word_type"].bits, "FRACTION_BITS": self.fraction_bits}
        roms = (Rom("rom", self._exp_tables.words_D[:entries, None], kinds["word_type"].bits),)
        if self.criterion == "entropy":
            tables, ln_bits = self._entropy_tables, kinds["ln_type"].bits
            facts |= {"WEIGHTED_BITS": self._exp_tables.weighted_bits, "GUARD_BITS": LOG_GUARD_BITS}
            facts |= {"STEPS": tables.steps, "LN_BITS": ln_bits, "CODE_BITS": kinds["code_type"].bits}
            roms += (Rom("ln", tables.ln_factor_F[None], ln_bits, fixed=True),)
        memory = (self.classes, logits.dtype.bits)
        return Unit(module, facts, latency=2, roms=roms, registers=("threshold",), memory=memory)

    def _entries(self, logits: TensorType) -> int:
        """Table entries that these logits can reach."""
        return min(self.entries, 1 << logits.dtype.bits)

    def _types(self, logits: TensorType) -> dict[str, IntType]:
        """The exact type of every value in the unit, from its largest possible value."""
        kinds = comparison_types(self.classes, logits)
        if self.criterion != "margin":
            kinds |= sum_types(
                self.classes, self.fraction_bits, self._entries(logits), int(self._exp_tables.words_D.max())
            )
        if self.criterion == "entropy":
            kinds |= entropy_types(self.classes, self.fraction_bits, self._entropy_tables)
        return kinds

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        threshold = TensorType((1, 1, 1), THRESHOLD_TYPE)

        def case(classes: int, dtype: IntType, scale: float, criterion: str, fraction_bits: int = 0) -> Example:
            logits = TensorType((1, 1, classes), dtype, scale)
            return Example(cls.for_logits(logits, criterion, fraction_bits=fraction_bits), (logits, threshold))

        s6, s12, s32, u8 = IntType(6), IntType(12), IntType(32), IntType(8, signed=False)
        return (
            case(10, s12, 2.0**-6, "entropy"),
            case(2, s6, 0.25, "entropy", 24),
            case(3, u8, 0.3, "entropy"),
            case(100, s12, 2.0**-6, "entropy"),
            case(7, s32, 3.7, "entropy", 12),
            case(10, s12, 2.0**-6, "max-probability"),
            case(300, s6, 0.25, "max-probability", 24),
            case(10, s12, 2.0**-6, "margin"),
            case(2, s32, 1e-6, "margin"),
        )
