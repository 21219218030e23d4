"""Closest packing of a structure at given free parameters, and the parameters that pack closest.

Positions are lattice vectors times fractional coordinates, so for given parameters only the edge a is left, and a pair
of hard convex bodies touches at exactly one a: a_pair = contact distance along the pair's direction / (distance at
a = 1). The smallest a without overlap is the largest of these. What remains is to minimise the cell's volume over the
free parameters: a grid, then a descent from its best points in which every pair is smooth and modelled on its own (the
largest of them has kinks, on which a plain descent would stall).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .contact import contact_distance
from .library import C_OVER_A, Parameter, Parameters, Quaternion, Site, Sizes, Structure, Vector

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]

#: Points of the first grid along each free parameter: one parameter, or each of two.
_GRID = {1: 129, 2: 31}
#: Points along each parameter of the grid that tells which pairs may ever touch first, and the share of the edge below
#: which (by an upper bound) they do not. The packing found is checked with all pairs.
_SIEVE, _FAR = 7, 0.7
#: How many of the grid's local minima are refined.
_STARTS = 16
#: Local minima of the grid that lie above the lowest by this (relative volume) are not refined: between two points of
#: the grid, a thirtieth of the range apart, the volume falls by less.
_HOPELESS = 0.05
#: Steps along each parameter that a descent chooses from.
_LATTICE = {1: 41, 2: 21}
#: How many of the highest planes of the model are looked at for valleys.
_PLANES = 6
#: Steps of the numerical derivatives in units of a parameter's range; their errors only cost descents another round.
_STEP = 1e-7
#: Stages of the descents: the step, in units of a parameter's range, at which each ends, and how many of the lowest go
#: on at most, if the rest of the way down could still make up for what they are above the lowest: by this slope of
#: log V (a parameter changes the volume by a factor of about ten over its range).
_STAGES, _SLOPE = ((1e-2, 10), (1e-3, 2), (1e-11, 1)), 2.5
#: Relative volume that is not worth a step: rounding errors.
_WORTHLESS = 1e-14
#: Pairs that touch at less than this share of the edge are left out of the model; the volume counts all of them.
_NEAR = 0.8
#: Volumes (relative) and parameters (of their range) that differ by less than this are equal.
_EQUAL = 1e-11


@dataclass(frozen=True)
class Crystals:
    """The same structure at P values of its free parameters, with a = 1.

    Attributes:
        lattice: (P, 3, 3) lattice vectors as rows.
        positions: (P, n, 3) Cartesian.
        rotations: (P, n, 3, 3); the columns are the body axes.
        parallel: (n, n) whether two sites have the same orientation at all parameters.
        half_edges: (n,) half the core edge; 0 for a sphere.
        radii: (n,) rounding radius or radius of the sphere.
    """

    lattice: FloatArray
    positions: FloatArray
    rotations: FloatArray
    parallel: NDArray[np.bool_]
    half_edges: FloatArray
    radii: FloatArray


def crystals_at(structure: Structure, sizes: Sizes, values: Parameters | dict[str, FloatArray]) -> Crystals:
    """The structure at parameter values: name -> number, or name -> (P,) numbers."""
    columns = {name: np.atleast_1d(np.asarray(value, dtype=np.float64)) for name, value in values.items()}
    count = max((len(column) for column in columns.values()), default=1)
    lattice = lattice_vectors(structure, columns.get(C_OVER_A, np.full(count, structure.c_over_a)))
    fractional = np.stack([_fractional(site, columns, count) for site in structure.sites], axis=1)
    extents = [_extent(site.species, sizes) for site in structure.sites]
    settings = [(site.orientation, site.turn) for site in structure.sites]
    turned = {setting: _rotation(*setting, columns, count) for setting in set(settings)}
    return Crystals(
        lattice=lattice,
        positions=fractional @ lattice,
        rotations=np.stack([turned[setting] for setting in settings], axis=1),
        parallel=np.array([[one == other for one in settings] for other in settings]),
        half_edges=np.array([half for half, _ in extents]),
        radii=np.array([radius for _, radius in extents]),
    )


def lattice_vectors(structure: Structure, c_over_a: FloatArray) -> FloatArray:
    """(P, 3, 3) vectors a, b, c as rows, for a = 1."""
    lattice = np.zeros((len(c_over_a), 3, 3))
    lattice[:, 0, 0] = 1.0
    lattice[:, 1] = (-0.5, math.sqrt(0.75), 0.0) if structure.system == "hexagonal" else (0.0, 1.0, 0.0)
    lattice[:, 2, 2] = c_over_a
    return lattice


def _fractional(site: Site, columns: dict[str, FloatArray], count: int) -> FloatArray:
    places = np.tile(np.array(site.position), (count, 1))
    if site.slide is not None:
        name, vector = site.slide
        places = places + columns[name][:, None] * np.array(vector)
    return places


def _rotation(
    orientation: Quaternion, turn: tuple[str, Vector] | None, columns: dict[str, FloatArray], count: int
) -> FloatArray:
    from scipy.spatial.transform import Rotation

    own = Rotation.from_quat(np.array(orientation)[[1, 2, 3, 0]]).as_matrix()
    if turn is None:
        return np.tile(own, (count, 1, 1))
    name, axis = turn
    turns = Rotation.from_rotvec(np.radians(columns[name])[:, None] * np.array(axis)).as_matrix()
    return np.asarray(np.broadcast_to(turns @ own, (count, 3, 3)))


def _extent(species: str, sizes: Sizes) -> tuple[float, float]:
    if species == "sphere":
        return 0.0, sizes.diameter / 2
    edge = sizes.second_edge if species == "second_cube" else 1.0
    return edge / 2 - sizes.rounding, sizes.rounding


@dataclass(frozen=True)
class Pairs:
    """Pairs of bodies that may touch: the first in the cell, the second in an image of it.

    Attributes:
        first: (K,) site numbers.
        second: (K,) site numbers.
        images: (K, 3) whole cells.
    """

    first: IndexArray
    second: IndexArray
    images: FloatArray

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.first)

    def take(self, rows: NDArray[np.bool_]) -> Pairs:
        """Those of some rows."""
        return Pairs(self.first[rows], self.second[rows], self.images[rows])


def all_pairs(sites: int, reach: int) -> Pairs:
    """Every pair once, with images up to ``reach`` cells away in each direction."""
    images = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3)), dtype=np.float64)
    # Of n and -n only one: a body and its own image are one pair seen from both sides.
    half = images[len(images) // 2 + 1 :]
    own, others = (
        np.arange(sites),
        np.array(list(itertools.combinations(range(sites), 2)), dtype=np.intp).reshape(-1, 2),
    )
    return Pairs(
        np.concatenate([np.repeat(own, len(half)), np.repeat(others[:, 0], len(images))]),
        np.concatenate([np.repeat(own, len(half)), np.repeat(others[:, 1], len(images))]),
        np.concatenate([np.tile(half, (sites, 1)), np.tile(images, (len(others), 1))]),
    )


def touching_edges(crystals: Crystals, pairs: Pairs, *, every: bool = False) -> FloatArray:
    """(P, K) edge a at which each pair touches.

    Where another pair certainly touches first it is only an upper bound, unless ``every`` pair is asked for.
    """
    apart = crystals.positions[:, pairs.second] - crystals.positions[:, pairs.first]
    apart = apart + pairs.images @ crystals.lattice
    distances = np.linalg.norm(apart, axis=2)
    inner = crystals.half_edges + crystals.radii
    outer = math.sqrt(3) * crystals.half_edges + crystals.radii
    at_least = ((inner[pairs.first] + inner[pairs.second]) / distances).max(axis=1)
    edges = (outer[pairs.first] + outer[pairs.second]) / distances
    settled = np.zeros(edges.shape, dtype=bool)
    # Kinds of contact from cheap to dear, so that the dear ones are computed only where they can matter.
    for kind in _kinds(crystals, pairs):
        wanted = kind[None] & (every | (edges >= at_least[:, None]))
        points, rows = np.nonzero(wanted)
        if len(rows):
            first, second = pairs.first[rows], pairs.second[rows]
            segments = _segments(crystals, points, first, second)
            radius = crystals.radii[first] + crystals.radii[second]
            length = distances[points, rows]
            edges[points, rows] = contact_distance(segments, radius, apart[points, rows] / length[:, None]) / length
            settled |= wanted
            at_least = np.maximum(at_least, np.where(settled, edges, 0.0).max(axis=1))
    return np.asarray(edges)


def _kinds(crystals: Crystals, pairs: Pairs) -> list[NDArray[np.bool_]]:
    """Masks of pairs: two spheres; a sphere and a cube; two parallel cubes; two cubes that are turned."""
    cube = crystals.half_edges > 0
    both, one = cube[pairs.first] & cube[pairs.second], cube[pairs.first] ^ cube[pairs.second]
    parallel = crystals.parallel[pairs.first, pairs.second]
    return [~(both | one), one, both & parallel, both & ~parallel]


def _segments(crystals: Crystals, points: IndexArray, first: IndexArray, second: IndexArray) -> FloatArray:
    """(M, k, 3) half segments of pairs that are all of one kind; parallel cubes share three axes."""
    halves = crystals.half_edges[first], crystals.half_edges[second]
    axes = [
        np.swapaxes(crystals.rotations[points, sites], 1, 2) * half[:, None, None]
        for sites, half in zip((first, second), halves, strict=True)
        if half[0] > 0
    ]
    if not axes:
        return np.zeros((len(points), 0, 3))
    if len(axes) == 2 and crystals.parallel[first[0], second[0]]:
        return np.asarray(axes[0] + axes[1])
    return np.concatenate(axes, axis=1)


def closest_packing(
    structure: Structure, sizes: Sizes, held: Parameters, *, worth: float = math.inf
) -> tuple[float, dict[str, float]]:
    """Edge a and all free parameters at the closest packing that the minimiser finds.

    Args:
        structure: any structure of the library.
        sizes: sizes of the particles.
        held: parameters that keep a value.
        worth: a^3 c/a that has to be beaten; where the first grid says that it cannot be, its best point will do.

    Returns:
        the smallest a without overlap, in cube edges, exact for the parameters returned; they themselves are a local
        minimum of the volume, the deepest that was found.
    """
    free = tuple(parameter for parameter in structure.parameters if parameter.name not in held)
    values = dict(held)
    if free:
        values |= _Search.of(structure, sizes, held, free).best(math.log(worth))
    # Farther images cannot touch first in cells as compact as these; looked at all the same.
    a = touching_edges(crystals_at(structure, sizes, values), all_pairs(len(structure.sites), 2)).max()
    return float(a), values


@dataclass(frozen=True)
class _Search:
    """Minimum of log volume = 3 log a + log(c/a) over points in the unit cube of the free parameters."""

    structure: Structure
    sizes: Sizes
    held: Parameters
    free: tuple[Parameter, ...]
    pairs: Pairs

    @classmethod
    def of(cls, structure: Structure, sizes: Sizes, held: Parameters, free: tuple[Parameter, ...]) -> _Search:
        """A search that looks only at pairs which come near to touching first somewhere on a coarse grid."""
        everything = cls(structure, sizes, held, free, all_pairs(len(structure.sites), 1))
        edges = everything._edges(_grid(len(free), _SIEVE).reshape(-1, len(free)))
        kept = (edges > _FAR * edges.max(axis=1, keepdims=True)).any(axis=0)
        return replace(everything, pairs=everything.pairs.take(kept))

    def best(self, worth: float) -> dict[str, float]:
        grid = _grid(len(self.free), _GRID[len(self.free)])
        points = grid.reshape(-1, len(self.free))
        edges = self._edges(points)
        depth = self._log_volume(points, edges)
        width = 1.0 / (_GRID[len(self.free)] - 1)
        starts = [points[k] for k in _deepest(depth.reshape(grid.shape[:-1])) if depth[k] < worth + _HOPELESS]
        for until, kept in _STAGES:
            ends = sorted((self._descend(start, width, until) for start in starts), key=lambda end: end[1])
            starts, width = _promising(ends, until)[:kept], until
        found = np.array([self._usual(), points[depth.argmin()], *starts])
        volumes = self._log_volume(found, self._edges(found))
        # Where a parameter makes no difference, the usual value and not a chance one.
        best = int(np.flatnonzero(volumes <= volumes.min() + _EQUAL)[0])
        return {name: float(column[0]) for name, column in self._columns(found[[best]]).items()}

    def _usual(self) -> FloatArray:
        """The start's value of each parameter, or its lowest."""
        usual = self.structure.start
        return np.array([(usual.get(p.name, p.low) - p.low) / (p.high - p.low) for p in self.free])

    def _columns(self, points: FloatArray) -> dict[str, FloatArray]:
        columns = {name: np.full(len(points), value) for name, value in self.held.items()}
        for k, parameter in enumerate(self.free):
            columns[parameter.name] = parameter.low + points[:, k] * (parameter.high - parameter.low)
        return columns

    def _edges(self, points: FloatArray) -> FloatArray:
        return touching_edges(crystals_at(self.structure, self.sizes, self._columns(points)), self.pairs)

    def _log_shape(self, points: FloatArray) -> FloatArray:
        columns = self._columns(points)
        return np.log(columns.get(C_OVER_A, np.full(len(points), self.structure.c_over_a)))

    def _log_volume(self, points: FloatArray, edges: FloatArray) -> FloatArray:
        return np.asarray(3 * np.log(edges.max(axis=1)) + self._log_shape(points))

    def _descend(self, point: FloatArray, width: float, until: float) -> tuple[FloatArray, float]:
        """Descend with a linear model of every pair, in a box around the point that shrinks; the point and log V there.

        Model: log V = 3 max over pairs of (l + g.d) + log(c/a), exact but for the curvature of the pairs. Its minimum
        is taken from a lattice of steps d and from the valleys where two pairs are equal, so kinks between pairs do no
        harm, and no step makes the volume larger.

        Args:
            point: where to start.
            width: half the edge of the first box.
            until: its half edge at the end.
        """
        steps, first = 2 * _grid(len(self.free), _LATTICE[len(self.free)]).reshape(-1, len(self.free)) - 1, width
        edges = self._edges(point[None])
        lowest = float(self._log_volume(point[None], edges)[0])
        while width > until:
            levels, slopes = self._planes(point, self.pairs.take(edges[0] > _NEAR * edges.max()))
            trials = np.clip(point + width * np.concatenate([steps, _valleys(levels / width, slopes)]), 0.0, 1.0)
            model = 3 * (levels + (trials - point) @ slopes).max(axis=1) + self._log_shape(trials)
            promise = lowest - float(model.min())
            if promise < _WORTHLESS:  # none of these steps, that is, but perhaps a smaller one
                width *= 0.2
                continue
            trial = trials[[model.argmin()]]
            found = self._edges(trial)
            volume = float(self._log_volume(trial, found)[0])
            held = lowest - volume > 0.5 * promise
            inside = np.abs(trial[0] - point).max() < 0.9 * width
            if volume < lowest:
                point, edges, lowest = trial[0], found, volume
            width = min(width * ((0.12 if inside else 2.0) if held else 0.3), first)
        return point, lowest

    def _planes(self, point: FloatArray, pairs: Pairs) -> tuple[FloatArray, FloatArray]:
        """(K,) log a_pair and (k, K) its derivatives along each parameter, one-sided at the bounds."""
        steps = _STEP * np.eye(len(point))
        ahead, behind = np.clip(point + steps, 0.0, 1.0), np.clip(point - steps, 0.0, 1.0)
        columns = self._columns(np.concatenate([point[None], ahead, behind]))
        # Every pair, since an upper bound on one side only would look like a cliff.
        logs = np.log(touching_edges(crystals_at(self.structure, self.sizes, columns), pairs, every=True))
        runs = (ahead - behind).sum(axis=1, keepdims=True)
        return logs[0], np.asarray((logs[1 : 1 + len(point)] - logs[1 + len(point) :]) / runs)


