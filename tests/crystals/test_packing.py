"""Closest packing: the formulas, the reference table, contact in every structure, and what is refused."""

import csv
import itertools
import json
import math
from pathlib import Path

import pytest
from least_squares import assert_touching, bodies_in, bodies_of

from supercube.crystals.build import fill
from supercube.crystals.library import C_OVER_A, CUBE_ANGLE, O_SITE_ANGLE, STRUCTURES, structure
from supercube.crystals.packing import (
    box_cell_lengths,
    close_packing,
    lattice_constant,
    packing_fraction_of,
    start_packing,
    volume_of_cell,
)
from supercube.errors import InputError
from supercube.model.shapes import Spherocube

S2, S3 = math.sqrt(2), math.sqrt(3)
FCC = math.pi / math.sqrt(18)
#: Two ways to evaluate the same formula.
SAME = 1e-12


def second_edge(name, edge=1.2):
    return edge if "second_cube" in structure(name).species else None


# --- formulas, in sphere diameters D: edge e = gamma, rounding rho = lambda gamma -------------------------------------


def _nacl(g, rho):
    return max(S2, 1 + g, 2 * g - (4 - 2 * S2) * rho)


def _abo3_turned(g, rho):
    return max(1, (1 + g) / S2, 2 * g, (1 + S2) * g - 2 * rho)


def _abo3_upright(g, rho):
    return max(1, g + 1 / S2 - rho * (2 - S2), 2 * g)


@pytest.mark.parametrize(
    ("name", "held", "edge", "spheres", "cubes", "branches"),
    [
        ("NaCl", {}, _nacl, 4, 4, (S2 - 1, 1.0)),
        ("ABO3", {O_SITE_ANGLE: 45.0}, _abo3_turned, 1, 4, (S2 - 1, 1 / (2 * S2 - 1))),
        ("ABO3", {O_SITE_ANGLE: 0.0}, _abo3_upright, 1, 4, (1 - 1 / S2, 1 / S2)),
    ],
)
def test_formulas(name, held, edge, spheres, cubes, branches):
    gammas = [0.2, 0.3, 0.45, 0.5, 0.6, 0.9, 1.3, *(limit * (1 + side) for limit in branches for side in (-1e-3, 1e-3))]
    for gamma, rounding in itertools.product(gammas, (0.0, 0.1, 0.25, 0.45)):
        packing = close_packing(name, gamma, rounding, held=held)
        a = edge(gamma, rounding * gamma)
        assert packing.lattice_constant == pytest.approx(a / gamma, rel=SAME)
        bodies = spheres * math.pi / 6 + cubes * Spherocube(rounding=rounding).volume * gamma**3
        assert packing.packing_fraction == pytest.approx(bodies / a**3, rel=SAME)
        assert packing.exact
        assert packing.parameters == held


def test_crystals_of_one_species():
    for gamma, rounding in ((0.3, 0.0), (1.0, 0.2), (2.0, 0.4)):
        assert close_packing("SC", gamma, rounding).packing_fraction == pytest.approx(
            Spherocube(rounding=rounding).volume, rel=SAME
        )
        fractions = {
            "fcc": FCC,
            "hcp": FCC,
            "bcc": S3 * math.pi / 8,
            "hexagonal": math.pi / (3 * S3),
        }
        for name, expected in fractions.items():
            assert close_packing(name, gamma, rounding).packing_fraction == pytest.approx(expected, rel=SAME)


def test_alb2_with_touching_spheres():
    # a = c = D while the cubes have room, up to gamma = 1/sqrt6.
    for gamma in (0.2, 0.3, 1 / math.sqrt(6)):
        packing = close_packing("AlB2", gamma, 0.0)
        assert packing.packing_fraction == pytest.approx((math.pi / 6 + 2 * gamma**3) * 2 / S3, rel=1e-10)
        assert packing.lattice_constant == pytest.approx(1 / gamma, rel=1e-10)


def test_peak_of_nacl():
    """Spheres touch spheres and faces at once at gamma = sqrt2 - 1."""
    at_peak, beside = (close_packing("NaCl", g, 0.0).packing_fraction for g in (S2 - 1, S2 - 1.01))
    assert at_peak == pytest.approx(4 * (math.pi / 6 + (S2 - 1) ** 3) / S2**3, rel=SAME)
    assert at_peak > max(beside, close_packing("NaCl", S2 - 0.99, 0.0).packing_fraction)


