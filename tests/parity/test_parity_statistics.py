"""What only a long run shows, of every engine: drift, temperatures, diffusion and pressure, each with its error."""

import math

import pytest
from parity_engines import LAMMPS, need_lammps

from supercube.model.sums import evaluate
from supercube.validation.dynamics import (
    CONTACT_HEATING,
    LARGEST_DRIFT,
    LARGEST_MOMENTUM,
    MOTIONS,
    NVE,
    conservation,
    dense_fluid,
    diffusion,
    mean_and_error,
    walk,
)

pytestmark = pytest.mark.validate

#: n standard errors that a mean may lie off: 4 is one false alarm in 16,000 for normal errors.
N_ERRORS = 4


@pytest.mark.parametrize("case", NVE)
def test_energy_and_momentum_do_not_drift(machine, report, case):
    found = conservation(machine, case)
    report(machine, f"energy drift (kT per degree of freedom and 1,000 steps) of {case}", found.drift, found.error)
    report(machine, f"change of momentum over its thermal spread of {case}", found.momentum)
    # A start that is too cold conserves energy for nothing.
    assert abs(found.temperature - 1) < 5 * found.spread
    assert abs(found.drift) < LARGEST_DRIFT
    assert found.momentum < LARGEST_MOMENTUM


@pytest.mark.parametrize("degree", ["translation", "rotation"])
def test_temperature_of_a_dense_fluid_is_one(machine, report, degree):
    name = f"temperature_{degree}"
    _, rows, _ = dense_fluid(machine)
    mean, error = mean_and_error([getattr(row, name) for row in rows])
    report(machine, name, mean, error)
    assert error < 0.005
    assert abs(mean - 1) < N_ERRORS * error + CONTACT_HEATING


def test_pressure_is_the_virial_of_the_frames(machine):
    model, _, frames = dense_fluid(machine)
    assert len(frames) >= 10
    for thermo, configuration in frames:
        virial = evaluate(model, configuration).virial
        expected = (len(configuration) * thermo.temperature_translation + virial / 3) / configuration.volume
        # Bead positions are rebuilt from centre and quaternion: 1e-9 e of a force that goes as the 13th power.
        assert thermo.pressure == pytest.approx(expected, rel=1e-6)


def test_pressure_of_a_dense_fluid_is_known(machine, report):
    mean, error = mean_and_error([row.pressure for row in dense_fluid(machine)[1]])
    report(machine, "pressure", mean, error)
    assert error < 0.005 * mean


def test_pressure_is_that_of_the_other_engine(hoomd_machine, report):
    need_lammps()
    (ours, a), (theirs, b) = (
        mean_and_error([row.pressure for row in dense_fluid(m)[1]]) for m in (hoomd_machine, LAMMPS)
    )
    error = math.hypot(a, b)
    report(hoomd_machine, "pressure over that of lammps", ours / theirs, error / theirs)
    assert abs(ours - theirs) < N_ERRORS * error


@pytest.mark.parametrize("motion", MOTIONS)
def test_lone_bodies_diffuse_as_kt_over_zeta(machine, report, motion):
    found = diffusion(walk(machine), motion)
    report(machine, f"diffusion over kT/zeta, {motion}", found.value, found.error)
    assert found.error < 0.01
    assert abs(found.value - 1) < N_ERRORS * found.error + found.discretisation
