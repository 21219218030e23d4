"""Do Gibbs energies of one crystal at several pressures agree with its volumes? A check that needs no further run.

Formula: dG/dP = V at constant temperature, so G(P2) - G(P1) - int V dP = 0 for every crystal. What is left is the
change of the error of the entropy from P1 to P2, for U and V are exact but for statistics.

Between the pressures V is interpolated in ln P, after its thermal part: V = x f kT/P + smooth. A crystal of hard bodies
on f coordinates a formula unit has x = 1 (free volume), one of rattling bodies or harmonic springs x = 0; the mean of
both is taken, and their difference over sqrt 12 (of a number anywhere between) is an error of the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .phases import PurePhase

FloatArray = NDArray[np.float64]

#: Nodes between two pressures; V P is a cubic times an exponential there, of which 12 leave 1e-10.
_NODES = 12


@dataclass(frozen=True)
class Mismatch:
    """G(high) - G(low) - int V dP of one crystal, kT per formula unit.

    Attributes:
        name: of the structure.
        size_ratio: gamma; 0 for cubes alone, which have none.
        ligand_length: lambda.
        attraction: kT.
        low, high: pressures, kT/e^3.
        coordinates: of a formula unit.
        value, error: with its standard error from H, S, V and the interpolation.
    """

    name: str
    size_ratio: float
    ligand_length: float
    attraction: float
    low: float
    high: float
    coordinates: int
    value: float
    error: float

    @property
    def excess(self) -> float:
        """What the error does not explain: sqrt(value^2 - error^2), 0 where the error is larger."""
        return _excess(self.value, self.error)


def checked(
    series: Mapping[float, PurePhase], size_ratio: float, ligand_length: float, attraction: float
) -> tuple[dict[float, PurePhase], list[Mismatch]]:
    """One crystal at several pressures with its ``mismatch`` entered, and the record between neighbours.

    Args:
        series: pressure -> the crystal.
        size_ratio: for the record.
        ligand_length: for the record.
        attraction: for the record.

    Returns:
        tuple: the series, and one record for each two neighbouring pressures with an entropy.
    """
    found = {pressure: series[pressure] for pressure in sorted(series)}
    pairs = mismatches(found)
    largest = max((_excess(*pair) for pair in pairs.values()), default=0.0)
    known = [pressure for pressure, phase in found.items() if phase.entropy is not None and not phase.lost]
    records = []
    for pressure in known:
        found[pressure] = replace(found[pressure], mismatch_largest=largest)
    for low, high in pairwise(known):
        value, error = pairs[low, high]
        phase = found[high] = replace(found[high], mismatch=value, mismatch_error=error)
        records.append(
            Mismatch(phase.name, size_ratio, ligand_length, attraction, low, high, phase.coordinates, value, error)
        )
    return found, records


def mismatches(series: Mapping[float, PurePhase]) -> dict[tuple[float, float], tuple[float, float]]:
    """(low, high) pressure -> G(high) - G(low) - int V dP and its error, between all pairs with an entropy.

    Volumes of runs without entropy help to interpolate.
    """
    alive = sorted(pressure for pressure, phase in series.items() if not phase.lost)
    energies = {
        pressure: (phase.enthalpy - phase.entropy, math.hypot(phase.enthalpy_error, phase.entropy_error))
        for pressure, phase in sorted(series.items())
        if phase.entropy is not None and not phase.lost
    }
    known = list(energies)
    if len(known) < 2:
        return {}
    pressures = np.array(alive)
    volumes = np.array([series[pressure].volume for pressure in alive])
    errors = np.array([series[pressure].volume_error for pressure in alive])
    thermal = series[alive[0]].coordinates
    steps = _integrals(pressures)
    found = {}
    for number, low in enumerate(known):
        for high in known[number + 1 :]:
            weights = steps[alive.index(low) : alive.index(high)].sum(axis=0)
            # By how much x = 1 gives another integral than x = 0.
            change = thermal * (math.log(high / low) - float(weights @ (1 / pressures)))
            integral = float(weights @ volumes) + 0.5 * change
            spread = math.hypot(abs(change) / math.sqrt(12), float(np.linalg.norm(weights * errors)))
            (below, below_error), (above, above_error) = energies[low], energies[high]
            found[low, high] = above - below - integral, math.hypot(spread, below_error, above_error)
    return found


def _integrals(pressures: FloatArray) -> FloatArray:
    """(n - 1, n) weights of the volumes in int V dP between neighbouring pressures, V being a cubic spline in ln P."""
    from scipy.interpolate import CubicSpline

    knots = np.log(pressures)
    spline = CubicSpline(knots, np.eye(len(knots)))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = np.diff(knots)[:, None] / 2
    x = knots[:-1, None] + half * (1 + nodes)
    return np.asarray(np.einsum("ij,ijk->ik", half * weights * np.exp(x), spline(x)))


def _excess(value: float, error: float) -> float:
    return math.sqrt(max(value**2 - error**2, 0.0))