# --- the reference table ----------------------------------------------------------------------------------------------

with open(Path(__file__).parent / "packing.csv", newline="", encoding="utf-8") as _file:
    REFERENCE = list(csv.DictReader(_file))
#: Four digits are tabulated.
DIGITS = 1e-4


def test_reference_table_is_whole():
    assert len(REFERENCE) == 17
    assert {row["kind"].split(" (")[0] for row in REFERENCE} == {"closed form", "numeric lower bound", "numeric"}


@pytest.mark.parametrize("row", REFERENCE, ids=lambda row: " ".join(list(row.values())[:4]))
def test_reference_row(row):
    angle = row["o_site_angle_deg"]
    held = {O_SITE_ANGLE: float(angle)} if angle not in ("", "free") else {}
    packing = close_packing(
        row["structure"], float(row["size_ratio"] or 1), float(row["rounding_over_edge"] or 0), held=held
    )
    expected = float(row["packing_fraction"])
    if row["kind"] == "closed form":
        assert packing.packing_fraction == pytest.approx(expected, abs=DIGITS)
        assert packing.exact
    else:
        assert packing.packing_fraction >= expected - DIGITS
        assert not packing.exact


@pytest.mark.parametrize(("gamma", "angle", "fraction"), [(0.45, 30, 0.7358), (0.5, 21, 0.6716), (0.55, 15, 0.6486)])
def test_free_angle_of_the_o_cubes_is_between(gamma, angle, fraction):
    packing = close_packing("ABO3", gamma, 0.0)
    # Tabulated are whole degrees and the fraction there, a lower bound of that at the best angle.
    assert packing.o_site_angle_deg == pytest.approx(angle, abs=0.6)
    assert packing.packing_fraction >= fraction - DIGITS
    # Contact of cubes at another angle costs about 1 % a degree here.
    assert packing.packing_fraction < fraction * 1.01


# --- contact ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize(
    ("gamma", "rounding"), [(0.25, 0.1), (0.45, 0.0), (0.45, 0.1), (0.5, 0.15), (0.55, 0.25), (0.8, 0.1), (1.5, 0.4)]
)
def test_closest_packing_touches(name, gamma, rounding):
    packing = close_packing(name, gamma, rounding, second_edge=second_edge(name))
    assert_touching(bodies_of(packing, structure(name).arranged(packing.arrangement)))


@pytest.mark.parametrize("name", ["ABO3-ternary", "ABO6-cubes"])
@pytest.mark.parametrize("edge", [0.6, 0.9, 1.5, 3.0])
def test_two_sizes_of_cubes_touch(name, edge):
    for rounding in (0.0, 0.2):
        packing = close_packing(name, 0.6, rounding, second_edge=edge)
        assert packing.second_edge == edge
        assert_touching(bodies_of(packing, structure(name)))


def test_start_packing_touches():
    packing = start_packing("ABO3", 0.49, 0.15)
    assert packing.parameters == {O_SITE_ANGLE: 45.0}
    assert_touching(bodies_of(packing, structure("ABO3")))


def test_second_cubes_as_large_as_the_first_are_abo3():
    one, two = close_packing("ABO3", 0.5, 0.1), close_packing("ABO3-ternary", 0.5, 0.1, second_edge=1.0)
    assert two.lattice_constant == pytest.approx(one.lattice_constant, rel=1e-10)
    assert two.packing_fraction == pytest.approx(one.packing_fraction, rel=1e-10)


def test_smaller_second_cubes_leave_more_room():
    edges = (0.5, 0.8, 1.0, 1.3, 2.0)
    constants = [close_packing("ABO6-cubes", 1.0, 0.1, second_edge=edge).lattice_constant for edge in edges]
    assert constants == sorted(constants)
    # Two large cubes face to face cannot come closer than their edge.
    assert close_packing("ABO6-cubes", 1.0, 0.1, second_edge=5.0).lattice_constant >= 5.0


