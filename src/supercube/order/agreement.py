"""Which neighbours agree: they are on the sites of their places, and their crystal axes are the same."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .matching import CHUNK
from .references import Template, templates
from .regions import Regions
from .symmetry import polar_rotation

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Largest angle between the crystal axes of neighbours, in degrees: fits to 14-26 particles at the Lindemann limit
#: scatter by 2-4 degrees. Particles in a grain boundary are turned by half of its angle (:mod:`.boundaries`).
GRAIN = 12.0
#: Fewer connected particles are no crystal: a particle and a shell of six, the fewest a configuration may have. In
#: random packings and glasses of 24,000 particles 15 are in such clusters, 90 in larger ones (of 7 to 21).
LEAST = 7


def rows_of(found: Regions, rows: BoolArray | None = None) -> Iterator[tuple[Template, IntArray]]:
    """Templates with some of the particles that belong to them; of all rows or of some."""
    kind = found.kind if rows is None else np.where(rows, found.kind, -1)
    for site in templates():
        whose = np.flatnonzero(kind == site.kind)
        for start in range(0, len(whose), CHUNK):
            yield site, whose[start : start + CHUNK]


@cache
def group_of(label: str) -> FloatArray:
    """(g, 3, 3) rotations of a crystal's system."""
    return next(site.group for site in templates() if site.label == label)


def by_label(kind: IntArray) -> Iterator[tuple[str, IntArray]]:
    """Crystals with the particles that belong to them, given the template of each particle."""
    names = [site.label for site in templates()]
    for label in dict.fromkeys(names):
        rows = np.flatnonzero(np.isin(kind, [k for k, name in enumerate(names) if name == label]))
        if len(rows):
            yield label, rows


def agreeing(found: Regions) -> BoolArray:
    """(N, T) neighbours on the sites of their places whose crystal axes are within GRAIN of the particle's own."""
    agree = np.zeros(found.neighbour.shape, dtype=bool)
    for site, rows in rows_of(found):
        neighbour = found.neighbour[rows, : len(site.vectors)]
        agree[rows, : len(site.vectors)] = (neighbour >= 0) & (found.kind[neighbour] == site.neighbour_kind)
    frames = found.pose.frame.copy()
    central = np.zeros(len(frames), dtype=bool)
    for label, rows in by_label(found.kind):
        reference = frames[rows[found.quality[rows].argmax()]]
        group = group_of(label)
        nearest = traces(reference[None], frames[rows], group).argmax(axis=1)
        frames[rows] = frames[rows] @ np.swapaxes(group, 1, 2)[nearest]
        mean = polar_rotation(frames[rows].sum(axis=0)[None])[0]
        # Two frames within half the limit of a third are within the limit: most pairs need no look.
        central[rows] = np.einsum("nij,ij->n", frames[rows], mean) > 1 + 2 * np.cos(np.radians(GRAIN / 2))
    for site, rows in rows_of(found):
        places = slice(0, len(site.vectors))
        neighbour = found.neighbour[rows, places]
        i, t = np.nonzero(agree[rows, places] & ~(central[rows, None] & central[neighbour]))
        agree[rows[i], t] = near(frames[rows[i]], frames[neighbour[i, t]], site.group)
    return agree


def near(first: FloatArray, second: FloatArray, group: FloatArray, limit: float = GRAIN) -> BoolArray:
    """(n,) whether two frames are within some degrees of each other, over a crystal's rotations."""
    least = 1 + 2 * np.cos(np.radians(limit))
    result = np.einsum("nij,nij->n", first, second) > least
    rest = np.flatnonzero(~result)
    result[rest] = traces(first[rest], second[rest], group).max(axis=1, initial=-1.0) > least
    return np.asarray(result)


def traces(first: FloatArray, second: FloatArray, group: FloatArray) -> FloatArray:
    """(n, g) tr((A g)^T B) of frames A, B: 1 + 2 cos of the angle between A g and B."""
    relative = np.swapaxes(first, -1, -2) @ second
    return np.asarray(relative.reshape(-1, 9) @ group.reshape(-1, 9).T)


def links(found: Regions, agree: BoolArray) -> csr_array:
    """Sparse (N, N) matrix of ones at the agreeing neighbours of each particle."""
    n = len(found.kind)
    # Rows of a sparse matrix as they stand: no sorting.
    ends = np.concatenate([[0], np.cumsum(agree.sum(axis=1))])
    return csr_array((np.ones(ends[-1]), found.neighbour[agree], ends), shape=(n, n))


def connected(found: Regions, agree: BoolArray) -> IntArray:
    """(N,) number of the connected component of agreeing neighbours that each particle is in, by first particle."""
    from scipy.sparse.csgraph import connected_components

    _, component = connected_components(links(found, agree), directed=True, connection="weak")
    return np.asarray(component, dtype=np.int64)
