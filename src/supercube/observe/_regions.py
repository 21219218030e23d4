"""Areas of a phase diagram on a grid: polygons with boundaries between the grid points, by linear interpolation.

Where two neighbouring grid points have different winners A and B, and each is the other's runner-up, the boundary is
where the linear interpolation of V_B - V_A is zero: at the share m_A/(m_A + m_B) of the way, m being the margins. With
a third phase as runner-up nothing is known between them, and the boundary lies half-way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Labels = NDArray[np.str_]

#: A boundary keeps this share of the grid's step away from grid points, so that no polygon degenerates.
_CLEARANCE = 0.02


@dataclass(frozen=True)
class Partition:
    """The rectangle of the grid as triangles that each belong to one label.

    Attributes:
        points: (P, 2) grid points, boundary points and centres of squares, x and y.
        margins: (P,) margin over the runner-up; 0 on boundaries.
        triangles: (T, 3) indices of points, counter-clockwise.
        labels: (T,) of the triangles.
    """

    points: FloatArray
    margins: FloatArray
    triangles: IntArray
    labels: Labels

    def outline(self, label: str) -> list[FloatArray]:
        """Closed loops (K, 2) around the area of a label: counter-clockwise outside, clockwise around holes."""
        triangles = self.triangles[self.labels == label]
        edges = np.concatenate([triangles[:, [i, (i + 1) % 3]] for i in range(3)])
        # An edge inside the area is there in both directions; those of the outline are there once.
        keys, back = (edges @ np.array(order) for order in ([len(self.points), 1], [1, len(self.points)]))
        following: dict[int, list[int]] = {}
        for start, end in edges[~np.isin(keys, back)].tolist():
            following.setdefault(start, []).append(end)
        loops = []
        while following:
            loops.append(self.points[_loop(following)])
        return loops


def _loop(following: dict[int, list[int]]) -> list[int]:
    start = next(iter(following))
    loop = [start]
    while True:
        ends = following[loop[-1]]
        end = ends.pop()
        if not ends:
            del following[loop[-1]]
        if end == start:
            return loop
        loop.append(end)


def partition(x: FloatArray, y: FloatArray, labels: Labels, runners_up: Labels, margins: FloatArray) -> Partition:
    """Divide the rectangle of the grid among its labels.

    Args:
        x: (G,) ascending, at least two.
        y: (L,) ascending, at least two.
        labels: (L, G) winners.
        runners_up: (L, G).
        margins: (L, G) volume of the runner-up over that of the winner, less 1.
    """
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    across, across_margin, across_cut = _crossings(grid, labels, runners_up, margins)
    turned = _crossings(grid.swapaxes(0, 1), labels.T, runners_up.T, margins.T)
    up, up_margin, up_cut = turned[0].swapaxes(0, 1), turned[1].T, turned[2].T
    sides = np.stack([across[:-1], across[1:], up[:, :-1], up[:, 1:]])
    cut = np.stack([across_cut[:-1], across_cut[1:], up_cut[:, :-1], up_cut[:, 1:]])
    # The centre of a square lies between its boundary points, so that a boundary through two of them is straight.
    weights = np.where(cut.any(axis=0), cut, 1.0)[..., None]
    centres = (weights * sides).sum(axis=0) / weights.sum(axis=0)
    corners = np.stack([margins[:-1, :-1], margins[:-1, 1:], margins[1:, :-1], margins[1:, 1:]])
    centre_margin = np.where(cut.any(axis=0), 0.0, corners.mean(axis=0))
    points = np.concatenate([array.reshape(-1, 2) for array in (grid, across, up, centres)])
    values = np.concatenate([array.ravel() for array in (margins, across_margin, up_margin, centre_margin)])
    triangles, owners = _triangles(*labels.shape)
    return Partition(points, np.maximum(values, 0.0), triangles, labels.ravel()[owners])


def _crossings(
    grid: FloatArray, labels: Labels, runners_up: Labels, margins: FloatArray
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Between neighbours along the second axis: point, its margin, and whether a boundary is there."""
    left, right = margins[:, :-1], margins[:, 1:]
    cut = labels[:, :-1] != labels[:, 1:]
    mutual = cut & (labels[:, :-1] == runners_up[:, 1:]) & (labels[:, 1:] == runners_up[:, :-1]) & (left + right > 0)
    share = np.divide(left, left + right, out=np.full(left.shape, 0.5), where=mutual)
    share = np.clip(share, _CLEARANCE, 1 - _CLEARANCE)[..., None]
    points = (1 - share) * grid[:, :-1] + share * grid[:, 1:]
    return points, np.where(cut, 0.0, (left + right) / 2), cut


def _triangles(rows: int, columns: int) -> tuple[IntArray, IntArray]:
    """Eight triangles a square, two at each corner, as indices of points; and the grid point each belongs to."""
    node = np.arange(rows * columns).reshape(rows, columns)
    across = node.size + np.arange(rows * (columns - 1)).reshape(rows, columns - 1)
    up = node.size + across.size + np.arange((rows - 1) * columns).reshape(rows - 1, columns)
    centre = node.size + across.size + up.size + np.arange((rows - 1) * (columns - 1)).reshape(rows - 1, columns - 1)
    found, owners = [], []
    for top in (False, True):
        for right in (False, True):
            corner = node[1 if top else 0 : rows if top else -1, 1 if right else 0 : columns if right else -1]
            beside = across[1:] if top else across[:-1]
            above = up[:, 1:] if right else up[:, :-1]
            # Counter-clockwise around the square: at these two corners the horizontal side comes first.
            first, last = (beside, above) if top == right else (above, beside)
            for triangle in ((corner, first, centre), (corner, centre, last)):
                found.append(np.stack(triangle, axis=-1).reshape(-1, 3))
                owners.append(corner.ravel())
    return np.concatenate(found), np.concatenate(owners)
