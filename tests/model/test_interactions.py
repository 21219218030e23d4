import numpy as np
import pytest

from supercube.model.interactions import (
    CURVATURE,
    CUTOFF,
    WELL_CURVATURE,
    WELL_CUTOFF,
    delta,
    wca_energy,
    wca_force,
    well_depth,
    well_energy,
    well_force,
)

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


@pytest.mark.parametrize("x", [0.9, CUTOFF, 1.3, 2.0, 2.49])
def test_well_is_the_formula(x):
    expected = -np.exp(-((x - CUTOFF) ** 2) * 8) + np.exp(-((2.5 - CUTOFF) ** 2) * 8)  # tau = sigma/4: 1/(2 tau^2) = 8
    assert well_energy(x * SIGMA, SIGMA) == pytest.approx(expected, rel=1e-12)


def test_well_is_deepest_where_the_repulsion_ends():
    s = np.linspace(0.8, 2.6, 1801) * SIGMA
    assert s[well_energy(s, SIGMA).argmin()] / SIGMA == pytest.approx(CUTOFF, abs=1e-3)  # the grid's spacing
    assert well_force(CUTOFF * SIGMA, SIGMA) == 0.0
    # The shift that makes it end at zero takes exp(-15.3) = 2.4e-7 off its depth of 1.
    assert well_energy(CUTOFF * SIGMA, SIGMA) == pytest.approx(-1.0, abs=3e-7)


def test_well_force_is_minus_the_derivative():
    s, h = np.linspace(0.8, 2.4, 33) * SIGMA, 1e-6
    numeric = -(well_energy(s + h, SIGMA) - well_energy(s - h, SIGMA)) / (2 * h)
    # Central differences: h^2 F''/6 < (h/tau)^2 * 1.4/tau = 3e-9 in the force F, and rounding eps/h = 2e-10.
    np.testing.assert_allclose(well_force(s, SIGMA), numeric, atol=1e-8)


def test_well_ends_without_a_step():
    end = WELL_CUTOFF * SIGMA
    assert well_energy(end * (1 - 1e-12), SIGMA) == pytest.approx(0.0, abs=1e-15)
    # Cut and shifted, not smoothed: the force ends at x exp(-x^2/2)/tau, x = 5.5, some 2e-5 w/e at sigma 0.3.
    assert -3e-5 < well_force(end * (1 - 1e-12), SIGMA) < 0
    for function in (well_energy, well_force):
        np.testing.assert_array_equal(function(np.array([end, 2 * end]), SIGMA), 0.0)


def test_curvature_at_the_bottom_of_the_well():
    h = 1e-6
    slope = -well_force(CUTOFF * SIGMA + h, SIGMA) / h
    assert slope == pytest.approx(WELL_CURVATURE / SIGMA**2, rel=1e-9)  # next order (h/tau)^2/2 = 1e-10


def test_depth_follows_the_mean_radius():
    ligand = SIGMA / 2
    assert well_depth(ligand, ligand, SIGMA) == pytest.approx(1.0)
    # Derjaguin: R_i R_j/(R_i + R_j), so a bead on a plane is twice as deep as on its like.
    assert well_depth(ligand, 1e9, SIGMA) == pytest.approx(2.0)
    assert well_depth(0.5, 1.0, SIGMA) == pytest.approx((0.5 / 1.5) / (SIGMA / 4))
    assert well_depth(0.5, 1.0, SIGMA) == well_depth(1.0, 0.5, SIGMA)
