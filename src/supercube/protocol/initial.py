"""Where a run starts: a random fluid, a crystal of the library, or a user's own GSD file.

``check_initial`` makes every refusal without building anything, so that ``init.py`` can refuse a space up front.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..configuration import Configuration, cube_shape, read_gsd, sphere_shape, wrap
from ..crystals.build import build_crystal, check_crystal_counts
from ..crystals.library import STRUCTURES, structure
from ..crystals.packing import packing_fraction_of
from ..crystals.phases import QUICK, largest_packing_fraction
from ..errors import InputError
from ..model.shapes import InflatedBoxes, body_volume, packing_fraction, sphere_diameter, surface_gap

if TYPE_CHECKING:
    from ..statepoint import StatePoint

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]

#: Clearance between surfaces over the ligand range sigma = 2 lambda: the WCA potential ends at 2^(1/6) sigma = 1.12
#: sigma between beads whose surfaces touch at sigma, so bodies this far apart start without force.
CLEARANCE = 0.12
#: Inserting 2,000 cubes takes about 5 s here, but a minute at 0.35; a denser start is a crystal, or drying.
LARGEST_FLUID = 0.3
#: Crystals tighter than this fraction of closest packing start with overlaps that no time step survives.
LEAST_EXPANSION = 0.97

_LEAST_BATCH, _MOST_BATCH = 64, 16384
#: Trials a body may cost on average before insertion counts as impossible (at 0.3 a cube costs about 500).
_TRIALS_PER_BODY = 20_000
#: Below this acceptance the bodies placed so far are shuffled, since a random sequence jams where a fluid does not.
_STUCK = 0.02


# --- random fluid ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """One species to insert: core half edge and radius as in :class:`InflatedBoxes`, how many, and if it is a cube."""

    half_edge: float
    radius: float
    number: int
    is_cube: bool

    @property
    def circumradius(self) -> float:
        return math.sqrt(3) * self.half_edge + self.radius

    def random(self, n: int, box_edge: float, rng: np.random.Generator) -> InflatedBoxes:
        """Bodies uniform in the box; cubes with uniform orientations, spheres with the identity."""
        # Four normal deviates point uniformly over the sphere of unit quaternions.
        turns = (
            Rotation.from_quat(rng.normal(size=(n, 4))).as_matrix() if self.is_cube else np.tile(np.eye(3), (n, 1, 1))
        )
        return InflatedBoxes(
            rng.uniform(0.0, box_edge, (n, 3)), turns, np.full(n, self.half_edge), np.full(n, self.radius)
        )


def random_fluid(
    n_cubes: int,
    n_spheres: int,
    size_ratio: float,
    ligand_length: float,
    packing_fraction: float,
    seed: int,
    clearance: float = CLEARANCE,
) -> Configuration:
    """Random positions and orientations without overlap in a cubic box of edge L = (body volume / fraction)^(1/3).

    The larger species is inserted first, uniformly at random among the places that are free; when places get rare
    the bodies already there are shuffled by hard-body Monte Carlo, so the limit is that of a fluid and not the jamming
    of random sequential addition. The overlap test is :func:`surface_gap`, which never overlooks an overlap.

    Args:
        n_cubes: number of cubes.
        n_spheres: number of spheres.
        size_ratio: gamma = cube edge / sphere diameter.
        ligand_length: lambda = rounding radius in cube edges.
        packing_fraction: effective volumes over box volume, at most ``LARGEST_FLUID``.
        seed: seed of the random numbers; the same seed gives the same configuration.
        clearance: least gap between surfaces over the ligand range 2 lambda.

    Returns:
        cubes first, then spheres, both in random order; spheres keep the identity orientation.

    Raises:
        InputError: no particles, a packing fraction that cannot be reached, or a box so small that a body could touch
            two images of another.
    """
    _check_fluid(n_cubes, n_spheres, size_ratio, ligand_length, packing_fraction, clearance)
    rng = np.random.default_rng(seed)
    kinds = _kinds(n_cubes, n_spheres, size_ratio, ligand_length)
    box_edge = _fluid_box_edge(n_cubes, n_spheres, size_ratio, ligand_length, packing_fraction)
    fluid = _Fluid(box_edge, clearance * 2 * ligand_length, rng)
    for kind in kinds:
        fluid.insert(kind)
    is_cube = np.repeat([kind.is_cube for kind in kinds], [kind.number for kind in kinds])
    bodies = fluid.bodies.take(np.argsort(~is_cube, kind="stable"))
    shapes = {"cube": cube_shape(ligand_length), "sphere": sphere_shape(sphere_diameter(size_ratio))}
    numbers = {name: n for name, n in (("cube", n_cubes), ("sphere", n_spheres)) if n}
    box = np.array([box_edge] * 3 + [0.0] * 3)
    return Configuration(
        box=box,
        positions=wrap(bodies.positions - box_edge / 2, box)[0],
        orientations=Rotation.from_matrix(bodies.rotations).as_quat()[:, [3, 0, 1, 2]],
        species=tuple(numbers),
        typeid=np.repeat(np.arange(len(numbers)), list(numbers.values())),
        shapes=tuple(shapes[name] for name in numbers),
    )


def _kinds(n_cubes: int, n_spheres: int, size_ratio: float, ligand_length: float) -> list[_Kind]:
    # Largest first: the small ones still find room between the large ones, not the other way round.
    cubes = _Kind(0.5 - ligand_length, ligand_length, n_cubes, is_cube=True)
    spheres = _Kind(0.0, sphere_diameter(size_ratio) / 2, n_spheres, is_cube=False)
    return sorted((kind for kind in (cubes, spheres) if kind.number), key=lambda kind: -kind.circumradius)


def _fluid_box_edge(
    n_cubes: int, n_spheres: int, size_ratio: float, ligand_length: float, packing_fraction: float
) -> float:
    return float((body_volume(n_cubes, n_spheres, size_ratio, ligand_length) / packing_fraction) ** (1 / 3))


def _check_fluid(
    n_cubes: int, n_spheres: int, size_ratio: float, ligand_length: float, packing_fraction: float, clearance: float
) -> None:
    if min(n_cubes, n_spheres) < 0 or n_cubes + n_spheres == 0:
        raise InputError(f"initial: a fluid needs particles, not {n_cubes} cubes and {n_spheres} spheres.")
    if not 0 < packing_fraction <= LARGEST_FLUID:
        raise InputError(
            f"initial: a random fluid starts at a packing fraction above 0 and at most {LARGEST_FLUID:g}, "
            f"not {packing_fraction:g}."
        )
    box_edge = _fluid_box_edge(n_cubes, n_spheres, size_ratio, ligand_length, packing_fraction)
    kinds = _kinds(n_cubes, n_spheres, size_ratio, ligand_length)
    for i, kind in enumerate(kinds):
        for other in kinds[i:]:
            reach = kind.circumradius + other.circumradius + clearance * 2 * ligand_length
            # A single body of its kind meets only its own images, one box edge away.
            least = reach if other is kind and kind.number == 1 else 2 * reach
            if box_edge < least:
                raise InputError(
                    f"initial: {n_cubes} cubes and {n_spheres} spheres at packing fraction {packing_fraction:g} make a "
                    f"box of {box_edge:.3g} cube edges, but two images of a body stay apart only from {least:.3g} on; "
                    "take more particles or a smaller packing fraction."
                )


class _Fluid:
    """A periodic cube that fills up with bodies; ``bodies`` are those placed so far, never closer than ``gap``."""

    def __init__(self, box_edge: float, gap: float, rng: np.random.Generator) -> None:
        self.box_edge, self.gap, self.rng = box_edge, gap, rng
        self.bodies = InflatedBoxes(np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros(0), np.zeros(0))

    def insert(self, kind: _Kind) -> None:
        """Place all bodies of a kind, or raise InputError when that takes too many trials."""
        missing, budget, acceptance = kind.number, kind.number * _TRIALS_PER_BODY, 1.0
        while missing:
            n = int(np.clip(missing / acceptance, _LEAST_BATCH, _MOST_BATCH))
            candidates = kind.random(n, self.box_edge, self.rng)
            candidates = candidates.take(~self._covered(candidates))
            candidates = candidates.take(~self.blocked(candidates, self.bodies))
            acceptance = max(len(candidates) / n, 1e-4)
            candidates = candidates.take(_first_come(len(candidates), *self.conflicts(candidates))[:missing])
            self.bodies = InflatedBoxes.join(self.bodies, candidates)
            missing -= len(candidates)
            budget -= n
            if missing and budget < 0:
                raise InputError(
                    f"initial: {missing} of {kind.number} {'cubes' if kind.is_cube else 'spheres'} found no room; "
                    "take a smaller initial packing fraction."
                )
            if missing and acceptance < _STUCK:
                self.shuffle()

    def shuffle(self) -> None:
        """One hard-body Monte Carlo move of every body at once.

        A move is kept if it conflicts neither with the old nor with the new place of any other body, so it stays valid
        whichever of the others move.
        """
        old, n = self.bodies, len(self.bodies)
        step = 0.25 * (old.half_edges + old.radii)[:, None]
        turned = Rotation.from_rotvec(self.rng.uniform(-0.25, 0.25, (n, 3))).as_matrix() @ old.rotations
        rotations = np.where(old.half_edges[:, None, None] > 0, turned, old.rotations)
        positions = (old.positions + step * self.rng.uniform(-1, 1, (n, 3))) % self.box_edge
        new = InflatedBoxes(positions, rotations, old.half_edges, old.radii)
        kept = ~(self.blocked(new, old, same_rows=True) | self.blocked(new, new, same_rows=True))
        self.bodies = InflatedBoxes(
            np.where(kept[:, None], positions, old.positions),
            np.where(kept[:, None, None], rotations, old.rotations),
            old.half_edges,
            old.radii,
        )

    def _covered(self, candidates: InflatedBoxes) -> NDArray[np.bool_]:
        # In a dense fluid nine candidates in ten end here, at a tenth of the cost of the full test.
        if not len(self.bodies):
            return np.zeros(len(candidates), dtype=bool)
        distance, nearest = self._tree(self.bodies).query(candidates.positions)
        return np.asarray(distance < _inner(candidates) + _inner(self.bodies)[nearest] + self.gap)

    def _tree(self, bodies: InflatedBoxes) -> Any:
        # The modulo of a tiny negative number is the box edge itself, which the tree refuses.
        inside = np.where(bodies.positions >= self.box_edge, 0.0, bodies.positions)
        return cKDTree(inside, boxsize=self.box_edge)

    def blocked(self, a: InflatedBoxes, b: InflatedBoxes, *, same_rows: bool = False) -> NDArray[np.bool_]:
        """(len(a),) mask: the body of a is closer than the gap to some body of b (other than row i of b to row i of a).

        Most blocked bodies are blocked by their nearest neighbour, so that one is tried alone before the others.
        """
        found = np.zeros(len(a), dtype=bool)
        i, j, distance = self._near(a, b)
        if same_rows:
            i, j, distance = i[i != j], j[i != j], distance[i != j]
        # Relative to the touching of inscribed spheres: the first neighbour in this order is the likeliest obstacle.
        order = np.lexsort((distance - _inner(a)[i] - _inner(b)[j], i))
        i, j, distance = i[order], j[order], distance[order]
        first = np.concatenate([[True], i[1:] != i[:-1]]) if len(i) else np.zeros(0, dtype=bool)
        for turn in (first, ~first):
            pairs = np.flatnonzero(turn & ~found[i])
            found[i[pairs[self._closer(a, b, i[pairs], j[pairs], distance[pairs])]]] = True
        return found

    def conflicts(self, a: InflatedBoxes) -> tuple[IndexArray, IndexArray]:
        """Rows i != j of a whose surfaces are closer than the gap, each pair in both orders."""
        i, j, distance = self._near(a, a)
        i, j, distance = i[i != j], j[i != j], distance[i != j]
        closer = self._closer(a, a, i, j, distance)
        return i[closer], j[closer]

    def _near(self, a: InflatedBoxes, b: InflatedBoxes) -> tuple[IndexArray, IndexArray, FloatArray]:
        # Pairs whose circumscribed spheres are closer than the gap, with the distance of their centres.
        none = np.zeros(0, dtype=np.intp)
        if not (len(a) and len(b)):
            return none, none, np.zeros(0)
        outer_a, outer_b = _outer(a), _outer(b)
        reach = outer_a.max() + outer_b.max() + self.gap
        near = self._tree(a).sparse_distance_matrix(self._tree(b), reach, output_type="ndarray")
        near = near[near["v"] < outer_a[near["i"]] + outer_b[near["j"]] + self.gap]
        return near["i"], near["j"], near["v"]

    def _closer(
        self, a: InflatedBoxes, b: InflatedBoxes, i: IndexArray, j: IndexArray, distance: FloatArray
    ) -> NDArray[np.bool_]:
        closer = distance < _inner(a)[i] + _inner(b)[j] + self.gap
        rest = np.flatnonzero(~closer)
        separations = b.positions[j[rest]] - a.positions[i[rest]]
        separations -= self.box_edge * np.round(separations / self.box_edge)
        closer[rest] = surface_gap(a.take(i[rest]), b.take(j[rest]), separations) < self.gap
        return closer


def _inner(bodies: InflatedBoxes) -> FloatArray:
    return bodies.half_edges + bodies.radii


def _outer(bodies: InflatedBoxes) -> FloatArray:
    return math.sqrt(3) * bodies.half_edges + bodies.radii


def _first_come(n: int, i: IndexArray, j: IndexArray) -> IndexArray:
    # Random sequential addition in the order of the candidates: each falls only to an earlier one that stayed.
    stays = np.ones(n, dtype=bool)
    order = np.lexsort((i, j))
    for first, second in zip(i[order], j[order], strict=True):
        if first < second and stays[first]:
            stays[second] = False
    return np.flatnonzero(stays)


# --- crystals, files, dispatch ----------------------------------------------------------------------------------------


def initial_configuration(
    state_point: StatePoint, initial_packing_fraction: float, seed: int, files_directory: str | os.PathLike[str]
) -> Configuration:
    """The configuration that ``state_point.initial`` names: ``fluid``, a structure, or ``file:SHA256``.

    Args:
        state_point: the job's state point.
        initial_packing_fraction: packing fraction of a fluid start; without effect on the others.
        seed: seed of a fluid start; without effect on the others.
        files_directory: where :func:`store_file` keeps the project's GSD files.

    Returns:
        a configuration at step 0 with the shapes of this state point. A file keeps its box, order and images.

    Raises:
        InputError: as :func:`random_fluid`, ``build_crystal`` and :func:`check_initial`.
    """
    counts = (state_point.n_cubes, state_point.n_spheres, state_point.size_ratio, state_point.ligand_length)
    if state_point.initial == "fluid":
        return random_fluid(*counts, initial_packing_fraction, seed)
    if state_point.initial.startswith(_FILE):
        return _from_file(state_point, Path(files_directory))
    _check_crystal(state_point)
    return build_crystal(state_point.initial, *counts, state_point.expansion)


def check_initial(
    state_point: StatePoint, initial_packing_fraction: float, files_directory: str | os.PathLike[str]
) -> None:
    """Refuse a start that cannot be made, or a drying run that cannot reach its target, without building anything.

    Args:
        state_point: the job's state point.
        initial_packing_fraction: packing fraction of a fluid start.
        files_directory: where :func:`store_file` keeps the project's GSD files.

    Raises:
        InputError: unknown structure; counts that do not fill whole cells; an expansion that overlaps; a file that is
            missing, altered, or holds other counts; a fluid too dense or too few particles; and for a drying run a
            target that is not above the start or above what any known crystal reaches.
    """
    start = _start_packing_fraction(state_point, initial_packing_fraction, Path(files_directory))
    if not state_point.evaporation_rate > 0:
        return
    target = state_point.target_packing_fraction
    if not target > start:
        raise InputError(
            f"target_packing_fraction {target:g} is not above the {start:.4g} that the start has; "
            "drying only makes it denser."
        )
    counts = (state_point.n_cubes, state_point.n_spheres, state_point.size_ratio, state_point.ligand_length)
    if target <= largest_packing_fraction(*counts, QUICK):  # the search for the others takes half a second
        return
    largest = largest_packing_fraction(*counts)
    if target > largest:
        raise InputError(
            f"target_packing_fraction {target:g} cannot be reached: {counts[0]} cubes and {counts[1]} spheres at "
            f"size_ratio {counts[2]:g} and ligand_length {counts[3]:g} pack to at most {largest:.4f} "
            "in the known crystals."
        )


def initial_volume(
    state_point: StatePoint, initial_packing_fraction: float, files_directory: str | os.PathLike[str]
) -> float:
    """V = body volume / packing fraction: the box volume of :func:`initial_configuration`, without building it.

    Args:
        state_point: the job's state point.
        initial_packing_fraction: packing fraction of a fluid start; without effect on the others.
        files_directory: where :func:`store_file` keeps the project's GSD files.

    Returns:
        float: cube edges cubed.

    Raises:
        InputError: a start that cannot be made, as in :func:`check_initial`.
    """
    counts = (state_point.n_cubes, state_point.n_spheres, state_point.size_ratio, state_point.ligand_length)
    return body_volume(*counts) / _start_packing_fraction(state_point, initial_packing_fraction, Path(files_directory))


def _start_packing_fraction(state_point: StatePoint, fluid_fraction: float, files_directory: Path) -> float:
    counts = (state_point.n_cubes, state_point.n_spheres, state_point.size_ratio, state_point.ligand_length)
    if state_point.initial == "fluid":
        _check_fluid(*counts, fluid_fraction, CLEARANCE)
        return fluid_fraction
    if state_point.initial.startswith(_FILE):
        return packing_fraction(*counts, _from_file(state_point, files_directory).volume)
    _check_crystal(state_point)
    return packing_fraction_of(state_point.initial, *counts[2:], state_point.expansion)


def _check_crystal(state_point: StatePoint) -> None:
    if state_point.initial not in STRUCTURES:
        try:
            structure(state_point.initial)
        except InputError as error:
            raise InputError(f"initial: {error} Other starts: fluid, file:SHA256.") from None
    if not state_point.expansion >= LEAST_EXPANSION:
        raise InputError(
            f"expansion {state_point.expansion:g} makes the particles of {state_point.initial} overlap; "
            f"expected at least {LEAST_EXPANSION:g} (1 = closest packing)."
        )
    check_crystal_counts(
        state_point.initial,
        state_point.n_cubes,
        state_point.n_spheres,
        state_point.size_ratio,
        state_point.ligand_length,
    )


_FILE = "file:"


def store_file(path: str | os.PathLike[str], files_directory: str | os.PathLike[str]) -> str:
    """Copy a user's GSD file into the project under its hash, whole or not at all.

    Args:
        path: a GSD file; its last frame is the one a run starts from.
        files_directory: directory of the project's files, made if it is not there.

    Returns:
        ``file:SHA256``, the value of ``initial`` that starts from this file.

    Raises:
        FileFormatError: the file is not one this package reads.
    """
    read_gsd(path)
    directory = Path(files_directory)
    directory.mkdir(parents=True, exist_ok=True)
    temporary = directory / f"{Path(path).name}.{os.getpid()}.part"
    try:
        shutil.copyfile(path, temporary)
        # The copy is hashed, not the original, which may change meanwhile.
        digest = _sha256(temporary)
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(directory / f"{digest}.gsd")
    finally:
        temporary.unlink(missing_ok=True)
    return _FILE + digest


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _from_file(state_point: StatePoint, files_directory: Path) -> Configuration:
    digest = state_point.initial.removeprefix(_FILE)
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise InputError(
            f"initial: {state_point.initial!r} names no file of this project; expected file: and the 64 hexadecimal "
            "digits of its SHA-256, as store_file gives them."
        )
    path = files_directory / f"{digest}.gsd"
    if not path.is_file():
        raise InputError(f"initial: {path} does not exist; store the GSD file in the project first.")
    if _sha256(path) != digest:
        raise InputError(f"initial: {path} has changed since it was stored; its SHA-256 is no longer its name.")
    found = read_gsd(path)
    counts = {"cube": state_point.n_cubes, "sphere": state_point.n_spheres}
    if any(found.count(name) != n for name, n in counts.items()):
        raise InputError(
            f"initial: {path} holds {found.count('cube')} cubes and {found.count('sphere')} spheres, but the state "
            f"point says {state_point.n_cubes} and {state_point.n_spheres}."
        )
    shapes = {
        "cube": cube_shape(state_point.ligand_length),
        "sphere": sphere_shape(sphere_diameter(state_point.size_ratio)),
    }
    # Types that the file lists but does not use would become species without particles.
    species = tuple(name for name in found.species if found.count(name))
    typeid = np.array([species.index(found.species[i]) for i in found.typeid])
    return found.with_(species=species, typeid=typeid, shapes=tuple(shapes[name] for name in species), step=0)
