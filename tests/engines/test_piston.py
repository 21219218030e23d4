"""The piston alone: what it may change, and the distribution it leads to."""

import math

import numpy as np
import pytest

from supercube.engines.piston import PERIOD, Piston, bulk_modulus

INTERVAL = 0.01


def piston(freedom="lengths", body_volume=30.0):
    return Piston(freedom, body_volume, 1, np.zeros((3, 3)))


def test_the_mass_is_made_for_a_crystal_near_contact():
    # V = V0 + 3 N/P has K = -V dP/dV = P^2 V/(3 N) for spheres, and at low pressure an ideal gas has K = P.
    assert bulk_modulus(1e-6, 1.0) == pytest.approx(1e-6, rel=1e-5)
    assert bulk_modulus(1e4, 1.3) == pytest.approx(1e8 * 1.3 / 3, rel=1e-3)


@pytest.mark.parametrize(("freedom", "free"), [("isotropic", 1), ("lengths", 3), ("all", 6)])
def test_only_what_is_free_moves(freedom, free):
    moved = piston(freedom)
    for step in range(0, 50, 10):
        moved.push(np.array([[90.0, 5, 7], [5, 80, 9], [7, 9, 70]]), 30.0, 20, 4.0, INTERVAL, step)
    assert not moved.rates[np.tril_indices(3, -1)].any()
    assert (moved.rates[np.triu_indices(3, 1)] != 0).all() == (free == 6)
    assert len(set(np.diag(moved.rates).tolist())) == (1 if free == 1 else 3)


def test_a_box_of_too_high_pressure_grows():
    for pressure, sign in ((1.0, 1), (9.0, -1)):
        moved = piston("isotropic")
        for step in range(0, 300, 10):
            moved.push(np.eye(3) * 100.0, 30.0, 20, pressure, INTERVAL, step)  # (20 + 100)/30 = 4
        assert np.sign(np.trace(moved.rates)) == sign


def test_noise_depends_on_the_step_alone():
    one, other = piston(), piston()
    one.push(np.eye(3), 30.0, 20, 4.0, INTERVAL, 70)
    other.push(np.eye(3), 30.0, 20, 4.0, INTERVAL, 80)
    again = piston()
    again.push(np.eye(3), 30.0, 20, 4.0, INTERVAL, 70)
    np.testing.assert_array_equal(one.rates, again.rates)
    assert not np.array_equal(one.rates, other.rates)


@pytest.mark.parametrize("freedom", ["isotropic", "lengths"])
def test_strains_have_the_distribution_of_boltzmann(freedom):
    """A solid that resists each strain with W = -k e - (N - P V) has <e^2> = kT/k (of one for all three: kT/3k)."""
    n, volume, pressure = 50, 60.0, 8.0
    mass = volume * bulk_modulus(pressure, volume / n) / (2 * math.pi / PERIOD) ** 2
    omega = 2 * math.pi / PERIOD  # the solid is as stiff as the mass was made for
    moved, strain, squares = piston(freedom, volume), np.zeros(3), []
    for step in range(0, 200_000, 10):
        virial = np.diag(-mass * omega**2 * strain - (n - pressure * volume))
        moved.push(virial, volume, n, pressure, INTERVAL, step)
        strain = strain + INTERVAL * np.diag(moved.rates)
        squares.append((strain**2).mean())
    expected = 1.0 / (mass * omega**2) / (3.0 if freedom == "isotropic" else 1.0)
    blocks = np.mean(np.array_split(squares, 20), axis=1)
    error = blocks.std(ddof=1) / math.sqrt(20)
    assert error < 0.1 * expected
    # The splitting is wrong by (omega interval)^2/4 = 0.001.
    assert abs(blocks.mean() - expected) < 4 * error + 0.001 * expected


@pytest.mark.parametrize("freedom", ["isotropic", "lengths"])
def test_an_ideal_gas_has_its_mean_volume_and_its_fluctuations(freedom):
    """V^N exp(-P V/kT) d ln V is a Gamma distribution: <V> = N kT/P, <V^2> - <V>^2 = N (kT/P)^2."""
    n, pressure, interval = 8, 1.0, 0.02
    moved, logs, volumes = piston(freedom, 8.0), np.full(3, math.log(8.0) / 3), []
    for step in range(0, 400_000, 10):
        moved.push(np.zeros((3, 3)), math.exp(logs.sum()), n, pressure, interval, step)
        logs = logs + interval * np.diag(moved.rates)
        volumes.append(math.exp(logs.sum()))
    blocks = np.array_split(np.array(volumes)[1000:], 20)
    means, squares = (np.array([(block**k).mean() for block in blocks]) for k in (1, 2))
    mean, error = means.mean(), means.std(ddof=1) / math.sqrt(20)
    assert error < 0.03 * n / pressure  # a mass that grows with the volume makes the mean 17 % too large
    assert abs(mean - n / pressure) < 4 * error
    variance = squares.mean() - mean**2
    assert variance == pytest.approx(n / pressure**2, rel=0.25)  # of some 300 independent volumes, three of sqrt(2/300)
