import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from supercube.engines.base import State, Thermo, present
from supercube.validation import dynamics
from supercube.validation.dynamics import (
    MOTIONS,
    REPORTED,
    Conservation,
    Diffusion,
    Machine,
    Walk,
    angular_displacements,
    diffusion,
    drift_and_error,
    dynamics_checks,
    endless,
    energy_per_degree,
    free_bodies,
    label,
    mean_and_error,
    mean_square,
    total_momentum,
)


def test_the_error_of_a_correlated_series_is_that_of_its_mean():
    # x' = a x + noise: variance of the mean is (1 + a)/(1 - a) var/n, 19 times that of independent values at a = 0.9.
    rng, n, a = np.random.default_rng(1), 4_000, 0.9
    means, errors = [], []
    for _ in range(100):
        noise = rng.normal(size=n) * math.sqrt(1 - a**2)
        series = np.empty(n)
        last = rng.normal()
        for k, kick in enumerate(noise):
            last = series[k] = a * last + kick
        mean, error = mean_and_error(series)
        means.append(mean)
        errors.append(error)
    expected = math.sqrt((1 + a) / (1 - a) / n)
    # 100 series: 7 % of a standard deviation; blocks of 200 lose 5 % of the correlation.
    assert np.std(means) == pytest.approx(expected, rel=0.25)
    assert np.mean(errors) == pytest.approx(expected, rel=0.15)


def test_a_drift_is_its_slope_and_a_random_walk_its_error():
    rng = np.random.default_rng(2)
    rows = np.arange(300)
    assert drift_and_error(3e-6 * rows)[0] == pytest.approx(1.5e-5)  # every 200 steps, so 5 rows a thousand
    slopes, errors = np.transpose([drift_and_error(np.cumsum(rng.normal(size=300))) for _ in range(300)])
    assert abs(slopes.mean()) < 4 * slopes.std() / math.sqrt(300)
    assert errors.mean() == pytest.approx(slopes.std(), rel=0.2)  # 300 slopes: 4 % and the small sample of the walk


def test_energy_per_degree_counts_degrees_of_freedom():
    _, configuration = free_bodies(5)
    # At kT = 1 every degree of freedom has half of it.
    assert energy_per_degree(Thermo(1.0, 1.0, 0.0, 0.0, 1.0), configuration) == pytest.approx(0.5)
    only = configuration.with_(typeid=np.ones(10, dtype=int))
    assert energy_per_degree(Thermo(1.0, math.nan, 15.0, 0.0, 1.0), only) == pytest.approx(1.0)


def test_momentum_is_mass_times_velocity():
    model, configuration = free_bodies(2)
    velocities = np.zeros((4, 3))
    velocities[0, 0], velocities[3, 1] = 2.0, -1.0
    found = total_momentum(model, State(configuration, velocities, np.zeros((4, 3))))
    assert found == pytest.approx([2.0 * model.body("cube").mass, -model.body("sphere").mass, 0])


def test_turns_about_one_axis_add_up():
    angles = np.linspace(0, 9, 60)  # more than a turn
    turns = [Rotation.from_rotvec([[0, 0, a], [a / 2, 0, 0]]) for a in angles]
    found = angular_displacements(turns)
    np.testing.assert_allclose(found[:, 0, 2], angles, atol=1e-12)
    np.testing.assert_allclose(found[:, 1, 0], angles / 2, atol=1e-12)


def test_mean_square_of_straight_paths():
    path = np.arange(10)[:, None, None] * np.array([[[1.0, 0, 0], [0, 2.0, 0]]])
    np.testing.assert_allclose(mean_square(path, 3), [9, 36])


def ornstein_uhlenbeck(friction, mass, n, steps, dt, rng, kt=1.0):
    """Exact positions of free bodies (Chandrasekhar), every dt: (steps, n, 3)."""
    tau = mass / friction
    decay, walk = math.exp(-dt / tau), kt / friction
    v = rng.normal(size=(n, 3)) * math.sqrt(kt / mass)
    x, path = np.zeros((n, 3)), []
    spread_v = kt / mass * (1 - decay**2)
    spread_x = 2 * walk * (dt - 2 * tau * (1 - decay) + tau * (1 - decay**2) / 2)
    both = walk * (1 - decay) ** 2
    for _ in range(steps):
        a, b = rng.normal(size=(2, n, 3))
        x = x + v * tau * (1 - decay) + both / math.sqrt(spread_v) * a + math.sqrt(spread_x - both**2 / spread_v) * b
        v = v * decay + math.sqrt(spread_v) * a
        path.append(x)
    return np.array(path)


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("temperature", [1.0, 1.2])
def test_diffusion_is_measured_right_on_exact_paths(motion, temperature):
    model, configuration = free_bodies(100)
    body, frame = model.body(motion.split()[0]), dynamics.WALK_STEP * dynamics.WALK_PERIOD
    rng = np.random.default_rng(3)
    rotates = motion.endswith("rotation")
    friction, mass = (body.rotational_friction, body.inertia) if rotates else (body.friction, body.mass)
    path = ornstein_uhlenbeck(friction, mass, 100, 1200, frame, rng, temperature)
    walk = Walk(model, configuration, np.concatenate([path, path], axis=1), path)
    found = diffusion(walk, motion)
    assert found.error < 0.1
    assert abs(found.value - temperature) < 4 * found.error


