"""Samples without order, and half without: fluids, packings, glasses, molten sublattices, two-phase boxes.

The continuation of :mod:`.samples`; each sample is built from its own seed alone (own random numbers, own relaxation).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..configuration import box_matrix
from ..crystals.library import Sizes, structure
from ..errors import InputError
from ..model.shapes import Spherocube
from .packings import heights, jammed, relaxed
from .samples import (
    DISORDERED,
    GAMMAS,
    LAMBDAS,
    Bodies,
    Lattice,
    Rng,
    Sample,
    clearance,
    entry_of,
    finished,
    generator,
    nearest_image,
    random_lattice,
    random_quaternions,
    thermal,
)

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# --- half crystal, half fluid -----------------------------------------------------------------------------------------


def two_phase_sample(name: str, noise: float, seed: int) -> Sample:
    """A box of which one half along the third edge is a crystal and the other half a fluid of the same species.

    The fluid has the crystal's composition and 0.7-0.9 of its number density: random points pushed apart beside the
    crystal, then displaced by the crystal's noise. The two faces of the crystal lie along random lattice planes.
    Particles within one neighbour distance of them are not scored; there are no other defects.

    Args:
        name: a structure of cubes and spheres.
        noise: standard deviation per component over the crystal's shortest neighbour distance.
        seed: any integer >= 0.

    Raises:
        InputError: as :func:`crystal_sample`.
    """
    rng = generator("two-phase", name, seed)
    lattice = random_lattice(entry_of(name), rng, repeats=4)
    density = rng.uniform(0.7, 0.9)
    solid = lattice.depth < 0.5
    places, cube = _fluid_beside(lattice, solid, density, rng)
    free = np.arange(len(cube)) >= solid.sum()
    places = places + noise * lattice.nearest * rng.normal(size=places.shape)
    fwhm = rng.uniform(0, 10)
    quaternions = np.concatenate(
        [thermal(lattice.quaternions[solid], fwhm, rng), random_quaternions(int(free.sum()), rng)],
    )
    matrix = box_matrix(lattice.box)
    depth = (places @ np.linalg.inv(matrix).T)[:, 2] + 0.5
    # Both faces, at 0 and 1/2 of the third edge.
    from_face = np.abs((2 * depth + 0.5) % 1.0 - 0.5) / 2 * heights(matrix)[2]
    bodies = Bodies(places, quaternions, cube, np.where(free, DISORDERED, name), from_face > lattice.reach)
    facts = lattice.facts | {"noise": noise, "fwhm_deg": fwhm, "fluid_density": density}
    return finished(bodies, lattice.box, lattice.sizes, name, facts, rng)


def _fluid_beside(lattice: Lattice, solid: BoolArray, density: float, rng: Rng) -> tuple[FloatArray, BoolArray]:
    """The crystal's particles, in place, and then the fluid's in the other half: positions and which are cubes."""
    is_cube, wanted = lattice.is_cube[solid], round(density * int(solid.sum()))
    # Drawn from the crystal's particles, each at most once, so the composition is the crystal's within chance.
    cube = np.concatenate([is_cube, is_cube[rng.permutation(len(is_cube))[:wanted]]])
    free = np.arange(len(cube)) >= len(is_cube)
    points = np.column_stack([rng.random((wanted, 2)), rng.uniform(0.5, 1.0, wanted)]) - 0.5
    diameters = _diameters(lattice.sizes, cube)
    # Soft spheres above random close packing would end as a stressed glass, so they are made smaller where needed.
    filled = float(np.pi / 6 * (diameters[free] ** 3).sum()) / (float(np.prod(lattice.box[:3])) / 2)
    diameters = diameters * min(1.0, (_DENSEST_FLUID / filled) ** (1 / 3))
    start = np.concatenate([lattice.positions[solid], points @ box_matrix(lattice.box).T])
    return relaxed(start, lattice.box, diameters, free)[0], cube


#: Packing fraction up to which random points are pushed apart within some rounds.
_DENSEST_FLUID = 0.56


def _diameters(sizes: Sizes, cube: BoolArray) -> FloatArray:
    """Diameters of soft spheres: that of a sphere, and for a cube that of the sphere of its volume."""
    round_cube = (6 * Spherocube(rounding=sizes.rounding).volume / math.pi) ** (1 / 3)
    return np.where(cube, round_cube, sizes.diameter)


# --- what is no crystal -----------------------------------------------------------------------------------------------

#: Cubes per sphere of mixtures.
_MIXTURES = ((4, 1), (3, 1), (2, 1), (1, 1), (1, 2), (1, 3))
#: Fractions up to which a fluid is one of hard rounded cubes; denser ones are soft spheres that turn freely.
_HARD_FLUID = 0.25
#: Largest cage rattling of a dense fluid and of a glass, per component and in diameters.
_FLUID_NOISE, _GLASS_NOISE = 0.06, 0.03


def negative_sample(kind: str, seed: int) -> Sample:
    """A configuration without order of one of the ``NEGATIVES``; all particles are scored and disordered.

    Args:
        kind: a name in ``NEGATIVES``.
        seed: any integer >= 0.

    Raises:
        InputError: unknown kind.
    """
    if kind not in NEGATIVES:
        raise InputError(f"unknown kind of disorder {kind!r}; expected one of {', '.join(NEGATIVES)}.")
    return NEGATIVES[kind](generator("negative", kind, seed))


def _sizes(rng: Rng) -> Sizes:
    return Sizes(1 / rng.uniform(*GAMMAS), rng.uniform(*LAMBDAS))


def _composition(species: str, rng: Rng) -> tuple[int, int]:
    """Numbers of cubes and of spheres, 200 to 400 together."""
    n = int(rng.integers(200, 401))
    if species != "both":
        return (n, 0) if species == "cube" else (0, n)
    cubes, spheres = _MIXTURES[rng.integers(len(_MIXTURES))]
    return n * cubes // (cubes + spheres), n - n * cubes // (cubes + spheres)


def _fluid(species: str) -> Callable[[Rng], Sample]:
    """Fluids of one species or both at packing fractions 0.1-0.25 (hard bodies) and 0.25-0.5 (soft spheres)."""

    def make(rng: Rng) -> Sample:
        sizes, (cubes, spheres), fraction = _sizes(rng), _composition(species, rng), rng.uniform(0.1, 0.5)
        if fraction > _HARD_FLUID:
            positions, box, cube = _soft_start(sizes, cubes, spheres, fraction, rng)
            positions, _ = relaxed(positions, box, _diameters(sizes, cube))
            return _without_order(positions, box, cube, sizes, rng.uniform(0, _FLUID_NOISE), rng, fraction=fraction)
        from ..protocol.initial import random_fluid

        seed = int(rng.integers(2**31))
        found = random_fluid(cubes, spheres, 1 / sizes.diameter, sizes.rounding, fraction, seed)
        bodies = _disordered(found.positions, found.orientations, found.is_species("cube"))
        return finished(bodies, found.box, sizes, DISORDERED, {"fraction": fraction}, rng)

    return make


def _random_packing(rng: Rng) -> Sample:
    """Spheres, cubes or both at random close packing."""
    sizes, (cubes, spheres) = _sizes(rng), _composition(str(rng.choice(["cube", "sphere", "both", "both"])), rng)
    positions, box, cube = _soft_start(sizes, cubes, spheres, 0.3, rng)
    positions, box = jammed(positions, box, _diameters(sizes, cube))
    return _without_order(positions, box, cube, sizes, 0.0, rng)


def _glass(rng: Rng) -> Sample:
    """A random packing compressed by 2-10 % in volume and relaxed, with some rattling."""
    sizes, (cubes, spheres) = _sizes(rng), _composition(str(rng.choice(["cube", "sphere", "both", "both"])), rng)
    positions, box, cube = _soft_start(sizes, cubes, spheres, 0.3, rng)
    diameters = _diameters(sizes, cube)
    positions, box = jammed(positions, box, diameters)
    scale = rng.uniform(0.90, 0.98) ** (1 / 3)
    box = np.concatenate([box[:3] * scale, box[3:]])
    positions, _ = relaxed(positions * scale, box, diameters)
    return _without_order(positions, box, cube, sizes, rng.uniform(0, _GLASS_NOISE), rng)


def _soft_start(
    sizes: Sizes, cubes: int, spheres: int, fraction: float, rng: Rng
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Random points in a cubic box of that packing fraction: positions, box and which are cubes."""
    cube = np.arange(cubes + spheres) < cubes
    edge = (float(np.pi / 6 * (_diameters(sizes, cube) ** 3).sum()) / fraction) ** (1 / 3)
    return rng.uniform(-edge / 2, edge / 2, (len(cube), 3)), np.array([edge] * 3 + [0.0] * 3), cube


