"""Effective sizes at kT: the hard sphere and the hard spherocube with the second virial coefficients of the model.

The nominal contact (U = 1 kT of two beads) is not the size at kT: contacts of many beads are stiffer, and the grid of
beads has dents. Sizes here are those of the repulsion; wells, which make B2 a measure of something else, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from ..errors import InputError
from .particles import Body, Model
from .shapes import Sphere, Spherocube
from .virial import cube_sphere_b2, sphere_sphere_b2

FloatArray = NDArray[np.float64]

#: Probe radii of the cube, nominal edges: from a quarter (or lambda, the smallest there is, if that is more; smaller
#: ones fall into dents that no other cube finds) to larger than any sphere that crystallises with the cube.
LEAST_PROBE, LARGEST_PROBE, PROBES = 0.25, 1.5, 6


@dataclass(frozen=True)
class CubeFit:
    """The spherocube whose B2 with spheres is that of the bead cube.

    Attributes:
        edge: e_th, in nominal edges.
        rounding: radius rho_th of its edges and corners, in nominal edges.
        growth: c, how much farther out a face meets a sphere, for a factor of e in the number of beads in contact, in
            nominal edges.
        shell: lambda, nominal radius of edges and corners, in nominal edges.
        residual: largest relative deviation of the fitted B2 from the bead cube's, over the probes.
    """

    edge: float
    rounding: float
    growth: float
    shell: float
    residual: float

    @property
    def shape(self) -> Spherocube:
        """The spherocube of two cubes that meet, to which its growth is nothing (see :func:`fit_cube`)."""
        return Spherocube(edge=self.edge, rounding=self.rounding)

    def edge_against(self, radius: float) -> float:
        """e_th + 2 c ln((R + lambda)/(2 lambda)): the edge that a sphere of nominal radius R meets on faces."""
        return self.edge + 2 * self.growth * math.log((radius + self.shell) / (2 * self.shell))


@dataclass(frozen=True)
class ThermalSizes:
    """Effective sizes of a model's bodies at kT, in nominal cube edges; None for a species that is absent.

    Attributes:
        cube_edge: e_th.
        rounding: rounding radius of the cube.
        sphere_diameter: D_th.
        residual: of the fit of the cube (see :class:`CubeFit`).
    """

    cube_edge: float | None
    rounding: float | None
    sphere_diameter: float | None
    residual: float | None

    @property
    def size_ratio(self) -> float | None:
        """gamma_th = e_th / D_th; None unless both species are present."""
        if self.cube_edge is None or self.sphere_diameter is None:
            return None
        return self.cube_edge / self.sphere_diameter

    @property
    def ligand_length(self) -> float | None:
        """lambda_th = rounding / e_th; None without cubes."""
        return None if self.cube_edge is None or self.rounding is None else self.rounding / self.cube_edge

    def volume_of(self, counts: Mapping[str, int]) -> float:
        """Thermal volume of that many bodies of each species, e^3: over the box's, the thermal packing fraction.

        Raises:
            InputError: bodies of a species that the model lacks.
        """
        shapes: dict[str, Spherocube | Sphere] = {}
        if self.cube_edge is not None and self.rounding is not None:
            shapes["cube"] = Spherocube(edge=self.cube_edge, rounding=self.rounding)
        if self.sphere_diameter is not None:
            shapes["sphere"] = Sphere(self.sphere_diameter)
        missing = [name for name, count in counts.items() if count and name not in shapes]
        if missing:
            raise InputError(
                f"the volume of {counts[missing[0]]} bodies of species {missing[0]} was asked for, but the model has "
                f"only {', '.join(shapes)}; expected counts of its own species."
            )
        return sum(count * shapes[name].volume for name, count in counts.items() if count)


def thermal_sizes(model: Model) -> ThermalSizes:
    """Effective sizes of the bodies of a model at kT, from the second virial coefficients of its repulsion.

    D_th is the diameter of hard spheres with the B2 of two spheres, B2 = 2/3 pi D_th^3; the cube's sizes are those of
    :func:`fit_cube`. They are the sizes of single encounters, as in a fluid. Two aligned faces, as in a crystal, meet
    with all their beads at once and stand farther apart, the less the higher the pressure: that distance belongs to
    the pressure, not to the particle.

    Args:
        model: with any species; its wells do not count. Fits are cached, so equal cubes cost nothing after the first.
    """
    cube = sphere = None
    for body in model.bodies:
        if body.is_rigid:
            cube = fit_cube(body, model.sigma)
        else:
            sphere = thermal_diameter(float(body.radii[0]), model.sigma)
    if cube is None:
        return ThermalSizes(None, None, sphere, None)
    return ThermalSizes(cube.edge, cube.rounding, sphere, cube.residual)


@lru_cache(maxsize=256)
def thermal_diameter(radius: float, sigma: float) -> float:
    """D_th = (3 B2 / (2 pi))^(1/3) of two equal spheres: D plus 0.016-0.017 sigma, whatever D.

    Args:
        radius: nominal, cube edges.
        sigma: range of the potential.
    """
    return math.cbrt(1.5 * sphere_sphere_b2(radius, radius, sigma) / math.pi)


def fit_cube(body: Body, sigma: float, *, growing: bool = True) -> CubeFit:
    """Edge, rounding and growth of the spherocube with the cube-sphere B2 of a bead cube, by least squares.

    Formula: 2 B2(R) = s^3 + 6 s^2 (r + d) + 3 pi s (r + d/2)^2 + 4/3 pi r^3 with s = e_th - 2 rho_th the core edge,
    r = rho_th + D_th(R)/2 and d = c ln((R + lambda)/(2 lambda)); without d the exact value of spherocube and sphere.

    *Shares.* The thermal shift of a contact belongs to both bodies. A sphere is given half of what two spheres shift,
    the only choice symmetric in equal spheres; the cube has the rest. So D_th is the same with spheres and with cubes,
    and everything that many beads and dents do counts as the cube's.

    *Growth.* n beads that share a contact repel as n u(s), so contact moves out by c per factor of e in n. A sphere on
    a corner meets one bead; along an edge those within a length proportional to sqrt(R + lambda), on a face those in
    an area proportional to R + lambda: the shift grows by 0, d/2 and d. Dents, which large spheres bridge, add to c.
    Two cubes meet corner to face and edge to edge, with the curvature of their own beads: n is then that of a sphere of
    R = lambda (for crossed edges, the product of both), hence the 2 lambda in d, and d = 0 for two cubes. So their B2
    is that of the spherocube (e_th, rho_th). One edge and rounding without d fit cube-sphere B2 to 1e-3 only, and
    predict 1 to 3 % too much between cubes. Above lambda 0.45 hardly a core is left, and c means nothing.

    Args:
        body: the cube.
        sigma: range of the potential, 2 lambda.
        growing: False leaves out d, to show what it does.
    """
    shell = sigma / 2
    target = np.array(_measure(tuple(body.positions.ravel().tolist()), tuple(body.radii.tolist()), sigma))

    def deviations(sizes: FloatArray) -> FloatArray:
        core, rounding = float(sizes[0]), float(sizes[1])
        return np.asarray(_grown_b2(core, rounding, float(sizes[2]) if growing else 0.0, shell) / target - 1.0)

    # No negative core nor rounding: without growth, the fit of a rough cube wants one.
    n = 3 if growing else 2
    bounds = [0.0, 0.0, -shell][:n], [2.0, 1.0, shell][:n]
    scales, exact = [1.0, 0.1, 0.01][:n], {"xtol": 1e-12, "ftol": 1e-14, "gtol": 1e-14}
    found = least_squares(deviations, [1.0 - sigma, shell, 0.0][:n], bounds=bounds, x_scale=scales, **exact)
    core, rounding, growth = (*map(float, found.x), 0.0)[:3]
    return CubeFit(core + 2 * rounding, rounding, growth, shell, float(np.abs(found.fun).max()))


def probe_radii(shell: float) -> FloatArray:
    """(6,) radii in nominal edges, in geometric progression (see ``LEAST_PROBE``)."""
    return np.geomspace(max(LEAST_PROBE, shell), LARGEST_PROBE, PROBES)


def _grown_b2(core: float, rounding: float, growth: float, shell: float) -> FloatArray:
    # (6,) B2 with each probe: half the volume of the spherocube that the probe's thermal radius inflates.
    probes = probe_radii(shell)
    grown = growth * np.log((probes + shell) / (2 * shell))
    radius = rounding + np.array([thermal_diameter(float(probe), 2 * shell) / 2 for probe in probes])
    faces, edges = 6 * core**2 * (radius + grown), 3 * math.pi * core * (radius + grown / 2) ** 2
    return np.asarray(core**3 + faces + edges + 4 / 3 * math.pi * radius**3) / 2


@lru_cache(maxsize=64)
def _measure(positions: tuple[float, ...], radii: tuple[float, ...], sigma: float) -> tuple[float, ...]:
    # Only what fixes the forces is the key, so that models which differ elsewhere share the integrals.
    places, sizes = np.array(positions).reshape(-1, 3), np.array(radii)
    return tuple(cube_sphere_b2(places, sizes, float(probe), sigma) for probe in probe_radii(sigma / 2))
