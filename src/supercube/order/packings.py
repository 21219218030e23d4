"""Disordered packings of soft spheres in periodic boxes, for the generated samples that the classifier is judged by.

Random points are pushed apart until no two particles overlap (a fluid), or while the box shrinks until they cannot be
pushed apart any more (a random packing); a box compressed beyond that is a glass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import box_matrix
from ..errors import InputError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

#: Energy a particle (in units of the spring constant) below which particles count as apart: an overlap of 1 % of the
#: diameter with each of six neighbours costs 3e-4.
APART = 1e-5
#: Search radius over the contact distance, so that a neighbour list serves some steps of the minimiser.
_SKIN = 1.15
#: Steps of the minimiser between two neighbour lists.
_STEPS = 25
#: Packing fractions of the first and the last box that is tried, and the step from one to the next.
_LOOSE, _TIGHT, _CLOSER = 0.54, 0.86, 0.03


@dataclass(frozen=True)
class Pairs:
    """Pairs of particles in a periodic box; each appears in both orders.

    Attributes:
        first: (P,) particle numbers.
        second: (P,) particle numbers; the same as ``first`` where a particle meets its own image.
        vectors: (P, 3) from the first to that image of the second.
        distances: (P,).
    """

    first: IndexArray
    second: IndexArray
    vectors: FloatArray
    distances: FloatArray

    def take(self, rows: BoolArray) -> Pairs:
        """Those of some rows."""
        return Pairs(self.first[rows], self.second[rows], self.vectors[rows], self.distances[rows])


def heights(matrix: FloatArray) -> FloatArray:
    """(3,) distances between opposite faces of a box whose lattice vectors are the columns of ``matrix``.

    Formula: the inverse lengths of the rows of the inverse matrix.
    """
    return np.asarray(1.0 / np.linalg.norm(np.linalg.inv(matrix), axis=1))


def pairs_within(positions: FloatArray, box: FloatArray, reach: float) -> Pairs:
    """All pairs closer than ``reach`` in a periodic box of any tilt.

    Raises:
        InputError: the box is thinner than ``reach``, so that second images would be missed.
    """
    from scipy.spatial import cKDTree

    matrix = box_matrix(box)
    margins = reach / heights(matrix)
    if (margins > 1).any():
        raise InputError(f"the box is {heights(matrix).min():.3g} thick; expected at least the reach {reach:.3g}.")
    fractional = positions @ np.linalg.inv(matrix).T
    inside = fractional - np.floor(fractional + 0.5)
    images, origin = inside, np.arange(len(inside))
    for axis, margin in enumerate(margins):
        for low, step in ((-0.5, 1.0), (0.5, -1.0)):
            # Copies of what was there before this axis only: an image of an image along one axis is never needed.
            near = np.abs(images[:, axis] - low) <= margin
            near &= np.abs(images[:, axis]) <= 0.5
            images = np.concatenate([images, images[near] + step * np.eye(3)[axis]])
            origin = np.concatenate([origin, origin[near]])
    points = images @ matrix.T
    own = points[: len(positions)]
    found = cKDTree(own).sparse_distance_matrix(cKDTree(points), reach, output_type="ndarray")
    found = found[found["i"] != found["j"]]
    first, image = found["i"], found["j"]
    return Pairs(first, origin[image], points[image] - own[first], found["v"])


def relaxed(
    positions: FloatArray, box: FloatArray, diameters: FloatArray, free: BoolArray | None = None, rounds: int = 20
) -> tuple[FloatArray, float]:
    """Positions at a minimum of E = sum over pairs of (1 - r/sigma)^2 / 2 for r < sigma = (d_i + d_j)/2.

    Args:
        positions: (N, 3).
        box: (6,) as in :func:`.configuration.box_matrix`.
        diameters: (N,).
        free: (N,) particles that may move; all if left out.
        rounds: neighbour lists at most; the minimum may not be reached, which only makes a packing softer.

    Returns:
        (N, 3) positions, not wrapped, and the energy a particle.
    """
    moving = np.ones(len(positions), dtype=bool) if free is None else free
    pairs, sigma, energy = _overlapping(positions, box, diameters)
    for _ in range(rounds):
        # Judged with fresh neighbours, since particles that moved far meet others than those in the list.
        if energy < APART:
            break
        positions = _minimised(positions, pairs, sigma, moving)
        pairs, sigma, energy = _overlapping(positions, box, diameters)
    return positions, energy


def _overlapping(positions: FloatArray, box: FloatArray, diameters: FloatArray) -> tuple[Pairs, FloatArray, float]:
    """Pairs that overlap or might soon, each once, their contact distances, and the energy a particle."""
    pairs = pairs_within(positions, box, _SKIN * float(diameters.max()))
    sigma = (diameters[pairs.first] + diameters[pairs.second]) / 2
    once = (pairs.first < pairs.second) & (pairs.distances < _SKIN * sigma)
    pairs, sigma = pairs.take(once), sigma[once]
    energy = float((np.maximum(1 - pairs.distances / sigma, 0.0) ** 2).sum() / 2)
    return pairs, sigma, energy / len(positions)


def _minimised(positions: FloatArray, pairs: Pairs, sigma: FloatArray, moving: BoolArray) -> FloatArray:
    from scipy.optimize import minimize

    n = len(positions)
    i, j = pairs.first, pairs.second
    # Which image of the second particle is meant.
    offsets = pairs.vectors - (positions[j] - positions[i])

    def energy_and_slope(flat: FloatArray) -> tuple[float, FloatArray]:
        places = flat.reshape(-1, 3)
        apart = places[j] - places[i] + offsets
        distance = np.maximum(np.linalg.norm(apart, axis=1), 1e-9)
        overlap = np.maximum(1 - distance / sigma, 0.0)
        pull = (overlap / (sigma * distance))[:, None] * apart
        slope = np.stack(
            [np.bincount(i, pull[:, k], minlength=n) - np.bincount(j, pull[:, k], minlength=n) for k in range(3)],
            axis=1,
        )
        return float((overlap**2).sum() / 2), (slope * moving[:, None]).ravel()

    result = minimize(
        energy_and_slope, positions.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "ftol": 1e-12}
    )
    return np.asarray(result.x).reshape(-1, 3)


def jammed(positions: FloatArray, box: FloatArray, diameters: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Positions and box where spheres can no longer be pushed apart, compressed from a loose random box.

    Formula: the packing fraction sum of pi d^3 / 6 over V grows from 0.54 in steps of 0.03, relaxed at each, until the
    energy stays above ``APART``; the last of these boxes is returned, at most 0.03 above random close packing.
    """
    volume = float(np.pi / 6 * (diameters**3).sum())
    for fraction in np.arange(_LOOSE, _TIGHT, _CLOSER):
        scale = (volume / fraction / float(np.prod(box[:3]))) ** (1 / 3)
        positions, box = positions * scale, np.concatenate([box[:3] * scale, box[3:]])
        positions, energy = relaxed(positions, box, diameters)
        if energy > APART:
            break
    return positions, box
