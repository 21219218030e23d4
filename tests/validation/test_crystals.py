"""Judging pressed crystals: made-up runs whose answer is known, and one real quick run."""

import math

import numpy as np
import pytest
from pressed_jobs import PRESSURES, abo3, jobs, with_theory

from supercube.crystals.enthalpy import ground_state
from supercube.validation import crystals
from supercube.validation.crystals import (
    FOLDED,
    Kind,
    crystal_checks,
    press,
    pressed_crystals,
    sliding_distance,
    theory_of,
)
from supercube.validation.dynamics import Machine


def swells(pressure):
    return 1.5 / pressure


def failed(found):
    checks = crystal_checks(found)
    assert checks
    return [check.name for check in checks if not check.passed]


# --- theory ----------------------------------------------------------------------------------------------------------


def test_faces_that_slide_are_nearer_than_bead_on_bead_by_less_than_twice_the_roughness():
    kind = Kind("SC", 1.0, 0.2)
    found = sliding_distance(kind.model, 60.0)
    registry = ground_state("SC", kind.model, 1.0, 0.2, 60.0, symmetric=True).lattice_constant
    assert found.max() < registry
    assert found.max() == pytest.approx(registry, abs=1e-3)  # the shift nearest to none
    assert registry - found.min() < 2 * kind.roughness
    assert theory_of(kind, 60.0).sliding == pytest.approx(found.mean())


def test_faces_come_nearer_under_pressure():
    model = Kind("SC", 1.0, 0.15).model
    low, high = (sliding_distance(model, pressure) for pressure in (30.0, 240.0))
    assert (high < low - 1e-3).all()


def test_only_repulsive_cubes_alone_slide():
    assert theory_of(Kind("fcc", 1.0, 0.2), 60.0).sliding is None
    assert theory_of(Kind("SC", 1.0, 0.2, attraction=2.0), 60.0).sliding is None


def test_a_theory_is_computed_once_for_each_crystal_and_pressure(monkeypatch):
    asked = []

    def counted(name, model, *arguments, **options):
        asked.append(arguments)
        return ground_state(name, model, *arguments, **options)

    theory_of.cache_clear()
    monkeypatch.setattr(crystals, "ground_state", counted)
    made = jobs(swells) + jobs(swells, replicate=1) + jobs(swells, n_cubes=216)
    (crystal,) = pressed_crystals(made)
    assert len(crystal.points) == 9
    assert sorted(pressure for *_, pressure in asked) == list(PRESSURES)


def test_crystals_of_other_particles_are_others():
    found = pressed_crystals(jobs(swells) + jobs(swells, roughness=0.03))
    assert [str(crystal) for crystal in found] == ["SC (lambda 0.2)", "SC (lambda 0.2, roughness 0.03)"]


# --- lattice constants -----------------------------------------------------------------------------------------------


def test_a_crystal_that_swells_by_one_over_p_meets_the_theory():
    (crystal,) = pressed_crystals(jobs(swells))
    value, error, slope = crystal.line
    assert value == pytest.approx(1.0, abs=1e-9)
    assert slope == pytest.approx(1.5, rel=1e-6)
    assert 0 < error < 5e-4
    assert not failed([crystal])


def test_a_crystal_that_is_too_large_at_infinite_pressure_fails():
    (crystal,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure + 0.02))
    assert crystal.line[0] == pytest.approx(1.02, abs=1e-9)
    assert failed([crystal]) == ["SC (lambda 0.2): a/a_s, extrapolated to 1/P = 0"]


def test_a_bend_makes_the_error_larger_not_smaller():
    (straight,) = pressed_crystals(jobs(swells))
    (bent,) = pressed_crystals(jobs(lambda pressure: 1.5 / pressure + 60.0 / pressure**2))
    assert bent.line[1] > 3 * straight.line[1]


def test_points_that_scatter_pass_no_easier():
    # 1.3 % off: beyond 1 %, though within 1 % and three of the errors that this scatter gives.
    def scattered(pressure):
        return 1.5 / pressure - 0.013 + 0.0015 * (-1) ** PRESSURES.index(pressure)

    (crystal,) = pressed_crystals(jobs(scattered))
    value, error, _ = crystal.line
    assert abs(value - 1) < 0.01 + 3 * error
    assert failed([crystal]) == ["SC (lambda 0.2): a/a_s, extrapolated to 1/P = 0"]


def test_a_melted_crystal_fails_and_has_no_lattice_constant():
    (crystal,) = pressed_crystals(jobs(swells, held=0.5))
    assert crystal.held == ()
    assert crystal.line is None
    assert failed([crystal]) == ["SC (lambda 0.2): held at all pressures; least share of particles in it, P = 60"]
    assert not [check for check in crystal_checks([crystal]) if "a_" in check.name]


