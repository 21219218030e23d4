"""From finished pressure runs to the stability map: entropies, table and figure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..crystals.diagram import Diagram, diagram, packing_table, refine
from ..crystals.library import STRUCTURES
from ..errors import InputError
from ..model.nanocrystals import experiments
from .consistency import Mismatch, checked
from .hold import entropy_of
from .phases import COMPETITORS, PurePhase, StabilityPoint, merged, pure_phase, stability_point
from .table import save_csv

TABLE, PICTURE = "stability_map.csv", "stability_map.png"
#: Name, size ratio, ligand length, attraction.
Crystal = tuple[str, float, float, float]
#: What of a job's ``model`` says which cube it has.
_BEADS = ("beads", "bead_radii", "bead_spacing", "roughness")
#: What a job's document has to hold.
_NEEDED = (
    "structure", "structure_fraction", "n_cubes", "n_spheres", "volume", "volume_sem", "potential_energy",
    "potential_energy_sem", "enthalpy", "enthalpy_sem", "total_steps", "protocol", "model",
)  # fmt: skip
#: The theory's map behind the points: structures, numbers of gammas and lambdas, and how much finer it is drawn.
_THEORY, _GRID, _FINER = COMPETITORS, (13, 9), 6


@dataclass(frozen=True)
class Survey:
    """What finished pressure runs say.

    Attributes:
        points: of the map, sorted.
        mismatches: G against V at every crystal of two or more pressures, whether or not it stands at a point.
    """

    points: list[StabilityPoint]
    mismatches: list[Mismatch]


def stability_map(jobs: Iterable[Any], project_path: Path, stoichiometry: float = 4.0) -> Survey:
    """Write ``stability_map.png`` and, last, ``stability_map.csv`` from all finished pressure runs of pure crystals.

    Without any point the table has no line, and there is no picture.

    Args:
        jobs: signac jobs; see :func:`survey_of`.
        project_path: folder to write to.
        stoichiometry: cubes per sphere.

    Raises:
        InputError: as :func:`survey_of`.
    """
    found = survey_of(jobs, stoichiometry)
    if found.points:
        from ..observe._stability_map import plot_stability_map

        plot_stability_map(found.points, project_path / PICTURE, packing=theory_behind(found.points, stoichiometry))
    else:
        (project_path / PICTURE).unlink(missing_ok=True)
    save_csv(found.points, project_path / TABLE)
    return found


def survey_of(jobs: Iterable[Any], stoichiometry: float = 4.0) -> Survey:
    """Points of the map, and how consistent their free energies are; writes nothing but each job's ``entropy.json``.

    A point has one size ratio, ligand length, pressure and attraction. Crystals of cubes alone serve all size ratios;
    those of spheres alone have to be run at each point, since the unit of length is the cube.

    Args:
        jobs: signac jobs; those without pressure, from a fluid or file, of unequal bodies, or without results are
            passed over.
        stoichiometry: cubes per sphere.

    Raises:
        InputError: cubes of one ligand length that are made of different beads, whose energies cannot be compared.
    """
    runs = [job for job in jobs if _is_finished(job)]
    _check_beads(runs)
    return compared(
        [
            (dict(job.cached_statepoint), pure_phase(job.cached_statepoint["initial"], job.doc(), entropy_of(job)))
            for job in runs
        ],
        stoichiometry,
    )


def _is_finished(job: Any) -> bool:
    values = job.cached_statepoint
    if not (values["pressure"] > 0 and values["initial"] in STRUCTURES) or values.get("size_dispersity"):
        return False
    document = job.doc()
    return all(document.get(key) is not None for key in _NEEDED)


def _check_beads(jobs: Iterable[Any]) -> None:
    """Refuse different cubes at one ligand length; a roughness that was asked for may give the same cube as another."""
    first: dict[float, tuple[str, tuple[Any, ...]]] = {}
    for job in jobs:
        values, model = job.cached_statepoint, job.doc()["model"]
        if not values["n_cubes"]:
            continue
        beads = tuple(str(model.get(key)) for key in _BEADS)
        other, known = first.setdefault(float(values["ligand_length"]), (job.id, beads))
        if known != beads:
            lam = values["ligand_length"]
            one, two = (f"{cube[0]} beads (roughness {cube[-1]})" for cube in (known, beads))
            raise InputError(
                f"cubes of ligand length {lam:g} have {one} in job {other} and {two} in job {job.id}"
                "; expected the same beads, for energies of different cubes cannot be compared - run one of them again "
                "with the roughness of the other."
            )


def compared(runs: Sequence[tuple[dict[str, Any], PurePhase]], stoichiometry: float = 4.0) -> Survey:
    """Points and mismatches from pairs of state point and pure phase; repeats of one run are merged."""
    repeats: dict[tuple[Crystal, float], list[PurePhase]] = defaultdict(list)
    for values, phase in runs:
        # Cubes alone know no size ratio: 0 stands for any.
        gamma = float(values["size_ratio"]) if values["n_spheres"] else 0.0
        crystal = (phase.name, gamma, float(values["ligand_length"]), float(values["attraction"]))
        repeats[crystal, float(values["pressure"])].append(phase)
    crystals: dict[Crystal, dict[float, PurePhase]] = defaultdict(dict)
    for (crystal, pressure), phases in sorted(repeats.items()):
        crystals[crystal][pressure] = merged(phases)
    mismatches = []
    for crystal, series in crystals.items():
        crystals[crystal], records = checked(series, *crystal[1:])
        mismatches += records
    return Survey(_points(crystals, stoichiometry), mismatches)


def _points(crystals: dict[Crystal, dict[float, PurePhase]], stoichiometry: float) -> list[StabilityPoint]:
    conditions: dict[tuple[float, ...], list[PurePhase]] = defaultdict(list)
    for (_, gamma, lam, attraction), series in crystals.items():
        for pressure, phase in series.items():
            conditions[gamma, lam, pressure, attraction].append(phase)
    points = []
    for (gamma, lam, pressure, attraction), phases in sorted(conditions.items(), key=lambda item: item[0]):
        if any(phase.cubes and phase.spheres for phase in phases):
            cubes = conditions.get((0.0, lam, pressure, attraction), [])
            points.append(stability_point(gamma, lam, pressure, [*phases, *cubes], stoichiometry, attraction))
    return points


def theory_behind(points: Sequence[StabilityPoint], stoichiometry: float) -> Diagram:
    """The infinite-pressure map of hard shapes over the range of the figure."""
    from ..observe._packing_map import experiment_bars
    from ..observe._stability_map import axis_limits

    limits = axis_limits(points, experiment_bars(experiments()))
    least = (0.01, 0.0), (math.inf, 0.49)  # the theory knows nothing beyond
    gammas, lams = (
        np.linspace(max(low, lowest), min(high, highest), number).tolist()
        for (low, high), lowest, highest, number in zip(limits, *least, _GRID, strict=True)
    )
    return diagram(refine(packing_table(gammas, lams, _THEORY), _FINER), stoichiometry)
