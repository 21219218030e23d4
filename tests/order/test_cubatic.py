from __future__ import annotations

import freud
import numpy as np
import pytest
from order_samples import quaternions
from scipy.spatial.transform import Rotation

from supercube.errors import InputError
from supercube.order import cubatic_order


@pytest.mark.parametrize("seed", range(5))
def test_aligned_cubes_in_any_direction_have_order_one(seed):
    q = np.tile(quaternions(Rotation.random(random_state=seed)), (64, 1))
    assert cubatic_order(q) == pytest.approx(1.0, abs=1e-9)


def test_symmetry_equivalents_count_as_aligned():
    group = Rotation.create_group("O")
    frame = Rotation.random(random_state=1)
    assert cubatic_order(quaternions(frame * group)) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_random_cubes_have_little_order(seed):
    q = quaternions(Rotation.random(400, random_state=seed))
    # The overlap with one frame has standard deviation sqrt(1/9)/sqrt(400) = 0.017 (9 components of the tensor); the
    # maximum over frames is at most 6 of them away, doubled by the definition
    assert 0.0 < cubatic_order(q) < 2 * 6 / 3 / np.sqrt(400)


def test_two_cubes_turned_by_45_degrees_about_a_common_axis():
    # For frames turned by t about z, sum (x.u)^4 is 1 + (3 + cos 4t)/2 over the first cube and 1 + (3 - cos 4t)/2 over
    # the second, 2.5 on average whatever t, and 1 + 4/4 = 2 between the cubes. With M.M' = 4 sum - 7.2 the overlap
    # is 4 * 2.5 - 7.2 and |G|^2 the mean of 4.8 (a cube with itself) and 4 * 2 - 7.2; P = (2 overlap - |G|^2)/4.8
    turns = Rotation.from_rotvec([[0, 0, 0], [0, 0, np.pi / 4]])
    expected = (2 * (4 * 2.5 - 7.2) - (4.8 + (4 * 2 - 7.2)) / 2) / 4.8
    assert cubatic_order(quaternions(turns)) == pytest.approx(expected, abs=1e-9)


def test_never_below_freud_and_equal_at_its_best():
    for seed, spread in ((0, 0.1), (1, 0.3), (2, 3.0)):
        rng = np.random.default_rng(seed)
        q = quaternions(Rotation.from_rotvec(spread * rng.normal(size=(60, 3))))
        cubatic = freud.order.Cubatic(5.0, 1e-4, 0.99, n_replicates=10, seed=3)
        cubatic.compute(q.astype(np.float32))
        ours = cubatic_order(q)
        # Annealing stops within ~1e-3 of the maximum; float32 sums err by 1e-5
        assert cubatic.order - 1e-5 <= ours <= cubatic.order + 5e-3


def test_same_answer_every_time_and_in_any_direction():
    q = quaternions(Rotation.random(30, random_state=2))
    assert cubatic_order(q) == cubatic_order(q)
    turn = Rotation.random(random_state=9)
    turned = quaternions(turn * Rotation.from_quat(np.roll(q, -1, axis=1)))
    assert cubatic_order(turned) == pytest.approx(cubatic_order(q), abs=1e-6)


def test_none_one_and_bad_cubes():
    assert cubatic_order(np.empty((0, 4))) is None
    assert cubatic_order(np.array([[0.6, 0.0, 0.8, 0.0]])) == pytest.approx(1.0, abs=1e-9)
    with pytest.raises(InputError, match="unit quaternions"):
        cubatic_order(np.zeros((2, 4)))
