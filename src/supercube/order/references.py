"""Reference crystals as neighbour templates, made from the crystal library.

Each inequivalent site of a crystal becomes one :class:`Template`: which species sits where around it. A structure that
is added to the library needs nothing here; :data:`RULES` hold what differs from the general rule, with the reason.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..crystals.closest import crystals_at
from ..crystals.library import C_OVER_A, STRUCTURES, Sizes
from ..crystals.phases import BINARY
from .symmetry import CUBE_GROUP

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

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

#: Structures that are no label: the layers of bct, shifted by half an edge, slip freely; SC, whose places it has in
#: part, and bct would take each other's particles. Perfect bct is called disordered.
_LEFT_OUT = ("bct",)
#: Values of free parameters that templates are made for; fits stretch a cell of free c/a and move sites of a free
#: coordinate, between the bounds below.
VALUES: dict[str, dict[str, float]] = {
    "CuAu": {C_OVER_A: 0.92},
    "AlB2": {C_OVER_A: 1.05},
    "MgZn2": {C_OVER_A: 1.633},
    "CaB6": {"octahedron_x": 0.31},
    "ABO6": {"octahedron_x": 0.31},
}
#: Largest change of a free coordinate. Closest packing of CaB6 and ABO6 has x = 0.29-0.33 for every gamma.
SLIDE = 0.04
#: Least and largest c/a of a structure. Below 0.775 = sqrt(0.707 x 0.85), half way from the flattest CuAu that is
#: known, a CuAu cell is CsCl (0.707).
STRETCH: dict[str, tuple[float, float]] = {"CuAu": (0.775, 1.2), "AlB2": (0.8, 1.3), "MgZn2": (1.5, 1.77)}
#: Places a template has at least; shells are added, nearest first, until there are that many.
LEAST_PLACES = {False: 14, True: 18}
#: Most places of cubes and of spheres: as many neighbours as are looked at, less those that noise puts out of order.
MOST_PLACES = {False: (25, 14), True: (0, 20)}
#: Places of either species at least, in a mixture.
_LEAST_OF_EACH = 2
#: Distances within this factor are one shell: c/a varies by more than they differ.
_MERGED = 1.08


@dataclass(frozen=True)
class Rule:
    """What differs from the general rule on one site.

    Attributes:
        shells: (site, distance in a) of the shells that count.
        spin_axis: the crystal axis (0, 1, 2) about which a cube on this site may be turned by any angle.
        empty: fewer than four particles of the other species may be nearer than this (in a).
        aligned: whether the cube's own axes must lie along the crystal axes.
        lindemann: largest rms displacement of the cubes, and of the spheres, in nearest-neighbour distances.
    """

    shells: tuple[tuple[str, float], ...]
    lindemann: float
    spin_axis: int | None = None
    empty: float = 0.0
    aligned: bool = False


_R2, _R3 = float(np.sqrt(0.5)), float(np.sqrt(0.75))

RULES: dict[tuple[str, str], Rule] = {
    # CsCl and CuAu have a simple cubic lattice of cubes too, but a sphere in every body centre (0.866 a, 0.84 a): fewer
    # than four spheres within 0.93 a = (0.866 + 1) / 2 excludes them and leaves spheres that touch a face of the
    # crystallite.
    ("SC", "B"): Rule((("B", 1.0), ("B", 2 * _R2)), LOOSE, empty=0.93, aligned=True),
    # In the octahedral hole of small gamma the cubes turn.
    ("NaCl", "A"): Rule((("B", 0.5), ("A", _R2)), CAGED),
    ("NaCl", "B"): Rule((("A", 0.5), ("B", _R2)), CAGED),
    ("ABO3", "A"): Rule((("A", 1.0), ("O", _R2), ("B", _R3)), STIFF),
    ("ABO3", "B"): Rule((("A", _R3), ("O", 0.5)), STIFF),
    # The O cubes are turned about their B-O axis by an angle that varies.
    ("ABO3", "O"): Rule((("A", _R2), ("B", 0.5), ("O", _R2)), STIFF, spin_axis=0),
}


@dataclass(frozen=True)
class Template:
    """Neighbourhood of one site, in units of a, crystal axes along x, y, z.

    Attributes:
        label: crystal.
        site: name of the site in the library, such as A, B or O.
        kind: global number of this site among all templates.
        species: species of the particle in the middle.
        vectors: (T, 3) neighbour places.
        slides: (T, 3) by how much they move with the free coordinate, zero if there is none.
        neighbour_species: (T,).
        neighbour_kind: (T,) global number of the site that sits there.
        neighbour_turn: (T, 3, 3) rotation g: a neighbour's own template frame is F g if this one's is F.
        shell: (T,) index of the coordination shell.
        seed_species: species of the shell that gives first frames.
        seed_distances: of the places of that shell, in a.
        seed_pairs: (P, 2, 3) pairs of directions in that shell, one for each way that two neighbours under the same
            angle may be met.
        nearest: nearest-neighbour distance of the crystal.
        complete: radius within which every place of the crystal is a place of the template, and some more.
        group: rotations of the crystal's system, (G, 3, 3).
        stretch: least and largest factor on the third axis.
        aligned: whether the cube in the middle must lie along the axes.
        spin_axis: crystal axis about which a cube in the middle may be turned, or None.
        empty: radius within which fewer than four particles of the other species may be.
        lindemann: largest rms displacement, in nearest-neighbour distances.
    """

    label: str
    site: str
    kind: int
    species: int
    vectors: FloatArray
    slides: FloatArray
    neighbour_species: IntArray
    neighbour_kind: IntArray
    neighbour_turn: FloatArray
    shell: IntArray
    seed_species: int
    seed_distances: FloatArray
    seed_pairs: FloatArray
    nearest: float
    complete: float
    group: FloatArray
    stretch: tuple[float, float]
    aligned: bool
    spin_axis: int | None
    empty: float
    lindemann: float


def _labels() -> tuple[str, ...]:
    return tuple(name for name in BINARY if name not in _LEFT_OUT)


#: Labels in the order of all tables; the last is what matches nothing.
LABELS = (*_labels(), "disordered")


def rotations(system: str) -> FloatArray:
    """(G, 3, 3) rotations of a crystal system: 24 cubic, 8 tetragonal, 12 hexagonal; c along z."""
    if system == "cubic":
        return CUBE_GROUP
    if system == "tetragonal":
        return CUBE_GROUP[np.abs(CUBE_GROUP[:, 2, 2]) > 0.5]
    angles = np.arange(6) * np.pi / 3
    cos, sin, none = np.cos(angles), np.sin(angles), np.zeros(6)
    turns = np.stack([cos, -sin, none, sin, cos, none, none, none, none + 1], axis=-1).reshape(6, 3, 3)
    return np.concatenate([turns, turns @ np.diag([1.0, -1.0, -1.0])])


@cache
def templates() -> tuple[Template, ...]:
    """All templates, numbered by ``kind`` in this order."""
    result: list[Template] = []
    for label in LABELS[:-1]:
        result += _Crystal(label, VALUES.get(label, {})).templates(len(result))
    return tuple(result)


class _Crystal:
    """A perfect crystal with who sits where around each site of its cell."""

    def __init__(self, label: str, values: dict[str, float]) -> None:
        self.entry = STRUCTURES[label]
        angles = {p.name: p.low for p in self.entry.parameters if p.name.endswith("_deg")}
        sizes = Sizes(1.0, 0.0)  # they do not move sites
        crystal = crystals_at(self.entry, sizes, angles | values)
        self.lattice, self.positions = crystal.lattice[0], crystal.positions[0]
        self.slides = self._slides(sizes, angles | values)
        self.names = [site.name for site in self.entry.sites]
        self.species = np.array([CUBE if site.species == "cube" else SPHERE for site in self.entry.sites])
        self.group = rotations(self.entry.system)
        low, high = STRETCH.get(label, (1.0, 1.0))
        ratio = values.get(C_OVER_A, 1.0)
        self.stretch = (low / ratio, high / ratio) if high > low else (1.0, 1.0)
        self.around = [self._around(i) for i in range(len(self.positions))]
        self.kinds, self.turns = self._classes()

    def _slides(self, sizes: Sizes, values: dict[str, float]) -> FloatArray:
        """(n, 3) by how much each site of the cell moves with its free coordinate."""
        result = np.zeros_like(self.positions)
        for name, value in values.items():
            if name != C_OVER_A and not name.endswith("_deg"):
                moved = crystals_at(self.entry, sizes, values | {name: value + SLIDE})
                result += (moved.positions[0] - self.positions) / SLIDE
        return np.asarray(result)

    def _around(self, site: int) -> tuple[FloatArray, IntArray]:
        """Vectors to all within 1.6 a, nearest first, and the numbers of their sites in the cell."""
        images = np.array(list(itertools.product(range(-4, 5), repeat=3))) @ self.lattice
        vectors = (self.positions[None] - self.positions[site] + images[:, None]).reshape(-1, 3)
        sites = np.tile(np.arange(len(self.positions)), len(images))
        lengths = np.linalg.norm(vectors, axis=1)
        order = np.argsort(lengths, kind="stable")
        order = order[(lengths[order] > 1e-6) & (lengths[order] < 2.1)]
        return vectors[order], sites[order]

    def _turned(self, one: int, other: int) -> list[FloatArray]:
        """Rotations that take the neighbourhood of one site to that of another."""
        if self.species[one] != self.species[other]:
            return []
        (mine, my), (theirs, their) = (
            (v[:60], self.species[s[:60]]) for v, s in (self.around[one], self.around[other])
        )
        # Whole shells only: those shorter than the last one of the sixty.
        reach = np.linalg.norm(mine[-1]) - 1e-6
        keep = np.linalg.norm(mine, axis=1) < reach
        found = []
        for g in self.group:
            apart = np.linalg.norm((mine[keep] @ g.T)[:, None] - theirs[None], axis=-1) < 1e-6
            if (apart & (my[keep][:, None] == their[None])).any(axis=1).all():
                found.append(g)
        return found

    def _classes(self) -> tuple[list[int], list[FloatArray]]:
        """First equivalent site of each site, and the rotation from that one's neighbourhood to its own."""
        kinds: list[int] = []
        turns: list[FloatArray] = []
        for site in range(len(self.positions)):
            for other in dict.fromkeys([*kinds, site]):
                found = self._turned(other, site)
                if found:
                    kinds.append(other)
                    turns.append(found[0])
                    break
        return kinds, turns

    def templates(self, first: int) -> list[Template]:
        """One for each inequivalent site, numbered from ``first``."""
        chosen = list(dict.fromkeys(self.kinds))
        number = {site: first + k for k, site in enumerate(chosen)}
        return [self._template(site, number) for site in chosen]

    def _template(self, site: int, number: dict[int, int]) -> Template:
        rule = RULES.get((self.entry.name, self.names[site]))
        rows, shell, complete = self._places(site, rule)
        vectors, sites = self.around[site]
        vectors, sites = vectors[rows], sites[rows]
        seed_species, seed_distances, seed_pairs = self._seeds(site, vectors, self.species[sites])
        return Template(
            label=self.entry.name,
            site=self.names[site],
            kind=number[site],
            species=int(self.species[site]),
            vectors=vectors,
            slides=self.slides[sites] - self.slides[site],
            neighbour_species=self.species[sites],
            neighbour_kind=np.array([number[self.kinds[s]] for s in sites]),
            neighbour_turn=np.array([self.turns[s] for s in sites]),
            shell=shell,
            seed_species=seed_species,
            seed_distances=seed_distances,
            seed_pairs=seed_pairs,
            nearest=min(float(np.linalg.norm(v[0])) for v, _ in self.around),
            complete=complete,
            group=self.group,
            stretch=self.stretch,
            aligned=rule.aligned if rule else False,
            spin_axis=rule.spin_axis if rule else None,
            empty=rule.empty if rule else 0.0,
            lindemann=rule.lindemann if rule else STIFF,
        )

    def _shells(self, site: int) -> list[IntArray]:
        """Places by distance and name of the site, nearest first; nearly equal distances are one shell."""
        vectors, sites = self.around[site]
        lengths = np.linalg.norm(vectors, axis=1)
        result: list[list[int]] = []
        for k in range(len(sites)):
            for shell in reversed(result):
                same = self.names[sites[shell[0]]] == self.names[sites[k]]
                if same and lengths[k] < (_MERGED if self.entry.parameters else 1.001) * lengths[shell[0]]:
                    shell.append(k)
                    break
            else:
                result.append([k])
        return [np.array(shell) for shell in result]

    def _places(self, site: int, rule: Rule | None) -> tuple[IntArray, IntArray, float]:
        """Rows of the neighbours that are places, their shells, and how far the list is complete."""
        vectors, sites = self.around[site]
        lengths = np.linalg.norm(vectors, axis=1)
        shells = self._shells(site)
        if rule:
            chosen = [
                next(s for s in shells if self.names[sites[s[0]]] == name and abs(lengths[s[0]] - distance) < 1e-6)
                for name, distance in rule.shells
            ]
        else:
            chosen = self._nearest_shells(shells, self.species[sites])
        rows = np.concatenate(chosen)
        left = np.setdiff1d(np.arange(len(lengths)), rows)
        nearest_left = lengths[left[0]]
        inside = lengths[rows][lengths[rows] < nearest_left].max()
        complete = float(inside + 0.4 * (nearest_left - inside))
        shell = np.repeat(np.arange(len(chosen)), [len(s) for s in chosen])
        return rows, shell, complete

    def _nearest_shells(self, shells: Sequence[IntArray], species: IntArray) -> list[IntArray]:
        pure = len(set(self.species.tolist())) == 1
        most = MOST_PLACES[pure]
        chosen: list[IntArray] = []
        counts = [0, 0]
        for shell in shells:
            kind = int(species[shell[0]])
            if sum(counts) >= LEAST_PLACES[pure] and (pure or min(counts) >= _LEAST_OF_EACH):
                break
            if counts[kind] + len(shell) > most[kind]:
                if pure:
                    break
                continue
            counts[kind] += len(shell)
            chosen.append(shell)
        return chosen

    def _seeds(self, site: int, vectors: FloatArray, species: IntArray) -> tuple[int, FloatArray, FloatArray]:
        """The first shell of cubes or of spheres with the fewest kinds of pairs, then the widest apart."""
        stabiliser = self._turned(site, site)
        best: tuple[tuple[float, float], int, FloatArray, FloatArray] | None = None
        for kind in np.unique(species):
            lengths = np.linalg.norm(vectors, axis=1)
            of_kind = np.flatnonzero(species == kind)
            near = lengths[of_kind].min()
            spread = 1.15 if self.entry.parameters else 1.01
            first = of_kind[lengths[of_kind] < spread * near]
            if len(first) < 3:
                continue
            for pairs in _pairs(vectors[first], stabiliser):
                apart = float(np.linalg.norm(pairs[0, 0] - pairs[0, 1])) * near
                key = (float(len(pairs)), -apart)
                if best is None or key < best[0]:
                    best = (key, int(kind), lengths[first], pairs)
        if best is None:
            raise ValueError(f"{self.entry.name}: no shell of {self.names[site]} fixes a frame")
        return best[1], best[2], best[3]


def _pairs(places: FloatArray, stabiliser: Sequence[FloatArray]) -> list[FloatArray]:
    """For each angle of 40 to 140 degrees: one pair of directions of every orbit under the site's rotations."""
    units = places / np.linalg.norm(places, axis=1, keepdims=True)
    angles = np.degrees(np.arccos(np.clip(units @ units.T, -1, 1)))
    found = []
    usable = (angles > 40) & (angles < 140)
    for angle in np.unique(np.round(angles[usable], 3)):
        waiting = {(int(i), int(j)) for i, j in np.argwhere(np.abs(angles - angle) < 0.01)}
        orbits = []
        for i, j in sorted(waiting):
            if (i, j) not in waiting:
                continue
            orbits.append((units[i], units[j]))
            for g in stabiliser:
                image = [int(np.linalg.norm(places - g @ places[k], axis=1).argmin()) for k in (i, j)]
                waiting.discard((image[0], image[1]))
        found.append(np.array(orbits))
    return found
