"""The relation between fluctuations of volume and virial, on made-up series and on a short run."""

import numpy as np
import pytest

from supercube.validation import pressure
from supercube.validation.dynamics import Machine
from supercube.validation.pressure import Held, pressure_checks


def gas(n, p, size, rng, heat=1.0):
    """Volumes of an ideal gas of n particles, V^N exp(-P V/T) d ln V, and its pressures N kT/V."""
    volumes = rng.gamma(n, heat / p, size)
    return Held(volumes, n * 1.0 / volumes, p)


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


def test_an_ideal_gas_balances_the_pressure_and_another_pressure_is_seen():
    held = gas(40, 3.0, 20_000, np.random.default_rng(2))
    value, error = held.balance
    # V P_int = N kT in every frame, so all error is that of <V>, 1/sqrt(40) a frame.
    assert error == pytest.approx(1 / np.sqrt(40 * 20_000), rel=0.4)  # 20 blocks: 16 % of a standard deviation
    assert value == pytest.approx(1.0, abs=4 * error)
    other, _ = Held(held.volumes, held.pressures * 1.02, 3.0).balance
    assert other == pytest.approx(1.02 * value)


def test_checks_see_a_barostat_that_holds_another_pressure(monkeypatch):
    def wrong(scale):
        def hold(machine, model, start, p, freedom, time):
            held = gas(40, p, 20_000, np.random.default_rng(4))
            return Held(held.volumes, held.pressures * scale, p)

        return hold

    for scale, passes in ((1.0, True), (1.05, False)):
        monkeypatch.setattr(pressure, "hold", wrong(scale))
        balances = [check for check in pressure_checks(Machine("lammps")) if "P_int" in check.name]
        assert [check.passed for check in balances] == [passes] * 2


@pytest.mark.validate
def test_a_quick_run_gives_finite_numbers_near_their_targets():
    checks = pressure_checks(Machine("lammps"), quick=True)
    assert [check.passed for check in checks] == [True] * 5
