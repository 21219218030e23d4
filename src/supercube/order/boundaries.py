"""Grain boundaries inside of connected crystallites.

Particles in a boundary are fitted across it: their axes lie between those of the two sides, each within
``agreement.GRAIN`` of the next, and chain the sides together. So three steps, as in density-based clustering:

1. *Inner* particles, of whose template's places at least INNER hold neighbours that agree with axes within ALIKE, form
   a piece with each other where they are such neighbours. In a boundary nobody is an inner particle.
2. All others join the piece that most of their neighbours are in, from the pieces outwards.
3. Pieces that touch and whose mean axes differ by less than GRAIN are one grain after all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .agreement import LEAST, by_label, group_of, near
from .references import templates
from .regions import Regions

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Share of the places of an inner particle's template: a particle in a flat face has 0.65 of them (SC).
INNER = 0.75
#: Largest angle between the axes of inner neighbours, in degrees: a particle in the middle of a boundary of GRAIN is
#: nearer than this to one side at most. At the Lindemann limits two fits differ by 2 (ABO3) to 4 degrees (NaCl, SC) and
#: most particles are still inner ones; the pieces that they may fall into are parallel, and united by step 3.
ALIKE = 5.0
#: Digits of mean qualities that count: the order of a sum changes the rest.
DIGITS = 9


def pieces(found: Regions, agree: BoolArray, whole: IntArray, frames: FloatArray) -> IntArray:
    """(N,) number of the piece that each particle is in, -1 for none.

    Args:
        found: what particles belong to.
        agree: (N, T) neighbours that agree.
        whole: (N,) number of the connected crystallite, -1 for those that are not looked at.
        frames: (N, 3, 3) crystal axes.
    """
    first, place = np.nonzero(agree & (whole >= 0)[:, None])
    second = found.neighbour[first, place].astype(np.int64)
    inner = _inner(found, first, second, frames)
    # Crystallites without enough inner particles stay whole.
    there = np.isin(whole, np.unique(whole[inner >= 0]))
    piece = np.where((whole >= 0) & ~there, whole + 1 + inner.max(initial=-1), inner)
    return _attached(ranked(piece, found.quality), np.append(first, second), np.append(second, first))


def _inner(found: Regions, first: IntArray, second: IntArray, frames: FloatArray) -> IntArray:
    """(N,) pieces of at least LEAST inner particles, -1 for all others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(found.kind)
    alike = np.zeros(len(first), dtype=bool)
    for label, rows in by_label(found.kind):
        some = np.flatnonzero(np.isin(first, rows))
        alike[some] = near(frames[first[some]], frames[second[some]], group_of(label), ALIKE)
    places = np.array([len(site.vectors) for site in templates()])[found.kind]
    inner = (found.kind >= 0) & (np.bincount(first, alike, minlength=n) >= INNER * places)
    links = alike & inner[first] & inner[second]
    ends = (first[links], second[links])
    _, piece = connected_components(coo_array((np.ones(links.sum()), ends), shape=(n, n)), directed=False)
    sizes = np.bincount(piece[inner], minlength=n)
    return np.where(inner & (sizes[piece] >= LEAST), piece, -1).astype(np.int64)


def _attached(piece: IntArray, first: IntArray, second: IntArray) -> IntArray:
    """Particles of no piece join that of most of their neighbours, of equally many the first; round by round."""
    piece, count = piece.copy(), int(piece.max(initial=-1)) + 1
    while True:
        links = (piece[first] < 0) & (piece[second] >= 0)
        if not links.any():
            return piece
        key, votes = np.unique(first[links] * count + piece[second[links]], return_counts=True)
        who, whose = key // count, key % count
        order = np.lexsort((whose, -votes, who))
        chosen = order[np.unique(who[order], return_index=True)[1]]
        piece[who[chosen]] = whose[chosen]


def ranked(number: IntArray, quality: FloatArray) -> IntArray:
    """(N,) the same groups, numbered by their size, of equal ones by the mean quality of fit; -1 stays."""
    rows = np.flatnonzero(number >= 0)
    _, which, sizes = np.unique(number[rows], return_inverse=True, return_counts=True)
    mean = np.round(np.bincount(which, quality[rows], minlength=len(sizes)) / np.maximum(sizes, 1), DIGITS)
    rank = np.empty(len(sizes), dtype=np.int64)
    rank[np.lexsort((-mean, -sizes))] = np.arange(len(sizes))
    result = np.full(len(number), -1, dtype=np.int64)
    result[rows] = rank[which]
    return result


def touching(found: Regions, agree: BoolArray, number: IntArray) -> IntArray:
    """(m, 2) numbers of groups that hold neighbours that agree, each pair once, the smaller number first."""
    first, place = np.nonzero(agree & (number >= 0)[:, None])
    pairs = np.sort(number[np.stack([first, found.neighbour[first, place]], axis=1)], axis=1)
    return np.unique(pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs[:, 0] >= 0)], axis=0)
