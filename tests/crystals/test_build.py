"""Whole-cell crystals: counts, boxes, neighbours and orientations, and the refusal of counts that do not fit."""

import itertools
import math

import numpy as np
import pytest
from least_squares import bodies_in
from scipy.spatial.transform import Rotation

from supercube.configuration import read_gsd, write_gsd
from supercube.crystals.build import (
    LARGEST_ASPECT,
    boxes_near,
    build_crystal,
    cells_of,
    check_crystal_counts,
    fill,
    least_cells,
    per_box_cell,
)
from supercube.crystals.library import STRUCTURES, structure
from supercube.crystals.packing import box_cell_lengths, close_packing, lattice_constant, packing_fraction_of
from supercube.errors import InputError
from supercube.model.interactions import CUTOFF
from supercube.model.shapes import packing_fraction

CUBIC = (1.0, 1.0, 1.0)
TWO, THREE = (2, 2, 2), (3, 3, 3)
STARTS = [name for name, entry in STRUCTURES.items() if "second_cube" not in entry.species]
GAMMA, ROUNDING = 0.6, 0.15


def counts_near(name, n_cells, gamma=GAMMA, rounding=ROUNDING):
    """Counts of cubes and spheres that fill a box of about that many rectangular cells."""
    least = least_cells(name, gamma, rounding)
    near, _ = boxes_near(n_cells, box_cell_lengths(name, gamma, rounding), least)[0]
    per_cell = per_box_cell(structure(name))
    return near * per_cell["cube"], near * per_cell["sphere"]


# --- how many cells along each edge -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_cells", "least", "expected"),
    [(27, TWO, (3, 3, 3)), (24, TWO, (2, 3, 4)), (16, TWO, (2, 2, 4)), (64, THREE, (4, 4, 4)), (36, THREE, (3, 3, 4))],
)
def test_most_cube_like_box(n_cells, least, expected):
    assert cells_of(n_cells, CUBIC, least) == expected


@pytest.mark.parametrize(("n_cells", "least"), [(25, TWO), (4, TWO), (8, THREE), (13, TWO), (20, TWO), (0, (1, 1, 1))])
def test_no_box(n_cells, least):
    assert cells_of(n_cells, CUBIC, least) is None


def test_box_follows_the_cell():
    # A cell twice as long along z wants half as many of them there.
    assert cells_of(32, (1.0, 1.0, 2.0), TWO) == (4, 4, 2)
    assert cells_of(6, (1.0, math.sqrt(3), 1.0), (2, 1, 2)) == (2, 1, 3)


def test_each_edge_has_its_own_least():
    assert cells_of(4, (1.0, 2.0, 1.0), (2, 1, 2)) == (2, 1, 2)
    assert cells_of(4, (1.0, 2.0, 1.0), (2, 2, 2)) is None


