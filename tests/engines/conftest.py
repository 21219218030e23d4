"""Every engine as a parameter, tiny systems, and schedules for them."""

import dataclasses

import pytest

from supercube.crystals.build import build_crystal
from supercube.engines.base import Setup, choose, thermal_state
from supercube.model.particles import build_model
from supercube.protocol.initial import random_fluid
from supercube.protocol.schedule import make_schedule


@pytest.fixture(params=["lammps", pytest.param("hoomd", marks=pytest.mark.hoomd)])
def engine_class(request):
    """A test that takes this holds for every engine."""
    return choose(request.param)


@pytest.fixture
def start(engine_class):
    """Engines that are closed when the test ends; on the CPU, for reasons of tolerances and equal runs."""
    engines = []

    def make(model, state, **setup):
        values = Setup(model.time_step, seed=11, device="cpu")
        engines.append(engine_class(model, state, dataclasses.replace(values, **setup)))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def cubes(make_state_point):
    state_point = make_state_point(n_cubes=8)
    model = build_model(state_point)
    return model, thermal_state(model, random_fluid(8, 0, 1.0, 0.2, 0.15, 5), 5)


@pytest.fixture
def mixture(make_state_point):
    state_point = make_state_point(
        n_cubes=32, n_spheres=8, size_ratio=0.49, ligand_length=0.18, initial="ABO3", roughness=0.05
    )
    model = build_model(state_point)
    # Slightly compressed, so that every kind of pair is in contact.
    return model, thermal_state(model, build_crystal("ABO3", 32, 8, 0.49, 0.18, 0.99), 7)


@pytest.fixture
def plan():
    def make(model, state, **changes):
        counts = {name: state.configuration.count(name) for name in state.configuration.species}
        values = {
            "time_step": model.time_step,
            "volume": state.configuration.volume,
            "body_volume": model.volume_of(counts),
            "diffusion": model.diffusion,
            "peclet": 0.0,
            "target_packing_fraction": 0.0,
            "equilibration_time": 100 * model.time_step,
            "hold_time": 100 * model.time_step,
        }
        return make_schedule(**(values | changes))

    return make
