from __future__ import annotations

import itertools

import numpy as np
import pytest
from order_samples import quaternions
from scipy.spatial.transform import Rotation

from supercube.order.references import templates
from supercube.order.symmetry import CUBE_GROUP, climb, disorientation, matrices, mean_frames, nearest_rotation, twist


def test_matrices_agree_with_scipy():
    r = Rotation.random(20, random_state=0)
    np.testing.assert_allclose(matrices(quaternions(r)), r.as_matrix(), atol=1e-12)


def test_group_has_24_proper_rotations():
    assert len({tuple(g.ravel().astype(int)) for g in CUBE_GROUP}) == 24
    np.testing.assert_allclose(np.linalg.det(CUBE_GROUP), 1.0)


def test_disorientation_is_the_least_angle_over_the_group():
    a, b = (Rotation.random(50, random_state=s).as_matrix() for s in (1, 2))
    traces = np.einsum("nji,njk,gki->ng", a, b, CUBE_GROUP)
    brute = np.degrees(np.arccos(np.clip((traces.max(axis=1) - 1) / 2, -1, 1)))
    np.testing.assert_allclose(disorientation(a, b), brute, atol=1e-5)
    turn = Rotation.from_rotvec([0, 0, np.pi / 4]).as_matrix()
    assert disorientation(np.eye(3), turn) == pytest.approx(45.0)


def test_nearest_rotation_undoes_noise_and_is_proper():
    r = Rotation.random(random_state=4).as_matrix()
    np.testing.assert_allclose(nearest_rotation(3 * r), r, atol=1e-12)
    assert np.linalg.det(nearest_rotation(-np.eye(3))) == pytest.approx(1.0)


def test_mean_frame_of_scattered_equivalents():
    truth = Rotation.random(random_state=5)
    noise = Rotation.from_rotvec(np.radians(3.0) * np.random.default_rng(0).normal(size=(400, 3)))
    picks = CUBE_GROUP[np.random.default_rng(1).integers(24, size=400)]
    frames = (noise * truth).as_matrix() @ picks
    # standard error per axis 3/sqrt(400) = 0.15 deg; four of them over three axes
    assert (
        disorientation(mean_frames(frames, np.zeros(len(frames), dtype=int), 1)[0][0], truth.as_matrix())
        < 4 * np.sqrt(3) * 0.15
    )


def test_climbing_never_goes_down():
    frames = Rotation.random(40, random_state=6).as_matrix()
    starts = Rotation.random(10, random_state=7).as_matrix()

    def height(x):
        return (np.einsum("nia,sik->snak", frames, x) ** 4).sum(axis=(1, 2, 3))

    heights = [height(climb(frames, starts, rounds=r)) for r in (0, 1, 5, 100)]
    for low, high in itertools.pairwise(heights):
        assert (high >= low - 1e-9).all()
    assert (heights[-1] > heights[0]).all()


@pytest.mark.parametrize("angle", [0.0, 10.0, 31.0, 45.0, 59.0, 100.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_twist_is_the_angle_about_the_axis_folded(angle, axis):
    crystal = Rotation.random(random_state=8).as_matrix()
    spin = Rotation.from_rotvec(np.radians(angle) * np.eye(3)[axis]).as_matrix()
    tilt = Rotation.from_rotvec(np.radians(6.0) * np.eye(3)[(axis + 1) % 3]).as_matrix()
    folded = min(angle % 90, 90 - angle % 90)
    for body in CUBE_GROUP[[0, 7, 13, 20]]:
        cube = crystal @ tilt @ spin @ body  # a tilt of the axis is no twist
        assert twist(cube[None], crystal[None], np.array([axis]))[0] == pytest.approx(folded, abs=1e-6)


def test_templates_have_the_coordination_of_the_fingerprint_table():
    shells = {}
    for t in (t for t in templates() if t.label in ("SC", "NaCl", "ABO3")):
        distance = np.round(np.linalg.norm(t.vectors, axis=1), 3)
        shells[t.label, t.kind] = sorted(
            (float(d), int(s), int(((distance == d) & (t.neighbour_species == s)).sum()))
            for d, s in {(d, s) for d, s in zip(distance, t.neighbour_species, strict=True)}
        )
    cube, sphere = 0, 1
    assert list(shells.values()) == [
        [(1.0, cube, 6), (1.414, cube, 12)],
        [(0.5, cube, 6), (0.707, sphere, 12)],
        [(0.5, sphere, 6), (0.707, cube, 12)],
        [(0.707, cube, 12), (0.866, cube, 8), (1.0, sphere, 6)],
        [(0.5, cube, 6), (0.866, sphere, 8)],
        [(0.5, cube, 2), (0.707, cube, 8), (0.707, sphere, 4)],
    ]
