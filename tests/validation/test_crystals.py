"""Judging pressed crystals: made-up runs whose answer is known, and one real quick run."""

import math

import pytest

from supercube.crystals.enthalpy import ground_state
from supercube.model.particles import build_model
from supercube.statepoint import StatePoint
from supercube.validation.crystals import (
    Pressed,
    crystal_checks,
    crystal_figure,
    crystal_table,
    press,
    pressed_crystals,
)
from supercube.validation.dynamics import Machine

PRESSURES = (60.0, 120.0, 240.0)


class Job:
    """What the validation reads of a signac job."""

    def __init__(self, values, document):
        self.cached_statepoint, self._document = values, document

    def doc(self):
        return self._document


def jobs(swelling, error=2e-4, held=1.0, angle=None, **changes):
    """SC at three pressures whose lattice constant is a_0 (1 + swelling(P))."""
    made = []
    for pressure in PRESSURES:
        values = {"n_cubes": 64, "ligand_length": 0.2, "initial": "SC", "pressure": pressure, **changes}
        point = StatePoint.parse(values, "a test")
        theory = ground_state("SC", build_model(point), 1.0, 0.2, pressure, symmetric=True)
        document = {
            "structure": "SC",
            "fractions": {"SC": held},
            "lattice_constant": theory.lattice_constant * (1 + swelling(pressure)),
            "lattice_constant_sem": error,
            "pressure": pressure,
            "pressure_sem": 0.3,
            "o_site_angle_deg": angle,
            "o_site_angle_spread_deg": None,
            "engine": "lammps",
            "engine_version": "1",
            "protocol": {"initial_pressure": 10.0},
        }
        made.append(Job(point.to_dict(), document))
    return made


def failed(crystals):
    return [check.name for check in crystal_checks(crystals) if not check.passed]


def test_a_crystal_that_swells_by_one_over_p_meets_the_theory():
    (crystal,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure))
    value, error, slope = crystal.line
    assert value == pytest.approx(1.0, abs=1e-9)
    assert slope == pytest.approx(1.5, rel=1e-6)
    assert 0 < error < 5e-4
    assert not failed([crystal])


def test_a_crystal_that_is_too_large_at_infinite_pressure_fails():
    (crystal,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure + 0.02))
    assert crystal.line[0] == pytest.approx(1.02, abs=1e-9)
    assert failed([crystal]) == ["SC (lambda 0.2): a/a_0, extrapolated to 1/P = 0"]


def test_a_bend_makes_the_error_larger_not_smaller():
    (straight,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure))
    (bent,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure + 60.0 / pressure**2))
    assert bent.line[1] > 3 * straight.line[1]


def test_a_melted_crystal_fails():
    (crystal,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure, held=0.5))
    assert failed([crystal]) == ["SC (lambda 0.2): share of particles in it, P = 240"]


def test_a_number_that_is_missing_fails():
    made = jobs(lambda pressure: 1.5 / pressure)
    made[0].doc()["lattice_constant"] = None
    (crystal,) = pressed_crystals(made)
    assert any("extrapolated" in name for name in failed([crystal]))


def test_only_crystals_under_pressure_count():
    made = jobs(lambda pressure: 0.0)
    made[0].cached_statepoint["pressure"] = 0.0  # constant volume
    made[1].doc().pop("structure")  # not finished
    made[2].doc()["protocol"]["initial_pressure"] = 500.0  # a melting run
    assert pressed_crystals(made) == []


def test_runs_of_one_crystal_are_put_together_in_order_of_pressure():
    made = jobs(lambda pressure: 1.5 / pressure)
    (crystal,) = pressed_crystals(made[::-1])
    assert [point.pressure for point in crystal.points] == list(PRESSURES)
    assert str(crystal) == "SC (lambda 0.2)"
    table = crystal_table([crystal])
    assert len(table.splitlines()) == 2 + len(PRESSURES)
    assert f"{crystal.points[0].minimum:.4f}" in table


def test_the_figure_is_small(tmp_path):
    (crystal,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure))
    crystal_figure(tmp_path / "a.png", [crystal])
    assert 2_000 < (tmp_path / "a.png").stat().st_size < 60_000


def test_theories_that_differ_fail():
    (crystal,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure))
    points = tuple(point.__class__(**{**point.__dict__, "packing": point.packing * 1.02}) for point in crystal.points)
    other = Pressed(crystal.structure, crystal.size_ratio, crystal.ligand_length, crystal.engine, points)
    assert any("a_0/a_d" in name for name in failed([other]))


def test_angles_are_compared_where_there_are_any():
    (crystal,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure))
    point = crystal.points[-1]
    for angle, fails in ((43.0, False), (30.0, True)):
        changed = point.__class__(**{**point.__dict__, "angle": angle, "spread": 3.0, "theory_angle": 45.0})
        other = Pressed("ABO3", 0.49, 0.18, "x", (*crystal.points[:-1], changed))
        assert any("O-site angle" in name for name in failed([other])) == fails


@pytest.mark.validate
def test_the_program_presses_crystals_itself():
    crystals = press(Machine("lammps"), quick=True)
    assert [crystal.structure for crystal in crystals] == ["SC", "NaCl", "ABO3"]
    for crystal in crystals:
        assert [point.pressure for point in crystal.points] == [60, 120, 240]
        assert all(math.isfinite(point.lattice_constant) for point in crystal.points)
        assert crystal.line[0] == pytest.approx(1.0, abs=0.03)
