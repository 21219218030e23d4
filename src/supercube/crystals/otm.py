"""The orbifold topological model (OTM) of soft spheres: lattice constants beyond hard-sphere contact.

In it the ligand shell of a particle with few neighbours opens into vortices, so that the particle counts as smaller
than its effective diameter, and the cell is smaller than hard spheres would allow. Particles are spheres: here a cube
stands for a sphere of diameter e. Lengths in diameters D of the A spheres, gamma = e/D.

Sources: Travesset, Soft Matter 13, 147 (2017) and ACS Nano 11, 5375 (2017); branch limits as in the author's public
code (HOODLT), whose values these formulas give.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InputError
from .library import STRUCTURES


@dataclass(frozen=True)
class OtmCell:
    """The conventional cell of the model.

    Attributes:
        edge: a in sphere diameters D.
        c_over_a: c/a.
        packing_fraction: (N_A + N_B gamma^3) pi D^3/6 / V: of undeformed spheres.
    """

    edge: float
    c_over_a: float
    packing_fraction: float


def cell(name: str, gamma: float) -> OtmCell:
    """The cell of a structure in the orbifold model.

    Args:
        name: a structure of the library.
        gamma: diameter of B over diameter of A, at most 1: the model's A is the larger particle.

    Raises:
        InputError: the structure has no published orbifold branch, or gamma lies outside it; the message says why.
    """
    if name not in _BRANCHES:
        raise InputError(f"the orbifold model cannot give {name}: {_REASONS.get(name, _NO_BRANCH)}.")
    low, high, edges = _BRANCHES[name]
    if not low < gamma <= high:
        raise InputError(
            f"the orbifold model of {name} holds for size ratios above {low:.4f} up to {high:g}, not at {gamma:g}: "
            "beyond, its formulas fill more than all space or have no solution, or B is the larger particle."
        )
    entry = STRUCTURES[name]
    a, c_over_a = edges(gamma)
    volume = a**3 * c_over_a * (math.sqrt(0.75) if entry.system == "hexagonal" else 1.0)
    bodies = math.pi / 6 * (entry.count("sphere") + entry.count("cube") * gamma**3)
    return OtmCell(a, c_over_a, bodies / volume)


def _nacl(g: float) -> tuple[float, float]:
    """Hard spheres: a = max(sqrt2, 1 + g)."""
    return max(math.sqrt(2), 1 + g), 1.0


def _cscl(g: float) -> tuple[float, float]:
    """Hard spheres: a = max(1, (1 + g)/sqrt3)."""
    return max(1.0, (1 + g) / math.sqrt(3)), 1.0


def _alb2(g: float) -> tuple[float, float]:
    """Hard spheres: a = max(1, sqrt3 g), c = max(1, sqrt[(1 + g)^2 - 4 a^2/3])."""
    a = max(1.0, math.sqrt(3) * g)
    return a, max(1.0, math.sqrt(max((1 + g) ** 2 - 4 * a**2 / 3, 0.0))) / a


def _mgzn2(g: float) -> tuple[float, float]:
    """A shrinks: a = 2 sqrt2 (1 + g)/sqrt11 (A|B contact), then a = 2 g (B|B contact, also of hard spheres)."""
    return max(2 * math.sqrt(2) * (1 + g) / math.sqrt(11), 2 * g), math.sqrt(8 / 3)


def _cuau(g: float) -> tuple[float, float]:
    """A shrinks below g = sqrt3 - 1: in the plane x = g/q with q = [g^2 - sqrt(2 g^4 - g^2)]/(1 - g^2), and c = 1.

    Above, hard spheres: x = 1, c = sqrt(g^2 + 2 g - 1). The conventional edge is a = sqrt2 x.
    """
    if g < math.sqrt(3) - 1:
        x = g * (1 - g**2) / (g**2 - math.sqrt(2 * g**4 - g**2))
        return math.sqrt(2) * x, 1 / (math.sqrt(2) * x)
    return math.sqrt(2), math.sqrt((g**2 + 2 * g - 1) / 2)


def _abo3(g: float) -> tuple[float, float]:
    """B shrinks: a = 1 up to g = 1/2, a = 2 g to 1/(2 sqrt2 - 1), then a = (1 + g)/sqrt2."""
    return max(1.0, 2 * g if g < 1 / (2 * math.sqrt(2) - 1) else (1 + g) / math.sqrt(2)), 1.0


#: Name -> lowest gamma (excluded), highest, and gamma -> (a, c/a).
_BRANCHES: dict[str, tuple[float, float, Callable[[float], tuple[float, float]]]] = {
    "NaCl": (0.0, 1.0, _nacl),
    "CsCl": (0.0, 1.0, _cscl),
    "AlB2": (0.0, 1.0, _alb2),
    "ABO3": (0.0, 1.0, _abo3),
    # Below these the formulas give packing fractions above 1.
    "MgZn2": (0.3860, 1.0, _mgzn2),
    "CuAu": (0.7132, 1.0, _cuau),
}
_NO_BRANCH = "no orbifold branch is published for it"
_REASONS = {
    "CaB6": (
        "sources disagree whether the model describes it (it is said not to, yet its author's code has a branch, a = D "
        "for gamma from 0.414 to 0.533)"
    ),
    "SC": "it has one species, and orbifolds need two",
    **dict.fromkeys(("fcc", "bcc", "hcp", "hexagonal"), "it has one species, and orbifolds need two"),
}
