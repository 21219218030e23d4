"""Integrals of the shapes against limits, Steiner's formula and numbers; the gap against an independent solver."""

import math

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from supercube.errors import InputError
from supercube.model.shapes import (
    InflatedBoxes,
    Sphere,
    Spherocube,
    body_volume,
    packing_fraction,
    sphere_diameter,
    surface_gap,
)

ROUNDINGS = (0.0, 0.1, 0.25, 0.4, 0.5)


def test_sharp_cube():
    cube = Spherocube(rounding=0.0, edge=2.0)
    assert cube.volume == pytest.approx(8, rel=1e-14)
    assert cube.surface_area == pytest.approx(24, rel=1e-14)
    assert cube.mean_curvature == pytest.approx(6 * math.pi, rel=1e-14)
    assert cube.circumradius == pytest.approx(math.sqrt(3), rel=1e-14)
    assert cube.moment_of_inertia(3.0) == pytest.approx(3.0 * 2.0**2 / 6, rel=1e-14)


def test_fully_rounded_cube_is_a_sphere():
    cube, sphere = Spherocube(rounding=0.75, edge=1.5), Sphere(1.5)
    for quantity in ("volume", "surface_area", "mean_curvature", "circumradius"):
        assert getattr(cube, quantity) == pytest.approx(getattr(sphere, quantity), rel=1e-14)
    assert cube.moment_of_inertia(2.0) == pytest.approx(2 / 5 * 2.0 * 0.75**2, rel=1e-14)
    assert sphere.moment_of_inertia(2.0) == pytest.approx(2 / 5 * 2.0 * 0.75**2, rel=1e-14)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_steiner(rounding):
    # Inflating by r gives another spherocube, so the volume is a cubic in r with S and M as coefficients.
    r, body = 0.3, Spherocube(rounding=rounding)
    inflated = Spherocube(rounding=rounding + r, edge=1 + 2 * r)
    steiner = body.volume + body.surface_area * r + body.mean_curvature * r**2 + 4 / 3 * math.pi * r**3
    assert inflated.volume == pytest.approx(steiner, rel=1e-13)
    assert inflated.surface_area == pytest.approx(
        body.surface_area + 2 * body.mean_curvature * r + 4 * math.pi * r**2, rel=1e-13
    )
    assert inflated.mean_curvature == pytest.approx(body.mean_curvature + 4 * math.pi * r, rel=1e-13)


@pytest.mark.parametrize("rounding", [0.1, 0.25, 0.4])
def test_volume_and_inertia_by_integration(rounding):
    # Midpoint rule over a quarter of the x-y plane, exact along z. The outline cuts about 2 n of the n^2 cells, each
    # wrong by half a cell at random: relative error about sqrt(2 n) / 2 / n^2 = 2e-5 for n = 1000; five times that.
    # The smallest part of either integral (the octants at 0.1) is 4e-3 of it.
    n = 1000
    axis = (np.arange(n) + 0.5) * 0.5 / n
    x, y = np.meshgrid(axis, axis, indexing="ij")
    core = 0.5 - rounding
    left = rounding**2 - np.maximum(x - core, 0) ** 2 - np.maximum(y - core, 0) ** 2
    height = np.where(left >= 0, core + np.sqrt(np.maximum(left, 0)), 0)
    volume = 8 * height.sum() * (0.5 / n) ** 2
    inertia = 8 * (height * (x**2 + y**2)).sum() * (0.5 / n) ** 2
    body = Spherocube(rounding=rounding)
    assert volume == pytest.approx(body.volume, rel=1e-4)
    assert 2.5 * inertia / volume == pytest.approx(body.moment_of_inertia(2.5), rel=1e-4)


@pytest.mark.parametrize(("rounding", "edge"), [(-0.01, 1.0), (0.51, 1.0), (0.1, 0.0), (math.nan, 1.0)])
def test_impossible_cubes_are_refused(rounding, edge):
    with pytest.raises(InputError, match="rounding between 0 and"):
        Spherocube(rounding=rounding, edge=edge)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_impossible_spheres_are_refused(value):
    with pytest.raises(InputError, match="positive diameter"):
        Sphere(value)
    with pytest.raises(InputError, match="size_ratio must be positive"):
        sphere_diameter(value)
    with pytest.raises(InputError, match="volume of the box"):
        packing_fraction(1, 0, 1.0, 0.1, value)


