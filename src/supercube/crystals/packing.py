"""Closest packing of a structure: lattice constants, free parameters and packing fraction of hard effective shapes.

Infinite-pressure geometry. It proves no stability, only what fits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import InputError
from ..model.shapes import Spherocube, sphere_diameter
from . import otm
from .closest import closest_packing
from .library import C_OVER_A, O_SITE_ANGLE, Sizes, Structure, Vector, structure

#: Roundings of which a cube keeps flat faces.
MOST_ROUNDED = 0.5
#: Sizes that differ by more than this are no mixture, and would only meet the limits of arithmetic.
LEAST_RATIO = 1e-3
#: Volumes that differ by less than this (relative) are the same packing found twice.
SAME = 1e-10


@dataclass(frozen=True)
class Packing:
    """A structure at closest packing.

    Attributes:
        structure: its name.
        size_ratio: gamma = cube edge / sphere diameter.
        ligand_length: lambda = rounding radius in cube edges.
        model: ``hard`` or ``otm``.
        lattice_constant: edge a of the conventional cell, in cube edges.
        c_over_a: c/a of that cell.
        parameters: the free parameters by name, also those that were held.
        arrangement: which of the structure's orientations packs closest; empty if it has only one.
        packing_fraction: eta = (N_A pi D^3/6 + N_B V_cube) / V of the cell.
        exact: by closed formulas; otherwise by minimisation, a lower bound of the densest.
        second_edge: edge of the second species of cubes in cube edges, None where there is none.
    """

    structure: str
    size_ratio: float
    ligand_length: float
    model: str
    lattice_constant: float
    c_over_a: float
    parameters: Mapping[str, float]
    arrangement: str
    packing_fraction: float
    exact: bool
    second_edge: float | None = None

    @property
    def cell_volume(self) -> float:
        """Volume of the conventional cell in cube edges cubed."""
        return self.lattice_constant**3 * relative_volume(structure(self.structure), self.c_over_a)

    @property
    def o_site_angle_deg(self) -> float | None:
        """Angle of the O cubes about their B-O axis in degrees; None where there is no O cube."""
        return self.parameters.get(O_SITE_ANGLE)

    def document(self) -> dict[str, Any]:
        """The answer of ``supercube packing --json``."""
        names = ("structure", "size_ratio", "ligand_length", "model", "lattice_constant", "c_over_a", "cell_volume")
        others = {name: value for name, value in self.parameters.items() if name not in (C_OVER_A, O_SITE_ANGLE)}
        return {name: getattr(self, name) for name in names} | {
            "packing_fraction": self.packing_fraction,
            "o_site_angle_deg": self.o_site_angle_deg,
            "parameters": others,
            "arrangement": self.arrangement or None,
            "exact": self.exact,
            "second_edge": self.second_edge,
        }


def close_packing(
    name: str,
    size_ratio: float,
    ligand_length: float,
    *,
    model: str = "hard",
    held: Mapping[str, float] | None = None,
    second_edge: float | None = None,
) -> Packing:
    """The densest cell of a structure of hard spheres and rounded cubes.

    Args:
        name: a name in ``STRUCTURES``.
        size_ratio: gamma = cube edge / sphere diameter > 0 (without effect on a structure without spheres).
        ligand_length: lambda = rounding radius in cube edges, from 0 to below 1/2.
        model: ``hard``, or ``otm`` for the orbifold topological model of spheres (:mod:`.otm`).
        held: free parameters that keep a value, such as ``{"o_site_angle_deg": 45.0}``; the others are minimised.
        second_edge: edge of the second species of cubes, for structures that have one.

    Returns:
        closed forms where they exist, otherwise the best of the minimiser (a lower bound of the packing fraction).

    Raises:
        InputError: unknown structure, model or parameter; sizes that no particle has; a model outside its range.
    """
    entry = structure(name)
    sizes = _checked_sizes(entry, size_ratio, ligand_length, second_edge)
    fixed = _checked_parameters(entry, held or {})
    if model == "otm":
        return _otm_packing(entry, size_ratio, ligand_length, fixed)
    if model != "hard":
        raise InputError(f"unknown packing model {model!r}; expected hard or otm.")
    cell = _closest(name, sizes, tuple(sorted(fixed.items())))
    return Packing(
        structure=name,
        size_ratio=size_ratio,
        ligand_length=ligand_length,
        model=model,
        lattice_constant=cell.edge,
        c_over_a=cell.parameters.get(C_OVER_A, entry.c_over_a),
        parameters=cell.parameters,
        arrangement=cell.arrangement,
        packing_fraction=_body_volume(entry, sizes) / cell.volume,
        exact=cell.exact,
        second_edge=sizes.second_edge if "second_cube" in entry.species else None,
    )


def _checked_sizes(entry: Structure, size_ratio: float, ligand_length: float, second_edge: float | None) -> Sizes:
    if not LEAST_RATIO <= size_ratio <= 1 / LEAST_RATIO:  # also refuses nan
        raise InputError(
            f"size_ratio must be positive (cube edge over sphere diameter) and within {LEAST_RATIO:g} to "
            f"{1 / LEAST_RATIO:g}, not {size_ratio:g}."
        )
    if not 0 <= ligand_length < MOST_ROUNDED:
        raise InputError(
            f"ligand_length is {ligand_length:g}; expected the rounding radius in cube edges, from 0 to below 0.5, "
            "where a cube has become a sphere."
        )
    if "second_cube" not in entry.species:
        if second_edge is not None:
            raise InputError(f"{entry.name} has one species of cubes; leave the edge of a second one out.")
        return Sizes(1.0 / size_ratio, ligand_length)
    if second_edge is None:
        raise InputError(f"{entry.name} has two species of cubes; give the edge of the second in edges of the first.")
    if not max(2 * ligand_length, LEAST_RATIO) < second_edge <= 1 / LEAST_RATIO:
        raise InputError(
            f"the edge of the second cubes is {second_edge:g}; expected more than two ligand shells, "
            f"{2 * ligand_length:g}, and at most {1 / LEAST_RATIO:g}, in edges of the first."
        )
    return Sizes(1.0 / size_ratio, ligand_length, second_edge)


def _checked_parameters(entry: Structure, held: Mapping[str, float]) -> dict[str, float]:
    known = {parameter.name: parameter for parameter in entry.parameters}
    for name, value in held.items():
        if name not in known:
            has = f"its free parameters are {', '.join(known)}" if known else "it has no free parameter"
            raise InputError(f"{entry.name} has no {name}: {has}.")
        low, high = known[name].low, known[name].high
        if not low <= value <= high:
            raise InputError(f"{name} of {entry.name} is {value:g}; expected {low:g} to {high:g}.")
    return dict(held)


@dataclass(frozen=True)
class _Cell:
    edge: float
    parameters: dict[str, float]
    arrangement: str
    volume: float
    exact: bool


@lru_cache(maxsize=4096)
def _closest(name: str, sizes: Sizes, held: tuple[tuple[str, float], ...]) -> _Cell:
    """The densest of the structure's arrangements; sizes are not checked."""
    entry = structure(name)
    formula = entry.closed_form(sizes, dict(held))
    if formula is not None:
        return _cell(entry, *formula, "", exact=True)
    cells: list[_Cell] = []
    for arrangement in entry.arrangements or ("",):
        least = min((cell.volume for cell in cells), default=math.inf)
        worth = least / relative_volume(entry, 1.0)
        found = closest_packing(entry.arranged(arrangement), sizes, dict(held), worth=worth)
        cells.append(_cell(entry, *found, arrangement, exact=False))
    # The first of equals, so that an arrangement without advantage is not named.
    least = min(cell.volume for cell in cells)
    return next(cell for cell in cells if cell.volume <= least * (1 + SAME))


