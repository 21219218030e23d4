"""Nearest neighbours of each species, in periodic boxes of any size and tilt.

By a k-d tree over the particles and the images that stick out of the box by the search radius: for the 26th neighbour
it is four times as fast as freud, whose lists have to be sorted afterwards, and it takes boxes of any size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import box_matrix

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: How many neighbours of each species (cube, sphere) are looked at: the fullest shells of the templates
#: (24 cubes around a CaB6 sphere, 18 spheres around one of fcc) plus those that noise puts out of order.
NEIGHBOURS = (26, 20)
#: The same where there is one species only.
ALONE = 24
#: Search radius over (V/N)^(1/3), N being the number of particles of the species that is looked for. The farthest
#: template place lies at 1.8 (NaCl), 1.7 (ABO3) and 1.42 (SC) of it in the perfect crystal, with all particles for N;
#: voids elsewhere in the box, and others of another size, only make the radius larger.
REACH = 2.4


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of one species, nearest first.

    Attributes:
        index: (N, K) particle numbers; -1 where fewer than K were found.
        vectors: (N, K, 3) from the particle to the neighbour; zero where there is none.
        squares: (N, K) squared distances; infinite where there is none.
    """

    index: NDArray[np.int32]
    vectors: NDArray[np.float32]
    squares: NDArray[np.float32]


@dataclass(frozen=True)
class Surroundings:
    """Neighbours of all species.

    Attributes:
        of: neighbours among the cubes and among the spheres.
        unit: length that vectors, squares and spacings are in units of.
        spacing: (N,) mean distance of the six nearest particles of any species; infinite if there is none.
    """

    of: tuple[Neighbours, Neighbours]
    unit: float
    spacing: FloatArray

    def __getitem__(self, species: int) -> Neighbours:
        """Of one species (0: cubes, 1: spheres)."""
        return self.of[species]

    def nearest(self, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(N, count) numbers and squared distances of the nearest particles of any species, nearest first."""
        squares = np.concatenate([part.squares[:, :count] for part in self.of], axis=1)
        index = np.concatenate([part.index[:, :count] for part in self.of], axis=1)
        order = np.argsort(squares, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(index, order, axis=1), np.take_along_axis(squares, order, axis=1)


#: Particles looked up at a time.
_CHUNK = 20_000
#: Neighbours that the spacing is taken from: the fewest that a particle of any crystal touches in the mean.
_FIRST = 6


def neighbours_by_species(positions: FloatArray, box: FloatArray, is_cube: BoolArray) -> Surroundings:
    """The nearest cubes and the nearest spheres of every particle.

    In a small box a neighbour may be a periodic image of the particle itself.

    Args:
        positions: (N, 3) in any unit of length.
        box: (6,) Lx, Ly, Lz, xy, xz, yz.
        is_cube: (N,); the others are spheres.
    """
    n = len(positions)
    reach = REACH * (float(np.prod(box[:3])) / n) ** (1 / 3)
    # Lengths in units of reach: nothing here may depend on the unit of length.
    matrix = box_matrix(np.concatenate([box[:3] / reach, box[3:]]))
    fractional = (positions / reach) @ np.linalg.inv(matrix).T
    fractional -= np.floor(fractional)
    mixed = bool(is_cube.any() and not is_cube.all())
    cubes, spheres = NEIGHBOURS if mixed else (ALONE, ALONE)
    found = Surroundings(
        (
            _nearest(fractional, matrix, np.flatnonzero(is_cube), cubes),
            _nearest(fractional, matrix, np.flatnonzero(~is_cube), spheres),
        ),
        reach,
        np.full(n, np.inf),
    )
    distances = np.sqrt(found.nearest(_FIRST)[1].astype(float))
    there = np.isfinite(distances)
    count = there.sum(axis=1)
    np.divide(np.where(there, distances, 0.0).sum(axis=1), count, out=found.spacing, where=count > 0)
    return found


def _images(fractional: FloatArray, matrix: FloatArray, radius: float) -> tuple[FloatArray, NDArray[np.int64]]:
    """Particles and their images within a radius of the box: places (M, 3) and numbers (M,)."""
    # Distances between opposite faces are the inverse lengths of the rows of the inverse matrix.
    margin = radius * np.linalg.norm(np.linalg.inv(matrix), axis=1) * (1 + 1e-9)
    places, numbers = fractional, np.arange(len(fractional))
    for axis in range(3):
        most = math.ceil(margin[axis])
        moved, whose = [], []
        for shift in range(-most, most + 1):
            along = places[:, axis] + shift
            keep = np.flatnonzero((along > -margin[axis]) & (along < 1 + margin[axis]))
            image = places[keep].copy()
            image[:, axis] += shift
            moved.append(image)
            whose.append(numbers[keep])
        places, numbers = np.concatenate(moved), np.concatenate(whose)
    return places @ matrix.T, numbers


def _nearest(fractional: FloatArray, matrix: FloatArray, chosen: NDArray[np.int64], k: int) -> Neighbours:
    """The k nearest of the chosen particles around every particle, up to the search radius."""
    from scipy.spatial import cKDTree

    n = len(fractional)
    found = Neighbours(
        np.full((n, k), -1, dtype=np.int32),
        np.zeros((n, k, 3), dtype=np.float32),
        np.full((n, k), np.inf, dtype=np.float32),
    )
    if not len(chosen):
        return found
    radius = (n / len(chosen)) ** (1 / 3)
    points, numbers = _images(fractional[chosen], matrix, radius)
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    whose = np.append(chosen[numbers], -1)
    points = np.vstack([points, np.zeros(3)])
    for start in range(0, n, _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, n))
        query = fractional[rows] @ matrix.T
        distance, near = tree.query(query, k + 1, distance_upper_bound=radius)
        # The particle itself: same number at distance zero, wherever it stands among coincident ones.
        itself = (whose[near] == rows[:, None]) & (distance < 1e-9)
        at = np.where(itself.any(axis=1), itself.argmax(axis=1), k)
        columns = np.arange(k) + (np.arange(k) >= at[:, None])
        distance, near = np.take_along_axis(distance, columns, 1), np.take_along_axis(near, columns, 1)
        there = np.isfinite(distance)
        found.index[rows] = whose[near]
        found.vectors[rows] = np.where(there[..., None], points[near] - query[:, None], 0.0)
        found.squares[rows] = distance**2
    return found
