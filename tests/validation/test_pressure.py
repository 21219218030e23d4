"""The relation between fluctuations of volume and virial, on made-up series and on a short run."""

import numpy as np
import pytest

from supercube.validation.dynamics import Machine
from supercube.validation.pressure import Held, pressure_checks


def gas(n, pressure, size, rng, heat=1.0):
    """Volumes of an ideal gas of n particles, V^N exp(-P V/T) d ln V, and its pressures N kT/V."""
    volumes = rng.gamma(n, heat / pressure, size)
    return Held(volumes, n * 1.0 / volumes, pressure)


def test_an_ideal_gas_fluctuates_as_it_must():
    value, error = gas(40, 3.0, 20_000, np.random.default_rng(2)).fluctuation
    assert value == pytest.approx(1.0, abs=4 * error)
    assert error < 0.03


def test_a_barostat_that_is_too_hot_is_seen():
    # Volumes of temperature 1.3 around the same mean, under pressures of temperature 1.
    rng = np.random.default_rng(2)
    held = gas(40, 3.0, 20_000, rng)
    wider = held.volumes.mean() + 1.3 * (held.volumes - held.volumes.mean())
    value, error = Held(wider, 40 / wider, 3.0).fluctuation
    assert value - 1.0 > 5 * error


@pytest.mark.validate
def test_a_quick_run_gives_finite_numbers_near_their_targets():
    checks = pressure_checks(Machine("lammps"), quick=True)
    assert [check.passed for check in checks] == [True] * 3
