"""Orthographic ray casting of rounded boxes and spheres into a depth buffer, in numpy.

A rounded box is all points within a radius r of an inner box; a sphere is one whose inner box is a point. The signed
distance to a convex body is convex along a ray. So Newton's iteration that starts outside never steps past the
surface, converges quadratically, and a ray misses exactly if the distance stops falling before it reaches zero. On
flat faces the start (entry into the outer box) is the answer already, so that only rays near edges iterate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BACKGROUND = -1  #: body index of a pixel that shows nothing
BOX_LINE = -2  #: body index of a pixel that shows the outline of the periodic box
#: Rays handled at once: keeps the temporary arrays at a few MB however large a body is on the screen.
RAYS_PER_BLOCK = 1 << 16
#: Newton stops at this distance from the surface, in cube edges: far below a pixel.
HIT_DISTANCE = 1e-7
NEWTON_STEPS = 40


@dataclass(frozen=True)
class Solids:
    """Rounded boxes in space; a sphere has a zero inner box.

    Attributes:
        centres: (N, 3) float64.
        axes: (N, 3, 3) float64 rotation matrices; their columns are the body axes in space.
        half: (N, 3) float64 half edges of the inner box.
        radius: (N,) float64 rounding radius, > 0.
    """

    centres: Array
    axes: Array
    half: Array
    radius: Array

    def __len__(self) -> int:
        """Number of solids."""
        return len(self.centres)

    @property
    def is_sphere(self) -> NDArray[np.bool_]:
        """(N,) mask of the solids without an inner box."""
        return np.asarray((self.half == 0).all(axis=1))

    def take(self, which: NDArray[np.bool_]) -> Solids:
        """The solids of a mask."""
        return Solids(self.centres[which], self.axes[which], self.half[which], self.radius[which])

    def extent(self, directions: Array) -> Array:
        """(N, M) half widths along (M, 3) unit directions: the support function of the rounded box."""
        along = np.abs(np.einsum("md,nda->nma", directions, self.axes))
        return np.asarray(np.einsum("nma,na->nm", along, self.half) + self.radius[:, None])


@dataclass(frozen=True)
class Camera:
    """Parallel projection onto ``width`` x ``height`` square pixels.

    Attributes:
        rotation: (3, 3) float64; its rows are the right, up and toward-the-viewer directions in space.
        centre: (3,) float64, the point that is seen in the middle of the picture.
        scale: pixels per unit of length.
        width: pixels.
        height: pixels.
    """

    rotation: Array
    centre: Array
    scale: float
    width: int
    height: int

    def to_view(self, points: NDArray[np.floating]) -> Array:
        """(N, 3) right, up and toward-the-viewer coordinates of (N, 3) points in space."""
        return np.asarray((points - self.centre) @ self.rotation.T)

    def columns(self, x: Array) -> Array:
        """Horizontal pixel coordinate (pixel j covers j to j + 1) of a right coordinate."""
        return self.width / 2 + x * self.scale

    def rows(self, y: Array) -> Array:
        """Vertical pixel coordinate, downwards, of an up coordinate."""
        return self.height / 2 - y * self.scale

    def x_of(self, columns: NDArray[np.integer]) -> Array:
        """Right coordinate of pixel centres."""
        return np.asarray((columns + 0.5 - self.width / 2) / self.scale, dtype=np.float64)

    def y_of(self, rows: NDArray[np.integer]) -> Array:
        """Up coordinate of pixel centres."""
        return np.asarray((self.height / 2 - rows - 0.5) / self.scale, dtype=np.float64)


@dataclass(frozen=True)
class Buffers:
    """What each pixel shows.

    Attributes:
        depth: (height, width) float32, toward-the-viewer coordinate of the nearest surface, -inf where nothing is.
        body: (height, width) int32, index of the solid, or ``BACKGROUND`` or ``BOX_LINE``.
        normal: (height, width, 3) float16 outward normal in view coordinates; (0, 0, 3) if not asked for.
    """

    depth: NDArray[np.float32]
    body: NDArray[np.int32]
    normal: NDArray[np.float16]


def look_from(azimuth: float, elevation: float) -> Array:
    """Rotation of a camera with z upwards, seen from -y turned towards +x by ``azimuth``, lifted by ``elevation``.

    Args:
        azimuth: degrees.
        elevation: degrees.

    Returns:
        (3, 3) rows right, up, toward the viewer.
    """
    a, e = np.radians([azimuth, elevation])
    toward = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return np.stack([right, np.cross(toward, right), toward])


def look_along(toward: Array) -> Array:
    """Rotation of a camera on the side of the unit vector ``toward``; how it is rolled does not matter."""
    helper = np.eye(3)[int(np.argmin(np.abs(toward)))]
    right = np.cross(helper, toward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(toward, right), toward])


def trace(solids: Solids, camera: Camera, *, normals: bool = True, tolerance: float = HIT_DISTANCE) -> Buffers:
    """Cast one ray through the centre of each pixel and keep the nearest surface.

    Args:
        solids: what to draw.
        camera: where it is seen from.
        normals: whether normals are wanted (a shadow needs only the depth).
        tolerance: a ray has arrived when it is this near to the surface, in lengths.
    """
    shape = (camera.height, camera.width)
    buffers = Buffers(
        depth=np.full(shape, -np.inf, dtype=np.float32),
        body=np.full(shape, BACKGROUND, dtype=np.int32),
        normal=np.zeros((*shape, 3) if normals else (0, 0, 3), dtype=np.float16),
    )
    centres = camera.to_view(solids.centres)
    axes = camera.rotation @ solids.axes
    extent = solids.extent(camera.rotation)
    front = centres[:, 2] + extent[:, 2]
    # Nearest first: what lies wholly behind others is then skipped by one comparison.
    for k in np.argsort(-front, kind="stable"):
        for rows, columns in blocks(camera, centres[k], extent[k]):
            view = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            floor = buffers.depth[view]
            if floor.min() >= front[k]:
                continue
            x, y = camera.x_of(columns) - centres[k, 0], camera.y_of(rows) - centres[k, 1]
            origin = axes[k, 1][:, None, None] * y[:, None] + axes[k, 0][:, None, None] * x
            seen, height = surface_height(
                origin, axes[k, 2], solids.half[k], solids.radius[k], floor - centres[k, 2], tolerance
            )
            floor[seen] = height + centres[k, 2]
            buffers.body[view][seen] = k
            if normals:
                points = origin[:, seen] + height * axes[k, 2][:, None]
                buffers.normal[view][seen] = rotate(axes[k], distance_and_normal(points, solids.half[k], 0.0)[1]).T
    return buffers


def rotate(matrix: Array, vectors: NDArray[np.floating]) -> Array:
    """A (3, 3) matrix times (3, M) vectors.

    Not ``matrix @ vectors``: BLAS runs that with threads, which on a busy machine wait for each other longer than
    they compute (measured: the whole picture took four times as long).
    """
    return np.stack([dot(row, vectors) for row in matrix])


def dot(vector: Array, vectors: NDArray[np.floating]) -> Array:
    """Scalar products of one (3,) vector with (3, ...) vectors, in the precision of the latter."""
    a, b, c = vector.astype(vectors.dtype)
    return np.asarray(a * vectors[0] + b * vectors[1] + c * vectors[2])


def blocks(camera: Camera, centre: Array, extent: Array) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows and columns of the pixels that a body may cover, in blocks of at most about ``RAYS_PER_BLOCK``."""
    left, right = camera.columns(centre[0] + np.array([-1, 1]) * extent[0])
    top, bottom = camera.rows(centre[1] + np.array([1, -1]) * extent[1])
    columns = np.arange(max(int(left), 0), min(int(right) + 1, camera.width))
    rows = np.arange(max(int(top), 0), min(int(bottom) + 1, camera.height))
    if len(columns) == 0:
        return
    step = max(RAYS_PER_BLOCK // len(columns), 1)
    for start in range(0, len(rows), step):
        yield rows[start : start + step], columns


def surface_height(
    origin: Array,
    toward: Array,
    half: Array,
    radius: float,
    floor: NDArray[np.floating],
    tolerance: float = HIT_DISTANCE,
) -> tuple[NDArray[np.bool_], Array]:
    """Where rays meet a rounded box first.

    Args:
        origin: (3, ...) one point of each ray in body coordinates.
        toward: (3,) unit vector from the scene to the viewer in body coordinates.
        half: (3,) half edges of the inner box; zero for a sphere.
        radius: rounding radius.
        floor: (...) hits at or below this height are of no interest (something nearer is known).
        tolerance: distance from the surface at which a ray has arrived.

    Returns:
        (...) mask of the rays that hit above the floor, and for these the largest h for which
        ``origin + h * toward`` is in the body.
    """
    if not half.any():
        middle = -dot(toward, origin)
        square = radius**2 - (origin**2).sum(axis=0) + middle**2
        height = middle + np.sqrt(np.maximum(square, 0.0))
        seen = (square > 0.0) & (height > floor)
        return seen, height[seen]
    seen, height = _outer_box(origin, toward, half + radius)
    seen &= height > floor
    origin, height, floor = origin[:, seen], height[seen], floor[seen]
    distance, _ = distance_and_normal(origin + height * toward[:, None], half, radius)
    near_edge = np.flatnonzero(distance > tolerance)
    hit = np.ones(len(height), dtype=bool)
    height[near_edge], hit[near_edge] = _newton(
        origin[:, near_edge], height[near_edge], toward, half, radius, tolerance
    )
    hit &= height > floor
    seen[seen] = hit
    return seen, height[hit]


def _outer_box(origin: Array, toward: Array, outer: Array) -> tuple[NDArray[np.bool_], Array]:
    """Mask of the rays that meet a sharp box of half edges ``outer``, and the height at which they enter it."""
    height, leave = np.full(origin.shape[1:], np.inf), np.full(origin.shape[1:], -np.inf)
    for a in range(3):
        # A ray parallel to a face gets a huge positive or negative bound, which is the right answer for a slab.
        slope = max(abs(float(toward[a])), 1e-12)
        signed = origin[a] * (np.copysign(1.0, toward[a]) / slope)
        np.minimum(height, outer[a] / slope - signed, out=height)
        np.maximum(leave, -outer[a] / slope - signed, out=leave)
    return height >= leave, height


def distance_and_normal(points: Array, half: Array, radius: float) -> tuple[Array, Array]:
    """Signed distance of (3, M) points outside the inner box to the rounded box, and its gradient (3, M)."""
    beyond = np.maximum(np.abs(points) - half[:, None], 0.0)
    length = np.sqrt((beyond**2).sum(axis=0))
    return length - radius, np.copysign(beyond, points) / np.maximum(length, 1e-300)


def _newton(
    origin: Array, height: Array, toward: Array, half: Array, radius: float, tolerance: float
) -> tuple[Array, NDArray[np.bool_]]:
    hit = np.zeros(len(height), dtype=bool)
    active = np.arange(len(height))
    for _ in range(NEWTON_STEPS):
        points = origin[:, active] + height[active] * toward[:, None]
        distance, normal = distance_and_normal(points, half, radius)
        slope = dot(toward, normal)
        arrived = distance <= tolerance
        hit[active[arrived]] = True
        # Moving away from the viewer no longer brings the ray nearer: convexity says it misses.
        going = ~arrived & (slope > 1e-9)
        active = active[going]
        if len(active) == 0:
            break
        height[active] -= distance[going] / slope[going]
    return height, hit
