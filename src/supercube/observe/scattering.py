"""Scattering of a configuration: S(q), I(q), the pattern along a zone axis, and Bragg reflections.

Formulas: rho(q) = sum_j exp(-i q.r_j), S = <|rho|^2>/N; A(q) = sum_j b_j F_j(q) exp(-i q.r_j) with the amplitudes of
:mod:`._scatter_amplitudes`, I = <|A|^2> / sum_j b_j^2, so that I is 1 at q = 0 for particles that do not interfere, and
I -> P(q), their form factor, at large q. A periodic box has the wave vectors q = 2 pi B^-T n, n of whole numbers and B
the box, and no others: all of them are summed, for a box of any shape, and nothing is windowed.

The powder curve at q is the mean of S over these vectors with the weight exp(-(|q_n| - q)^2 / (2 s^2)). Its resolution,
the full width 2.355 s, is by default 0.886 x 2 pi / V^(1/3): that of a crystal as large as the box; half of it for a
crystal that continues through the faces of the box. Such a crystal has lines of no width; drawn is the resolution.

Where the orientations of cubes are unknown, each is taken to be turned at random, whatever its place and neighbours:
A has the mean of F over all orientations, and <|A|^2> the variance of F besides.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration, box_matrix, in_mean_box
from ..errors import InputError
from ._scatter_amplitudes import (
    Cores,
    cube_amplitude,
    cube_average,
    diffuse,
    grid_sum,
    lengths,
    plain_sum,
    sphere_amplitude,
)
from ._scatter_lattice import Family, Lattice, families, family_name, lattice_of, structure_factors

__all__ = [
    "Cores",
    "Family",
    "Lattice",
    "Maximum",
    "Pattern",
    "Powder",
    "Reflection",
    "Scattering",
    "Spectrum",
    "check_q",
    "cube_amplitude",
    "cube_average",
    "debye",
    "families",
    "family_name",
    "lattice_of",
    "main_maximum",
    "pattern",
    "plain_sum",
    "powder",
    "reflections",
    "scatter",
    "spectrum",
    "sphere_amplitude",
    "structure_factors",
]

FloatArray = NDArray[np.float64]

#: Full width at half maximum of [sin(x)/x]^2 over 2 pi / L, for a crystal of thickness L: Scherrer's 0.886.
SCHERRER = 0.8859
#: Default largest q times the mean distance (V/N)^(1/3): about the first six lines of SC.
REACH = 16.0
#: Most wave vectors of a grid: about 15 GB.
MOST_VECTORS = 100_000_000
#: Rows of the powder curve in one resolution.
FINE = 10
#: The powder sum reaches this many standard deviations beyond its largest q.
TAIL = 6.0
#: FWHM of a normal distribution over its standard deviation.
FWHM = 2 * math.sqrt(2 * math.log(2))
#: Half of an edge of the pattern over the largest q of the curves.
WINDOW = 0.85
#: The pattern has 2 x this + 1 pixels along an edge.
PIXELS = 150
#: Least pixels in the width of a spot, which bounds the crystal that a pattern shows.
SPOT = 5.0
#: The Gaussian edge of that crystal is cut at this many standard deviations, where it is 1 %.
EDGE = 3.0


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Intensities at the wave vectors of a periodic box, means over frames.

    Attributes:
        basis: (3, 3) reciprocal vectors of the box as columns.
        half: largest index along each; arrays have 2 half + 1 along each axis.
        q: absolute values.
        all, cube, sphere: <|rho|^2> of all centres, of the cubes' and of the spheres'; unlike S not over N.
        scattered: <|A|^2>.
        frames: how many.
    """

    basis: FloatArray
    half: tuple[int, ...]
    q: NDArray[np.floating[Any]]
    all: NDArray[np.floating[Any]]
    cube: NDArray[np.floating[Any]]
    sphere: NDArray[np.floating[Any]]
    scattered: NDArray[np.floating[Any]]
    frames: int


