"""The minimiser against closed formulas, hard spheres, brute force and an independent overlap test."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from least_squares import assert_touching, bodies_of

from supercube.crystals.closest import all_pairs, closest_packing, crystals_at, touching_edges
from supercube.crystals.library import C_OVER_A, CUBE_ANGLE, O_SITE_ANGLE, STRUCTURES, Parameter, Sizes, structure

S2, S3 = math.sqrt(2), math.sqrt(3)
#: What the minimiser may miss of a minimum that formulas give: its programme ends at a relative change of 1e-14, and
#: the active contacts of its derivatives are good to 1e-9.
MINIMISER = 1e-10
#: Rounding errors of the contact distance alone.
ROUNDING = 1e-12


def volume(entry, edge, values):
    return edge**3 * values.get(C_OVER_A, entry.c_over_a) * (S3 / 2 if entry.system == "hexagonal" else 1)


def with_second(entry, size_ratio, rounding, second_edge=1.3):
    return Sizes(1 / size_ratio, rounding, second_edge if "second_cube" in entry.species else 1.0)


# --- closed formulas --------------------------------------------------------------------------------------------------

HELD = {"CsCl": [{CUBE_ANGLE: 0.0}, {CUBE_ANGLE: 45.0}], "ABO3": [{O_SITE_ANGLE: 0.0}, {O_SITE_ANGLE: 45.0}]}
FORMULAS = [
    (name, held)
    for name in ("SC", "NaCl", "ABO3", "CsCl", "ReO3", "fcc", "bcc", "hcp", "hexagonal")
    for held in HELD.get(name, [{}])
]


def test_every_closed_form_is_tried():
    sizes = Sizes(2.0, 0.1)
    with_formula = {
        name
        for name, entry in STRUCTURES.items()
        if any(entry.closed_form(sizes, held) for held in [*HELD.get(name, [{}]), {CUBE_ANGLE: 0.0}])
    }
    assert with_formula == {name for name, _ in FORMULAS} | {"CuAu", "bct"}


@pytest.mark.parametrize(("name", "held"), FORMULAS)
def test_contacts_give_the_closed_form(name, held):
    entry = structure(name)
    # Both sides of every branch: sizes where each of the contacts of a formula decides, up to spheres.
    for gamma, rounding in itertools.product((0.2, 0.4, 0.45, 0.55, 0.8, 1.2, 2.5), (0.0, 0.08, 0.2, 0.35, 0.5)):
        sizes = Sizes(1 / gamma, rounding)
        edge, values = closest_packing(entry, sizes, held)
        expected, parameters = entry.closed_form(sizes, held)
        assert edge == pytest.approx(expected, rel=ROUNDING), (gamma, rounding)
        assert values == parameters


@pytest.mark.parametrize("rounding", [0.0, 0.2, 0.25, 0.26, 0.3, 0.4, 0.45, 0.5])
def test_layers_of_cubes(rounding):
    entry, sizes = structure("bct"), Sizes(1.0, rounding)
    expected = volume(entry, *entry.closed_form(sizes, {}))
    assert volume(entry, *closest_packing(entry, sizes, {})) == pytest.approx(expected, rel=MINIMISER)


@pytest.mark.parametrize("gamma", [0.2, 0.4, 0.5, 0.513, 0.63, 0.643, 0.7, 0.773, 0.8, 0.955, 1.02, 1.306, 1.358, 2.0])
def test_minimum_over_c_gives_the_closed_form(gamma):
    entry, held = structure("CuAu"), {CUBE_ANGLE: 0.0}
    for rounding in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
        sizes = Sizes(1 / gamma, rounding)
        expected = volume(entry, *entry.closed_form(sizes, held))
        assert volume(entry, *closest_packing(entry, sizes, held)) == pytest.approx(expected, rel=MINIMISER), rounding


# --- cubes that have become spheres -----------------------------------------------------------------------------------
# g: diameter of the cube-spheres over that of the spheres. Volumes of the library's cells in units of D.


def _cuau(g):
    return 2 * (math.sqrt(g**2 + 2 * g - 1) if g > S3 - 1 else 1.0)  # four particles, two of each


def _alb2(g):
    a, c = 1.0, 1.0
    if g > 2 / 3:
        a = S3 * g
    elif g > 1 / S3:
        a, c = S3 * g, math.sqrt(1 + 2 * g - 3 * g**2)
    elif g > math.sqrt(7 / 3) - 1:
        c = math.sqrt(g**2 + 2 * g - 1 / 3)
    return S3 / 2 * a**2 * c


def _mgzn2(g):
    a = max(2 * math.sqrt(2 / 3), 2 * g)
    return S3 / 2 * a**3 * math.sqrt(8 / 3)


SPHERES = {
    "NaCl": (lambda g: max(S2, 1 + g) ** 3, [S2 - 1]),
    "CsCl": (lambda g: max(1, (1 + g) / S3) ** 3, [S3 - 1]),
    "CuAu": (_cuau, [S3 - 1]),
    "AlB2": (_alb2, [math.sqrt(7 / 3) - 1, 1 / S3, 2 / 3]),
    "CaB6": (lambda g: max(1, (1 + S2) * g) ** 3, [S2 - 1]),
    "ABO3": (lambda g: max(1, (1 + g) / S2, 2 * g) ** 3, [S2 - 1, 1 / (2 * S2 - 1)]),
    "MgZn2": (_mgzn2, [math.sqrt(2 / 3)]),
    "SC": (lambda g: g**3, []),
    # The cube sits on the site of the few, so it is the larger one where its spheres are below g = 1: 1/g there.
    "ReO3": (lambda g: max(1 + g, S2) ** 3, []),
}


@pytest.mark.parametrize("name", SPHERES)
def test_cubes_without_faces_pack_as_spheres(name):
    entry = structure(name)
    formula, limits = SPHERES[name]
    # MgZn2 is ideal only while c/a is; its free c/a is held at that.
    held = {C_OVER_A: math.sqrt(8 / 3)} if name == "MgZn2" else {}
    for g in [0.3, *(limit * (1 + side) for limit in limits for side in (-0.02, 0, 0.02)), 0.9]:
        expected = formula(g) / g**3
        for arrangement in entry.arrangements or ("",):
            arranged = entry.arranged(arrangement)
            found = volume(arranged, *closest_packing(arranged, Sizes(1 / g, 0.5), held))
            assert found == pytest.approx(expected, rel=MINIMISER), (g, arrangement)


def test_octahedra_of_spheres():
    # Above sqrt2 - 1 the spheres of an octahedron and of the next one touch: the coordinate is 1/(2 + 2 sqrt2).
    _, values = closest_packing(structure("CaB6"), Sizes(1 / 0.6, 0.5), {})
    assert 0.5 - values["octahedron_x"] == pytest.approx(1 / (2 + 2 * S2), rel=1e-8)


# --- exact at any parameters ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRUCTURES)
def test_cell_at_chance_parameters_touches(name):
    entry, rng = structure(name), np.random.default_rng(len(name))
    for gamma, rounding in ((0.45, 0.0), (0.6, 0.12), (1.1, 0.3)):
        for arrangement in entry.arrangements or ("",):
            arranged, sizes = entry.arranged(arrangement), with_second(entry, gamma, rounding)
            values = {p.name: rng.uniform(p.low, p.high) for p in entry.parameters}
            edge, returned = closest_packing(arranged, sizes, values)
            assert returned == values
            packing = SimpleNamespace(
                lattice_constant=edge,
                parameters=values,
                c_over_a=values.get(C_OVER_A, entry.c_over_a),
                size_ratio=gamma,
                ligand_length=rounding,
                second_edge=sizes.second_edge,
            )
            assert_touching(bodies_of(packing, arranged))


@pytest.mark.parametrize(("sites", "reach"), [(1, 1), (3, 1), (5, 2)])
def test_every_pair_once(sites, reach):
    pairs, images = all_pairs(sites, reach), (2 * reach + 1) ** 3
    assert len(pairs) == sites * (images - 1) // 2 + sites * (sites - 1) // 2 * images
    seen = set()
    for i, j, image in zip(pairs.first, pairs.second, pairs.images, strict=True):
        seen |= {(i, j, *image), (j, i, *-image)}
    assert len(seen) == 2 * len(pairs)
    assert (0, 0, 0, 0, 0) not in seen


def test_points_at_once_as_one_by_one():
    entry, sizes = structure("AlB2"), Sizes(2.0, 0.1)
    columns = {C_OVER_A: np.array([0.7, 1.0, 1.5]), CUBE_ANGLE: np.array([0.0, 11.0, 30.0])}
    pairs = all_pairs(len(entry.sites), 1)
    together = touching_edges(crystals_at(entry, sizes, columns), pairs).max(axis=1)
    single = [
        touching_edges(crystals_at(entry, sizes, {name: column[k] for name, column in columns.items()}), pairs).max()
        for k in range(3)
    ]
    assert together == pytest.approx(single, rel=ROUNDING)


# --- the minimum ------------------------------------------------------------------------------------------------------

FREE = [name for name, entry in STRUCTURES.items() if entry.parameters]


@pytest.mark.parametrize("name", FREE)
def test_same_answer_again(name):
    entry = structure(name)
    sizes = with_second(entry, 0.47, 0.11)
    assert closest_packing(entry, sizes, {}) == closest_packing(entry, sizes, {})


@pytest.mark.parametrize("name", FREE)
def test_held_parameters_stay_and_cost_volume(name):
    entry = structure(name)
    sizes = with_second(entry, 0.52, 0.1)
    least = volume(entry, *closest_packing(entry, sizes, {}))
    for parameter in entry.parameters:
        for share in (0.0, 0.37, 1.0):
            value = parameter.low + share * (parameter.high - parameter.low)
            edge, values = closest_packing(entry, sizes, {parameter.name: value})
            assert values[parameter.name] == value
            assert set(values) == {p.name for p in entry.parameters}
            assert volume(entry, edge, values) >= least * (1 - 1e-6)  # as good as the brute force below asks


def scanned(entry, sizes):
    """Least volume of a scan: 601 values of one parameter or 37 x 37 of two, then four times finer about the best.

    Each finer grid is 25 points, or 13 x 13, over four steps of the coarser, around its three best points that are not
    neighbours; the last step is 1/1300, or 1/80, of the first. A scan only finds volumes above the true minimum.
    """
    low, high = (np.array([getattr(p, end) for p in entry.parameters]) for end in ("low", "high"))
    windows, least = [(low, high)], math.inf
    pairs = all_pairs(len(entry.sites), 1)
    for level in range(5):
        following = []
        for bottom, top in windows:
            count = {1: 25, 2: 13}[len(low)] if level else {1: 601, 2: 37}[len(low)]
            axes = [np.linspace(b, t, count) for b, t in zip(bottom, top, strict=True)]
            points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(low))
            columns = {p.name: points[:, k] for k, p in enumerate(entry.parameters)}
            edges = touching_edges(crystals_at(entry, sizes, columns), pairs).max(axis=1)
            volumes = volume(entry, edges, columns)
            least = min(least, volumes.min())
            step = (top - bottom) / (count - 1)
            chosen = []
            for k in np.argsort(volumes, kind="stable"):
                if all((abs(points[k] - other) > 2.5 * step).any() for other in chosen):
                    chosen.append(points[k])
                if len(chosen) == (1 if level else 3):
                    break
            following += [(np.maximum(point - 2 * step, low), np.minimum(point + 2 * step, high)) for point in chosen]
        windows = following
    return least


@pytest.mark.parametrize(
    ("name", "gamma", "rounding"),
    [
        *itertools.product(("ABO3", "CsCl", "CaB6", "ABO6"), (0.45, 0.5, 0.72), (0.0, 0.1)),
        ("ABO3", 0.697686, 0.0),  # a narrow minimum below one degree
        *(("AlB2", gamma, rounding) for gamma, rounding in ((0.45, 0.0), (0.5, 0.1))),
        *(
            ("CuAu", gamma, rounding)
            for gamma, rounding in ((0.721837, 0.0), (0.8, 0.1), (0.687445, 0.118681), (0.730839, 0.167433))
        ),
        ("MgZn2", 0.719467, 0.172093),
        # Basins whose point of the first grid is not among the lowest.
        ("CuAu", 0.934452, 0.0),
        ("CuAu", 1.38764, 0.0),
        ("MgZn2", 0.75, 0.1),
        ("ABO3-ternary", 0.49, 0.12),
        ("ABO6-cubes", 0.49, 0.12),
    ],
)
def test_brute_force_finds_nothing_denser(name, gamma, rounding):
    entry = structure(name)
    sizes = with_second(entry, gamma, rounding)
    for arrangement in entry.arrangements or ("",):
        arranged = entry.arranged(arrangement)
        found = volume(arranged, *closest_packing(arranged, sizes, {}))
        assert found <= scanned(arranged, sizes) * (1 + 1e-6), arrangement


@pytest.mark.parametrize("name", [name for name in FREE if C_OVER_A in {p.name for p in structure(name).parameters}])
@pytest.mark.parametrize(("gamma", "rounding"), [(0.45, 0.0), (1.0, 0.1), (1.5, 0.0)])
def test_range_of_c_holds_the_minimum(name, gamma, rounding):
    """Cells much flatter or longer than the entry allows are not denser."""
    entry = structure(name)
    wide = tuple(Parameter(C_OVER_A, 0.3, 2.6) if p.name == C_OVER_A else p for p in entry.parameters)
    for arrangement in entry.arrangements or ("",):
        arranged = entry.arranged(arrangement)
        found = volume(arranged, *closest_packing(arranged, Sizes(1 / gamma, rounding), {}))
        wider = volume(arranged, *closest_packing(replace(arranged, parameters=wide), Sizes(1 / gamma, rounding), {}))
        assert found <= wider * (1 + 1e-6), arrangement  # as the brute force