def test_packing_fraction():
    gamma = 0.5
    assert body_volume(3, 2, gamma, 0.0) == pytest.approx(3 + 2 * math.pi / 6 * 8, rel=1e-14)
    assert packing_fraction(3, 2, gamma, 0.0, 20.0) == pytest.approx((3 + 8 * math.pi / 3) / 20, rel=1e-14)
    # Without spheres the size ratio says nothing.
    assert body_volume(3, 0, 0.2, 0.1) == body_volume(3, 0, 2.0, 0.1)


def _bodies(rng, n, half_edge, radius):
    turns = Rotation.from_quat(rng.normal(size=(n, 4))).as_matrix()
    return InflatedBoxes(np.zeros((n, 3)), turns, np.full(n, half_edge), np.full(n, radius))


def _exact_gap(a, b, i, separation):
    # The distance of two boxes is a least-squares problem with bounds on the box coordinates of the closest points.
    matrix = np.hstack([a.rotations[i], -b.rotations[i]])
    limit = np.concatenate([np.full(3, a.half_edges[i]), np.full(3, b.half_edges[i])]) + 1e-12
    best = lsq_linear(matrix, separation, (-limit, limit), method="bvls", tol=1e-14)
    return math.sqrt(2 * best.cost) - a.radii[i] - b.radii[i]


@pytest.mark.parametrize(("half_b", "radius_b"), [(0.4, 0.1), (0.25, 0.25), (0.0, 0.8)])
def test_gap_is_a_tight_lower_bound(half_b, radius_b):
    rng = np.random.default_rng(11)
    n = 60
    a, b = _bodies(rng, n, 0.4, 0.1), _bodies(rng, n, half_b, radius_b)
    directions = rng.normal(size=(n, 3))
    separations = directions / np.linalg.norm(directions, axis=1)[:, None] * rng.uniform(1.25, 2.0, (n, 1))
    gaps = surface_gap(a, b, separations)
    exact = np.array([_exact_gap(a, b, i, separations[i]) for i in range(n)])
    apart = exact > -a.radii[0] - radius_b + 1e-6  # cores overlap below: there the exact solver only says "zero"
    assert apart.sum() > n / 2
    assert np.all(gaps[apart] <= exact[apart] + 1e-9)
    assert np.all(gaps[~apart] < 1e-9)
    # Six projections leave the bound within 1 % of the edge of the truth, a tenth of the clearance it guards.
    assert np.all(gaps[apart] > exact[apart] - 0.01)


def test_gap_of_contacts():
    identity = np.eye(3)[None]
    sphere = InflatedBoxes(np.zeros((1, 3)), identity, np.zeros(1), np.array([0.7]))
    cube = InflatedBoxes(np.zeros((1, 3)), identity, np.array([0.4]), np.array([0.1]))
    corner = 0.4 * math.sqrt(3)
    diagonal = np.ones((1, 3)) / math.sqrt(3)
    assert surface_gap(sphere, sphere, 2.0 * diagonal) == pytest.approx([2.0 - 1.4])
    assert surface_gap(cube, sphere, 2.0 * diagonal) == pytest.approx([2.0 - corner - 0.1 - 0.7])
    assert surface_gap(cube, cube, 3.0 * diagonal) == pytest.approx([3.0 - 2 * corner - 0.2])
    assert surface_gap(cube, cube, np.array([[1.5, 0.3, 0.0]])) == pytest.approx([0.5])
    assert surface_gap(cube, cube, np.array([[0.5, 0.3, 0.0]]))[0] < -0.2


def test_gap_of_crossed_edges():
    # Edges that cross at 25 degrees: projections creep towards their closest points, the cross product is exact.
    first = Rotation.from_rotvec([0, 0, math.pi / 4])
    second = Rotation.from_rotvec([math.radians(25), 0, 0]) * first
    a, b = (
        InflatedBoxes(np.zeros((1, 3)), turn.as_matrix()[None], np.array([0.5]), np.zeros(1))
        for turn in (first, second)
    )
    assert surface_gap(a, b, np.array([[math.sqrt(2) + 0.05, 0.2, -0.3]])) == pytest.approx([0.05], rel=1e-12)
