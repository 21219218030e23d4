"""Cubatic order parameter: how well all cubes share one set of three axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .symmetry import climb, fourth_moments, matrices

FloatArray = NDArray[np.float64]

#: Annealing schedule of freud (start and end temperature, cooling factor): ~190 temperatures, under 1 ms in all.
ANNEALING = (5.0, 1e-3, 0.95)
SEED = 20240229
REPLICATES = 3
#: Squared norm of the tensor of one cube: 12 - 14.4 + 7.2 (see :func:`cubatic_order`).
NORM = 4.8


def cubatic_order(orientations: FloatArray, replicates: int = REPLICATES) -> float | None:
    """Cubatic order parameter of Haji-Akbari and Glotzer (J. Phys. A 48, 485201, 2015), as freud defines it.

    Formula: M(X) = 2 sum_k x_k^(4) - 2/5 (dd + dd + dd) for a frame with axes x_k; G = mean of M over the cubes;
    P = max over frames X of 1 - |M(X) - G|^2 / |M(X)|^2, with |M|^2 = 4.8. P = 1 for perfect alignment.
    For N cubes at random |G|^2 is about 4.8/N and P about 1.5/sqrt(N) (0.15 for 100): few cubes look ordered by
    chance, and a single cube has P = 1.

    The maximum is searched by freud's simulated annealing (fixed seed, best of ``replicates``), whose best frame and
    the frames of up to 16 cubes are then driven to the local maximum exactly (``symmetry.climb``); annealing alone
    stops ~1e-3 short. The result depends on nothing but the orientations.

    Args:
        orientations: (n, 4) unit quaternions of the cubes, scalar first.
        replicates: annealing runs.

    Returns:
        P, or None without cubes.

    Raises:
        InputError: NaN or zero quaternions.
    """
    q = np.asarray(orientations, dtype=np.float64).reshape(-1, 4)
    if not len(q):
        return None
    norms = np.linalg.norm(q, axis=1)
    if not np.all(np.isfinite(norms)) or norms.min() < 1e-6:
        raise InputError("Cubatic order: some orientations are NaN or zero; expected unit quaternions (w, x, y, z).")
    q = q / norms[:, None]
    frames = matrices(q)
    starts = frames[np.unique(np.linspace(0, len(frames) - 1, 16).astype(int))]
    ends = climb(frames, np.concatenate([matrices(_annealed(q, replicates))[None], starts]))
    moments = fourth_moments(frames)
    # 2 sum u^(4) is projected on its part without traces by subtracting 2/5 (dd + dd + dd), dd = d_ij d_kl:
    # |G|^2 = 4 |moments|^2 - 7.2 and G . M(X) = 4 sum_k moments(x_k, x_k, x_k, x_k) - 7.2.
    overlap = 4 * np.einsum("ijkl,sim,sjm,skm,slm->s", moments, ends, ends, ends, ends, optimize=True) - 7.2
    square = 4 * float((moments**2).sum()) - 7.2
    return float(np.clip((2 * overlap.max() - square) / NORM, 0.0, 1.0))


def _annealed(q: FloatArray, replicates: int) -> FloatArray:
    import freud

    cubatic = freud.order.Cubatic(*ANNEALING, n_replicates=replicates, seed=SEED)
    cubatic.compute(q.astype(np.float32))
    return np.asarray(cubatic.orientation, dtype=np.float64)
