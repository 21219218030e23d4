"""How the crystal axes vary within a grain that is bent, or a mosaic of slightly turned parts.

Each particle's own axes err by 0.5 (2 % noise) to 3 degrees (Lindemann limit). Averaged over its neighbours and then
over theirs the error is a fifth of that in a periodic crystal and 0.3 in a free cluster, while bending remains.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .agreement import by_label, group_of, links
from .grains import Grains
from .recognise import Recognition

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: A grain is bent if its averaged axes vary by more than this share of the variation of the particles' own. Noise has
#: 0.12-0.23 in periodic crystals, up to 0.35 in free clusters (56-560 particles). Bending that stays below it is less
#: than 0.4 of the noise of one fit: 0.2 degrees at 2 % noise, 1 at the limit, which make a smaller by 4e-6 and 1e-4.
BENT = 0.4


def unbent(recognition: Recognition, grains: Grains) -> FloatArray | None:
    """(N, 3, 3) rotations from each particle's averaged axes to those of its grain; None if no grain is bent.

    Formula: R^T R_i = exp([theta n]) for the particle's axes R_i and the grain's R; the vectors sin(theta) n are
    averaged over the particle and its agreeing neighbours, twice.

    Args:
        recognition: in which only neighbours in the same grain agree.
        grains: all grains.
    """
    own = _vectors(recognition, grains)
    neighbours, count = links(recognition.regions, recognition.agree), recognition.agree.sum(axis=1)
    mean = own
    for _ in range(2):
        mean = (mean + neighbours @ mean) / (1 + count)[:, None]
    rows = np.flatnonzero(grains.number >= 0)
    number = grains.number[rows]
    squares = [np.bincount(number, (v[rows] ** 2).sum(axis=1), minlength=len(grains.sizes)) for v in (own, mean)]
    bent = squares[1] > BENT**2 * squares[0]
    if not bent.any():
        return None
    mean[~np.append(bent, False)[grains.number]] = 0.0
    frame = np.append(grains.frame, np.eye(3)[None], axis=0)[grains.number]
    return np.asarray(frame @ _rotations(-mean) @ np.swapaxes(frame, 1, 2))


def _vectors(recognition: Recognition, grains: Grains) -> FloatArray:
    """(N, 3) sin(theta) n of each particle's turn against its grain, along the grain's axes; zero outside of grains."""
    found = recognition.regions
    result = np.zeros((len(found.kind), 3))
    for label, rows in by_label(np.where(grains.number >= 0, found.kind, -1)):
        back = np.swapaxes(group_of(label), 1, 2)[grains.turn[rows]]
        turn = np.swapaxes(grains.frame[grains.number[rows]], 1, 2) @ found.pose.frame[rows] @ back
        for k in range(3):
            result[rows, k] = (turn[:, k - 1, k - 2] - turn[:, k - 2, k - 1]) / 2
    return result


def _rotations(vectors: FloatArray) -> FloatArray:
    """(N, 3, 3) R = 1 + K + K^2/(1 + cos theta) of vectors sin(theta) n, where K v = sin(theta) n x v, theta < 90."""
    k = np.zeros((len(vectors), 3, 3))
    for i in range(3):
        k[:, i - 1, i - 2], k[:, i - 2, i - 1] = vectors[:, i], -vectors[:, i]
    cosine = np.sqrt(np.maximum(1 - (vectors**2).sum(axis=1), 0.0))
    return np.asarray(np.eye(3) + k + k @ k / (1 + cosine)[:, None, None])
