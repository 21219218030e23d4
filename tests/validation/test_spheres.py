import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad

from supercube.engines.base import present
from supercube.model.interactions import wca_energy
from supercube.validation import spheres
from supercube.validation.dynamics import Machine, model_of
from supercube.validation.spheres import (
    TARGETS,
    VIRIALS,
    barker_henderson,
    carnahan_starling,
    compressibility,
    crystal_order,
    expanded_crystal,
    finite_size_shift,
    hard_sphere_model,
    ratio_and_error,
    softness,
    softness_shift,
    sphere_checks,
    virial_series,
)


def test_the_targets_are_the_virial_series():
    # Two ways to Z that know nothing of each other; Carnahan-Starling is known to lie 0.2 to 0.4 % below here.
    for density, target in TARGETS.items():
        assert virial_series(density) == pytest.approx(target, rel=spheres.DATA_ERROR)
        assert carnahan_starling(density) == pytest.approx(target, rel=4e-3)


def test_the_series_begins_as_it_should():
    # 1 + 4 eta + 10 eta^2 (exact B2 and B3).
    eta = 1e-3
    assert virial_series(6 / math.pi * eta) == pytest.approx(1 + 4 * eta + 10 * eta**2, abs=2 * VIRIALS[3] * eta**3)


def test_the_diameter_and_the_softness_are_their_integrals():
    model = hard_sphere_model()
    sigma = model.sigma
    delta = 2 * model.bodies[0].radii[0] - sigma

    def boltzmann(r):
        return math.exp(-wca_energy(r - delta, sigma)) if r > delta + 0.5 * sigma else 0.0

    end = delta + model.wca_cutoff
    diameter = quad(lambda r: 1 - boltzmann(r), 0, end, points=[delta + 0.7 * sigma], limit=200)[0]
    assert barker_henderson(model) == pytest.approx(diameter, rel=1e-7)
    r = np.linspace(delta + 0.5 * sigma, end, 20_001)
    steps = np.diff([boltzmann(x) for x in r])
    middle = (r[1:] + r[:-1]) / 2
    assert softness(model, diameter) == pytest.approx(float(((middle / diameter - 1) ** 2 * steps).sum()), rel=1e-4)


def test_the_diameter_of_the_wca_fluid_is_known():
    # The fits of Verlet & Weis: d = (0.3837 + 1.068 beta)/(0.4293 + beta), delta = 1/(210.31 + 404.6 beta).
    model = model_of(0, 8, 1.0, 0.1, 0.02)
    body = replace(model.bodies[0], radii=np.array([model.sigma / 2]))
    plain = replace(model, bodies=(body,))
    diameter = barker_henderson(plain)
    assert diameter / model.sigma == pytest.approx((0.3837 + 1.068) / (0.4293 + 1), abs=1e-4)
    assert softness(plain, diameter) == pytest.approx(1 / (210.31 + 404.6), rel=0.02)


def test_soft_spheres_are_larger_by_delta_at_low_density():
    # B2 = 2/3 pi int r^3 d exp(-U) = 2/3 pi d^3 (1 + 3 delta) to second order, and Z - 1 = B2 rho.
    density, delta = 1e-4, 1e-5
    expected = 2 / 3 * math.pi * density * 3 * delta
    assert softness_shift(density, delta) == pytest.approx(expected, rel=1e-2)


def test_the_softness_shift_is_the_pressure_of_the_free_energy():
    # Z = 1 + rho dA/drho, A the excess free energy of hard spheres as large as the blip expansion says.
    delta, density = 1e-3, 0.75

    def free_energy(rho):
        eta = math.pi / 6 * rho
        f = (1 - 4.25 * eta + 1.362 * eta**2 - 0.8751 * eta**3) / (1 - eta) ** 2
        return quad(lambda x: (virial_series(x) - 1) / x, 1e-9, rho * (1 + f * delta) ** 3, epsabs=1e-12)[0]

    h = 1e-4
    expected = 1 + (free_energy(density * (1 + h)) - free_energy(density * (1 - h))) / (2 * h)
    assert virial_series(density) + softness_shift(density, delta) == pytest.approx(expected, rel=1e-6)
    assert abs(softness_shift(density, delta)) > 0.1


def test_the_softness_matters_less_than_the_noise():
    model = hard_sphere_model()
    delta = softness(model, barker_henderson(model))
    for density, target in TARGETS.items():
        assert 0 < abs(softness_shift(density, delta)) < 5e-4 * target


def test_few_particles_have_fewer_pairs():
    # N (N - 1)/2 pairs instead of N^2/2: Z - 1 = B2 rho (1 - 1/N).
    density = 1e-3
    assert finite_size_shift(density, 500) == pytest.approx(-2 / 3 * math.pi * density / 500, rel=5e-3)
    assert finite_size_shift(0.6, 1000) == pytest.approx(finite_size_shift(0.6, 500) / 2)


def test_the_start_has_the_density_asked_for_and_is_a_crystal():
    model = hard_sphere_model()
    start = expanded_crystal(model, 0.6)
    assert len(start) * barker_henderson(model) ** 3 / start.volume == pytest.approx(0.6)
    assert crystal_order(start) == pytest.approx(1)
    rng = np.random.default_rng(1)
    fluid = start.with_(positions=rng.uniform(-0.5, 0.5, (len(start), 3)) * start.box[:3])
    assert crystal_order(fluid) < 4 / math.sqrt(len(start))


def test_a_ratio_loses_what_both_share():
    rng = np.random.default_rng(4)
    both, own = 0.1 * rng.normal(size=(300, 20)).repeat(20, axis=1), 0.1 * rng.normal(size=(300, 400))
    found = np.array([ratio_and_error(5 * (1 + x) + y, 1 + x) for x, y in zip(both, own, strict=True)])
    # Alone the mean of 5 (1 + x) has an error of 0.1 x 5/sqrt(20) = 0.11, but y only one of 0.1/sqrt(400).
    assert found[:, 0].mean() == pytest.approx(5, abs=4 * 0.005 / math.sqrt(300))
    assert found[:, 0].std() == pytest.approx(0.005, rel=0.2)  # 300 values: 4 % a standard deviation
    assert found[:, 1].mean() == pytest.approx(0.005, rel=0.1)


def test_checks_fail_when_the_pressure_is_off(monkeypatch):
    monkeypatch.setattr(spheres, "label", lambda machine: "an engine")

    def found(offset):
        def run(machine, density, time):
            target = TARGETS[density] + finite_size_shift(density, spheres.N_SPHERES)
            return spheres.Compressibility(target * (1 + offset), 0.0015 * target, 0.05)

        monkeypatch.setattr(spheres, "compressibility", run)
        return [check.passed for check in sphere_checks(Machine("lammps"))]

    assert found(0.0) == [True, True, True, True]
    assert found(0.01) == [False, True, False, True]
    assert found(-0.01) == [False, True, False, True]


@pytest.mark.validate
@pytest.mark.parametrize("name", present())
def test_spheres_are_hard(name):
    density = 0.6
    found = compressibility(Machine(name), density, 30.0)
    target = TARGETS[density] + finite_size_shift(density, spheres.N_SPHERES)
    assert found.crystal < 4 / math.sqrt(spheres.N_SPHERES)
    assert found.error < 0.01 * target
    assert abs(found.value - target) < 4 * found.error + 0.002
