import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration
from supercube.doctor import potential_energy
from supercube.engines import base
from supercube.engines.base import State, thermal_state
from supercube.engines.lammps import LammpsEngine
from supercube.errors import EngineError
from supercube.model.interactions import wca_force
from supercube.model.particles import build_model
from supercube.protocol.initial import random_fluid
from supercube.protocol.schedule import make_schedule


@pytest.fixture
def start():
    engines = []

    def make(model, state, seed=11, time_step=None):
        engines.append(LammpsEngine(model, state, time_step=time_step or model.time_step, seed=seed))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def quiet(model, configuration):
    n = np.zeros((len(configuration), 3))
    return State(configuration, n, n)


def test_energy_is_the_formula_on_a_crystal(start, mixture):
    model, state = mixture
    measured = start(model, state).measure().potential_energy
    expected = potential_energy(model, state.configuration)
    assert expected > 10  # the pairs really touch
    assert measured == pytest.approx(expected, rel=1e-9)  # both in double precision


def test_energy_is_the_formula_after_a_run(start, mixture, plan):
    model, state = mixture
    engine = start(model, state)
    engine.advance(200, plan(model, state, equilibration_time=1.0))
    expected = potential_energy(model, engine.state().configuration)
    # The bead positions that LAMMPS integrated are rebuilt here from centre and quaternion: 1e-12 e of a force 1e3.
    assert engine.measure().potential_energy == pytest.approx(expected, rel=1e-7)


def test_energy_and_pressure_are_the_formula_while_drying_fast(start, make_state_point, plan):
    model = build_model(make_state_point(n_cubes=27))
    state = thermal_state(model, random_fluid(27, 0, 1.0, 0.2, 0.25, 5), 5)
    schedule = plan(model, state, peclet=400.0, target_packing_fraction=0.6)
    engine = start(model, state)
    engine.advance(schedule.equilibration_steps, schedule)
    for _ in range(6):
        engine.advance(500, schedule)
        thermo, now = engine.measure(), engine.state()
        assert thermo.potential_energy == pytest.approx(potential_energy(model, now.configuration), rel=1e-9)
        # The same state in a fresh engine, whose forces belong to its box: another way to the virial.
        fresh = start(model, now).measure()
        assert thermo.potential_energy == pytest.approx(fresh.potential_energy, rel=1e-6, abs=1e-9)
        assert thermo.pressure == pytest.approx(fresh.pressure, rel=1e-6)


def test_state_survives_the_round_trip(start, mixture):
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
    found = start(model, State(sparse, state.velocities, state.angular_momenta)).state()
    assert found.configuration.step == 1230
    np.testing.assert_allclose(found.configuration.box, sparse.box, rtol=1e-14)
    np.testing.assert_allclose(found.configuration.unwrapped, sparse.unwrapped, atol=1e-10)
    np.testing.assert_allclose(found.velocities, state.velocities, atol=1e-12)
    np.testing.assert_allclose(found.angular_momenta, state.angular_momenta, atol=1e-12)
    # q and -q are the same rotation.
    overlap = np.abs((found.configuration.orientations * turned).sum(axis=1))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-12)


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
    assert start(model, quiet(model, configuration)).measure().pressure == pytest.approx(expected, rel=1e-9)


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


def test_volume_follows_the_schedule_exactly(start, cubes, plan):
    model, state = cubes
    schedule = plan(model, state, peclet=500.0, target_packing_fraction=0.2)
    engine = start(model, state)
    step = 0
    for steps in (100, 40, 60, 200):  # several chunks of one stage: fix deform must not start again at each
        engine.advance(steps, schedule)
        step += steps
        assert engine.measure().volume == pytest.approx(schedule.volume(step), rel=1e-12)
    while step < schedule.total_steps:
        chunk = min(500, schedule.next_boundary(step) - step)
        engine.advance(chunk, schedule)
        step += chunk
    assert engine.measure().volume == pytest.approx(schedule.volume_end, rel=1e-12)
    assert engine.state().configuration.step == schedule.total_steps


def test_friction_and_temperature_of_free_cubes(start, make_state_point):
    # 216 cubes far apart. After t the velocity autocorrelation is exp(-zeta t/m), and exp(-zeta_r t/I) for rotations.
    model = build_model(make_state_point(n_cubes=216, roughness=0.1))
    side = np.arange(6) * 4.0 - 10
    grid = np.stack(np.meshgrid(side, side, side), axis=-1).reshape(-1, 3)
    ones = np.tile([1.0, 0, 0, 0], (216, 1))
    configuration = Configuration([24, 24, 24, 0, 0, 0], grid, ones, ("cube",), np.zeros(216))
    cube = model.body("cube")
    schedule = make_schedule(
        time_step=0.01,
        volume=configuration.volume,
        body_volume=1.0,
        diffusion=1.0,
        peclet=0.0,
        target_packing_fraction=0.0,
        equilibration_time=100.0,
        hold_time=0.0,
    )
    engine = start(model, thermal_state(model, configuration, 9), time_step=0.01)
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


def test_tilted_boxes_are_refused(cubes):
    model, state = cubes
    tilted = state.configuration.with_(box=state.configuration.box + np.array([0, 0, 0, 0.1, 0, 0]))
    with pytest.raises(EngineError, match="rectangular box"):
        LammpsEngine(model, quiet(model, tilted), time_step=0.001, seed=1)


def test_overlapping_bodies_stop_with_one_sentence(start, make_state_point, plan):
    model = build_model(make_state_point(n_cubes=2))
    configuration = Configuration(
        [8, 8, 8, 0, 0, 0], [[0, 0, 0], [0.1, 0.05, 0.02]], [[1, 0, 0, 0]] * 2, ("cube",), [0, 0]
    )
    engine = start(model, quiet(model, configuration))
    schedule = plan(model, quiet(model, configuration), equilibration_time=100.0)
    with pytest.raises(EngineError, match=r"LAMMPS stopped: .*: dry more slowly"):
        engine.advance(5000, schedule)


@pytest.mark.parametrize(
    ("name", "device", "words"),
    [
        ("gromacs", "auto", "expected auto, hoomd or lammps"),
        ("hoomd", "auto", "hoomd was asked for"),
        ("lammps", "gpu", "computes on CPUs"),
    ],
)
def test_engines_that_cannot_be_had(name, device, words):
    with pytest.raises(EngineError, match=words):
        base.choose(name, device)


def test_several_ranks_are_refused_with_what_to_do():
    with pytest.raises(EngineError, match=r"ranks is 4, .* --parallel 4"):
        base.choose("auto", "auto", 4)


def test_auto_takes_lammps():
    assert base.choose("auto") is LammpsEngine
