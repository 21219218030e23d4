"""Contact distances against closest points by bounded least squares, in general and in special directions."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from scipy.spatial.transform import Rotation

from supercube.crystals.contact import contact_distance

FACE, EDGE, CORNER = (1.0, 0.0, 0.0), (1.0, 1.0, 0.0), (1.0, 1.0, 1.0)
#: Least squares with bvls ends at a relative change of the cost of 1e-15, so its distances are good to about 1e-8.
SOLVER = 2e-8


def contact(segments, rho, direction):
    unit = np.asarray(direction, dtype=float)
    unit = unit / np.linalg.norm(unit)
    return float(contact_distance(np.asarray(segments, dtype=float)[None], np.array([rho]), unit[None])[0])


def core_distance(segments, separation):
    """Distance of two cores: min |d - sum x_i g_i| over |x_i| <= 1."""
    ones = np.ones(len(segments))
    return math.sqrt(2 * lsq_linear(np.transpose(segments), separation, (-ones, ones), method="bvls", tol=1e-15).cost)


def assert_contact(segments, rho, direction):
    """At the contact distance the cores are rho apart, a little nearer they are less, a little farther more."""
    unit = np.asarray(direction) / np.linalg.norm(direction)
    t = contact(segments, rho, unit)
    # 0.01 % of t: a gap of at least that share of the inner radius, 0.2 or more here.
    assert core_distance(segments, 0.9999 * t * unit) < max(rho - 1e-5, SOLVER)
    assert core_distance(segments, 1.0001 * t * unit) > rho + 1e-5
    if rho > 0:
        assert core_distance(segments, t * unit) == pytest.approx(rho, abs=SOLVER)


def cube(half, rotation=None):
    return half * (np.eye(3) if rotation is None else rotation.as_matrix().T)


def directions(*cubes, rng=None):
    """Faces, edges and corners of each cube, directions between them, and chance ones."""
    special = [
        signs @ axes
        for axes in cubes
        for signs in np.array(list(itertools.product((-1, 0, 1), repeat=3)))
        if np.any(signs)
    ]
    return special + ([] if rng is None else list(rng.normal(size=(20, 3))))


@pytest.mark.parametrize("rho", [0.0, 0.07, 0.8])
def test_sphere_and_cube(rho):
    rng = np.random.default_rng(1)
    axes = cube(0.4, Rotation.random(rng=rng))
    for direction in directions(axes, rng=rng):
        assert_contact(axes, rho, direction)


@pytest.mark.parametrize("rho", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("others", [0.45, 0.2])
def test_two_cubes(rho, others):
    rng = np.random.default_rng(2)
    turns = [
        Rotation.random(rng=rng),
        Rotation.from_rotvec([0, 0, math.pi / 4]),  # one axis in common
        Rotation.from_rotvec(np.array([0.3, 0.3, 0.3])),  # a corner in common
        Rotation.from_rotvec([1e-7, 0, 0]),  # almost parallel
        Rotation.identity(),
    ]
    for turn in turns:
        first, second = cube(0.35), cube(others, turn)
        segments = np.concatenate([first, second])
        for direction in directions(first, rng=rng)[::3] + directions(second)[::4]:
            assert_contact(segments, rho, direction)


def test_random_pairs():
    rng = np.random.default_rng(3)
    for _ in range(60):
        half_edges = rng.uniform(0.1, 0.6, 2)
        segments = np.concatenate([cube(half, Rotation.random(rng=rng)) for half in half_edges])
        assert_contact(segments, rng.choice([0.0, rng.uniform(0.01, 1.0)]), rng.normal(size=3))


def test_parallel_cubes_as_three_segments_or_six():
    rng = np.random.default_rng(4)
    turn = Rotation.random(rng=rng)
    both, sum_of_both = np.concatenate([cube(0.3, turn), cube(0.5, turn)]), cube(0.8, turn)
    for rho in (0.0, 0.1):
        for direction in directions(sum_of_both, rng=rng):
            assert contact(both, rho, direction) == pytest.approx(contact(sum_of_both, rho, direction), rel=1e-12)


@pytest.mark.parametrize("rho", [0.0, 0.1, 1.0])
def test_formulas_of_face_edge_and_corner(rho):
    h = 0.3
    axes = cube(h)
    assert contact(axes, rho, FACE) == pytest.approx(h + rho, rel=1e-14)
    assert contact(axes, rho, EDGE) == pytest.approx(math.sqrt(2) * h + rho, rel=1e-14)
    assert contact(axes, rho, CORNER) == pytest.approx(math.sqrt(3) * h + rho, rel=1e-14)
    # Edge on edge crossed at right angles: along z the cubes stand edge up, one turned about x and one about y.
    crossed = [cube(h, Rotation.from_rotvec(math.pi / 4 * np.array(axis))) for axis in ([1, 0, 0], [0, 1, 0])]
    assert contact(np.concatenate(crossed), rho, (0, 0, 1)) == pytest.approx(2 * math.sqrt(2) * h + rho, rel=1e-14)
    # Beside the corner: the ray (1, 1, u) of a cube and a sphere leaves through the edge's cylinder.
    u = 0.2
    t = contact(axes, rho, (1, 1, u)) / math.sqrt(2 + u**2)
    assert t == pytest.approx(h + rho / math.sqrt(2), rel=1e-14)


@pytest.mark.parametrize("angle", [0.0, 1e-6, 5e-3, 0.3, math.pi / 4])
@pytest.mark.parametrize("rho", [0.0, 0.2])
def test_points_of_the_surface(rho, angle):
    """Any normal n has its point p = sum sign(n.g) g + rho n of the surface, and contact along p is at |p|.

    For a normal of two segments, p is in the middle of their facet: thin facets of almost parallel segments count too.
    """
    rng = np.random.default_rng(9)
    segments = np.concatenate([cube(0.35), cube(0.25, Rotation.from_rotvec(angle * np.array([0.6, 0.0, 0.8])))])
    normals = [np.cross(one, other) for one, other in itertools.combinations(segments, 2)]
    normals = [n / np.linalg.norm(n) for n in normals if np.linalg.norm(n) > 1e-7]
    normals += [n / np.linalg.norm(n) for n in rng.normal(size=(20, 3))]
    for normal in normals:
        along = segments @ normal
        point = np.where(abs(along) < 1e-12, 0.0, np.sign(along)) @ segments + rho * normal
        # Cross products of segments at 1e-6 keep ten digits.
        assert contact(segments, rho, point) == pytest.approx(np.linalg.norm(point), rel=1e-9)


@pytest.mark.parametrize("k", [0, 3, 6])
def test_segments_without_length_leave_spheres(k):
    directions_ = np.random.default_rng(5).normal(size=(7, 3))
    directions_ /= np.linalg.norm(directions_, axis=1)[:, None]
    found = contact_distance(np.zeros((7, k, 3)), np.full(7, 0.6), directions_)
    assert found == pytest.approx(np.full(7, 0.6), rel=1e-14)


def test_one_body_without_length():
    axes, nothing = cube(0.4), np.zeros((3, 3))
    for direction in (FACE, EDGE, CORNER, (0.3, 0.5, 0.9)):
        alone = contact(axes, 0.2, direction)
        assert contact(np.concatenate([axes, nothing]), 0.2, direction) == pytest.approx(alone, rel=1e-14)


def test_nothing_changes_with_the_frame_or_the_order():
    rng = np.random.default_rng(6)
    for _ in range(20):
        first, second = (cube(half, Rotation.random(rng=rng)) for half in rng.uniform(0.2, 0.5, 2))
        segments, direction, rho = np.concatenate([first, second]), rng.normal(size=3), rng.choice([0.0, 0.3])
        t = contact(segments, rho, direction)
        turn = Rotation.random(rng=rng).as_matrix()
        same = [
            contact(segments @ turn.T, rho, turn @ direction),
            contact(np.concatenate([second, first]), rho, direction),
            contact(segments, rho, -direction),
            contact(-segments[rng.permutation(6)], rho, direction),
            contact(3 * segments, 3 * rho, direction) / 3,
        ]
        assert same == pytest.approx([t] * len(same), rel=1e-12)


def test_pairs_at_once_as_one_by_one():
    rng = np.random.default_rng(7)
    segments, rho = rng.normal(size=(9, 6, 3)), rng.uniform(0, 1, 9)
    units = rng.normal(size=(9, 3))
    units /= np.linalg.norm(units, axis=1)[:, None]
    single = [contact(*pair) for pair in zip(segments, rho, units, strict=True)]
    assert contact_distance(segments, rho, units) == pytest.approx(single, rel=1e-14)
    assert contact_distance(segments[:0], rho[:0], units[:0]).shape == (0,)


def test_distance_is_continuous_where_the_contact_changes():
    # From the face over the edge to the corner: facet, cylinder and sphere take turns.
    angles = np.linspace(0, math.pi / 2, 2001)
    units = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1) @ cube(1, Rotation.random(rng=8))
    found = contact_distance(np.tile(cube(0.4), (len(units), 1, 1)), np.full(len(units), 0.1), units)
    # |dt/d angle| = t tan(angle to the normal), below t times circumscribed over inscribed radius, 2 here.
    assert np.abs(np.diff(found)).max() < 2 * found.max() * (angles[1] - angles[0])
