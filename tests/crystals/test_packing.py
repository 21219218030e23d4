"""Packing formulas against tabulated values and against an overlap test that shares no code with the package."""

import math

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from supercube.crystals.library import STRUCTURES, structure
from supercube.crystals.packing import (
    largest_packing_fraction,
    lattice_constant,
    packing_fraction_of,
    volume_per_cube,
)
from supercube.errors import InputError

FCC = math.pi / math.sqrt(18)


@pytest.mark.parametrize(
    ("name", "gamma", "expected"),
    # Sharp cubes; the fractions follow from the lattice constants in sphere diameters written here.
    [
        *(("NaCl", g, 4 * (math.pi / 6 + g**3) / max(math.sqrt(2), 1 + g) ** 3) for g in (0.2, 0.3, 0.41421356, 0.6)),
        ("ABO3", 0.3, math.pi / 6 + 4 * 0.3**3),
        ("ABO3", 0.5, (math.pi / 6 + 4 * 0.5**3) / ((1 + math.sqrt(2)) * 0.5) ** 3),
        ("SC", 1.0, 1.0),
        # The same as rounded literals from the literature, so that the formulas above are checked too.
        *(("NaCl", g, eta) for g, eta in ((0.2, 0.7518), (0.41421356, 0.8410), (0.45, 0.8066), (0.5, 0.7687))),
        *(("ABO3", g, eta) for g, eta in ((0.2, 0.5556), (0.41421356, 0.8079), (0.45, 0.6926), (0.5, 0.5820))),
        ("ABO3", 0.6, 0.4565),
    ],
)
def test_sharp_packing_fractions(name, gamma, expected):
    assert packing_fraction_of(name, gamma, 0.0) == pytest.approx(expected, abs=1e-4)  # four tabulated digits


def test_expansion_dilutes_by_its_cube():
    assert packing_fraction_of("ABO3", 0.49, 0.15, 1.06) == pytest.approx(
        packing_fraction_of("ABO3", 0.49, 0.15) / 1.06**3, rel=1e-14
    )


@pytest.mark.parametrize("name", STRUCTURES)
def test_library_entries_are_sound(name):
    crystal = structure(name)
    assert crystal.name == name
    assert {site.species for site in crystal.sites} <= {"cube", "sphere"}
    positions = np.array([site.position for site in crystal.sites])
    assert np.all((positions >= 0) & (positions < 1))
    assert len(np.unique(positions, axis=0)) == len(positions)
    assert [np.linalg.norm(site.orientation) for site in crystal.sites] == pytest.approx([1.0] * len(positions))
    cubes, spheres = crystal.stoichiometry
    assert cubes * crystal.count("sphere") == spheres * crystal.count("cube")
    assert math.gcd(cubes, spheres) == 1
    assert crystal.references


@pytest.mark.parametrize(("wrong", "right"), [("NaCI", "NaCl"), ("abo3", "ABO3"), ("perovskite ABO", "ABO3")])
def test_unknown_structure_names_the_nearest(wrong, right):
    with pytest.raises(InputError, match=f"the nearest is {right} "):
        structure(wrong)


# --- closest packing is contact, bracketed from both sides ------------------------------------------------------------


def _gap(first, second, separation):
    matrix = np.hstack([first[1], -second[1]])
    limit = np.concatenate([np.full(3, first[2]), np.full(3, second[2])]) + 1e-12  # bvls wants an interior
    cost = lsq_linear(matrix, separation, (-limit, limit), method="bvls", tol=1e-14).cost
    return math.sqrt(2 * cost) - first[3] - second[3]