def test_cells_by_brute_force():
    rng = np.random.default_rng(0)
    for _ in range(100):
        n, lengths, least = int(rng.integers(1, 200)), tuple(rng.uniform(0.5, 2, 3)), tuple(rng.integers(1, 4, 3))
        boxes = [cells for cells in itertools.product(range(1, n + 1), repeat=2) if n % (cells[0] * cells[1]) == 0]
        boxes = [(x, y, n // (x * y)) for x, y in boxes]
        edges = {cells: [k * length for k, length in zip(cells, lengths, strict=True)] for cells in boxes}
        aspects = {
            cells: max(edge) / min(edge)
            for cells, edge in edges.items()
            if all(k >= fewest for k, fewest in zip(cells, least, strict=True))
        }
        fitting = {cells: aspect for cells, aspect in aspects.items() if aspect <= LARGEST_ASPECT}
        found = cells_of(n, lengths, least)
        if not fitting:
            assert found is None
        else:
            assert fitting[found] == pytest.approx(min(fitting.values()), rel=1e-8)


# --- the crystal ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STARTS)
def test_crystal_fills_its_box(name):
    expansion = 1.05
    n_cubes, n_spheres = counts_near(name, 12)
    built = build_crystal(name, n_cubes, n_spheres, GAMMA, ROUNDING, expansion)
    assert (built.count("cube"), built.count("sphere")) == (n_cubes, n_spheres)
    assert np.all(np.diff(built.typeid) >= 0)
    assert len(built.shapes) == len(built.species) == len(set(built.typeid))
    cells = check_crystal_counts(name, n_cubes, n_spheres, GAMMA, ROUNDING)
    lengths = np.array(box_cell_lengths(name, GAMMA, ROUNDING)) * expansion
    assert built.box == pytest.approx([*(lengths * cells), 0, 0, 0], rel=1e-14)
    expected = packing_fraction_of(name, GAMMA, ROUNDING, expansion)
    assert packing_fraction(n_cubes, n_spheres, GAMMA, ROUNDING, built.volume) == pytest.approx(expected, rel=1e-12)
    assert np.linalg.norm(built.orientations, axis=1) == pytest.approx(np.ones(len(built)), abs=1e-14)
    # Translating by one cell maps the crystal onto itself, orientations too; so does (a + a + 2b)/2 if hexagonal.
    shifts = list(np.diag(lengths))
    if structure(name).system == "hexagonal":
        shifts.append(np.array([lengths[0], lengths[1], 0]) / 2)
    for shift in shifts:
        moved = built.minimum_image(built.positions[:, None] + shift - built.positions[None])
        distance = np.linalg.norm(moved, axis=2)
        assert distance.min(axis=1) == pytest.approx(np.zeros(len(built)), abs=1e-9)
        same = distance.argmin(axis=1)
        assert np.array_equal(built.typeid[same], built.typeid)
        assert np.abs((built.orientations * built.orientations[same]).sum(axis=1)) == pytest.approx(
            np.ones(len(built)), abs=1e-12
        )


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize(("gamma", "rounding"), [(GAMMA, ROUNDING), (0.3, 0.0), (1.3, 0.25)])
def test_crystal_is_free_of_overlap_and_near_contact(name, gamma, rounding):
    built = build_crystal(name, *counts_near(name, 1, gamma, rounding), gamma, rounding, 1.001)
    lower, _, _ = bodies_in(built, gamma, rounding).bounds_of_gaps()
    assert lower.min() > 0
    # Pairs in contact are 0.1 % of their distance apart, and distances stay below two circumscribed diameters.
    assert lower.min() < 1e-3 * 2 * max(math.sqrt(3), 1 / gamma)


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("gamma", [0.3, 0.5, 1.0, 2.0])
def test_no_site_lies_on_a_face_of_the_box(name, gamma):
    built = build_crystal(name, *counts_near(name, 1, gamma, 0.1), gamma, 0.1, 1.0)
    fractional = built.positions / built.box[:3]
    # The file keeps single precision, 6e-8 of the box.
    assert (np.abs(fractional) < 0.5 - 1e-4).all()


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize(("gamma", "rounding"), [(0.3, 0.0), (0.5, 0.1), (0.9, 0.3), (2.0, 0.45)])
def test_least_box_is_wider_than_twice_the_range_of_spheres(name, gamma, rounding):
    least, lengths = least_cells(name, gamma, rounding), box_cell_lengths(name, gamma, rounding)
    assert all(n >= fewest for n, fewest in zip(least, structure(name).least_cells, strict=True))
    if structure(name).count("sphere"):
        reach = 1 / gamma + (CUTOFF - 1) * 2 * rounding
        assert min(n * length for n, length in zip(least, lengths, strict=True)) > 2 * reach
        # And not wider than it has to be: one cell less along an edge breaks a rule (the margin is 2 %).
        for n, length, fewest in zip(least, lengths, structure(name).least_cells, strict=True):
            assert n == fewest or (n - 1) * length <= 2 * 1.03 * reach


def _neighbours(built, of, at, distance):
    first, second = built.positions[built.is_species(of)], built.positions[built.is_species(at)]
    separations = np.linalg.norm(built.minimum_image(first[:, None] - second[None]), axis=2)
    return list(np.unique((abs(separations - distance) < 1e-6).sum(axis=1)))


def test_abo3_neighbours():
    a = 1.02 * lattice_constant("ABO3", 0.49, 0.15)
    built = build_crystal("ABO3", 108, 27, 0.49, 0.15, 1.02)
    assert _neighbours(built, "sphere", "sphere", a) == [6]
    assert _neighbours(built, "sphere", "cube", a / math.sqrt(2)) == [12]
    assert _neighbours(built, "sphere", "cube", a * math.sqrt(3) / 2) == [8]
    assert _neighbours(built, "cube", "cube", a / 2) == [2, 6]  # O and B


def test_nacl_neighbours():
    a = lattice_constant("NaCl", 0.45, 0.1)
    built = build_crystal("NaCl", 108, 108, 0.45, 0.1, 1.0)
    for first, second in (("cube", "sphere"), ("sphere", "cube")):
        assert _neighbours(built, first, second, a / 2) == [6]
        assert _neighbours(built, first, first, a / math.sqrt(2)) == [12]


def test_hexagonal_neighbours():
    a, _, c = box_cell_lengths("AlB2", GAMMA, ROUNDING)
    built = build_crystal("AlB2", *counts_near("AlB2", 24), GAMMA, ROUNDING)
    assert _neighbours(built, "cube", "cube", a / math.sqrt(3)) == [3]
    assert _neighbours(built, "sphere", "cube", math.hypot(a / math.sqrt(3), c / 2)) == [12]
    assert _neighbours(built, "sphere", "sphere", a) in ([6], [8])  # 8 if c = a
    built = build_crystal("hcp", *counts_near("hcp", 24), GAMMA, ROUNDING)
    assert _neighbours(built, "sphere", "sphere", 1 / GAMMA) == [12]
    built = build_crystal("MgZn2", *counts_near("MgZn2", 4), GAMMA, ROUNDING)
    a = lattice_constant("MgZn2", GAMMA, ROUNDING)
    assert _neighbours(built, "cube", "cube", a / 2)[-1] in (4, 6)  # kagome layers; 6 if c/a is ideal
    assert built.count("cube") == 2 * built.count("sphere")


def test_o_cubes_are_turned_by_45_degrees_about_their_axis():
    built = build_crystal("ABO3", 108, 27, 0.49, 0.15, 1.0)
    cubes = built.is_species("cube")
    positions = built.positions[cubes]
    turns = Rotation.from_quat(built.orientations[cubes], scalar_first=True).as_matrix()
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


def test_alb2_cubes_stand_on_a_corner():
    packing = close_packing("AlB2", 0.45, 0.0)
    assert packing.arrangement == "cubes on a corner"
    built = fill(packing, (2, 1, 2))
    axes = Rotation.from_quat(built.orientations[built.is_species("cube")], scalar_first=True).as_matrix()
    # All three body axes lean alike from c: cos = 1/sqrt3.
    assert axes[:, 2] == pytest.approx(np.full((len(axes), 3), 1 / math.sqrt(3)))


def test_two_sizes_of_cubes_fill_a_cell():
    built = fill(close_packing("ABO3-ternary", 0.5, 0.1, second_edge=1.4), (2, 2, 2))
    assert built.species == ("cube", "second_cube", "sphere")
    assert [built.count(kind) for kind in built.species] == [24, 8, 8]
    corners = np.array(built.shapes[1]["vertices"])
    assert corners.max() == pytest.approx(0.7 - 0.1)  # half the edge less the rounding


def test_one_species_only():
    built = build_crystal("SC", 27, 0, 1.0, 0.1)
    assert built.species == ("cube",)
    assert built.box[:3] == pytest.approx([3, 3, 3])


@pytest.mark.parametrize("name", ["ABO3", "AlB2", "MgZn2", "CaB6"])
def test_file_keeps_the_crystal(name, tmp_path):
    built = build_crystal(name, *counts_near(name, 1), GAMMA, ROUNDING)
    write_gsd(tmp_path / "crystal.gsd", built)
    again = read_gsd(tmp_path / "crystal.gsd")
    # Single precision, 6e-8 of a box of up to 20 edges.
    assert again.positions == pytest.approx(built.positions, abs=2e-6)
    assert np.array_equal(again.images, built.images)  # no site sits on a face of the box


# --- what is refused --------------------------------------------------------------------------------------------------


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
        # A hexagonal structure counts rectangular cells, of two conventional ones each.
        ("AlB2", 2, 1, r"\(4 cubes \+ 2 spheres each\)"),
        ("MgZn2", 8, 4, r"\(16 cubes \+ 8 spheres each\)"),
        ("hcp", 0, 2, r"\(4 spheres each\)"),
        ("ReO3", 10, 10, r"\(1 cube \+ 3 spheres each\)"),
    ],
)
def test_counts_that_do_not_fit_are_refused(name, n_cubes, n_spheres, message):
    with pytest.raises(InputError, match=message):
        check_crystal_counts(name, n_cubes, n_spheres)


