"""Whole-cell crystals: counts, neighbours and orientations, and the refusal of counts that do not fit."""

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from supercube.configuration import read_gsd, write_gsd
from supercube.crystals.build import build_crystal, cells_of, check_crystal_counts
from supercube.crystals.library import STRUCTURES, structure
from supercube.crystals.packing import lattice_constant, packing_fraction_of
from supercube.errors import InputError
from supercube.model.shapes import packing_fraction

CUBIC = (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("n_cells", "least", "expected"),
    [(27, 2, (3, 3, 3)), (24, 2, (2, 3, 4)), (16, 2, (2, 2, 4)), (64, 3, (4, 4, 4)), (36, 3, (3, 3, 4))],
)
def test_most_cube_like_box(n_cells, least, expected):
    assert cells_of(n_cells, CUBIC, least) == expected


@pytest.mark.parametrize(("n_cells", "least"), [(25, 2), (4, 2), (8, 3), (13, 2), (20, 2)])
def test_no_box(n_cells, least):
    assert cells_of(n_cells, CUBIC, least) is None


def test_box_follows_the_cell():
    # A cell twice as long along z wants half as many of them there.
    assert cells_of(32, (1.0, 1.0, 2.0), 2) == (4, 4, 2)


@pytest.mark.parametrize("name", STRUCTURES)
def test_crystal_fills_its_box(name):
    crystal, cells = structure(name), 27
    gamma, rounding, expansion = 0.49, 0.15, 1.05
    n_cubes, n_spheres = cells * crystal.count("cube"), cells * crystal.count("sphere")
    built = build_crystal(name, n_cubes, n_spheres, gamma, rounding, expansion)
    assert (built.count("cube"), built.count("sphere")) == (n_cubes, n_spheres)
    assert np.all(np.diff(built.typeid) >= 0)
    assert len(built.shapes) == len(built.species) == len(set(built.typeid))
    expected = packing_fraction_of(name, gamma, rounding, expansion)
    assert packing_fraction(n_cubes, n_spheres, gamma, rounding, built.volume) == pytest.approx(expected, rel=1e-12)
    # Translating by one cell maps the crystal onto itself.
    a = lattice_constant(name, gamma, rounding) * expansion
    for shift in np.eye(3) * a:
        moved = built.minimum_image(built.positions[:, None] + shift - built.positions[None])
        distance = np.linalg.norm(moved, axis=2)
        assert distance.min(axis=1) == pytest.approx(np.zeros(len(built)), abs=1e-9)
        assert np.array_equal(built.typeid[distance.argmin(axis=1)], built.typeid)


def _neighbours(built, of, at, distance):
    first, second = built.positions[built.is_species(of)], built.positions[built.is_species(at)]
    separations = np.linalg.norm(built.minimum_image(first[:, None] - second[None]), axis=2)
    return np.unique((abs(separations - distance) < 1e-6).sum(axis=1))


def test_abo3_neighbours():
    a = 1.02 * lattice_constant("ABO3", 0.49, 0.15)
    built = build_crystal("ABO3", 108, 27, 0.49, 0.15, 1.02)
    assert _neighbours(built, "sphere", "sphere", a) == [6]
    assert _neighbours(built, "sphere", "cube", a / math.sqrt(2)) == [12]
    assert _neighbours(built, "sphere", "cube", a * math.sqrt(3) / 2) == [8]
    assert list(_neighbours(built, "cube", "cube", a / 2)) == [2, 6]  # O and B


def test_nacl_neighbours():
    a = lattice_constant("NaCl", 0.45, 0.1)
    built = build_crystal("NaCl", 108, 108, 0.45, 0.1, 1.0)
    for first, second in (("cube", "sphere"), ("sphere", "cube")):
        assert _neighbours(built, first, second, a / 2) == [6]
        assert _neighbours(built, first, first, a / math.sqrt(2)) == [12]


