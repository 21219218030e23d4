"""What only a long run shows, of every engine: drift, temperatures, diffusion and pressure, each with its error."""

import math
from functools import cache

import numpy as np
import pytest
from parity_engines import LAMMPS, need_lammps
from parity_runs import WALK_STEP, angular_displacements, endless, free_bodies, mean_square
from parity_states import model_of
from scipy.spatial.transform import Rotation

from supercube.crystals.build import build_crystal
from supercube.engines.base import thermal_state
from supercube.model.sums import evaluate
from supercube.protocol.initial import random_fluid

pytestmark = pytest.mark.validate

#: n standard errors that a mean may lie off: 4 is one false alarm in 16,000 for normal errors.
N_ERRORS = 4


def mean_and_error(series, n_blocks=20):
    """Mean and standard error of a correlated series: blocks much longer than the correlation are independent."""
    blocks = np.asarray(series)[: len(series) // n_blocks * n_blocks].reshape(n_blocks, -1).mean(axis=1)
    return blocks.mean(), blocks.std(ddof=1) / math.sqrt(n_blocks)


# --- energy ----------------------------------------------------------------------------------------------------------

NVE = {
    "cubes, lambda 0.2": ("SC", (64, 0, 1.0, 0.2), 1.18),
    "cubes, lambda 0.1": ("SC", (64, 0, 1.0, 0.1), 1.18),
    "ABO3": ("ABO3", (108, 27, 0.49, 0.18), 1.08),
}
#: So long that the slope of a random walk is well below the promise: see ``drift_and_error``.
NVE_STEPS = 60_000


@pytest.mark.parametrize("case", NVE)
def test_energy_does_not_drift(machine, report, case):
    structure, counts, expansion = NVE[case]
    model, configuration = model_of(*counts, 0.02), build_crystal(structure, *counts, expansion)
    dt = 2 * model.time_step  # nothing drifts in a thermostat, and a crystal forgets its perfection in 5 time units
    with machine.running(model, thermal_state(model, configuration, 1), dt) as engine:
        engine.advance(round(5 / dt), endless(model, configuration, dt))
        state = engine.state()
    schedule, energies = endless(model, configuration, model.time_step), []
    with machine.running(model, state, model.time_step, thermostat=False) as engine:
        for _ in range(NVE_STEPS // 200):
            engine.advance(200, schedule)
            energies.append(energy_per_degree(engine.measure(), configuration))
        temperature = engine.measure().temperature_translation
    drift, error = drift_and_error(np.array(energies))
    report(machine, f"energy drift (kT per degree of freedom and 1,000 steps) of {case}", drift, error)
    # A start that is too cold conserves energy for nothing: sqrt(2/(3 N)) is the spread of a temperature.
    assert abs(temperature - 1) < 5 * math.sqrt(2 / (3 * len(configuration)))
    assert abs(drift) < 1e-5  # what model.time_step promises


def drift_and_error(energies):
    """Least-squares slope per 1,000 steps of energies every 200, and what a random walk without drift would give.

    Errors of the energy are a random walk of stiff collisions; one of w per 1,000 steps has a slope of w sqrt(6/(5 n))
    over n thousands.
    """
    slope = np.polyfit(0.2 * np.arange(len(energies)), energies, 1)[0]
    walk, thousands = np.sqrt((np.diff(energies[::5]) ** 2).mean()), len(energies) / 5
    return slope, walk * math.sqrt(6 / (5 * thousands))


def energy_per_degree(thermo, configuration):
    n, n_cubes = len(configuration), configuration.count("cube")
    kinetic = 1.5 * (n * thermo.temperature_translation + n_cubes * thermo.temperature_rotation)
    return (thermo.potential_energy + kinetic) / (3 * n + 3 * n_cubes)


# --- a dense fluid ---------------------------------------------------------------------------------------------------

FLUID = (80, 20, 0.8, 0.2)
FLUID_TIME, FLUID_PERIOD = 220.0, 40


@cache
def dense_fluid(machine):
    """Thermo every 40 steps, and with the configuration ten times, of a fluid dried to a packing fraction of 0.45."""
    model, loose = model_of(*FLUID, 0.05), random_fluid(*FLUID, 0.25, 3)
    schedule = endless(model, loose, model.time_step, peclet=400.0, target=0.45)
    rows, frames = [], []
    with machine.running(model, thermal_state(model, loose, 3), model.time_step, seed=3) as engine:
        for steps in (schedule.equilibration_steps, schedule.drying_steps, round(10 / model.time_step)):
            engine.advance(steps, schedule)
        n_rows = round(FLUID_TIME / model.time_step / FLUID_PERIOD)
        for k in range(n_rows):
            engine.advance(FLUID_PERIOD, schedule)
            rows.append(engine.measure())
            if k % (n_rows // 10) == 0:
                frames.append((rows[-1], engine.state().configuration))
    return model, rows, frames


@pytest.mark.parametrize("degree", ["translation", "rotation"])
def test_temperature_of_a_dense_fluid_is_one(machine, report, degree):
    name = f"temperature_{degree}"
    _, rows, _ = dense_fluid(machine)
    mean, error = mean_and_error([getattr(row, name) for row in rows])
    report(machine, name, mean, error)
    assert error < 0.005
    # The Langevin schemes of both engines are exact at any step for a free body: friction acts on the velocity at half
    # steps, and the one at whole steps has <v^2> = kT/m. What is left is Verlet's in a contact, (omega dt)^2/4 of its
    # energy: 0.0036 for the stiffest at omega dt = 0.12, and a tenth of that as soft as bodies of a fluid touch.
    assert abs(mean - 1) < N_ERRORS * error + 0.0004


def test_pressure_is_the_virial_of_the_frames(machine):
    model, _, frames = dense_fluid(machine)
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


# --- diffusion -------------------------------------------------------------------------------------------------------

WALK_TIME = 50.0


@cache
def walk(machine):
    """Unwrapped positions and orientations every five steps of 1,000 cubes and 1,000 spheres that never meet."""
    model, configuration = free_bodies(1000)
    schedule, positions, orientations = endless(model, configuration, WALK_STEP), [], []
    with machine.running(model, thermal_state(model, configuration, 2), WALK_STEP, seed=5) as engine:
        for _ in range(round(WALK_TIME / WALK_STEP / 5)):
            engine.advance(5, schedule)
            now = engine.state().configuration
            positions.append(now.unwrapped)
            orientations.append(now.orientations)
    cubes = configuration.is_species("cube")
    turns = [Rotation.from_quat(q[cubes], scalar_first=True) for q in orientations]
    return model, configuration, np.array(positions), angular_displacements(turns)


@pytest.mark.parametrize("motion", ["cube translation", "sphere translation", "cube rotation"])
def test_lone_bodies_diffuse_as_kt_over_zeta(machine, report, motion):
    model, configuration, positions, angles = walk(machine)
    body = model.body(motion.split()[0])
    rotates = motion.endswith("rotation")
    friction, inertia = (body.rotational_friction, body.inertia) if rotates else (body.friction, body.mass)
    path = angles if rotates else positions[:, configuration.is_species(body.name)]
    tau = inertia / friction
    lag = round(5 * tau / (5 * WALK_STEP))
    t = lag * 5 * WALK_STEP
    # <dr^2> = 6 D [t - tau (1 - exp(-t/tau))], exact for a velocity that is an Ornstein-Uhlenbeck process; so is the
    # angular velocity of a body of isotropic inertia, and its integral is the angle.
    diffusion = mean_square(path, lag) / (6 * (t - tau * (1 - math.exp(-t / tau))))
    mean, error = diffusion.mean() * friction, diffusion.std(ddof=1) / math.sqrt(len(diffusion))
    report(machine, f"diffusion over kT/zeta, {motion}", mean, error * friction)
    assert error * friction < 0.01
    # The long-time D of the scheme is exact; its memory tau is off by half a step, an eighth of dt/tau in the bracket.
    assert abs(mean - 1) < N_ERRORS * error * friction + 0.125 * WALK_STEP / tau
