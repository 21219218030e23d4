"""From finished pressure runs to the stability map: entropies, table and figure."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..configuration import read_gsd
from ..crystals.diagram import Diagram, diagram, packing_table, refine
from ..crystals.library import STRUCTURES
from ..engines.segments import read_trajectory
from ..errors import FileFormatError, InputError
from ..model.nanocrystals import experiments
from .entropy import Entropy, Refusal, quasi_harmonic_entropy
from .phases import PurePhase, StabilityPoint, merged, pure_phase, stability_point
from .table import save_csv

ENTROPY = "entropy.json"
TABLE, PICTURE = "stability_map.csv", "stability_map.png"
#: Whatever changes the entropy of given frames must raise it, so that kept results are computed again.
VERSION = 1
#: What a job's document has to hold.
_NEEDED = (
    "structure", "n_cubes", "n_spheres", "volume", "volume_sem", "potential_energy", "potential_energy_sem",
    "total_steps", "protocol", "model",
)  # fmt: skip
#: The theory's map behind the points: structures, numbers of gammas and lambdas, and how much finer it is drawn.
_THEORY, _GRID, _FINER = ("SC", "NaCl", "ABO3", "fcc"), (13, 9), 6


def stability_map(jobs: Iterable[Any], project_path: Path, stoichiometry: float = 4.0) -> list[StabilityPoint]:
    """Write ``stability_map.csv`` and ``stability_map.png`` from all finished pressure runs of pure crystals.

    A point has one size ratio, ligand length, pressure and attraction. Crystals of cubes alone serve all size ratios;
    those of spheres alone have to be run at each point, since the unit of length is the cube.

    Args:
        jobs: signac jobs; those without pressure, from a fluid or file, or without results are passed over.
        project_path: folder to write to.
        stoichiometry: cubes per sphere.

    Returns:
        the points, sorted; nothing is written if there are none.

    Raises:
        InputError: jobs of different ``roughness``, whose energies cannot be compared.
    """
    runs = [job for job in jobs if _is_finished(job)]
    roughness = sorted({float(job.cached_statepoint["roughness"]) for job in runs if job.cached_statepoint["n_cubes"]})
    if len(roughness) > 1:
        raise InputError(
            f"the pressure runs have a roughness of {', '.join(f'{value:g}' for value in roughness)}; expected one, "
            "for the energies of different cubes cannot be compared."
        )
    points = stability_points([(dict(job.cached_statepoint), _phase_of(job)) for job in runs], stoichiometry)
    if points:
        from ..observe._stability_map import plot_stability_map

        save_csv(points, project_path / TABLE)
        plot_stability_map(points, project_path / PICTURE, packing=theory_behind(points, stoichiometry))
    return points


def _is_finished(job: Any) -> bool:
    values = job.cached_statepoint
    if not (values["pressure"] > 0 and values["initial"] in STRUCTURES):
        return False
    document = job.doc()
    return all(document.get(key) is not None for key in _NEEDED)


def stability_points(
    runs: Sequence[tuple[dict[str, Any], PurePhase]], stoichiometry: float = 4.0
) -> list[StabilityPoint]:
    """Points from pairs of state point and pure phase; repeats of one run are merged."""
    conditions: dict[tuple[float, ...], dict[str, list[PurePhase]]] = defaultdict(lambda: defaultdict(list))
    for values, phase in runs:
        # Cubes alone know no size ratio: 0 stands for any.
        gamma = float(values["size_ratio"]) if values["n_spheres"] else 0.0
        key = (gamma, *(float(values[name]) for name in ("ligand_length", "pressure", "attraction")))
        conditions[key][phase.name].append(phase)
    points = []
    for gamma, *others in sorted(conditions):
        here = conditions[gamma, *others]
        if any(phase.cubes and phase.spheres for repeats in here.values() for phase in repeats):
            phases = [merged(repeats) for repeats in (here | conditions.get((0.0, *others), {})).values()]
            lam, pressure, attraction = others
            points.append(stability_point(gamma, lam, pressure, phases, stoichiometry, attraction))
    return points


def _phase_of(job: Any) -> PurePhase:
    return pure_phase(job.cached_statepoint["initial"], job.doc(), entropy_of(job))


def entropy_of(job: Any) -> Entropy | Refusal:
    """The entropy of a job's hold, kept in its folder as ``entropy.json`` until the job runs on."""
    path, mark = Path(job.fn(ENTROPY)), {"version": VERSION, "total_steps": int(job.doc["total_steps"])}
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if {key: kept.get(key) for key in mark} == mark:
            return Refusal(**kept["refusal"]) if "refusal" in kept else Entropy(**kept["entropy"])
    try:
        hold = float(job.doc["protocol"]["hold_time"]) / float(job.doc["model"]["time_step"])
        frames = [frame for frame in read_trajectory(Path(job.path)) if frame.step >= mark["total_steps"] - hold]
        found = quasi_harmonic_entropy(frames, read_gsd(job.fn("initial.gsd")))
    except FileFormatError as error:  # files removed to save space: the enthalpy is still good
        return Refusal(str(error), left_sites=False)
    name = "refusal" if isinstance(found, Refusal) else "entropy"
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(mark | {name: dataclasses.asdict(found)}, indent=1), encoding="utf-8")
    temporary.replace(path)
    return found


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
