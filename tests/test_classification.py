from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from supercube.classification import (
    KEYS,
    MOST_GRAINS,
    classification_answer,
    classification_text,
    classified,
    slice_of,
)
from supercube.errors import InputError
from supercube.order import classify, classify_arrays
from supercube.order.melts import two_phase_sample
from supercube.order.samples import Defects, crystal_sample


def lines_of(answer):
    """Heading -> text of the lines that have one, in order."""
    lines = classification_text(answer).splitlines()
    assert max(map(len, lines)) <= 120
    return {line[:18].strip(): line[18:] for line in lines if line[0] != " "}


def plain(value):
    """Whether JSON gives it back as it was."""
    if isinstance(value, dict):
        return all(type(key) is str and plain(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (str, bool, int, float)


@pytest.fixture(scope="module")
def abo3():
    return classification_answer(classify(two_phase_sample("ABO3", 0.03, 2).configuration))


@pytest.fixture(scope="module")
def alb2():
    defects = Defects(fwhm_deg=5.0, vacancies=0.04)
    return classification_answer(classify(crystal_sample("AlB2", 0.03, 5, defects).configuration))


@pytest.mark.parametrize("name", ["abo3", "alb2"])
def test_the_answer_is_plain_and_keeps_its_first_keys(name, request):
    answer = request.getfixturevalue(name)
    assert tuple(answer)[: len(KEYS)] == KEYS
    assert plain(answer)
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert "labels" not in answer


def test_two_phases_in_words(abo3):
    lines = lines_of(abo3)
    assert lines["structure"] == f"ABO3 ({100 * abo3['fractions']['ABO3']:.1f} %)"
    shares = dict(part.split() for part in lines["fractions"].split(", "))
    assert set(shares) == {"ABO3", "disordered"}
    assert sum(map(float, shares.values())) == pytest.approx(1.0, abs=1e-3)
    assert lines["O-site angle"].startswith(f"{abo3['o_site_angle_deg']:.2f} ± ")
    for absent in ("c/a", "frames", "Lindemann ratio", "mobile particles", "molten", "note"):
        assert absent not in lines


def test_numbers_carry_their_errors(alb2):
    lines = lines_of(alb2)
    for head, key in (("lattice constant", "lattice_constant"), ("c/a", "c_over_a")):
        value, _, error = lines[head].split()[:3]
        assert float(error) == pytest.approx(alb2[f"{key}_sem"], rel=0.06)  # two digits
        assert float(value) == pytest.approx(alb2[key], abs=0.06 * alb2[f"{key}_sem"])
        assert len(value.split(".")[1]) == len(error.split(".")[1])
    share, error = 100 * alb2["vacancy_fraction"], 100 * alb2["vacancy_fraction_sem"]
    assert 1.0 < error < 2.0
    assert lines["vacant sites"] == f"{share:.1f} ± {error:.1f} %"
    assert alb2["vacancy_fraction"] == pytest.approx(0.04, abs=0.02)


def with_(answer, **changes):
    return json.loads(json.dumps(answer)) | changes


@pytest.mark.parametrize(
    ("a", "error", "text"),
    [
        (2.49834, 0.0012, "2.4983 ± 0.0012"),
        (2.49834e9, 1.2e6, "(2.4983 ± 0.0012)e9"),
        (2.49834e-9, 1.2e-12, "(2.4983 ± 0.0012)e-9"),
        (3.0, 12.0, "3 ± 12"),
        (2.5, None, "2.5000"),
        (2.5, 1e-12, "2.5000"),  # rounding is no error
    ],
)
def test_digits_follow_the_error(alb2, a, error, text):
    found = lines_of(with_(alb2, lattice_constant=a, lattice_constant_sem=error))["lattice constant"]
    assert found == f"{text} (in the input's unit of length)"


def test_disorder_has_no_cell():
    points = np.random.default_rng(0).random((100, 3)) * 6
    answer = classification_answer(classify_arrays([6, 6, 6], points, species="sphere"))
    assert list(lines_of(answer)) == ["structure", "fractions", "particles"]


def test_several_frames_tell_about_motion():
    c = crystal_sample("NaCl", 0.0, 1, Defects()).configuration
    rng = np.random.default_rng(2)
    frames = [c.with_(positions=c.positions + 0.05 * rng.normal(size=c.positions.shape)) for _ in range(12)]
    lines = lines_of(classification_answer(classify(frames)))
    assert lines["frames"].startswith("12, averaged")
    assert lines["mobile particles"] == "0.0 %"
    ratios = dict(part.split() for part in lines["Lindemann ratio"].split(", "))
    assert set(ratios) == {"cubes", "spheres"}
    assert 0.01 < float(ratios["cubes"]) < 0.1


def test_grains_are_a_table_of_the_largest(alb2):
    first = alb2["grains"][0]
    rest = [first | {"particles": 20 - k, "misorientation_deg": 31.25} for k in range(14)]
    other = first | {"structure": "fcc", "misorientation_deg": None}
    text = classification_text(with_(alb2, n_grains=30, grains=[first, other, *rest])).splitlines()
    rows = [line.split() for line in text if line.startswith("  grain ")]
    assert len(rows) == MOST_GRAINS
    assert rows[0][2] == "AlB2"
    assert rows[0][-1] == "reference"
    assert rows[1][2] == "fcc"
    assert rows[1][-1] == "-"
    assert rows[2][-2:] == ["31.2", "deg"]
    assert "  and 20 smaller grains" in text
    assert not any(line.startswith("  grain ") for line in classification_text(alb2).splitlines())


def test_sublattices_are_a_table(abo3):
    text = classification_text(abo3).splitlines()
    rows = {line.split()[1]: line.split()[2:] for line in text if line.startswith("  site ")}
    assert {site: row[0] for site, row in rows.items()} == {"A": "sphere", "B": "cube", "O": "cube"}
    assert sum(int(row[1]) for row in rows.values()) == round(abo3["fractions"]["ABO3"] * (1139 + 287))
    assert {site: row[2] for site, row in rows.items()} == {"A": "1", "B": "1", "O": "3"}
    assert not any("Lindemann" in line for line in text)  # of a single frame there is none


def test_unknown_orientations_are_noted():
    c = crystal_sample("SC", 0.02, 3, Defects()).configuration.with_(oriented=False)
    order = classified([c], Path("a.gsd"))
    assert order.structure == "SC"
    assert "rientations are unknown" in lines_of(classification_answer(order))["note"]
    assert order.notes == classify_arrays(c.box, c.positions).notes
    assert not any("rientation" in note for note in classify_arrays(c.box, c.positions, c.orientations).notes)
    assert not any("rientation" in note for note in classify_arrays(c.box, c.positions, species="sphere").notes)


def test_errors_name_the_file():
    c = crystal_sample("SC", 0.02, 3, Defects()).configuration
    with pytest.raises(InputError, match=r"^a\.gsd: 1 particles .* NaN"):
        classified([c.with_(positions=np.vstack([[0, 0, np.nan], c.positions[1:]]))], Path("a.gsd"))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (":", slice(None)),
        ("100:200:10", slice(100, 200, 10)),
        ("-20:", slice(-20, None)),
        (":-1", slice(None, -1)),
        ("::2", slice(None, None, 2)),
        ("::-1", slice(None, None, -1)),
        (" 1 : 2 ", slice(1, 2)),
    ],
)
def test_slices_are_pythons(text, part):
    found = slice_of(text, "--frames")
    assert list(range(300))[found] == list(range(300))[part]


@pytest.mark.parametrize("text", ["", "5", "1:2:3:4", "a:b", "1.5:3", "1,2", "--1:"])
def test_what_is_no_slice(text):
    with pytest.raises(InputError, match=r"--frames is .*; expected START:STOP"):
        slice_of(text, "--frames")
