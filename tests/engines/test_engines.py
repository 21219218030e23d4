"""What holds for every engine: its energy, forces and pressure are the formula's, its motion that of the model."""

import math

import numpy as np
import pytest
from engine_samples import assert_same_state, at_rest
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration
from supercube.engines import base
from supercube.engines.base import State, thermal_state
from supercube.errors import EngineError
from supercube.model.interactions import wca_force
from supercube.model.particles import build_model
from supercube.model.sums import evaluate
from supercube.protocol.initial import random_fluid
from supercube.protocol.schedule import make_schedule

TILTS = {"rectangular": (0.0, 0.0, 0.0), "triclinic": (0.3, -0.2, 0.15)}


@pytest.fixture(params=TILTS)
def tilted(request):
    """Shear the box and the positions of a state."""

    def shear(state):
        configuration = state.configuration
        box = np.concatenate([configuration.box[:3], TILTS[request.param]])
        fractional = configuration.positions / configuration.box[:3]
        xy, xz, yz = TILTS[request.param]
        unit = np.array([[1, xy, xz], [0, 1, yz], [0, 0, 1]]) * configuration.box[:3]
        moved = configuration.with_(box=box, positions=fractional @ unit.T)
        return State(moved, state.velocities, state.angular_momenta)

    return shear


# --- energy, forces, pressure -----------------------------------------------------------------------------------------


def test_energy_is_the_formula_on_a_crystal(start, mixture):
    model, state = mixture
    measured = start(model, state).measure().potential_energy
    expected = evaluate(model, state.configuration).energy
    assert expected > 10  # the pairs really touch
    assert measured == pytest.approx(expected, rel=1e-9)  # both in double precision


@pytest.mark.parametrize("attraction", [0.0, 4.0])
def test_forces_and_torques_are_the_formula_in_any_box(start, make_state_point, tilted, attraction):
    model = build_model(make_state_point(n_cubes=20, n_spheres=10, size_ratio=0.8, attraction=attraction))
    # Too little clearance for a start of a run, so that bodies touch.
    state = tilted(at_rest(random_fluid(20, 10, 0.8, 0.2, 0.28, 3, clearance=-0.15)))
    expected = evaluate(model, state.configuration)
    assert np.abs(expected.torques).max() > 0.1
    engine = start(model, state, thermostat=False)
    force, torque = engine.forces()
    scale = np.abs(expected.forces).max()
    # Double precision: 1e-16 of a position times the stiffness, which is 1e2 to 1e3 times the force here.
    np.testing.assert_allclose(force, expected.forces, atol=1e-9 * scale)
    np.testing.assert_allclose(torque, expected.torques, atol=1e-9 * scale)
    thermo = engine.measure()
    assert thermo.potential_energy == pytest.approx(expected.energy, rel=1e-9)
    # At rest all pressure is the virial.
    assert thermo.pressure == pytest.approx(expected.virial / 3 / state.configuration.volume, rel=1e-9)


def test_energy_is_the_formula_after_a_run(start, mixture, plan):
    model, state = mixture
    engine = start(model, state)
    engine.advance(200, plan(model, state, equilibration_time=1.0))
    expected = evaluate(model, engine.state().configuration).energy
    # Bead positions that the engine integrated are rebuilt here from centre and quaternion: 1e-12 e of a force 1e3.
    assert engine.measure().potential_energy == pytest.approx(expected, rel=1e-7)


def test_energy_and_pressure_are_the_formula_while_drying_fast(start, make_state_point, plan):
    model = build_model(make_state_point(n_cubes=27))
    state = thermal_state(model, random_fluid(27, 0, 1.0, 0.2, 0.25, 5), 5)
    schedule = plan(model, state, peclet=800.0, target_packing_fraction=0.6)
    engine = start(model, state)
    engine.advance(schedule.equilibration_steps, schedule)
    for _ in range(6):
        engine.advance(500, schedule)
        thermo, now = engine.measure(), engine.state()
        sums = evaluate(model, now.configuration)
        assert thermo.potential_energy == pytest.approx(sums.energy, rel=1e-7, abs=1e-9)  # as after a run
        pressure = (27 * thermo.temperature_translation + sums.virial / 3) / now.configuration.volume
        assert thermo.pressure == pytest.approx(pressure, rel=1e-6)
        # The same state in a fresh engine, whose forces belong to its box: another way to the virial.
        fresh = start(model, now).measure()
        assert thermo.potential_energy == pytest.approx(fresh.potential_energy, rel=1e-6, abs=1e-9)
        assert thermo.pressure == pytest.approx(fresh.pressure, rel=1e-6)


