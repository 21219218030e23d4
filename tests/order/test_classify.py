from __future__ import annotations

import json
from dataclasses import replace

import freud
import numpy as np
import pytest
from order_samples import configuration, crystal, moved, only, quaternions, random_fluid, relaxed_packing, turned
from scipy.spatial.transform import Rotation

from supercube.errors import InputError
from supercube.order import LABELS, classify
from supercube.order.agreement import agreeing
from supercube.order.neighbours import neighbours_by_species
from supercube.order.regions import grown

CELLS = {"SC": 4, "NaCl": 2, "ABO3": 3}
#: rms displacement vectors (cubes, spheres) over a and tilt in degrees per axis: what crystals at work show.
THERMAL = {"SC": (0.1, 0.0, 4.0), "NaCl": (0.05, 0.035, 40.0), "ABO3": (0.063, 0.056, 5.0)}


def thermal(name, cells=None, **kwargs):
    rms_cube, rms_sphere, tilt = THERMAL[name]
    return crystal(name, cells or CELLS[name], rms_cube=rms_cube, rms_sphere=rms_sphere, tilt=tilt, **kwargs)


@pytest.mark.parametrize("name", CELLS)
def test_perfect_crystal_is_wholly_recognised(name):
    order = classify(crystal(name, CELLS[name], a=2.9))
    assert (order.labels == name).all()
    assert order.structure == name
    assert order.structure_fraction == 1.0
    assert order.fractions == {label: float(label == name) for label in LABELS}
    # freud's neighbour vectors are single precision: 2^-24 of the box, which is 4 lattice constants at most
    assert order.lattice_constant == pytest.approx(2.9, rel=1e-6)
    assert order.orientation_fwhm_deg == pytest.approx(0.0, abs=0.01)
    assert order.mobile_fraction is None


def test_counts_and_document_are_plain():
    order = classify(crystal("ABO3", 3))
    assert (order.n_cubes, order.n_spheres) == (4 * 27, 27)
    document = order.document()
    assert "labels" not in document
    assert {type(v) for v in document.values()} <= {str, float, int, dict, list, type(None)}
    assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize(
    ("name", "cells"), [("SC", 2), ("NaCl", 1), ("ABO3", 2), ("SC", (2, 3, 7)), ("ABO3", (2, 3, 4))]
)
def test_small_and_oblong_periodic_boxes(name, cells):
    assert classify(crystal(name, cells)).fractions[name] == 1.0


@pytest.mark.parametrize("name", CELLS)
def test_triclinic_box(name):
    # xy = 1/n times a whole number shears the box along a lattice vector: the crystal stays the same
    n = CELLS[name]
    order = classify(crystal(name, n, tilts=(1 / n, 0.0, -1 / n)))
    assert order.fractions[name] == 1.0
    assert order.lattice_constant == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("seed", range(3))
def test_thermal_crystal_is_recognised(name, seed):
    order = classify(thermal(name, seed=seed))
    assert order.fractions[name] >= 0.95
    assert order.lattice_constant == pytest.approx(1.0, rel=0.01)


@pytest.mark.parametrize("turn", [0.0, 9.0, 14.0, 30.0, 45.0])
def test_abo3_with_turned_o_cubes(turn):
    order = classify(crystal("ABO3", 3, rms_cube=0.05, rms_sphere=0.04, tilt=3.0, o_angle=45 - turn, seed=1))
    assert order.fractions["ABO3"] >= 0.95
    # Folding at 0 and 45 moves the mean of a spread of 3 deg (and ~1 deg of the local axes) by sqrt(2/pi) 3.2
    assert order.o_site_angle_deg == pytest.approx(45 - turn, abs=3.5 if turn in (0.0, 45.0) else 1.5)


def test_nacl_cubes_may_point_anywhere():
    c = crystal("NaCl", 2, rms_cube=0.05, rms_sphere=0.03)
    orientations = quaternions(Rotation.random(len(c), random_state=3))
    order = classify(c.with_(orientations=orientations))
    assert order.fractions["NaCl"] == 1.0
    assert order.orientation_fwhm_deg is None


def test_sc_of_cubes_pointing_anywhere_is_disordered():
    c = crystal("SC", 4)
    order = classify(c.with_(orientations=quaternions(Rotation.random(len(c), random_state=3))))
    assert order.fractions["SC"] < 0.05
    assert order.structure == "disordered"


