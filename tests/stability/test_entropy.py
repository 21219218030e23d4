"""Entropy of crystals that move by a Gaussian: exact by one determinant, by hand for an Einstein crystal."""

import math

import numpy as np
import pytest
from gaussian_crystals import FACES, coordinates, exact_entropy, images_of, moving, periodic_covariance

from supercube.crystals.build import build_crystal
from supercube.errors import InputError
from supercube.stability import Entropy, Refusal, quasi_harmonic_entropy
from supercube.stability.entropy import Modes, _measure
from supercube.stability.fluctuations import fluctuations
from supercube.stability.lattice import lattice_of

#: Name, cubes, spheres, gamma, cells along an edge, points of the primitive lattice in a cell, frames.
CRYSTALS = {
    "ABO3": (32, 8, 0.5, (2, 2, 2), FACES[:1], 160),
    "NaCl": (32, 32, 0.41, (2, 2, 2), FACES, 80),
    "SC": (27, 0, 1.0, (3, 3, 3), FACES[:1], 80),
    "fcc": (0, 32, 1.0, (2, 2, 2), FACES, 60),
}


def gaussian(name, seed=1, frames=None, memory=0.0, **motion):
    """A crystal, frames of it, and its exact entropy."""
    n_cubes, n_spheres, gamma, cells, points, usual = CRYSTALS[name]
    crystal = build_crystal(name, n_cubes, n_spheres, gamma, 0.15, 1.05)
    covariance = periodic_covariance(images_of(crystal, cells, points), n_cubes, seed=7, scales=(0.02, 0.03))
    rows = coordinates(covariance, frames or usual, seed, memory)
    return crystal, moving(crystal, rows, seed, **motion), exact_entropy(covariance, len(crystal))


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_gaussian_crystal_has_its_exact_entropy(name):
    # Four errors of a Gaussian would be one failure in 16000 seeds; the seed is fixed. The error itself has to tell: of
    # some hundred coordinates, 1 k is under a hundredth each.
    crystal, frames, exact = gaussian(name, breathing=0.01, drift=0.013)
    found = quasi_harmonic_entropy(frames, crystal)
    assert found.sem < 2.0
    assert found.many_body == pytest.approx(exact, abs=4 * found.error)
    assert found.frames == len(frames)
    assert found.note == ""


def test_errors_are_as_large_as_they_say():
    # 10 independent runs: the scatter of values is known to 1/sqrt(2 * 9) = 24 %, the jackknife's to about as much;
    # the mean has to lie within 3.5 standard errors of the exact value, so no bias of a tenth of k a body is left.
    runs = [gaussian("fcc", seed, frames=30) for seed in range(10)]
    found = [quasi_harmonic_entropy(frames, crystal) for crystal, frames, _ in runs]
    values, exact = np.array([entropy.many_body for entropy in found]), runs[0][2]
    assert abs(values.mean() - exact) < 3.5 * values.std(ddof=1) / math.sqrt(len(values))
    assert 0.5 < np.mean([entropy.sem for entropy in found]) / values.std(ddof=1) < 2.0


def test_without_the_correction_few_frames_would_be_far_off():
    crystal, frames, exact = gaussian("NaCl", frames=40)
    modes = Modes.of(fluctuations(frames, crystal), lattice_of(crystal))
    plain = 0.0
    for k, x in enumerate(modes.amplitudes):
        apart = (x - x.mean(axis=0))[:, : x.shape[1] - (3 if k == 0 else 0)]
        share = 0.5 if modes.is_real[k] else 1.0
        plain += share * np.linalg.slogdet(2 * np.pi * np.e * apart.conj().T @ apart / len(x))[1]
    found = quasi_harmonic_entropy(frames, crystal)
    assert plain < exact - 5 * found.error
    assert found.many_body == pytest.approx(exact, abs=4 * found.error)


def test_correlated_frames_count_less():
    # x(i) = c x(i-1) + noise: sum of c^(2|t|) = (1 + c^2)/(1 - c^2), 4.6 times fewer for covariances.
    crystal, frames, exact = gaussian("SC", frames=400, memory=0.8)
    modes = Modes.of(fluctuations(frames, crystal), lattice_of(crystal))
    for_means, for_covariances = np.median(modes.thinning, axis=0)
    assert for_means == pytest.approx((1 + 0.8) / (1 - 0.8), rel=0.25)
    assert for_covariances == pytest.approx((1 + 0.64) / (1 - 0.64), rel=0.25)
    found = quasi_harmonic_entropy(frames, crystal)
    assert found.independent < 400 / 4
    assert found.many_body == pytest.approx(exact, abs=4 * found.error)


