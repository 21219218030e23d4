"""Neighbour shells against the fingerprints of physics.md."""

import math

import numpy as np
import pytest

from supercube.crystals.library import C_OVER_A, STRUCTURES
from supercube.crystals.shells import neighbour_shells
from supercube.errors import InputError

R2, R3 = math.sqrt(0.5), math.sqrt(0.75)
#: Structure, parameters, number of the site -> (site, distance in a, coordination number) up to the reach given.
FINGERPRINTS = [
    ("SC", {}, 0, 1.0, [("B", 1.0, 6)]),
    ("bct", {C_OVER_A: math.sqrt(2)}, 0, 1.0, [("B", 1.0, 12)]),  # fcc
    ("NaCl", {}, 0, 0.75, [("B", 0.5, 6), ("A", R2, 12)]),
    ("NaCl", {}, 4, 0.75, [("A", 0.5, 6), ("B", R2, 12)]),
    ("ABO3", {}, 0, 1.0, [("O", R2, 12), ("B", R3, 8), ("A", 1.0, 6)]),
    ("ABO3", {}, 1, 0.9, [("O", 0.5, 6), ("A", R3, 8)]),
    ("ABO3", {}, 2, 0.75, [("B", 0.5, 2), ("A", R2, 4), ("O", R2, 8)]),
    ("AlB2", {C_OVER_A: 1.0}, 0, 1.0, [("B", math.sqrt(7 / 12), 12), ("A", 1.0, 8)]),
    ("AlB2", {C_OVER_A: 1.0}, 1, 1.0, [("B", 1 / math.sqrt(3), 3), ("A", math.sqrt(7 / 12), 6), ("B", 1.0, 8)]),
    ("CsCl", {}, 0, 1.0, [("B", R3, 8), ("A", 1.0, 6)]),
    # In the cell of four; physics.md counts in edges of the cell of two, sqrt2 times as many.
    ("CuAu", {C_OVER_A: 0.9}, 0, 0.95, [("B", 0.951 * R2, 8), ("A", R2, 4), ("A", 0.9, 2)]),
    ("fcc", {}, 0, 0.75, [("A", R2, 12)]),
    ("bcc", {}, 0, 1.0, [("A", R3, 8), ("A", 1.0, 6)]),
    ("hcp", {}, 0, 1.0, [("A", 1.0, 12)]),
    ("hexagonal", {}, 0, 1.0, [("A", 1.0, 8)]),
    ("ReO3", {}, 0, 0.5, [("O", 0.5, 6)]),
    ("CaB6", {"octahedron_x": 0.3}, 1, 0.5, [("B", 0.4, 1), ("B", 0.3 * math.sqrt(2), 4)]),
    ("ABO6", {"octahedron_x": 0.3}, 1, 0.35, [("O", 0.3, 6)]),
    ("MgZn2", {C_OVER_A: math.sqrt(8 / 3)}, 0, 0.62, [("B", math.sqrt(11) / 8 * math.sqrt(2), 12), ("A", 0.6124, 4)]),
]


@pytest.mark.parametrize(("name", "parameters", "site", "reach", "expected"), FINGERPRINTS)
def test_fingerprints(name, parameters, site, reach, expected):
    found = [(shell.site, shell.distance, len(shell)) for shell in neighbour_shells(name, parameters, reach)[site]]
    assert [(one[0], one[2]) for one in found] == [(one[0], one[2]) for one in expected]
    # Three digits in physics.md.
    assert [one[1] for one in found] == pytest.approx([one[1] for one in expected], abs=5e-4)


@pytest.mark.parametrize("name", STRUCTURES)
def test_neighbours_are_mutual(name):
    values = {parameter.name: (parameter.low + parameter.high) / 2 for parameter in STRUCTURES[name].parameters}
    sites = STRUCTURES[name].sites
    around = neighbour_shells(name, values, 1.0)
    assert len(around) == len(sites)
    counts = {}
    for site, shells in zip(sites, around, strict=True):
        for shell in shells:
            assert np.linalg.norm(shell.vectors, axis=1) == pytest.approx(np.full(len(shell), shell.distance))
            key = (site.name, shell.site, round(shell.distance, 5))
            counts[key] = counts.get(key, 0) + len(shell)
    # Bonds from A to B are those from B to A.
    assert all(number == counts[other, one, distance] for (one, other, distance), number in counts.items())


def test_parameters_that_move_sites_are_needed():
    with pytest.raises(InputError, match="depend on octahedron_x"):
        neighbour_shells("CaB6")
    assert neighbour_shells("ABO3")  # the angle moves nothing
