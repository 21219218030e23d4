"""What is odd about boxes, counts and numbers: a right answer, or one sentence."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from order_samples import configuration, crystal, only, random_fluid

from supercube.configuration import Configuration
from supercube.crystals.build import fill, start_packing
from supercube.errors import InputError
from supercube.order import LABELS, classify, order_series

IDENTITY = [1.0, 0.0, 0.0, 0.0]


def cubes(positions, box):
    return configuration(positions, [IDENTITY] * len(positions), [0] * len(positions), np.array(box, dtype=float))


@pytest.fixture(scope="module")
def packings():
    found = {name: start_packing(name, 0.45, 0.12) for name in LABELS[:-1]}
    # The closest packing of CuAu is CsCl (c/a = 1/sqrt 2), so one of its own is taken.
    found["CuAu"] = replace(found["CuAu"], c_over_a=0.9)
    return found


@pytest.mark.parametrize("name", LABELS[:-1])
def test_boxes_smaller_than_two_neighbour_distances(name, packings):
    tried = 0
    for cells in ((1, 1, 1), (1, 1, 2), (2, 1, 1), (2, 2, 2), (1, 1, 7), (7, 1, 1)):
        c = fill(packings[name], cells, 1.02)
        if len(c) < 7:
            continue
        assert classify(c, replicates=1).fractions[name] == 1.0, cells
        tried += 1
    assert tried >= 3


@pytest.mark.parametrize("tilts", [(3.75, 0, 0), (-3.75, 2.25, 4.5)])
@pytest.mark.parametrize("name", ["SC", "NaCl", "ABO3"])
def test_extremely_tilted_boxes(name, tilts):
    # 4 cells times a tilt is a whole number, so the crystal fits.
    assert classify(crystal(name, 4, tilts=tilts)).fractions[name] == 1.0


def test_a_box_with_one_long_axis():
    assert classify(crystal("SC", (1, 1, 200)), replicates=1).fractions["SC"] == 1.0


@pytest.mark.parametrize("unit", [1e-9, 1e9])
@pytest.mark.parametrize("name", ["SC", "NaCl", "ABO3"])
def test_any_unit_of_length(name, unit):
    order = classify(crystal(name, 3, a=2.5 * unit))
    assert order.fractions[name] == 1.0
    # Neighbour vectors are single precision.
    assert order.lattice_constant == pytest.approx(2.5 * unit, rel=1e-6)


@pytest.mark.parametrize("name", ["SC", "fcc"])
def test_one_species_of_two_listed(name):
    order = classify(crystal(name, 4))
    assert order.fractions[name] == 1.0
    assert 0 in (order.n_cubes, order.n_spheres)


def test_a_nearly_empty_box_takes_no_memory():
    c = random_fluid(10, 0, density=1e-11)
    classify(c)  # what is built once (reference crystals) does not count
    tracemalloc.start()
    order = classify(c)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert order.structure == "disordered"
    assert peak < 5e6


@pytest.mark.parametrize("wide", [3.0, 1000.0])
def test_a_crystal_in_the_corner_of_an_empty_box(wide):
    cluster = crystal("SC", 6)
    order = classify(cluster.with_(box=np.array([6 * wide] * 3 + [0.0] * 3)))
    # 8 corners have three neighbours of six, too few.
    assert order.fractions["SC"] == pytest.approx(1 - 8 / 216)


def test_coincident_particles():
    c = crystal("ABO3", 3)
    doubled = only(c, np.r_[np.arange(len(c)), 0, 1, 2])
    labels = classify(doubled).labels
    assert (labels[3 : len(c)] == "ABO3").all()
    rng = np.random.default_rng(3)
    assert classify(cubes(np.repeat(rng.random((10, 3)) * 3, 2, axis=0), [3, 3, 3, 0, 0, 0])).structure == "disordered"
    assert classify(cubes(np.repeat(rng.random((2, 3)), 50, axis=0), [3, 3, 3, 0, 0, 0])).structure == "disordered"


def test_seven_particles_are_enough_and_six_are_not():
    assert classify(random_fluid(7, 0)).structure == "disordered"
    with pytest.raises(InputError, match="6 particles; expected at least 7"):
        classify(random_fluid(6, 0))


def broken(name, row, value):
    c = crystal("SC", 3)
    values = getattr(c, name).copy()
    values[row] = value
    return c.with_(**{name: values})


@pytest.mark.parametrize("ask", [classify, lambda c: order_series([c])], ids=["classify", "series"])
@pytest.mark.parametrize(
    ("c", "words"),
    [
        (crystal("SC", (1, 2, 3)), "6 particles"),
        (cubes(np.ones((9, 3)), [3, 3, 3, 0, 0, 0]), "All 9 particles lie on one point"),
        (cubes(np.ones((9, 3)) + 3.0 * np.arange(9)[:, None], [3, 3, 3, 0, 0, 0]), "lie on one point"),
        (broken("positions", 4, np.nan), r"1 particles \(first: 4\) have NaN"),
        (broken("positions", 4, np.inf), r"1 particles \(first: 4\) have NaN or infinite"),
        (broken("orientations", 5, np.nan), r"1 particles \(first: 5\) have NaN or zero orientations"),
        (broken("orientations", 5, 0.0), r"1 particles \(first: 5\) have NaN or zero orientations"),
        (broken("box", 2, 0.0), "expected .*positive lengths"),
        (broken("box", 2, -3.0), "expected .*positive lengths"),
        (broken("box", 3, np.nan), "expected .*positive lengths"),
        (broken("typeid", 6, 2), r"1 particles \(first: 6\) have a typeid beyond the 2 species"),
        (broken("typeid", 6, -1), r"1 particles \(first: 6\) have a typeid beyond the 2 species"),
        (crystal("SC", 3).with_(species=("rod", "sphere")), "holds rod; expected cube and/or sphere"),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)
def test_what_is_refused(ask, c, words):
    with pytest.raises(InputError, match=words) as caught:
        ask(c)
    assert "\n" not in str(caught.value)


def test_frames_of_different_particles():
    c = crystal("SC", 3)
    with pytest.raises(InputError, match=r"Frame 0 of 2 holds other particles \(26\) than the last frame \(27\)"):
        classify([only(c, np.arange(26)), c])
    other = Configuration(c.box, c.positions, c.orientations, c.species, np.r_[1, c.typeid[1:]])
    with pytest.raises(InputError, match="Frame 0 of 2 holds other particles"):
        classify([other, c])


def test_series_of_unknown_orientations():
    c = crystal("SC", 3).with_(oriented=False)
    series = order_series([c.with_(orientations=np.full((27, 4), np.nan)), c.with_(oriented=True)])
    assert series["fraction_SC"].tolist() == [1.0, 1.0]
    assert np.isnan(series["cubatic_order"]).tolist() == [True, False]
