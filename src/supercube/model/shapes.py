"""What the particles are: the spherocube and the sphere, their integrals, and the gap between two of them.

Both are a core box inflated by a radius (the core of a sphere is a point), which is why one gap function serves
every pair. Lengths in cube edges, masses in cube masses. Formulas: classical integral geometry (Steiner 1840).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

FloatArray = NDArray[np.float64]

#: Alternating projections that tighten the gap of two boxes; more of them only make the bound sharper.
_PROJECTIONS = 6


@dataclass(frozen=True, kw_only=True)
class Spherocube:
    """Cube whose edges and corners are rounded: a core cube of edge s = edge - 2 rounding inflated by rounding.

    Attributes:
        rounding: rounding radius rho, from 0 (sharp cube) to edge / 2 (sphere).
        edge: total edge, face to face.
    """

    rounding: float
    edge: float = 1.0

    def __post_init__(self) -> None:
        """Refuse shapes that do not exist."""
        if not (self.edge > 0 and 0 <= self.rounding <= self.edge / 2):
            raise InputError(
                f"a spherocube of edge {self.edge:g} needs a positive edge and a rounding between 0 and "
                f"{self.edge / 2:g}, not {self.rounding:g}."
            )

    @property
    def core_edge(self) -> float:
        """Core edge s = edge - 2 rounding."""
        return self.edge - 2 * self.rounding

    @property
    def volume(self) -> float:
        """V = s^3 + 6 s^2 rho + 3 pi s rho^2 + 4/3 pi rho^3: core, 6 slabs, 12 quarter cylinders, 8 octants."""
        s, rho = self.core_edge, self.rounding
        return s**3 + 6 * s**2 * rho + 3 * math.pi * s * rho**2 + 4 / 3 * math.pi * rho**3

    @property
    def surface_area(self) -> float:
        """S = 6 s^2 + 6 pi s rho + 4 pi rho^2."""
        s, rho = self.core_edge, self.rounding
        return 6 * s**2 + 6 * math.pi * s * rho + 4 * math.pi * rho**2

    @property
    def mean_curvature(self) -> float:
        """M = 3 pi s + 4 pi rho, the integral of the mean curvature over the surface (a length)."""
        return 3 * math.pi * self.core_edge + 4 * math.pi * self.rounding

    @property
    def circumradius(self) -> float:
        """Centre to the farthest surface point: sqrt3 s / 2 + rho."""
        return math.sqrt(3) / 2 * self.core_edge + self.rounding

    def moment_of_inertia(self, mass: float = 1.0) -> float:
        """I = 2 m J / V with J the integral of x^2 over the solid; one number because of the cubic symmetry.

        J is the sum over the parts that the volume formula names; u is the distance from the core along x:
        core s^5/12; slabs normal to x 2 s^2 [(s/2+rho)^3 - (s/2)^3]/3, the other four rho s^4/3; quarter cylinders
        along x pi rho^2 s^3/12, the other eight 8 s [pi rho^2 s^2/16 + s rho^3/3 + pi rho^4/16]; octants
        8 [pi rho^3 s^2/24 + pi s rho^4/16 + pi rho^5/30].

        Args:
            mass: mass of the body, spread evenly over its volume.

        Returns:
            moment about any axis through the centre, in mass times length squared.
        """
        s, rho = self.core_edge, self.rounding
        core = s**5 / 12
        slabs = 2 * s**2 * ((s / 2 + rho) ** 3 - (s / 2) ** 3) / 3 + rho * s**4 / 3
        quarters = math.pi * rho**2 * s**3 / 12
        quarters += 8 * s * (math.pi * rho**2 * s**2 / 16 + s * rho**3 / 3 + math.pi * rho**4 / 16)
        octants = 8 * math.pi * (rho**3 * s**2 / 24 + s * rho**4 / 16 + rho**5 / 30)
        return 2 * mass * (core + slabs + quarters + octants) / self.volume


@dataclass(frozen=True)
class Sphere:
    """Sphere.

    Attributes:
        diameter: D > 0.
    """

    diameter: float

    def __post_init__(self) -> None:
        """Refuse shapes that do not exist."""
        if not self.diameter > 0:
            raise InputError(f"a sphere needs a positive diameter, not {self.diameter:g}.")

    @property
    def volume(self) -> float:
        """V = pi D^3 / 6."""
        return math.pi * self.diameter**3 / 6

    @property
    def surface_area(self) -> float:
        """S = pi D^2."""
        return math.pi * self.diameter**2

    @property
    def mean_curvature(self) -> float:
        """M = 2 pi D, the integral of the mean curvature 2/D over the surface."""
        return 2 * math.pi * self.diameter

    @property
    def circumradius(self) -> float:
        """D / 2."""
        return self.diameter / 2

    def moment_of_inertia(self, mass: float = 1.0) -> float:
        """I = 2/5 m (D/2)^2 of the solid sphere."""
        return 0.1 * mass * self.diameter**2


def sphere_diameter(size_ratio: float) -> float:
    """D = 1 / gamma in cube edges.

    Raises:
        InputError: the size ratio is not positive.
    """
    if not size_ratio > 0:
        raise InputError(f"size_ratio must be positive (cube edge over sphere diameter), not {size_ratio:g}.")
    return 1.0 / size_ratio


def body_volume(n_cubes: float, n_spheres: float, size_ratio: float, ligand_length: float) -> float:
    """N_cube V_cube + N_sphere pi D^3 / 6: effective (nominal) volume of all bodies in cube edges cubed.

    Args:
        n_cubes: number of cubes.
        n_spheres: number of spheres.
        size_ratio: gamma = cube edge / sphere diameter.
        ligand_length: lambda = rounding radius in cube edges.
    """
    spheres = n_spheres * Sphere(sphere_diameter(size_ratio)).volume if n_spheres else 0.0
    cubes = n_cubes * Spherocube(rounding=ligand_length).volume if n_cubes else 0.0
    return cubes + spheres


def packing_fraction(n_cubes: int, n_spheres: int, size_ratio: float, ligand_length: float, volume: float) -> float:
    """:func:`body_volume` over the volume of the box.

    Raises:
        InputError: the volume is not positive.
    """
    if not volume > 0:
        raise InputError(f"the volume of the box must be positive, not {volume:g}.")
    return body_volume(n_cubes, n_spheres, size_ratio, ligand_length) / volume


@dataclass(frozen=True)
class InflatedBoxes:
    """Many bodies as core boxes inflated by a radius, the form that :func:`surface_gap` takes.

    Attributes:
        positions: (N, 3) centres.
        rotations: (N, 3, 3); the columns are the body axes in space.
        half_edges: (N,) half the core edge; 0 for a sphere.
        radii: (N,) rounding radius of a cube, radius of a sphere.
    """

    positions: FloatArray
    rotations: FloatArray
    half_edges: FloatArray
    radii: FloatArray

    def __len__(self) -> int:
        """Number of bodies."""
        return len(self.positions)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> InflatedBoxes:
        """The bodies of some rows (indices or mask)."""
        return InflatedBoxes(self.positions[rows], self.rotations[rows], self.half_edges[rows], self.radii[rows])

    @staticmethod
    def join(first: InflatedBoxes, second: InflatedBoxes) -> InflatedBoxes:
        """Both sets, one after the other."""
        return InflatedBoxes(
            np.concatenate([first.positions, second.positions]),
            np.concatenate([first.rotations, second.rotations]),
            np.concatenate([first.half_edges, second.half_edges]),
            np.concatenate([first.radii, second.radii]),
        )


def surface_gap(a: InflatedBoxes, b: InflatedBoxes, separations: FloatArray) -> FloatArray:
    """Formula max over n of |d.n| - h_a |R_a^T n|_1 - h_b |R_b^T n|_1 - r_a - r_b, never above the true gap.

    Every unit vector n bounds the distance of two convex bodies from below (separating axes), so a positive result
    proves that the two do not overlap, whichever axes are tried. Tried are the 15 axes that decide whether sharp boxes
    overlap, the line of centres (exact for two spheres) and the direction found by alternating projections between the
    cores (exact for a sphere and a cube after one step). Overlapping cores give a negative number.

    Sources: Gottschalk, Lin, Manocha, SIGGRAPH 1996 (axes); Cheney, Goldstein, Proc. AMS 10, 448 (1959) (projections).

    Args:
        a: M bodies, the first of each pair.
        b: M bodies, the second of each pair.
        separations: (M, 3) from the centre of a to that of b (positions are not used, so images are the caller's).

    Returns:
        (M,) surface-to-surface gap in lengths.
    """
    axes_a, axes_b = np.swapaxes(a.rotations, 1, 2), np.swapaxes(b.rotations, 1, 2)
    crossed = np.cross(axes_a[:, :, None, :], axes_b[:, None, :, :]).reshape(-1, 9, 3)
    between = _core_to_core(a, b, separations)
    axes = np.concatenate([axes_a, axes_b, crossed, separations[:, None], between[:, None]], axis=1)
    norms = np.linalg.norm(axes, axis=2, keepdims=True)
    # Parallel edges give no axis, and touching cores no direction; the zero vector then claims no distance.
    axes = np.divide(axes, norms, out=np.zeros_like(axes), where=norms > 1e-9)
    reach = np.abs(np.einsum("mki,mi->mk", axes, separations))
    reach -= a.half_edges[:, None] * np.abs(axes @ a.rotations).sum(axis=2)
    reach -= b.half_edges[:, None] * np.abs(axes @ b.rotations).sum(axis=2)
    reach[norms[:, :, 0] <= 1e-9] = -np.inf
    return np.asarray(reach.max(axis=1) - a.radii - b.radii)


def _core_to_core(a: InflatedBoxes, b: InflatedBoxes, separations: FloatArray) -> FloatArray:
    # Projecting to and fro between two convex sets converges to their closest pair of points.
    def onto(boxes: InflatedBoxes, points: FloatArray) -> FloatArray:
        local = np.einsum("mij,mi->mj", boxes.rotations, points)
        half = boxes.half_edges[:, None]
        return np.asarray(np.einsum("mij,mj->mi", boxes.rotations, np.clip(local, -half, half)))

    on_b = separations
    on_a = onto(a, on_b)
    for _ in range(_PROJECTIONS):
        on_b = separations + onto(b, on_a - separations)
        on_a = onto(a, on_b)
    return on_b - on_a
