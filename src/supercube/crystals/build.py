"""Whole-cell crystals in a periodic box, and the refusal of counts that do not make one."""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..configuration import Configuration, cube_shape, sphere_shape, wrap
from ..errors import InputError
from ..model.shapes import sphere_diameter
from .library import Structure, Vector, structure
from .packing import cell_lengths

Cells = tuple[int, int, int]

#: Longest over shortest box edge: beyond it the box, not the physics, chooses the order.
LARGEST_ASPECT = 2.0
#: Sites have fractional coordinates such as 0 and 1/2; this shift keeps them off the faces of the box, where the
#: single precision of a file would decide on which side they lie.
_SHIFT = 0.25


def cells_of(n_cells: int, lengths: Vector, least: int) -> Cells | None:
    """The most cube-like nx x ny x nz of a number of cells, or None if no box keeps the rules.

    Rule: nx ny nz = n_cells, each at least ``least``, longest over shortest box edge at most ``LARGEST_ASPECT``; among
    these the smallest longest-over-shortest wins, then the smallest (nx, ny, nz).
    """
    best: tuple[float, Cells] | None = None
    for nx in _divisors(n_cells):
        for ny in _divisors(n_cells // nx):
            cells = (nx, ny, n_cells // (nx * ny))
            edges = [n * length for n, length in zip(cells, lengths, strict=True)]
            # Rounded, so that equal shapes compare equal and the smallest triple decides.
            aspect = round(max(edges) / min(edges), 9)
            if min(cells) >= least and aspect <= LARGEST_ASPECT and (best is None or (aspect, cells) < best):
                best = (aspect, cells)
    return best[1] if best else None


def _divisors(n: int) -> list[int]:
    small = [i for i in range(1, math.isqrt(n) + 1) if n % i == 0]
    return sorted({*small, *(n // i for i in small)})


def check_crystal_counts(
    name: str, n_cubes: int, n_spheres: int, size_ratio: float = 1.0, ligand_length: float = 0.0
) -> Cells:
    """The numbers of cells along x, y, z that the counts fill exactly.

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
        InputError: unknown structure; wrong stoichiometry; or a number of cells that makes no box by the rule of
            :func:`cells_of`. The message names the nearest counts that do.
    """
    crystal = structure(name)
    lengths = cell_lengths(name, size_ratio, ligand_length)
    per_cell = {"cube": crystal.count("cube"), "sphere": crystal.count("sphere")}
    counts = {"cube": n_cubes, "sphere": n_spheres}
    n_cells, rest = divmod(n_cubes + n_spheres, len(crystal.sites))
    whole = rest == 0 and all(counts[kind] == n_cells * per_cell[kind] for kind in counts)
    cells = cells_of(n_cells, lengths, crystal.least_cells) if whole and n_cells > 0 else None
    if cells is not None:
        return cells
    near, shape = _nearest(crystal, counts, lengths)
    nearest = _words({kind: near * number for kind, number in per_cell.items()}, zeros=True)
    boxed = " x ".join(str(n) for n in shape)
    if whole:
        reason = (
            f"is {n_cells} cells, which make no box with at least {crystal.least_cells} cells along each edge and "
            f"edges within a factor {LARGEST_ASPECT:g}"
        )
    else:
        reason = f"does not fill whole cells ({_words(per_cell, ' + ', zeros=False)} each)"
    raise InputError(
        f"initial: {name} with {_words(counts, zeros=True)} {reason}; "
        f"the nearest that does is {nearest} ({boxed} cells)."
    )


def _nearest(crystal: Structure, counts: dict[str, int], lengths: Vector) -> tuple[int, Cells]:
    per_cell = {kind: crystal.count(kind) for kind in counts if crystal.count(kind)}
    wanted = [counts[kind] / number for kind, number in per_cell.items()]

    def distance(n_cells: int) -> tuple[float, float]:
        change = sum(abs(cells - n_cells) for cells in wanted)
        return round(change, 9), abs(sum(counts.values()) - n_cells * len(crystal.sites))

    # n^3 cells make a box of any cell within the aspect, so a little above the counts there surely is one.
    most = max(math.ceil(max(wanted) ** (1 / 3)), 2 * crystal.least_cells) ** 3
    shapes = {n: cells_of(n, lengths, crystal.least_cells) for n in range(1, most + 1)}
    possible = {n: cells for n, cells in shapes.items() if cells is not None}
    best = min(possible, key=distance)
    return best, possible[best]


def _words(counts: dict[str, int], joint: str = " and ", *, zeros: bool) -> str:
    parts = [f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in counts.items() if n or zeros]
    return joint.join(parts)


def build_crystal(
    name: str, n_cubes: int, n_spheres: int, size_ratio: float, ligand_length: float, expansion: float = 1.0
) -> Configuration:
    """A perfect crystal in the periodic box that holds its whole cells exactly.

    Formula: box edges (nx a, ny b, nz c) x expansion; site i of cell n at (n + f_i + 1/4) cell edges from the corner.

    Args:
        name: a name in ``STRUCTURES``.
        n_cubes: number of cubes.
        n_spheres: number of spheres.
        size_ratio: gamma = cube edge / sphere diameter.
        ligand_length: lambda = rounding radius in cube edges.
        expansion: lattice constant over that of closest packing.

    Returns:
        cubes first, cell by cell; only the species that are there; shapes for OVITO and the renderer.

    Raises:
        InputError: as :func:`check_crystal_counts`, or an expansion that is not positive.
    """
    if not expansion > 0:
        raise InputError(f"expansion must be positive (1 = closest packing), not {expansion:g}.")
    cells = check_crystal_counts(name, n_cubes, n_spheres, size_ratio, ligand_length)
    cell = np.array(cell_lengths(name, size_ratio, ligand_length)) * expansion
    shapes = {"cube": cube_shape(ligand_length), "sphere": sphere_shape(sphere_diameter(size_ratio))}
    species = tuple(kind for kind in shapes if structure(name).count(kind))
    sites = sorted(structure(name).sites, key=lambda site: species.index(site.species))
    corners = np.array(list(itertools.product(*(range(n) for n in cells))), dtype=np.float64)
    fractional = np.concatenate([corners + np.array(site.position) + _SHIFT for site in sites])
    box = np.concatenate([cell * cells, np.zeros(3)])
    positions, _ = wrap(fractional * cell - box[:3] / 2, box)
    orientations = np.repeat([site.orientation for site in sites], len(corners), axis=0)
    return Configuration(
        box=box,
        positions=positions,
        orientations=orientations,
        species=species,
        typeid=np.repeat([species.index(site.species) for site in sites], len(corners)),
        shapes=tuple(shapes[kind] for kind in species),
    )