@pytest.mark.parametrize("name", CELLS)
def test_labels_do_not_depend_on_order_place_direction_or_scale(name):
    c = thermal(name, seed=5)
    reference = classify(c)
    rng = np.random.default_rng(0)
    permutation = rng.permutation(len(c))
    np.testing.assert_array_equal(classify(only(c, permutation)).labels, reference.labels[permutation])
    np.testing.assert_array_equal(classify(moved(c, np.array([0.37, -1.2, 9.1]))).labels, reference.labels)
    for factor in (1e-3, 7.0, 1e4):
        order = classify(c.with_(positions=factor * c.positions, box=scaled(c, factor)))
        np.testing.assert_array_equal(order.labels, reference.labels)
        assert order.lattice_constant == pytest.approx(factor * reference.lattice_constant, rel=1e-6)


def scaled(c, factor):
    return np.concatenate([c.box[:3] * factor, c.box[3:]])


@pytest.mark.parametrize("name", CELLS)
def test_rotated_cluster_keeps_its_labels(name):
    # A free cluster in a large box can be turned by any rotation, which a periodic crystal cannot
    c = thermal(name, cells=4 if name != "NaCl" else 3, seed=2)
    length = 3 * c.box[0]
    box = np.array([length, length, length, 0, 0, 0])
    rotation = Rotation.random(random_state=8)
    straight = classify(c.with_(box=box))
    rotated = classify(configuration(rotation.apply(c.positions), turned(c.orientations, rotation), c.typeid, box))
    np.testing.assert_array_equal(rotated.labels, straight.labels)
    assert straight.fractions[name] > 0.3
    assert straight.fractions["disordered"] > 0.0  # corners lack too many neighbours


def test_open_cube_of_cubes_loses_its_corners_only():
    # 4 x 4 x 4 cubes in vacuum: a corner has 3 of 6 neighbours, an edge 4
    c = crystal("SC", 4)
    order = classify(c.with_(box=np.array([12.0, 12.0, 12.0, 0, 0, 0])))
    corner = (np.abs(c.positions - c.positions.mean(axis=0)) > 1.4).all(axis=1)
    assert corner.sum() == 8
    np.testing.assert_array_equal(order.labels == "SC", ~corner)


def test_grains_are_both_found_and_the_cubes_of_none_misaligned():
    half = crystal("SC", (5, 5, 5))
    rotation = Rotation.from_rotvec(np.radians(30.0) * np.array([0, 0, 1]))
    other = rotation.apply(half.positions) + np.array([7.0, 0, 0])
    positions = np.vstack([half.positions, other])
    orientations = np.vstack([half.orientations, turned(half.orientations, rotation)])
    box = np.array([30.0, 30.0, 30.0, 0, 0, 0])
    labels = classify(configuration(positions, orientations, np.zeros(250, dtype=int), box)).labels
    assert (labels[:125] == "SC").sum() == 125 - 8
    assert (labels[125:] == "SC").sum() == 125 - 8


def test_neighbours_agree_only_with_the_same_crystal_axes():
    c = crystal("SC", 4)
    everyone = np.ones(64, dtype=bool)
    near = neighbours_by_species(c.positions, c.box, everyone)
    found = grown(near, everyone, everyone, np.tile(np.eye(3), (64, 1, 1)), lambda regions: regions.kind >= 0)
    assert (found.kind >= 0).all()
    left = c.minimum_image(c.positions)[:, 0] < -0.5  # two of four layers
    assert left.sum() == 32
    turn = Rotation.from_rotvec([0, 0, np.radians(20.0)]).as_matrix()
    frame = np.where(left[:, None, None], turn @ found.pose.frame, found.pose.frame)
    twisted = replace(found, pose=replace(found.pose, frame=frame))
    for regions, share in ((found, 1.0), (twisted, 13 / 18)):  # the next layer holds 1 + 4 of the 6 + 12 neighbours
        np.testing.assert_allclose(agreeing(regions).sum(axis=1) / (regions.neighbour >= 0).sum(axis=1), share)


def test_one_misaligned_cube_is_the_only_one_to_lose_its_label():
    c = crystal("SC", 5)
    q = c.orientations.copy()
    q[62] = quaternions(Rotation.from_rotvec([0, 0, np.radians(40.0)]))[0]
    labels = classify(c.with_(orientations=q)).labels
    assert np.flatnonzero(labels != "SC").tolist() == [62]


