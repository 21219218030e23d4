"""Fit neighbour templates to particles: local lattice constant, frame, site position and what is missing.

A fit is p_t = o + a R S (v_t + x w_t) to the neighbours of a particle: v_t are the template's places, o is its own
site, a the lattice constant, R the crystal axes, S = diag(1, 1, s) the stretch of a cell whose c/a is free, and x the
change of a free coordinate with which the places move by w_t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .limits import LIMITS, Limits
from .neighbours import Neighbours, Surroundings
from .references import CUBE, SLIDE, SPHERE, Template
from .symmetry import polar_rotation

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: A template place is occupied if a particle of the right species is this near, in nearest-neighbour distances of
#: the crystal. Below 0.5, so that no particle can occupy two places; a thermal ABO3 crystal at its worst (rms 0.126 of
#: that distance, 0.073 per component) leaves a place at 0.4 = 5.5 sigma.
CAPTURE = 0.40
#: Standard deviations per component, in the particle's own spacing (not in that of the template, which differs between
#: crystals): of particles spread evenly over a capture radius, and the one below which fits count as equally sharp.
EVEN, SHARP = CAPTURE / 5**0.5, 0.05
#: Particles at a time: keeps the largest temporary below ~20 MB, which a processor's cache partly holds.
CHUNK = 2048
#: Fits start from the pairs made by this many nearest neighbours of the seed shell; after one round the best is kept.
STARTS = 5
#: Share of ``Limits.begin`` that has to be filled before a fit, and after one round of it.
HOPE = (0.75, 0.85)
#: A fit has this many parameters (scale, rotation, origin), which the residuals are corrected for.
PARAMETERS = 7
#: Largest rms displacement in one fit, in Lindemann ratios: the average over a neighbourhood has to be below one, and
#: one fit scatters by 15 %.
ONE_FIT = 1.15


@dataclass(frozen=True)
class Pose:
    """Where templates are laid, one for each of n particles.

    Attributes:
        scale: (n,) lattice constant.
        stretch: (n,) factor on the third axis.
        slide: (n,) change of the free coordinate.
        frame: (n, 3, 3) crystal axes as columns.
        origin: (n, 3) own site.
    """

    scale: FloatArray
    stretch: FloatArray
    slide: FloatArray
    frame: FloatArray
    origin: FloatArray

    @staticmethod
    def none(n: int) -> Pose:
        """Before anything is known."""
        return Pose(np.ones(n), np.ones(n), np.zeros(n), np.tile(np.eye(3), (n, 1, 1)), np.zeros((n, 3)))

    def put(self, rows: IntArray, other: Pose) -> None:
        """Replace those of some particles."""
        self.scale[rows], self.stretch[rows], self.slide[rows] = other.scale, other.stretch, other.slide
        self.frame[rows], self.origin[rows] = other.frame, other.origin


@dataclass(frozen=True)
class Match:
    """Fit of one template to n particles.

    Attributes:
        fits: (n,) every shell is filled as far as the template needs, and few strangers are between the places.
        pose: of the fit.
        neighbour: (n, T) who occupies each template place, -1 for nobody.
        squared: (n, T) squared distance of the occupant from its place, in nearest-neighbour distances, 0 if empty.
        own: (n,) the same for the particle itself.
        quality: (n,) sum over occupied places of 1 - (distance/capture)^2, less the strangers, over the number of
            places.
    """

    fits: BoolArray
    pose: Pose
    neighbour: NDArray[np.int32]
    squared: NDArray[np.float32]
    own: FloatArray
    quality: FloatArray


def pose_of(pose: Pose, rows: IntArray | BoolArray | slice) -> Pose:
    """Poses of some of the particles."""
    return Pose(pose.scale[rows], pose.stretch[rows], pose.slide[rows], pose.frame[rows], pose.origin[rows])


def poses(parts: Sequence[Pose]) -> Pose:
    """One after the other."""
    return Pose(
        np.concatenate([part.scale for part in parts]),
        np.concatenate([part.stretch for part in parts]),
        np.concatenate([part.slide for part in parts]),
        np.concatenate([part.frame for part in parts]),
        np.concatenate([part.origin for part in parts]),
    )


def taken(found: Match, rows: IntArray | BoolArray) -> Match:
    """Matches of some of the particles."""
    return Match(
        found.fits[rows],
        pose_of(found.pose, rows),
        found.neighbour[rows],
        found.squared[rows],
        found.own[rows],
        found.quality[rows],
    )


def joined(parts: Sequence[Match]) -> Match:
    """One after the other."""
    return Match(
        np.concatenate([part.fits for part in parts]),
        poses([part.pose for part in parts]),
        np.concatenate([part.neighbour for part in parts]),
        np.concatenate([part.squared for part in parts]),
        np.concatenate([part.own for part in parts]),
        np.concatenate([part.quality for part in parts]),
    )


def match(template: Template, neighbours: Surroundings, rows: IntArray, limits: Limits = LIMITS) -> Match:
    """Fit a template to particles of which nothing is known yet.

    Args:
        template: the site to look for.
        neighbours: of all particles.
        rows: (n,) the particles, of the template's species.
        limits: between crystal and disorder.
    """
    parts = [_searched(template, neighbours, rows[k : k + CHUNK // 4], limits) for k in range(0, len(rows), CHUNK // 4)]
    return joined(parts) if parts else _searched(template, neighbours, rows, limits)


def refined(
    template: Template,
    neighbours: Surroundings,
    rows: IntArray,
    pose: Pose,
    share: float,
    limits: Limits = LIMITS,
) -> Match:
    """Fit a template to particles from where it is expected, by one round of assigning and fitting.

    Args:
        template: the site.
        neighbours: of all particles.
        rows: (n,) the particles.
        pose: where it is expected.
        share: least share of the places of each shell that must be filled.
        limits: the others.
    """
    parts = []
    for start in range(0, max(len(rows), 1), CHUNK):
        chunk = slice(start, start + CHUNK)
        parts.append(_refined(template, neighbours, rows[chunk], pose_of(pose, chunk), 1, share, limits))
    return joined(parts)


def _searched(template: Template, neighbours: Surroundings, rows: IntArray, limits: Limits) -> Match:
    """The best of several starts for each particle."""
    which, pose = _starts(template, neighbours[template.seed_species], rows)
    quality = np.zeros(len(which))
    for round_number in range(2):
        found, offsets, distance = _occupants(template, neighbours, rows[which], pose)
        unit = CAPTURE * template.nearest * pose.scale
        quality = np.where(found >= 0, 1 - (distance / unit[:, None]) ** 2, 0.0).sum(axis=1)
        # The first assignments tell most starts as hopeless, the second ones most templates.
        keep = (found >= 0).sum(axis=1) >= limits.begin * len(template.vectors) * HOPE[round_number]
        which, quality, pose = which[keep], quality[keep], pose_of(pose, keep)
        if not len(which):
            return _nothing(template, len(rows))
        if round_number == 0:
            pose = _procrustes(template, offsets[keep], found[keep] >= 0, pose)
    order = np.lexsort((-quality, which))
    best = order[np.unique(which[order], return_index=True)[1]]
    result = _refined(template, neighbours, rows[which[best]], pose_of(pose, best), 2, limits.begin, limits)
    return _spread(template, result, which[best], len(rows))


def _nothing(template: Template, n: int) -> Match:
    """Rows that fit nothing."""
    places = len(template.vectors)
    return Match(
        fits=np.zeros(n, dtype=bool),
        pose=Pose.none(n),
        neighbour=np.full((n, places), -1, dtype=np.int32),
        squared=np.zeros((n, places), dtype=np.float32),
        own=np.zeros(n),
        quality=np.zeros(n),
    )


def _spread(template: Template, found: Match, which: IntArray, n: int) -> Match:
    """Matches of some particles as rows of all; the others fit nothing."""
    result = _nothing(template, n)
    result.pose.put(which, found.pose)
    result.fits[which], result.neighbour[which] = found.fits, found.neighbour
    result.squared[which], result.own[which], result.quality[which] = found.squared, found.own, found.quality
    return result


def _refined(
    template: Template,
    neighbours: Surroundings,
    rows: IntArray,
    pose: Pose,
    rounds: int,
    share: float,
    limits: Limits,
) -> Match:
    for _ in range(rounds):
        found, offsets, _ = _occupants(template, neighbours, rows, pose)
        pose = _procrustes(template, offsets, found >= 0, pose)
    found, _, distance = _occupants(template, neighbours, rows, pose)
    filled = found >= 0
    unit = template.nearest * pose.scale
    squared = (np.where(filled, distance / unit[:, None], 0.0) ** 2).astype(np.float32)
    own = (pose.origin**2).sum(axis=1) / unit**2
    variance = (squared.sum(axis=1) + own) / np.maximum(3.0 * filled.sum(axis=1) + 3.0 - PARAMETERS, 1.0)
    spread = np.sqrt(variance) * unit / neighbours.spacing[rows]
    shells = template.shell[:, None] == np.arange(template.shell.max() + 1)
    counts = filled.astype(np.float32) @ shells.astype(np.float32)
    # One vacancy must not cost a label, so a shell of one place may be empty, and one of two half empty.
    size = shells.sum(axis=0)
    need = share * np.where(size > 2, size, size - 1)
    strangers = _strangers(template, neighbours, rows, pose, filled)
    places = len(template.vectors)
    fits = (counts >= need).all(axis=1) & (own < CAPTURE**2)
    fits &= strangers <= limits.strangers * places
    fits &= 3.0 * variance <= (ONE_FIT * limits.stiffness * template.lindemann) ** 2
    gain = np.log(EVEN / np.clip(spread, SHARP, EVEN)) / np.log(EVEN / SHARP)
    quality = (gain * filled.sum(axis=1) - strangers) / places
    return Match(fits, pose, found, squared, own, quality)


def _strangers(
    template: Template, neighbours: Surroundings, rows: IntArray, pose: Pose, filled: BoolArray
) -> FloatArray:
    """(n,) how many particles within the radius where the template is complete occupy none of its places."""
    reach = (template.complete * pose.scale) ** 2 * pose.stretch ** (2 / 3)
    within = np.zeros(len(rows))
    for species in (CUBE, SPHERE):
        within += (neighbours[species].squares[rows] < reach[:, None]).sum(axis=1)
    inside = np.linalg.norm(template.vectors, axis=1) < template.complete
    return np.asarray(np.maximum(within - filled[:, inside].sum(axis=1), 0.0))


def _starts(template: Template, near: Neighbours, particles: IntArray) -> tuple[IntArray, Pose]:
    """Poses to start from and the number of the particle that each is for.

    Two neighbours u, v of the seed shell under the angle of two of its places fix the frame; the median distance of
    the shell fixes the scale, so that a third of it may be missing.
    """
    count = len(template.seed_distances)
    shell = near.vectors[particles, :count].astype(float)
    distance = np.sqrt(near.squares[particles, :count].astype(float))
    median = np.median(distance, axis=1)
    starts = min(STARTS, count - 1, distance.shape[1])
    # Coincident particles have no direction; a median of zero or infinity has no scale.
    usable = np.isfinite(median) & (distance[:, starts - 1] < np.inf) & (distance[:, 0] > 1e-6 * median)
    rows = np.flatnonzero(usable)
    shell, distance, median = shell[rows], distance[rows], median[rows]
    far = ~(distance < 1.25 * median[:, None])
    apart = ~far & (distance > 0)
    unit = np.where(apart[..., None], shell, 0.0) / np.where(apart, distance, 1.0)[..., None]
    frames = []
    for t_first, t_second in template.seed_pairs:
        cosine = np.einsum("nhi,nki->nhk", unit[:, :starts], unit)
        # Beyond 1.25 of the median lies the next shell, which stands in for missing neighbours.
        second = (np.abs(cosine - t_first @ t_second) + 10.0 * far[:, None, :]).argmin(axis=2)
        v = unit[np.arange(len(unit))[:, None], second]
        frames.append(_triad(unit[:, :starts], v) @ _triad(t_first, t_second).T)
    frame = np.concatenate(frames, axis=1)
    each = frame.shape[1]
    which = np.repeat(rows, each)
    scale = np.repeat(median / np.median(template.seed_distances), each)
    return which, replace(Pose.none(len(which)), scale=scale, frame=frame.reshape(-1, 3, 3))


def _triad(u: FloatArray, v: FloatArray) -> FloatArray:
    """Orthonormal right-handed axes (columns) along u + v, u - v and their cross product, symmetric in u and v."""
    # A tiny constant vector keeps (anti)parallel pairs, which no crystal fits anyway, from dividing by zero.
    plus = u + v + 1e-9
    plus = plus / np.linalg.norm(plus, axis=-1, keepdims=True)
    minus = u - v + np.array([1e-9, -1e-9, 2e-9])
    minus = minus - plus * np.sum(plus * minus, axis=-1, keepdims=True)
    minus = minus / np.linalg.norm(minus, axis=-1, keepdims=True)
    (a, b, c), (d, e, f) = np.moveaxis(plus, -1, 0), np.moveaxis(minus, -1, 0)
    third = np.stack([b * f - c * e, c * d - a * f, a * e - b * d], axis=-1)  # np.cross takes several times as long
    return np.stack([plus, minus, third], axis=-1)


def places_of(template: Template, pose: Pose) -> FloatArray:
    """(T, 3), or (n, T, 3) where a free coordinate moves them: v + x w, in units of a before stretching."""
    if not template.slides.any():
        return template.vectors
    return np.asarray(template.vectors + pose.slide[:, None, None] * template.slides)


def _occupants(
    template: Template, neighbours: Surroundings, rows: IntArray, pose: Pose
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Who is nearest to each place: particle numbers (n, T), their vectors (n, T, 3), their distances (n, T)."""
    matrix = pose.scale[:, None, None] * pose.frame
    matrix[:, :, 2] *= pose.stretch[:, None]
    places = (pose.origin[:, None] + places_of(template, pose) @ np.swapaxes(matrix, 1, 2)).astype(np.float32)
    n, count = places.shape[:2]
    who = np.empty((n, count), dtype=np.int32)
    where = np.empty((n, count, 3), dtype=np.float32)
    away = np.empty((n, count), dtype=np.float32)
    limit = (CAPTURE * template.nearest * pose.scale) ** 2
    for species in (CUBE, SPHERE):
        columns = np.flatnonzero(template.neighbour_species == species)
        if not len(columns):
            continue
        near = neighbours[species]
        vectors = near.vectors[rows]
        part = places[:, columns]
        # |p - x|^2 expanded: one matrix product instead of a (n, T, K, 3) array. |p|^2 does not move the minimum.
        squares = part @ np.swapaxes(-2 * vectors, 1, 2)
        squares += near.squares[rows][:, None, :]
        nearest = squares.argmin(axis=2)
        row = np.arange(n)[:, None]
        x = vectors[row, nearest]
        distance = ((x - part) ** 2).sum(axis=-1)
        # Nobody stands at the end of a list that is too short: its number is -1, its vector zero.
        index = near.index[rows[:, None], nearest]
        inside = (distance < limit[:, None]) & (index >= 0)
        who[:, columns] = np.where(inside, index, -1)
        where[:, columns] = x
        away[:, columns] = np.where(inside, np.sqrt(distance), 0.0)
    return who, where, away


