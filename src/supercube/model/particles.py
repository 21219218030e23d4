"""The neutral model: what the particles are and how they interact, in reduced units; engines only translate it.

Units: length = effective cube edge e, energy = kT, mass = one cube. Friction by Stokes with eta set so that a cube,
of hydrodynamic radius 0.66 e (its capacity), has zeta = 1: zeta_t = R/0.66, zeta_r = (4/3) R^2 zeta_t = 8 pi eta R^3.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid
from scipy.optimize import brentq, minimize_scalar

from ..configuration import cube_shape, sphere_shape
from .beads import design_cube
from .interactions import (
    CURVATURE,
    CUTOFF,
    EPSILON,
    WELL_CURVATURE,
    WELL_CUTOFF,
    delta,
    wca_energy,
    well_depth,
    well_energy,
)
from .shapes import Sphere, Spherocube

if TYPE_CHECKING:
    from ..statepoint import StatePoint

FloatArray = NDArray[np.float64]

Wells = tuple[float, float, float]
NO_WELLS: Wells = (0.0, 0.0, 0.0)
#: Hydrodynamic radius of a cube over its edge: the capacity of the unit cube, 0.6607 (Hubbard & Douglas,
#: Phys. Rev. E 47, R2983, 1993), rounded as in the model's definition.
CUBE_HYDRODYNAMIC_RADIUS = 0.66
#: dt omega of the stiffest contact, omega^2 = k/m with the reduced mass m of the contact. Without thermostat the energy
#: errors are a random walk of single-bead collisions: about 1e-4 kT per degree of freedom in 1,000 steps at 0.17, 5e-5
#: at 0.12, 3e-5 at 0.10 (64 cubes, lambda 0.2, either engine), where the slope over 60,000 steps is below 1e-5 and
#: within what the walk explains. Nothing goes unstable below 0.3.
STIFFNESS_LIMIT = 0.10
#: Beads that a contact of a single bead counts for. It takes the whole collision alone and is driven up the steep wall:
#: at 10 kT U'' of one bead is 52 times that at the cutoff, but 6.4 and 5.0 times for each of 14 and 21 beads that share
#: the energy, so one bead is as stiff as 8 to 10 of theirs.
SINGLE_BEAD = 10


@dataclass(frozen=True)
class Body:
    """One species: a rigid body of beads, or a free sphere (a single bead).

    Attributes:
        name: species name as in a Configuration.
        positions: (n, 3) bead centres in the body frame; row 0 is the centre of mass.
        radii: (n,) bead radii; 0 = does not interact.
        mass, inertia: mass in cubes and (isotropic) moment of inertia in cube masses times e^2.
        friction, rotational_friction: zeta_t and zeta_r in kT per (e^2/time) and kT times time.
        volume: nominal effective volume, e^3.
        shape: GSD type shape.
    """

    name: str
    positions: FloatArray
    radii: FloatArray
    mass: float
    inertia: float
    friction: float
    rotational_friction: float
    volume: float
    shape: dict[str, Any]

    @property
    def is_rigid(self) -> bool:
        """Whether the body has an orientation that moves (more than one bead)."""
        return len(self.radii) > 1

    @property
    def corner_mobility(self) -> float:
        """1/m + l^2/I of a push on the outermost bead along a face normal; 1/m for a sphere (per cube mass)."""
        lever = float((self.positions[:, :2] ** 2).sum(axis=1).max())
        return 1.0 / self.mass + (lever / self.inertia if self.is_rigid else 0.0)

    @property
    def n_beads(self) -> int:
        """Number of interacting beads."""
        return int(np.count_nonzero(self.radii))


@dataclass(frozen=True)
class Model:
    """All species present and the one potential between their beads.

    Attributes:
        bodies: the species, in the order of a Configuration's ``species``.
        sigma: range of the expanded WCA potential, 2 lambda e.
        roughness, dent: measured smoothness of the cube (see ``beads``); None without cubes and attraction.
        bead_hash: fingerprint of the cube's body definition; None without cubes and attraction, which cubes define.
        attraction: depth of the face-to-face well of two cubes, kT.
        wells: depths between beads, kT, each for two of radius lambda (see :func:`.interactions.well_depth`): two beads
            of cubes, one of them and a sphere, two spheres; zeros are purely repulsive.
    """

    bodies: tuple[Body, ...]
    sigma: float
    roughness: float | None
    dent: float | None
    bead_hash: str | None
    attraction: float = 0.0
    wells: Wells = NO_WELLS

    @property
    def wca_cutoff(self) -> float:
        """Range of the repulsion in s = r - Delta: 2^(1/6) sigma."""
        return CUTOFF * self.sigma

    @property
    def attracts(self) -> bool:
        """Whether there are wells."""
        return self.attraction > 0

    @property
    def reach(self) -> float:
        """Range of all forces in s = r - Delta: that of the well where there is one, 2.5 sigma."""
        return (WELL_CUTOFF if self.attracts else CUTOFF) * self.sigma

    def cutoff(self, radius_i: float, radius_j: float) -> float:
        """Centre distance at which two beads stop interacting."""
        return delta(radius_i, radius_j, self.sigma) + self.reach

    def depth(self, radius_i: ArrayLike, radius_j: ArrayLike, spheres: ArrayLike) -> FloatArray:
        """Depth of the well of two beads, kT (any shape).

        Args:
            radius_i: of one bead, cube edges.
            radius_j: of the other.
            spheres: how many of the two are spheres, 0 to 2.
        """
        return np.asarray(np.asarray(self.wells)[np.asarray(spheres)] * well_depth(radius_i, radius_j, self.sigma))

    @cached_property
    def diffusion(self) -> float:
        """D0 = kT/zeta of the cube, or of the sphere where there are no cubes (e^2 per time)."""
        return 1.0 / self.bodies[0].friction

    @cached_property
    def stiffest_contact(self) -> tuple[str, float]:
        """Which contact is the stiffest, and its omega^2 = k/m with the reduced mass m.

        k = 72/2^(1/3) n eps/sigma^2 for n beads acting together. Cubes meet face to face, in registry, with all beads
        of a face (1/m = 2/m_cube), or corner against anything with a single bead, which also turns them:
        1/m = sum over both of (1/m_i + l^2/I_i), l the lever of the corner about the centre. A single bead counts for
        ``SINGLE_BEAD``. An attraction adds the curvature of its well, 16 attraction/sigma^2 for two faces, as if they
        touched where the well is deepest.
        """
        per_bead = CURVATURE * EPSILON / self.sigma**2
        well = WELL_CURVATURE * self.attraction / self.sigma**2
        single = SINGLE_BEAD * per_bead + well
        contacts = {}
        for body in self.bodies:
            contacts[f"{body.name}-{body.name}"] = 2.0 * single * body.corner_mobility
            if body.is_rigid:
                face = 2.0 * (_beads_of_a_face(body) * per_bead + well) / body.mass
                contacts[f"{body.name}-{body.name} face"] = face
        if len(self.bodies) > 1:
            contacts["cube-sphere"] = single * sum(b.corner_mobility for b in self.bodies)
        name = max(contacts, key=lambda key: contacts[key])
        return name, contacts[name]

    @cached_property
    def time_step(self) -> float:
        """Time step dt = 0.10 / omega of the stiffest contact, cut to two digits, in time units e^2/D0."""
        step = STIFFNESS_LIMIT / math.sqrt(self.stiffest_contact[1])
        digits = 1 - math.floor(math.log10(step))
        scale = 10.0**digits
        return math.floor(step * scale) / scale

    def volume_of(self, counts: dict[str, int]) -> float:
        """Nominal effective volume of that many bodies of each species, e^3."""
        return sum(counts.get(body.name, 0) * body.volume for body in self.bodies)

    def body(self, name: str) -> Body:
        """The species of that name."""
        return next(body for body in self.bodies if body.name == name)

    def describe(self) -> dict[str, Any]:
        """Plain-type record for a job document: beads, roughness, time step and what chose it, body hash."""
        cube = [body for body in self.bodies if body.is_rigid]
        return {
            "beads": cube[0].n_beads if cube else 0,
            "bead_radii": sorted({round(float(r), 6) for r in cube[0].radii if r > 0}) if cube else [],
            "bead_spacing": _edge_spacing(cube[0]) if cube else None,
            "sigma": self.sigma,
            "wells": list(self.wells),
            "roughness": None if self.roughness is None else round(self.roughness, 6),
            "dent": None if self.dent is None else round(self.dent, 6),
            "body_hash": self.hash,
            "time_step": self.time_step,
            "stiffest_contact": self.stiffest_contact[0],
        }

    def definition(self) -> dict[str, Any]:
        """The whole model in plain types: trajectories hold bodies only, and this is what they are made of."""
        bodies = [
            {
                "name": body.name,
                "mass": body.mass,
                "inertia": body.inertia,
                "friction": body.friction,
                "rotational_friction": body.rotational_friction,
                "positions": body.positions.tolist(),
                "radii": body.radii.tolist(),
            }
            for body in self.bodies
        ]
        return {
            "hash": self.hash,
            "sigma": self.sigma,
            "wells": list(self.wells),
            "time_step": self.time_step,
            "bodies": bodies,
        }

    @cached_property
    def hash(self) -> str:
        """Fingerprint of everything that fixes the forces and the motion; a checkpoint must carry the same."""
        record = [
            [b.name, *(round(x, 12) for x in (b.mass, b.inertia, b.friction, b.rotational_friction, *b.radii.tolist()))]
            for b in self.bodies
        ]
        text = json.dumps(
            [record, round(self.sigma, 12), self.bead_hash, self.time_step, [round(w, 12) for w in self.wells]]
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _beads_of_a_face(body: Body) -> int:
    touching = (body.radii > 0) & (body.positions[:, 2] + body.radii > 0.5 - 1e-9)
    return int(touching.sum())


def _edge_spacing(body: Body) -> float:
    """Distance of neighbouring beads along an edge, which carries the smallest beads."""
    edge = body.positions[body.radii == body.radii[body.radii > 0].min()]
    corner = edge[np.lexsort(edge.T)[0]]
    along = np.sort(np.linalg.norm(edge - corner, axis=1))
    return round(float(along[1]), 9)


def cube_body(ligand_length: float, roughness: float) -> tuple[Body, float, float, str]:
    """The cube species and its measured roughness, dent and body hash."""
    beads = design_cube(ligand_length, roughness)
    solid = Spherocube(rounding=ligand_length)
    friction = 1.0
    body = Body(
        name="cube",
        positions=beads.positions,
        radii=beads.radii,
        mass=1.0,
        inertia=solid.moment_of_inertia(1.0),
        friction=friction,
        rotational_friction=4.0 / 3.0 * CUBE_HYDRODYNAMIC_RADIUS**2 * friction,
        volume=solid.volume,
        shape=cube_shape(ligand_length),
    )
    return body, beads.roughness, beads.dent, beads.hash


def sphere_body(size_ratio: float, ligand_length: float) -> Body:
    """The sphere species: one free bead; mass by volume relative to the cube, Stokes friction with radius D/2."""
    sphere = Sphere(1.0 / size_ratio)
    radius = sphere.diameter / 2
    friction = radius / CUBE_HYDRODYNAMIC_RADIUS
    mass = sphere.volume / Spherocube(rounding=ligand_length).volume
    return Body(
        name="sphere",
        positions=np.zeros((1, 3)),
        radii=np.array([radius]),
        mass=mass,
        inertia=sphere.moment_of_inertia(mass),
        friction=friction,
        rotational_friction=4.0 / 3.0 * radius**2 * friction,
        volume=sphere.volume,
        shape=sphere_shape(sphere.diameter),
    )


def build_model(state_point: StatePoint) -> Model:
    """The model of a state point: only the species that are present, cubes first.

    Raises:
        InputError: the cube needs more beads than ``beads.MAX_BEADS``.
    """
    bodies: list[Body] = []
    roughness = dent = bead_hash = None
    sigma, wells = 2.0 * state_point.ligand_length, NO_WELLS
    sphere = sphere_body(state_point.size_ratio, state_point.ligand_length) if state_point.n_spheres else None
    if state_point.n_cubes or state_point.attraction:
        # The well is defined by two cubes, so spheres alone need the cube too, to know how deep theirs is.
        cube, roughness, dent, bead_hash = cube_body(state_point.ligand_length, state_point.roughness)
        radius = None if sphere is None else float(sphere.radii[0])
        wells = calibrate_wells(cube, radius, sigma, state_point.attraction)
    if state_point.n_cubes:
        bodies.append(cube)
    if sphere is not None:
        bodies.append(sphere)
    return Model(tuple(bodies), sigma, roughness, dent, bead_hash, state_point.attraction, wells)


def calibrate_wells(cube: Body, sphere_radius: float | None, sigma: float, attraction: float) -> Wells:
    """Depths for which two aligned cubes, face to face with beads in registry, have the least energy -attraction.

    The energy at distance d is that of all pairs of beads, E(d) = E_WCA(d) + w E_well(d); its minimum falls with w.
    Spheres of radius R follow by Derjaguin from the same ligand: with I = int |E(d)| dd / e^2 from the minimum
    outwards, per area of a face, a sphere on the middle of a face has the depth 2 pi R I, and two spheres pi R I.

    Args:
        cube: the rigid body.
        sphere_radius: of the spheres; None without.
        sigma: range of the potential.
        attraction: depth of the well of two cubes, kT; 0 gives no wells.
    """
    if attraction == 0:
        return NO_WELLS
    acting = cube.radii > 0
    x, radii = cube.positions[acting], cube.radii[acting]
    faces = _Approach(x[None] - x[:, None], radii[None], radii[:, None], sigma, 1.0)
    beads = faces.fit(attraction)
    if sphere_radius is None:
        return (beads, 0.0, 0.0)
    bottom = faces.bottom(beads)[0]
    distances = np.linspace(bottom, 1.0 + WELL_CUTOFF * sigma, 400)
    integral = -float(trapezoid([faces.energy(d, beads) for d in distances], distances))
    on_face = _Approach(x, radii, np.array(sphere_radius), sigma, 0.5 + sphere_radius)
    origin, radius = np.zeros((1, 3)), np.array([sphere_radius])
    pair = _Approach(origin, radius, radius, sigma, 2.0 * sphere_radius)
    reach = math.pi * sphere_radius * integral
    return (beads, on_face.fit(2.0 * reach), pair.fit(reach))


class _Approach:
    """Energy of two sets of beads against their distance along z; touching at ``contact`` (cube edges)."""

    def __init__(self, apart: FloatArray, first: FloatArray, second: FloatArray, sigma: float, contact: float) -> None:
        self._apart, self._sigma = apart, sigma
        self._shift, self._relative = first + second - sigma, well_depth(first, second, sigma)
        # Around the distance at which facing beads stop repelling.
        free = contact + (CUTOFF - 1.0) * sigma
        self._bounds = (free - 0.5 * sigma, free + 0.3 * sigma)

    def energy(self, distance: float, well: float) -> float:
        s = np.linalg.norm(self._apart + np.array([0.0, 0.0, distance]), axis=-1) - self._shift
        steric, attractive = wca_energy(s, self._sigma), self._relative * well_energy(s, self._sigma)
        return float(steric.sum() + well * attractive.sum())

    def bottom(self, well: float) -> tuple[float, float]:
        """Distance and energy of the minimum."""
        found = minimize_scalar(self.energy, bounds=self._bounds, args=(well,), options={"xatol": 1e-10})
        return float(found.x), float(found.fun)

    def fit(self, depth: float) -> float:
        """The well for which the minimum is -depth."""
        low, high = 0.0, depth
        while self.bottom(high)[1] > -depth:
            low, high = high, 2.0 * high
        return float(brentq(lambda well: self.bottom(well)[1] + depth, low, high, xtol=1e-13, rtol=1e-13))


def check_model(state_point: StatePoint) -> None:
    """Refuse a state point whose cube cannot be built (see :func:`build_model`)."""
    build_model(state_point)
