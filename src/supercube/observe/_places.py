"""Where text fits on a map of areas: in its own area at the widest place, or near a point without covering anything."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Pixels of the picture per cell of the raster: fine against text, and the raster stays small.
STEP = 2
#: Covering a boundary counts as this many pixels farther away.
_ACROSS = 40.0
#: Further parts of an area below this share of the rectangle are too small for any text.
_LEAST_PART = 0.004
#: Clear pixels around a text.
_GAP = 3.0


class Raster:
    """Which area each place of a rectangle belongs to, and which places are taken.

    All positions are in pixels of the picture, x and y from its lower left corner.
    """

    def __init__(self, frame: FloatArray, outlines: dict[str, list[FloatArray]]) -> None:
        """``frame`` is (2, 2), lower left and upper right corner; ``outlines`` are loops around areas, by label."""
        from matplotlib.path import Path

        self.labels = list(outlines)
        self.corner = frame[0]
        columns, rows = np.maximum(((frame[1] - frame[0]) / STEP).astype(int), 1)
        grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
        centres = (self.corner + (grid + 0.5) * STEP).reshape(-1, 2)
        self.area = np.full((rows, columns), -1)
        for index, loops in enumerate(outlines.values()):
            # Even-odd: a place in a hole is inside two loops.
            inside = np.sum([Path(loop).contains_points(centres) for loop in loops], axis=0) % 2 == 1
            self.area[inside.reshape(rows, columns)] = index
        self.taken: BoolArray = np.zeros((rows, columns), dtype=bool)

    def take_box(self, box: FloatArray) -> None:
        """Keep further text away from a (2, 2) box."""
        low = np.floor((box[0] - _GAP - self.corner) / STEP).astype(int)
        high = np.ceil((box[1] + _GAP - self.corner) / STEP).astype(int)
        low, high = np.maximum(low, 0), np.maximum(high, 0)
        self.taken[low[1] : high[1], low[0] : high[0]] = True

    def take_line(self, points: FloatArray, width: float) -> None:
        """Keep further text away from a line through (K, 2) points."""
        for start, end in pairwise(points):
            for share in np.linspace(0, 1, 2 + int(np.linalg.norm(end - start) / STEP)):
                place = start + share * (end - start)
                self.take_box(np.array([place - width / 2, place + width / 2]))

    def parts(self, label: str) -> list[BoolArray]:
        """The largest connected part of an area, and others that are not tiny; none if the raster misses the area."""
        from scipy import ndimage

        numbers, count = ndimage.label(self.area == self.labels.index(label))
        sizes = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
        order = np.argsort(-sizes, kind="stable").tolist()
        return [numbers == k + 1 for k in order if k == order[0] or sizes[k] > _LEAST_PART * self.area.size]

    def widest(self, part: BoolArray) -> FloatArray:
        """Place of a part that is farthest from its outline."""
        return self._place(int(_depth(part).argmax()))

    def inside(self, part: BoolArray, extent: FloatArray) -> FloatArray | None:
        """Middle of a free box (width, height) within a part, where it is widest; None if there is none."""
        free = part & ~self.taken
        fits = self._fits(free, extent)
        if not fits.any():
            return None
        return self._place(int(np.where(fits, _depth(free), -1.0).argmax()))

    def near(self, point: FloatArray, extent: FloatArray, prefer: tuple[int, int] = (0, 0)) -> FloatArray | None:
        """Middle of a free box near a point, in one area unless that is far away; None if nothing is free.

        ``prefer`` names a side, such as (-1, 0) for the left: places elsewhere count as farther away.
        """
        from scipy import ndimage

        fits = self._fits(~self.taken, extent)
        if not fits.any():
            return None
        rows, columns = np.indices(self.area.shape)
        away = np.stack([columns + 0.5, rows + 0.5], axis=-1) * STEP + self.corner - point
        gap = np.maximum(np.abs(away) - extent / 2, 0.0)
        cost = np.hypot(gap[..., 0], gap[..., 1]) + 1e-3 * np.abs(away).sum(axis=-1)
        cost -= np.minimum(away @ np.array(prefer, dtype=np.float64), 0.0)
        inner = ndimage.maximum_filter(self.area, 5) == ndimage.minimum_filter(self.area, 5)
        cost = cost + np.where(self._fits(inner, extent), 0.0, _ACROSS)
        return self._place(int(np.where(fits, cost, np.inf).argmin()))

    def _fits(self, free: BoolArray, extent: FloatArray) -> BoolArray:
        """Where the middle of a box may be."""
        from scipy import ndimage

        width, height = (int(np.ceil((length + 2 * _GAP) / STEP)) | 1 for length in extent)
        fits: BoolArray = ndimage.minimum_filter(free, size=(height, width), mode="constant", cval=0)
        return fits

    def _place(self, index: int) -> FloatArray:
        row, column = divmod(index, self.area.shape[1])
        return np.asarray(self.corner + (np.array([column, row]) + 0.5) * STEP, dtype=np.float64)


def _depth(part: BoolArray) -> FloatArray:
    """Distance from the outline, the frame counting as one."""
    from scipy import ndimage

    depth: FloatArray = ndimage.distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    return depth
