"""Grains: connected crystallites, which way their crystal axes point, and which particle sits on which of their sites.

Two particles belong to one grain if one is on a template place of the other, on the right site, with nearly the same
crystal axes, or if a chain of such particles is between them that runs through the inside of the crystal
(:mod:`.boundaries`). So:

* a whole crystal in a periodic box is one grain, also at the Lindemann limits, and so is a crystal that bends by little
  from neighbour to neighbour;
* a boundary is found if the axes change by 15 degrees or more: in series of pairs of grains about random axes and
  about [100], 6, 9, ... 30 degrees, 450 particles each with 2.5 % noise, of SC, bcc, fcc, CsCl, ABO3 and hcp, all 90
  pairs of 15 degrees and more were two grains, their axes right within 0.5 degrees; of the 54 of 12 degrees and less 49
  were one; grains of 1500 particles were two from 13 degrees on. Where no particle of one side is on a place of the
  other, a smaller angle divides as well;
* parallel crystals that are shifted against each other, such as SC clusters that touch, are two grains with a
  misorientation of 0, since neither's particles are on the other's places;
* the two sides of a coherent twin are two grains (fcc: 60 degrees), and so is the plane between them if it is hcp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..crystals.library import STRUCTURES
from .agreement import GRAIN, by_label, group_of, near, traces
from .boundaries import pieces, ranked, touching
from .recognise import Recognition
from .references import Template, templates
from .regions import Regions
from .symmetry import polar_rotation

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Grains:
    """Grains, largest first.

    Attributes:
        number: (N,) grain of each particle, -1 for none.
        labels: (G,) crystal of each grain.
        sizes: (G,) particles. Of equally large grains the one whose fits are better is first.
        frame: (G, 3, 3) crystal axes as columns, the mean over the particles, of all equivalent ones those nearest to
            the axes of space.
        turn: (N,) which rotation g of the crystal's group takes these axes to the particle's own, ``pose.frame`` = R g;
            meaningless outside of grains.
    """

    number: IntArray
    labels: tuple[str, ...]
    sizes: IntArray
    frame: FloatArray
    turn: IntArray


@cache
def sublattices(kind: int) -> IntArray:
    """(g,) which of the equivalent sites of the cell each ``turn`` is, for turns on one kind of site.

    Turns that differ by a rotation of the site itself are the same site; in the library's crystals, whose point groups
    are those of their systems, different sites differ by a rotation.
    """
    site = templates()[kind]
    own = [s for s in site.group if _maps(site, s)]
    numbers = [[int(np.abs(site.group - g @ s).sum(axis=(1, 2)).argmin()) for s in own] for g in site.group]
    return np.array([min(row) for row in numbers], dtype=np.int64)


def multiplicity(site: Template) -> int:
    """How many equivalent sites the conventional cell has: those that turns tell apart, times the lattice points."""
    entry = STRUCTURES[site.label]
    turns = [len(set(sublattices(other.kind).tolist())) for other in templates() if other.label == site.label]
    return len(set(sublattices(site.kind).tolist())) * len(entry.sites) // sum(turns)


def _maps(site: Template, rotation: FloatArray) -> bool:
    """Whether a rotation maps the places of a template onto its places, species by species."""
    apart = np.linalg.norm((site.vectors @ rotation.T)[:, None] - site.vectors, axis=-1)
    same = site.neighbour_species[:, None] == site.neighbour_species
    return bool(((apart < 1e-6) & same).any(axis=1).all())


def grains_of(recognition: Recognition) -> Grains:
    """All grains, of at least ``agreement.LEAST`` particles."""
    found, agree = recognition.regions, recognition.agree
    number = ranked(np.where(found.kind >= 0, recognition.component, -1), found.quality)
    labels, frame, turn = _oriented(found, number)
    bent = _bent(found, number, frame)
    if bent.any():
        split = pieces(found, agree, np.where(bent, number, -1), found.pose.frame)
        others = np.where(number >= 0, number + 1 + split.max(), -1)
        number = ranked(np.where(bent, split, others), found.quality)
        labels, frame, turn = _oriented(found, number)
        number = ranked(_merged(touching(found, agree, number), number, labels, frame), found.quality)
        labels, frame, turn = _oriented(found, number)
    return Grains(number, labels, np.bincount(number[number >= 0], minlength=len(labels)), frame, turn)


def _bent(found: Regions, number: IntArray, frame: FloatArray) -> BoolArray:
    """(N,) particles of crystallites that may hold a boundary: some axes are not within GRAIN/2 of the mean."""
    bent = np.zeros(len(frame) + 1, dtype=bool)  # the last is nobody's
    for label, rows in by_label(np.where(number >= 0, found.kind, -1)):
        alike = near(frame[number[rows]], found.pose.frame[rows], group_of(label), GRAIN / 2)
        bent[number[rows[~alike]]] = True
    return np.asarray(bent[number])


def _merged(pairs: IntArray, number: IntArray, labels: Sequence[str], frame: FloatArray) -> IntArray:
    """Numbers after uniting pairs whose mean axes differ by less than GRAIN."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    alike = [misorientation(frame[i], frame[j], group_of(labels[i])) < GRAIN for i, j in pairs]
    ends = pairs[np.array(alike, dtype=bool)].T
    shape = (len(labels), len(labels))
    _, united = connected_components(coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=shape), directed=False)
    return np.where(number >= 0, united[number], -1)


