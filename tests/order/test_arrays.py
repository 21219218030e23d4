from __future__ import annotations

import freud
import numpy as np
import pytest
from order_samples import crystal, moved, only

from supercube.configuration import box_matrix
from supercube.errors import InputError
from supercube.order import classify, classify_arrays

#: Vibrations that a crystal survives, and tilts that 3 cells along each edge allow.
THERMAL = {"rms_cube": 0.04, "rms_sphere": 0.03, "tilt": 3.0, "tilts": (1 / 3, 0.0, -1 / 3)}


def species_of(c):
    return [c.species[i] for i in c.typeid]


@pytest.fixture(scope="module")
def abo3():
    # A free surface, so that not everything has one label.
    c = crystal("ABO3", 3, a=2.4, **THERMAL)
    return only(c, np.flatnonzero(c.positions[:, 2] > -1.8))


@pytest.mark.parametrize("kind", ["six", "matrix", "freud"])
def test_same_answer_as_for_a_configuration(abo3, kind):
    box = {
        "six": abo3.box.tolist(),
        "matrix": box_matrix(abo3.box).tolist(),
        "freud": freud.box.Box(*abo3.box).to_matrix(),
    }[kind]
    order = classify_arrays(box, abo3.positions.tolist(), abo3.orientations, species_of(abo3))
    expected = classify(abo3)
    assert 0.3 < expected.fractions["ABO3"] < 1.0
    np.testing.assert_array_equal(order.labels, expected.labels)
    # freud's boxes are single precision.
    assert order.lattice_constant == pytest.approx(expected.lattice_constant, rel=1e-6)
    assert order.cubatic_order == pytest.approx(expected.cubatic_order, abs=1e-9)


def test_three_lengths_and_one_word_for_all():
    c = crystal("fcc", 3, a=1.7)
    order = classify_arrays(c.box[:3], c.positions, species="sphere")
    assert order.fractions["fcc"] == 1.0
    assert order.n_spheres == len(c)
    sc = crystal("SC", 3)
    assert classify_arrays(sc.box[:3], sc.positions, sc.orientations).fractions["SC"] == 1.0


def test_positions_may_lie_outside_and_inputs_stay_as_they_were(abo3):
    jumps = np.random.default_rng(0).integers(-50, 50, (len(abo3), 3)) @ box_matrix(abo3.box).T
    arrays = abo3.box, abo3.positions + jumps, 3.0 * abo3.orientations
    copies = [array.copy() for array in arrays]
    labels = classify_arrays(*arrays, species_of(abo3)).labels
    np.testing.assert_array_equal(labels, classify(abo3).labels)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_frames_are_averaged_wrapped_or_not():
    c = crystal("NaCl", 2)
    rng = np.random.default_rng(1)
    steps = 0.12 * rng.normal(size=(12, len(c), 3))  # too much for a single frame
    drift = np.arange(12)[:, None, None] * np.array([0.3, 0.1, 0.0])
    turns = np.tile(c.orientations, (12, 1, 1))
    loose = classify_arrays(c.box, c.positions + drift + steps, turns, species_of(c))
    wrapped = [moved(c, d + s).positions for d, s in zip(drift, steps, strict=True)]
    again = classify_arrays(c.box, wrapped, turns, species_of(c))
    np.testing.assert_array_equal(again.labels, loose.labels)
    assert again.mobile_fraction == loose.mobile_fraction is not None
    calm = classify_arrays(c.box, c.positions + drift + 0.2 * steps, turns, species_of(c))
    assert calm.fractions["NaCl"] == 1.0
    assert calm.mobile_fraction == 0.0


def test_without_orientations_positions_decide():
    c = crystal("SC", 4)
    q = np.random.default_rng(3).normal(size=(len(c), 4))
    assert classify_arrays(c.box, c.positions, q).fractions["SC"] < 0.1  # cubes that point anywhere
    order = classify_arrays(c.box, c.positions)
    assert order.fractions["SC"] == 1.0
    assert order.cubatic_order is None
    assert order.orientation_fwhm_deg is None


def test_orientations_of_spheres_mean_nothing():
    c = crystal("NaCl", 2)
    q = np.where(c.is_species("sphere")[:, None], np.nan, c.orientations)
    assert classify_arrays(c.box, c.positions, q, species_of(c)).fractions["NaCl"] == 1.0


POINTS = np.random.default_rng(0).random((9, 3))
TILTED = box_matrix([5, 5, 5, 0.3, 0, 0])
TURNED = np.array([[0.0, -5, 0], [5, 0, 0], [0, 0, 5]])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"box": [3, 3]}, r"box has the shape \(2,\); expected \(3,\)"),
        ({"box": [3, 3, 0]}, "three positive lengths"),
        ({"box": [3, 3, -3, 0, 0, 0]}, "three positive lengths"),
        ({"box": [3, 3, 3, 0, np.nan, 0]}, "finite tilts"),
        ({"box": "cubic"}, "box is not an array of numbers"),
        ({"box": TILTED.T}, "not upper triangular; .* give its transpose"),
        ({"box": TURNED}, "not upper triangular; .* turn positions"),
        ({"box": np.diag([3, 3, -3])}, r"the diagonal \[3.0, 3.0, -3.0\]; .* right-handed"),
        ({"box": np.diag([3, 3, np.inf])}, "finite lattice vectors"),
        ({"positions": POINTS[:, :2]}, r"positions has the shape \(9, 2\); expected \(N, 3\)"),
        ({"positions": [[1, 2, 3], [1, 2]]}, "positions is not an array of numbers"),
        ({"positions": POINTS[:6]}, "6 particles; expected at least 7"),
        ({"positions": np.zeros((0, 9, 3))}, "No frame"),
        ({"positions": POINTS * 1e12}, "more than 2e[+]09 boxes outside"),
        ({"positions": np.vstack([[0, 0, np.nan], POINTS[1:]])}, "1 particles .* NaN"),
        ({"orientations": POINTS}, r"orientations has the shape \(9, 3\); expected \(N, 4\)"),
        ({"orientations": np.ones((8, 4))}, r"shape \(8, 4\) beside positions of the shape \(9, 3\)"),
        ({"orientations": np.zeros((9, 4))}, "zero orientations"),
        ({"species": "rod"}, "species holds rod; expected cube and/or sphere"),
        ({"species": ["cube"] * 8}, r"species has the shape \(8,\) for 9 positions"),
        ({"species": [True] * 9}, "species holds True"),
    ],
)
def test_what_is_refused(changes, words):
    with pytest.raises(InputError, match=words) as caught:
        classify_arrays(**({"box": [3, 3, 3], "positions": POINTS} | changes))
    assert "\n" not in str(caught.value)