def test_an_einstein_crystal_is_a_sum_over_bodies():
    crystal = build_crystal("fcc", 0, 108, 1.0, 0.2, 1.05)
    rng = np.random.default_rng(3)
    width = 0.03
    frames = moving(crystal, width * rng.normal(size=(100, 3 * 108)))
    found = quasi_harmonic_entropy(frames, crystal)
    one = 0.5 * math.log(2 * math.pi * math.e * width**2)
    assert found.many_body == pytest.approx((3 * 108 - 3) * one, abs=4 * found.error)
    # All waves are equally strong, so the missing ones only miss a logarithm of order one each; single bodies have lost
    # the share 1/N of their variance with the drift.
    assert found.cell == pytest.approx(3 * 108 * (one + 0.5 * math.log(1 - 1 / 108)), abs=4 * found.error)


def test_single_bodies_bound_correlated_ones():
    crystal = build_crystal("fcc", 0, 32, 1.0, 0.2, 1.05)
    images = images_of(crystal, (2, 2, 2), FACES)
    covariance = periodic_covariance(images, 0, seed=2, reach=1.0, scales=(0.02, 0.02))
    found = quasi_harmonic_entropy(moving(crystal, coordinates(covariance, 100, 5)), crystal)
    assert found.cell > found.many_body + 20 * found.error


def test_missing_modes_make_a_small_crystal_a_large_one():
    # A simple cubic crystal on springs, C(k) = c / (6 - 2 cos x - 2 cos y - 2 cos z): per body, ln C over the Brillouin
    # zone is ln c - 1.6734; here with every amplitude at its expected strength.
    for n, cells in ((4, 64), (6, 216)):
        angles = 2 * np.pi * np.arange(n) / n
        levels = 2 - 2 * np.cos(angles)
        strength = 1e-3 / (levels[1])
        amplitudes = math.sqrt(strength * 8) * np.eye(8)[:, None, :3]  # eight frames of covariance `strength`
        modes = Modes(np.zeros((1, 8, 6), dtype=complex), np.array([True]), amplitudes + 0j, np.ones((1, 2)), cells)
        rest = sum(np.log(1e-3 / (a + b + c)) for a in levels for b in levels for c in levels if a + b + c > 0)
        large = cells * (math.log(1e-3) - 1.6733893029)
        gauss = 1.5 * math.log(2 * math.pi * math.e)
        assert modes.entropy(np.arange(8))[1] - gauss == pytest.approx(1.5 * (large - rest), rel=1e-9)


def test_turning_cubes_are_measured_as_rotations():
    # For small angles ln [sin(phi/2)/(phi/2)]^2 = -phi^2/12; the next term is phi^4/1440, 1e-6 of it here. Rotations
    # of a cube about axes of space that were drawn are those that come back, whatever the labels of its axes.
    crystal = build_crystal("ABO3", 32, 8, 0.5, 0.15)
    rows = np.zeros((70, 120 + 96))
    rows[:, 120:] = 0.03 * np.random.default_rng(8).normal(size=(70, 96))
    found = fluctuations(moving(crystal, rows), crystal)
    drawn = rows[:, 120:].reshape(70, 32, 3)
    cubes = crystal.is_species("cube")
    np.testing.assert_allclose(found.rotations[:, cubes], drawn - drawn.mean(axis=0), atol=2e-3)
    squares = (found.rotations**2).sum(axis=2).mean(axis=0).sum()
    assert _measure(found) == pytest.approx(-squares / 12, rel=1e-3)


# --- refusals ---------------------------------------------------------------------------------------------------------


def hopping(to, when):
    crystal, frames, _ = gaussian("SC")
    moved = []
    for number, frame in enumerate(frames):
        positions = frame.positions.copy()
        if when(number):
            positions[4] += to
        moved.append(frame.with_(positions=crystal.minimum_image(positions)))
    return crystal, moved


def test_a_hop_is_refused():
    crystal, frames = hopping([0.0, 0.0, 0.9], lambda number: number > 60)
    found = quasi_harmonic_entropy(frames, crystal)
    assert isinstance(found, Refusal)
    assert "1 of 27 bodies leave" in found.reason


