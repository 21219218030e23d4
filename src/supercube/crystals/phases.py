"""Which phases fill the least volume: the infinite-pressure phase diagram of hard spheres and rounded cubes.

At infinite pressure the phase of least volume wins. A mixture of n cubes and m spheres may form one structure, or split
into two (two counts to match, so at most two phases): the lower convex envelope of volume against composition.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..model.shapes import body_volume
from .library import STRUCTURES, Parameters, structure
from .packing import close_packing, volume_of_cell

#: Volumes that differ by less than this (relative) count as equal; a single structure then goes before a mixture, and
#: the library's order decides among structures (CuAu with c/a = 1/sqrt2 is CsCl).
_EQUAL = 1e-9


def _binary() -> tuple[str, ...]:
    return tuple(name for name, entry in STRUCTURES.items() if "second_cube" not in entry.species)


#: The structures of one species of cubes and spheres, which compete in a mixture.
BINARY: tuple[str, ...] = _binary()
#: Those whose closest packing takes no search.
QUICK: tuple[str, ...] = tuple(name for name in BINARY if not STRUCTURES[name].parameters)


@dataclass(frozen=True)
class Phase:
    """A pure phase.

    Attributes:
        name: of its structure.
        cubes: per cell.
        spheres: per cell.
        volume: of the cell in cube edges cubed.
    """

    name: str
    cubes: int
    spheres: int
    volume: float


@dataclass(frozen=True)
class Mixture:
    """One phase, or two side by side.

    Attributes:
        names: of the structures; the one of more particles first.
        shares: share of all particles in each, summing to 1.
        volume: of the whole, in cube edges cubed.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]
    volume: float

    @property
    def label(self) -> str:
        """Such as ``ABO3`` or ``NaCl + SC``: names in the order of the library."""
        return " + ".join(sorted(self.names, key=list(STRUCTURES).index))


def pure_phases(
    size_ratio: float, ligand_length: float, names: Iterable[str] = BINARY, held: dict[str, Parameters] | None = None
) -> list[Phase]:
    """Every structure at its closest packing.

    Args:
        size_ratio: gamma.
        ligand_length: lambda.
        names: structures of one species of cubes and spheres.
        held: structure -> free parameters that keep a value there, such as ``{"ABO3": {"o_site_angle_deg": 45.0}}``.

    Raises:
        InputError: as :func:`.packing.close_packing`, or a structure of two species of cubes.
    """
    phases = []
    for name in names:
        entry = structure(name)
        if "second_cube" in entry.species:
            raise InputError(f"{name} needs cubes of two sizes; a mixture here has one (known: {', '.join(BINARY)}).")
        packing = close_packing(name, size_ratio, ligand_length, held=(held or {}).get(name))
        phases.append(Phase(name, entry.count("cube"), entry.count("sphere"), packing.cell_volume))
    return phases


def check_holds(phases: Sequence[Phase], n_cubes: float, n_spheres: float) -> None:
    """Refuse numbers that are none, and phases that cannot hold them.

    Raises:
        InputError: likewise; the message says what to add.
    """
    if not (min(n_cubes, n_spheres) >= 0 and math.isfinite(n_cubes + n_spheres) and n_cubes + n_spheres > 0):
        raise InputError(f"expected at least one particle, not {n_cubes:g} cubes and {n_spheres:g} spheres.")
    rich_in_cubes = any(phase.cubes * n_spheres >= phase.spheres * n_cubes for phase in phases)
    rich_in_spheres = any(phase.cubes * n_spheres <= phase.spheres * n_cubes for phase in phases)
    if not (rich_in_cubes and rich_in_spheres):
        names = ", ".join(phase.name for phase in phases) or "no structure"
        raise InputError(
            f"{names} cannot hold {n_cubes:g} cubes and {n_spheres:g} spheres; add a phase of the species that is left "
            f"over, {'fcc for spheres' if rich_in_cubes else 'SC for cubes'}."
        )


