"""Closest packing: lattice constants, packing fractions, and the densest a mixture can get.

Infinite-pressure geometry of hard effective shapes. It proves no stability, only what fits.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..errors import InputError
from ..model.shapes import Spherocube, body_volume, packing_fraction, sphere_diameter
from .library import STRUCTURES, Vector, structure


def cell_lengths(name: str, size_ratio: float, ligand_length: float) -> Vector:
    """Edges (a, b, c) of the conventional cell at closest packing, in cube edges.

    Raises:
        InputError: unknown structure, or a size ratio or rounding that no particle has.
    """
    Spherocube(rounding=ligand_length)  # refuses roundings outside 0 ... 1/2
    return structure(name).close_packed_cell(sphere_diameter(size_ratio), ligand_length)


def lattice_constant(name: str, size_ratio: float, ligand_length: float) -> float:
    """Edge a of the conventional cell at closest packing, in cube edges (times gamma: in sphere diameters).

    Args:
        name: a name in ``STRUCTURES``.
        size_ratio: gamma = cube edge / sphere diameter (without effect on a structure without spheres).
        ligand_length: lambda = rounding radius in cube edges.

    Raises:
        InputError: as :func:`cell_lengths`.
    """
    return cell_lengths(name, size_ratio, ligand_length)[0]


def packing_fraction_of(name: str, size_ratio: float, ligand_length: float, expansion: float = 1.0) -> float:
    """Packing fraction eta = (N_A pi D^3/6 + N_B V_cube) / (a b c expansion^3) of a crystal.

    Args:
        name: a name in ``STRUCTURES``.
        size_ratio: gamma.
        ligand_length: lambda.
        expansion: lattice constant over that of closest packing.

    Raises:
        InputError: as :func:`cell_lengths`, or an expansion that is not positive.
    """
    if not expansion > 0:
        raise InputError(f"expansion must be positive (1 = closest packing), not {expansion:g}.")
    crystal = structure(name)
    volume = math.prod(cell_lengths(name, size_ratio, ligand_length)) * expansion**3
    return packing_fraction(crystal.count("cube"), crystal.count("sphere"), size_ratio, ligand_length, volume)


def volume_per_cube(ligand_length: float) -> float:
    """Smallest volume a pure cube phase needs per cube: 1 (simple cubic) up to lambda = 1/4, then less.

    Formula: above lambda = 1/4 square layers whose cubes sit over the holes of the layer below are closer than e,
    h = s + sqrt(4 lambda^2 - 2 (1/2 - s)^2) with s = 1 - 2 lambda; at lambda = 1/2 this is fcc of spheres. A lower
    bound of what lattices of aligned cubes reach, exact at both ends.
    """
    s = Spherocube(rounding=ligand_length).core_edge
    if s >= 0.5:
        return 1.0
    return s + math.sqrt(4 * ligand_length**2 - 2 * (0.5 - s) ** 2)


def largest_packing_fraction(n_cubes: int, n_spheres: int, size_ratio: float, ligand_length: float) -> float:
    """Bound eta_max = body volume / smallest volume of any mixture of known phases that holds these bodies.

    The phases are pure cubes (:func:`volume_per_cube`), fcc spheres (D^3 / sqrt2 each) and every structure of the
    library. Two counts to match make a linear programme whose optimum mixes at most two phases, so trying all pairs is
    exact; this covers separation, and a crystal beside its leftover. Structures outside the library may be denser.

    Args:
        n_cubes: number of cubes.
        n_spheres: number of spheres.
        size_ratio: gamma.
        ligand_length: lambda.

    Raises:
        InputError: no particles, or negative counts.
    """
    if min(n_cubes, n_spheres) < 0 or n_cubes + n_spheres == 0:
        raise InputError(f"expected at least one particle, not {n_cubes} cubes and {n_spheres} spheres.")
    diameter = sphere_diameter(size_ratio)
    phases = [(1, 0, volume_per_cube(ligand_length)), (0, 1, diameter**3 / math.sqrt(2))]
    phases += [
        (known.count("cube"), known.count("sphere"), math.prod(known.close_packed_cell(diameter, ligand_length)))
        for known in STRUCTURES.values()
    ]
    volumes = []
    for first, second in itertools.combinations(phases, 2):
        contents = np.array([first[:2], second[:2]], dtype=np.float64).T
        if abs(np.linalg.det(contents)) < 0.5:  # integer counts: the same composition twice
            continue
        amounts = np.linalg.solve(contents, [n_cubes, n_spheres])
        if amounts.min() > -1e-9 * amounts.max():
            volumes.append(float(amounts @ [first[2], second[2]]))
    return body_volume(n_cubes, n_spheres, size_ratio, ligand_length) / min(volumes)