@dataclass(frozen=True, eq=False)
class Powder:
    """Curves against q, (Q,) each.

    Attributes:
        q: absolute values.
        s: S(q) of all centres.
        s_cube, s_sphere: of one species alone, over its own number; NaN without any.
        intensity: I(q).
        form: P(q) = sum_j <|b_j F_j|^2> / sum_j b_j^2, what the same particles scatter in a dilute fluid of any turns.
        resolution: full width at half maximum of a line.
        spacing: 2 pi / V^(1/3), the distance of the box's wave vectors.
        vectors: number of wave vectors up to the largest q.
    """

    q: FloatArray
    s: FloatArray
    s_cube: FloatArray
    s_sphere: FloatArray
    intensity: FloatArray
    form: FloatArray
    resolution: float
    spacing: float
    vectors: int


@dataclass(frozen=True)
class Maximum:
    """Main maximum of S(q).

    Attributes:
        q: q*.
        spacing: 2 pi / q*.
        s: S(q*).
    """

    q: float
    spacing: float
    s: float


@dataclass(frozen=True)
class Reflection:
    """A family of Bragg reflections; intensities are means over the family, relative to the forward direction.

    Measured ones are NaN where the box has no wave vector at any member.

    Attributes:
        hkl: the indices that name it.
        multiplicity: number of equivalent reflections.
        q: mean of |G|.
        q_spread: its standard deviation over the family: a strained crystal splits the line.
        d: 2 pi / q.
        s_predicted: |sum of exp(-i G.r)|^2 of the sites over their number squared.
        s_measured: S(G)/N.
        i_predicted: |F(hkl)|^2 / |F(000)|^2 with the amplitudes of the cores.
        i_measured: |A(G)|^2 / |A(0)|^2; over the prediction it is the Debye-Waller factor times the crystal's share.
    """

    hkl: tuple[int, int, int]
    multiplicity: int
    q: float
    q_spread: float
    d: float
    s_predicted: float
    s_measured: float
    i_predicted: float
    i_measured: float


@dataclass(frozen=True, eq=False)
class Pattern:
    """Intensity in the plane of q through the origin, perpendicular to a zone axis.

    Attributes:
        zone: [uvw] of the axis, which points to the viewer.
        q: (P,) values along both edges.
        intensity: (P, P) |A|^2 / |A(0)|^2, rows upwards, columns to the right.
        spots: allowed reflections in the plane: hkl, q to the right, q upwards.
        resolution: full width at half maximum of a spot.
        crystal: the structure whose axes count; empty for the edges of the box.
    """

    zone: tuple[int, int, int]
    q: FloatArray
    intensity: FloatArray
    spots: list[tuple[tuple[int, int, int], float, float]]
    resolution: float
    crystal: str


@dataclass(frozen=True, eq=False)
class Scattering:
    """Everything about some frames, in the unit of their positions.

    Attributes:
        structure: label of the whole.
        lattice: of its largest grain, None if it is disordered.
        powder: curves.
        maximum: of S(q).
        reflections: of the structure by q; empty if it is disordered.
        pattern: along the zone axis.
    """

    structure: str
    lattice: Lattice | None
    powder: Powder
    maximum: Maximum
    reflections: list[Reflection]
    pattern: Pattern


def scatter(
    frames: Sequence[Configuration],
    order: Mapping[str, Any],
    cores: Cores,
    *,
    q_max: float | None = None,
    resolution: float | None = None,
    zone: Sequence[int] = (0, 0, 1),
) -> Scattering:
    """All of it. Frames whose boxes differ are moved into their mean box.

    Args:
        frames: of one run.
        order: ``Order.document`` of them.
        cores: what scatters.
        q_max: default ``REACH`` / (V/N)^(1/3).
        resolution: FWHM of a powder line; default that of a crystal as large as the box, or half of it (see above).
        zone: [uvw], in the axes of the largest grain, or of the box if there is none.

    Raises:
        InputError: no frame, as :func:`check_q`, a grid beyond ``MOST_VECTORS``, or a zone of zeros.
    """
    if not frames:
        raise InputError("no frame to scatter from; expected at least one configuration.")
    frames = in_mean_box(frames)
    last = frames[-1]
    check_q(last.box, q_max, resolution)
    if not any(zone):
        raise InputError("the zone axis is [0 0 0]; expected three whole numbers that are not all 0, such as 0 0 1.")
    lattice = lattice_of(order, last)
    reach, width = _defaults(last, lattice)
    reach, width = (reach if q_max is None else q_max), (width if resolution is None else resolution)
    found = spectrum(frames, cores, reach + TAIL * width / FWHM)
    curve = powder(found, last, cores, reach, width)
    known = [] if lattice is None else families(lattice, last, cores, reach)
    return Scattering(
        structure=order["structure"],
        lattice=lattice,
        powder=curve,
        maximum=main_maximum(curve),
        reflections=[] if lattice is None else reflections(found, lattice, known, last, cores),
        pattern=pattern(frames, cores, zone, WINDOW * reach, lattice, known),
    )