def refusal_of(name, n_cubes, n_spheres, gamma):
    """The message, or nothing where the counts fit."""
    try:
        check_crystal_counts(name, n_cubes, n_spheres, gamma, 0.1)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", STARTS)
def test_the_nearest_counts_are_accepted(name):
    per_cell = per_box_cell(structure(name))
    refused = 0
    for cells, more, gamma in itertools.product((1, 7, 25, 31), (0, 1), (0.4, 1.0)):
        wanted = (cells * per_cell["cube"] + more, cells * per_cell["sphere"])
        message = refusal_of(name, *wanted, gamma)
        if not message:
            continue
        refused += 1
        words = message.split("the nearest that does is ")[1].split()
        nearest = (int(words[0]), int(words[3]))
        shape = check_crystal_counts(name, *nearest, gamma, 0.1)
        assert message.endswith(f"({shape[0]} x {shape[1]} x {shape[2]} cells).")
        # No other number of cells that fills a box changes less.
        lengths, least = box_cell_lengths(name, gamma, 0.1), least_cells(name, gamma, 0.1)
        for other in range(1, 60):
            if cells_of(other, lengths, least):
                counts = (other * per_cell["cube"], other * per_cell["sphere"])
                assert distance(per_cell, *wanted, *counts) >= distance(per_cell, *wanted, *nearest) - 1e-9
    assert refused >= 4


def distance(per_cell, n_cubes, n_spheres, cubes, spheres):
    change = ((n_cubes - cubes, per_cell["cube"]), (n_spheres - spheres, per_cell["sphere"]))
    return sum(abs(difference) / number for difference, number in change if number)


@pytest.mark.parametrize("name", ["ABO3-ternary", "ABO6-cubes"])
def test_two_sizes_of_cubes_are_refused(name):
    for refuse in (
        lambda: check_crystal_counts(name, 32, 8),
        lambda: build_crystal(name, 32, 8, 0.5, 0.1),
    ):
        with pytest.raises(InputError, match=f"{name} needs cubes of two sizes and a run holds one") as refusal:
            refuse()
        assert str(refusal.value).count(". ") == 0


def test_unknown_structure_is_refused():
    with pytest.raises(InputError, match="the nearest is NaCl"):
        build_crystal("NaCI", 32, 32, 0.5, 0.1)


@pytest.mark.parametrize("expansion", [0.0, -1.0, math.nan])
def test_expansion_must_be_positive(expansion):
    with pytest.raises(InputError, match="expansion"):
        build_crystal("SC", 27, 0, 1.0, 0.1, expansion)