def forget() -> None:
    """Drop the packings kept in memory, so that the next call computes again (for benches)."""
    _closest.cache_clear()


def _cell(entry: Structure, edge: float, parameters: dict[str, float], arrangement: str, *, exact: bool) -> _Cell:
    volume = edge**3 * relative_volume(entry, parameters.get(C_OVER_A, entry.c_over_a))
    return _Cell(edge, parameters, arrangement, volume, exact)


def relative_volume(entry: Structure, c_over_a: float) -> float:
    """Volume of the conventional cell over a^3."""
    return c_over_a * (math.sqrt(0.75) if entry.system == "hexagonal" else 1.0)


def _body_volume(entry: Structure, sizes: Sizes) -> float:
    volume = entry.count("sphere") * math.pi * sizes.diameter**3 / 6
    volume += entry.count("cube") * Spherocube(rounding=sizes.rounding).volume
    if "second_cube" in entry.species:
        volume += entry.count("second_cube") * Spherocube(rounding=sizes.rounding, edge=sizes.second_edge).volume
    return volume


def volume_of_cell(name: str, size_ratio: float, ligand_length: float) -> float:
    """Volume of the conventional cell at closest packing in cube edges cubed; where searched, the least that was found.

    Takes a rounding of 1/2 too, where cubes are spheres.
    """
    return _closest(name, Sizes(sphere_diameter(size_ratio), ligand_length), ()).volume