def _defaults(configuration: Configuration, lattice: Lattice | None) -> tuple[float, float]:
    """Largest q and resolution."""
    share = 0.5 if lattice is not None and lattice.indices is not None else 1.0
    mean = (configuration.volume / len(configuration)) ** (1 / 3)
    return REACH / mean, share * SCHERRER * 2 * np.pi / configuration.volume ** (1 / 3)


def check_q(
    box: FloatArray, q_max: float | None, resolution: float | None, *, scale: float = 1.0, unit: str = "length"
) -> None:
    """Refuse what has no curve.

    Args:
        box: (6,) as in :func:`box_matrix`.
        q_max: largest q, in 1/unit; None is the default.
        resolution: FWHM, likewise.
        scale: how many units are one unit of the box.
        unit: its name.

    Raises:
        InputError: a value is not above 0, or q_max is below the shortest wave vector of the box.
    """
    for name, value in (("q-max", q_max), ("resolution", resolution)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value:g}; expected a finite number above 0.")
    least = shortest_vector(box) / scale
    if q_max is not None and q_max < least:
        step = 10.0 ** (math.floor(math.log10(least)) - 3)  # rounded up: what is printed is enough
        raise InputError(
            f"q-max is {q_max:g}, but the box has no wave vector below {math.ceil(least / step) * step:.4g} "
            f"(1/{unit}); expected more than that, such as {3 * least:.2g}."
        )


def shortest_vector(box: FloatArray) -> float:
    """Length of the shortest wave vector of a box of any tilt, 2 pi over the unit of the box."""
    matrix = box_matrix(box)
    basis = 2 * np.pi * np.linalg.inv(matrix).T
    least = float(np.linalg.norm(basis, axis=0).min())
    # |n_i| is at most |q| |a_i| / (2 pi).
    half = np.floor(least * np.linalg.norm(matrix, axis=0) / (2 * np.pi) * (1 + 1e-12)).astype(int)
    vectors = np.array([n for n in itertools.product(*(range(-h, h + 1) for h in half)) if any(n)])
    return float(np.linalg.norm(vectors @ basis.T, axis=1).min())


def spectrum(frames: Sequence[Configuration], cores: Cores, q_max: float) -> Spectrum:
    """Intensities at all wave vectors of the frames' common box, up to q_max and a margin of two beyond it.

    Raises:
        InputError: more than ``MOST_VECTORS``.
    """
    box = box_matrix(frames[0].box)
    basis = np.asarray(2 * np.pi * np.linalg.inv(box).T, dtype=np.float64)
    # n_i = q.a_i / (2 pi) is at most q |a_i| / (2 pi).
    sides = q_max * np.linalg.norm(box, axis=0) / (2 * np.pi)
    number = float(np.prod(2 * sides + 5))
    if number > MOST_VECTORS:
        raise InputError(
            f"q up to {q_max:g} has {number:.2g} wave vectors in this box; expected at most {MOST_VECTORS:.2g}, "
            f"such as q-max {q_max * (MOST_VECTORS / number) ** (1 / 3) * 0.95:.2g} (1/length of the file)."
        )
    half = tuple(int(side) + 2 for side in sides)
    shape = tuple(2 * h + 1 for h in half)
    sums = np.zeros((4, *shape), dtype=np.float32 if number > MOST_VECTORS / 30 else np.float64)
    for frame in frames:
        amplitudes = grid_sum(frame, cores, basis, half, np.ones(len(frame)), q_max)
        cube, sphere, scattered = amplitudes
        for row, amplitude in enumerate((cube + sphere, cube, sphere, scattered)):
            sums[row] += (amplitude.real**2 + amplitude.imag**2) / len(frames)
    q = lengths(basis, half)
    sums[3] += diffuse(frames[-1], cores, q)
    every, cube, sphere, scattered = sums
    return Spectrum(basis, half, q, every, cube, sphere, scattered, len(frames))


