"""Second virial coefficients of the model's own potential: sphere-sphere, cube-sphere and cube-cube.

B2 = 1/2 int (1 - exp(-U/kT)) d^3r, averaged over orientations, in cube edges cubed; the logarithm of the partition
function of two bodies, and for hard convex bodies half the mean volume that one excludes to the other.

A configuration in which the core of a body (core cube; centre of a sphere) overlaps that of the other counts as
excluded, whatever its energy: it lies a ligand range behind the contact, no trajectory gets there, and a shell of beads
may be hollow. Energies just outside are thousands of kT, so nothing is lost where bodies can be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import qmc

from ..errors import InputError
from .interactions import CUTOFF, EPSILON, WELL_CUTOFF, wca_energy, well_energy
from .particles import Body, Model
from .shapes import InflatedBoxes, Sphere, Spherocube, surface_gap

FloatArray = NDArray[np.float64]

#: Energy above which exp(-U/kT) is nothing: 4e-18, less than one unit in the last digit of 1.
CERTAIN = 40.0
#: Gauss-Legendre nodes along a ray and in each of the two angles: within 3e-6 of 80 of each for lambda from 0.1 on, and
#: 3e-5 for 0.05, whose beads stand closest.
RADIAL_NODES, ANGULAR_NODES = 24, 28
#: Distances that are computed at once, 8 bytes each.
_CHUNK = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo mean.

    Attributes:
        value: mean over independent scrambles.
        error: its standard error.
    """

    value: float
    error: float


def convex_b2(first: Spherocube | Sphere, second: Spherocube | Sphere) -> float:
    """B2 = (V1 + V2)/2 + (S1 M2 + S2 M1)/(8 pi) of hard convex bodies, exact (Isihara 1950; Kihara 1953)."""
    mixed = first.surface_area * second.mean_curvature + second.surface_area * first.mean_curvature
    return (first.volume + second.volume) / 2 + mixed / (8 * math.pi)


def sphere_sphere_b2(radius_a: float, radius_b: float, sigma: float, depth: float = 0.0) -> float:
    """B2 = 2 pi int (1 - exp(-U(r - Delta))) r^2 dr with Delta = R_a + R_b - sigma, to 1e-10.

    Args:
        radius_a: of one sphere, cube edges.
        radius_b: of the other.
        sigma: range of the potential.
        depth: of the well between them, kT.

    Returns:
        B2 in cube edges cubed.
    """
    shift = _checked_delta(radius_a + radius_b, sigma)
    inner = shift + _contact(CERTAIN + depth, sigma)
    ends = [inner, shift + CUTOFF * sigma] + ([shift + WELL_CUTOFF * sigma] if depth else [])
    x, weights = np.polynomial.legendre.leggauss(64)
    total = inner**3 / 3
    for low, high in pairwise(ends):
        r = low + (high - low) * (x + 1) / 2
        energy = wca_energy(r - shift, sigma) + depth * well_energy(r - shift, sigma)
        total += float(-(np.expm1(-energy) * r**2) @ weights) * (high - low) / 2
    return 2 * math.pi * total


def cube_sphere_b2(
    positions: FloatArray, radii: FloatArray, radius: float, sigma: float, depths: FloatArray | float = 0.0
) -> float:
    """B2 = 1/2 int over directions and r of (1 - exp(-U)) r^2, by quadrature (see ``RADIAL_NODES``).

    A cube of beads has the 48 symmetries of the cube, so rays from its centre through 1/48 of the directions do:
    (1, u, u t) with u and t in (0, 1), whose solid angle is u du dt / (1 + u^2 + u^2 t^2)^(3/2). Along a ray the
    integrand is r^2 up to where one bead alone certainly repels, and 0 from where the last bead ends; Gauss-Legendre
    between.

    Args:
        positions: (n, 3) beads of the cube in its own frame, with the symmetry of the cube.
        radii: (n,) their radii; those of radius 0 do not act.
        radius: of the sphere, cube edges.
        sigma: range of the potential.
        depths: of the wells of the sphere and each bead, kT: (n,) or one number.

    Returns:
        B2 in cube edges cubed.
    """
    acting = radii > 0
    _checked_delta(radius + float(radii[acting].min()), sigma)
    directions, weights = _directions(ANGULAR_NODES)
    beads, shift = positions[acting], radii[acting] + radius - sigma
    depth = np.broadcast_to(np.asarray(depths, dtype=np.float64), radii.shape)[acting]
    # Outermost crossings of each ray with spheres around the beads.
    along = directions @ beads.T
    across2 = (beads**2).sum(axis=1) - along**2
    hard = _outermost(along, across2, shift + _contact(CERTAIN + float(depth.sum()), sigma))
    steric = np.maximum(_outermost(along, across2, shift + CUTOFF * sigma), hard)
    radial = hard**3 / 3 + _along_rays(hard, steric, along, across2, shift, depth, sigma)
    if depth.any():
        well = np.maximum(_outermost(along, across2, shift + WELL_CUTOFF * sigma), steric)
        radial += _along_rays(steric, well, along, across2, shift, depth, sigma)
    return float(24 * weights @ radial)  # 48 / 2


