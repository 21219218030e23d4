from __future__ import annotations

import numpy as np
import pytest
from order_samples import configuration, crystal, quaternions, random_fluid, turned
from scipy.spatial.transform import Rotation

from supercube.order import classify
from supercube.order.grains import canonical, misorientation, quaternion, sublattices
from supercube.order.references import rotations, templates
from supercube.order.symmetry import matrices

#: tan(theta/2) = 1/3: the rotated square lattice has (5, 0) and (0, 5) as lattice vectors too.
SIGMA_5 = np.degrees(np.arctan2(3, 4))


def open_box(length):
    return np.array([length] * 3 + [0.0] * 3)


def pair_of_clusters(name, cells, first, second, apart):
    c = crystal(name, cells, rms_cube=0.01, rms_sphere=0.01)
    centre = c.unwrapped - c.unwrapped.mean(axis=0)
    positions = np.vstack([first.apply(centre), second.apply(centre) + apart])
    orientations = np.vstack([turned(c.orientations, first), turned(c.orientations, second)])
    return configuration(positions, orientations, np.tile(c.typeid, 2), open_box(30.0))


@pytest.mark.parametrize("name", ["SC", "NaCl", "ABO3", "CsCl", "fcc"])
def test_a_periodic_crystal_is_one_grain(name):
    order = classify(crystal(name, 3, a=2.0, rms_cube=0.02, rms_sphere=0.02))
    assert order.n_grains == 1
    (grain,) = order.grains
    assert (grain["structure"], grain["fraction"], grain["particles"]) == (name, 1.0, len(order.labels))
    assert grain["orientation"] == pytest.approx([1, 0, 0, 0], abs=1e-9)
    assert grain["misorientation_deg"] == pytest.approx(0.0, abs=1e-9)
    assert grain["lattice_constant"] == order.lattice_constant


def test_two_clusters_are_two_grains_with_their_orientations():
    first, second = Rotation.from_rotvec([0.1, -0.2, 0.3]), Rotation.from_rotvec([0.1, 0.3, -0.4])
    order = classify(pair_of_clusters("ABO3", 3, first, second, np.array([8.0, 0, 0])))
    assert order.n_grains == 2
    # Particles on the edges of a cluster of 3 cells move 0.01 a: the axes err by less than a degree.
    found = [Rotation.from_quat(np.roll(grain["orientation"], -1)) for grain in order.grains]
    errors = [min(np.degrees((f.inv() * true).magnitude()) for f in found) for true in (first, second)]
    assert max(errors) < 0.7
    true = misorientation(first.as_matrix(), second.as_matrix(), rotations("cubic"))
    assert order.grains[1]["misorientation_deg"] == pytest.approx(true, abs=1.0)
    assert order.grains[0]["misorientation_deg"] == 0.0


def test_equal_orientations_give_equal_numbers():
    c = crystal("SC", 4)
    centre = c.unwrapped - c.unwrapped.mean(axis=0)
    rotation = Rotation.from_rotvec([0.2, 0.1, -0.3])
    answers = []
    for symmetry in (Rotation.identity(), Rotation.from_rotvec([np.pi / 2, 0, 0]), Rotation.from_rotvec([0, np.pi, 0])):
        place = (rotation * symmetry).apply(centre)
        q = turned(c.orientations, rotation * symmetry)
        answers.append(classify(configuration(place, q, c.typeid, open_box(15.0))).grains[0]["orientation"])
    for answer in answers:
        assert answer == pytest.approx(quaternions(rotation)[0], abs=1e-6)


@pytest.mark.parametrize(("angle", "grains"), [(0.0, 1), (SIGMA_5, 2)])
def test_slabs_that_touch_are_grains_if_they_are_turned(angle, grains):
    # 5 layers of a 10 x 10 square lattice on 5 turned ones, both periodic in the same box.
    x = np.arange(-20, 20) + 0.25
    plane = np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2)
    spin = Rotation.from_rotvec([0, 0, np.radians(angle)])
    box = np.array([10.0, 10.0, 10.0, 0, 0, 0])
    places, turns = [], []
    for layer in range(10):
        rotation = spin if layer >= 5 else Rotation.identity()
        points = rotation.apply(np.column_stack([plane, np.full(len(plane), layer - 4.5)]))
        inside = (points[:, :2] >= -5).all(axis=1) & (points[:, :2] < 5).all(axis=1)
        places.append(points[inside])
        turns.append(np.tile(quaternions(rotation), (int(inside.sum()), 1)))
    positions = np.vstack(places)
    assert len(positions) == 1000
    order = classify(configuration(positions, np.vstack(turns), np.zeros(1000, dtype=int), box))
    assert order.n_grains == grains
    assert order.grains[-1]["misorientation_deg"] == pytest.approx(angle, abs=1e-6)


