"""The orbifold model: values of the author's public code, equality with hard spheres, and the ends of its branches."""

import itertools
import math

import pytest

from supercube.crystals import otm
from supercube.crystals.library import STRUCTURES
from supercube.crystals.packing import close_packing
from supercube.errors import InputError

S2, S3 = math.sqrt(2), math.sqrt(3)
#: Lengths and fractions are tabulated to four digits.
DIGITS = 6e-5
RANGES = {"NaCl": (0, 1), "CsCl": (0, 1), "AlB2": (0, 1), "ABO3": (0, 1), "MgZn2": (0.3860, 1), "CuAu": (0.7132, 1)}


@pytest.mark.parametrize(
    ("name", "gamma", "fraction", "a", "c"),
    [
        ("MgZn2", 0.60, 0.8348, 1.3645, 2.2282),
        ("MgZn2", 0.70, 0.8194, 1.4498, 2.3675),
        ("MgZn2", 0.76, 0.7919, 1.5200, 2.4821),
        ("MgZn2", 0.80, 0.7318, 1.6000, 2.6128),
        ("MgZn2", 0.83, 0.6940, 1.6600, 2.7108),
        # The code's cell holds two particles; its a is 1/sqrt2 of ours.
        ("CuAu", 0.715, 0.9559, S2 * 0.8648, 1.0),
        ("CuAu", 0.72, 0.8648, S2 * 0.9118, 1.0),
        ("CuAu", 0.725, 0.7989, S2 * 0.9514, 1.0),
        ("CuAu", 0.73, 0.7473, S2 * 0.9865, 1.0),
        ("CuAu", 0.75, 0.7223, S2, 1.0308),
        ("ABO3", 0.45, 0.7145, 1.0, 1.0),
        ("ABO3", 0.52, 0.7273, 1.04, 1.04),
        ("ABO3", 0.60, 0.6740, 1.1314, 1.1314),
    ],
)
def test_values_of_the_authors_code(name, gamma, fraction, a, c):
    cell = otm.cell(name, gamma)
    assert cell.packing_fraction == pytest.approx(fraction, abs=DIGITS)
    assert cell.edge == pytest.approx(a, abs=S2 * DIGITS)
    assert cell.edge * cell.c_over_a == pytest.approx(c, abs=DIGITS)


@pytest.mark.parametrize(
    ("name", "limits", "formula"),
    [
        (
            "ABO3",
            (0.5, 1 / (2 * S2 - 1)),
            (
                lambda g: math.pi * (1 + 4 * g**3) / 6,
                lambda g: math.pi * (4 + g**-3) / 48,
                lambda g: S2 * math.pi * (1 + 4 * g**3) / (3 * (1 + g) ** 3),
            ),
        ),
        (
            "MgZn2",
            (S2 / (math.sqrt(11) - S2),),
            (
                lambda g: 11 * math.sqrt(11) * math.pi * (1 + 2 * g**3) / (48 * (1 + g) ** 3),
                lambda g: math.pi * (2 + g**-3) / (12 * S2),
            ),
        ),
        (
            "CuAu",
            (S3 - 1,),
            (
                lambda g: math.pi * (1 + g**3) * ((g**2 - math.sqrt(2 * g**4 - g**2)) / (1 - g**2)) ** 2 / (6 * g**2),
                lambda g: math.pi * (1 + g**3) / (6 * math.sqrt(g**2 + 2 * g - 1)),
            ),
        ),
    ],
)
def test_branches(name, limits, formula):
    low, high = RANGES[name]
    ends = [low, *limits, high]
    for branch, (start, end) in zip(formula, itertools.pairwise(ends), strict=True):
        for share in (0.02, 0.5, 0.98):
            gamma = start + share * (end - start)
            assert otm.cell(name, gamma).packing_fraction == pytest.approx(branch(gamma), rel=1e-12)
    # The cell does not jump where the formula changes.
    for limit in limits:
        below, above = (otm.cell(name, limit * (1 + side)).packing_fraction for side in (-1e-9, 1e-9))
        assert below == pytest.approx(above, rel=1e-6)  # slopes below 1e3, at a distance of 2e-9


def test_peak_of_abo3():
    assert otm.cell("ABO3", 0.5).packing_fraction == pytest.approx(math.pi / 4, rel=1e-14)
    for gamma in (0.499, 0.501):
        assert otm.cell("ABO3", gamma).packing_fraction < math.pi / 4


