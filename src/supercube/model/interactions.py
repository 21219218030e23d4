"""The pair potential of beads and spheres: WCA whose range is the ligand shell, moved outwards by the cores.

With s = r - Delta:  U(s) = 4 eps [(sigma/s)^12 - (sigma/s)^6] + eps  for s < 2^(1/6) sigma, else 0;  eps = 1 kT.
Every engine translates exactly this form, and every test compares with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Depth parameter of the WCA potential in kT.
EPSILON = 1.0
#: Range of the potential over sigma: where the Lennard-Jones minimum is.
CUTOFF = 2.0 ** (1.0 / 6.0)
#: U'' at the cutoff in units of eps / sigma^2: 72 / 2^(1/3).
CURVATURE = 72.0 / 2.0 ** (1.0 / 3.0)


def wca_energy(s: ArrayLike, sigma: float) -> NDArray[np.float64]:
    """U(s) in kT of the surface coordinate s = r - Delta > 0 (any shape, in cube edges)."""
    s = np.asarray(s, dtype=np.float64)
    inverse6 = (sigma / s) ** 6
    return np.where(s < CUTOFF * sigma, 4.0 * EPSILON * (inverse6**2 - inverse6) + EPSILON, 0.0)


def wca_force(s: ArrayLike, sigma: float) -> NDArray[np.float64]:
    """-dU/ds in kT/e, positive where repulsive: 24 eps (2 (sigma/s)^12 - (sigma/s)^6) / s."""
    s = np.asarray(s, dtype=np.float64)
    inverse6 = (sigma / s) ** 6
    return np.where(s < CUTOFF * sigma, 24.0 * EPSILON * (2.0 * inverse6**2 - inverse6) / s, 0.0)


def delta(radius_i: float, radius_j: float, sigma: float) -> float:
    """Delta = R_i + R_j - sigma: the contact distance of two beads is R_i + R_j, the range of the force stays sigma."""
    return radius_i + radius_j - sigma
