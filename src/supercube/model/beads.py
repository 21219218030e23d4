"""Beads that make a rigid body a rounded cube: as few as a stated roughness allows.

Layout: the edges and corners of the core cube carry beads of radius lambda (they set the rounding); inside the faces
fewer, larger beads sit deeper, so that all touch the same outer planes: one inscribed sphere of radius e/2 at the
centre (or none) and k x k beads of radius R in each face. Two numbers judge a layout:

* roughness: range of the contact distance of two aligned faces over lateral shifts at a face force of 20 kT/e
  (shifts in both directions to e/4, but no more than half the flat part of the face: that holds half a bead period of
  every layout used here, and beyond it the distance falls because the faces share less area, which is no roughness);
* dent: how deep another cube's corner, a sphere of radius lambda, sinks below the ideal face at its deepest place.

A layout is taken if its roughness is at most the one asked for, its dent at most ``DENT_FACTOR`` times that, and its
edge beads are at most one diameter apart, so that no bead passes between them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .interactions import wca_force

FloatArray = NDArray[np.float64]

#: Force on a face at which roughness is defined, kT/e (physics.md).
FACE_FORCE = 20.0
#: Most beads a cube may have; beyond, a simulation costs more than it tells.
MAX_BEADS = 500
#: Largest lateral shift of the roughness, in edges.
LARGEST_SHIFT = 0.25
#: Smoother than this no state point may ask for: it is a twentieth of the range of the softest contact, while the beads
#: (and the search for them) grow without bound.
LEAST_ROUGHNESS = 0.005
#: Allowed dent over roughness. Corners meet a dent seldom and faces meet each other always: at 2.5 the default model of
#: lambda 0.1 (69 beads, dent 0.048) is still below the 0.053 of the 98 equal beads that were used before.
DENT_FACTOR = 2.5


@dataclass(frozen=True)
class BeadCube:
    """A cube of edge 1 as a rigid body of beads.

    Attributes:
        positions: (n, 3) bead centres in the body frame; row 0 is the centre.
        radii: (n,) bead radii in edges; 0 marks a centre that does not interact.
        sigma: range of the potential = 2 lambda, edges.
        roughness: measured range of the face-to-face contact distance, edges.
        dent: deepest dent of a face, edges.
    """

    positions: FloatArray
    radii: FloatArray
    sigma: float
    roughness: float
    dent: float

    @property
    def n_beads(self) -> int:
        """Number of interacting beads."""
        return int(np.count_nonzero(self.radii))

    @property
    def hash(self) -> str:
        """Fingerprint of the body definition (positions and radii to 1e-9 edges)."""
        rows = np.round(np.column_stack([self.positions, self.radii]), 9) + 0.0  # + 0.0 turns -0.0 into 0.0
        return hashlib.sha256(rows.tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class Layout:
    """Parameters of one bead layout: beads per edge, inscribed sphere or not, and a k x k grid of radius R a face."""

    per_edge: int
    inscribed: bool
    grid: int
    radius: float
    half_width: float

    @property
    def n_beads(self) -> int:
        """8 corners + 12 edges + the inscribed sphere + 6 faces."""
        return 8 + 12 * (self.per_edge - 2) + self.inscribed + 6 * self.grid**2


@lru_cache(maxsize=8)
def edge_beads(per_edge: int, ligand_length: float) -> FloatArray:
    """(8 + 12 (per_edge - 2), 3) positions on the edges of the core cube of edge 1 - 2 lambda."""
    half = 0.5 - ligand_length
    line = np.linspace(-half, half, per_edge)
    grid = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    at_surface = np.abs(np.abs(grid) - half) < 1e-12
    return np.asarray(grid[at_surface.sum(axis=1) >= 2])


def face_beads(layout: Layout) -> FloatArray:
    """(6 k^2, 3) positions of the face beads, each tangent to its outer plane at e/2."""
    line = np.linspace(-layout.half_width, layout.half_width, layout.grid) if layout.grid > 1 else np.zeros(1)
    u, v = (a.ravel() for a in np.meshgrid(line, line, indexing="ij"))
    depth = np.full_like(u, 0.5 - layout.radius)
    faces = [
        np.stack([(sign * depth, u, v), (u, sign * depth, v), (u, v, sign * depth)][axis], axis=-1)
        for axis in range(3)
        for sign in (-1.0, 1.0)
    ]
    return np.concatenate(faces)


def assemble(layout: Layout, ligand_length: float) -> tuple[FloatArray, FloatArray]:
    """Positions (n, 3) and radii (n,) of a layout; row 0 is the centre, with radius 0 if no sphere is inscribed."""
    edges = edge_beads(layout.per_edge, ligand_length)
    positions, radii = [np.zeros((1, 3)), edges], [[0.5 * layout.inscribed], [ligand_length] * len(edges)]
    if layout.grid:
        faces = face_beads(layout)
        positions.append(faces)
        radii.append([layout.radius] * len(faces))
    return np.concatenate(positions), np.concatenate(radii)


def _top_face(positions: FloatArray, radii: FloatArray) -> tuple[FloatArray, FloatArray]:
    touching = (radii > 0) & (positions[:, 2] + radii > 0.5 - 1e-9)
    return positions[touching], radii[touching]


def contact_distance(positions: FloatArray, radii: FloatArray, sigma: float, shifts: FloatArray) -> FloatArray:
    """Distance of two cubes, face to face and aligned, at which they repel with ``FACE_FORCE``.

    Args:
        positions: (n, 3) beads of one cube, in edges.
        radii: (n,) their radii.
        sigma: range of the potential.
        shifts: (k, 2) lateral shifts of the second cube.

    Returns:
        (k,) centre-to-centre distances normal to the faces, in edges.
    """
    beads, radius = _top_face(positions, radii)
    reach = radius[:, None] + radius[None, :]
    lateral2 = ((beads[:, None, :2] - beads[None, :, :2] - shifts[:, None, None, :]) ** 2).sum(axis=-1)
    low, high = np.full(len(shifts), 0.7), np.full(len(shifts), 1.0 + sigma)
    for _ in range(40):  # bisection to 1e-12: the force falls monotonically with distance
        middle = (low + high) / 2
        height = middle[:, None, None] - 1.0 + reach
        r = np.sqrt(lateral2 + height**2)
        s = np.maximum(r - (reach - sigma), 0.3 * sigma)  # a cap far above FACE_FORCE keeps numbers finite
        strong = (wca_force(s, sigma) * height / r).sum(axis=(1, 2)) > FACE_FORCE
        low, high = np.where(strong, middle, low), np.where(strong, high, middle)
    return low


def measure_roughness(positions: FloatArray, radii: FloatArray, sigma: float, points: int = 9) -> float:
    """Range (largest minus smallest) of the contact distance over lateral shifts, in edges."""
    line = np.linspace(0.0, min(LARGEST_SHIFT, (1.0 - sigma) / 2), points)  # 1 - sigma: the flat part of a face
    shifts = np.array([(u, v) for u in line for v in line if v <= u])  # the face has the symmetry of the square
    return float(np.ptp(contact_distance(positions, radii, sigma, shifts)))


def measure_dent(positions: FloatArray, radii: FloatArray, ligand_length: float, points: int = 41) -> float:
    """How far a hard sphere of radius lambda can sink below the plane that touches all face beads, in edges."""
    beads, radius = _top_face(positions, radii)
    line = np.linspace(0.0, 0.5 - ligand_length, points)
    x, y = (a.ravel()[:, None] for a in np.meshgrid(line, line))
    lateral2 = (x - beads[:, 0]) ** 2 + (y - beads[:, 1]) ** 2
    reach2 = (radius + ligand_length) ** 2
    height = np.where(lateral2 < reach2, beads[:, 2] + np.sqrt(np.maximum(reach2 - lateral2, 0.0)), 0.0)
    return float(0.5 + ligand_length - height.max(axis=1).min())


def _least_per_edge(ligand_length: float) -> int:
    # Spacing (1 - 2 lambda)/(m - 1) <= one bead diameter 2 lambda; 1e-9 forgives rounding of exact fits.
    return max(2, int(np.ceil((1 - 2 * ligand_length) / (2 * ligand_length) - 1e-9)) + 1)


def _layouts(ligand_length: float) -> Iterator[Layout]:
    least = _least_per_edge(ligand_length)
    for per_edge in (least, least + 1, least + 2):
        yield Layout(per_edge, True, 0, 0.0, 0.0)
        for inscribed in (True, False):
            for grid in range(1, 9):
                for radius in np.linspace(ligand_length, 0.5, 17)[:-1]:
                    # The grid reaches as far as beads of this radius stay inside the rounded cube.
                    widths = (0.0,) if grid == 1 else ((0.5 - radius) * f for f in (1.0, 0.85, 0.7))
                    for width in widths:
                        yield Layout(per_edge, inscribed, grid, float(radius), float(width))


@lru_cache(maxsize=64)
def design_cube(ligand_length: float, roughness: float) -> BeadCube:
    """The cube with the fewest beads whose roughness and dent are within the tolerance.

    Among layouts with equally few beads the smoothest wins. The search is exhaustive over the layouts of this module
    and deterministic.

    Args:
        ligand_length: lambda, rounding radius over edge, in (0, 0.5).
        roughness: largest allowed roughness, in edges, at least ``LEAST_ROUGHNESS``.

    Raises:
        InputError: the roughness is too small, or no layout with at most ``MAX_BEADS`` beads is smooth enough; says
            the smallest lambda that works.
    """
    if roughness < LEAST_ROUGHNESS:
        raise InputError(f"roughness is {roughness:g}; expected at least {LEAST_ROUGHNESS:g} (the default is 0.02).")
    cube = _search(ligand_length, roughness)
    if cube is not None:
        return cube
    smallest = _smallest_ligand(ligand_length, roughness)
    if smallest is None:
        raise InputError(
            f"roughness {roughness:g} cannot be reached at ligand_length {ligand_length:g} with {MAX_BEADS} beads a "
            f"cube; expected a larger roughness (default 0.02)."
        )
    raise InputError(
        f"ligand_length {ligand_length:g} needs more than {MAX_BEADS} beads a cube at roughness {roughness:g}; "
        f"expected at least {smallest:g}, the smallest that works."
    )


def _search(ligand_length: float, roughness: float) -> BeadCube | None:
    by_count: dict[int, list[Layout]] = {}
    for layout in _layouts(ligand_length):
        if layout.n_beads <= MAX_BEADS:
            by_count.setdefault(layout.n_beads, []).append(layout)
    for count in sorted(by_count):
        best = _smoothest(by_count[count], ligand_length, roughness)
        if best is not None:
            return best
    return None


def _smoothest(layouts: list[Layout], ligand_length: float, roughness: float) -> BeadCube | None:
    sigma, best = 2.0 * ligand_length, None
    for layout in layouts:
        positions, radii = assemble(layout, ligand_length)
        # Few points first: they are among the many, so what they reject is rejected rightly, at a tenth of the cost.
        if measure_dent(positions, radii, ligand_length, points=11) > DENT_FACTOR * roughness:
            continue
        if measure_roughness(positions, radii, sigma, points=3) > roughness:
            continue
        dent = measure_dent(positions, radii, ligand_length)
        if dent > DENT_FACTOR * roughness:
            continue
        value = measure_roughness(positions, radii, sigma)
        if value <= roughness and (best is None or value < best.roughness):
            best = BeadCube(positions, radii, sigma, value, dent)
    return best


def _smallest_ligand(ligand_length: float, roughness: float) -> float | None:
    # To 0.001: climb until a cube can be built, then halve the last step.
    works, fails = None, ligand_length
    while 8 + 12 * (_least_per_edge(fails) - 2) > MAX_BEADS:
        fails += 0.001  # the edges alone are too many: no search needed
    while works is None:
        trial = max(fails * 1.15, fails + 0.002)
        if trial >= 0.35:  # rounder cubes only get easier to build, so the roughness itself is out of reach
            return None
        if _search(trial, roughness) is None:
            fails = trial
        else:
            works = trial
    while works - fails > 0.001:
        middle = (works + fails) / 2
        if _search(middle, roughness) is None:
            fails = middle
        else:
            works = middle
    rounded_up = float(np.ceil(works * 1000) / 1000)
    return rounded_up if _search(rounded_up, roughness) is not None else works
