"""Vacant and substituted sites of a crystal: places of its particles that nobody of the right species occupies.

Each particle of the crystal has a place for every neighbour of its template, occupied or empty. A site counts, whether
occupied or not, if of the particles that have it as a place in the whole crystal at least the share COMPLETE are there
and say so, so that no surface is a row of vacancies. Of the sites that count, one is

* occupied if a particle of the right species is within capture (``matching.CAPTURE``) of its places, labelled or not;
* substituted if nobody is, but a particle of the other species;
* vacant if nobody is at all.

Measured on generated crystals of all structures, with 1 and 4 % noise and 0, 2 and 5 % of the particles missing at
random: exact within one particle in a thousand. An interstitial that sits in a vacancy fills it, or substitutes it.
That holds for dilute vacancies (up to 5 %, at random). Where half of a sublattice is missing the count is low (ABO3
without half of A: 0.03 instead of 0.10), for the particles around the empty sites fail their shells or the agreement of
their neighbours and are disordered, and a site whose neighbours are not there to say so does not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .agreement import rows_of
from .grains import sublattices
from .matching import CAPTURE, PARAMETERS, places_of, pose_of
from .neighbours import Neighbours
from .packings import pairs_within
from .recognise import Recognition
from .references import CUBE, SPHERE, templates

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Places nearer to each other than this, in nearest-neighbour distances, are one site: those of neighbours' fits
#: scatter by a tenth (noise of 4 %), sites are one distance apart.
MERGED = 0.35
#: Share of those who have a site as a place that must be there for it to count. A site outside of a flat face has less
#: than half of them, one in the kink of a step exactly half: at 0.5 rough faces of 500 particles pass for up to 3 % of
#: vacancies, at 0.6 for 0.3 % on average. Inside, 0.6 is missed only beside several vacancies.
COMPLETE = 0.6


@dataclass(frozen=True)
class Defects:
    """Shares of the sites of a crystal that count; None without any.

    The error of the vacancies is that of counting, sqrt(p (1 - p)/n) with n sites that count.
    """

    vacancy_fraction: float | None = None
    vacancy_fraction_sem: float | None = None
    substituted_fraction: float | None = None


@dataclass(frozen=True)
class _Empty:
    """Empty places: (P, 3) where, (P,) template of the site, and whether one of the other species is there."""

    places: FloatArray
    kind: IntArray
    foreign: BoolArray


def defects_of(recognition: Recognition, member: BoolArray) -> Defects:
    """Shares of vacant and substituted sites in the crystal of some particles, all of one structure.

    Args:
        recognition: of the configuration.
        member: (N,) the particles.
    """
    if not member.any():
        return Defects()
    expected = _expected(templates()[recognition.regions.kind[member][0]].label)
    occupied = _occupied(recognition, member, expected)
    empty = _empty(recognition, member)
    site, size, foreign = _merged(recognition, empty)
    counts = size >= COMPLETE * expected[site]
    substituted = int((counts & (2 * foreign >= size)).sum())
    vacant = int(counts.sum()) - substituted
    total = occupied + vacant + substituted
    if not total:
        return Defects()
    share = vacant / total
    return Defects(share, math.sqrt(share * (1 - share) / total), substituted / total)


@cache
def _expected(label: str) -> FloatArray:
    """By template: how many places of other particles a site is in the whole crystal.

    Formula: sum over sites k of m_k/m_r times the places of k that hold r, for m_k equivalent sites in the cell.
    """
    sites = [site for site in templates() if site.label == label]
    number = {site.kind: len(set(sublattices(site.kind).tolist())) for site in sites}
    expected = np.zeros(len(templates()))
    for site in sites:
        for kind in site.neighbour_kind.tolist():
            expected[kind] += number[site.kind] / number[kind]
    return expected


def _occupied(recognition: Recognition, member: BoolArray, expected: FloatArray) -> int:
    found, count = recognition.regions, len(expected)
    key = []
    for site, rows in rows_of(found, member):
        neighbour = found.neighbour[rows, : len(site.vectors)]
        key.append((neighbour * count + site.neighbour_kind)[neighbour >= 0])
    claims, size = np.unique(np.concatenate(key), return_counts=True)
    return int((size >= COMPLETE * expected[claims % count]).sum())


def _empty(recognition: Recognition, member: BoolArray) -> _Empty:
    found, positions = recognition.regions, recognition.motion.mean.positions
    places, kind, foreign = [np.zeros((0, 3))], [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=bool)]
    for site, rows in rows_of(found, member):
        row, t = np.nonzero(found.neighbour[rows, : len(site.vectors)] < 0)
        whose = rows[row]
        laid = np.broadcast_to(places_of(site, pose_of(found.pose, rows)), (len(rows), *site.vectors.shape))
        vectors = laid[row, t]
        vectors[:, 2] *= found.pose.stretch[whose]
        scale = found.pose.scale[whose]
        apart = found.pose.origin[whose] + scale[:, None] * np.einsum("nij,nj->ni", found.pose.frame[whose], vectors)
        places.append(positions[whose] + recognition.unit * apart)
        kind.append(site.neighbour_kind[t])
        other = np.where(site.neighbour_species[t] == CUBE, SPHERE, CUBE)
        near = np.zeros(len(whose), dtype=bool)
        for species in (CUBE, SPHERE):
            some = np.flatnonzero(other == species)
            near[some] = _reached(recognition.near[species], whose[some], apart[some], site.nearest * scale[some])
        foreign.append(near)
    return _Empty(np.concatenate(places), np.concatenate(kind), np.concatenate(foreign))


def _reached(near: Neighbours, rows: IntArray, apart: FloatArray, nearest: FloatArray) -> BoolArray:
    """(n,) whether a neighbour stands within capture of a place."""
    squares = ((near.vectors[rows] - apart[:, None]) ** 2).sum(axis=2)
    return np.asarray(((squares < (CAPTURE * nearest[:, None]) ** 2) & (near.index[rows] >= 0)).any(axis=1))


def _merged(recognition: Recognition, empty: _Empty) -> tuple[IntArray, IntArray, IntArray]:
    """Sites of the empty places: the template of each, how many places it is, and how many of them a foreigner has."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(empty.kind)
    if not n:
        none = np.zeros(0, dtype=np.int64)
        return none, none, none
    regions = recognition.regions
    nearest = np.array([site.nearest for site in templates()])[regions.kind] * regions.pose.scale
    length = recognition.unit * float(np.median(nearest[regions.kind >= 0]))
    pairs = pairs_within(empty.places, recognition.motion.mean.box, MERGED * length)
    same = empty.kind[pairs.first] == empty.kind[pairs.second]
    links = coo_array((np.ones(same.sum()), (pairs.first[same], pairs.second[same])), shape=(n, n))
    count, site = connected_components(links, directed=False)
    kind = np.zeros(count, dtype=np.int64)
    kind[site] = empty.kind
    return kind, np.bincount(site), np.bincount(site, empty.foreign).astype(np.int64)


def displacement_rms(recognition: Recognition, member: BoolArray) -> float | None:
    """Rms displacement of some particles and their neighbours from their sites, per component, in lattice constants.

    Formula: sqrt(sum of squared residuals of all fits / (3 M + 3 - 7)) over the fits, each with M neighbours and 7
    parameters. Sites are those fitted to each neighbourhood, so that strain and long waves do not count. Static with
    one frame or the mean of many; thermal motion is in it for one frame.

    Args:
        recognition: of the configuration.
        member: (N,) the particles.
    """
    squares, freedom = 0.0, 0.0
    for site, rows in rows_of(recognition.regions, member):
        found = recognition.regions
        count = (found.neighbour[rows, : len(site.vectors)] >= 0).sum(axis=1)
        squares += site.nearest**2 * float(found.squared[rows].sum(dtype=float) + found.own[rows].sum())
        freedom += float(np.maximum(3 * count + 3 - PARAMETERS, 0).sum())
    return math.sqrt(squares / freedom) if freedom else None