def _oriented(found: Regions, number: IntArray) -> tuple[tuple[str, ...], FloatArray, IntArray]:
    """Labels and mean axes of groups of particles, and (N,) ``turn`` of each particle."""
    count = int(number.max(initial=-1)) + 1
    frame, turn, labels = np.zeros((count, 3, 3)), np.zeros(len(number), dtype=np.int64), [""] * count
    for label, rows in by_label(np.where(number >= 0, found.kind, -1)):
        groups = np.unique(number[rows])
        frame[groups], turn[rows] = _axes(found.pose.frame[rows], found.quality[rows], number[rows], group_of(label))
        for k in groups:
            labels[k] = label
    return tuple(labels), frame, turn


def _axes(frames: FloatArray, quality: FloatArray, grain: IntArray, group: FloatArray) -> tuple[FloatArray, IntArray]:
    """Mean crystal axes of each grain of one crystal, in the order of their numbers, and (n,) rotations ``turn``."""
    _, first, which = np.unique(grain, return_index=True, return_inverse=True)
    # Of the best fit of each grain first, to have a reference that is no outlier.
    order = np.lexsort((-quality, which))
    reference = frames[order[np.searchsorted(which[order], np.arange(len(first)))]]
    inverse = np.swapaxes(group, 1, 2)
    alike = frames @ inverse[traces(reference[which], frames, group).argmax(axis=1)]
    sums = np.zeros((len(first), 9))
    for k, column in enumerate(alike.reshape(-1, 9).T):
        sums[:, k] = np.bincount(which, column, minlength=len(first))
    mean = np.array([canonical(axes, group) for axes in polar_rotation(sums.reshape(-1, 3, 3))])
    return mean, traces(mean[which], frames, group).argmax(axis=1)


def within(recognition: Recognition, grains: Grains) -> Recognition:
    """The same where only neighbours in the same grain agree."""
    number = grains.number
    same = number[recognition.regions.neighbour] == number[:, None]
    return replace(recognition, agree=recognition.agree & same) if len(grains.sizes) > 1 else recognition


def canonical(frame: FloatArray, group: FloatArray) -> FloatArray:
    """Of the equivalent axes R g those that the smallest turn takes from the axes of space.

    Among equal turns (where they are, noise decides: no choice is continuous) the one about the axis with the largest
    components, compared one by one.
    """
    candidates = frame @ group
    axis = np.stack([candidates[:, k - 1, k - 2] - candidates[:, k - 2, k - 1] for k in range(3)], axis=1)
    keys = np.round(np.column_stack([np.trace(candidates, axis1=1, axis2=2), axis]), 6)
    return np.asarray(candidates[np.lexsort(keys.T[::-1])[-1]])


def quaternion(frame: FloatArray) -> FloatArray:
    """(4,) unit quaternion, scalar first and positive, of a canonical frame, whose angle is below 100 degrees."""
    w = np.sqrt(1 + np.trace(frame)) / 2
    axis = np.array([frame[k - 1, k - 2] - frame[k - 2, k - 1] for k in range(3)])
    return np.array([w, *(axis / (4 * w))])


def misorientation(first: FloatArray, second: FloatArray, group: FloatArray) -> float:
    """Smallest angle in degrees between two crystal frames, over the rotations of their crystal system."""
    # |A - B|^2 = 8 sin^2(angle/2), which keeps its digits near 0.
    apart = float(np.linalg.norm(first @ group - second, axis=(1, 2)).min())
    return float(np.degrees(2 * np.arcsin(min(apart / np.sqrt(8), 1.0))))