def test_pressures_at_which_it_held_are_used():
    wrong = jobs(
        lambda pressure: 1.5 / pressure - (0.3 if pressure == 480 else 0), pressures=(60.0, 120.0, 240.0, 480.0)
    )
    wrong[3].doc()["fractions"]["SC"] = 0.6
    wrong[3].doc()["lattice_constant"] = None
    (crystal,) = pressed_crystals(wrong)
    assert crystal.line[0] == pytest.approx(1.0, abs=1e-9)
    assert failed([crystal]) == ["SC (lambda 0.2): held at all pressures; least share of particles in it, P = 480"]


@pytest.mark.parametrize(("pressures", "number"), [((60.0,), 1), ((60.0, 240.0), 2), ((60.0, 60.0, 60.0), 1)])
def test_fewer_than_three_pressures_fail_by_name(pressures, number):
    (crystal,) = pressed_crystals(jobs(swells, pressures=pressures))
    (check,) = [check for check in crystal_checks([crystal]) if not check.passed]
    assert check.name == "SC (lambda 0.2): pressures finished at which it held"
    assert (check.value, check.target) == (number, 3)


def test_a_crystal_without_a_line_leaves_the_others_their_checks():
    found = pressed_crystals(jobs(swells) + jobs(swells, pressures=(60.0,), ligand_length=0.15))
    assert failed(found) == ["SC (lambda 0.15): pressures finished at which it held"]
    assert any(check.name == "SC (lambda 0.2): a/a_s, extrapolated to 1/P = 0" for check in crystal_checks(found))


def test_a_number_that_is_missing_fails():
    made = jobs(swells)
    made[0].doc()["lattice_constant"] = None
    (crystal,) = pressed_crystals(made)
    assert any("extrapolated" in name for name in failed([crystal]))


@pytest.mark.parametrize("pressure", [None, 110.0])
def test_a_pressure_that_is_not_the_barostat_s_fails(pressure):
    made = jobs(swells)
    made[1].doc()["pressure_sem" if pressure is None else "pressure"] = pressure
    assert failed(pressed_crystals(made)) == ["SC (lambda 0.2): mean virial pressure over P, P = 120"]


def test_theories_that_differ_fail():
    assert failed([with_theory(abo3(), packing=2.05)]) == ["ABO3 (gamma 0.46, lambda 0.2): a_0/a_d, P = 60"]


def test_only_crystals_under_pressure_count():
    made = jobs(swells)
    made[0].cached_statepoint["pressure"] = 0.0  # constant volume
    made[1].doc().pop("structure")  # not finished
    made[2].doc()["protocol"]["initial_pressure"] = 500.0  # a melting run
    assert pressed_crystals(made) == []


def test_runs_of_one_crystal_are_put_together_in_order_of_pressure():
    (crystal,) = pressed_crystals(jobs(swells)[::-1])
    assert [point.pressure for point in crystal.points] == list(PRESSURES)
    assert str(crystal) == "SC (lambda 0.2)"


# --- angles ----------------------------------------------------------------------------------------------------------


def test_folded_angles_lie_below_45_by_the_stated_number_of_standard_deviations():
    angles = 45 - np.abs(np.random.default_rng(1).normal(scale=2.0, size=100_000))
    assert (45 - angles.mean()) / angles.std() == pytest.approx(FOLDED, rel=0.01)  # 1/sqrt(1e5) is 0.003


@pytest.mark.parametrize(
    ("angles", "fails"),
    [
        ({"angle": 44.0, "spread": 0.8}, []),
        ({"angle": 41.5, "spread": 2.5}, []),  # folded: 45 - 1.32 x 2.5 = 41.7
        ({"angle": 30.0, "spread": 3.0}, ["O-site angle"]),
        ({"angle": 43.5, "spread": 0.1}, ["O-site angle"]),  # sharp and wrong
        ({"angle": 36.0, "spread": 30.0}, ["O-site angle", "standard deviation"]),  # the tolerance has a cap
        ({"angle": 44.0, "spread": 9.0}, ["standard deviation"]),
        ({"angle": 44.0, "angle_error": 1.5}, ["O-site angle"]),  # too noisy to tell
        ({"angle": None, "angle_error": None, "spread": None}, ["O-site angle", "standard deviation"]),
    ],
)
def test_angles_are_compared_where_there_are_any(angles, fails):
    names = failed([abo3(**angles)])
    assert len(names) == len(fails)
    assert all(word in name for word, name in zip(fails, names, strict=True))


def test_the_angle_is_that_of_the_last_pressure_at_which_it_held():
    names = [check.name for check in crystal_checks([abo3(held=(1.0, 1.0, 0.5))]) if "angle (" in check.name]
    assert len(names) == 2
    assert all(name.endswith("P = 120") for name in names)
    assert not [check for check in crystal_checks([abo3(held=(0.1, 0.1, 0.1))]) if "angle (" in check.name]


@pytest.mark.validate
def test_the_program_presses_crystals_itself():
    found = press(Machine("lammps"), quick=True)
    assert [crystal.kind.structure for crystal in found] == ["SC", "NaCl", "ABO3"]
    for crystal in found:
        assert [point.pressure for point in crystal.points] == [60, 120, 240]
        assert all(math.isfinite(point.lattice_constant) for point in crystal.points)
        assert crystal.line[0] == pytest.approx(1.0, abs=0.03)
