"""What a check of the physics is: a number with its error, beside the number it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: What the engines are called in a report.
ENGINE_NAMES = {"lammps": "LAMMPS", "hoomd": "HOOMD-blue"}


def engine_label(name: str, version: str, device: str = "cpu") -> str:
    """An engine in a report: its name, its version, and the device if that is not the CPU."""
    return f"{ENGINE_NAMES.get(name, name)} {version}" + ("" if device == "cpu" else f" on {device}")


@dataclass(frozen=True)
class Check:
    """One measured number against its target.

    It passes if |value - target| <= tolerance + ``N_ERRORS`` error, and if the error is small enough to tell: at most
    ``largest_error``.

    Attributes:
        group: heading of the report under which it stands, such as ``Second virial coefficients``.
        name: what was measured, for which particles.
        engine: ``formula`` (no engine ran) or the engine with its version.
        value: measured.
        error: standard error of the value; 0 if it is exact.
        target: what it should be.
        source: of the target.
        tolerance: what is allowed beside the statistical error.
        why: reason of the tolerance, one sentence.
        largest_error: a larger error fails the check.
    """

    group: str
    name: str
    engine: str
    value: float
    error: float
    target: float
    source: str
    tolerance: float
    why: str
    largest_error: float = math.inf

    @property
    def deviation(self) -> float:
        """|value - target|; NaN if the value is none."""
        return abs(self.value - self.target)

    @property
    def passed(self) -> bool:
        """Whether the value agrees with its target, and was measured well enough to say so."""
        # Written so that NaN fails.
        return self.deviation <= self.tolerance + N_ERRORS * self.error and self.error <= self.largest_error


#: Standard errors that a right value may lie off: 3 is one false alarm in 370 for normal errors.
N_ERRORS = 3.0
