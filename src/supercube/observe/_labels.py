"""Where the text of a map stands, so that nobody reads it as that of another marker.

A label stands alone where its own marker is unmistakably the nearest; elsewhere thin lines lead from it to its markers.
Where neither is possible it is left out: no text is better than a wrong one. All positions are in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: A label without a line is at most this far from its marker, and any other marker is ``_TWICE`` times as far and
#: ``_CLEAR`` more (points).
_NEAR, _TWICE, _CLEAR = 7.0, 2.0, 8.0
#: Clear points around a text and the markers that a line passes; between a text with a line and markers not its own.
_GAP, _FOREIGN = 2.0, 5.0
#: Points that a line costs: so much farther away a label may be that needs none.
_LINE_COST = 30.0
#: Distances between marker and label, in points, and directions that are tried.
_GAPS = (3.0, 6.0, 12.0, 20.0, 32.0, 48.0, 70.0, 100.0)
_DIRECTIONS = 24


@dataclass(frozen=True)
class Markers:
    """What labels must not be mistaken about.

    Attributes:
        places: (N, 2) centres of the markers.
        radii: (N,).
        owners: (N,) number of the label that each marker has.
        dots: (D, 2) places that no text may cover, such as those along lines.
        frame: (2, 2) lower left and upper right corner of the panel.
        point: pixels of a point.
    """

    places: FloatArray
    radii: FloatArray
    owners: IntArray
    dots: FloatArray
    frame: FloatArray
    point: float


@dataclass(frozen=True)
class Placed:
    """Where a label stands: ``box`` (2, 2), its lower left and upper right corner, and ``lines`` (L, 2, 2)."""

    box: FloatArray
    lines: FloatArray


def place_labels(extents: FloatArray, markers: Markers, all_lines: Sequence[bool]) -> list[Placed | None]:
    """Places of labels; None for one that has no place where it would be understood.

    Args:
        extents: (K, 2) width and height of the texts.
        markers: what they name.
        all_lines: (K,) whether lines must lead to every marker of a label, for others stand among them; else a line to
            the nearest one is enough.
    """
    placed: list[Placed | None] = [None] * len(extents)
    for label in _most_crowded_first(markers, len(extents)):
        others = [one for one in placed if one is not None]
        placed[label] = _place(label, extents[label], markers, others, all_lines[label])
    return placed


def _most_crowded_first(markers: Markers, number: int) -> list[int]:
    room = []
    for label in range(number):
        own = markers.owners == label
        apart = np.linalg.norm(markers.places[own][:, None] - markers.places[~own][None], axis=-1)
        room.append(apart.min() if apart.size else np.inf)
    order: list[int] = np.argsort(room, kind="stable").tolist()
    return order


def _place(
    label: int, extent: FloatArray, markers: Markers, others: Sequence[Placed], all_lines: bool
) -> Placed | None:
    own = np.flatnonzero(markers.owners == label)
    boxes, gaps = _candidates(extent, markers, own)
    free = _free(boxes, markers, others)
    boxes, gaps = boxes[free], gaps[free]
    if not len(boxes):
        return None
    distances = _distances(boxes, markers.places) - markers.radii
    to_own = distances[:, own].min(axis=1)
    foreign = np.delete(distances, own, axis=1)
    to_others = foreign.min(axis=1) if foreign.shape[1] else np.full(len(boxes), np.inf)
    clear = (to_own <= _NEAR * markers.point) & (to_others >= _TWICE * to_own + _CLEAR * markers.point)
    clear &= not (all_lines and len(own) > 1)
    cost = gaps + np.where(clear, 0.0, _LINE_COST * markers.point)
    cost[~clear & (to_others < _FOREIGN * markers.point)] = np.inf
    for index in np.argsort(cost, kind="stable")[: np.isfinite(cost).sum()].tolist():
        if clear[index]:
            return Placed(boxes[index], np.empty((0, 2, 2)))
        led_to = own if all_lines else own[[distances[index, own].argmin()]]
        lines = np.array([_line(boxes[index], markers.places[m], markers.radii[m]) for m in led_to])
        if _passes(lines, label, markers, others):
            return Placed(boxes[index], lines)
    return None


def _candidates(extent: FloatArray, markers: Markers, own: IntArray) -> tuple[FloatArray, FloatArray]:
    """(C, 2, 2) boxes around the label's markers and their (C,) distances from them."""
    # Beginning at the right, then left, above and below: the order counts where costs are equal.
    angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    angles = angles[np.argsort(np.round(np.abs(np.sin(2 * angles)), 6), kind="stable")]
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gaps = np.array(_GAPS) * markers.point
    reach = markers.radii[own][:, None] + gaps
    middles = markers.places[own][:, None, None] + reach[..., None, None] * ways
    # The side that faces the marker, not the middle of the text, is that far away.
    middles = middles + np.clip(1.5 * ways, -1, 1) * extent / 2
    middles = middles.reshape(-1, 2)
    boxes = np.stack([middles - extent / 2, middles + extent / 2], axis=1)
    return boxes, np.broadcast_to(gaps[:, None], (len(own), len(gaps), _DIRECTIONS)).ravel()