def _procrustes(template: Template, points: NDArray[np.float32], filled: BoolArray, pose: Pose) -> Pose:
    """Least squares of sum_t |o + a R S v_t - x_t|^2 over occupied places and the particle itself (v = x = 0).

    R is the polar rotation of the covariance of x and S v; a = tr(R^T C)/sum |v|^2 about the means, or the same for
    the first two axes and for the third apart where c/a is free. A free coordinate follows from what is left over.
    With fewer than four occupied places the start is returned unchanged: no rotation is defined.
    """
    v = places_of(template, pose)
    weight = filled.astype(float)
    total = weight.sum(axis=1) + 1.0  # the particle itself is one point
    x = weight[..., None] * points
    mean_v, mean_x = _summed(weight, v) / total[:, None], x.sum(axis=1) / total[:, None]
    covariance = np.swapaxes(x, 1, 2) @ v - total[:, None, None] * mean_x[:, :, None] * mean_v[:, None, :]
    spread = _summed(weight, v**2) - total[:, None] * mean_v**2
    low, high = template.stretch
    stretched = covariance.copy()
    stretched[:, :, 2] *= pose.stretch[:, None]
    rotation = polar_rotation(stretched)
    along = np.einsum("nij,nij->nj", rotation, covariance)
    stretch = pose.stretch
    if high > low:
        scale = along[:, :2].sum(axis=1) / np.maximum(spread[:, :2].sum(axis=1), 1e-12)
        third = along[:, 2] / np.maximum(spread[:, 2], 1e-12)
        stretch = np.clip(third / np.where(scale > 0, scale, 1.0), low / 1.05, high * 1.05)
    else:
        scale = along.sum(axis=1) / np.maximum(spread.sum(axis=1), 1e-12)
    # A fit that shrinks or grows this much has lost its neighbours; keep the start, which then fails on its own.
    good = (filled.sum(axis=1) >= 4) & (scale > 0.7 * pose.scale) & (scale < 1.4 * pose.scale)
    moved = mean_v.copy()
    moved[:, 2] *= stretch
    origin = mean_x - scale[:, None] * np.einsum("nij,nj->ni", rotation, moved)
    fitted = Pose(
        np.where(good, scale, pose.scale),
        np.where(good, stretch, pose.stretch),
        pose.slide,
        np.where(good[:, None, None], rotation, pose.frame),
        np.where(good[:, None], origin, pose.origin),
    )
    return _slid(template, points, weight, fitted) if template.slides.any() else fitted


def _summed(weight: FloatArray, vectors: FloatArray) -> FloatArray:
    """(n, 3) sum_t w_t v_t of vectors (T, 3) that are the same for all, or (n, T, 3)."""
    return np.asarray(weight @ vectors if vectors.ndim == 2 else (weight[:, None] @ vectors)[:, 0])


def _slid(template: Template, points: NDArray[np.float32], weight: FloatArray, pose: Pose) -> Pose:
    """The same pose with the free coordinate moved by sum_t r_t . w_t / sum_t |w_t|^2, r = R^T (x - o)/a - v.

    The w are taken about their mean over the occupied places and the particle itself, as the site o is free too.
    """
    rest = (points - pose.origin[:, None]) @ pose.frame / pose.scale[:, None, None] - places_of(template, pose)
    slides = template.slides - (weight @ template.slides / (weight.sum(axis=1) + 1.0)[:, None])[:, None]
    norm = (weight[..., None] * slides**2).sum(axis=(1, 2))
    step = (weight[..., None] * slides * rest).sum(axis=(1, 2)) / np.maximum(norm, 1e-12)
    return replace(pose, slide=np.clip(pose.slide + step, -SLIDE, SLIDE))