def powder(found: Spectrum, configuration: Configuration, cores: Cores, q_max: float, resolution: float) -> Powder:
    """Means over directions, from the shortest wave vector of the box up to q_max.

    Args:
        found: up to q_max and ``TAIL`` standard deviations of the resolution.
        configuration: numbers of the particles, and the box.
        cores: what scatters.
        q_max: largest q.
        resolution: FWHM.
    """
    from scipy.ndimage import gaussian_filter1d

    step = resolution / FINE
    bins = math.ceil((q_max + TAIL * resolution / FWHM) / step)
    place = (found.q / step).astype(np.int64).ravel()
    used = place < bins
    used[len(used) // 2] = False  # q = 0: the forward beam
    place = place[used]

    def smooth(values: NDArray[Any] | None) -> FloatArray:
        weights = None if values is None else values.ravel()[used]
        rows = np.bincount(place, weights, bins).astype(np.float64)
        return np.asarray(gaussian_filter1d(rows, FINE / FWHM, mode="constant", truncate=TAIL))

    number = smooth(None)
    q = step * (np.arange(bins, dtype=np.float64) + 0.5)
    least = shortest_vector(configuration.box)
    rows = (q <= q_max) & (q >= least - step) & (number > 0)
    counts = [len(configuration), configuration.count("cube"), configuration.count("sphere")]
    s, s_cube, s_sphere = (
        (smooth(values)[rows] / number[rows]) / count if count else np.full(int(rows.sum()), np.nan)
        for values, count in zip((found.all, found.cube, found.sphere), counts, strict=True)
    )
    total = float((cores.forward(configuration) ** 2).sum())
    return Powder(
        q=q[rows],
        s=s,
        s_cube=s_cube,
        s_sphere=s_sphere,
        intensity=smooth(found.scattered)[rows] / number[rows] / total,
        form=form_factor(configuration, cores, q[rows]),
        resolution=resolution,
        spacing=2 * np.pi / configuration.volume ** (1 / 3),
        vectors=int((found.q <= q_max).sum()) - 1,
    )


def form_factor(configuration: Configuration, cores: Cores, q: FloatArray) -> FloatArray:
    """P(q) of the mixture (:class:`Powder`)."""
    cubes = configuration.count("cube") * cores.cube_forward**2
    spheres = configuration.count("sphere") * cores.sphere_forward**2
    mean = cubes * cube_average(q, cores.cube)[1] + spheres * sphere_amplitude(q, cores.sphere) ** 2
    return np.asarray(mean / (cubes + spheres))


def main_maximum(curve: Powder) -> Maximum:
    """Largest value of S(q), by the parabola through it and its neighbours in the logarithm, as of a Gaussian line."""
    top = int(np.argmax(curve.s))
    q, s = float(curve.q[top]), float(curve.s[top])
    if 0 < top < len(curve.s) - 1:
        below, middle, above = np.log(np.maximum(curve.s[top - 1 : top + 2], 1e-300))
        bend = below - 2 * middle + above
        shift = float(0.5 * (below - above) / bend) if bend < 0 else 0.0
        q += shift * float(curve.q[top + 1] - curve.q[top])
        s = math.exp(float(middle - 0.25 * (below - above) * shift))
    return Maximum(q, 2 * np.pi / q, s)


def reflections(
    found: Spectrum, lattice: Lattice, known: Sequence[Family], configuration: Configuration, cores: Cores
) -> list[Reflection]:
    """What every family of reflections scatters, beside what it should.

    Where the crystal continues through the faces of the box, G is one of the box's wave vectors and the intensity is
    that at it. Else a reflection spreads over the vectors around G: those within 2 pi / v^(1/3) are summed, less the
    median of those up to 1.7 times as far, times v/V, with v the volume that all bodies would have in the crystal. That
    is about three quarters of the reflection of a crystal with sharp faces.
    """
    n, forward = len(configuration), float(cores.forward(configuration).sum())
    filled = n / lattice.crystal.positions.shape[1] * abs(float(np.linalg.det(lattice.cell)))
    rows = []
    for family in known:
        if lattice.indices is not None:
            s, i = (_at(found, lattice.indices, family, values) for values in (found.all, found.scattered))
        else:
            s, i = (_around(found, lattice, family, values, filled) for values in (found.all, found.scattered))
        rows.append(
            Reflection(
                hkl=family.hkl,
                multiplicity=len(family.members),
                q=family.q,
                q_spread=family.q_spread,
                d=2 * np.pi / family.q,
                s_predicted=family.centres,
                s_measured=s / n**2,
                i_predicted=family.cores,
                i_measured=i / forward**2,
            )
        )
    return rows


def _at(found: Spectrum, reciprocal: FloatArray, family: Family, values: NDArray[Any]) -> float:
    indices = family.members @ reciprocal.T
    place = np.round(indices).astype(int)
    # A centred cell has halves on reflections whose centres cancel, and turned cubes may not.
    whole = (np.abs(indices - place) < 1e-6).all(axis=1)
    if not whole.any():
        return math.nan
    return float(np.mean(values[tuple((place[whole] + np.array(found.half)).T)]))


def _around(found: Spectrum, lattice: Lattice, family: Family, values: NDArray[Any], filled: float) -> float:
    centre = family.members @ lattice.reciprocal.T @ np.linalg.inv(found.basis).T
    unit = 2 * np.pi / filled ** (1 / 3)
    reach = np.ceil(1.7 * unit * np.linalg.norm(np.linalg.inv(found.basis), axis=1)).astype(int)
    steps = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))))
    place = np.round(centre).astype(int)[:, None] + steps
    apart = np.linalg.norm((place - centre[:, None]) @ found.basis.T, axis=-1)
    half = np.array(found.half)
    apart[(np.abs(place) > half).any(axis=-1)] = np.inf
    level = values[tuple(np.moveaxis(np.clip(place + half, 0, 2 * half), -1, 0))].astype(np.float64)
    near, ring = apart < unit, (apart >= unit) & (apart < 1.7 * unit)
    background = np.nanmedian(np.where(ring, level, np.nan), axis=1)
    total = np.where(near, level, 0.0).sum(axis=1) - near.sum(axis=1) * background
    return float(np.mean(total)) * filled * abs(float(np.linalg.det(found.basis))) / (2 * np.pi) ** 3