@pytest.mark.parametrize("name", ["NaCl", "CsCl", "AlB2"])
def test_hard_spheres_where_nothing_opens(name):
    entry = {
        "NaCl": lambda g: (4, 4, max(S2, 1 + g) ** 3),
        "CsCl": lambda g: (1, 1, max(1, (1 + g) / S3) ** 3),
        "AlB2": lambda g: (1, 2, _alb2(g)),
    }[name]
    for gamma in (0.1, 0.3, 0.41, 0.42, 0.5, 0.53, 0.56, 0.6, 0.66, 0.67, 0.73, 0.74, 0.9, 1.0):
        spheres, cubes, volume = entry(gamma)
        expected = math.pi / 6 * (spheres + cubes * gamma**3) / volume
        assert otm.cell(name, gamma).packing_fraction == pytest.approx(expected, rel=1e-12)


def _alb2(g):
    a, c = max(1, S3 * g), 1.0
    if math.sqrt(7 / 3) - 1 < g <= 1 / S3:
        c = math.sqrt(g**2 + 2 * g - 1 / 3)
    elif 1 / S3 < g <= 2 / 3:
        c = math.sqrt(1 + 2 * g - 3 * g**2)
    return S3 / 2 * a**2 * c


@pytest.mark.parametrize(("name", "hard_above"), [("MgZn2", math.sqrt(2 / 3)), ("CuAu", S3 - 1)])
def test_hard_spheres_beyond_the_branches(name, hard_above):
    volumes = {
        "MgZn2": lambda g: S3 / 2 * (2 * g) ** 3 * math.sqrt(8 / 3),
        "CuAu": lambda g: 2 * math.sqrt(g**2 + 2 * g - 1),
    }
    spheres, cubes = (STRUCTURES[name].count(kind) for kind in ("sphere", "cube"))
    for gamma in (hard_above + 1e-6, 0.9, 1.0):
        expected = math.pi / 6 * (spheres + cubes * gamma**3) / volumes[name](gamma)
        assert otm.cell(name, gamma).packing_fraction == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", RANGES)
def test_never_looser_than_hard_spheres_nor_fuller_than_space(name):
    from supercube.crystals.closest import closest_packing
    from supercube.crystals.library import C_OVER_A, Sizes

    entry = STRUCTURES[name]
    held = {C_OVER_A: math.sqrt(8 / 3)} if name == "MgZn2" else {}
    low, high = RANGES[name]
    for share in (0.01, 0.3, 0.6, 0.9, 1.0):
        gamma = low + share * (high - low)
        cell = otm.cell(name, gamma)
        edge, values = closest_packing(entry, Sizes(1 / gamma, 0.5), held)
        hard = (edge * gamma) ** 3 * values.get(C_OVER_A, 1.0)
        assert cell.edge**3 * cell.c_over_a <= hard * (1 + 1e-9)
        assert cell.packing_fraction < 1


@pytest.mark.parametrize("name", RANGES)
def test_ends_of_the_branches(name):
    low, high = RANGES[name]
    assert otm.cell(name, high).packing_fraction > 0
    assert otm.cell(name, low + 1e-3).packing_fraction < 1
    for gamma in (low, low - 1e-3, high + 1e-9, 2.0, math.nan):
        with pytest.raises(InputError, match=f"^the orbifold model of {name} holds for size ratios above .* up to 1"):
            otm.cell(name, gamma)


@pytest.mark.parametrize("name", sorted(set(STRUCTURES) - set(RANGES)))
def test_structures_without_a_branch_are_refused_with_a_reason(name):
    with pytest.raises(InputError, match=f"^the orbifold model cannot give {name}: ") as refusal:
        otm.cell(name, 0.5)
    reasons = {"CaB6": "sources disagree", "SC": "needs? two", "fcc": "needs? two", "hcp": "needs? two"}
    assert refusal.match(
        reasons.get(name, "it has one species, and orbifolds need two|no orbifold branch is published")
    )


def test_through_packing():
    packing = close_packing("ABO3", 0.5, 0.1, model="otm")
    assert packing.model == "otm"
    assert packing.packing_fraction == pytest.approx(math.pi / 4, rel=1e-14)
    assert packing.lattice_constant == pytest.approx(2.0, rel=1e-14)  # D in cube edges
    assert packing.exact
    # Spheres only: the rounding of a cube makes no difference.
    assert close_packing("ABO3", 0.5, 0.0, model="otm").packing_fraction == packing.packing_fraction
    flat = close_packing("CuAu", 0.75, 0.0, model="otm")
    volume = flat.lattice_constant**3 * flat.c_over_a * 0.75**3
    assert volume == pytest.approx(2 * math.sqrt(0.75**2 + 2 * 0.75 - 1), rel=1e-12)
    assert flat.cell_volume * 0.75**3 == pytest.approx(volume, rel=1e-12)
