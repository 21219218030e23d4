from __future__ import annotations

import numpy as np
import pytest
from order_samples import configuration, crystal, turned
from scipy.spatial.transform import Rotation

from supercube.configuration import wrap
from supercube.order import LABELS, classify
from supercube.order.blocks import BLOCKS, block_of, jackknife, ratio
from supercube.order.cells import edges
from supercube.order.melts import two_phase_sample
from supercube.order.samples import Defects, crystal_sample

NONE = Defects(fwhm_deg=5.0)


def free_cluster(name, cells, **kwargs):
    c = crystal(name, cells, **kwargs)
    return configuration(c.unwrapped, c.orientations, c.typeid, np.array([*(1.8 * c.box[:3]), 0, 0, 0]))


@pytest.mark.parametrize("name", LABELS[:-1])
def test_a_periodic_crystal_has_the_lattice_constant_of_its_box_whatever_the_noise(name):
    sample = crystal_sample(name, 0.02, 0, NONE)
    order = classify(sample.configuration)
    assert order.structure_fraction == 1.0
    # The sum telescopes wherever the sites are; the cell is turned by a grain's mean axes, which cancel.
    assert order.lattice_constant == pytest.approx(sample.facts["lattice_constant"], rel=1e-9)
    ideal = edges(name)[2, 2]
    if np.isclose(ideal, 1.0) and name != "hexagonal":
        assert order.c_over_a is None
    else:
        assert order.c_over_a == pytest.approx(sample.facts.get("c_over_a", ideal), rel=1e-9)


@pytest.mark.parametrize("name", ["CaB6", "ABO6", "AlB2", "MgZn2"])
def test_at_a_surface_the_lattice_constant_is_right_within_its_error(name):
    sample = two_phase_sample(name, 0.02, 1)
    order = classify(sample.configuration)
    (a, sem), true = (order.lattice_constant, order.lattice_constant_sem), sample.facts["lattice_constant"]
    assert a == pytest.approx(true, abs=4 * sem)
    assert sem < 2e-3 * true


@pytest.mark.parametrize("name", ["SC", "ABO3"])
def test_strain_of_a_cubic_crystal_shows_in_the_lengths_of_the_cell(name):
    c = crystal(name, 5, a=2.0, rms_cube=0.02, rms_sphere=0.02)
    stretch = np.array([0.98, 1.0, 1.03])
    strained = c.with_(positions=c.positions * stretch, box=np.concatenate([c.box[:3] * stretch, np.zeros(3)]))
    order = classify(strained)
    assert order.cell_lengths == pytest.approx(2.0 * stretch, rel=1e-9)
    assert order.lattice_constant == pytest.approx(2.0 * stretch.prod() ** (1 / 3), rel=1e-9)
    assert order.c_over_a is None


def test_a_turned_cluster_has_the_same_cell():
    straight = free_cluster("ABO3", (3, 3, 4), rms_cube=0.03, rms_sphere=0.03)
    rotation = Rotation.random(random_state=3)
    other = configuration(
        rotation.apply(straight.positions),
        turned(straight.orientations, rotation),
        straight.typeid,
        straight.box * [1.5, 1.5, 1.5, 1, 1, 1],
    )
    first, second = classify(straight), classify(other)
    assert second.lattice_constant == pytest.approx(first.lattice_constant, rel=1e-6)
    assert sorted(second.cell_lengths) == pytest.approx(sorted(first.cell_lengths), rel=1e-6)


def test_the_error_covers_the_deviation_of_free_clusters():
    # z has Student's distribution of 7 degrees of freedom if the error is right: rms 1.18; its mean over 30 scatters by
    # 0.22, its rms by about 0.2.
    z = []
    for seed in range(30):
        order = classify(free_cluster("SC", (4, 5, 6), rms_cube=0.06, seed=seed), replicates=1)
        z.append((order.lattice_constant - 1.0) / order.lattice_constant_sem)
    assert abs(np.mean(z)) < 3 * 0.22
    assert 0.6 < np.sqrt(np.mean(np.square(z))) < 1.8


def test_more_noise_makes_a_larger_error():
    clusters = [free_cluster("NaCl", 3, rms_cube=rms, rms_sphere=rms) for rms in (0.0, 0.01, 0.03)]
    errors = [classify(cluster).lattice_constant_sem for cluster in clusters]
    assert errors[0] < 1e-6 < errors[1]
    assert errors[2] == pytest.approx(3 * errors[1], rel=0.1)  # the same random numbers


def test_blocks_are_equal_and_compact():
    rng = np.random.default_rng(0)
    fractional, group = rng.random((800, 3)), rng.integers(0, 2, 800)
    block = block_of(fractional, group)
    for k in (0, 1):
        sizes = np.bincount(block[group == k], minlength=BLOCKS)
        assert sizes.max() - sizes.min() <= 3
        for b in range(BLOCKS):
            low, high = (np.quantile(fractional[(group == k) & (block == b)], q, axis=0) for q in (0, 1))
            assert (high - low < 0.65).all()


def test_jackknife_of_a_mean_is_the_standard_error():
    values = np.array([1.0, 4.0, 2.0, 7.0])
    sums = np.stack([values, np.ones(4)], axis=1)
    mean, error = ratio(sums)
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(values.std(ddof=1) / 2)
    assert jackknife(sums[:1], lambda s: s[..., 0]) is None
    assert ratio(np.zeros((8, 2))) == (None, None)


def test_a_sheared_cubic_crystal_has_the_lattice_constant_of_its_volume():
    # Shear keeps the volume: a = V^(1/3). Lengths and angles of the cell show what was done.
    shear = np.array([[1.0, 0.12, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    box = np.array([4.0, 4.0, 4.0, 0.12, 0.0, 0.0])
    c = crystal("SC", 4)
    order = classify(c.with_(positions=wrap(c.positions @ shear.T, box)[0], box=box))
    assert order.structure == "SC"
    assert order.lattice_constant == pytest.approx(1.0, rel=1e-9)
    assert sorted(order.cell_lengths) == pytest.approx([1.0, 1.0, np.hypot(1.0, 0.12)], rel=1e-9)
    lean = 90 - np.degrees(np.arctan(0.12))
    assert sorted(min(angle, 180 - angle) for angle in order.cell_angles_deg) == pytest.approx([lean, 90, 90])


@pytest.mark.parametrize("name", ["SC", "ABO3"])
def test_positions_outside_of_the_box_are_the_same_crystal(name):
    c = crystal(name, 4, a=2.0, rms_cube=0.03, rms_sphere=0.03, tilt=3.0)
    away = np.random.default_rng(0).integers(-2, 3, (len(c), 3)) * c.box[:3]
    inside, outside = classify(c), classify(c.with_(positions=c.positions + away))
    assert outside.lattice_constant == pytest.approx(2.0, rel=1e-9)
    assert outside.lattice_constant_sem == pytest.approx(inside.lattice_constant_sem, rel=1e-6)
    assert outside.orientation_fwhm_sem == pytest.approx(inside.orientation_fwhm_sem, rel=1e-6)
    assert outside.vacancy_fraction == 0.0