def _free(boxes: FloatArray, markers: Markers, others: Sequence[Placed]) -> BoolArray:
    """Which boxes lie in the frame and cover neither markers, dots, other text, nor its lines."""
    gap = _GAP * markers.point
    free = (boxes[:, 0] >= markers.frame[0]).all(axis=1) & (boxes[:, 1] <= markers.frame[1]).all(axis=1)
    free &= (_distances(boxes, markers.places) >= markers.radii + gap).all(axis=1)
    dots = np.concatenate([markers.dots, *(_along(line) for one in others for line in one.lines)])
    if len(dots):
        free &= (_distances(boxes, dots) >= gap).all(axis=1)
    for one in others:
        apart = (boxes[:, 0] > one.box[1] + gap) | (boxes[:, 1] < one.box[0] - gap)
        free &= apart.any(axis=1)
    return np.asarray(free)


def _passes(lines: FloatArray, label: int, markers: Markers, others: Sequence[Placed]) -> bool:
    """Whether lines to a label's markers touch no other marker, text or line."""
    foreign = markers.owners != label
    room = markers.radii[foreign] + _GAP * markers.point
    for start, end in lines:
        if (_from_segment(markers.places[foreign], start, end) < room).any():
            return False
        steps = _along(np.array([start, end]))
        if any((_distances(one.box[None], steps) <= 0).any() for one in others):
            return False
        if any(_cross(start, end, *line) for one in others for line in one.lines):
            return False
    return True


def _line(box: FloatArray, place: FloatArray, radius: float) -> FloatArray:
    """From the nearest place of a box to the rim of a marker."""
    start = np.clip(place, box[0], box[1])
    away = place - start
    length = float(np.linalg.norm(away))
    return np.array([start, start + away * max(0.0, 1 - radius / length) if length else start])


def _distances(boxes: FloatArray, points: FloatArray) -> FloatArray:
    """(C, N) distances of points from boxes, 0 within."""
    outside = np.maximum(np.maximum(boxes[:, None, 0] - points, points - boxes[:, None, 1]), 0.0)
    return np.asarray(np.linalg.norm(outside, axis=-1))


def _along(line: FloatArray) -> FloatArray:
    """Places along a line, two pixels apart."""
    shares = np.linspace(0, 1, 2 + int(np.linalg.norm(line[1] - line[0]) / 2))[:, None]
    return np.asarray(line[0] + shares * (line[1] - line[0]))


def _from_segment(points: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    along = end - start
    share = np.clip((points - start) @ along / max(float(along @ along), 1e-12), 0, 1)
    return np.asarray(np.linalg.norm(points - start - share[:, None] * along, axis=1))


def _cross(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> bool:
    def side(p: FloatArray, q: FloatArray, r: FloatArray) -> float:
        return float(np.sign((q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])))

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
