from __future__ import annotations

import numpy as np
import pytest
from order_samples import configuration, crystal, quaternions, random_fluid, turned
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from supercube.crystals.library import STRUCTURES
from supercube.order import classify
from supercube.order.classify import _structure
from supercube.order.grains import canonical, misorientation, multiplicity, quaternion, sublattices
from supercube.order.recognise import recognise
from supercube.order.references import rotations, templates
from supercube.order.samples import Defects, crystal_sample
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
    assert set(order.labels) <= {"fcc", "hcp"}
    # Five layers each; the two planes between them are of neither or of one.
    first, second = (grain for grain in order.grains if grain["structure"] == "fcc")
    assert min(first["particles"], second["particles"]) >= 5 * len(layer)
    assert second["misorientation_deg"] == pytest.approx(60.0, abs=1e-3)


def bicrystal(name, angle, cells, near, noise=0.02):
    """Free halves turned by half of an angle to either side about z, which lies in the boundary; a = 1."""
    rng = np.random.default_rng(0)
    perfect = crystal(name, 2 * cells)
    lattice = perfect.unwrapped - cells + 0.25
    places, turns, types = [], [], []
    for side in (-1, 1):
        rotation = Rotation.from_rotvec([0, 0, np.radians(side * angle / 2)])
        x = rotation.apply(lattice)
        keep = (side * x[:, 0] > 0) & (np.abs(x) < cells / 2).all(axis=1)
        places.append(x[keep])
        turns.append(turned(perfect.orientations, rotation)[keep])
        types.append(perfect.typeid[keep])
    positions = np.vstack(places)
    keep = np.ones(len(positions), dtype=bool)
    keep[cKDTree(positions).query_pairs(0.7 * near, output_type="ndarray")[:, 1]] = False
    positions = (positions + noise * near * rng.normal(size=positions.shape))[keep]
    return configuration(positions, np.vstack(turns)[keep], np.concatenate(types)[keep], open_box(3.0 * cells))


@pytest.mark.parametrize(("name", "cells", "near"), [("SC", 8, 1.0), ("fcc", 6, np.sqrt(0.5)), ("ABO3", 6, 0.5)])
@pytest.mark.parametrize(("angle", "grains"), [(6.0, 1), (16.0, 2), (20.0, 2), (26.0, 2)])
def test_tilt_boundaries_divide_from_15_degrees_and_do_not_bias_the_lattice_constant(name, cells, near, angle, grains):
    order = classify(bicrystal(name, angle, cells, near), replicates=1)
    large = [grain for grain in order.grains if grain["particles"] > 60]
    assert len(large) == grains
    if grains == 2:
        assert large[1]["misorientation_deg"] == pytest.approx(angle, abs=0.6)
    # One rotation for both sides of 20 degrees gives 0.990; a boundary that is held together stretches 6 SC cells.
    assert order.lattice_constant == pytest.approx(1.0, abs=0.002 if grains == 2 else 0.006)


@pytest.mark.parametrize(("name", "cells", "rms"), [("SC", 8, 0.22), ("ABO3", 5, 0.063), ("NaCl", 4, 0.1)])
def test_a_crystal_at_its_lindemann_limit_is_one_grain(name, cells, rms):
    for seed in range(3):
        c = crystal(name, cells, rms_cube=rms, rms_sphere=min(rms, 0.1), seed=seed)
        order = classify(c, replicates=1)
        assert order.structure == name
        assert order.n_grains == 1


def test_a_bent_crystal_is_one_grain_with_the_right_lattice_constant():
    c = crystal("SC", (24, 5, 5), rms_cube=0.03)
    centre = c.unwrapped - c.unwrapped.mean(axis=0)
    radius = 24 / np.radians(50.0)  # 50 degrees from end to end, 2 from cube to cube
    phi, r = centre[:, 0] / radius, radius + centre[:, 1]
    bent = np.column_stack([r * np.sin(phi), r * np.cos(phi) - radius, centre[:, 2]])
    q = quaternions(Rotation.from_rotvec(np.outer(-phi, [0, 0, 1])))
    order = classify(configuration(bent, q, c.typeid, open_box(60.0)), replicates=1)
    assert order.n_grains == 1
    assert order.lattice_constant == pytest.approx(1.0, abs=0.002)  # one rotation for all: 0.979
    assert order.cell_lengths == pytest.approx([1, 1, 1], abs=0.005)


def test_different_crystals_have_no_misorientation():
    small, large = crystal("SC", 4), crystal("NaCl", 3, a=2.0)
    parts = [c.unwrapped - c.unwrapped.mean(axis=0) for c in (small, large)]
    positions = np.vstack([parts[0] - [8.0, 0, 0], parts[1] + [6.0, 0, 0]])
    orientations = np.vstack([small.orientations, large.orientations])
    both = configuration(positions, orientations, np.concatenate([small.typeid, large.typeid]), open_box(30.0))
    order = classify(both, replicates=1)
    assert [grain["structure"] for grain in order.grains] == ["NaCl", "SC"]
    assert [grain["misorientation_deg"] for grain in order.grains] == [0.0, None]


def halves(first, second, swap):
    """Two clusters in one box, one particle order or the other."""
    parts = [(c, c.unwrapped - c.unwrapped.mean(axis=0) + shift) for c, shift in ((first, -6.0), (second, 6.0))]
    parts = parts[::-1] if swap else parts
    columns = zip(*((places, c.orientations, c.typeid) for c, places in parts), strict=True)
    return configuration(*(np.concatenate(column) for column in columns), open_box(30.0))


def test_equal_grains_are_ordered_by_their_fits_not_by_their_numbers():
    calm, noisy = (crystal("SC", 4, a=a, rms_cube=0.1 * (a > 1)) for a in (1.0, 1.1))
    for swap in (False, True):
        order = classify(halves(calm, noisy, swap), replicates=1)
        assert len({grain["particles"] for grain in order.grains}) == 1
        assert order.grains[0]["lattice_constant"] == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("quality", "name"), [(0.5, "SC"), (1.5, "NaCl")])
def test_of_two_labels_with_exactly_half_each_the_better_fitted_is_the_structure(quality, name):
    found = recognise([crystal("SC", 4, rms_cube=0.03)])
    salt = next(t.kind for t in templates() if (t.label, t.site) == ("NaCl", "B"))
    found.regions.kind[:32] = salt
    found.regions.quality[:32] = quality * found.regions.quality[32:].mean()
    fractions = found.fractions()
    assert fractions["SC"] == fractions["NaCl"] == 0.5
    assert _structure(found, fractions) == name


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


def test_multiplicities_sum_to_the_conventional_cell():
    for site in templates():
        sites = [other for other in templates() if other.label == site.label]
        assert sum(map(multiplicity, sites)) == len(STRUCTURES[site.label].sites)
    assert {t.site: multiplicity(t) for t in templates() if t.label == "NaCl"} == {"A": 4, "B": 4}
    rows = classify(crystal_sample("MgZn2", 0.02, 0, Defects(fwhm_deg=5.0)).configuration).sublattices
    assert sorted((row["site"], row["multiplicity"]) for row in rows) == [("A", 4), ("B", 2), ("B", 6)]