def _least_gap(name, gamma, rounding, scale):
    """Smallest surface gap of any pair in the infinite crystal, by least squares over the closest points."""
    a = lattice_constant(name, gamma, rounding) * scale
    bodies = []
    for site in structure(name).sites:
        turn = Rotation.from_quat(np.array(site.orientation)[[1, 2, 3, 0]]).as_matrix()
        core, radius = (0.5 - rounding, rounding) if site.species == "cube" else (0.0, 0.5 / gamma)
        bodies.append((np.array(site.position) * a, turn, core, radius))
    images = np.stack(np.meshgrid(*[np.arange(-1, 2)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) * a
    least = math.inf
    for i, first in enumerate(bodies):
        for second in bodies[i:]:
            reach = sum(math.sqrt(3) * body[2] + body[3] for body in (first, second))
            for separation in second[0] - first[0] + images:
                if 1e-9 < np.linalg.norm(separation) < reach:
                    least = min(least, _gap(first, second, separation))
    return least


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize(
    ("gamma", "rounding"), [(0.25, 0.1), (0.45, 0.0), (0.45, 0.1), (0.5, 0.15), (0.55, 0.25), (0.8, 0.1), (1.5, 0.2)]
)
def test_closest_packing_touches(name, gamma, rounding):
    # The solver is exact to about 1e-8; 0.2 % of a lattice constant of at least one edge is far more than that.
    assert _least_gap(name, gamma, rounding, 1 + 1e-6) > -1e-7
    assert _least_gap(name, gamma, rounding, 0.998) < -1e-4 or rounding == 0
    if rounding == 0:
        # Sharp cores that overlap have distance zero, so "overlap" shows as no gap at all.
        assert _least_gap(name, gamma, rounding, 0.998) < 1e-6
        assert _least_gap(name, gamma, rounding, 1.002) > 1e-4


# --- the densest a mixture gets ---------------------------------------------------------------------------------------


def test_pure_phases():
    assert largest_packing_fraction(0, 7, 0.5, 0.1) == pytest.approx(FCC, rel=1e-14)
    assert largest_packing_fraction(5, 0, 1.0, 0.0) == pytest.approx(1.0, rel=1e-14)


def test_cubes_become_fcc_spheres():
    assert volume_per_cube(0.25) == pytest.approx(1.0, rel=1e-14)
    assert volume_per_cube(0.2) == 1.0
    assert largest_packing_fraction(5, 0, 1.0, 0.5) == pytest.approx(FCC, rel=1e-14)
    # Between, the staggered layers touch: their cores are 2 lambda apart (Pythagoras over the shift by half an edge).
    for rounding in (0.3, 0.4):
        s = 1 - 2 * rounding
        height = volume_per_cube(rounding)
        assert math.sqrt(2 * (0.5 - s) ** 2 + (height - s) ** 2) == pytest.approx(2 * rounding, rel=1e-14)
        assert height < 1


def test_winner_at_one_to_four():
    # The published windows of ABO3 at 1:4 for these rounding radii: 0.483 to 0.506 at 0.15, none at 0.10.
    inside, below, above = 0.49, 0.47, 0.52
    assert largest_packing_fraction(4, 1, inside, 0.15) == pytest.approx(packing_fraction_of("ABO3", inside, 0.15))
    for gamma in (below, above):
        assert largest_packing_fraction(4, 1, gamma, 0.15) > packing_fraction_of("ABO3", gamma, 0.15) + 1e-3
    assert largest_packing_fraction(4, 1, inside, 0.10) > packing_fraction_of("ABO3", inside, 0.10) + 1e-3


def test_leftover_is_packed_beside_the_crystal():
    # At the octahedral-hole size NaCl wins; twice the cubes leave as many over, in a simple cubic crystal.
    gamma = math.sqrt(2) - 1
    volume = math.sqrt(2) ** 3 / gamma**3 / 4
    expected = (2 + math.pi / 6 / gamma**3) / (volume + 1)
    assert largest_packing_fraction(200, 100, gamma, 0.0) == pytest.approx(expected, rel=1e-12)
    # Above gamma = 0.488 separation is denser than NaCl for sharp cubes.
    gamma = 0.6
    separated = (math.pi / 6 + gamma**3) / (1 / math.sqrt(2) + gamma**3)
    assert largest_packing_fraction(100, 100, gamma, 0.0) == pytest.approx(separated, rel=1e-12)


@pytest.mark.parametrize(("cubes", "spheres"), [(0, 0), (-1, 3)])
def test_no_particles_are_refused(cubes, spheres):
    with pytest.raises(InputError, match="at least one particle"):
        largest_packing_fraction(cubes, spheres, 0.5, 0.1)


def test_impossible_parameters_are_refused():
    with pytest.raises(InputError, match="rounding between"):
        lattice_constant("SC", 1.0, 0.6)
    with pytest.raises(InputError, match="size_ratio"):
        lattice_constant("NaCl", 0.0, 0.1)
    with pytest.raises(InputError, match="expansion must be positive"):
        packing_fraction_of("NaCl", 0.5, 0.1, 0.0)