def start_packing(name: str, size_ratio: float, ligand_length: float) -> Packing:
    """The closest packing that a crystal start of this structure is expanded from (``Structure.start`` held).

    Raises:
        InputError: as :func:`close_packing`, or the structure needs a second species of cubes.
    """
    entry = structure(name)
    if "second_cube" in entry.species:
        raise InputError(
            f"initial: {name} needs cubes of two sizes and a run holds one; it serves packing and classification only."
        )
    return close_packing(name, size_ratio, ligand_length, held=entry.start)


def box_cell_lengths(name: str, size_ratio: float, ligand_length: float) -> Vector:
    """Edges of the smallest rectangular cell of a crystal start: (a, a, c), or (a, sqrt3 a, c) if hexagonal.

    Raises:
        InputError: as :func:`start_packing`.
    """
    packing = start_packing(name, size_ratio, ligand_length)
    a = packing.lattice_constant
    return a, a * (math.sqrt(3) if structure(name).system == "hexagonal" else 1.0), a * packing.c_over_a


def lattice_constant(name: str, size_ratio: float, ligand_length: float) -> float:
    """Edge a of the conventional cell of a crystal start at closest packing, in cube edges.

    Raises:
        InputError: as :func:`start_packing`.
    """
    return start_packing(name, size_ratio, ligand_length).lattice_constant


def packing_fraction_of(name: str, size_ratio: float, ligand_length: float, expansion: float = 1.0) -> float:
    """Packing fraction of a crystal start: that of :func:`start_packing` over expansion^3.

    Raises:
        InputError: as :func:`start_packing`, or an expansion that is not positive.
    """
    if not expansion > 0:
        raise InputError(f"expansion must be positive (1 = closest packing), not {expansion:g}.")
    return start_packing(name, size_ratio, ligand_length).packing_fraction / expansion**3


def _otm_packing(entry: Structure, size_ratio: float, ligand_length: float, held: Mapping[str, float]) -> Packing:
    if held:
        raise InputError(f"the orbifold model has no free parameters; leave {', '.join(held)} out.")
    cell = otm.cell(entry.name, size_ratio)
    return Packing(
        structure=entry.name,
        size_ratio=size_ratio,
        ligand_length=ligand_length,
        model="otm",
        lattice_constant=cell.edge / size_ratio,
        c_over_a=cell.c_over_a,
        parameters={},
        arrangement="",
        packing_fraction=cell.packing_fraction,
        exact=True,
    )
