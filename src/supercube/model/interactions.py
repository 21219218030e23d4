"""The pair potential of beads and spheres: WCA whose range is the ligand shell, moved outwards by the cores.

With s = r - Delta, in kT:

* steric:      U(s) = 4 eps [(sigma/s)^12 - (sigma/s)^6] + eps  for s < 2^(1/6) sigma, else 0;  eps = 1;
* attraction:  U(s) = -w {exp[-(s - s0)^2/(2 tau^2)] - exp[-(s1 - s0)^2/(2 tau^2)]}  for s < s1 = 2.5 sigma, else 0,
  with s0 = 2^(1/6) sigma and tau = sigma/4: a well at contact, cut and shifted.

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
#: Range of the well over sigma.
WELL_CUTOFF = 2.5
#: Standard deviation tau of the Gaussian well over sigma.
WELL_WIDTH = 0.25
#: U'' at the bottom of the well in units of w / sigma^2: (sigma/tau)^2.
WELL_CURVATURE = WELL_WIDTH**-2


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


def well_energy(s: ArrayLike, sigma: float) -> NDArray[np.float64]:
    """U(s)/w of the well, between -1 and 0 (any shape)."""
    s = np.asarray(s, dtype=np.float64)
    tail = np.exp(-(((WELL_CUTOFF - CUTOFF) / WELL_WIDTH) ** 2) / 2.0)
    gauss = np.exp(-(((s / sigma - CUTOFF) / WELL_WIDTH) ** 2) / 2.0)
    return np.where(s < WELL_CUTOFF * sigma, tail - gauss, 0.0)


def well_force(s: ArrayLike, sigma: float) -> NDArray[np.float64]:
    """-dU/ds / w of the well in 1/e, negative where it attracts: -(s - s0)/tau^2 exp[-(s - s0)^2/(2 tau^2)]."""
    s = np.asarray(s, dtype=np.float64)
    x = (s / sigma - CUTOFF) / WELL_WIDTH
    return np.where(s < WELL_CUTOFF * sigma, -x * np.exp(-(x**2) / 2.0) / (WELL_WIDTH * sigma), 0.0)


def well_depth(radius_i: ArrayLike, radius_j: ArrayLike, sigma: float) -> NDArray[np.float64]:
    """Depth of the well of two beads over that of two beads of radius lambda = sigma/2: R / (lambda/2).

    R = R_i R_j / (R_i + R_j). Derjaguin: the force between curved surfaces is 2 pi R times the energy per area of flat
    ones, so beads of one ligand attract in proportion to R. What a sphere gets is fixed by whole faces
    (:func:`.particles.calibrate_wells`), since a face is more than its nearest bead.
    """
    radius_i, radius_j = np.asarray(radius_i, dtype=np.float64), np.asarray(radius_j, dtype=np.float64)
    return np.asarray(radius_i * radius_j / (radius_i + radius_j) / (sigma / 4.0))


def delta(radius_i: float, radius_j: float, sigma: float) -> float:
    """Delta = R_i + R_j - sigma: the contact distance of two beads is R_i + R_j, the range of the force stays sigma."""
    return radius_i + radius_j - sigma