# --- the choice of cell -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("cells", [(2, 2, 2), (4, 2, 2), (2, 3, 4)])
def test_packing_fraction_is_that_of_any_cell(name, cells):
    gamma, rounding, edge = 0.6, 0.12, second_edge(name)
    packing = close_packing(name, gamma, rounding, second_edge=edge)
    built = fill(packing, cells)
    volumes = {
        "sphere": math.pi / 6 / gamma**3,
        "cube": Spherocube(rounding=rounding).volume,
        "second_cube": Spherocube(rounding=rounding, edge=edge).volume if edge else 0.0,
    }
    bodies = sum(built.count(kind) * each for kind, each in volumes.items())
    assert bodies / built.volume == pytest.approx(packing.packing_fraction, rel=SAME)
    assert packing.cell_volume == pytest.approx(
        built.volume / math.prod(cells) / structure(name).cells_per_box_cell, rel=SAME
    )


@pytest.mark.parametrize("name", STRUCTURES)
def test_rectangular_cell_touches_as_the_conventional(name):
    packing = close_packing(name, 0.6, 0.12, second_edge=second_edge(name))
    assert_touching(bodies_in(fill(packing, (1, 1, 1)), 0.6, 0.12, packing.second_edge))


def test_cuau_at_the_right_c_is_cscl():
    """CuAu in its cell of four, at c/a = 1/sqrt2, is CsCl; its cubes start at 45 degrees to that cell."""
    for angle in (0.0, 20.0, 45.0):
        flat = close_packing("CuAu", 0.7, 0.1, held={C_OVER_A: 1 / S2, CUBE_ANGLE: angle})
        cubic = close_packing("CsCl", 0.7, 0.1, held={CUBE_ANGLE: angle})
        assert flat.arrangement == "cubes turned about c"
        assert flat.packing_fraction == pytest.approx(cubic.packing_fraction, rel=1e-10)


def test_more_freedom_never_packs_worse():
    for gamma, rounding in itertools.product((0.4, 0.5, 0.7, 0.9), (0.0, 0.1, 0.3)):
        cubic, flat = (close_packing(name, gamma, rounding).packing_fraction for name in ("CsCl", "CuAu"))
        # CuAu has c/a besides: never less dense, but for the least that the minimiser resolves.
        assert flat >= cubic * (1 - 1e-8), (gamma, rounding)
        turned = [close_packing("ABO3", gamma, rounding, held={O_SITE_ANGLE: angle}) for angle in (0.0, 13.0, 45.0)]
        free = close_packing("ABO3", gamma, rounding).packing_fraction
        assert free >= max(one.packing_fraction for one in turned) * (1 - 1e-10)


# --- what a crystal start asks ----------------------------------------------------------------------------------------


def test_expansion_dilutes_by_its_cube():
    assert packing_fraction_of("ABO3", 0.49, 0.15, 1.06) == pytest.approx(
        packing_fraction_of("ABO3", 0.49, 0.15) / 1.06**3, rel=1e-14
    )


def test_edges_of_the_rectangular_cell():
    for name in ("NaCl", "CuAu", "AlB2", "hcp"):
        packing = start_packing(name, 0.6, 0.1)
        a = lattice_constant(name, 0.6, 0.1)
        width = S3 if name in ("AlB2", "hcp") else 1.0
        assert a == packing.lattice_constant
        assert box_cell_lengths(name, 0.6, 0.1) == pytest.approx((a, width * a, packing.c_over_a * a), rel=1e-14)


def test_cells_of_spheres_and_of_round_cubes():
    assert volume_of_cell("fcc", 0.5, 0.1) == pytest.approx((S2 * 2) ** 3, rel=SAME)
    assert volume_of_cell("NaCl", 0.9, 0.5) == pytest.approx((1 + 1 / 0.9) ** 3, rel=SAME)


