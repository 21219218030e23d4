"""Nearest neighbours of each species with freud, in periodic boxes of any size and tilt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import box_matrix, wrap

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: How many neighbours of each species (cube, sphere) are looked at: the fullest shells of the templates
#: (20 cubes around an ABO3 sphere, 12 spheres around a NaCl sphere) plus those that noise puts out of order.
NEIGHBOURS = (26, 16)
#: Search radius over (V/N)^(1/3). The farthest template place lies at 1.8 (NaCl), 1.7 (ABO3) and 1.42 (SC) of it in
#: the perfect crystal; voids elsewhere in the box only make the radius larger.
REACH = 2.4


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of one species, nearest first.

    Attributes:
        index: (N, K) particle numbers; -1 where fewer than K were found.
        vectors: (N, K, 3) from the particle to the neighbour; infinite where there is none.
    """

    index: NDArray[np.int64]
    vectors: FloatArray


def neighbours_by_species(positions: FloatArray, box: FloatArray, is_cube: BoolArray) -> tuple[Neighbours, Neighbours]:
    """The nearest cubes and the nearest spheres of every particle.

    freud refuses a search radius above half the box, so a small box is repeated first; a neighbour may then be a
    periodic image of the particle itself.

    Args:
        positions: (N, 3) in any unit of length.
        box: (6,) Lx, Ly, Lz, xy, xz, yz.
        is_cube: (N,); the others are spheres.
    """
    n = len(positions)
    reach = REACH * (float(np.prod(box[:3])) / n) ** (1 / 3)
    # Lengths in units of reach: freud stores single precision and has absolute cut-offs, while nothing here may
    # depend on the unit of length.
    repeated, big_box, origin = _repeat(positions / reach, np.concatenate([box[:3] / reach, box[3:]]))
    cube = is_cube[origin]
    points = repeated[:n]
    return (
        _nearest(points, repeated[cube], origin[cube], big_box, NEIGHBOURS[0], reach),
        _nearest(points, repeated[~cube], origin[~cube], big_box, NEIGHBOURS[1], reach),
    )


def _repeat(positions: FloatArray, box: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Positions repeated until a unit sphere fits in the box; the originals come first.

    Returns:
        (M, 3) positions, the (6,) box and the (M,) numbers of the original particles.
    """
    matrix = box_matrix(box)
    # Distances between opposite faces are the inverse lengths of the rows of the inverse matrix.
    heights = 1 / np.linalg.norm(np.linalg.inv(matrix), axis=1)
    counts = np.maximum(1, np.ceil(2.001 / heights)).astype(int)
    shifts = np.array([(i, j, k) for i in range(counts[0]) for j in range(counts[1]) for k in range(counts[2])])
    repeated = (positions[None] + (shifts @ matrix.T)[:, None]).reshape(-1, 3)
    # Tilts are ratios within one lattice vector (xy = b_x / Ly), so repeating leaves them as they are.
    big = np.concatenate([box[:3] * counts, box[3:]])
    return wrap(repeated, big)[0], big, np.tile(np.arange(len(positions)), len(shifts))


def _nearest(
    query: FloatArray, points: FloatArray, origin: NDArray[np.int64], box: FloatArray, k: int, unit: float
) -> Neighbours:
    import freud

    n = len(query)
    index = np.full((n, k), -1, dtype=np.int64)
    vectors = np.full((n, k, 3), np.inf)
    if not len(points):
        return Neighbours(index, vectors)
    tree = freud.locality.AABBQuery(freud.box.Box.from_box(box), points)
    found = tree.query(query, {"mode": "nearest", "num_neighbors": k + 1, "r_max": 1.0}).toNeighborList()
    i, j = found[:].T.astype(np.int64)
    separation = np.asarray(found.vectors, dtype=np.float64)
    distance = np.linalg.norm(separation, axis=1)
    # The particle itself: same number at distance zero (single precision in units of the search radius).
    keep = (origin[j] != i) | (distance > 1e-4)
    i, j, separation, distance = i[keep], j[keep], separation[keep], distance[keep]
    order = np.lexsort((distance, i))
    i, j, separation = i[order], j[order], separation[order]
    rank = np.arange(len(i)) - np.searchsorted(i, i)
    keep = rank < k
    index[i[keep], rank[keep]] = origin[j[keep]]
    vectors[i[keep], rank[keep]] = separation[keep] * unit
    return Neighbours(index, vectors)
