"""Reference crystals as neighbour templates, made from unit cells.

Each inequivalent site of a crystal becomes one :class:`Template`: which species sits where around it. To add a cubic
crystal, add one entry to :data:`CELLS`; matching and classification iterate over what is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

CUBE, SPHERE = 0, 1


#: Lindemann ratio for ABO3. Its thermal crystal reaches 0.063 a = 0.126; with a molten cube sublattice it is 0.13 a =
#: 0.26, of which the capture radius of 0.4 (``matching.CAPTURE``) leaves 0.23; this is their geometric mean.
STIFF = 0.17
#: Lindemann ratio for NaCl, whose cubes rattle in wide cages but have nowhere to go: half way between 0.126 and the
#: 0.31 of particles spread evenly over the capture radius, 0.4 sqrt(3/5). Monte Carlo of hard spheres and cubes at
#: gamma 0.2 to 0.4 and up to 1.1 times close packing stays below 0.17.
CAGED = 0.22
#: Lindemann ratio for SC. Monte Carlo of 125 hard cubes: 0.14, 0.17 and 0.22 at volume fractions 0.70, 0.60 and 0.55
#: (it melts near 0.5); half way from there to an even spread, 0.31. The cubes' axes have to fit as well.
LOOSE = 0.27


@dataclass(frozen=True)
class Shell:
    """One coordination shell: how far (in a), which sites, and how many must be found.

    Attributes:
        kind: index of the neighbour's site in the cell's ``sites``.
        distance: in conventional lattice constants a.
        need: least number of occupied places.
    """

    kind: int
    distance: float
    need: int


@dataclass(frozen=True)
class Site:
    """One inequivalent site.

    Attributes:
        species: CUBE or SPHERE.
        position: fractional coordinates in the conventional cell.
        shells: its neighbour shells; the first sets scale and frame (``seed_cosine``).
        seed_cosine: cosine of the angle between two neighbours of the first shell that fix the frame.
        spin_axis: the crystal axis (0, 1, 2) about which a cube on this site may be turned by any angle.
        empty: fewer than four particles of the other species may be nearer than this (in a).
    """

    species: int
    position: tuple[float, float, float]
    shells: tuple[Shell, ...]
    seed_cosine: float = 0.0
    spin_axis: int | None = None
    empty: float = 0.0


@dataclass(frozen=True)
class Cell:
    """A cubic crystal.

    Attributes:
        label: its name.
        sites: the inequivalent sites.
        basis: all sites of the conventional cell: (index into ``sites``, fractional coordinates).
        nearest: distance of nearest neighbours, in a.
        aligned: whether the cubes' own axes must lie along the crystal axes.
        lindemann: largest rms displacement of the cubes, and of the spheres, from their places, in
            nearest-neighbour distances.
    """

    label: str
    sites: tuple[Site, ...]
    basis: tuple[tuple[int, tuple[float, float, float]], ...]
    nearest: float
    aligned: bool
    lindemann: float


@dataclass(frozen=True)
class Template:
    """Neighbourhood of one site, in units of a, crystal axes along x, y, z.

    Attributes:
        label: crystal.
        kind: global number of this site among all templates.
        species: species of the particle in the middle.
        vectors: (T, 3) neighbour places.
        neighbour_species: (T,).
        neighbour_kind: (T,) global number of the site that sits there.
        shell: (T,) index of the coordination shell.
        need: (shells,) least number of places to be occupied in each.
        seed: the two places of the first shell that fix the frame.
        nearest: nearest-neighbour distance of the crystal.
        aligned: whether the cube in the middle must lie along the axes.
        spin_axis: crystal axis about which a cube in the middle may be turned, or None.
        empty: radius within which fewer than four particles of the other species may be.
        lindemann: largest rms displacement, in nearest-neighbour distances.
    """

    label: str
    kind: int
    species: int
    vectors: FloatArray
    neighbour_species: NDArray[np.int64]
    neighbour_kind: NDArray[np.int64]
    shell: NDArray[np.int64]
    need: NDArray[np.int64]
    seed: tuple[int, int]
    nearest: float
    aligned: bool
    spin_axis: int | None
    empty: float
    lindemann: float


_R2, _R3 = np.sqrt(0.5), np.sqrt(0.75)

# ``need`` is two thirds of a shell, rounded down (a particle beside one or two vacancies, or on the face of a
# grain, keeps its label); the brief exceptions are explained. Chance fills a place with probability rho 4/3 pi r^3
# = 0.13 for cubes at random among ABO3 spheres (r = 0.2 a), so two thirds of a shell is far outside of chance.
CELLS: tuple[Cell, ...] = (
    Cell(
        label="SC",
        # 5 of the 12 second neighbours are what a cube on the edge of a crystallite has. CsCl and CuAu have a simple
        # cubic lattice of cubes too, but a sphere in every body centre (0.866 a, 0.84 a): fewer than four spheres
        # within 0.93 a = (0.866 + 1) / 2 excludes them and leaves spheres that touch a face of the crystallite.
        sites=(Site(CUBE, (0, 0, 0), (Shell(0, 1.0, 4), Shell(0, float(np.sqrt(2)), 5)), empty=0.93),),
        basis=((0, (0, 0, 0)),),
        nearest=1.0,
        aligned=True,
        lindemann=LOOSE,
    ),
    Cell(
        label="NaCl",
        sites=(
            Site(SPHERE, (0, 0, 0), (Shell(1, 0.5, 4), Shell(0, _R2, 8))),
            Site(CUBE, (0.5, 0, 0), (Shell(0, 0.5, 4), Shell(1, _R2, 8))),
        ),
        basis=tuple(
            (kind, ((x + kind) / 2, y / 2, z / 2))
            for kind in (0, 1)
            for x, y, z in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0))
        ),
        nearest=0.5,
        aligned=False,  # in the octahedral hole of small gamma the cubes turn
        lindemann=CAGED,
    ),
    Cell(
        label="ABO3",
        sites=(
            Site(SPHERE, (0, 0, 0), (Shell(0, 1.0, 4), Shell(2, _R2, 8), Shell(1, _R3, 5))),
            Site(CUBE, (0.5, 0.5, 0.5), (Shell(0, _R3, 5), Shell(2, 0.5, 4)), seed_cosine=1 / 3),
            # Three of the four spheres: two (any pair) could be met by chance.
            Site(CUBE, (0.5, 0.5, 0), (Shell(0, _R2, 3), Shell(1, 0.5, 1), Shell(2, _R2, 5)), spin_axis=2),
        ),
        basis=((0, (0, 0, 0)), (1, (0.5, 0.5, 0.5)), (2, (0.5, 0.5, 0)), (2, (0.5, 0, 0.5)), (2, (0, 0.5, 0.5))),
        nearest=0.5,
        aligned=False,  # the O cubes are turned about their B-O axis by an angle that varies
        lindemann=STIFF,
    ),
)

#: Labels in the order of all tables; the last is what matches nothing.
LABELS = (*(cell.label for cell in CELLS), "disordered")


@cache
def templates() -> tuple[Template, ...]:
    """All templates, numbered by ``kind`` in this order."""
    result: list[Template] = []
    for cell in CELLS:
        first = len(result)
        result += [_template(cell, index, first) for index in range(len(cell.sites))]
    return tuple(result)


def _template(cell: Cell, index: int, first: int) -> Template:
    site = cell.sites[index]
    images = np.array([(i, j, k) for i in range(-2, 3) for j in range(-2, 3) for k in range(-2, 3)], dtype=float)
    vectors, kinds, shells = [], [], []
    for number, shell in enumerate(site.shells):
        for kind, position in cell.basis:
            if kind != shell.kind:
                continue
            offsets = np.array(position) - site.position + images
            found = offsets[np.abs(np.linalg.norm(offsets, axis=1) - shell.distance) < 1e-6]
            vectors += list(found)
            kinds += [kind] * len(found)
            shells += [number] * len(found)
    places = np.array(vectors)
    seeds = places[np.array(shells) == 0]
    cosines = seeds[1:] @ seeds[0] / (seeds[0] @ seeds[0])
    return Template(
        label=cell.label,
        kind=first + index,
        species=site.species,
        vectors=places,
        neighbour_species=np.array([cell.sites[k].species for k in kinds]),
        neighbour_kind=np.array(kinds) + first,
        shell=np.array(shells),
        need=np.array([shell.need for shell in site.shells]),
        seed=(0, 1 + int(np.abs(cosines - site.seed_cosine).argmin())),
        nearest=cell.nearest,
        aligned=cell.aligned,
        spin_axis=site.spin_axis,
        empty=site.empty,
        lindemann=cell.lindemann,
    )