def test_pressure_of_two_cubes_face_to_face_is_the_virial(start, make_state_point):
    model = build_model(make_state_point(n_cubes=2))
    distance, box = 0.97, 6.0
    configuration = Configuration(
        box=[box, box, box, 0, 0, 0],
        positions=[[0, 0, 0], [0, 0, distance]],
        orientations=[[1, 0, 0, 0]] * 2,
        species=("cube",),
        typeid=[0, 0],
        shapes=({},),
    )
    cube = model.body("cube")
    lower = cube.positions[cube.radii > 0]
    radius = cube.radii[cube.radii > 0]
    separation = (lower + np.array([0, 0, distance]))[None] - lower[:, None]
    r = np.linalg.norm(separation, axis=-1)
    force = wca_force(r - (radius[None] + radius[:, None] - model.sigma), model.sigma) * separation[..., 2] / r
    assert force.sum() > 10
    expected = force.sum() * distance / (3 * box**3)  # W = F.R between the centres; at rest there is no kinetic part
    assert start(model, at_rest(configuration)).measure().pressure == pytest.approx(expected, rel=1e-9)


# --- states -----------------------------------------------------------------------------------------------------------


def test_state_survives_the_round_trip(start, mixture, tilted):
    model, state = mixture
    turned = Rotation.random(len(state.configuration), rng=3).as_quat(scalar_first=True)
    turned[state.configuration.is_species("sphere")] = [1, 0, 0, 0]
    sparse = Configuration(
        box=state.configuration.box * [2, 2, 2, 1, 1, 1],
        positions=state.configuration.positions * 2,
        orientations=turned,
        species=state.configuration.species,
        typeid=state.configuration.typeid,
        images=np.arange(120).reshape(40, 3),
        step=1230,
    )
    given = tilted(State(sparse, state.velocities, state.angular_momenta))
    found = start(model, given).state()
    assert found.configuration.step == 1230
    np.testing.assert_allclose(found.configuration.box, given.configuration.box, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(found.configuration.unwrapped, given.configuration.unwrapped, atol=1e-10)
    np.testing.assert_allclose(found.velocities, state.velocities, atol=1e-12)
    np.testing.assert_allclose(found.angular_momenta, state.angular_momenta, atol=1e-12)
    # q and -q are the same rotation.
    overlap = np.abs((found.configuration.orientations * turned).sum(axis=1))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-12)


def test_measuring_and_reading_do_not_move_anything(start, cubes, plan):
    model, state = cubes
    schedule = plan(model, state, peclet=500.0, target_packing_fraction=0.3)
    watched, alone = start(model, state), start(model, state)
    for steps in (50, 50, 50, 100):  # the last two of them while drying
        for engine in (watched, alone):
            engine.advance(steps, schedule)
        assert watched.measure() == watched.measure()
        watched.state()
    assert_same_state(watched.state(), alone.state())


def test_temperatures_are_the_kinetic_energies_of_the_state(start, mixture):
    model, state = mixture
    thermo = start(model, state).measure()
    mass = np.where(state.configuration.is_species("cube"), 1.0, model.body("sphere").mass)
    n_cubes = state.configuration.count("cube")
    translation = (mass[:, None] * state.velocities**2).sum() / (3 * len(mass))
    rotation = (state.angular_momenta**2).sum() / model.body("cube").inertia / (3 * n_cubes)
    assert thermo.temperature_translation == pytest.approx(translation, rel=1e-12)
    assert thermo.temperature_rotation == pytest.approx(rotation, rel=1e-12)


def test_rotation_has_no_temperature_without_cubes(start, make_state_point):
    model = build_model(make_state_point(n_cubes=0, n_spheres=8, size_ratio=0.5))
    grid = np.stack(np.meshgrid(*[[-3.0, 3.0]] * 3), axis=-1).reshape(-1, 3)
    ones = np.tile([1.0, 0, 0, 0], (8, 1))
    configuration = Configuration([12, 12, 12, 0, 0, 0], grid, ones, ("sphere",), np.zeros(8))
    engine = start(model, thermal_state(model, configuration, 1))
    assert math.isnan(engine.measure().temperature_rotation)


# --- motion -----------------------------------------------------------------------------------------------------------


