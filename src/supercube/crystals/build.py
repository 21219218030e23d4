"""Whole-cell crystals in a periodic box, and the refusal of counts that do not make one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration, cube_shape, sphere_shape, wrap
from ..errors import InputError
from ..model.interactions import CUTOFF
from ..model.shapes import sphere_diameter
from .closest import crystals_at
from .library import C_OVER_A, Sizes, Structure, Vector, structure
from .packing import Packing, box_cell_lengths, start_packing

Cells = tuple[int, int, int]

#: Longest over shortest box edge: beyond it the box, not the physics, chooses the order.
LARGEST_ASPECT = 2.0
#: Sites have fractional coordinates such as 0 and 1/2; one of these shifts keeps them off the faces of the box, where
#: the single precision of a file would decide on which side they lie.
_SHIFTS = (0.25, 0.15, 0.1)


def cells_of(n_cells: int, lengths: Vector, least: Cells) -> Cells | None:
    """The most cube-like nx x ny x nz of a number of cells, or None if no box keeps the rules.

    Rule: nx ny nz = n_cells, each at least its ``least``, longest over shortest box edge at most ``LARGEST_ASPECT``;
    among these the smallest longest-over-shortest wins, then the smallest (nx, ny, nz).
    """
    best: tuple[float, Cells] | None = None
    for nx in _divisors(n_cells):
        for ny in _divisors(n_cells // nx):
            cells = (nx, ny, n_cells // (nx * ny))
            edges = [n * length for n, length in zip(cells, lengths, strict=True)]
            # Rounded, so that equal shapes compare equal and the smallest triple decides.
            aspect = round(max(edges) / min(edges), 9)
            enough = all(n >= fewest for n, fewest in zip(cells, least, strict=True))
            if enough and aspect <= LARGEST_ASPECT and (best is None or (aspect, cells) < best):
                best = (aspect, cells)
    return best[1] if best else None


def _divisors(n: int) -> list[int]:
    small = [i for i in range(1, math.isqrt(n) + 1) if n % i == 0]
    return sorted({*small, *(n // i for i in small)})


def least_cells(name: str, size_ratio: float, ligand_length: float) -> Cells:
    """Fewest rectangular cells along x, y, z of a periodic box.

    Rule: what the structure says, and a box wider than twice the range of two spheres, D + (2^(1/6) - 1) 2 lambda e, so
    that no sphere meets the same neighbour on both of its sides; 2 % wider, to allow for a start that is compressed.
    """
    crystal = structure(name)
    reach = sphere_diameter(size_ratio) + (CUTOFF - 1) * 2 * ligand_length if crystal.count("sphere") else 0.0
    lengths = box_cell_lengths(name, size_ratio, ligand_length)
    x, y, z = (
        max(fewest, math.floor(2.04 * reach / length) + 1)
        for fewest, length in zip(crystal.least_cells, lengths, strict=True)
    )
    return x, y, z


def per_box_cell(crystal: Structure) -> dict[str, int]:
    """Number of cubes and of spheres in the smallest rectangular cell."""
    return {kind: crystal.count(kind) * crystal.cells_per_box_cell for kind in ("cube", "sphere")}


def check_crystal_counts(
    name: str, n_cubes: int, n_spheres: int, size_ratio: float = 1.0, ligand_length: float = 0.0
) -> Cells:
    """The numbers of rectangular cells along x, y, z that the counts fill exactly.

    The nearest counts in the message minimise |n_cubes / cubes per cell - cells| + |n_spheres / spheres per cell -
    cells|, that is the relative change of both; particles of a species that the structure lacks are all dropped. Ties
    go to the nearest total number of particles.

    Args:
        name: a name in ``STRUCTURES``.
        n_cubes: number of cubes.
        n_spheres: number of spheres.
        size_ratio: gamma, which the shape of a cell that is not cubic depends on.
        ligand_length: lambda, likewise.

    Raises:
        InputError: unknown structure, or one of two species of cubes; wrong stoichiometry; or a number of cells that
            makes no box by the rule of :func:`cells_of`. The message names the nearest counts that do.
    """
    lengths = box_cell_lengths(name, size_ratio, ligand_length)
    least = least_cells(name, size_ratio, ligand_length)
    per_cell = per_box_cell(structure(name))
    counts = {"cube": n_cubes, "sphere": n_spheres}
    n_cells, rest = divmod(n_cubes + n_spheres, sum(per_cell.values()))
    whole = rest == 0 and all(counts[kind] == n_cells * per_cell[kind] for kind in counts)
    cells = cells_of(n_cells, lengths, least) if whole and n_cells > 0 else None
    if cells is not None:
        return cells
    near, shape = _nearest(per_cell, counts, lengths, least)
    nearest = _words({kind: near * number for kind, number in per_cell.items()}, zeros=True)
    boxed = " x ".join(str(n) for n in shape)
    if whole:
        fewest = str(least[0]) if len(set(least)) == 1 else " x ".join(str(n) for n in least)
        reason = (
            f"is {n_cells} cells, which make no box with at least {fewest} cells along each edge and "
            f"edges within a factor {LARGEST_ASPECT:g}"
        )
    else:
        reason = f"does not fill whole cells ({_words(per_cell, ' + ', zeros=False)} each)"
    raise InputError(
        f"initial: {name} with {_words(counts, zeros=True)} {reason}; "
        f"the nearest that does is {nearest} ({boxed} cells)."
    )


def _nearest(per_cell: dict[str, int], counts: dict[str, int], lengths: Vector, least: Cells) -> tuple[int, Cells]:
    present = {kind: number for kind, number in per_cell.items() if number}
    wanted = [counts[kind] / number for kind, number in present.items()]

    def distance(n_cells: int) -> tuple[float, float]:
        change = sum(abs(cells - n_cells) for cells in wanted)
        return round(change, 9), abs(sum(counts.values()) - n_cells * sum(present.values()))

    # The change grows away from the numbers wanted, so the best box is the first one below or above them.
    centre = min(max(sum(counts.values()) / sum(present.values()), min(wanted)), max(wanted))
    return min(boxes_near(centre, lengths, least), key=lambda box: distance(box[0]))


def boxes_near(n_cells: float, lengths: Vector, least: Cells) -> list[tuple[int, Cells]]:
    """The first number of cells at or above ``n_cells`` that fills a box, and the first below if there is one."""

    def boxes(numbers: Iterable[int]) -> Iterator[tuple[int, Cells]]:
        shapes = ((n, cells_of(n, lengths, least)) for n in numbers)
        return ((n, cells) for n, cells in shapes if cells is not None)

    at_least = max(math.ceil(n_cells), 1)
    above = next(boxes(itertools.count(at_least)))
    below = next(boxes(range(at_least - 1, 0, -1)), None)
    return [above] if below is None else [above, below]


def _words(counts: dict[str, int], joint: str = " and ", *, zeros: bool) -> str:
    parts = [f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in counts.items() if n or zeros]
    return joint.join(parts)


def build_crystal(
    name: str, n_cubes: int, n_spheres: int, size_ratio: float, ligand_length: float, expansion: float = 1.0
) -> Configuration:
    """A perfect crystal in the rectangular periodic box that holds its whole cells exactly.

    Formula: box edges (nx, ny, nz) times those of the rectangular cell at closest packing times expansion.

    Args:
        name: a name in ``STRUCTURES``.
        n_cubes: number of cubes.
        n_spheres: number of spheres.
        size_ratio: gamma = cube edge / sphere diameter.
        ligand_length: lambda = rounding radius in cube edges.
        expansion: lattice constant over that of closest packing (:func:`.packing.start_packing`).

    Returns:
        cubes first, site by site and cell by cell; only the species that are there; shapes for OVITO and the renderer.

    Raises:
        InputError: as :func:`check_crystal_counts`, or an expansion that is not positive.
    """
    if not expansion > 0:
        raise InputError(f"expansion must be positive (1 = closest packing), not {expansion:g}.")
    cells = check_crystal_counts(name, n_cubes, n_spheres, size_ratio, ligand_length)
    return fill(start_packing(name, size_ratio, ligand_length), cells, expansion)


def fill(packing: Packing, cells: Cells, expansion: float = 1.0) -> Configuration:
    """Whole rectangular cells of a packing of any species, as a periodic configuration (``build_crystal``)."""
    entry = structure(packing.structure).arranged(packing.arrangement)
    sizes = Sizes(sphere_diameter(packing.size_ratio), packing.ligand_length, packing.second_edge or 1.0)
    crystal = crystals_at(entry, sizes, {**packing.parameters, C_OVER_A: packing.c_over_a})
    edge = packing.lattice_constant * expansion
    cell = edge * np.array([1.0, math.sqrt(3) if entry.system == "hexagonal" else 1.0, packing.c_over_a])
    # a, a + 2 b and c span the rectangular cell of a hexagonal lattice; its second point is b.
    points = [np.zeros(3), crystal.lattice[0, 1]][: entry.cells_per_box_cell]
    shapes = {
        "cube": cube_shape(packing.ligand_length),
        "second_cube": cube_shape(packing.ligand_length, packing.second_edge or 1.0),
        "sphere": sphere_shape(sizes.diameter),
    }
    species = tuple(kind for kind in shapes if entry.count(kind))
    order = sorted(range(len(entry.sites)), key=lambda i: species.index(entry.sites[i].species))
    corners = np.array(list(itertools.product(*(range(n) for n in cells))), dtype=np.float64)
    inside = np.array([[(crystal.positions[0, i] + point) * edge for point in points] for i in order]) / cell
    inside = (inside + _shift(inside)) % 1.0
    fractional = (inside[:, :, None] + corners).reshape(-1, 3)
    box = np.concatenate([cell * cells, np.zeros(3)])
    positions, _ = wrap(fractional * cell - box[:3] / 2, box)
    many = len(corners) * len(points)
    return Configuration(
        box=box,
        positions=positions,
        orientations=np.repeat([_quaternion(crystal.rotations[0, i]) for i in order], many, axis=0),
        species=species,
        typeid=np.repeat([species.index(entry.sites[i].species) for i in order], many),
        shapes=tuple(shapes[kind] for kind in species),
    )


def _shift(fractional: NDArray[np.float64]) -> float:
    """The first shift that leaves no coordinate within 0.01 of a face of a cell."""

    def clearance(shift: float) -> float:
        return float(np.abs((fractional + shift + 0.5) % 1.0 - 0.5).min())

    return next((shift for shift in _SHIFTS if clearance(shift) > 0.01), max(_SHIFTS, key=clearance))


def _quaternion(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    quaternion = np.asarray(Rotation.from_matrix(rotation).as_quat(), dtype=np.float64)[[3, 0, 1, 2]]
    return quaternion if quaternion[0] >= 0 else -quaternion
