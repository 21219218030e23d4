"""The table, checks and figure of second virial coefficients; the physics itself runs with --validate."""

from dataclasses import replace

import pytest

from supercube.model.thermal import CubeFit
from supercube.model.virial import Estimate
from supercube.validation import virial
from supercube.validation.virial import VirialRow, figure, nominal_b2, table_markdown, virial_checks, virial_table


def row(**values):
    fit = CubeFit(edge=1.0, rounding=0.2, growth=0.0, shell=0.2, residual=1e-4)
    known = {
        "ligand_length": 0.2,
        "roughness": 0.02,
        "beads": 39,
        "measured_roughness": 0.019,
        "dent": 0.03,
        "fit": fit,
        "plain": replace(fit, edge=1.01),
        "measured": Estimate(nominal_b2(0.2) * 1.002, 0.004),
    }
    return VirialRow(**{**known, **values})


def test_deviations():
    one = row()
    assert one.predicted == pytest.approx(one.nominal, rel=1e-14)  # the fit is the nominal cube here
    assert one.deviation(one.predicted) == pytest.approx(0.002, rel=1e-9)
    assert one.predicted_without_growth > one.predicted
    assert one.relative_error == pytest.approx(0.004 / one.measured.value)


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        ({}, [True, True]),
        ({"measured": Estimate(nominal_b2(0.2) * 1.02, 0.004)}, [False, True]),
        ({"measured": Estimate(nominal_b2(0.2) * 0.98, 0.004)}, [False, True]),
        ({"measured": Estimate(nominal_b2(0.2), 0.02)}, [False, True]),  # too noisy to tell
        ({"fit": CubeFit(1.0, 0.2, 0.0, 0.2, 6e-4)}, [True, False]),
    ],
)
def test_checks_of_a_row(monkeypatch, values, passed):
    monkeypatch.setattr(virial, "_integral_checks", list)
    assert [check.passed for check in virial_checks(rows=[row(**values)])] == passed


def test_coarse_rows_are_not_checked(monkeypatch):
    monkeypatch.setattr(virial, "_integral_checks", list)
    assert virial_checks(rows=[row(roughness=0.04)]) == []
    assert len(virial_checks(quick=True, rows=[row(), row(roughness=0.01)])) == 2


def test_default_roughness_is_the_coarsest_checked(make_state_point):
    assert virial.ROUGHNESSES[-1] == make_state_point().roughness == max(virial.ROUGHNESSES)


def test_table_of_one_cube():
    (found,) = virial_table((0.2,), (0.04,), points=512, scrambles=8)
    assert found.beads == 21
    assert found.fit.growth > 0 == found.plain.growth
    assert found.relative_error < 0.01
    # What the checks allow.
    assert abs(found.deviation(found.predicted)) < virial.TOLERANCE + 3 * found.relative_error


def test_markdown_and_figure(tmp_path):
    rows = [row(), row(beads=21, roughness=0.04), row(ligand_length=0.1)]
    lines = table_markdown(rows).splitlines()
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1
    assert "+0.20" in lines[2]
    path = tmp_path / "virial.png"
    figure(path, rows)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 60_000


@pytest.mark.validate
def test_thermal_sizes_predict_cube_cube_b2():
    for check in virial_checks(quick=True):
        assert check.passed, check


@pytest.mark.validate
def test_dents_as_deep_as_the_shell_are_noticed():
    (found,) = virial_table((0.1,), (0.04,))
    assert found.dent > 0.09
    assert found.deviation(found.predicted) > virial.TOLERANCE + 3 * found.relative_error


@pytest.mark.validate
@pytest.mark.parametrize("ligand_length", [0.08, 0.12, 0.17])
def test_prediction_for_cubes_between(ligand_length):
    (found,) = virial_table((ligand_length,), (0.02,))
    assert abs(found.deviation(found.predicted)) < virial.TOLERANCE