def _disordered(positions: FloatArray, quaternions: FloatArray, cube: BoolArray) -> Bodies:
    n = len(positions)
    return Bodies(positions, quaternions, cube, np.full(n, DISORDERED), np.ones(n, dtype=bool))


def _without_order(
    positions: FloatArray,
    box: FloatArray,
    cube: BoolArray,
    sizes: Sizes,
    noise: float,
    rng: Rng,
    **facts: float,
) -> Sample:
    steps = noise * _diameters(sizes, cube)[:, None] * rng.normal(size=(len(cube), 3))
    bodies = _disordered(positions + steps, random_quaternions(len(cube), rng), cube)
    return finished(bodies, box, sizes, DISORDERED, {"noise": noise, **facts}, rng)


def _molten(name: str, sphere_room: tuple[float, float], cube_room: tuple[float, float]) -> Callable[[Rng], Sample]:
    """A crystal whose spheres vibrate (3-5 % noise) while its cubes lie anywhere between them, turned at random.

    Args:
        name: the crystal.
        sphere_room: range of the least distance of a cube to a sphere, in lattice constants.
        cube_room: the same to another cube; made smaller by 5 % whenever no room is left.
    """

    def make(rng: Rng) -> Sample:
        lattice = random_lattice(structure(name), rng)
        edge, noise = float(lattice.facts["lattice_constant"]), rng.uniform(0.03, 0.05)
        spheres = lattice.positions[~lattice.is_cube]
        spheres = spheres + noise * lattice.nearest * rng.normal(size=spheres.shape)
        rooms = edge * rng.uniform(*sphere_room), edge * rng.uniform(*cube_room)
        cubes, apart = _inserted(int(lattice.is_cube.sum()), spheres, lattice.box, rooms, rng)
        cube = np.repeat([False, True], [len(spheres), len(cubes)])
        bodies = _disordered(np.concatenate([spheres, cubes]), random_quaternions(len(cube), rng), cube)
        facts = lattice.facts | {"noise": noise, "sphere_room": rooms[0] / edge, "cube_room": apart / edge}
        return finished(bodies, lattice.box, lattice.sizes, DISORDERED, facts, rng)

    return make


