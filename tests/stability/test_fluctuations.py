"""Displacements without box, drift and periodic boundaries."""

import numpy as np
import pytest
from gaussian_crystals import moving

from supercube.crystals.build import build_crystal
from supercube.stability.fluctuations import fluctuations


@pytest.fixture
def crystal():
    return build_crystal("ABO3", 32, 8, 0.5, 0.15, 1.05)


def test_a_breathing_drifting_crystal_does_not_move(crystal):
    frames = moving(crystal, np.zeros((20, 3 * 40 + 3 * 32)), breathing=0.05, drift=0.09)
    found = fluctuations(frames, crystal)
    # Wrapping and unwrapping add and take off up to two box lengths: rounding errors only.
    np.testing.assert_allclose(found.displacements, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.centres, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.rotations, 0.0, atol=1e-7)
    assert found.refusal() == ""


def test_displacements_are_scaled_to_the_mean_box(crystal):
    rows = np.zeros((20, 3 * 40 + 3 * 32))
    rows[:, :120] = 0.05 * np.random.default_rng(2).normal(size=(20, 120))
    frames = moving(crystal, rows, breathing=0.1)
    found = fluctuations(frames, crystal)
    drawn = rows[:, :120].reshape(20, 40, 3)
    drawn = drawn - drawn.mean(axis=1, keepdims=True)
    mean = np.mean([frame.box[:3] for frame in frames], axis=0)
    assert (np.abs(frames[0].box[:3] / mean - 1) > 0.01).any()
    expected = (drawn - drawn.mean(axis=0)) * mean / crystal.box[:3]
    np.testing.assert_allclose(found.displacements, expected, atol=1e-12)
    assert found.volume == pytest.approx(np.prod(mean))


def test_files_without_image_counts_tell_the_same(crystal):
    rows = 0.03 * np.random.default_rng(2).normal(size=(20, 3 * 40 + 3 * 32))
    frames = moving(crystal, rows, drift=0.11)
    without = [frame.with_(images=np.zeros_like(frame.images)) for frame in frames]
    assert any(frame.images.any() for frame in frames)
    one, other = fluctuations(frames, crystal), fluctuations(without, crystal)
    np.testing.assert_allclose(one.displacements, other.displacements, atol=1e-12)


def test_distances_are_to_the_same_species(crystal):
    found = fluctuations(moving(crystal, np.zeros((2, 216))), crystal)
    a = crystal.box[0] / 2
    assert found.distances == pytest.approx(np.where(crystal.is_species("cube"), a / 2, a))