def distinct(phases: Iterable[Phase]) -> list[Phase]:
    """Without those that repeat another one before them: equal composition and equal volume per particle."""
    kept: list[Phase] = []
    for phase in phases:
        total = phase.cubes + phase.spheres
        same = (
            other.cubes * total == phase.cubes * (other.cubes + other.spheres)
            and abs(other.volume * total / (phase.volume * (other.cubes + other.spheres)) - 1) < _EQUAL
            for other in kept
        )
        if not any(same):
            kept.append(phase)
    return kept


def densest(phases: Sequence[Phase], n_cubes: float, n_spheres: float, *, holding: str = "") -> Mixture:
    """The phases of least total volume that hold n cubes and m spheres; only mixtures with ``holding`` if it is given.

    Formula: min of x_1 V_1 + x_2 V_2 over pairs of phases and amounts x >= 0 that match both numbers: a linear
    programme with two constraints, whose optimum has at most two phases, so trying all pairs is exact.

    Raises:
        InputError: as :func:`check_holds`.
    """
    check_holds(phases, n_cubes, n_spheres)
    found = [*_alone(phases, n_cubes, n_spheres), *_pairs(phases, n_cubes, n_spheres)]
    found = [mixture for mixture in found if not holding or holding in mixture.names]
    if not found:
        raise InputError(f"{n_cubes:g} cubes and {n_spheres:g} spheres cannot hold any {holding}.")
    least = min(mixture.volume for mixture in found)
    return next(mixture for mixture in found if mixture.volume <= least * (1 + _EQUAL))


def _alone(phases: Sequence[Phase], n_cubes: float, n_spheres: float) -> list[Mixture]:
    fits = [p for p in phases if abs(p.cubes * n_spheres - p.spheres * n_cubes) <= 1e-12 * (n_cubes + n_spheres)]
    return [Mixture((p.name,), (1.0,), p.volume * (n_cubes + n_spheres) / (p.cubes + p.spheres)) for p in fits]


def _pairs(phases: Sequence[Phase], n_cubes: float, n_spheres: float) -> list[Mixture]:
    mixtures = []
    for one, other in itertools.combinations(phases, 2):
        determinant = one.cubes * other.spheres - other.cubes * one.spheres
        if determinant == 0:  # the same composition twice
            continue
        amounts = (
            (n_cubes * other.spheres - n_spheres * other.cubes) / determinant,
            (n_spheres * one.cubes - n_cubes * one.spheres) / determinant,
        )
        if min(amounts) <= 1e-12 * max(amounts):
            continue
        sizes = (one.cubes + one.spheres, other.cubes + other.spheres)
        shares = (amount * size / (n_cubes + n_spheres) for amount, size in zip(amounts, sizes, strict=True))
        parts = sorted(zip((one.name, other.name), shares, strict=True), key=lambda part: -part[1])
        volume = amounts[0] * one.volume + amounts[1] * other.volume
        mixtures.append(Mixture(tuple(name for name, _ in parts), tuple(share for _, share in parts), volume))
    return mixtures


def largest_packing_fraction(
    n_cubes: int, n_spheres: int, size_ratio: float, ligand_length: float, names: Sequence[str] = BINARY
) -> float:
    """Bound eta_max = body volume / smallest volume of any mixture of known phases that holds these bodies.

    The phases are SC or bct cubes, fcc spheres and the structures named. Others may be denser.

    Args:
        n_cubes: number of cubes.
        n_spheres: number of spheres.
        size_ratio: gamma.
        ligand_length: lambda.
        names: structures; those of one species are not needed.

    Raises:
        InputError: no particles, or negative counts.
    """
    needed = dict.fromkeys(("SC", "bct", "fcc", *(names if n_cubes and n_spheres else ())))
    phases = []
    for name in needed:
        entry, volume = structure(name), volume_of_cell(name, size_ratio, ligand_length)
        phases.append(Phase(name, entry.count("cube"), entry.count("sphere"), volume))
    least = densest(phases, n_cubes, n_spheres).volume
    return body_volume(n_cubes, n_spheres, size_ratio, ligand_length) / least