def _inserted(
    n: int, spheres: FloatArray, box: FloatArray, rooms: tuple[float, float], rng: Rng
) -> tuple[FloatArray, float]:
    """(n, 3) random places, one after the other, not nearer to spheres and to each other than the two ``rooms``.

    Returns:
        the places, and the second room, made smaller by 5 % whenever a batch of trials was not enough.
    """
    to_sphere, apart = rooms
    matrix = box_matrix(box)
    placed = np.zeros((0, 3))
    while True:
        trials = (rng.random((4000, 3)) - 0.5) @ matrix.T
        for trial in trials[clearance(trials, spheres, box, to_sphere * 1.01) >= to_sphere]:
            between = nearest_image(placed - trial, matrix)
            if not len(placed) or (between**2).sum(axis=1).min() >= apart**2:
                placed = np.vstack([placed, trial])
            if len(placed) == n:
                return placed, apart
        apart *= 0.95


#: What must not be called a crystal: name -> how one is made. The rooms leave free volume that is connected over the
#: whole crystal, not cages around the sites: from site to site a cube passes spheres at 0.61 a between two O sites of
#: ABO3 (from O to B it never comes nearer than at O, 0.71 a), and at 0.41 a between the holes of fcc spheres.
NEGATIVES: Mapping[str, Callable[[Rng], Sample]] = {
    "fluid-cubes": _fluid("cube"),
    "fluid-spheres": _fluid("sphere"),
    "fluid-mixed": _fluid("both"),
    "random-packing": _random_packing,
    "glass": _glass,
    "molten-ABO3": _molten("ABO3", (0.50, 0.58), (0.30, 0.38)),
    "molten-NaCl": _molten("NaCl", (0.28, 0.36), (0.22, 0.30)),
}
