"""No text of a map may be read as that of another marker."""

import numpy as np
import pytest

from supercube.observe._labels import Markers, place_labels

FRAME = np.array([[0.0, 0.0], [400.0, 400.0]])


def gap(box, place, radius):
    """From a box to the rim of a disc."""
    return np.linalg.norm(place - np.clip(place, *box)) - radius


def from_line(line, place):
    steps = line[0] + np.linspace(0, 1, 400)[:, None] * (line[1] - line[0])
    return np.linalg.norm(steps - place, axis=1).min()


def markers_of(places, owners, dots=(), radius=6.0):
    places, dots = np.asarray(places, dtype=float), np.reshape(dots, (-1, 2))
    return Markers(places, np.full(len(places), radius), np.asarray(owners), dots, FRAME, 1.0)


def check(placed, markers):
    """Every label is plainly nearest to its own marker, or a line leads to it that touches nothing else."""
    for label, one in enumerate(placed):
        if one is None:
            continue
        own = markers.owners == label
        gaps = np.array([gap(one.box, p, r) for p, r in zip(markers.places, markers.radii, strict=True)])
        assert (gaps > 1.9).all()
        assert (one.box[0] >= FRAME[0]).all()
        assert (one.box[1] <= FRAME[1]).all()
        if not len(one.lines):
            assert gaps[own].min() <= 7.0
            assert (gaps[~own] >= 2 * gaps[own].min() + 8).all()
        for line in one.lines:
            assert gap(one.box, line[0], 0) < 1e-9
            assert np.abs(np.linalg.norm(markers.places[own] - line[1], axis=1) - markers.radii[own]).min() < 1e-9
            assert all(from_line(line, p) > 7.5 for p in markers.places[~own])
        for other in placed[:label]:
            if other is not None:
                assert ((one.box[0] > other.box[1]) | (one.box[1] < other.box[0])).any()


@pytest.mark.parametrize("seed", range(12))
def test_crowded_labels_are_never_mistaken(seed):
    rng = np.random.default_rng(seed)
    # Twelve points of one to three replicates about four places, too close for the text of 100 by 20 pixels.
    owners = np.repeat(np.arange(12), rng.integers(1, 4, 12))
    places = np.array([[120, 120], [250, 120], [120, 300], [280, 300.0]])[rng.integers(0, 4, len(owners))]
    places = places + rng.uniform(-40, 40, places.shape)
    apart = np.linalg.norm(places[:, None] - places, axis=-1) + 1e9 * np.eye(len(places))
    keep = np.array([(apart[k, :k] > 13).all() for k in range(len(places))])
    _, owners = np.unique(owners[keep], return_inverse=True)
    markers = markers_of(places[keep], owners)
    number = owners.max() + 1
    placed = place_labels(np.tile([100.0, 20.0], (number, 1)), markers, [False] * number)
    check(placed, markers)
    assert sum(one is not None for one in placed) > number / 2


def test_a_lonely_marker_has_its_text_beside_it_without_a_line():
    markers = markers_of([[100, 100], [300, 300]], [0, 1])
    placed = place_labels(np.array([[60.0, 12.0], [60.0, 12.0]]), markers, [False, False])
    check(placed, markers)
    assert all(len(one.lines) == 0 for one in placed)
    assert placed[0].box[0, 0] == pytest.approx(109.0)  # the marker's rim at 106, and 3 points


def test_lines_lead_to_every_marker_that_stands_among_others():
    angles = 2 * np.pi * np.arange(6) / 6
    ring = 200 + 25 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    markers = markers_of(ring, [0, 0, 0, 1, 1, 1])
    placed = place_labels(np.array([[80.0, 20.0]] * 2), markers, [True, True])
    check(placed, markers)
    for label, one in enumerate(placed):
        led_to = {int(np.linalg.norm(ring - line[1], axis=1).argmin()) for line in one.lines}
        assert led_to == set(np.flatnonzero(markers.owners == label))


def test_a_text_without_room_is_left_out():
    grid = np.stack(np.meshgrid(np.arange(15, 400, 30), np.arange(15, 400, 30)), axis=-1).reshape(-1, 2)
    markers = markers_of(grid, np.arange(len(grid)))
    placed = place_labels(np.tile([80.0, 20.0], (len(grid), 1)), markers, [False] * len(grid))
    assert placed == [None] * len(grid)


def test_texts_cover_no_dots():
    line = np.stack([np.linspace(100, 200, 60), np.full(60, 100.0)], axis=1)
    markers = markers_of([[100, 100]], [0], dots=line)
    (placed,) = place_labels(np.array([[60.0, 12.0]]), markers, [False])
    assert min(gap(placed.box, dot, 0) for dot in line) >= 2
