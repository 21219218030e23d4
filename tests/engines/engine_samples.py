"""States and runs that several tests of engines share."""

import numpy as np

from supercube.engines.base import State, thermal_state
from supercube.engines.run import RunOptions
from supercube.model.particles import build_model
from supercube.protocol.initial import random_fluid
from supercube.protocol.schedule import Schedule
from supercube.statepoint import StatePoint

#: What has to be equal in two states for them to be one.
PARTS = ("box", "positions", "orientations", "typeid", "images")


def at_rest(configuration):
    rest = np.zeros((len(configuration), 3))
    return State(configuration, rest, rest)


def run_to(engine, schedule, step, until, period=100):
    """Advance in chunks that end at multiples of ``period`` and at ends of stages, as ``simulate`` does."""
    while step < until:
        target = min(until, schedule.next_boundary(step), (step // period + 1) * period)
        engine.advance(target - step, schedule)
        step = target


def assert_same_state(found, expected):
    """Bit by bit, what is private to the engine included."""
    assert found.configuration.step == expected.configuration.step
    for name in PARTS:
        np.testing.assert_array_equal(getattr(found.configuration, name), getattr(expected.configuration, name), name)
    np.testing.assert_array_equal(found.velocities, expected.velocities)
    np.testing.assert_array_equal(found.angular_momenta, expected.angular_momenta)
    assert set(found.private) == set(expected.private)
    for name, array in expected.private.items():
        np.testing.assert_array_equal(found.private[name], array, name)


def long_run(engine):
    """Arguments for ``simulate``: a minute's run, checkpointed every 100 steps, the same in any process.

    Its 4.8 million steps times bodies are just not worth tuning an engine for, which would take seconds.
    """
    model = build_model(StatePoint.parse({"ligand_length": 0.2, "n_cubes": 8}, "a test"))
    state = thermal_state(model, random_fluid(8, 0, 1.0, 0.2, 0.15, 5), 5)
    volume = state.configuration.volume
    schedule = Schedule(model.time_step, 600_000, 0, 0, volume, volume)
    options = RunOptions(engine=engine, device="cpu", log_period=100, frames=3000, checkpoint_seconds=0.01)
    return model, schedule, state, options
