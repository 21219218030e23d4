"""Scattering amplitudes: form factors of the cores, and the sums over all bodies, exact or by a nonuniform FFT.

Formula: A(q) = sum_j b_j F_j(q) exp(-i q.r_j), with b_j = contrast x core volume and F_j(0) = 1. A sphere of diameter
d: F = 3 (sin x - x cos x) / x^3, x = q d/2. A cube of edge c: F = product over its axes of sin(x)/x, x = c/2 times the
component of q along that axis, so it depends on how the cube is turned.

The sums over a grid of q are nonuniform FFTs (finufft; the plain sum where it is not installed). There a cube is m^3
weighted points, the nodes of Gauss and Legendre, that turn with the body: m is the least whose F is right within
``CUBE_ERROR`` up to the largest q. A sphere is its centre, and F comes in after the sum.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration
from ..order.symmetry import matrices

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

#: Largest error of a cube's F from its m^3 points: the dips of I(q) are then right down to 1e-10 of I(0).
CUBE_ERROR = 1e-5
#: Error of the nonuniform FFT relative to the sum of all amplitudes, in double and in single precision.
FFT_ERROR = {"double": 1e-7, "single": 1e-5}
#: From this many wave vectors on single precision is used, which needs half the memory.
MOST_DOUBLE = 4_000_000
#: Points of cubes in one nonuniform FFT (1 GB), and terms of the plain sum that are in memory at a time.
_POINTS, _TERMS = 20_000_000, 4_000_000


@dataclass(frozen=True, kw_only=True)
class Cores:
    """What scatters: the inorganic cores. The ligands fill the rest evenly and have no contrast of their own.

    Attributes:
        cube: edge of a cube's core, in the unit of the positions; effective edge less two shells.
        sphere: diameter of a sphere's core; effective diameter less two shells.
        cube_contrast: electron density of a cube's core less that of what is around it; any unit.
        sphere_contrast: that of a sphere's core, in the same unit.
    """

    cube: float = 0.0
    sphere: float = 0.0
    cube_contrast: float = 1.0
    sphere_contrast: float = 1.0

    @property
    def cube_forward(self) -> float:
        """Amplitude b of a cube at q = 0."""
        return self.cube_contrast * self.cube**3

    @property
    def sphere_forward(self) -> float:
        """Amplitude b of a sphere at q = 0."""
        return self.sphere_contrast * np.pi / 6 * self.sphere**3

    def forward(self, configuration: Configuration) -> FloatArray:
        """(N,) amplitude of each body at q = 0."""
        return np.where(configuration.is_species("cube"), self.cube_forward, self.sphere_forward)


def cube_sizes(shape: Mapping[str, Any]) -> tuple[float, float] | None:
    """Edge of the core and thickness of the shell, by the GSD type shape of a rounded cube; None if it is none."""
    corners = np.array(shape.get("vertices", []), dtype=np.float64)
    if shape.get("type") != "ConvexPolyhedron" or corners.shape != (8, 3):
        return None
    return float(np.ptp(corners, axis=0).max()), float(shape.get("rounding_radius") or 0.0)


def sphere_amplitude(q: FloatArray, diameter: float) -> FloatArray:
    """Formula 3 (sin x - x cos x) / x^3 with x = q d/2, 1 at q = 0.

    Args:
        q: absolute values, any shape.
        diameter: d.
    """
    x = np.asarray(q, dtype=np.float64) * diameter / 2
    # Below 0.01 the difference of sines loses digits, while the series is right to 1e-11.
    large = np.where(np.abs(x) < 1e-2, 1.0, x)
    return np.where(np.abs(x) < 1e-2, 1 - x**2 / 10, 3 * (np.sin(large) - large * np.cos(large)) / large**3)


def cube_amplitude(q: FloatArray, edge: float) -> FloatArray:
    """Formula: product over x, y, z of sin(q_i c/2) / (q_i c/2).

    Args:
        q: (..., 3) wave vectors in the axes of the cube.
        edge: c.

    Returns:
        (...).
    """
    return np.asarray(np.prod(np.sinc(q * (edge / (2 * np.pi))), axis=-1))


def cube_average(q: FloatArray, edge: float) -> tuple[FloatArray, FloatArray]:
    """Mean of F and of F^2 over all orientations of a cube.

    By 48 x 48 nodes of Gauss and Legendre in cos(theta) and phi over an eighth of the sphere, right to 1e-10 up to
    q c = 60.

    Args:
        q: (Q,) absolute values.
        edge: c.
    """
    nodes, weights = np.polynomial.legendre.leggauss(48)
    height, angle = (nodes + 1) / 2, (nodes + 1) * np.pi / 4
    flat = np.sqrt(1 - height**2)
    directions = np.stack(
        [np.outer(flat, np.cos(angle)), np.outer(flat, np.sin(angle)), np.outer(height, np.ones(48))], axis=-1
    ).reshape(-1, 3)
    weight = np.outer(weights, weights).ravel() / 4
    rows = [cube_amplitude(directions * value, edge) for value in np.asarray(q, dtype=np.float64)]
    found = np.array(rows).reshape(-1, len(weight))
    return found @ weight, found**2 @ weight


def turned_at_random(q: FloatArray, edge: float) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of F over all orientations of a cube, by cubic splines through :func:`cube_average`.

    Args:
        q: absolute values, any shape.
        edge: c.
    """
    from scipy.interpolate import CubicSpline

    # F^2 bends over q c of about 1, so that steps of 0.1 are right to 1e-7.
    table = np.linspace(0.0, max(float(q.max(initial=0.0)), 1e-9), math.ceil(10 * float(q.max(initial=0.0)) * edge) + 8)
    mean, square = cube_average(table, edge)
    first, second = CubicSpline(table, mean)(q), CubicSpline(table, square)(q)
    return np.asarray(first), np.asarray(np.maximum(second - first**2, 0.0))


