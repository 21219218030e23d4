"""B2 by quadrature and Monte Carlo against other integrators, brute-force sums and exact values."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from supercube.configuration import Configuration, box_matrix
from supercube.errors import InputError
from supercube.model.interactions import wca_energy, well_energy
from supercube.model.particles import build_model
from supercube.model.shapes import Sphere, Spherocube
from supercube.model.sums import evaluate
from supercube.model.virial import (
    _core,
    _energies,
    _excluded,
    _random_pairs,
    convex_b2,
    cube_sphere_b2,
    monte_carlo_b2,
    sphere_sphere_b2,
)


@pytest.fixture
def model(make_state_point):
    return build_model(make_state_point(n_spheres=3, size_ratio=0.5, roughness=0.04))


def test_convex_formula_exact_values():
    sharp, r = Spherocube(rounding=0.0), 0.7
    assert convex_b2(sharp, sharp) == pytest.approx(5.5, rel=1e-14)
    inflated = (1 + 6 * r + 3 * math.pi * r**2 + 4 / 3 * math.pi * r**3) / 2
    assert convex_b2(sharp, Sphere(2 * r)) == pytest.approx(inflated, rel=1e-14)
    assert convex_b2(Sphere(2 * r), sharp) == pytest.approx(inflated, rel=1e-14)
    assert convex_b2(Sphere(1.0), Sphere(1.4)) == pytest.approx(2 / 3 * math.pi * 1.2**3, rel=1e-14)


@pytest.mark.parametrize("rounding", [0.15, 0.3])
def test_convex_formula_against_hard_spherocubes_thrown_at_random(rounding):
    # Cores closer than two rounding radii: alternating projections, and nothing of the package but the formula.
    rng, half, n = np.random.default_rng(2), 0.5 - rounding, 20_000
    reach = 2 * (math.sqrt(3) * half + rounding)
    # Uniform up to the signs of the columns, which a cube does not feel.
    spins = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0]
    centres = rng.normal(size=(n, 3))
    # Uniform in r^3, as volume is; below twice the core's half edge the cores always overlap.
    inner3, outer3 = (2 * half) ** 3, reach**3
    r = np.cbrt(inner3 + (outer3 - inner3) * (np.arange(n) + rng.random(n)) / n)
    centres *= (r / np.linalg.norm(centres, axis=1))[:, None]
    there = centres.copy()
    for _ in range(40):
        here = np.clip(there, -half, half)
        local = np.einsum("mki,mk->mi", spins, here - centres)
        there = centres + np.einsum("mik,mk->mi", spins, np.clip(local, -half, half))
    hits = np.linalg.norm(there - here, axis=1) < 2 * rounding
    shell = 2 / 3 * math.pi * (outer3 - inner3)
    measured, error = shell * hits.mean() + 2 / 3 * math.pi * inner3, shell * hits.std() / math.sqrt(n)
    expected = convex_b2(Spherocube(rounding=rounding), Spherocube(rounding=rounding))
    assert error < 0.006 * expected
    # Three standard errors; strata in r only make the true error smaller.
    assert abs(measured - expected) < 3 * error


@pytest.mark.parametrize(("radius", "sigma", "depth"), [(0.2, 0.4, 0.0), (1.1, 0.2, 0.0), (0.8, 0.3, 2.5)])
def test_spheres_against_adaptive_quadrature(radius, sigma, depth):
    shift = 2 * radius - sigma

    def integrand(r):
        return -np.expm1(-wca_energy(r - shift, sigma) - depth * well_energy(r - shift, sigma)) * r**2

    low, high = shift + 0.7 * sigma, shift + 2.5 * sigma  # at 0.7 sigma U is 250 kT
    total = quad(integrand, low, high, points=[shift + 2 ** (1 / 6) * sigma], epsabs=1e-13, epsrel=1e-13)[0]
    # Rounding of both; 64 nodes do a smooth function.
    assert sphere_sphere_b2(radius, radius, sigma, depth) == pytest.approx(
        2 * math.pi * (low**3 / 3 + total), rel=1e-10
    )


def test_unequal_spheres_and_too_small_ones():
    assert sphere_sphere_b2(0.3, 0.5, 0.2) == pytest.approx(sphere_sphere_b2(0.4, 0.4, 0.2), rel=1e-14)
    with pytest.raises(InputError, match="touch at a distance"):
        sphere_sphere_b2(0.05, 0.05, 0.2)


def test_one_bead_is_a_sphere(make_state_point):
    # A cube of which only the centre acts: rays in one direction are as good as in any other.
    for depth in (0.0, 1.5):
        one = cube_sphere_b2(np.zeros((1, 3)), np.array([0.5]), 0.8, 0.3, depth)
        # 24 nodes across the range of the potential: 1e-8.
        assert one == pytest.approx(sphere_sphere_b2(0.5, 0.8, 0.3, depth), rel=1e-7)


def test_cube_and_sphere_by_a_grid_over_all_space(model):
    # Midpoint rule over one octant, 48^3 points, with a brute-force energy.
    cube, radius, sigma = model.bodies[0], 0.6, model.sigma
    acting = cube.radii > 0
    line = (np.arange(48) + 0.5) / 48 * 1.2
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    energy = np.zeros(len(points))
    for place, size in zip(cube.positions[acting], cube.radii[acting], strict=True):
        s = np.linalg.norm(points - place, axis=1) - (size + radius - sigma)
        energy += wca_energy(np.maximum(s, 0.05 * sigma), sigma)
    expected = 0.5 * 8 * -np.expm1(-energy).sum() * (1.2 / 48) ** 3
    # The shell where U is about kT is 0.03 wide, a grid step 0.025: the error of 1e4 surface points at random.
    assert cube_sphere_b2(cube.positions, cube.radii, radius, sigma) == pytest.approx(expected, rel=1e-3)


def test_wells_lower_b2(model):
    cube = model.bodies[0]
    values = [cube_sphere_b2(cube.positions, cube.radii, 0.6, model.sigma, depth) for depth in (0.0, 0.05, 0.5)]
    assert values[0] > values[1] > values[2]
    # First order in the depth: twice the depth, twice the change, but for its square.
    half = cube_sphere_b2(cube.positions, cube.radii, 0.6, model.sigma, 0.025)
    assert (values[0] - values[1]) / (values[0] - half) == pytest.approx(2.0, abs=0.1)


def test_energy_of_random_pairs_is_that_of_the_formula(model, make_state_point):
    attractive = build_model(make_state_point(n_spheres=3, size_ratio=0.5, roughness=0.04, attraction=3.0))
    rng = np.random.default_rng(4)
    for other in attractive.bodies:
        cube = attractive.bodies[0]
        vectors, turns = _random_pairs(rng.random((40, 6)), 1.0 if other is cube else 1.5, 2.0)
        core = _core(other, attractive.sigma)
        for wells, judge in ((False, model), (True, attractive)):
            energy = _energies(attractive, cube, (other, core), vectors, turns, wells)
            expected = [_pair_energy(judge, other, v, t) for v, t in zip(vectors, turns, strict=True)]
            low = np.array(expected) < 1e6  # beyond, the floor under s shows, where exp(-U) is 0
            assert low.sum() > 15
            np.testing.assert_allclose(energy[low], np.array(expected)[low], rtol=1e-9, atol=1e-12)


def _pair_energy(model, other, vector, turn):
    from scipy.spatial.transform import Rotation

    quaternions = [[1.0, 0.0, 0.0, 0.0], Rotation.from_matrix(turn).as_quat(scalar_first=True)]
    types = np.array([0, 0 if other.is_rigid else 1])
    configuration = Configuration(
        positions=np.array([np.zeros(3), vector]),
        orientations=np.array(quaternions),
        typeid=types,
        species=("cube", "sphere"),
        shapes=tuple(body.shape for body in model.bodies),
        box=np.array([20.0, 20.0, 20.0, 0.0, 0.0, 0.0]),
    )
    assert np.allclose(box_matrix(configuration.box), 20 * np.eye(3))
    return evaluate(model, configuration).energy


def test_pairs_left_out_have_no_energy_and_overlapping_cores_repel_for_certain(model):
    cube, sphere = model.bodies
    for other in (cube, sphere):
        first, second = (cube, _core(cube, model.sigma)), (other, _core(other, model.sigma))
        inner = first[1][0] + second[1][0]
        vectors, turns = _random_pairs(np.random.default_rng(5).random((600, 6)), inner, 2.2)
        energy = _energies(model, cube, second, vectors, turns, False)
        excluded = _excluded(model, first, second, vectors, turns, False)
        assert 0.1 < (excluded == 0).mean() < 0.9
        np.testing.assert_allclose(excluded, -np.expm1(-energy), atol=1e-12)


def test_random_pairs_are_isotropic_and_in_range():
    vectors, turns = _random_pairs(np.random.default_rng(6).random((20_000, 6)), 0.8, 1.6)
    r = np.linalg.norm(vectors, axis=1)
    assert r.min() >= 0.8
    assert r.max() <= 1.6
    # Means of components: standard errors 1/sqrt(3 n) = 0.004; second moments: below 0.003. Five of them.
    for direction in (vectors / r[:, None], turns[:, :, 0], turns[:, :, 2]):
        assert np.abs(direction.mean(axis=0)).max() < 0.02
        np.testing.assert_allclose(direction.T @ direction / len(direction), np.eye(3) / 3, atol=0.015)
    np.testing.assert_allclose(np.linalg.det(turns), 1.0, atol=1e-12)


def test_monte_carlo_of_spheres(model):
    sphere = model.bodies[1]
    radius = float(sphere.radii[0])
    found = monte_carlo_b2(model, sphere, sphere, points=512, scrambles=8)
    assert 0 < found.error < 1e-3 * found.value
    # Seven degrees of freedom: |t| > 4.8 once in 500 seeds; the seed is fixed.
    assert abs(found.value - sphere_sphere_b2(radius, radius, model.sigma)) < 4.8 * found.error


def test_monte_carlo_of_cube_and_sphere_either_way_round(model):
    cube, sphere = model.bodies
    expected = cube_sphere_b2(cube.positions, cube.radii, float(sphere.radii[0]), model.sigma)
    for first, second in ((cube, sphere), (sphere, cube)):
        found = monte_carlo_b2(model, first, second, points=512, scrambles=8)
        assert found.error < 0.005 * expected
        assert abs(found.value - expected) < 4.8 * found.error


@pytest.mark.parametrize(("points", "scrambles"), [(500, 8), (0, 8), (512, 1)])
def test_monte_carlo_refuses(model, points, scrambles):
    with pytest.raises(InputError, match="power of 2"):
        monte_carlo_b2(model, *model.bodies, points=points, scrambles=scrambles)