def test_a_quarter_turn_changes_nothing():
    c = crystal("SC", 4, rms_cube=0.05, tilt=3.0)
    rng = np.random.default_rng(1)
    spins = Rotation.from_rotvec(np.pi / 2 * np.eye(3)[rng.integers(3, size=len(c))])
    q = quaternions(Rotation.from_quat(np.roll(c.orientations, -1, axis=1)) * spins)  # in the body's own axes
    before, after = classify(c), classify(c.with_(orientations=q))
    np.testing.assert_array_equal(before.labels, after.labels)
    assert after.cubatic_order == pytest.approx(before.cubatic_order, abs=1e-6)
    assert after.orientation_fwhm_deg == pytest.approx(before.orientation_fwhm_deg, abs=1e-4)


@pytest.mark.parametrize("name", CELLS)
def test_moving_one_particle_changes_labels_only_near_it(name):
    c = crystal(name, 6 if name != "NaCl" else 4)
    shift = np.zeros((len(c), 3))
    who = len(c) // 2
    shift[who] = np.array([0.23, 0.19, 0.31])
    after = moved(c, shift)
    changed = classify(after).labels != name
    assert changed[who]
    distance = np.linalg.norm(c.minimum_image(c.positions - c.positions[who]), axis=1)
    assert distance[changed].max() <= 1.0 + 1e-6  # first shells end at a (ABO3 sphere-sphere)
    assert changed.sum() <= 7


