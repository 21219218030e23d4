"""What only the LAMMPS engine does."""

import numpy as np
import pytest
from engine_samples import at_rest
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration, box_matrix
from supercube.crystals.build import build_crystal
from supercube.engines.base import Setup
from supercube.engines.hoomd import HoomdEngine
from supercube.engines.lammps import LammpsEngine
from supercube.errors import EngineError
from supercube.model.particles import build_model
from supercube.model.sums import evaluate
from supercube.statepoint import LARGEST_SEED


@pytest.fixture
def start():
    engines = []

    def make(model, state, **setup):
        engines.append(LammpsEngine(model, state, Setup(**{"time_step": model.time_step, "seed": 11, **setup})))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.mark.parametrize("tilts", [(0.0, 0.0, 0.0), (0.4, -0.3, 0.2)])
def test_a_box_narrower_than_the_range_is_no_obstacle(start, make_state_point, tilts):
    # HOOMD-blue refuses such a box: here a body meets several images of another.
    model = build_model(make_state_point(n_cubes=3, roughness=0.05, attraction=2.0))
    box = np.array([2.35, 2.4, 2.5, *tilts])
    places = np.array([[-0.4, -0.35, -0.4], [0.05, 0.15, -0.05], [-0.3, 0.3, 0.35]])
    turns = Rotation.from_euler("xyz", [[0.1, 0.2, 0.3], [0.2, -0.1, 0.0], [0.0, 0.1, -0.1]]).as_quat(scalar_first=True)
    configuration = Configuration(box, places @ box_matrix(box).T, turns, ("cube",), [0, 0, 0])
    LammpsEngine.check(model, configuration, configuration.volume)
    with pytest.raises(EngineError, match="HOOMD-blue needs more than"):
        HoomdEngine.check(model, configuration, configuration.volume)
    expected = evaluate(model, configuration)
    engine = start(model, at_rest(configuration), thermostat=False)
    scale = np.abs(expected.forces).max()
    assert scale > 1
    # Double precision, in another order.
    np.testing.assert_allclose(engine.forces()[0], expected.forces, atol=1e-9 * scale)
    assert engine.measure().potential_energy == pytest.approx(expected.energy, rel=1e-9)


def test_a_cube_that_meets_its_own_image_is_refused(make_state_point):
    # LAMMPS leaves out all pairs within a molecule, and those with its own images are among them.
    model = build_model(make_state_point(n_cubes=8))
    crystal = build_crystal("SC", 27, 0, 1.0, 0.2, 1.02)
    LammpsEngine.check(model, crystal, crystal.volume)
    with pytest.raises(EngineError, match=r"the box is 1\.45 e wide, where a cube may touch its own image"):
        LammpsEngine.check(model, crystal, 1.45**3)


@pytest.mark.parametrize("step", [0, 10_000_000, 2_000_000_000])
def test_any_seed_of_a_state_point_is_taken_at_any_step(start, mixture, plan, step):
    # LAMMPS refuses seeds outside 1 .. 900,000,000.
    model, state = mixture
    schedule = plan(model, state)
    ends = []
    for seed in (1, LARGEST_SEED):
        engine = start(model, at_rest(state.configuration.with_(step=step)), seed=seed)
        engine.advance(10, schedule)
        ends.append(engine.state().velocities)
    assert np.abs(ends[0] - ends[1]).max() > 1e-6


def test_there_is_nothing_to_tune(start, cubes):
    model, state = cubes
    engine = start(model, state, tune=True)
    assert (engine.settings, engine.device) == ({}, "cpu")
