from __future__ import annotations

import numpy as np
import pytest
from order_samples import crystal, quaternions, turned
from scipy.spatial.transform import Rotation

from supercube.order import classify
from supercube.order.alignment import FWHM
from supercube.order.samples import Defects, crystal_sample, generator, random_quaternions
from supercube.order.symmetry import mean_frames

WITH_CUBES = ("SC", "NaCl", "ABO3", "AlB2", "CsCl", "CuAu", "CaB6", "ABO6", "ReO3", "MgZn2")


@pytest.mark.parametrize("name", WITH_CUBES)
def test_the_width_is_that_of_the_cubes_whatever_way_they_stand(name):
    sample = crystal_sample(name, 0.02, 2, Defects(fwhm_deg=9.6))
    order = classify(sample.configuration)
    # Two (O sites) or three components each: the rms has a relative standard error of 1/sqrt(2 components).
    relative = 1 / np.sqrt(2 * 2 * sample.configuration.count("cube"))
    assert order.orientation_fwhm_deg == pytest.approx(9.6, rel=3 * relative)
    assert order.orientation_fwhm_sem == pytest.approx(9.6 * relative, rel=0.9)
    s = np.radians(9.6 / FWHM)
    # Axes of the own neighbourhood err by about a degree at this noise.
    assert order.orientation_coherence == pytest.approx(1 - (1 - np.exp(-10 * s**2)) ** 2, abs=0.005)
    of_sites = [row["orientation_fwhm_deg"] for row in order.sublattices if row["species"] == "cube"]
    assert of_sites == pytest.approx([9.6] * len(of_sites), rel=0.35)


@pytest.mark.parametrize("name", [name for name in WITH_CUBES if name != "SC"])
def test_cubes_that_point_anywhere_have_no_width_and_no_coherence(name):
    sample = crystal_sample(name, 0.02, 2, Defects())
    c = sample.configuration
    cubes = c.is_species("cube")
    q = c.orientations.copy()
    q[cubes] = random_quaternions(int(cubes.sum()), generator("random", name))
    order = classify(c.with_(orientations=q))
    assert order.structure == name
    assert order.orientation_fwhm_deg is None
    assert order.orientation_fwhm_sem is None
    smallest = min(row["particles"] / 6 for row in order.sublattices if row["species"] == "cube")
    assert order.orientation_coherence < 3 / np.sqrt(smallest)


def test_a_common_turn_of_all_cubes_changes_neither_width_nor_coherence():
    c = crystal("NaCl", 3, rms_cube=0.02, rms_sphere=0.02, tilt=4.0)
    spin = Rotation.from_rotvec([0.3, -0.2, 0.5])
    # In the crystal's axes, before the noise: M Q.
    other = c.with_(orientations=turned(c.orientations, spin))
    one, two = classify(c), classify(other)
    assert two.orientation_fwhm_deg == pytest.approx(one.orientation_fwhm_deg, rel=1e-6)
    # Coherence compares with the axes of each neighbourhood, whose errors are turned with the cubes.
    assert two.orientation_coherence == pytest.approx(one.orientation_coherence, abs=1e-4)


def test_the_error_of_the_width_covers_its_deviation():
    z = []
    for seed in range(30):
        order = classify(crystal("SC", 5, rms_cube=0.03, tilt=4.0, seed=seed), replicates=1)
        z.append((order.orientation_fwhm_deg - 4.0 * FWHM) / order.orientation_fwhm_sem)
    assert abs(np.mean(z)) < 3 * 0.22  # as of lattice constants
    assert 0.6 < np.sqrt(np.mean(np.square(z))) < 1.8


@pytest.mark.parametrize("angle", [12.0, 30.0])
def test_o_site_angles(angle):
    order = classify(crystal("ABO3", 4, rms_cube=0.02, rms_sphere=0.02, tilt=3.0, o_angle=angle))
    n = 3 * 64
    assert order.o_site_angle_deg == pytest.approx(angle, abs=4 * 3.0 / np.sqrt(n))
    assert order.o_site_angle_spread_deg == pytest.approx(3.0, rel=4 / np.sqrt(2 * n))
    assert order.o_site_angle_sem == pytest.approx(3.0 / np.sqrt(n), rel=0.9)  # 8 blocks
    shares = order.o_site_angle_histogram
    assert len(shares) == 9
    assert sum(shares) == pytest.approx(1.0)
    assert int(np.argmax(shares)) == int(angle // 5)


@pytest.mark.parametrize("angle", [0.0, 45.0])
def test_folding_biases_o_site_angles_at_the_ends(angle):
    order = classify(crystal("ABO3", 4, tilt=3.0, o_angle=angle))
    n = 3 * 64
    inwards = np.sqrt(2 / np.pi) * 3.0
    assert abs(order.o_site_angle_deg - angle) == pytest.approx(inwards, abs=4 * 3.0 / np.sqrt(n))
    assert order.o_site_angle_spread_deg == pytest.approx(3.0 * np.sqrt(1 - 2 / np.pi), rel=0.25)


def test_o_cubes_that_spin_have_a_tilt_and_half_a_coherence():
    c = crystal("ABO3", 4, o_angle=0.0)
    q = c.orientations.copy()
    spins = np.linspace(0, 2 * np.pi, 64, endpoint=False)  # evenly, since 64 at random are not quite isotropic
    for site, axis in ((2, 2), (3, 1), (4, 0)):
        q[site::5] = quaternions(Rotation.from_rotvec(spins[:, None] * np.eye(3)[axis]))
    order = classify(c.with_(orientations=q))
    assert order.orientation_fwhm_deg == pytest.approx(0.0, abs=1e-3)
    by_site = {row["site"]: row for row in order.sublattices}
    assert by_site["B"]["coherence"] == pytest.approx(1.0)
    assert by_site["O"]["coherence"] == pytest.approx(0.58, abs=0.01)
    assert max(order.o_site_angle_histogram) < 0.25


def test_unknown_orientations_leave_no_numbers():
    order = classify(crystal("ABO3", 3).with_(oriented=False))
    assert order.structure == "ABO3"
    names = ("cubatic_order", "orientation_fwhm_deg", "orientation_coherence", "o_site_angle_deg")
    assert all(getattr(order, name) is None for name in names)
    assert order.notes == ["Orientations are unknown: SC is told by positions alone."]
    assert classify(crystal("ABO3", 3)).notes == []


def test_mean_frames_of_groups_are_those_of_each():
    rng = np.random.default_rng(4)
    centres = Rotation.random(3, random_state=1)
    number = np.repeat([0, 1, 2], [5, 40, 17])
    frames = (Rotation.from_rotvec(0.1 * rng.normal(size=(62, 3))) * centres[number]).as_matrix()
    shuffled = rng.permutation(62)
    means, orders = mean_frames(frames[shuffled], number[shuffled], 3)
    for k in range(3):
        mine = frames[number == k]
        alone = mean_frames(mine, np.zeros(len(mine), dtype=int), 1)[0][0]
        columns = np.abs(means[k].T @ alone)
        np.testing.assert_allclose(columns.max(axis=0), 1.0, atol=1e-9)
    assert (orders > 0.98).all()