def _grid(parameters: int, number: int) -> FloatArray:
    """(number, ..., parameters) points of the unit cube."""
    axes = [np.linspace(0.0, 1.0, number)] * parameters
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _valleys(levels: FloatArray, slopes: FloatArray) -> FloatArray:
    """Steps in the box -1 ... 1 to where two of the highest planes l + g.d are equal: points, or points of lines.

    Formula: d = -(l_i - l_j) n / |n|^2 + t n', with n = g_i - g_j and, for two parameters, n' normal to it. A valley
    may be narrower than any lattice of steps, and its floor is such a line.

    Args:
        levels: (K,) l.
        slopes: (k, K) g.
    """
    highest = np.argsort(-levels, kind="stable")[:_PLANES]
    first, second = np.triu_indices(len(highest), 1)
    normals = (slopes[:, highest[first]] - slopes[:, highest[second]]).T
    squares = (normals**2).sum(axis=1)
    rows = squares > 1e-18  # parallel planes meet nowhere
    normals, squares = normals[rows], squares[rows]
    steps = -((levels[highest[first]] - levels[highest[second]])[rows] / squares)[:, None] * normals
    if len(slopes) == 2:
        along = np.stack([-normals[:, 1], normals[:, 0]], axis=1) / np.sqrt(squares)[:, None]
        offsets = np.linspace(-1.5, 1.5, _LATTICE[1])  # the diagonal of the box
        steps = (steps[:, None] + offsets[None, :, None] * along[:, None]).reshape(-1, 2)
    return np.asarray(steps[np.abs(steps).max(axis=1) <= 1])