def test_document_is_plain():
    document = close_packing("AlB2", 0.5, 0.1).document()
    assert json.loads(json.dumps(document)) == document
    assert document["o_site_angle_deg"] is None
    assert set(document["parameters"]) == {CUBE_ANGLE}
    assert document["arrangement"] in structure("AlB2").arrangements
    assert close_packing("ABO3", 0.5, 0.1, held={O_SITE_ANGLE: 45.0}).document()["o_site_angle_deg"] == 45.0


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("NaCl", 0.0, 0.1), "size_ratio must be positive"),
        (("NaCl", -1.0, 0.1), "size_ratio must be positive"),
        (("NaCl", math.nan, 0.1), "size_ratio must be positive"),
        (("NaCl", math.inf, 0.1), "size_ratio must be positive"),
        (("SC", 1.0, 0.5), "ligand_length is 0.5; expected"),
        (("SC", 1.0, 0.6), "ligand_length is 0.6; expected"),
        (("SC", 1.0, -0.01), "ligand_length is -0.01; expected"),
        (("SC", 1.0, math.nan), "ligand_length is nan; expected"),
        (("NaCI", 0.5, 0.1), "unknown structure 'NaCI'; the nearest is NaCl"),
        (("AB2", 0.5, 0.1), "AB2 .* is not in the library, since"),
    ],
)
def test_impossible_sizes_are_refused(arguments, message):
    with pytest.raises(InputError, match=message) as refusal:
        close_packing(*arguments)
    assert is_a_sentence(refusal)
    if "AB2" not in arguments:
        with pytest.raises(InputError, match=message):
            lattice_constant(*arguments)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("NaCl", 0.5, 0.1), {"second_edge": 1.0}, "NaCl has one species of cubes"),
        (("ABO3-ternary", 0.5, 0.1), {}, "has two species of cubes; give the edge"),
        (("ABO3-ternary", 0.5, 0.1), {"second_edge": 0.2}, "is 0.2; expected more than two ligand shells, 0.2"),
        (("ABO6-cubes", 0.5, 0.0), {"second_edge": 0.0}, "expected more than two ligand shells, 0"),
        (("ABO6-cubes", 0.5, 0.0), {"second_edge": math.nan}, "the edge of the second cubes is nan"),
        (("NaCl", 0.5, 0.1), {"held": {C_OVER_A: 1.0}}, "NaCl has no c_over_a: it has no free parameter"),
        (
            ("ABO3", 0.5, 0.1),
            {"held": {C_OVER_A: 1.0}},
            "ABO3 has no c_over_a: its free parameters are o_site_angle_deg",
        ),
        (("ABO3", 0.5, 0.1), {"held": {O_SITE_ANGLE: 46.0}}, "o_site_angle_deg of ABO3 is 46; expected 0 to 45"),
        (("ABO3", 0.5, 0.1), {"held": {O_SITE_ANGLE: math.nan}}, "o_site_angle_deg of ABO3 is nan; expected 0 to 45"),
        (("NaCl", 0.5, 0.1), {"model": "soft"}, "unknown packing model 'soft'; expected hard or otm"),
        (("CaB6", 0.5, 0.1), {"model": "otm"}, "the orbifold model cannot give CaB6"),
        (
            ("MgZn2", 0.3, 0.1),
            {"model": "otm"},
            "the orbifold model of MgZn2 holds for size ratios above 0.3860 up to 1",
        ),
        (("CuAu", 0.8, 0.1), {"model": "otm", "held": {C_OVER_A: 1.0}}, "the orbifold model has no free parameters"),
    ],
)
def test_impossible_choices_are_refused(arguments, options, message):
    with pytest.raises(InputError, match=message) as refusal:
        close_packing(*arguments, **options)
    assert is_a_sentence(refusal)


@pytest.mark.parametrize("name", ["ABO3-ternary", "ABO6-cubes"])
def test_no_start_with_two_sizes_of_cubes(name):
    with pytest.raises(InputError, match=f"{name} needs cubes of two sizes and a run holds one") as refusal:
        start_packing(name, 0.5, 0.1)
    assert is_a_sentence(refusal)


@pytest.mark.parametrize("expansion", [0.0, -1.0, math.nan])
def test_expansion_must_be_positive(expansion):
    with pytest.raises(InputError, match="expansion must be positive"):
        packing_fraction_of("NaCl", 0.5, 0.1, expansion)


def is_a_sentence(refusal):
    text = str(refusal.value).replace("et al. ", "")
    return text.endswith(".") and ". " not in text and "\n" not in text
