"""Rotations under cubic symmetry: matrices, smallest angles between cubic frames, mean frames, twist.

A *frame* is a (3, 3) proper rotation whose columns are the three axes of a cube (or of a cubic crystal) in space.
Frames that differ by one of the 24 rotations of the cube are the same frame.
"""

from __future__ import annotations

import itertools
from typing import cast

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def matrices(orientations: FloatArray) -> FloatArray:
    """Rotation matrices R(q) of quaternions; R's columns are the body axes in space.

    Args:
        orientations: (..., 4) unit quaternions, scalar first.

    Returns:
        (..., 3, 3).
    """
    w, x, y, z = np.moveaxis(orientations, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def nearest_rotation(square: FloatArray) -> FloatArray:
    """Proper rotation R that maximises tr(R^T A): R = U diag(1, 1, det(U V^T)) V^T of the SVD A = U S V^T.

    Args:
        square: (..., 3, 3).

    Returns:
        (..., 3, 3).
    """
    u, _, vt = np.linalg.svd(square)
    u[..., :, 2] *= np.linalg.det(u @ vt)[..., None]
    return cast(FloatArray, u @ vt)


#: Matrices below which one SVD after the other is faster than Newton's iteration on all of them.
FEW = 100


def polar_rotation(square: FloatArray, rounds: int = 12) -> FloatArray:
    """The same as :func:`nearest_rotation` where det A > 0, by Newton's iteration X <- (X + X^-T)/2, which is faster.

    It converges quadratically; matrices of which it does not converge (nearly singular, or a mirror) take the SVD.

    Args:
        square: (n, 3, 3).
        rounds: most iterations.

    Returns:
        (n, 3, 3).
    """
    if len(square) < FEW:
        return nearest_rotation(square)
    norm = np.sqrt((square**2).sum(axis=(1, 2)))
    current = square * (np.sqrt(3.0) / np.where(norm > 0, norm, 1.0))[:, None, None]
    for _ in range(rounds):
        a, b, c = current[:, :, 0], current[:, :, 1], current[:, :, 2]
        # Columns of the cofactor matrix det(X) X^-T.
        cofactors = np.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=-1)
        determinant = (a * cofactors[:, :, 0]).sum(axis=1)
        safe = np.where(determinant > 1e-9, determinant, 1.0)
        following = 0.5 * (current + cofactors / safe[:, None, None])
        change = np.abs(following - current).max(initial=0.0)
        current = following
        if change < 1e-7:
            break
    error = np.abs(np.swapaxes(current, 1, 2) @ current - np.eye(3)).max(axis=(1, 2), initial=0.0)
    bad = ~((error < 1e-6) & (np.linalg.det(current) > 0))
    if bad.any():
        current[bad] = nearest_rotation(np.where(np.isfinite(square[bad]), square[bad], 0.0))
    return np.asarray(current)


def _cross(u: FloatArray, v: FloatArray) -> FloatArray:
    # np.cross takes several times as long.
    return np.stack([u[:, i - 2] * v[:, i - 1] - u[:, i - 1] * v[:, i - 2] for i in (0, 1, 2)], axis=1)


def _group() -> FloatArray:
    elements = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            element = np.zeros((3, 3))
            element[range(3), order] = signs
            if np.linalg.det(element) > 0:
                elements.append(element)
    return np.array(elements)


#: (24, 3, 3): the rotations that map a cube onto itself.
CUBE_GROUP = _group()


def disorientation(first: FloatArray, second: FloatArray) -> FloatArray:
    """Smallest rotation angle between two cubic frames: arccos((max_g tr(A^T B g) - 1) / 2), 0 .. 62.8 degrees.

    The largest trace over the group is had without the group: for the quaternion of A^T B with |components| sorted
    a >= b >= c >= d, the largest scalar part is max(a, (a + b)/sqrt2, (a + b + c + d)/2).

    Args:
        first: (..., 3, 3) frames.
        second: (..., 3, 3) frames.

    Returns:
        (...) angles in degrees.
    """
    m = np.swapaxes(first, -1, -2) @ second
    x, y, z = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # Squares of the quaternion components; rounding may make them slightly negative.
    squares = np.stack([1 + x + y + z, 1 + x - y - z, 1 - x + y - z, 1 - x - y + z], axis=-1) / 4
    q = np.sort(np.sqrt(np.clip(squares, 0.0, 1.0)), axis=-1)[..., ::-1]
    scalar = np.maximum(q[..., 0], np.maximum((q[..., 0] + q[..., 1]) / np.sqrt(2), q.sum(axis=-1) / 2))
    return cast(FloatArray, np.degrees(2 * np.arccos(np.clip(scalar, 0.0, 1.0))))


def climb(frames: FloatArray, starts: FloatArray, rounds: int = 100, tolerance: float = 1e-7) -> FloatArray:
    """Local maxima of sum_{k,a} (x_k . u_a)^4 over rotations X, one from each start.

    The sum is convex in X, so X <- nearest_rotation(its gradient) never lowers it.

    Args:
        frames: (n, 3, 3) whose columns are the u_a.
        starts: (s, 3, 3).
        rounds: most iterations; convergence is linear and takes about ten near an ordered state.
        tolerance: largest change of a matrix element at which to stop; the sum then errs by its square.

    Returns:
        (s, 3, 3).
    """
    # The gradient needs only the fourth moments, so its cost does not grow with the number of frames.
    moments = fourth_moments(frames).reshape(3, 27)
    current = starts
    for _ in range(rounds):
        columns = np.swapaxes(current, 1, 2)  # (s, k, 3): the three axes
        pairs = (columns[..., :, None] * columns[..., None, :]).reshape(-1, 9)
        triples = (pairs[:, :, None] * columns.reshape(-1, 1, 3)).reshape(-1, 27)
        gradient = (triples @ moments.T).reshape(-1, 3, 3)  # rows are axes
        following = nearest_rotation(np.swapaxes(gradient, 1, 2))
        change = float(np.abs(following - current).max())
        current = following
        if change < tolerance:
            break
    return current