def test_a_body_that_rests_between_sites_is_noted():
    crystal, frames = hopping([0.6, 0.6, 0.6], lambda number: True)
    before, found = quasi_harmonic_entropy(gaussian("SC")[1], crystal), quasi_harmonic_entropy(frames, crystal)
    assert "1 of 27 bodies rest away from the sites" in found.note
    # It moves about its own mean place as before.
    assert found.many_body == pytest.approx(before.many_body, abs=1e-6)


def test_a_row_that_slides_slowly_is_noted_and_its_error_is_large():
    crystal, frames, _ = gaussian("SC")
    row = np.flatnonzero(np.abs(crystal.positions[:, :2] - crystal.positions[0, :2]).max(axis=1) < 0.1)
    sliding = []
    for shift, frame in zip(np.linspace(-0.35, 0.35, len(frames)), frames, strict=True):
        positions = frame.positions.copy()
        positions[row, 2] += shift
        sliding.append(frame.with_(positions=positions))
    before, found = quasi_harmonic_entropy(frames, crystal), quasi_harmonic_entropy(sliding, crystal)
    assert "3 of 27 bodies move slowly" in found.note
    assert found.total > before.total
    assert found.bias > 3 * before.bias


def test_a_row_that_slid_on_left_a_crystal():
    crystal, frames, _ = gaussian("SC", breathing=0.01)
    row = np.flatnonzero(np.abs(crystal.positions[:, :2] - crystal.positions[0, :2]).max(axis=1) < 0.1)
    assert len(row) == 3
    order = np.arange(27)
    order[row] = np.roll(row, 1)  # each is on the site of the next
    slid = [
        f.with_(positions=f.positions[order], orientations=f.orientations[order], images=f.images[order])
        for f in frames
    ]
    before, found = quasi_harmonic_entropy(frames, crystal), quasi_harmonic_entropy(slid, crystal)
    # Labels are all that changed, so every number stays.
    assert found.many_body == pytest.approx(before.many_body, abs=1e-6)
    assert found.note == ""
    half = []
    for frame in frames:
        positions = frame.positions.copy()
        positions[row, 2] += frame.box[2] / 6 * 0.9
        half.append(frame.with_(positions=frame.minimum_image(positions)))
    resting = quasi_harmonic_entropy(half, crystal)
    assert "3 of 27 bodies rest away" in resting.note
    assert resting.many_body == pytest.approx(before.many_body, abs=1e-6)


def test_a_melt_is_refused():
    crystal = build_crystal("SC", 27, 0, 1.0, 0.1, 1.05)
    rng = np.random.default_rng(1)
    frames = moving(crystal, np.clip(rng.normal(size=(60, 162)) * [[0.2]], -0.28, 0.28))
    found = quasi_harmonic_entropy(frames, crystal)
    assert "rms displacement of a body" in found.reason


def test_cubes_that_turn_freely_are_refused():
    crystal = build_crystal("SC", 27, 0, 1.0, 0.1, 1.05)
    rng = np.random.default_rng(1)
    rows = 0.02 * rng.normal(size=(60, 162))
    rows[:, 81 + 2 :: 3] = rng.uniform(0, 2 * np.pi, size=(60, 27))
    found = quasi_harmonic_entropy(moving(crystal, rows), crystal)
    assert "rms rotation" in found.reason


def test_cubes_between_two_orientations_are_told():
    crystal = build_crystal("SC", 27, 0, 1.0, 0.1, 1.05)
    rng = np.random.default_rng(1)
    rows = 0.02 * rng.normal(size=(80, 162))
    rows[:, 81 + 2 :: 3] += 0.2 * rng.choice([-1, 1], size=(80, 27))
    found = quasi_harmonic_entropy(moving(crystal, rows), crystal)
    assert isinstance(found, Entropy)
    assert "100 % of the cubes turn between two orientations" in found.note


def test_too_few_frames_are_refused():
    for frames, memory in ((60, 0.0), (160, 0.9)):
        crystal, moves, _ = gaussian("ABO3", frames=frames, memory=memory)
        found = quasi_harmonic_entropy(moves, crystal)
        assert isinstance(found, Refusal)
        assert "too few for 27 coordinates" in found.reason


def test_other_bodies_are_refused():
    crystal, frames, _ = gaussian("SC")
    with pytest.raises(InputError, match="other bodies"):
        quasi_harmonic_entropy(frames, build_crystal("SC", 64, 0, 1.0, 0.15))
    with pytest.raises(InputError, match="at least two"):
        quasi_harmonic_entropy(frames[:1], crystal)
