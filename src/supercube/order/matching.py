"""Fit neighbour templates to every particle: local lattice constant, frame, site position and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .neighbours import Neighbours
from .references import Template
from .symmetry import nearest_rotation

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: A template place is occupied if a particle of the right species is this near, in nearest-neighbour distances of
#: the crystal. Below 0.5, so that no particle can occupy two places; a thermal ABO3 crystal at its worst (rms 0.126 of
#: that distance, 0.073 per component) leaves a place at 0.4 = 5.5 sigma.
CAPTURE = 0.40
#: Particles at a time: keeps the largest temporary below ~100 MB.
CHUNK = 1024
#: Fits start from the pairs made by this many nearest neighbours of the seed shell; after one round the best is kept.
STARTS = 3
#: Assign-and-fit rounds; the assignment no longer changes after two or three.
ROUNDS = 3
#: A fit has this many parameters (scale, rotation, origin), which the residuals are corrected for.
PARAMETERS = 7


@dataclass(frozen=True)
class Match:
    """Best fit of one template to all N particles (rows of the wrong species stay empty).

    Attributes:
        fits: (N,) every shell is filled as far as the template needs.
        scale: (N,) local lattice constant a, 0 where nothing fits.
        frame: (N, 3, 3) crystal axes as columns.
        neighbour: (N, T) who occupies each template place, -1 for nobody.
        squared: (N, T) squared distance of the occupant from its place, in nearest-neighbour distances, 0 if empty.
        own: (N,) the same for the particle itself.
        quality: (N,) sum over occupied places of 1 - (distance/capture)^2, over the number of places.
    """

    fits: BoolArray
    scale: FloatArray
    frame: FloatArray
    neighbour: IntArray
    squared: FloatArray
    own: FloatArray
    quality: FloatArray


def match(template: Template, neighbours: Sequence[Neighbours], of_species: BoolArray) -> Match:
    """Fit p_t = o + a R v_t to the neighbours of each particle; v_t are the template's places, o is its own site.

    Args:
        template: the site to look for.
        neighbours: per species, as :func:`neighbours_by_species` returns them.
        of_species: (N,) the particles that could sit on this site.
    """
    n, places = len(of_species), len(template.vectors)
    result = Match(
        fits=np.zeros(n, dtype=bool),
        scale=np.zeros(n),
        frame=np.tile(np.eye(3), (n, 1, 1)),
        neighbour=np.full((n, places), -1, dtype=np.int64),
        squared=np.zeros((n, places)),
        own=np.zeros(n),
        quality=np.zeros(n),
    )
    rows = np.flatnonzero(of_species)
    for start in range(0, len(rows), CHUNK):
        _match_rows(template, neighbours, rows[start : start + CHUNK], result)
    return result


def _match_rows(template: Template, neighbours: Sequence[Neighbours], rows: IntArray, out: Match) -> None:
    seeds = neighbours[template.neighbour_species[0]].vectors[rows]
    usable, scale, frame = _starts(template, seeds)
    rows, scale, frame = rows[usable], scale[usable], frame[usable]
    if not len(rows):
        return
    origin = np.zeros((*scale.shape, 3))
    for round_number in range(ROUNDS):
        found, offsets, distance = _occupants(template, neighbours, rows, scale, frame, origin)
        if round_number < 2:  # the first assignments tell most particles, and then most starts, as hopeless
            keep = _promising(template, found, distance, scale, one=round_number == 1)
            rows, scale, frame, origin = rows[keep[0][:, 0]], scale[keep], frame[keep], origin[keep]
            found, offsets = found[keep], offsets[keep]
        scale, frame, origin = _procrustes(template.vectors, offsets, found >= 0, scale, frame, origin)
    found, _, distance = _occupants(template, neighbours, rows, scale, frame, origin)
    scale, frame, origin, found, distance = scale[:, 0], frame[:, 0], origin[:, 0], found[:, 0], distance[:, 0]
    filled = found >= 0
    unit = template.nearest * scale
    squared = np.where(filled, distance / unit[..., None], 0.0) ** 2
    own = (np.linalg.norm(origin, axis=-1) / unit) ** 2
    shells = template.shell[None, :] == np.arange(len(template.need))[:, None]
    counts = filled.astype(int) @ shells.T.astype(int)
    out.fits[rows] = (counts >= template.need).all(axis=1) & (own < CAPTURE**2)
    out.scale[rows], out.frame[rows], out.own[rows] = scale, frame, own
    out.neighbour[rows], out.squared[rows] = found, squared
    out.quality[rows] = np.where(filled, 1 - squared / CAPTURE**2, 0.0).mean(axis=-1)


def _promising(
    template: Template, found: IntArray, distance: FloatArray, scale: FloatArray, one: bool
) -> tuple[IntArray, IntArray]:
    """Index (particles, starts) of what to go on with: particles with half of what is needed; all or the best start."""
    unit = CAPTURE * template.nearest * scale[..., None]
    quality = np.where(found >= 0, 1 - (distance / unit) ** 2, 0.0).sum(axis=-1)
    rows = np.flatnonzero((found >= 0).sum(axis=-1).max(axis=1) >= template.need.sum() / 2)
    if one:
        return rows[:, None], quality[rows].argmax(axis=1)[:, None]
    return rows[:, None], np.arange(scale.shape[1])[None, :]


def _starts(template: Template, seeds: FloatArray) -> tuple[BoolArray, FloatArray, FloatArray]:
    """Scales (n, H) and frames (n, H, 3, 3) to start from, and which particles have a first shell at all.

    Two neighbours u, v of the first shell under the template's angle fix the frame; the median distance of the
    shell fixes the scale, so that a third of it may be missing.
    """
    first = template.vectors[template.shell == 0]
    shell = seeds[:, : len(first)]
    distance = np.linalg.norm(shell, axis=-1)
    median = np.median(distance, axis=1)
    starts = min(STARTS, len(first) - 1)
    # Coincident particles have no direction; a median of zero or infinity has no scale.
    usable = np.isfinite(median) & (distance[:, starts - 1] < np.inf) & (distance[:, 0] > 1e-6 * median)
    distance = np.where(usable[:, None], distance, 1.0)
    unit = (
        np.where(np.isfinite(shell) & usable[:, None, None], shell, 1.0)
        / np.where(np.isfinite(distance), distance, 1.0)[..., None]
    )
    t_first, t_second = (template.vectors[k] / np.linalg.norm(template.vectors[k]) for k in template.seed)
    cosine = np.einsum("nhi,nki->nhk", unit[:, :starts], unit)
    # Beyond 1.25 of the median lies the next shell (1.414 at the least), which stands in for missing neighbours.
    far = distance > 1.25 * np.where(usable, median, 1.0)[:, None]
    second = (np.abs(cosine - t_first @ t_second) + 10.0 * far[:, None, :]).argmin(axis=2)
    v = np.take_along_axis(unit, second[..., None], axis=1)
    frame = _triad(unit[:, :starts], v) @ _triad(t_first, t_second).T
    scale = np.where(usable, median, 1.0) / np.linalg.norm(first[0])
    return usable, np.repeat(scale[:, None], starts, axis=1), frame


def _triad(u: FloatArray, v: FloatArray) -> FloatArray:
    """Orthonormal right-handed axes (columns) along u + v, u - v and their cross product, symmetric in u and v."""
    # A tiny constant vector keeps (anti)parallel pairs, which no crystal fits anyway, from dividing by zero.
    plus = u + v + 1e-9
    plus = plus / np.linalg.norm(plus, axis=-1, keepdims=True)
    minus = u - v + np.array([1e-9, -1e-9, 2e-9])
    minus = minus - plus * np.sum(plus * minus, axis=-1, keepdims=True)
    minus = minus / np.linalg.norm(minus, axis=-1, keepdims=True)
    return np.stack([plus, minus, np.cross(plus, minus)], axis=-1)


def _occupants(
    template: Template,
    neighbours: Sequence[Neighbours],
    rows: IntArray,
    scale: FloatArray,
    frame: FloatArray,
    origin: FloatArray,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Who is nearest to each place: particle numbers (n, H, T), their vectors (n, H, T, 3), their distances."""
    n, starts = scale.shape
    places = origin[..., None, :] + scale[..., None, None] * np.einsum("nhij,tj->nhti", frame, template.vectors)
    who = np.full(places.shape[:-1], -1, dtype=np.int64)
    where = np.zeros_like(places)
    away = np.zeros(places.shape[:-1])
    for species in np.unique(template.neighbour_species):
        columns = np.flatnonzero(template.neighbour_species == species)
        near = neighbours[species]
        vectors = near.vectors[rows]
        finite = np.isfinite(vectors[..., 0])
        safe = np.where(finite[..., None], vectors, 0.0)
        part = places[:, :, columns].reshape(n, starts * len(columns), 3)
        # |p - x|^2 expanded: one matrix product instead of a (n, H T, K, 3) array.
        squares = (part**2).sum(-1)[:, :, None] - 2 * part @ np.swapaxes(safe, 1, 2) + (safe**2).sum(-1)[:, None, :]
        squares = np.where(finite[:, None, :], squares, np.inf)
        nearest = squares.argmin(axis=2)
        distance = np.sqrt(np.maximum(np.take_along_axis(squares, nearest[..., None], axis=2)[..., 0], 0.0))
        shape = (n, starts, len(columns))
        inside = distance.reshape(shape) < CAPTURE * template.nearest * scale[..., None]
        who[:, :, columns] = np.where(inside, np.take_along_axis(near.index[rows], nearest, axis=1).reshape(shape), -1)
        where[:, :, columns] = np.take_along_axis(safe, nearest[..., None], axis=1).reshape(*shape, 3)
        away[:, :, columns] = np.where(inside, distance.reshape(shape), 0.0)
    return who, where, away


