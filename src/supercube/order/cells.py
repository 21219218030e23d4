"""The unit cell of each grain, from the distances of neighbours: axes, lengths, and their standard errors.

Formula: d = A w for all pairs of neighbours in one grain that agree, where d = x_j - x_i as measured and w the ideal
vector of the template in units of a, along the crystal's axes. With z = w less the mean of the template's w to the same
sublattice, A = (sum d z^T) (sum w z^T)^-1, which is least squares with a free shift of each sublattice against each
other. The edges of the cell are A times the ideal ones. In a cubic crystal a = (det A)^(1/3), the cube root of the
cell's volume: the pseudo-cubic lattice constant where the cell is distorted, which its lengths and angles show. Else
A = R U with the rotation R of the axes and the stretch U (symmetric), a = (U11 + U22)/2 and c = U33 c0 with the
template's own c0 = c/a.

A is linear in the positions, and R belongs to the whole grain: fitting axes to each particle would make a smaller by
half of the square of their error. In a crystal that fills a periodic box the sum telescopes: every particle's
displacement enters once with each sign, and a is the box over its cells exactly, whatever the noise and wherever in the
cell the sites are. Elsewhere a free coordinate (CaB6, ABO6) matters at the surface; it is the mean of the fits.

In a grain that is bent, or a mosaic, the same would make a smaller by a third of the mean square of its turns (10
degrees to either side: 1 %). There each particle's sum is first turned by its own axes, averaged over its neighbours
and theirs (:mod:`.bending`); the error of these, 0.1-0.6 degrees, makes a smaller by 1e-6 to 4e-5.

Errors are delete-one-block jackknives (:mod:`.blocks`). Of 30 free clusters each of SC, NaCl, ABO3 and CsCl (200-560
particles, 2-5 % noise) the deviation from the true a over its error has an rms of 0.9-1.3, as one of 7 degrees of
freedom should (1.18). In a crystal that fills its box, whose a the box prescribes, the error is an upper bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..configuration import box_matrix
from ..crystals.library import C_OVER_A, STRUCTURES
from .agreement import rows_of
from .bending import unbent
from .blocks import BLOCKS, block_of, jackknife, summed
from .grains import Grains, sublattices, within
from .matching import places_of, pose_of
from .recognise import Recognition
from .references import VALUES, Template, templates
from .symmetry import nearest_rotation

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Least singular value of sum w z^T over its largest: bonds in one plane, which leave a length open, have zero.
FLAT = 1e-3


@dataclass(frozen=True)
class Cell:
    """Unit cell of a grain, in the unit of the positions.

    Attributes:
        a: lattice constant; None, like all that follow, if the bonds of a few particles leave a direction open.
        a_sem: its standard error, None if the grain is too small for one.
        c_over_a: None if the crystal is cubic.
        c_over_a_sem: its standard error.
        lengths: edges of the conventional cell, without the symmetry of the crystal.
        angles: between the second and third edge, the third and first, the first and second, in degrees.
        frame: (3, 3) crystal axes as columns.
    """

    a: float | None
    a_sem: float | None
    c_over_a: float | None
    c_over_a_sem: float | None
    lengths: list[float] | None
    angles: list[float] | None
    frame: FloatArray


def cells_of(recognition: Recognition, grains: Grains) -> list[Cell]:
    """Cell of each grain."""
    recognition = within(recognition, grains)
    found, last = recognition.regions, recognition.motion.mean
    rows = np.flatnonzero(grains.number >= 0)
    matrix = box_matrix(last.box)
    fractional = last.positions @ np.linalg.inv(matrix).T
    fractional -= np.round(fractional)
    key = np.zeros(len(fractional), dtype=np.int64)
    key[rows] = BLOCKS * grains.number[rows] + block_of(fractional[rows], grains.number[rows])
    slide = summed(found.pose.slide[rows], grains.number[rows], len(grains.labels)) / grains.sizes
    spin = unbent(recognition, grains)
    sums = np.zeros((len(grains.labels) * BLOCKS, 2, 3, 3))
    for site, some in rows_of(found, grains.number >= 0):
        measured, ideal = _sums(recognition, site, some, fractional, matrix, slide[grains.number[some]])
        turn = site.group[grains.turn[some]]
        back = np.swapaxes(turn, 1, 2)
        straight = measured if spin is None else spin[some] @ measured
        sums += summed(np.stack([straight @ back, turn @ ideal @ back], axis=1), key[some], len(sums))
    parts = sums.reshape(-1, BLOCKS, 2, 3, 3)
    return [_cell(*grain) for grain in zip(grains.labels, parts, grains.frame, strict=True)]


def _sums(
    recognition: Recognition,
    site: Template,
    rows: IntArray,
    fractional: FloatArray,
    matrix: FloatArray,
    slide: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """(n, 3, 3) sums over the places of each particle of d z^T and of w z^T, in the axes of its template."""
    found, unit = recognition.regions, recognition.unit
    pose = pose_of(found.pose, rows)
    w, z = places_of(site, replace(pose, slide=slide)), _centred(site.kind)
    agree = recognition.agree[rows, : len(site.vectors)]
    neighbour = found.neighbour[rows, : len(site.vectors)]
    steps = np.where(agree[..., None], fractional[neighbour] - fractional[rows][:, None], 0.0)
    # The image that stands on the place, which in a small box need not be the nearest; it matters only near the faces
    # or in a box that is smaller than two reaches.
    reach = 2 * unit * pose.scale.max() * np.linalg.norm(site.vectors, axis=1).max()
    margin = reach * np.linalg.norm(np.linalg.inv(matrix), axis=1)
    outer = np.flatnonzero((np.abs(fractional[rows]) > 0.5 - margin).any(axis=1))
    laid = unit * pose.scale[outer, None, None] * pose.frame[outer]
    laid[:, :, 2] *= pose.stretch[outer, None]
    expected = site.vectors @ np.swapaxes(np.linalg.inv(matrix) @ laid, 1, 2)
    steps[outer] -= np.where(agree[outer][..., None], np.round(steps[outer] - expected), 0.0)
    measured = matrix @ (np.swapaxes(steps, 1, 2) @ z)
    # One product of matrices instead of many small ones, where all particles have the same ideal vectors.
    if w.ndim == 2:
        return measured, (agree.astype(float) @ (w[:, :, None] * z[:, None, :]).reshape(-1, 9)).reshape(-1, 3, 3)
    return measured, np.swapaxes(agree[..., None] * w, 1, 2) @ z


@cache
def _centred(kind: int) -> FloatArray:
    """(T, 3) vectors of a template, less the mean of those to the same sublattice."""
    site = templates()[kind]
    turns = [int(np.abs(site.group - g).sum(axis=(1, 2)).argmin()) for g in site.neighbour_turn]
    whose = [(int(k), int(sublattices(int(k))[g])) for k, g in zip(site.neighbour_kind, turns, strict=True)]
    result = site.vectors.copy()
    for one in set(whose):
        same = [t for t, other in enumerate(whose) if other == one]
        result[same] -= result[same].mean(axis=0)
    return result


def edges(label: str) -> FloatArray:
    """(3, 3) edges of the conventional cell as columns, in units of a, with the c/a of the templates."""
    entry = STRUCTURES[label]
    ratio = VALUES.get(label, {}).get(C_OVER_A, entry.c_over_a)
    second = (-0.5, np.sqrt(0.75), 0.0) if entry.system == "hexagonal" else (0.0, 1.0, 0.0)
    return np.column_stack([(1.0, 0.0, 0.0), second, (0.0, 0.0, ratio)])


def _cell(label: str, blocks: FloatArray, frame: FloatArray) -> Cell:
    """From (B, 2, 3, 3) sums of a grain's blocks; ``frame`` is kept where they do not suffice."""
    ideal = edges(label)
    cubic = STRUCTURES[label].system == "cubic"

    def constants(sums: FloatArray) -> FloatArray:
        """(n, 2) a and c/a; NaN where a direction is open."""
        if not _spans(sums).all():
            return np.full((1, 2), np.nan)
        affine = _affine(sums)
        u = np.einsum("nji,njk->nik", nearest_rotation(affine), affine)
        a = np.cbrt(np.linalg.det(affine)) if cubic else (u[:, 0, 0] + u[:, 1, 1]) / 2
        return np.stack([a, ideal[2, 2] * u[:, 2, 2] / a], axis=1)

    total = blocks.sum(axis=0)[None]
    a, ratio = constants(total)[0].tolist()
    if not np.isfinite(a):
        return Cell(None, None, None, None, None, None, frame)
    error = jackknife(blocks, constants)
    a_sem, ratio_sem = (None, None) if error is None else error.tolist()
    affine = _affine(total)
    cell = affine[0] @ ideal
    lengths = np.linalg.norm(cell, axis=0)
    cosines = [cell[:, k - 2] @ cell[:, k - 1] / (lengths[k - 2] * lengths[k - 1]) for k in range(3)]
    return Cell(
        a=a,
        a_sem=a_sem,
        c_over_a=None if cubic else ratio,
        c_over_a_sem=None if cubic else ratio_sem,
        lengths=lengths.tolist(),
        angles=np.degrees(np.arccos(cosines)).tolist(),
        frame=nearest_rotation(affine)[0],
    )


def _spans(sums: FloatArray) -> BoolArray:
    """(n,) whether the bonds of each row lie along three directions."""
    spread = np.linalg.svd(sums[:, 1], compute_uv=False)
    return np.asarray(spread[:, -1] > FLAT * spread[:, 0])


def _affine(sums: FloatArray) -> FloatArray:
    return np.asarray(sums[:, 0] @ np.linalg.inv(sums[:, 1]))