def pattern(
    frames: Sequence[Configuration],
    cores: Cores,
    zone: Sequence[int],
    q_max: float,
    lattice: Lattice | None,
    known: Sequence[Family],
) -> Pattern:
    """The pattern of a crystal with a soft edge, cut out of the periodic continuation of the box around its middle.

    Bodies count with exp(-r^2/(2 s^2)), s = 2 sqrt(ln 2) / resolution, so spots are Gaussian with the width of a
    crystal as large as the box, or of ``SPOT`` pixels if that is larger. Narrower spots would show the wave vectors of
    the box, where the continuation has all its diffuse scattering. The Ewald sphere is flat. Between G and its maximum
    a spot falls with the form factors of whole bodies, so it lies nearer to the middle, the more the wider it is.

    Args:
        frames: in one box.
        cores: what scatters.
        zone: [uvw].
        q_max: half of each edge of the pattern.
        lattice: whose axes count; None for the edges of the box.
        known: families whose reflections are spots.
    """
    axes = _plane(zone, frames[-1], lattice)
    step = q_max / PIXELS
    resolution = max(SCHERRER * 2 * np.pi / frames[-1].volume ** (1 / 3), SPOT * step)
    spread = 2 * math.sqrt(math.log(2)) / resolution
    total = np.zeros((2 * PIXELS + 1, 2 * PIXELS + 1))
    basis, half = axes[:, :2] * step, (PIXELS, PIXELS)
    for frame in frames:
        piece, weights = _cut_out(frame, spread)
        amplitude = grid_sum(piece, cores, basis, half, weights, math.sqrt(2) * q_max)[2]
        intensity = np.abs(amplitude) ** 2 + diffuse(piece, cores, lengths(basis, half), weights)
        total += intensity / (float(weights @ cores.forward(piece)) ** 2 * len(frames))
    first, second, third = (int(index) for index in zone)
    return Pattern(
        zone=(first, second, third),
        q=np.arange(-PIXELS, PIXELS + 1, dtype=np.float64) * step,
        intensity=total.T,  # the first index of the grid is to the right, pictures have rows first
        spots=[] if lattice is None else _spots(lattice, known, zone, axes, q_max),
        resolution=resolution,
        crystal="" if lattice is None else lattice.structure,
    )


