"""Friction and noise do not depend on how a run is cut into pieces."""

import numpy as np
import pytest

from supercube.engines.base import thermal_state
from supercube.validation.dynamics import WALK_STEP, endless, free_bodies


def test_runs_of_one_step_keep_the_temperature(machine):
    # The noise of a step acts half at its end and half at the start of the next; an engine that computes its forces
    # anew in between may lose the second half, and with pieces of one step the temperature becomes one half.
    model, configuration = free_bodies(100, box=8.0)
    schedule, found = endless(model, configuration, WALK_STEP), []
    with machine.running(model, thermal_state(model, configuration, 2), WALK_STEP, seed=5) as engine:
        for _ in range(400):
            engine.advance(1, schedule)
            thermo = engine.measure()
            found.append((thermo.temperature_translation, thermo.temperature_rotation))
    translation, rotation = np.mean(found, axis=0)
    # Two time units. Energies forget in m/(2 zeta) = 0.5 (rotation 0.13) of them; with sqrt(2/(3 N)) a sample and
    # twice that memory a standard error is 0.04 (0.03): four of them still tell one half from one.
    assert translation == pytest.approx(1.0, abs=4 * 0.04)
    assert rotation == pytest.approx(1.0, abs=4 * 0.03)
