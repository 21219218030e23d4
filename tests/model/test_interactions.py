import numpy as np
import pytest

from supercube.model.interactions import CURVATURE, CUTOFF, delta, wca_energy, wca_force

SIGMA = 0.3


@pytest.mark.parametrize("x", [0.8, 0.95, 1.0, 1.1])
def test_energy_is_the_formula(x):
    expected = 4 * (x**-12 - x**-6) + 1
    assert wca_energy(x * SIGMA, SIGMA) == pytest.approx(expected, rel=1e-14)


def test_energy_is_one_at_contact_and_vanishes_with_its_slope_at_the_cutoff():
    assert wca_energy(SIGMA, SIGMA) == pytest.approx(1.0, rel=1e-14)
    inside = CUTOFF * SIGMA * (1 - 1e-9)
    assert wca_energy(inside, SIGMA) == pytest.approx(0.0, abs=1e-14)
    assert wca_force(inside, SIGMA) == pytest.approx(0.0, abs=1e-4)  # U'' times the distance to the cutoff
    assert wca_energy(CUTOFF * SIGMA, SIGMA) == 0.0


def test_force_is_minus_the_derivative():
    s, h = np.linspace(0.8, 1.1, 13) * SIGMA, 1e-6
    numeric = -(wca_energy(s + h, SIGMA) - wca_energy(s - h, SIGMA)) / (2 * h)
    # Central differences: relative error h^2 U'''/U' of order (h/s)^2 * 200 = 4e-9, and rounding eps/h = 1e-10.
    np.testing.assert_allclose(wca_force(s, SIGMA), numeric, rtol=1e-7, atol=1e-7)


def test_curvature_at_the_minimum():
    h = 1e-6
    slope = wca_force(CUTOFF * SIGMA - h, SIGMA) / h
    assert slope == pytest.approx(CURVATURE / SIGMA**2, rel=1e-4)  # next order: h U'''/2U'' = 4e-5
    assert pytest.approx(57.15, abs=0.005) == CURVATURE


def test_delta_puts_contact_at_the_sum_of_radii():
    assert delta(0.5, 0.1, 0.2) + 0.2 == pytest.approx(0.6)
    assert delta(0.1, 0.1, 0.2) == pytest.approx(0.0)