def _plane(zone: Sequence[int], configuration: Configuration, lattice: Lattice | None) -> FloatArray:
    """(3, 3) columns: right, up and the zone axis; the shortest reciprocal vector of the zone is to the right."""
    cell = box_matrix(configuration.box) if lattice is None else lattice.cell
    along = cell @ np.array(zone, dtype=np.float64)
    along /= np.linalg.norm(along)
    reach = max(abs(int(index)) for index in zone) + 1
    hkl = np.array([v for v in itertools.product(range(-reach, reach + 1), repeat=3) if any(v)])
    hkl = hkl[hkl @ np.array(zone) == 0]
    vectors = hkl @ np.linalg.inv(cell)
    sizes = np.round(np.linalg.norm(vectors, axis=1), 9)
    # Of equally short ones the first in the order 100, 010, 001, 110 ... with the fewest minus signs.
    best = np.lexsort((*(-hkl.T[::-1]), (hkl < 0).sum(axis=1), sizes))[0]
    right = vectors[best] - along * (vectors[best] @ along)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(along, right), along], axis=1)


def _cut_out(configuration: Configuration, spread: float) -> tuple[Configuration, FloatArray]:
    """Bodies and images within ``EDGE`` x spread of the middle of the box, and their weights exp(-r^2/(2 spread^2))."""
    box = box_matrix(configuration.box)
    reach = EDGE * spread
    images = np.floor(reach * np.linalg.norm(np.linalg.inv(box), axis=1) + 0.5).astype(int)
    shifts = np.array(list(itertools.product(*(range(-k, k + 1) for k in images)))) @ box.T
    positions = (configuration.positions[None] + shifts[:, None]).reshape(-1, 3)
    distance = np.linalg.norm(positions, axis=1)
    rows = np.flatnonzero(distance < reach)
    who = rows % len(configuration)
    piece = configuration.with_(
        positions=positions[rows],
        orientations=configuration.orientations[who],
        typeid=configuration.typeid[who],
        images=np.zeros((len(rows), 3)),
    )
    return piece, np.exp(-(distance[rows] ** 2) / (2 * spread**2))


def _spots(
    lattice: Lattice, known: Sequence[Family], zone: Sequence[int], axes: FloatArray, q_max: float
) -> list[tuple[tuple[int, int, int], float, float]]:
    spots = []
    for family in known:
        for hkl in family.members[family.members @ np.array(zone) == 0]:
            right, up = axes[:, :2].T @ lattice.reciprocal @ hkl
            if max(abs(right), abs(up)) <= q_max:
                spots.append(((int(hkl[0]), int(hkl[1]), int(hkl[2])), float(right), float(up)))
    return spots


def debye(positions: FloatArray, amplitudes: FloatArray, q: FloatArray) -> FloatArray:
    """Debye's sum over a finite cluster, sum_ij f_i f_j sin(q r_ij) / (q r_ij): |A|^2 averaged over all directions.

    Exact for spheres; a cube can be given as points that stand for it.

    Args:
        positions: (N, 3), not periodic.
        amplitudes: (N, Q) f at each q.
        q: (Q,).

    Returns:
        (Q,). O(N^2 Q): for some thousand bodies.
    """
    total = np.zeros(len(q))
    for i, place in enumerate(positions):
        distance = np.linalg.norm(positions[i:] - place, axis=1)
        waves = np.sinc(np.outer(distance, q) / np.pi)
        pairs = np.einsum("jq,jq->q", amplitudes[i:], waves)
        total += amplitudes[i] * (2 * pairs - amplitudes[i])  # each pair twice, and i with itself once
    return total