def _along_rays(
    low: FloatArray,
    high: FloatArray,
    along: FloatArray,
    across2: FloatArray,
    shift: FloatArray,
    depth: FloatArray,
    sigma: float,
) -> FloatArray:
    # (K,) integrals of (1 - exp(-U)) r^2 from low to high on K rays; along and across2 are (K, n).
    x, weights = np.polynomial.legendre.leggauss(RADIAL_NODES)
    total = np.zeros_like(low)
    for node, weight in zip((x + 1) / 2, weights / 2, strict=True):
        r = low + (high - low) * node
        s = np.sqrt((r[:, None] - along) ** 2 + across2) - shift
        s = np.maximum(s, 0.1 * sigma)  # where r may be behind a bead: 4e12 kT is certain enough
        energy = wca_energy(s, sigma)
        if depth.any():
            energy = energy + depth * well_energy(s, sigma)
        total -= weight * (high - low) * np.expm1(-energy.sum(axis=1)) * r**2
    return total


def _outermost(along: FloatArray, across2: FloatArray, reach: FloatArray) -> FloatArray:
    # Largest r at which a ray is within reach of a bead; 0 for a ray that passes all of them.
    inside2 = reach**2 - across2
    r = np.where(inside2 > 0, along + np.sqrt(np.maximum(inside2, 0.0)), 0.0)
    return np.asarray(np.maximum(r.max(axis=1), 0.0))


def _directions(nodes: int) -> tuple[FloatArray, FloatArray]:
    # Unit vectors (nodes^2, 3) in 1/48 of the sphere, and their solid angles, which sum to 4 pi / 48.
    x, w = np.polynomial.legendre.leggauss(nodes)
    u, t = (a.ravel() for a in np.meshgrid((x + 1) / 2, (x + 1) / 2, indexing="ij"))
    vectors = np.stack([np.ones_like(u), u, u * t], axis=1)
    lengths = np.linalg.norm(vectors, axis=1)
    return vectors / lengths[:, None], np.outer(w / 2, w / 2).ravel() * u / lengths**3


def monte_carlo_b2(
    model: Model,
    first: Body,
    second: Body,
    *,
    points: int = 4096,
    scrambles: int = 16,
    seed: int = 1,
    wells: bool = False,
) -> Estimate:
    """B2 = 2/3 pi r0^3 + mean of 2 pi r^2 (r1 - r0) (1 - exp(-U)) over random pairs, for any two bodies.

    The centre distance r is uniform from r0, below which cores always overlap, to r1, beyond which nothing reaches;
    direction and orientation are uniform. Sobol points in independent scrambles, so that their scatter is the error.

    Args:
        model: sigma and wells.
        first: a body, in its own frame.
        second: a body, turned at random; a sphere may have any radius.
        points: in each scramble, a power of 2.
        scrambles: independent repeats, at least 2.
        seed: of the scrambles.
        wells: add the model's wells to the repulsion; few points then carry much of the mean, and the error says so.

    Returns:
        B2 in cube edges cubed, with its standard error.

    Raises:
        InputError: ``scrambles`` is below 2, or ``points`` is no power of 2.
    """
    if scrambles < 2 or points < 1 or points & (points - 1):
        raise InputError(
            f"monte_carlo_b2: scrambles is {scrambles} and points is {points}; expected at least 2 scrambles of a "
            "power of 2 points."
        )
    core_a, core_b = _core(first, model.sigma), _core(second, model.sigma)
    reach = (WELL_CUTOFF if wells and model.attracts else CUTOFF) * model.sigma
    inner = core_a[0] + core_b[0]
    outer = math.sqrt(3) * inner + core_a[1] + core_b[1] + reach - model.sigma
    means = []
    for generator in np.random.default_rng(seed).spawn(scrambles):
        vectors, turns = _random_pairs(qmc.Sobol(6, seed=generator).random(points), inner, outer)
        excluded = _excluded(model, (first, core_a), (second, core_b), vectors, turns, wells)
        means.append(float((2 * math.pi * (outer - inner) * (vectors**2).sum(axis=1) * excluded).mean()))
    inside = 2 / 3 * math.pi * inner**3
    return Estimate(inside + float(np.mean(means)), float(np.std(means, ddof=1) / math.sqrt(scrambles)))


