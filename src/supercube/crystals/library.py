"""The structures, as data: to add one, add one entry to ``STRUCTURES``.

Fractional coordinates refer to the conventional cell, taken orthorhombic (a hexagonal structure enters with its
doubled, rectangular cell). Cells at closest packing are closed formulas of the sphere diameter D = 1/gamma and the
rounding lambda, all in cube edges.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InputError

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)
_COS, _SIN = math.cos(math.pi / 8), math.sin(math.pi / 8)
#: Turns by 45 degrees about x, y, z.
EIGHTH_X: Quaternion = (_COS, _SIN, 0.0, 0.0)
EIGHTH_Y: Quaternion = (_COS, 0.0, _SIN, 0.0)
EIGHTH_Z: Quaternion = (_COS, 0.0, 0.0, _SIN)


@dataclass(frozen=True)
class Site:
    """One particle of the conventional cell.

    Attributes:
        name: name of the crystallographic site (A, B, O), the same for equivalent particles.
        species: ``cube`` or ``sphere``.
        position: fractional coordinates, in [0, 1).
        orientation: unit quaternion, scalar first; turns body axes into cell axes.
    """

    name: str
    species: str
    position: Vector
    orientation: Quaternion = UPRIGHT


@dataclass(frozen=True)
class Structure:
    """A crystal structure of cubes and spheres.

    Attributes:
        name: the label used everywhere (state point, classification, figures).
        sites: all particles of the conventional cell.
        close_packed_cell: (D, lambda) -> edges (a, b, c) of the conventional cell at closest packing, in cube edges.
        space_group: number of the space group of the point lattice (orientations may lower it).
        least_cells: fewest cells along each direction that a periodic box may hold.
        references: where the structure and its packing come from.
    """

    name: str
    sites: tuple[Site, ...]
    close_packed_cell: Callable[[float, float], Vector]
    space_group: int
    least_cells: int
    references: tuple[str, ...]

    def count(self, species: str) -> int:
        """Number of particles of a species in the conventional cell."""
        return sum(site.species == species for site in self.sites)

    @property
    def stoichiometry(self) -> tuple[int, int]:
        """Cubes and spheres per formula unit, in lowest terms."""
        cubes, spheres = self.count("cube"), self.count("sphere")
        common = math.gcd(cubes, spheres)
        return cubes // common, spheres // common


def _sc_cell(diameter: float, rounding: float) -> Vector:
    """Formula a = e: faces of neighbours touch, however round the edges are."""
    return (1.0, 1.0, 1.0)


def _nacl_cell(diameter: float, rounding: float) -> Vector:
    """Formula a = max[sqrt2 D, D + e, 2 e - (4 - 2 sqrt2) lambda e]: sphere|sphere, sphere|face, edge|edge contact."""
    a = max(math.sqrt(2) * diameter, diameter + 1, 2 - (4 - 2 * math.sqrt(2)) * rounding)
    return (a, a, a)


def _abo3_cell(diameter: float, rounding: float) -> Vector:
    """Formula a = max[D, (D + e)/sqrt2, 2 e, (1 + sqrt2) e - 2 lambda e]: A|A, A|O face, B|O faces, O|O corners.

    The O cubes are turned by 45 degrees about their B-O axis; another angle is denser for sharp cubes above
    gamma = sqrt2 - 1 (physics.md) and would be another entry.
    """
    a = max(diameter, (diameter + 1) / math.sqrt(2), 2.0, 1 + math.sqrt(2) - 2 * rounding)
    return (a, a, a)


_FCC: tuple[Vector, ...] = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5))
_FCC_SHIFTED: tuple[Vector, ...] = ((0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (0.5, 0.5, 0.5))
_CHERNIUKH = "Cherniukh et al., Nature 593, 535 (2021): perovskite-nanocube superlattices"

_ALL = (
    Structure(
        name="SC",
        sites=(Site("B", "cube", (0.0, 0.0, 0.0)),),
        close_packed_cell=_sc_cell,
        space_group=221,
        # With two, a cube would meet the same neighbour on both of its sides.
        least_cells=3,
        references=("Smallenburg et al., PNAS 109, 17886 (2012), arXiv 1111.3466: hard cubes",),
    ),
    Structure(
        name="NaCl",
        sites=(
            *(Site("A", "sphere", position) for position in _FCC),
            *(Site("B", "cube", position) for position in _FCC_SHIFTED),
        ),
        close_packed_cell=_nacl_cell,
        space_group=225,
        least_cells=2,
        references=(_CHERNIUKH, "contact conditions of aligned cubes, exact"),
    ),
    Structure(
        name="ABO3",
        sites=(
            Site("A", "sphere", (0.0, 0.0, 0.0)),
            Site("B", "cube", (0.5, 0.5, 0.5)),
            Site("O", "cube", (0.0, 0.5, 0.5), EIGHTH_X),
            Site("O", "cube", (0.5, 0.0, 0.5), EIGHTH_Y),
            Site("O", "cube", (0.5, 0.5, 0.0), EIGHTH_Z),
        ),
        close_packed_cell=_abo3_cell,
        space_group=221,
        least_cells=2,
        references=(_CHERNIUKH, "contact conditions with O cubes at 45 degrees, exact"),
    ),
)

#: Every structure this package knows, by name.
STRUCTURES: dict[str, Structure] = {entry.name: entry for entry in _ALL}


def structure(name: str) -> Structure:
    """The structure of a name.

    Raises:
        InputError: there is none; the message names the nearest one.
    """
    if name in STRUCTURES:
        return STRUCTURES[name]
    by_lower = {known.lower(): known for known in STRUCTURES}
    # No cut-off: a poor guess beside the full list costs the reader nothing.
    nearest = by_lower[difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.0)[0]]
    raise InputError(f"unknown structure {name!r}; the nearest is {nearest} (known: {', '.join(STRUCTURES)}).")
