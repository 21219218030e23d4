"""Neighbours in a stacking of close-packed planes: fcc, its twins and hcp with the planes in common.

A random stacking of close-packed planes is one crystal, though its layers are in part fcc, in part hcp, and in part fcc
of the other sense: neighbours support each other if their close-packed planes and the rows in them are the same.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from .agreement import GRAIN, rows_of
from .references import templates
from .regions import Regions

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Rotation from the axes of hcp (a along x, c along z) to those of fcc: c along [111], a along [1 -1 0].
_HEXAGONAL = np.column_stack(
    [
        np.array([1.0, -1.0, 0.0]) / np.sqrt(2),
        np.array([1.0, 1.0, -2.0]) / np.sqrt(6),
        np.array([1.0, 1.0, 1.0]) / np.sqrt(3),
    ]
)


#: Least share of the first shell: two vacancies in twelve.
FULL = 10 / 12


@cache
def _relations() -> dict[tuple[str, str], FloatArray]:
    """(first, second) -> (r, 9) all rotations A^T B between axes A, B of layers of one stacking."""
    cubic, hexagonal = (next(t.group for t in templates() if t.label == label) for label in ("fcc", "hcp"))
    # A turn by 60 degrees about c, seen from fcc, is its twin; seen from hcp it is no turn at all.
    twin = _HEXAGONAL @ hexagonal @ _HEXAGONAL.T
    mixed = np.einsum("aij,jk,bkl->abil", cubic, _HEXAGONAL, hexagonal).reshape(-1, 3, 3)
    same = np.einsum("aij,bjk,ckl->abcil", cubic, twin, cubic).reshape(-1, 3, 3)
    return {
        ("fcc", "fcc"): _unique(same),
        ("fcc", "hcp"): _unique(mixed),
        ("hcp", "fcc"): _unique(np.swapaxes(mixed, 1, 2)),
    }


def _unique(rotations: FloatArray) -> FloatArray:
    return np.unique(np.round(rotations.reshape(-1, 9), 9), axis=0)


def stacked(found: Regions) -> BoolArray:
    """(N, T) neighbours on places that belong to the same stacking, in another layer: not those that agree anyway.

    Only of particles with at least FULL of their first shell: in the last layer of a crystal, with a fluid beside it,
    nothing tells fcc from hcp, and it belongs to the crystal that it continues.
    """
    result = np.zeros(found.neighbour.shape, dtype=bool)
    of_label = {label: [t.kind for t in templates() if t.label == label] for label in ("fcc", "hcp")}
    least = 1 + 2 * np.cos(np.radians(GRAIN))
    for site, some in rows_of(found):
        if site.label not in of_label:
            continue
        first = np.flatnonzero(site.shell == 0)
        rows = some[(found.neighbour[some][:, first] >= 0).sum(axis=1) >= FULL * len(first)]
        neighbour = found.neighbour[rows, : len(site.vectors)]
        for other, kinds in of_label.items():
            relations = _relations().get((site.label, other))
            if relations is None:
                continue
            i, t = np.nonzero((neighbour >= 0) & np.isin(found.kind[neighbour], kinds))
            relative = np.swapaxes(found.pose.frame[rows[i]], 1, 2) @ found.pose.frame[neighbour[i, t]]
            result[rows[i], t] |= (relative.reshape(-1, 9) @ relations.T).max(axis=1, initial=-1.0) > least
    return result