def test_volume_follows_the_schedule_exactly(start, cubes, plan, tilted):
    model, state = cubes
    state = tilted(state)
    schedule = plan(model, state, peclet=500.0, target_packing_fraction=0.2)
    engine = start(model, state)
    step = 0
    for steps in (100, 40, 60, 200):  # several chunks of one stage: drying must not start again at each
        engine.advance(steps, schedule)
        step += steps
        assert engine.measure().volume == pytest.approx(schedule.volume(step), rel=1e-12)
    while step < schedule.total_steps:
        chunk = min(500, schedule.next_boundary(step) - step)
        engine.advance(chunk, schedule)
        step += chunk
    assert engine.measure().volume == pytest.approx(schedule.volume_end, rel=1e-12)
    final = engine.state().configuration
    assert final.step == schedule.total_steps
    np.testing.assert_allclose(final.box[:3] / final.box[0], state.configuration.box[:3] / state.configuration.box[0])
    np.testing.assert_allclose(final.box[3:], state.configuration.box[3:], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("private", [True, False])
def test_a_run_that_continues_while_drying_keeps_to_the_schedule(start, cubes, plan, private):
    model, state = cubes
    schedule = plan(model, state, peclet=500.0, target_packing_fraction=0.2)
    first = start(model, state)
    first.advance(100, schedule)
    first.advance(150, schedule)
    left = first.state()
    # Without what is private to an engine a state is that of another engine.
    second = start(model, left if private else State(left.configuration, left.velocities, left.angular_momenta))
    second.advance(200, schedule)
    assert second.measure().volume == pytest.approx(schedule.volume(450), rel=1e-12)


def free_cubes(model):
    """216 cubes too far apart to meet."""
    side = np.arange(6) * 4.0 - 10
    grid = np.stack(np.meshgrid(side, side, side), axis=-1).reshape(-1, 3)
    ones = np.tile([1.0, 0, 0, 0], (216, 1))
    return thermal_state(model, Configuration([24, 24, 24, 0, 0, 0], grid, ones, ("cube",), np.zeros(216)), 9)


def test_friction_and_temperature_of_free_cubes(start, make_state_point):
    # After t the velocity autocorrelation is exp(-zeta t/m), and exp(-zeta_r t/I) for rotations. At lambda 0.25 nine
    # beads are enough, which makes this fast.
    model = build_model(make_state_point(n_cubes=216, ligand_length=0.25, roughness=0.1))
    state, cube = free_cubes(model), model.body("cube")
    schedule = make_schedule(
        time_step=0.01,
        volume=state.configuration.volume,
        body_volume=1.0,
        diffusion=1.0,
        peclet=0.0,
        target_packing_fraction=0.0,
        equilibration_time=100.0,
        hold_time=0.0,
    )
    engine = start(model, state, time_step=0.01)
    v, w = [], []
    for _ in range(150):
        engine.advance(20, schedule)
        state = engine.state()
        v.append(state.velocities)
        w.append(state.angular_momenta / cube.inertia)
    v, w = np.array(v), np.array(w)
    tau = 0.2
    # Relative standard errors with n = 216 x 3 x 150 samples correlated over ~m/zeta = 5 (rotation ~1) frames.
    error_v, error_w = math.sqrt(2 * 10 / v.size), math.sqrt(2 * 2 / w.size)
    assert (v**2).mean() == pytest.approx(1.0, abs=4 * error_v + 0.005)  # 0.005: bias of order (zeta dt/m)
    assert (w**2).mean() * cube.inertia == pytest.approx(1.0, abs=4 * error_w + 0.02)  # zeta_r dt/I = 0.04
    decay_v = (v[1:] * v[:-1]).mean() / (v**2).mean()
    decay_w = (w[1:] * w[:-1]).mean() / (w**2).mean()
    assert -math.log(decay_v) / tau == pytest.approx(cube.friction / cube.mass, rel=0.1)
    assert -math.log(decay_w) / tau == pytest.approx(cube.rotational_friction / cube.inertia, rel=0.1)


@pytest.mark.parametrize(("n_cubes", "n_spheres", "size_ratio"), [(0, 64, 0.5), (20, 40, 1.6)])
def test_single_bead_contacts_keep_the_temperature(start, make_state_point, plan, n_cubes, n_spheres, size_ratio):
    values = {"n_cubes": n_cubes, "n_spheres": n_spheres, "size_ratio": size_ratio, "ligand_length": 0.1}
    model = build_model(make_state_point(**values, roughness=0.05))
    state = thermal_state(model, random_fluid(n_cubes, n_spheres, size_ratio, 0.1, 0.3, 3), 3)
    schedule = plan(model, state, equilibration_time=1000.0)
    engine, found = start(model, state), []
    for _ in range(100):
        engine.advance(50, schedule)
        found.append(engine.measure().temperature_translation)
    # About 60 particles; the heavy spheres forget their energy in m/(2 zeta) = 2.7 of the 13 time units: some 5
    # independent samples, each with a standard deviation of sqrt(2/(3 N)) = 0.1; 4 standard errors.
    assert np.mean(found) == pytest.approx(1.0, abs=4 * 0.1 / math.sqrt(5))


def test_spheres_survive_fast_drying(start, make_state_point, plan):
    # With the face-contact rule alone (one bead = one bead) the step was three times longer and atoms were lost.
    model = build_model(make_state_point(n_cubes=0, n_spheres=64, size_ratio=0.5, ligand_length=0.1))
    state = thermal_state(model, random_fluid(0, 64, 0.5, 0.1, 0.2, 3), 3)
    schedule = plan(model, state, peclet=300.0, target_packing_fraction=0.5)
    engine = start(model, state)
    engine.advance(schedule.equilibration_steps, schedule)
    engine.advance(schedule.drying_steps, schedule)
    engine.advance(schedule.hold_steps, schedule)
    final = engine.state().configuration
    assert final.volume == pytest.approx(schedule.volume_end, rel=1e-12)
    gap = final.minimum_image(final.positions[:, None] - final.positions[None])
    distance = np.linalg.norm(gap, axis=-1)[np.triu_indices(64, 1)]
    assert distance.min() > 2.0 - 0.25 * 0.2  # spheres of diameter 2 meet within a quarter of sigma


# --- noise ------------------------------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_runs_and_others_do_not(start, cubes, plan):
    model, state = cubes
    schedule = plan(model, state)
    ends = []
    for seed in (3, 3, 4):
        engine = start(model, state, seed=seed)
        engine.advance(100, schedule)
        ends.append(engine.state().configuration.positions)
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.abs(ends[0] - ends[2]).max() > 1e-6


def test_noise_does_not_repeat_in_a_continued_run(start, make_state_point, plan):
    # The velocity that noise alone adds to cubes at rest, far apart: the same seed, begun at two absolute steps.
    model = build_model(make_state_point(n_cubes=216, ligand_length=0.25, roughness=0.1))
    schedule = plan(model, free_cubes(model), equilibration_time=1.0)
    kicks = []
    for step in (0, 10):
        engine = start(model, at_rest(free_cubes(model).configuration.with_(step=step)))
        engine.advance(10, schedule)
        kicks.append(engine.state().velocities.ravel())
    # 648 pairs of independent normal numbers: their correlation is 0 within 4 of 1/sqrt(648).
    assert abs(np.corrcoef(*kicks)[0, 1]) < 4 / math.sqrt(648)


def test_without_a_thermostat_energy_is_conserved(start, cubes, plan):
    model, state = cubes
    schedule = plan(model, state, equilibration_time=2000 * model.time_step)
    bath = start(model, state)
    bath.advance(200, schedule)
    # What the bath's last step left in the state must not push on in a run without one.
    engine = start(model, bath.state(), thermostat=False)

    def energy():
        thermo = engine.measure()
        kinetic = 1.5 * 8 * (thermo.temperature_translation + thermo.temperature_rotation)
        return thermo.potential_energy + kinetic

    before = energy()
    for _ in range(100):  # in short pieces, at whose joints nothing may be gained either
        engine.advance(20, schedule)
    # STIFFNESS_LIMIT: below 1e-5 kT per degree of freedom (48 of them) and 1,000 steps; ten times that for luck.
    assert energy() == pytest.approx(before, abs=10 * 1e-5 * 48 * 2)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_overlapping_bodies_stop_with_one_sentence(start, make_state_point, plan):
    model = build_model(make_state_point(n_cubes=2))
    configuration = Configuration(
        [8, 8, 8, 0, 0, 0], [[0, 0, 0], [0.1, 0.05, 0.02]], [[1, 0, 0, 0]] * 2, ("cube",), [0, 0]
    )
    schedule = plan(model, at_rest(configuration), equilibration_time=100.0)
    with pytest.raises(EngineError, match=r"(LAMMPS|HOOMD-blue) stopped: .*: dry more slowly") as caught:
        start(model, at_rest(configuration)).advance(5000, schedule)
    assert "\n" not in str(caught.value)


def test_single_point_is_the_formula(engine_class, mixture):
    model, state = mixture
    energy, forces, torques, version = base.single_point(model, state.configuration, engine_class, "cpu")
    expected = evaluate(model, state.configuration)
    assert energy == pytest.approx(expected.energy, rel=1e-9)  # both in double precision
    np.testing.assert_allclose(forces, expected.forces, atol=1e-9 * np.abs(expected.forces).max() + 1e-9)
    np.testing.assert_allclose(torques, expected.torques, atol=1e-9 * np.abs(expected.forces).max() + 1e-9)
    assert version[0].isdigit()