def diffuse(configuration: Configuration, cores: Cores, q: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """What cubes of unknown orientations scatter beside their mean amplitude; 0 where orientations are known.

    Formula: sum_j w_j^2 b_j^2 (<F^2> - <F>^2), of orientations that depend neither on each other nor on the places
    (the decoupling approximation of Kotlarchyk and Chen, J. Chem. Phys. 79, 2461, 1983).

    Args:
        configuration: bodies.
        cores: what scatters.
        q: absolute values, any shape.
        weights: (N,) w, factor of each body's amplitude; 1 if left out.
    """
    cube = configuration.is_species("cube")
    if configuration.oriented or not cube.any():
        return np.zeros(q.shape)
    amount = float(cube.sum() if weights is None else (weights[cube] ** 2).sum()) * cores.cube_forward**2
    return np.asarray(amount * turned_at_random(q, cores.cube)[1])


def plain_sum(configuration: Configuration, cores: Cores, q: FloatArray) -> ComplexArray:
    """The sums term by term.

    Args:
        configuration: bodies; not continued periodically.
        cores: what scatters.
        q: (Q, 3) wave vectors.

    Returns:
        (3, Q): sum over the cubes' centres of exp(-i q.r), over the spheres' centres, and A(q), whose cubes have their
        mean amplitude over all orientations if these are unknown.
    """
    cube = configuration.is_species("cube")
    turns = matrices(configuration.orientations[cube])
    found = np.empty((3, len(q)), dtype=np.complex128)
    for part in _chunks(len(q), max(_TERMS // max(len(configuration), 1), 1)):
        phase = np.exp(-1j * (q[part] @ configuration.positions.T))
        size = np.linalg.norm(q[part], axis=1)
        radial = sphere_amplitude(size, cores.sphere)
        if configuration.oriented:
            own = cube_amplitude(np.einsum("qi,nij->qnj", q[part], turns), cores.cube)
        else:
            own = turned_at_random(size, cores.cube)[0][:, None]
        found[0, part], found[1, part] = phase[:, cube].sum(axis=1), phase[:, ~cube].sum(axis=1)
        found[2, part] = cores.cube_forward * (phase[:, cube] * own).sum(axis=1)
        found[2, part] += cores.sphere_forward * radial * found[1, part]
    return found


def grid_sum(
    configuration: Configuration,
    cores: Cores,
    basis: FloatArray,
    half: tuple[int, ...],
    weights: FloatArray,
    q_max: float,
) -> ComplexArray:
    """The sums over q = basis @ n for all whole numbers -half <= n <= half.

    Args:
        configuration: bodies; not continued periodically.
        cores: what scatters.
        basis: (3, d) wave vectors as columns, d = 2 or 3.
        half: d largest indices.
        weights: (N,) factor of each body.
        q_max: cubes scatter right up to here; the corners of the grid may be beyond.

    Returns:
        (3, 2 half[0] + 1, ...), like :func:`plain_sum`; single precision from ``MOST_DOUBLE`` wave vectors on.
    """
    shape = tuple(2 * h + 1 for h in half)
    if not has_finufft():
        return _plain_grid(configuration, cores, basis, half, weights)
    cube = configuration.is_species("cube")
    centres = configuration.positions @ basis
    kind = np.complex128 if np.prod(shape) < MOST_DOUBLE else np.complex64
    found = np.zeros((3, *shape), dtype=kind)
    for row, mine in enumerate((cube, ~cube)):
        if mine.any():
            found[row] = _nufft(centres[mine], weights[mine], shape, kind)
    if cube.any() and not configuration.oriented:
        found[2] += cores.cube_forward * turned_at_random(lengths(basis, half), cores.cube)[0] * found[0]
    elif cube.any():
        for points, amounts in _cube_points(configuration, cores, basis, weights, q_max):
            found[2] += _nufft(points, amounts, shape, kind)
    found[2] += cores.sphere_forward * sphere_amplitude(lengths(basis, half), cores.sphere) * found[1]
    return found


def lengths(basis: FloatArray, half: tuple[int, ...]) -> FloatArray:
    """(2 half[0] + 1, ...) absolute values of q = basis @ n, by |q|^2 = n^T (basis^T basis) n."""
    metric = basis.T @ basis
    axes = np.ix_(*(np.arange(-h, h + 1, dtype=np.float64) for h in half))
    square = sum(metric[i, j] * axes[i] * axes[j] for i in range(len(half)) for j in range(len(half)))
    return np.asarray(np.sqrt(np.maximum(square, 0.0)), dtype=np.float64)


@cache
def has_finufft() -> bool:
    """Whether the nonuniform FFT is installed; not every processor has a wheel."""
    return importlib.util.find_spec("finufft") is not None


def _plain_grid(
    configuration: Configuration, cores: Cores, basis: FloatArray, half: tuple[int, ...], weights: FloatArray
) -> ComplexArray:
    shape = tuple(2 * h + 1 for h in half)
    indices = np.stack(np.meshgrid(*(np.arange(-h, h + 1) for h in half), indexing="ij"), axis=-1).reshape(
        -1, len(half)
    )
    # A(-q) is the complex conjugate of A(q), and the middle is q = 0: half of the grid is enough.
    first = indices[: len(indices) // 2 + 1] @ basis.T
    found = np.zeros((3, len(first)), dtype=np.complex128)
    for weight in np.unique(weights):
        rows = weights == weight
        part = configuration.with_(
            positions=configuration.positions[rows],
            orientations=configuration.orientations[rows],
            typeid=configuration.typeid[rows],
            images=configuration.images[rows],
        )
        found += weight * plain_sum(part, cores, first)
    return np.concatenate([found, np.conj(found[:, -2::-1])], axis=1).reshape(3, *shape)


def _nufft(points: FloatArray, weights: FloatArray, shape: tuple[int, ...], kind: type) -> ComplexArray:
    """Sum over points x of weight exp(-i n.x) for all n of the shape."""
    import finufft

    single = kind is np.complex64
    real = np.float32 if single else np.float64
    # Phases matter modulo 2 pi; in single precision they must be folded before they are rounded.
    folded = [np.ascontiguousarray(np.remainder(x + np.pi, 2 * np.pi) - np.pi, dtype=real) for x in points.T]
    transform = finufft.nufft2d1 if len(shape) == 2 else finufft.nufft3d1
    error = FFT_ERROR["single" if single else "double"]
    found: ComplexArray = transform(*folded, weights.astype(kind), shape, eps=error, isign=-1)
    return found


def _cube_points(
    configuration: Configuration, cores: Cores, basis: FloatArray, weights: FloatArray, q_max: float
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Phases (n, d) and weights (n,) of the points that stand for the cubes, some cubes at a time."""
    cube = np.flatnonzero(configuration.is_species("cube"))
    nodes, amounts = _nodes(nodes_needed(q_max * cores.cube / 2))
    levers = nodes * cores.cube / 2
    for part in _chunks(len(cube), max(_POINTS // len(nodes), 1)):
        rows = cube[part]
        # (R x) . basis = x . (R^T basis), so that only projected coordinates are made.
        along = np.swapaxes(matrices(configuration.orientations[rows]), 1, 2) @ basis
        points = (configuration.positions[rows] @ basis)[:, None] + levers @ along
        strength = cores.cube_forward * weights[rows][:, None] * amounts
        yield points.reshape(-1, basis.shape[1]), strength.ravel()


def nodes_needed(reach: float) -> int:
    """Least m for which m nodes integrate cos(k x)/2 over -1..1 within ``CUBE_ERROR``/3 of sin(k)/k up to k = reach."""
    k = np.linspace(0.0, reach, 200)
    exact = np.sinc(k / np.pi)
    m = 1
    while True:
        x, w = np.polynomial.legendre.leggauss(m)
        if np.abs(np.cos(np.outer(k, x)) @ w / 2 - exact).max() < CUBE_ERROR / 3:
            return m
        m += 1


def _nodes(m: int) -> tuple[FloatArray, FloatArray]:
    """(m^3, 3) nodes in -1..1 and (m^3,) weights that sum to 1."""
    x, w = np.polynomial.legendre.leggauss(m)
    places = np.stack(np.meshgrid(x, x, x, indexing="ij"), axis=-1).reshape(-1, 3)
    return places, np.einsum("i,j,k->ijk", w, w, w).ravel() / 8


def _chunks(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