def test_shifted_parallel_crystals_are_two_grains_of_no_misorientation():
    c = crystal("SC", 5)
    positions = np.vstack([c.unwrapped, c.unwrapped + np.array([5.0, 0.5, 0.5])])
    order = classify(
        configuration(positions, np.tile(c.orientations, (2, 1)), np.zeros(250, dtype=int), open_box(14.0))
    )
    assert order.n_grains == 2
    assert order.grains[1]["misorientation_deg"] == pytest.approx(0.0, abs=1e-6)


def test_the_sides_of_a_twin_are_two_grains():
    offsets = {"A": (0.0, 0.0), "B": (0.5, np.sqrt(1 / 12)), "C": (1.0, np.sqrt(1 / 3))}
    stack = "ABCABCBACBAC"  # C at the sixth place and at the end lies between two equal layers
    x, y = np.meshgrid(np.arange(6), np.arange(3), indexing="ij")
    cell = np.stack([x.ravel(), np.sqrt(3) * y.ravel()], axis=1)
    layer = np.vstack([cell, cell + np.array([0.5, np.sqrt(0.75)])])
    height = np.sqrt(2 / 3)
    layers = [np.column_stack([layer + offsets[name], np.full(len(layer), k * height)]) for k, name in enumerate(stack)]
    n = 12 * len(layer)
    box = np.array([6.0, 3 * np.sqrt(3), 12 * height, 0, 0, 0])
    order = classify(configuration(np.vstack(layers), np.tile([1.0, 0, 0, 0], (n, 1)), np.ones(n, dtype=int), box))
    assert order.structure_fraction == 1.0
    # Five layers each, and the two planes that they share.
    assert order.n_grains == 2
    assert min(grain["particles"] for grain in order.grains) >= 5 * len(layer)
    assert order.grains[1]["misorientation_deg"] == pytest.approx(60.0, abs=1e-3)


@pytest.mark.parametrize("sample", [(200, 0), (0, 200), (120, 60)])
def test_a_fluid_has_no_grain_and_no_numbers(sample):
    order = classify(random_fluid(*sample))
    assert (order.structure, order.n_grains, order.grains, order.sublattices) == ("disordered", 0, [], [])
    numbers = ("lattice_constant", "c_over_a", "cell_lengths", "vacancy_fraction", "substituted_fraction")
    numbers += ("orientation_fwhm_deg", "orientation_coherence", "o_site_angle_deg", "o_site_angle_histogram")
    assert all(getattr(order, name) is None for name in numbers)


@pytest.mark.parametrize("system", ["cubic", "tetragonal", "hexagonal"])
def test_canonical_axes_are_the_same_for_all_equivalent_ones(system):
    group = rotations(system)
    for seed in range(20):
        frame = Rotation.random(random_state=seed).as_matrix()
        expected = canonical(frame, group)
        for g in group:
            np.testing.assert_allclose(canonical(frame @ g, group), expected, atol=1e-12)
        assert misorientation(frame, expected, group) == pytest.approx(0.0, abs=1e-9)
        np.testing.assert_allclose(matrices(quaternion(expected)), expected, atol=1e-12)


def test_a_document_lists_the_largest_grains_only():
    c = crystal("SC", 4)
    centre = c.unwrapped - c.unwrapped.mean(axis=0)
    shifts = 8.0 * np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = (centre[None] + shifts[:, None]).reshape(-1, 3)
    n = len(positions)
    order = classify(configuration(positions, np.tile([1.0, 0, 0, 0], (n, 1)), np.zeros(n, dtype=int), open_box(24.0)))
    assert order.n_grains == len(order.grains) == 27
    assert len(order.document()["grains"]) == 20


def test_sites_of_the_cell_are_counted_by_the_turns():
    counts = {(site.label, site.site): len(set(sublattices(site.kind).tolist())) for site in templates()}
    expected = {
        ("ABO3", "A"): 1,
        ("ABO3", "B"): 1,
        ("ABO3", "O"): 3,
        ("AlB2", "B"): 2,
        ("CaB6", "B"): 6,
        ("ABO6", "O"): 6,
    }
    assert {key: counts[key] for key in expected} == expected
    mgzn2 = sorted(len(set(sublattices(s.kind).tolist())) for s in templates() if s.label == "MgZn2")
    assert mgzn2 == [2, 4, 6]