def _random_pairs(uniform: FloatArray, inner: float, outer: float) -> tuple[FloatArray, FloatArray]:
    # (m, 6) numbers in (0, 1) -> separations (m, 3) and rotations (m, 3, 3); quaternions after Shoemake (1992).
    r = inner + (outer - inner) * uniform[:, 0]
    z, angle = 2 * uniform[:, 1] - 1, 2 * math.pi * uniform[:, 2]
    ring = np.sqrt(1 - z**2)
    vectors = r[:, None] * np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1)
    low, high = np.sqrt(1 - uniform[:, 3]), np.sqrt(uniform[:, 3])
    a, b = 2 * math.pi * uniform[:, 4], 2 * math.pi * uniform[:, 5]
    quaternions = np.stack([low * np.sin(a), low * np.cos(a), high * np.sin(b), high * np.cos(b)], axis=1)
    return vectors, Rotation.from_quat(quaternions).as_matrix()


def _excluded(
    model: Model,
    first: tuple[Body, tuple[float, float]],
    second: tuple[Body, tuple[float, float]],
    vectors: FloatArray,
    turns: FloatArray,
    wells: bool,
) -> FloatArray:
    # (m,) 1 - exp(-U): only pairs whose cores are apart but whose shells are in range need their energy.
    count = len(vectors)
    shells = [
        InflatedBoxes(np.zeros((count, 3)), rotations, np.full(count, half), np.full(count, radius))
        for rotations, (half, radius) in (
            (np.tile(np.eye(3), (count, 1, 1)), first[1]),
            (turns, second[1]),
        )
    ]
    gap = surface_gap(shells[0], shells[1], vectors)
    apart = gap > -(first[1][1] + second[1][1])
    reach = (WELL_CUTOFF if wells and model.attracts else CUTOFF) * model.sigma - model.sigma
    excluded = np.where(apart, 0.0, 1.0)
    near = np.flatnonzero(apart & (gap < reach))
    energy = _energies(model, first[0], second, vectors[near], turns[near], wells)
    excluded[near] = -np.expm1(-energy)
    return excluded


def _energies(
    model: Model,
    first: Body,
    second: tuple[Body, tuple[float, float]],
    vectors: FloatArray,
    turns: FloatArray,
    wells: bool,
) -> FloatArray:
    # (m,) sums over the beads of both. In the frame of the second body only few beads of the first are in its range.
    beads_a, radii_a = _acting(first)
    beads_b, radii_b = _acting(second[0])
    half, shell = second[1]
    attracts = wells and model.attracts
    reach = (WELL_CUTOFF if attracts else CUTOFF) * model.sigma
    spheres = int(not first.is_rigid) + int(not second[0].is_rigid)
    seen = np.einsum("mki,mjk->mji", turns, beads_a[None] - vectors[:, None])
    outside = np.linalg.norm(np.maximum(np.abs(seen) - half, 0.0), axis=2)
    pair, bead = np.nonzero(outside < shell + radii_a + reach - model.sigma)
    energy = np.zeros(len(vectors))
    step = max(1, _CHUNK // len(beads_b))
    for start in range(0, len(pair), step):
        rows, own = pair[start : start + step], bead[start : start + step]
        r2 = sum((seen[rows, own, axis, None] - beads_b[:, axis]) ** 2 for axis in range(3))
        shift = radii_a[own, None] + radii_b - model.sigma
        i, j = np.nonzero(r2 < (shift + reach) ** 2)
        s = np.maximum(np.sqrt(r2[i, j]) - shift[i, j], 0.1 * model.sigma)  # 4e12 kT is certain enough
        strength = wca_energy(s, model.sigma)
        if attracts:
            strength = strength + model.depth(radii_a[own[i]], radii_b[j], spheres) * well_energy(s, model.sigma)
        energy += np.bincount(rows[i], strength, len(vectors))
    return energy


def _acting(body: Body) -> tuple[FloatArray, FloatArray]:
    acting = body.radii > 0
    return body.positions[acting], body.radii[acting]


def _core(body: Body, sigma: float) -> tuple[float, float]:
    # Half the core edge and the radius around it: nominal shape, which contains all beads.
    if body.is_rigid:
        return 0.5 - sigma / 2, sigma / 2
    return 0.0, float(body.radii[0])


def _contact(energy: float, sigma: float) -> float:
    # The s at which one bead repels with this energy: (sigma/s)^6 = (1 + sqrt(U/eps))/2.
    return sigma * math.pow((1 + math.sqrt(energy / EPSILON)) / 2, -1 / 6)


def _checked_delta(contact: float, sigma: float) -> float:
    if not (sigma > 0 and contact >= sigma):
        raise InputError(
            f"two bodies touch at a distance of {contact:g} with a potential of range {sigma:g}; expected a positive "
            "range and no shorter contact, for both carry a shell of half the range."
        )
    return contact - sigma