def _procrustes(
    vectors: FloatArray, points: FloatArray, filled: BoolArray, scale: FloatArray, frame: FloatArray, origin: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Least squares of sum_t |o + a R v_t - x_t|^2 over occupied places and the particle itself (v = x = 0).

    R is the polar rotation of the covariance of x and v; a = tr(C R^T)/sum |v|^2 about the means. With fewer than
    four occupied places the start is returned unchanged: no rotation is defined.
    """
    weight = filled.astype(float)[..., None]
    total = weight.sum(axis=-2) + 1.0  # the particle itself is one point
    mean_v = (weight * vectors).sum(axis=-2) / total
    mean_x = (weight * points).sum(axis=-2) / total
    covariance = np.einsum("nhti,tj->nhij", weight * points, vectors) - (
        total[..., None] * mean_x[..., :, None] * mean_v[..., None, :]
    )
    spread = (weight[..., 0] * (vectors**2).sum(-1)).sum(-1) - total[..., 0] * (mean_v**2).sum(-1)
    rotation = nearest_rotation(covariance)
    new_scale = np.einsum("nhij,nhij->nh", covariance, rotation) / np.maximum(spread, 1e-12)
    # A fit that shrinks or grows this much has lost its neighbours; keep the start, which then fails on its own.
    good = (filled.sum(axis=-1) >= 4) & (new_scale > 0.7 * scale) & (new_scale < 1.4 * scale)
    new_origin = mean_x - new_scale[..., None] * np.einsum("nhij,nhj->nhi", rotation, mean_v)
    return (
        np.where(good, new_scale, scale),
        np.where(good[..., None, None], rotation, frame),
        np.where(good[..., None], new_origin, origin),
    )
