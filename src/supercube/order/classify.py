"""The answer about a configuration: which crystal it is, how much of it, and how good.

:mod:`.recognise` labels the particles; here the labels become one answer for the whole, and numbers: its unit cell
(:mod:`.cells`), grains (:mod:`.grains`), defects (:mod:`.defects`), the cubes' orientations (:mod:`.alignment`) and the
particles' motion (:mod:`.rattling`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration
from ..errors import InputError
from .agreement import group_of
from .alignment import Alignment, alignment_of
from .cells import Cell, cells_of
from .checks import check
from .cubatic import REPLICATES, cubatic_order
from .defects import defects_of, displacement_rms
from .grains import Grains, canonical, grains_of, misorientation, multiplicity, quaternion
from .rattling import by_species, rattling_of
from .recognise import Recognition, recognise
from .references import CUBE, LABELS, templates

#: Least share of all particles that makes a label the structure of the whole.
MAJORITY = 0.5
#: Grains that a document lists.
LISTED = 20
#: Fewer frames than this say little about motion.
FRAMES = 10


@dataclass(frozen=True, eq=False)
class Order:
    """What :func:`classify` found; None where there is nothing to measure, never NaN. ``_sem``: standard error.

    Lengths are in the unit of the positions. Cell, defects, orientations and sublattices are those of ``structure``.

    Attributes:
        labels: (N,) str, one of ``LABELS`` for each particle.
        structure: the label that at least half of ALL particles carry, else ``disordered``. Of two labels with exactly
            half each the one whose fits are better on average.
        structure_fraction: share of all particles under that label.
        fractions: label -> share of all particles; all labels are there and the sum is 1.
        n_cubes: number of cubes.
        n_spheres: number of spheres.
        cubatic_order: of all cubes (:func:`cubatic_order`), None without cubes.
        lattice_constant: conventional a from the distances of neighbours (:mod:`.cells`; of a distorted cubic crystal
            the pseudo-cubic one), mean over the grains weighted by their particles.
        lattice_constant_sem: its standard error.
        c_over_a: None if the cell is cubic.
        c_over_a_sem: its standard error.
        cell_lengths: edges of the conventional cell of the largest grain, each on its own, in the order of its axes;
            those of a cubic crystal differ where it is strained.
        cell_angles_deg: its angles: of the second and third edge, the third and first, the first and second.
        n_grains: grains of all structures, of at least ``agreement.LEAST`` particles.
        grains: each with ``structure``, ``particles``, ``fraction`` of all particles, ``orientation`` (unit quaternion,
            scalar first, from the axes of space to the crystal's; of the equivalent ones the smallest turn),
            ``lattice_constant``, ``lattice_constant_sem`` and ``misorientation_deg`` to the largest grain (None if the
            crystal is another); largest first, of equal ones the one whose fits are better.
        displacement_rms: rms displacement of the structure's particles from their sites, per component, in lattice
            constants (:func:`.defects.displacement_rms`).
        vacancy_fraction: share of the crystal's sites that nobody occupies (:mod:`.defects`); too small if a good part
            of one sublattice is missing.
        vacancy_fraction_sem: its standard error from counting.
        substituted_fraction: share that the other species occupies.
        orientation_fwhm_deg: full width at half maximum of the cubes' angles about each axis, away from the mean of
            their own sublattice (:meth:`.alignment.Alignment.spread`); None if they point anywhere.
        orientation_fwhm_sem: its standard error.
        orientation_coherence: 1 if all cubes are turned alike to the lattice around them, ~0 if at random.
        o_site_angle_deg: mean angle by which O cubes of ABO3 are turned about their B-O axis, folded to 0..45, with
            the bias of folding (:meth:`.alignment.Alignment.site_angle`); None for other structures.
        o_site_angle_sem: its standard error.
        o_site_angle_spread_deg: standard deviation.
        o_site_angle_histogram: shares in nine bins of 5 degrees.
        mobile_fraction: share of particles that left their places over the frames; None for a single frame.
        lindemann: species -> rms displacement over neighbour distance (:mod:`.rattling`), of the particles that belong
            to the structure or are enclosed by it, of all if it is disordered; None for a single frame or without any.
        molten: species -> whether the same particles left their sites over the frames (:func:`.rattling.molten`).
        sublattices: one for each site of the structure, with ``site``, ``multiplicity`` (equivalent sites in the
            conventional cell, which tells the two B of MgZn2 apart), ``species``, ``particles``, ``lindemann``,
            ``orientation_fwhm_deg`` and ``coherence``.
        frames: how many frames were averaged.
        notes: sentences on what the numbers do not say.
    """

    labels: NDArray[np.str_]
    structure: str
    structure_fraction: float
    fractions: dict[str, float]
    n_cubes: int
    n_spheres: int
    cubatic_order: float | None
    lattice_constant: float | None
    lattice_constant_sem: float | None
    c_over_a: float | None
    c_over_a_sem: float | None
    cell_lengths: list[float] | None
    cell_angles_deg: list[float] | None
    n_grains: int
    grains: list[dict[str, Any]]
    displacement_rms: float | None
    vacancy_fraction: float | None
    vacancy_fraction_sem: float | None
    substituted_fraction: float | None
    orientation_fwhm_deg: float | None
    orientation_fwhm_sem: float | None
    orientation_coherence: float | None
    o_site_angle_deg: float | None
    o_site_angle_sem: float | None
    o_site_angle_spread_deg: float | None
    o_site_angle_histogram: list[float] | None
    mobile_fraction: float | None
    lindemann: dict[str, float | None]
    molten: dict[str, bool | None]
    sublattices: list[dict[str, Any]]
    frames: int
    notes: list[str]

    def document(self) -> dict[str, Any]:
        """Everything but ``labels``, as plain Python types for JSON, with the largest grains only."""
        plain = {name: value for name, value in vars(self).items() if name != "labels"}
        return plain | {"grains": self.grains[:LISTED]}


def classify(frames: Configuration | Sequence[Configuration], replicates: int = REPLICATES) -> Order:
    """Crystal structure of every particle and of the whole, from positions and orientations alone.

    With several frames the mean positions are classified, the orientations are those of the last frame, and particles
    that stray too far from their mean positions, or hop, are disordered. Ten or more frames that span at least a few
    vibrations tell a vibrating from a mobile particle. If the last frame is not ``oriented``, nothing is known about
    how its cubes are turned: positions alone decide then, and what depends on orientations is None.

    Args:
        frames: one configuration, or several of one run in order of time.
        replicates: annealing runs for the cubatic order.

    Raises:
        InputError: no frame, frames that hold different particles, or one of the reasons of :func:`.checks.check`.
    """
    sequence = [frames] if isinstance(frames, Configuration) else list(frames)
    if not sequence:
        raise InputError("No frame to classify; expected at least one configuration.")
    for frame in sequence:
        check(frame)
    found = recognise(sequence)
    labels, is_cube = found.labels, found.is_cube
    fractions = found.fractions()
    structure = _structure(found, fractions)
    cubes = found.motion.mean.orientations[is_cube]
    return Order(
        labels=labels,
        structure=structure,
        structure_fraction=fractions[structure],
        fractions=fractions,
        n_cubes=int(is_cube.sum()),
        n_spheres=int((~is_cube).sum()),
        cubatic_order=cubatic_order(cubes, replicates) if found.cubes is not None else None,
        frames=found.motion.frames,
        **_quality(found, structure),
        **_motion(found, structure),
        notes=_notes(found),
    )


def _structure(found: Recognition, fractions: dict[str, float]) -> str:
    """The label of the majority; of two halves the one with the larger mean quality of fit."""
    candidates = [label for label in LABELS[:-1] if fractions[label] >= MAJORITY]
    if len(candidates) < 2:
        return candidates[0] if candidates else "disordered"
    return max(candidates, key=lambda label: float(found.regions.quality[found.labels == label].mean()))


def _quality(found: Recognition, structure: str) -> dict[str, Any]:
    """Cell, grains, defects, orientations and sublattices."""
    member = (found.labels == structure) & (structure != "disordered")
    grains = grains_of(found)
    cells = cells_of(found, grains)
    frames = np.array([cell.frame for cell in cells]).reshape(-1, 3, 3)
    alignment = alignment_of(found, grains, frames, member)
    spread, angle = alignment.spread(), alignment.site_angle()
    defects = defects_of(found, member)
    return {
        **_cell(grains, cells, structure),
        "n_grains": len(cells),
        "grains": _grains(grains, cells, len(member)),
        "displacement_rms": displacement_rms(found, member),
        "vacancy_fraction": defects.vacancy_fraction,
        "vacancy_fraction_sem": defects.vacancy_fraction_sem,
        "substituted_fraction": defects.substituted_fraction,
        "orientation_fwhm_deg": spread.fwhm_deg,
        "orientation_fwhm_sem": spread.fwhm_sem,
        "orientation_coherence": spread.coherence,
        "o_site_angle_deg": angle.mean_deg,
        "o_site_angle_sem": angle.sem,
        "o_site_angle_spread_deg": angle.spread_deg,
        "o_site_angle_histogram": angle.histogram,
        "sublattices": _sublattices(found, structure, alignment),
    }


def _cell(grains: Grains, cells: Sequence[Cell], structure: str) -> dict[str, Any]:
    """Lattice constants of a structure: over its grains, weighted by their particles."""
    mine = [k for k, label in enumerate(grains.labels) if label == structure]
    weights = grains.sizes[mine]
    a, a_sem = _mean([cells[k].a for k in mine], [cells[k].a_sem for k in mine], weights)
    ratio, ratio_sem = _mean([cells[k].c_over_a for k in mine], [cells[k].c_over_a_sem for k in mine], weights)
    return {
        "lattice_constant": a,
        "lattice_constant_sem": a_sem,
        "c_over_a": ratio,
        "c_over_a_sem": ratio_sem,
        "cell_lengths": cells[mine[0]].lengths if mine else None,
        "cell_angles_deg": cells[mine[0]].angles if mine else None,
    }


def _mean(
    values: Sequence[float | None], errors: Sequence[float | None], weights: NDArray[np.int64]
) -> tuple[float | None, float | None]:
    """Weighted mean and its error, of grains that have both; without errors if none has."""
    whole = [(v, e, w) for v, e, w in zip(values, errors, weights, strict=True) if v is not None and e is not None]
    if whole:
        v, e, w = np.array(whole).T
        return float(v @ w / w.sum()), float(np.sqrt((e * w) @ (e * w)) / w.sum())
    known = [(v, w) for v, w in zip(values, weights, strict=True) if v is not None]
    if known:
        v, w = np.array(known).T
        return float(v @ w / w.sum()), None
    return None, None


def _grains(grains: Grains, cells: Sequence[Cell], n: int) -> list[dict[str, Any]]:
    rows = []
    for label, size, cell in zip(grains.labels, grains.sizes.tolist(), cells, strict=True):
        group = group_of(label)
        frame = canonical(cell.frame, group)
        angle = misorientation(cells[0].frame, cell.frame, group) if label == grains.labels[0] else None
        rows.append(
            {
                "structure": label,
                "particles": size,
                "fraction": size / n,
                "orientation": quaternion(frame).tolist(),
                "lattice_constant": cell.a,
                "lattice_constant_sem": cell.a_sem,
                "misorientation_deg": angle,
            }
        )
    return rows


def _sublattices(found: Recognition, structure: str, alignment: Alignment) -> list[dict[str, Any]]:
    """One row for each site of the structure."""
    rattling = rattling_of(found)
    rows = []
    for site in templates():
        mine = found.regions.kind == site.kind
        if site.label == structure:
            spread = alignment.spread(site.kind)
            rows.append(
                {
                    "site": site.site,
                    "multiplicity": multiplicity(site),
                    "species": "cube" if site.species == CUBE else "sphere",
                    "particles": int(mine.sum()),
                    "lindemann": rattling.ratio(mine) if rattling else None,
                    "orientation_fwhm_deg": spread.fwhm_deg,
                    "coherence": spread.coherence,
                }
            )
    return rows


def _motion(found: Recognition, structure: str) -> dict[str, Any]:
    """What needs several frames."""
    lindemann, molten = by_species(found, structure)
    mobile = float(found.mobile.mean()) if found.motion.frames > 1 else None
    return {"mobile_fraction": mobile, "lindemann": lindemann, "molten": molten}


def _notes(found: Recognition) -> list[str]:
    notes = []
    if found.cubes is None and found.is_cube.any():
        notes.append("Orientations are unknown: SC is told by positions alone.")
    if 1 < found.motion.frames < FRAMES:
        notes.append(f"{found.motion.frames} frames tell little about motion; ten or more do.")
    return notes
