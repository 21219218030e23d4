"""Every structure of one species of cubes and of spheres starts in every engine, in the smallest box allowed."""

import math

import numpy as np
import pytest
from engine_samples import run_to

from supercube.crystals.build import build_crystal, least_cells, per_box_cell
from supercube.crystals.library import structure
from supercube.crystals.phases import BINARY
from supercube.engines.base import thermal_state
from supercube.model.particles import build_model
from supercube.model.sums import evaluate

GAMMA, LAMBDA = 0.45, 0.2


@pytest.mark.parametrize("name", BINARY)
def test_structure_starts(engine_class, start, plan, make_state_point, name):
    cells = math.prod(least_cells(name, GAMMA, LAMBDA))
    cubes, spheres = (cells * number for number in per_box_cell(structure(name)).values())
    ratio = GAMMA if spheres else 1.0
    point = make_state_point(
        n_cubes=cubes, n_spheres=spheres, size_ratio=ratio, ligand_length=LAMBDA, initial=name, roughness=0.05
    )
    model = build_model(point)
    # Slightly too dense, so that what touches at closest packing is in contact.
    state = thermal_state(model, build_crystal(name, cubes, spheres, ratio, LAMBDA, 0.99), 3)
    assert len(state.configuration) == cubes + spheres
    engine_class.check(model, state.configuration, state.configuration.volume)
    expected = evaluate(model, state.configuration).energy
    assert expected > 1
    engine = start(model, state)
    assert engine.measure().potential_energy == pytest.approx(expected, rel=1e-9)  # both in double precision
    schedule = plan(model, state)
    run_to(engine, schedule, 0, 20)
    moved = engine.state().configuration
    steps = state.configuration.minimum_image(moved.positions - state.configuration.positions)
    # 20 steps of 0.0008 are 0.016 time units: a free sphere diffuses 0.3 e in them; nothing has been thrown out.
    assert 0 < np.linalg.norm(steps, axis=1).max() < 0.5