def fourth_moments(frames: FloatArray) -> FloatArray:
    """Mean over frames of sum_a u_a u_a u_a u_a, as a (3, 3, 3, 3) array.

    Args:
        frames: (n, 3, 3) whose columns are the u_a.
    """
    axes = np.swapaxes(frames, 1, 2).reshape(-1, 3)
    pairs = (axes[:, :, None] * axes[:, None, :]).reshape(-1, 9)
    return (pairs.T @ pairs).reshape(3, 3, 3, 3) / len(frames)


def twist(frames: FloatArray, crystal: FloatArray, axis: FloatArray) -> FloatArray:
    """Turn of a cube about a crystal axis n, away from the crystal's other axes, folded to 0 .. 45 degrees.

    Formula: take the cube axis c nearest to +-n, rotate it onto n by the smallest rotation, and measure the angle of
    another cube axis to a crystal axis perpendicular to n, modulo 90 degrees; min(t, 90 - t).

    Args:
        frames: (n, 3, 3) cubes.
        crystal: (n, 3, 3) local crystal frames.
        axis: (n,) which crystal axis (0, 1, 2) is n.

    Returns:
        (n,) degrees.
    """
    rows = np.arange(len(frames))
    local = np.swapaxes(crystal, 1, 2) @ frames  # cube axes in crystal coordinates, as columns
    # Bring n to z by a cyclic permutation of the crystal axes, which keeps it a proper rotation.
    order = (axis[:, None] + np.array([1, 2, 0])) % 3
    local = np.take_along_axis(local, order[:, :, None], axis=1)
    nearest = np.abs(local[:, 2, :]).argmax(axis=1)
    c = local[rows, :, nearest]
    c = c * np.where(c[:, 2] < 0, -1.0, 1.0)[:, None]
    other = local[rows, :, (nearest + 1) % 3]
    # Smallest rotation taking c to z, applied to a vector v perpendicular to c: v - (c + z)(v.z)/(1 + c.z).
    turned = other - (c + np.array([0.0, 0.0, 1.0])) * (other[:, 2] / (1 + c[:, 2]))[:, None]
    angle = np.degrees(np.arctan2(turned[:, 1], turned[:, 0])) % 90.0
    return cast(FloatArray, np.minimum(angle, 90.0 - angle))


def mean_frames(frames: FloatArray, number: NDArray[np.int64], count: int) -> tuple[FloatArray, FloatArray]:
    """Mean frame and cubatic order of each of many groups at once.

    Formula: of each group max_X sum_{k,a} (x_k . u_a)^4, by the climb of :func:`climb` from up to 8 of its frames. With
    that frame X the order is P = 1 - |M(X) - G|^2 / 4.8, as of ``cubatic_order``; for n frames at random it is about
    1.5/sqrt(n).

    Args:
        frames: (n, 3, 3).
        number: (n,) group of each frame, 0 .. count - 1; no group is empty.
        count: how many groups there are.

    Returns:
        (count, 3, 3) mean frames and (count,) orders.
    """
    order = np.argsort(number, kind="stable")
    sizes = np.bincount(number, minlength=count)
    ends = np.cumsum(sizes)
    axes = np.swapaxes(frames[order], 1, 2).reshape(-1, 3)
    pairs = (axes[:, :, None] * axes[:, None, :]).reshape(-1, 9)
    parts = [pairs[3 * (end - size) : 3 * end] for end, size in zip(ends, sizes, strict=True)]
    moments = np.array([part.T @ part / size for part, size in zip(parts, sizes, strict=True)])
    starts = 8
    chosen = (ends - sizes)[:, None] + (np.arange(starts) * sizes[:, None]) // starts
    current = frames[order[chosen]]  # (count, starts, 3, 3)
    for _ in range(100):
        columns = np.swapaxes(current, 2, 3)
        squares = (columns[..., :, None] * columns[..., None, :]).reshape(count, -1, 9)
        # Rows: the moments with each axis twice, a matrix, which times the axis is the gradient.
        matrix = (squares @ moments).reshape(count, starts, 3, 3, 3)
        gradient = np.einsum("csakj,csaj->csak", matrix, columns)
        following = nearest_rotation(np.swapaxes(gradient, 2, 3))
        change = float(np.abs(following - current).max())
        current = following
        if change < 1e-7:
            break
    columns = np.swapaxes(current, 2, 3)
    squares = (columns[..., :, None] * columns[..., None, :]).reshape(count, -1, 9)
    scores = ((squares @ moments) * squares).sum(axis=2).reshape(count, starts, 3).sum(axis=2)
    best = scores.argmax(axis=1)
    rows = np.arange(count)
    # As in ``cubatic_order``: overlap G . M(X) and |G|^2, over |M|^2 = 4.8.
    overlap = 4 * scores[rows, best] - 7.2
    square = 4 * (moments**2).sum(axis=(1, 2)) - 7.2
    return current[rows, best], np.clip((2 * overlap - square) / 4.8, 0.0, 1.0)
