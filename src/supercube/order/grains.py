"""Grains: connected crystallites, which way their crystal axes point, and which particle sits on which of their sites.

Two particles belong to one grain if one is on a template place of the other, on the right site, and their crystal axes
agree within ``agreement.GRAIN`` (12 degrees). So:

* a whole crystal in a periodic box is one grain, and so is a crystal that bends by little from neighbour to neighbour;
* a boundary of less than 12 degrees makes no new grain;
* parallel crystals that are shifted against each other, such as SC clusters that touch, are two grains with a
  misorientation of 0, since neither's particles are on the other's places;
* the two sides of a coherent twin are two grains (fcc: 60 degrees); the plane they share belongs to one of them, for
  its particles have three quarters of their neighbours on places of either.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .agreement import by_label, group_of, traces
from .recognise import Recognition
from .references import Template, templates
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
        sizes: (G,) particles.
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


def _maps(site: Template, rotation: FloatArray) -> bool:
    """Whether a rotation maps the places of a template onto its places, species by species."""
    apart = np.linalg.norm((site.vectors @ rotation.T)[:, None] - site.vectors, axis=-1)
    same = site.neighbour_species[:, None] == site.neighbour_species
    return bool(((apart < 1e-6) & same).any(axis=1).all())


def grains_of(recognition: Recognition) -> Grains:
    """All grains, of at least ``agreement.LEAST`` particles."""
    found, component = recognition.regions, recognition.component
    n = len(found.kind)
    sizes = np.bincount(component[found.kind >= 0], minlength=component.max() + 1)
    order = np.argsort(-sizes, kind="stable")[: int((sizes > 0).sum())]
    rank = np.full(len(sizes), -1)
    rank[order] = np.arange(len(order))
    number = np.where(found.kind >= 0, rank[component], -1)
    frame, turn = np.zeros((len(order), 3, 3)), np.zeros(n, dtype=np.int64)
    labels = [""] * len(order)
    for label, rows in by_label(np.where(number >= 0, found.kind, -1)):
        grain = number[rows]
        axes, turn[rows] = _axes(found.pose.frame[rows], found.quality[rows], grain, group_of(label))
        for k in np.unique(grain):
            labels[k] = label
        frame[np.unique(grain)] = axes
    return Grains(number, tuple(labels), sizes[order], frame, turn)


def _axes(frames: FloatArray, quality: FloatArray, grain: IntArray, group: FloatArray) -> tuple[FloatArray, IntArray]:
    """Mean crystal axes of each grain of one crystal, in the order of their numbers, and (n,) rotations ``turn``."""
    _, first, which = np.unique(grain, return_index=True, return_inverse=True)
    # Of the best fit of each grain first, to have a reference that is no outlier.
    order = np.lexsort((-quality, which))
    reference = frames[order[np.searchsorted(which[order], np.arange(len(first)))]]
    inverse = np.swapaxes(group, 1, 2)
    near = frames @ inverse[traces(reference[which], frames, group).argmax(axis=1)]
    sums = np.zeros((len(first), 9))
    for k, column in enumerate(near.reshape(-1, 9).T):
        sums[:, k] = np.bincount(which, column, minlength=len(first))
    mean = np.array([canonical(axes, group) for axes in polar_rotation(sums.reshape(-1, 3, 3))])
    return mean, traces(mean[which], frames, group).argmax(axis=1)


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