def _promising(ends: list[tuple[FloatArray, float]], step: float) -> list[FloatArray]:
    """Of points and their log V, lowest first: those that may still become the lowest, each of them once."""
    chosen: list[FloatArray] = []
    for point, volume in ends:
        known = any(np.abs(point - other).max() < 3 * step for other in chosen)
        if not known and volume < ends[0][1] + _SLOPE * step:
            chosen.append(point)
    return chosen


def _deepest(depth: FloatArray) -> list[int]:
    """Flat numbers of the deepest local minima of a grid."""
    from scipy.ndimage import maximum_filter, minimum_filter

    lowest, highest = (extreme(depth, size=3, mode="nearest") for extreme in (minimum_filter, maximum_filter))
    # On a plain, where the parameter makes no difference, there is nothing to descend.
    minima = np.flatnonzero((depth <= lowest) & (depth < highest - _EQUAL))
    flat = depth.ravel()
    minima = minima[flat[minima] < flat.min() + _HOPELESS]
    minima = minima[np.argsort(flat[minima], kind="stable")]
    # Equal ones are copies by symmetry, or a floor along which a parameter makes no difference: its ends will do.
    changes = np.diff(flat[minima], prepend=-np.inf, append=np.inf) > _EQUAL
    return [int(k) for k in minima[changes[:-1] | changes[1:]][:_STARTS]]