def test_free_bodies_have_no_range_but_the_model_s_motion():
    free, configuration = free_bodies(50)
    model = dynamics.model_of(50, 50, 1.0, 0.2, 0.05)
    assert (configuration.count("cube"), configuration.count("sphere")) == (50, 50)
    for ghost, body in zip(free.bodies, model.bodies, strict=True):
        assert not ghost.radii.any()
        assert ghost.is_rigid == body.is_rigid
        for name in ("mass", "inertia", "friction", "rotational_friction"):
            assert getattr(ghost, name) == getattr(body, name)


def test_a_schedule_without_end_holds_its_volume():
    model, configuration = free_bodies(10)
    schedule = endless(model, configuration, 0.005)
    assert {schedule.volume(step) for step in (0, 10**6, 10**8)} == {configuration.volume}
    assert schedule.total_steps > 10**8


# --- the checks of the report ----------------------------------------------------------------------------------------


@pytest.fixture
def found(monkeypatch):
    """What the runs found, to be changed by a test."""
    values = {
        "drift": 3e-6,
        "walk": 3e-6,
        "momentum": 1e-13,
        "temperature": 1.0,
        "translation": 1.0,
        "rotation": 1.0,
        "diffusion": 1.0,
    }
    noise = 0.02 * np.random.default_rng(1).normal(size=2000)
    noise -= noise.mean()

    def conservation(machine, case, steps):
        return Conservation(values["drift"], values["walk"], values["momentum"], values["temperature"], 0.1)

    def dense_fluid(machine, time):
        rows = [Thermo(values["translation"] + x, values["rotation"] + x, 0, 0, 1) for x in noise]
        return None, rows, []

    monkeypatch.setattr(dynamics, "label", lambda machine: "an engine")
    monkeypatch.setattr(dynamics, "conservation", conservation)
    monkeypatch.setattr(dynamics, "dense_fluid", dense_fluid)
    monkeypatch.setattr(dynamics, "walk", lambda *arguments: None)
    monkeypatch.setattr(dynamics, "diffusion", lambda path, motion: Diffusion(values["diffusion"], 0.007, 0.001))
    return values


def failed():
    checks = dynamics_checks(Machine("lammps"))
    assert len(checks) == 3 * len(REPORTED) + 2 + len(MOTIONS)
    return [check.name for check in checks if not check.passed]


def test_right_dynamics_pass(found):
    assert failed() == []


@pytest.mark.parametrize(
    ("what", "value", "number", "name"),
    [
        ("drift", -1.6e-5, len(REPORTED), "energy drift"),
        ("walk", 2e-5, len(REPORTED), "energy drift"),  # no drift, but an integrator too noisy to see one
        ("momentum", 1e-8, len(REPORTED), "total momentum"),
        ("temperature", 0.5, len(REPORTED), "temperature of translation of that run"),
        ("translation", 1.01, 1, "temperature of translation of a fluid"),
        ("rotation", 0.99, 1, "temperature of rotation"),
        ("diffusion", 1.03, len(MOTIONS), "D zeta/kT"),
        ("rotation", math.nan, 1, "temperature of rotation"),
    ],
)
def test_wrong_dynamics_fail(found, what, value, number, name):
    found[what] = value
    names = failed()
    assert len(names) == number
    assert all(name in one for one in names)


def test_a_quick_run_may_be_noisier_by_the_root_of_its_length_and_no_more(found):
    for walk, fails in ((2.8e-5, 0), (3.5e-5, len(REPORTED))):
        found["walk"] = walk
        checks = dynamics_checks(Machine("lammps"), quick=True)
        assert sum(not check.passed and "energy drift" in check.name for check in checks) == fails


def test_labels_name_the_engine_and_its_version():
    for name in present():
        word, version = label(Machine(name)).split(" ", 1)
        assert word in ("LAMMPS", "HOOMD-blue")
        assert version[0].isdigit()
