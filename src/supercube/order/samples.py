"""Configurations of which every particle's order is known, generated from the crystal library with fixed seeds.

Here crystals with thermal noise, defects and wrong stoichiometry in triclinic boxes; :mod:`.melts` has what must not be
called a crystal. Each sample is built from its own seed alone, so samples are independent of each other.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration, box_matrix, cube_shape, sphere_shape, wrap
from ..crystals.closest import all_pairs, crystals_at, touching_edges
from ..crystals.library import C_OVER_A, Sizes, Structure, structure
from ..errors import InputError
from .packings import heights, pairs_within

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
Rng = np.random.Generator

#: The crystals that the classifier has to know first, and those that come next.
FIRST = ("SC", "NaCl", "ABO3", "AlB2", "CsCl", "CuAu", "fcc", "hcp", "bcc")
SECOND = ("ABO6", "CaB6", "ReO3", "MgZn2", "hexagonal")
#: What matches no crystal.
DISORDERED = "disordered"
#: Free parameters that are drawn from less than what a search for closest packing tries. CuAu becomes CsCl at c/a
#: 0.707; closest packing of CaB6 and ABO6 has 0.29-0.33 for every gamma; MgZn2 is ideal at 1.633.
RANGES: Mapping[tuple[str, str], tuple[float, float]] = {
    ("CuAu", C_OVER_A): (0.85, 1.0),
    ("AlB2", C_OVER_A): (0.9, 1.2),
    ("MgZn2", C_OVER_A): (1.58, 1.68),
    ("CaB6", "octahedron_x"): (0.28, 0.335),
    ("ABO6", "octahedron_x"): (0.3, 0.34),
}
GAMMAS, LAMBDAS, EXPANSIONS = (0.3, 0.6), (0.05, 0.2), (1.0, 1.08)
#: Fewest cells (4 x 4 x 4) and fewest particles of a crystal; up to 1.4 times as many are drawn.
LEAST_CELLS, LEAST_PARTICLES, MOST_OVER_LEAST = 64, 200, 1.4
#: Smallest height of a box over the cube root of its volume, and over the largest first-neighbour distance.
_LEAST_HEIGHT, _LEAST_REACHES = 0.75, 2.2
#: Neighbours of one species this much farther than the nearest of it are the same shell (bcc's second is at 1.155).
SHELL = 1.15
#: A particle that lacks more than this share of a shell is not scored, by the issue.
_LACKING = 0.5
#: Interstitials stay this far from every particle, in shortest neighbour distances.
_ROOM = 0.5
#: FWHM of a normal distribution over its standard deviation.
FWHM = 2 * math.sqrt(2 * math.log(2))


@dataclass(frozen=True, eq=False)
class Sample:
    """A configuration with known order.

    Attributes:
        configuration: in cube edges; random particle order, positions wrapped.
        structure: what the whole is: a name of the library, or ``disordered``.
        truth: (N,) str, the label each particle should get.
        scored: (N,) particles whose label counts.
        crystal_fraction: share of all particles that belong to the crystal.
        facts: how it was made (sizes, noise, defects), for reports and tests.
    """

    configuration: Configuration
    structure: str
    truth: NDArray[np.str_]
    scored: BoolArray
    crystal_fraction: float
    facts: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Defects:
    """What is wrong with a crystal beside its noise; the defaults are perfect.

    Attributes:
        fwhm_deg: full width at half maximum of the cubes' angles about each axis, in degrees.
        vacancies: share of the particles that are missing.
        excess: share by which a species is in excess of itself (of all particles where the crystal has none of it).
        species: the one in excess, ``cube`` or ``sphere``.
        substitution: whether the excess sits on places of the other species (on at most the share ``excess`` of them)
            instead of between the places.
        largest_holes: whether interstitials sit in the largest holes instead of anywhere with room.
    """

    fwhm_deg: float = 0.0
    vacancies: float = 0.0
    excess: float = 0.0
    species: str = "cube"
    substitution: bool = False
    largest_holes: bool = True

    @staticmethod
    def drawn(rng: Rng) -> Defects:
        """Uniform over the ranges of the benchmark: 10 degrees, 5 % vacancies, 10 % excess of either species."""
        return Defects(
            fwhm_deg=rng.uniform(0, 10),
            vacancies=rng.uniform(0, 0.05),
            excess=rng.uniform(0, 0.10),
            species=str(rng.choice(["cube", "sphere"])),
            substitution=bool(rng.random() < 0.5),
            largest_holes=bool(rng.random() < 0.5),
        )


@dataclass(frozen=True)
class Lattice:
    """A perfect crystal in its periodic box, not wrapped.

    Attributes:
        box: (6,).
        positions: (N, 3).
        quaternions: (N, 4), scalar first.
        is_cube: (N,).
        depth: (N,) fractional coordinate along the third box vector, in [0, 1).
        first: (N, 2) distance of the nearest cube and of the nearest sphere; infinite where there is none.
        sizes: of the particles.
        facts: how it was drawn.
    """

    box: FloatArray
    positions: FloatArray
    quaternions: FloatArray
    is_cube: BoolArray
    depth: FloatArray
    first: FloatArray
    sizes: Sizes
    facts: dict[str, float | str]

    @property
    def nearest(self) -> float:
        """Shortest distance of any two particles."""
        return float(self.first.min())

    @property
    def reach(self) -> float:
        """Largest distance of a first neighbour of either species."""
        return float(self.first[np.isfinite(self.first)].max())


def generator(*key: str | int) -> Rng:
    """Random numbers that depend on all parts of the key and on nothing else."""
    return np.random.default_rng([part if isinstance(part, int) else zlib.crc32(part.encode()) for part in key])


# --- crystals ---------------------------------------------------------------------------------------------------------


def crystal_sample(name: str, noise: float, seed: int, defects: Defects | None = None) -> Sample:
    """A crystal of the library in a random triclinic box, with noise and defects.

    Every coordinate is displaced by a normal deviate of ``noise`` times the shortest neighbour distance, cubes are
    turned likewise; vacancies, substituted particles and interstitials follow ``defects``.

    Not scored: interstitials, substituted particles (their truth is ``disordered``), and particles that lack more than
    half of their first shell of cubes or of spheres because its places are vacant or substituted.

    Args:
        name: a structure of cubes and spheres.
        noise: standard deviation per component over the shortest neighbour distance.
        seed: any integer >= 0.
        defects: drawn at random if left out.

    Raises:
        InputError: unknown structure, or one of two species of cubes.
    """
    rng = generator("crystal", name, seed)
    lattice = random_lattice(entry_of(name), rng)
    wrong = Defects.drawn(rng) if defects is None else defects
    n = len(lattice.positions)
    present = np.ones(n, dtype=bool)
    present[rng.permutation(n)[: round(wrong.vacancies * n)]] = False
    substituted = _substituted(lattice, present, wrong, rng)
    lost = _lost_share(lattice, present & ~substituted)
    positions = lattice.positions + noise * lattice.nearest * rng.normal(size=(n, 3))
    quaternions = thermal(lattice.quaternions, wrong.fwhm_deg, rng)
    quaternions[substituted] = random_quaternions(int(substituted.sum()), rng)
    added = _interstitials(lattice, positions[present], wrong, rng)
    labels = np.where(substituted, DISORDERED, name)[present]
    bodies = Bodies(
        np.concatenate([positions[present], added]),
        np.concatenate([quaternions[present], random_quaternions(len(added), rng)]),
        np.concatenate([(lattice.is_cube ^ substituted)[present], np.full(len(added), wrong.species == "cube")]),
        np.concatenate([labels, np.full(len(added), DISORDERED)]),
        np.concatenate([(~substituted & (lost <= _LACKING))[present], np.zeros(len(added), dtype=bool)]),
    )
    facts = lattice.facts | {"noise": noise, "vacancies": n - int(present.sum()), "fwhm_deg": wrong.fwhm_deg}
    facts |= {"interstitials": len(added), "substituted": int(substituted.sum()), "excess_species": wrong.species}
    return finished(bodies, lattice.box, lattice.sizes, name, facts, rng)


def entry_of(name: str) -> Structure:
    """A structure of the library that samples are made of.

    Raises:
        InputError: unknown structure, or one of two species of cubes.
    """
    entry = structure(name)
    if "second_cube" in entry.species:
        raise InputError(f"{name} has two species of cubes; samples are made of cubes and spheres.")
    return entry


def random_lattice(entry: Structure, rng: Rng, *, repeats: int = 1) -> Lattice:
    """A crystal with random sizes and free parameters; the third box vector is repeated ``repeats`` times."""
    sizes = Sizes(1 / rng.uniform(*GAMMAS), rng.uniform(*LAMBDAS))
    expansion = rng.uniform(*EXPANSIONS)
    arrangement = str(rng.choice(sorted(entry.arrangements))) if entry.arrangements else ""
    entry = entry.arranged(arrangement)
    values = {p.name: float(rng.uniform(*RANGES.get((entry.name, p.name), (p.low, p.high)))) for p in entry.parameters}
    crystal = crystals_at(entry, sizes, values)
    # One cell of these parameters without overlap; no search for the densest.
    edge = float(touching_edges(crystal, all_pairs(len(entry.sites), 1)).max()) * expansion
    cell, inside = edge * crystal.lattice[0], edge * crystal.positions[0]
    cube = np.array([site.species == "cube" for site in entry.sites])
    first = _first_distances(inside, cell, cube)
    least = max(LEAST_CELLS, math.ceil(LEAST_PARTICLES / len(cube)))
    cells = _supercell(cell, least, _LEAST_REACHES * float(first[np.isfinite(first)].max()), rng)
    cells[2] *= repeats
    rows = cells @ cell
    turn, upper = np.linalg.qr(rows.T)
    # With a positive diagonal the factorisation is unique, and the turn a rotation if the rows are right-handed.
    signs = np.sign(np.diag(upper))
    turn, upper = turn * signs, upper * signs[:, None]
    corners = _cells_inside(cells)
    fractional = (corners[:, None] @ cell + inside).reshape(-1, 3) @ np.linalg.inv(rows) + rng.random(3)
    fractional -= np.floor(fractional)
    facts: dict[str, float | str] = {"gamma": 1 / sizes.diameter, "lambda": sizes.rounding, "expansion": expansion}
    turned = np.einsum("ji,njk->nik", turn, crystal.rotations[0])
    return Lattice(
        box=_box_of(upper),
        positions=(fractional - 0.5) @ upper.T,
        quaternions=np.tile(_quaternions(turned, cube), (len(corners), 1)),
        is_cube=np.tile(cube, len(corners)),
        depth=fractional[:, 2],
        first=np.tile(first, (len(corners), 1)),
        sizes=sizes,
        facts=facts | values | {"lattice_constant": edge, "arrangement": arrangement},
    )


def _first_distances(positions: FloatArray, cell: FloatArray, cube: BoolArray) -> FloatArray:
    """(n, 2) distance from each site to the nearest cube and to the nearest sphere."""
    images = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3))) @ cell
    apart = positions[None, :, None] + images - positions[:, None, None]
    distances = np.linalg.norm(apart, axis=-1)
    distances[distances < 1e-9] = np.inf
    nearest = distances.min(axis=2)
    return np.stack([np.where(kind, nearest, np.inf).min(axis=1) for kind in (cube, ~cube)], axis=1)


def _supercell(cell: FloatArray, least: int, height: float, rng: Rng) -> IntArray:
    """A random integer matrix whose rows times the cell's are the edges of a compact, right-handed box.

    Lower-triangular matrices in Hermite normal form name every superlattice once; they are reduced to short vectors
    and drawn again until the box is neither too small nor too thin. Which of them lies along x is random too.
    """
    side = max(3, round(least ** (1 / 3)) - 2), round(least ** (1 / 3)) + 3
    while True:
        sides = rng.integers(*side, 3, endpoint=True)
        if not least <= np.prod(sides) <= MOST_OVER_LEAST * least:
            continue
        cells = _reduced(np.tril(rng.integers(0, sides, (3, 3)), -1) + np.diag(sides), cell)
        shortest = heights((cells @ cell).T).min()
        volume = float(np.prod(sides)) * abs(float(np.linalg.det(cell)))
        if shortest > max(height, _LEAST_HEIGHT * volume ** (1 / 3)):
            cells = rng.permutation(cells)
            return cells if np.linalg.det(cells @ cell) > 0 else -cells


def _reduced(cells: IntArray, cell: FloatArray) -> IntArray:
    """The same superlattice with shorter vectors, by subtracting shorter ones from longer ones, longest last."""
    changed = True
    while changed:
        changed = False
        cells = cells[np.argsort(np.linalg.norm(cells @ cell, axis=1), kind="stable")]
        for i, j in ((1, 0), (2, 0), (2, 1)):
            rows = cells @ cell
            # Slightly below one half, so that ties do not swap for ever.
            times = round(float(rows[i] @ rows[j] / (rows[j] @ rows[j])) * (1 - 1e-9))
            cells[i] -= times * cells[j]
            changed |= times != 0
    return cells


def _cells_inside(cells: IntArray) -> IntArray:
    """(det, 3) whole numbers of cells whose corners lie in the supercell."""
    corners = np.array(list(itertools.product((0, 1), repeat=3))) @ cells
    axes = [np.arange(low, high + 1) for low, high in zip(corners.min(axis=0), corners.max(axis=0), strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    fractional = grid @ np.linalg.inv(cells)
    return np.asarray(grid[(np.floor(fractional + 1e-9) == 0).all(axis=1)])


def _box_of(upper: FloatArray) -> FloatArray:
    (lx, xy, xz), (_, ly, yz), lz = upper[0], upper[1], upper[2, 2]
    return np.array([lx, ly, lz, xy / ly, xz / lz, yz / lz])


def _quaternions(rotations: FloatArray, cube: BoolArray) -> FloatArray:
    """Scalar first; spheres have no orientation and get the identity, as in a file of a run."""
    from scipy.spatial.transform import Rotation

    found = Rotation.from_matrix(rotations).as_quat()[:, [3, 0, 1, 2]]
    return np.where(cube[:, None], found, [1.0, 0.0, 0.0, 0.0])


def random_quaternions(n: int, rng: Rng) -> FloatArray:
    """(n, 4) uniform orientations, scalar first."""
    # Four normal deviates point uniformly over the sphere of unit quaternions.
    found = rng.normal(size=(n, 4))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


def thermal(quaternions: FloatArray, fwhm_deg: float, rng: Rng) -> FloatArray:
    """Orientations turned by normal angles of that full width at half maximum about each axis."""
    from scipy.spatial.transform import Rotation

    angles = np.radians(fwhm_deg / FWHM) * rng.normal(size=(len(quaternions), 3))
    turned = Rotation.from_rotvec(angles) * Rotation.from_quat(quaternions[:, [1, 2, 3, 0]])
    return np.asarray(turned.as_quat()[:, [3, 0, 1, 2]])


# --- defects ----------------------------------------------------------------------------------------------------------


def _substituted(lattice: Lattice, present: BoolArray, wrong: Defects, rng: Rng) -> BoolArray:
    """(N,) places of the other species that the species in excess has taken."""
    result = np.zeros(len(present), dtype=bool)
    if wrong.substitution:
        of_species = lattice.is_cube == (wrong.species == "cube")
        others = np.flatnonzero(~of_species & present)
        own = int(of_species.sum()) or len(present)
        result[rng.permutation(others)[: round(wrong.excess * min(own, len(others)))]] = True
    return result


def _lost_share(lattice: Lattice, intact: BoolArray) -> FloatArray:
    """(N,) the larger of the shares of the first shell of cubes, and of spheres, that are not intact."""
    pairs = pairs_within(lattice.positions, lattice.box, SHELL * lattice.reach)
    kind = (~lattice.is_cube).astype(int)
    pairs = pairs.take(pairs.distances <= SHELL * lattice.first[pairs.first, kind[pairs.second]])
    place = 2 * pairs.first + kind[pairs.second]
    n = len(intact)
    filled = np.bincount(place, minlength=2 * n)
    lost = np.bincount(place, ~intact[pairs.second], minlength=2 * n)
    return np.asarray((lost / np.maximum(filled, 1)).reshape(n, 2).max(axis=1))


def _interstitials(lattice: Lattice, positions: FloatArray, wrong: Defects, rng: Rng) -> FloatArray:
    """(k, 3) places between the particles; fewer than wanted where no room is left."""
    if wrong.substitution or not wrong.excess:
        return np.zeros((0, 3))
    of_species = int((lattice.is_cube == (wrong.species == "cube")).sum())
    wanted = round(wrong.excess * (of_species or len(lattice.positions)))
    matrix = box_matrix(lattice.box)
    trials = (rng.random((3000, 3)) - 0.5) @ matrix.T
    room = clearance(trials, positions, lattice.box, lattice.reach)
    chosen: list[int] = []
    while len(chosen) < wanted:
        places = np.flatnonzero(room >= _ROOM * lattice.nearest)
        if not len(places):
            break
        # The trials are in random order, so the first of them is anywhere.
        chosen.append(int(places[room[places].argmax()] if wrong.largest_holes else places[0]))
        room = np.minimum(room, np.linalg.norm(nearest_image(trials - trials[chosen[-1]], matrix), axis=1))
    return np.asarray(trials[chosen].reshape(-1, 3))


def clearance(trials: FloatArray, positions: FloatArray, box: FloatArray, reach: float) -> FloatArray:
    """(T,) distance from each trial place to the nearest particle, at most ``reach``."""
    pairs = pairs_within(np.concatenate([trials, positions]), box, reach)
    pairs = pairs.take((pairs.first < len(trials)) & (pairs.second >= len(trials)))
    room = np.full(len(trials), reach)
    np.minimum.at(room, pairs.first, pairs.distances)
    return room


def nearest_image(vectors: FloatArray, matrix: FloatArray) -> FloatArray:
    """Formula v - round(v / box): the nearest image wherever that is shorter than half the smallest height."""
    fractional = vectors @ np.linalg.inv(matrix).T
    return np.asarray((fractional - np.round(fractional)) @ matrix.T)


@dataclass(frozen=True)
class Bodies:
    """Particles with truth: (N, 3), (N, 4), and (N,) species, labels and whether they are scored."""

    positions: FloatArray
    quaternions: FloatArray
    is_cube: BoolArray
    truth: NDArray[np.str_]
    scored: BoolArray


def finished(
    bodies: Bodies, box: FloatArray, sizes: Sizes, name: str, facts: Mapping[str, float | str], rng: Rng
) -> Sample:
    """The particles in random order, wrapped, with the species that are there."""
    order = rng.permutation(len(bodies.positions))
    cube = bodies.is_cube[order]
    shapes = {"cube": cube_shape(sizes.rounding), "sphere": sphere_shape(sizes.diameter)}
    species = tuple(kind for kind, there in (("cube", cube.any()), ("sphere", not cube.all())) if there)
    # A substituted cube has become a sphere and lost its orientation.
    quaternions = np.where(cube[:, None], bodies.quaternions[order], [1.0, 0.0, 0.0, 0.0])
    configuration = Configuration(
        box=box,
        positions=wrap(bodies.positions[order], box)[0],
        orientations=quaternions,
        species=species,
        typeid=np.where(cube, 0, len(species) - 1),
        shapes=tuple(shapes[kind] for kind in species),
    )
    truth = bodies.truth[order]
    fraction = float((truth == name).mean()) if name != DISORDERED else 0.0
    return Sample(configuration, name, truth, bodies.scored[order], fraction, facts)