@pytest.mark.parametrize("name", CELLS)
def test_a_few_vacancies_cost_nobody_else_the_label(name):
    c = crystal(name, 5 if name != "NaCl" else 3, rms_cube=0.03, rms_sphere=0.02, tilt=2.0)
    rng = np.random.default_rng(4)
    keep = np.ones(len(c), dtype=bool)
    keep[rng.choice(len(c), size=len(c) // 40, replace=False)] = False
    assert classify(only(c, keep)).fractions[name] >= 0.98


def test_sc_cube_without_more_than_half_of_its_neighbours_is_disordered():
    c = crystal("SC", 5)
    middle = 62
    d = np.linalg.norm(c.minimum_image(c.positions - c.positions[middle]), axis=1)
    neighbours = np.flatnonzero(np.isclose(d, 1.0))
    assert len(neighbours) == 6
    for missing, label in ((3, "SC"), (4, "disordered")):
        keep = np.ones(len(c), dtype=bool)
        keep[neighbours[:missing]] = False
        assert classify(only(c, keep)).labels[middle - (neighbours[:missing] < middle).sum()] == label


@pytest.mark.parametrize(("name", "cells"), [("sc spheres", 4), ("fcc cubes", 3), ("bcc cubes", 4)])
def test_other_crystals_carry_none_of_the_labels(name, cells):
    assert classify(crystal(name, cells)).fractions["disordered"] == 1.0


@pytest.mark.parametrize(("name", "cells"), [("CsCl", 4), ("fcc", 3)])
def test_crystals_of_the_library_that_have_no_rule_of_their_own(name, cells):
    assert classify(crystal(name, cells)).fractions[name] == 1.0


@pytest.mark.parametrize("sample", [(64, 0), (0, 64), (64, 64), (108, 27)])
@pytest.mark.parametrize("seed", range(2))
def test_fluids_and_jammed_packings_are_disordered(sample, seed):
    for c in (random_fluid(*sample, seed=seed), random_fluid(*sample, density=0.05, seed=seed)):
        assert classify(c).fractions["disordered"] >= 0.98
    assert classify(relaxed_packing(*sample, seed=seed)).fractions["disordered"] >= 0.98


@pytest.mark.parametrize("rms_sphere", [0.0, 0.046])
@pytest.mark.parametrize("seed", range(3))
def test_abo3_with_a_molten_cube_sublattice_is_not_abo3(rms_sphere, seed):
    order = classify(crystal("ABO3", 3, rms_cube=0.13, rms_sphere=rms_sphere, seed=seed))
    assert order.structure == "disordered"
    assert order.fractions["ABO3"] <= 0.05


def test_cubes_at_random_on_a_perfect_sphere_lattice_are_disordered():
    c = crystal("ABO3", 4)
    rng = np.random.default_rng(7)
    positions = np.where(c.is_species("cube")[:, None], rng.uniform(-2, 2, (len(c), 3)), c.positions)
    assert classify(c.with_(positions=positions)).fractions["disordered"] == 1.0


def test_exchanged_spheres_and_cubes_are_disordered_around_them():
    c = crystal("ABO3", 4)
    typeid = np.random.default_rng(3).permutation(c.typeid)
    assert classify(c.with_(typeid=typeid)).fractions["ABO3"] < 0.05


def test_sc_cluster_among_spheres_keeps_its_label():
    cluster = crystal("SC", 5)
    rng = np.random.default_rng(0)
    length = 12.0
    spheres = []
    while len(spheres) < 40:  # diameter 2: contact with a flat face at 1.5
        new = rng.uniform(-length / 2, length / 2, 3)
        apart = [np.linalg.norm(new - other) for other in spheres]
        if np.abs(new).max() > 3.5 and min(apart, default=9) > 1.8:
            spheres.append(new)
    positions = np.vstack([cluster.positions - cluster.positions.mean(axis=0), spheres])
    orientations = np.vstack([cluster.orientations, np.tile([1.0, 0, 0, 0], (40, 1))])
    box = np.array([length] * 3 + [0.0] * 3)
    labels = classify(configuration(positions, orientations, np.repeat([0, 1], [125, 40]), box)).labels
    assert (labels[:125] == "SC").sum() == 125 - 8
    assert (labels[125:] == "disordered").all()


def test_structure_needs_half_of_all_particles():
    cluster = crystal("SC", 4)  # 64 cubes, 56 of them labelled in vacuum
    spheres = random_fluid(0, 60, density=0.03, least=1.5, seed=1)
    box = np.array([40.0, 40.0, 40.0, 0, 0, 0])
    far = spheres.positions + np.array([20.0, 0, 0])
    for n, structure in ((56, "SC"), (57, "disordered")):
        keep = slice(0, n - 8)  # 64 + n - 8 particles: 56 are half of 112
        positions = np.vstack([cluster.positions, far[keep]])
        orientations = np.tile([1.0, 0, 0, 0], (len(positions), 1))
        typeid = np.repeat([0, 1], [64, n - 8])
        order = classify(configuration(positions, orientations, typeid, box))
        assert (order.labels == "SC").sum() == 56
        assert order.structure == structure
        assert sum(order.fractions.values()) == pytest.approx(1.0)


def test_sc_cubes_have_the_steinhardt_values_of_the_simple_cubic_lattice():
    # An independent look at what was labelled: q4 = sqrt(7/12), q6 = sqrt(1/8) for six neighbours
    c = crystal("SC", 4)
    cubes = c.positions[classify(c).labels == "SC"]
    for order, expected in ((4, np.sqrt(7 / 12)), (6, np.sqrt(1 / 8))):
        q = freud.order.Steinhardt(order)
        q.compute((freud.box.Box.from_box(c.box), cubes), neighbors={"num_neighbors": 6})
        np.testing.assert_allclose(q.particle_order, expected, atol=1e-5)  # single precision


def test_orientation_width_is_that_of_the_noise():
    # 3 n components of sigma: the rms has the relative standard error 1/sqrt(6 n) = 1.8 %
    order = classify(crystal("SC", 8, rms_cube=0.05, tilt=3.0, seed=3))
    assert order.orientation_fwhm_deg == pytest.approx(2 * np.sqrt(2 * np.log(2)) * 3.0, rel=4 / np.sqrt(6 * 512))


# ---- several frames ----------------------------------------------------------------------------------------------


def run_of(base, rms_cube, rms_sphere=0.0, frames=12, drift=0.0, seed=0):
    """Independent vibrations about the places of ``base``, on a common drift; lengths in a = 1."""
    rng = np.random.default_rng(seed)
    rms = np.where(base.is_species("cube"), rms_cube, rms_sphere)[:, None]
    return [moved(base, rms / np.sqrt(3) * rng.normal(size=(len(base), 3)) + drift * t) for t in range(frames)]


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("drift", [0.0, 0.4])
def test_vibrating_run_is_the_crystal(name, drift):
    rms_cube, rms_sphere, _ = THERMAL[name]
    order = classify(run_of(crystal(name, CELLS[name]), rms_cube, rms_sphere, drift=drift))
    assert order.fractions[name] >= 0.95
    assert order.mobile_fraction <= 0.02


def test_drift_and_missing_image_counts_change_nothing():
    base = crystal("ABO3", 3)
    still = run_of(base, 0.06, 0.05)
    drifting = run_of(base, 0.06, 0.05, drift=1.45)  # nearly half a box a frame
    without = [f.with_(images=np.zeros((len(f), 3))) for f in drifting]
    expected = classify(still)
    for frames in (drifting, without):
        order = classify(frames)
        np.testing.assert_array_equal(order.labels, expected.labels)
        assert order.lattice_constant == pytest.approx(expected.lattice_constant, rel=1e-6)


def test_compression_between_frames_is_no_motion():
    base = crystal("SC", 4)
    frames = [
        f.with_(positions=f.positions * s, box=scaled(f, s))
        for f, s in zip(run_of(base, 0.05), np.linspace(1.5, 1.0, 12), strict=True)
    ]
    order = classify(frames)
    assert order.fractions["SC"] == 1.0
    assert order.lattice_constant == pytest.approx(1.0, rel=0.01)


def test_mobile_cubes_on_a_standing_sphere_lattice_are_not_abo3():
    order = classify(run_of(crystal("ABO3", 3), 0.13, 0.046))
    assert order.fractions["ABO3"] <= 0.05
    assert order.mobile_fraction > 0.0


def test_exchange_of_two_cubes_is_seen_only_over_frames():
    # B and one of its O cubes change places half way: every single frame is a perfect crystal
    base = crystal("ABO3", 3)
    b = next(i for i in range(len(base)) if i % 5 == 1)
    d = np.linalg.norm(base.minimum_image(base.positions - base.positions[b]), axis=1)
    o = int(np.flatnonzero(np.isclose(d, 0.5))[0])
    jump = np.zeros((len(base), 3))
    jump[b] = base.minimum_image(base.positions[o] - base.positions[b])
    jump[o] = -jump[b]
    frames = [moved(base, jump * (t >= 6)) for t in range(12)]
    assert classify(frames[-1]).fractions["ABO3"] == 1.0
    order = classify(frames)
    assert order.labels[b] == order.labels[o] == "disordered"
    assert order.mobile_fraction == pytest.approx(2 / len(base))
    assert order.fractions["ABO3"] >= 0.9


def test_one_late_hop_makes_a_cube_mobile():
    base = crystal("SC", 5)
    keep = np.ones(len(base), dtype=bool)
    target = 62
    d = np.linalg.norm(base.minimum_image(base.positions - base.positions[target]), axis=1)
    hopper = int(np.flatnonzero(np.isclose(d, 1.0))[0])
    keep[target] = False
    jump = np.zeros((len(base), 3))
    jump[hopper] = base.minimum_image(base.positions[target] - base.positions[hopper])
    frames = [only(moved(base, jump * (t == 11)), keep) for t in range(12)]
    order = classify(frames)
    assert order.mobile_fraction == pytest.approx(1 / 124)
    assert order.labels[hopper - (hopper > target)] == "disordered"


def test_one_rattling_cube_in_a_cold_crystal_is_the_only_one_out():
    # 0.13 a = 0.26 neighbour distances: above what ABO3 may have, without leaving its place
    base = crystal("ABO3", 3)
    rng = np.random.default_rng(2)
    frames = []
    for frame in run_of(base, 0.02, 0.02):
        shift = np.zeros((len(base), 3))
        shift[2] = 0.15 * rng.choice([-1, 1], size=3) / np.sqrt(3)
        frames.append(moved(frame, shift))
    order = classify(frames)
    assert np.flatnonzero(order.labels != "ABO3").tolist() == [2]
    assert order.mobile_fraction == 0.0


# ---- what is refused ---------------------------------------------------------------------------------------------


def test_no_frame_is_refused():
    with pytest.raises(InputError, match="No frame"):
        classify([])


def test_too_few_particles_are_refused():
    with pytest.raises(InputError, match="6 particles; expected at least 7"):
        classify(only(crystal("SC", 2), np.arange(6)))


def test_one_point_is_refused():
    c = crystal("SC", 2)
    with pytest.raises(InputError, match="All 8 particles lie on one point"):
        classify(c.with_(positions=np.ones((8, 3))))


def test_nan_positions_and_orientations_are_refused():
    c = crystal("SC", 2)
    positions, orientations = c.positions.copy(), c.orientations.copy()
    positions[3, 1] = np.nan
    orientations[5] = 0.0
    with pytest.raises(InputError, match="first: 3"):
        classify(c.with_(positions=positions))
    with pytest.raises(InputError, match="first: 5"):
        classify(c.with_(orientations=orientations))


def test_foreign_species_and_changing_particles_are_refused():
    c = crystal("SC", 2)
    with pytest.raises(InputError, match="rod"):
        classify(c.with_(species=("rod", "sphere")))
    with pytest.raises(InputError, match="Frame 0 of 2"):
        classify([crystal("SC", 3), c])


def test_coincident_particles_do_not_break_anything():
    c = crystal("SC", 4)
    positions = c.positions.copy()
    positions[1] = positions[0]
    assert classify(c.with_(positions=positions)).fractions["SC"] > 0.9