def test_o_cubes_are_turned_by_45_degrees_about_their_axis():
    built = build_crystal("ABO3", 108, 27, 0.49, 0.15, 1.0)
    cubes = built.is_species("cube")
    positions = built.positions[cubes]
    turns = Rotation.from_quat(built.orientations[cubes][:, [1, 2, 3, 0]]).as_matrix()
    separations = built.minimum_image(positions[:, None] - positions[None])
    half = lattice_constant("ABO3", 0.49, 0.15) / 2
    near = abs(np.linalg.norm(separations, axis=2) - half) < 1e-6
    is_o = near.sum(axis=1) == 2
    assert is_o.sum() == 3 * 27
    for i in np.flatnonzero(is_o):
        axis = separations[i][near[i]][0] / half
        along = np.sort(abs(axis @ turns[i]))
        assert along == pytest.approx([0, 0, 1], abs=1e-9)  # one body axis points along B-O ...
        assert np.sort(abs(turns[i]).ravel())[-4:-1] != pytest.approx([1] * 3, abs=0.1)  # ... the others do not
        assert np.sort(abs(turns[i]).ravel())[4:8] == pytest.approx([math.sqrt(0.5)] * 4)
    assert turns[~is_o] == pytest.approx(np.tile(np.eye(3), (27, 1, 1)))


def test_one_species_only():
    built = build_crystal("SC", 27, 0, 1.0, 0.1)
    assert built.species == ("cube",)
    assert built.box[:3] == pytest.approx([3, 3, 3])


def test_file_keeps_the_crystal(tmp_path):
    built = build_crystal("ABO3", 32, 8, 0.49, 0.15, 1.0)
    write_gsd(tmp_path / "crystal.gsd", built)
    again = read_gsd(tmp_path / "crystal.gsd")
    assert again.positions == pytest.approx(built.positions, abs=1e-6)  # single precision of a box of 4 edges
    assert np.array_equal(again.images, built.images)  # no site sits on a face of the box


@pytest.mark.parametrize(
    ("name", "n_cubes", "n_spheres", "message"),
    [
        (
            "ABO3",
            100,
            27,
            r"^initial: ABO3 with 100 cubes and 27 spheres does not fill whole cells \(4 cubes \+ 1 sphere each\); "
            r"the nearest that does is 108 cubes and 27 spheres \(3 x 3 x 3 cells\)\.$",
        ),
        ("ABO3", 27, 108, r"\(4 cubes \+ 1 sphere each\); the nearest"),
        ("NaCl", 100, 100, r"25 cells, which make no box .* the nearest that does is 96 cubes and 96 spheres"),
        ("NaCl", 107, 108, "the nearest that does is 108 cubes and 108 spheres"),
        ("SC", 64, 3, r"\(1 cube each\); the nearest that does is 64 cubes and 0 spheres"),
        ("SC", 8, 0, "at least 3 cells .* the nearest that does is 27 cubes"),
        ("SC", 0, 0, "the nearest that does is 27 cubes"),
        ("SC", 997, 0, r"which make no box .* 1000 cubes and 0 spheres \(10 x 10 x 10 cells\)"),
    ],
)
def test_counts_that_do_not_fit_are_refused(name, n_cubes, n_spheres, message):
    with pytest.raises(InputError, match=message):
        check_crystal_counts(name, n_cubes, n_spheres)


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_nearest_counts_are_accepted(name):
    crystal = structure(name)
    for cells in (8, 25, 31):
        try:
            check_crystal_counts(name, cells * crystal.count("cube"), cells * crystal.count("sphere"))
        except InputError as error:
            words = str(error).split("the nearest that does is ")[1].split()
            check_crystal_counts(name, int(words[0]), int(words[3]))
        else:
            assert cells == 8


def test_expansion_must_be_positive():
    with pytest.raises(InputError, match="expansion"):
        build_crystal("SC", 27, 0, 1.0, 0.1, 0.0)
