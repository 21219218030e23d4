"""Questions to a whole data space, for the notebooks: what there is, what formed where, and what drying speed does.

All functions take the table of :func:`supercube.load`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError
from .operations import INITIAL, ORDER, state_point_of
from .statepoint import StatePoint

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as View

#: Names of axes that read better than those of the columns.
_AXES = {
    "size_ratio": r"size ratio $\gamma$",
    "ligand_length": r"ligand length $\lambda$",
    "evaporation_rate": "Péclet number of drying Pe",
    "n_cubes": "number of cubes",
    "n_spheres": "number of spheres",
    "initial": "start",
}
#: Keys of the state point that are written in the name of a series, and how.
_SERIES = {
    "size_ratio": "γ = {:g}",
    "ligand_length": "λ = {:g}",
    "attraction": "attraction {:g} kT",
    "initial": "from {}",
    "expansion": "expansion {:g}",
    "target_packing_fraction": "to φ = {:g}",
    "roughness": "roughness {:g}",
}
#: Keys of the state point that mean "none" at zero.
_ABSENT_AT_ZERO = ("evaporation_rate", "pressure", "n_cubes", "n_spheres", "attraction", "target_packing_fraction")
#: Groups of the table of one job in their order, and the group of columns that begin so; all others are results.
_GROUPS = ("state point", "run", "result", "shares", "sublattices", "cell", "protocol")
_RUN = ("stage", "done", "engine", "device", "steps_done", "total_steps", "wall_seconds", "steps_per_second", "model")
_GROUP_OF = dict.fromkeys((*_RUN, "error", "notes"), "run") | {
    "fractions": "shares", "cell_lengths": "cell", "cell_angles_deg": "cell",
    "protocol": "protocol",
}  # fmt: skip
_ANGLES = ("alpha", "beta", "gamma")
#: Columns that only repeat others.
_UNREAD = (
    "engine_version", "frames", "volume", "geometry", "protocol.box", "potential_energy", "thermal.cube_edge",
    "thermal.rounding", "thermal.sphere_diameter",
)  # fmt: skip
#: States that coverage counts, each with its own column.
_STATES = ("classified", "failed", "open")
#: Number of size ratios and ligand lengths at which the packing theory is computed, and how much finer it is drawn.
GRID, FINER = (21, 13), 4
#: Room around the jobs on the map, and the least range of both axes that it shows: that of the experiments.
_ROOM, _RANGES = 0.08, ((0.36, 0.56), (0.06, 0.2))
#: Where the packing theory knows something.
_LIMITS = ((0.05, 1.5), (0.0, 0.3))


def varied(frame: pd.DataFrame) -> list[str]:
    """Keys of the state point of which the table has more than one value, the replicate left out."""
    return [key for key in StatePoint.model_fields if key != "replicate" and frame[key].nunique(dropna=False) > 1]


def coverage(frame: pd.DataFrame) -> pd.DataFrame:
    """How many jobs (replicates) there are at each point of the study, and how many have a result, failed or are open.

    Returns:
        pandas.DataFrame: one row a point; its index are the keys that vary, the columns ``replicates``, ``classified``,
        ``failed`` and ``open``.
    """
    keys = varied(frame) or ["ligand_length"]
    counts = frame[keys].astype({key: str for key in keys if frame[key].dtype == "category"})
    counts["replicates"] = 1
    found = states(frame)
    for state in _STATES:
        counts[state] = (found == state).astype(int)
    return counts.groupby(keys).sum()


def states(frame: pd.DataFrame) -> pd.Series[str]:
    """``classified`` (there is a result), ``failed`` or ``open`` for each job."""
    import pandas as pd

    failed = (frame["stage"] == "failed").to_numpy()
    found = np.select([failed, frame["structure"].notna().to_numpy()], ["failed", "classified"], "open")
    return pd.Series(found, index=frame.index, name="state")


def coverage_map(frame: pd.DataFrame, x: str = "size_ratio", y: str = "ligand_length") -> Figure:
    """Heat map of the share of jobs with a result, over two columns of the table.

    Raises:
        InputError: there is no such column.
    """
    from .observe import coverage_figure

    for key in (x, y):
        if key not in frame.columns:
            raise InputError(f"{key!r} is no column of the table; expected one such as {', '.join(varied(frame)[:4])}.")
    horizontal, vertical = (
        (frame[key].astype(str) if frame[key].dtype == "category" else frame[key]).tolist() for key in (x, y)
    )
    return coverage_figure(
        horizontal, vertical, states(frame).tolist(), x_label=axis_label(frame, x), y_label=axis_label(frame, y)
    )


def axis_label(frame: pd.DataFrame, key: str) -> str:
    """The name of a column with its unit."""
    unit = frame.attrs.get("units", {}).get(key, "1")
    shown = unit.replace("^2", "²").replace("^3", "³")
    return _AXES.get(key, key.replace("_", " ")) + (f"  ({shown})" if unit not in ("1", "text") else "")


def structure_counts(frame: pd.DataFrame) -> pd.DataFrame:
    """How often each structure was found, by the start of the runs."""
    done = frame[states(frame) == "classified"]
    starts = done["initial"].astype(str).where(~done["initial"].astype(str).str.startswith("file:"), "file")
    counts = done.assign(start=starts, found=done["structure"].astype(str)).groupby(["start", "found"]).size()
    return counts.unstack(fill_value=0)


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """To be looked at: what varies, the replicate, how far each job is and what was found.

    What a job does not have (drying, pressure, spheres and with them a size ratio, a result) is a dash; numbers to
    compute with are those of ``frame``.
    """
    found = ["stage", "done", "structure", "structure_fraction", "cubatic_order", "packing_fraction"]
    table = frame[[*varied(frame), "replicate", *found]].astype(object)
    absent = {key: frame[key] == 0 for key in _ABSENT_AT_ZERO} | {"size_ratio": frame["n_spheres"] == 0}
    for key in table.columns:
        table[key] = table[key].mask(frame[key].isna() | absent.get(key, False), "–")
    if "initial" in table.columns:
        table["initial"] = [_short_start(initial) for initial in table["initial"]]
    return table


def _short_start(initial: str) -> str:
    return f"file {initial[5:9]}" if initial.startswith("file:") else initial


def phase_map_picture(frame: pd.DataFrame) -> Any:
    """The phase map of all jobs with a result (:func:`.observe.plot_phase_map`), for a notebook.

    Raises:
        InputError: no job has a result.
    """
    import tempfile

    from IPython.display import Image

    from .observe import PHASE_MAP_COLUMNS, plot_phase_map

    rows = _rows(_by_start(classified(frame))[list(PHASE_MAP_COLUMNS)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.png"
        plot_phase_map(rows, path)
        return Image(data=path.read_bytes(), width=900)


def experiment_table() -> pd.DataFrame:
    """The experiments of the package: which nanocrystals gave which superlattice, sizes in nm."""
    import pandas as pd

    from .model.nanocrystals import experiments

    table = pd.DataFrame([vars(row) for row in experiments()]).set_index("system")
    return table[["cube", "cube_edge", "partner", "partner_shape", "partner_size", "structure", "source"]]


def classified(frame: pd.DataFrame) -> pd.DataFrame:
    """The jobs that have a result.

    Raises:
        InputError: there is none.
    """
    done = frame[states(frame) == "classified"]
    if done.empty:
        counts = ", ".join(f"{n} {stage}" for stage, n in frame["stage"].value_counts().items() if n)
        raise InputError(f"no job has a result ({counts}); expected at least one - run: python workflow.py run")
    return done


def theory_map(frame: pd.DataFrame, *, stoichiometry: float = 4.0, grid: tuple[int, int] = GRID) -> Figure:
    """What formed in the mixtures over gamma and lambda, on the packing theory, with the experiments.

    Args:
        frame: the table.
        stoichiometry: cubes per sphere of the theory.
        grid: numbers of size ratios and ligand lengths at which it is computed: 0.1 s each.

    Raises:
        InputError: a grid that is none, or a stoichiometry that is no composition.
    """
    from .crystals.diagram import diagram, packing_table, refine
    from .observe import packing_jobs_figure
    from .stability.phases import COMPETITORS

    if len(grid) != 2 or min(grid) < 2:
        raise InputError(
            f"grid is {grid}; expected two numbers of points, of size ratios and of ligand lengths, from 2."
        )
    done = frame[(states(frame) == "classified") & (frame["n_cubes"] > 0) & (frame["n_spheres"] > 0)]
    axes = [
        np.linspace(*_range(done[key].to_numpy(), least, limits), number).tolist()
        for key, least, limits, number in zip(("size_ratio", "ligand_length"), _RANGES, _LIMITS, grid, strict=True)
    ]
    packing = diagram(refine(packing_table(axes[0], axes[1], COMPETITORS), FINER), stoichiometry)
    inside = done["size_ratio"].between(axes[0][0], axes[0][-1]) & done["ligand_length"].between(
        axes[1][0], axes[1][-1]
    )
    return packing_jobs_figure(_rows(_by_start(done[inside])), packing)


def _by_start(frame: pd.DataFrame) -> pd.DataFrame:
    """Sorted so that jobs of one place stand around it in the same order everywhere."""
    starts = frame["initial"].astype(str)
    return frame.assign(start=starts).sort_values(["start", "evaporation_rate", "replicate"], kind="stable")


def _range(values: Any, least: tuple[float, float], limits: tuple[float, float]) -> tuple[float, float]:
    low, high = min([least[0], *values]), max([least[1], *values])
    room = _ROOM * (high - low)
    return max(low - room, limits[0]), min(high + room, limits[1])


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.reset_index().to_dict("records")
    return rows


def replicate_means(frame: pd.DataFrame, by: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """Formula mean and standard error s/sqrt(n) of jobs that agree in ``by``, s with n - 1.

    Args:
        frame: the table.
        by: columns whose values name a group.
        values: numbers to average; those that are missing do not count.

    Returns:
        pandas.DataFrame: index ``by``, the number of jobs ``n``, and for each value ``value`` and ``value_sem``; the
        error of a single job is NaN.
    """
    groups = classified(frame).groupby(list(by), observed=True, sort=True)
    parts: dict[str, Any] = {"n": groups.size()}
    for value in values:
        parts[value] = groups[value].mean()
        parts[f"{value}_sem"] = groups[value].sem(ddof=1)
    import pandas as pd

    table = pd.DataFrame(parts)
    units = frame.attrs.get("units", {})
    table.attrs["units"] = {name: units.get(name.removesuffix("_sem"), "1") for name in table.columns}
    return table


def drying(frame: pd.DataFrame) -> pd.DataFrame:
    """Order against the Péclet number: means over replicates and their standard errors.

    A series is what differs in nothing but Pe and replicate. Its crystal is the ordered label with the largest share of
    particles on average over the series; ``crystal_share`` is that label's share, whichever label wins in a job.

    Returns:
        pandas.DataFrame: index ``series`` and ``evaporation_rate``; columns ``n``, ``cubatic_order``, ``crystal``,
        ``crystal_share`` and their ``_sem``.

    Raises:
        InputError: no job that dried has a result.
    """
    import pandas as pd

    runs = dried(frame)
    table = replicate_means(runs, ["series", "evaporation_rate"], ["cubatic_order", "crystal_share"])
    crystals = dict(zip(runs["series"], runs["crystal"], strict=True))
    table["crystal"] = pd.Series([crystals[name] for name, _ in table.index], index=table.index, dtype="object")
    table.attrs["units"] |= {"n": "1", "crystal": "text"}
    return table


def dried(frame: pd.DataFrame) -> pd.DataFrame:
    """The jobs that dried and have a result, with the columns ``series``, ``crystal`` and ``crystal_share``.

    Raises:
        InputError: there is none.
    """
    import pandas as pd

    runs = frame[(states(frame) == "classified") & (frame["evaporation_rate"] > 0)].copy()
    if not (frame["evaporation_rate"] > 0).any():
        raise InputError(
            "no job of this data space dries; expected some with evaporation_rate above 0 - add a space of them: "
            "python init.py SPACE"
        )
    if runs.empty:
        raise InputError(
            "no job that dried (evaporation_rate above 0) has a result; expected at least one - run: "
            "python workflow.py run"
        )
    keys = [key for key in varied(runs) if key != "evaporation_rate"]
    runs["series"] = [_series_name(row, keys) for row in _rows(runs)]
    crystals = _leading_crystals(runs)
    labels = pd.Series([crystals[name] for name in runs["series"]], index=runs.index, dtype="object")
    shares = pd.Series(0.0, index=runs.index)
    for label in set(labels.dropna()):
        own = labels == label
        shares[own] = runs.loc[own, f"fractions.{label}"].fillna(0.0)
    return runs.assign(crystal=labels, crystal_share=shares)


def _leading_crystals(runs: pd.DataFrame) -> dict[str, str | None]:
    """The ordered label with the largest mean share in each series, None where nothing ordered."""
    ordered = [name for name in runs.columns if name.startswith("fractions.") and name != "fractions.disordered"]
    means = runs.groupby("series")[ordered].mean().fillna(0.0)
    return {
        name: str(row.idxmax()).removeprefix("fractions.") if row.max() > 0 else None for name, row in means.iterrows()
    }


def _series_name(row: dict[str, Any], keys: Sequence[str]) -> str:
    composition = [f"{row['n_cubes']} cubes"] if row["n_cubes"] else []
    composition += [f"{row['n_spheres']} spheres"] if row["n_spheres"] else []
    parts = [" + ".join(composition)]
    for key, words in _SERIES.items():
        if key == "size_ratio" and not row["n_spheres"]:
            continue
        if key in keys or key in ("size_ratio", "ligand_length"):
            parts.append(words.format(row[key] if key != "initial" else str(row[key])[:12]))
    return ", ".join(parts)


def drying_map(frame: pd.DataFrame) -> Figure:
    """Cubatic order and the crystal's share of particles against Pe (:func:`.observe.drying_figure`)."""
    from .observe import drying_figure

    return drying_figure(_rows(drying(frame)), _rows(dried(frame)))


def pick_job(frame: pd.DataFrame, start: str = "") -> Any:
    """The signac job whose id begins with ``start``; without it, the job with the most ordered particles.

    Raises:
        InputError: no job, or several, begin so; or none has a result.
    """
    from .dataspace import open_project

    if start:
        found = [job for job in frame.index if job.startswith(start)]
        if len(found) != 1:
            some = ", ".join(job[:8] for job in frame.index[:5])
            raise InputError(
                f"{len(found)} jobs have an id that begins with {start!r}; expected one id of the table: {some} ..."
            )
        return open_project(frame.attrs["project"]).open_job(id=found[0])
    done = classified(frame)
    ordered = done["structure_fraction"].where(done["structure"].astype(str) != "disordered", -1.0)
    # Of equally ordered ones the largest system.
    best = done.assign(ordered=ordered.fillna(-1.0), bodies=done["n_cubes"] + done["n_spheres"])
    chosen = best.sort_values(["ordered", "bodies"], kind="stable").index[-1]
    return open_project(frame.attrs["project"]).open_job(id=chosen)


def job_table(frame: pd.DataFrame, job: Any) -> pd.DataFrame:
    """What the table knows of one job and is worth reading, in groups; all of it is ``frame.loc[job.id]``.

    Left out are what is missing, shares and settings that are zero, cells that the lattice constant says already, and
    how the beads of a cube are placed. Standard errors stand behind their values.

    Returns:
        pandas.DataFrame: index ``group`` and ``name``; columns ``value``, ``unit``, ``nm`` if the table knows sizes in
        nm, and ``description``.
    """
    import pandas as pd

    row = frame.loc[job.id].dropna().to_dict()
    lines = [_line(name, row, frame) for name in row if _is_worth_reading(name, row)] + _site_lines(row)
    lines.sort(key=lambda line: _GROUPS.index(line["group"]))
    columns = ["value", "unit", *(["nm"] if "cube_edge_nm" in frame.attrs else []), "description"]
    return pd.DataFrame(lines).set_index(["group", "name"])[columns].fillna("")


def _line(name: str, row: dict[str, Any], frame: pd.DataFrame) -> dict[str, str]:
    group = "state point" if name in StatePoint.model_fields else _GROUP_OF.get(name.split(".", 1)[0], "result")
    values = {"group": group, "name": name, "value": _shown(row[name], row.get(_error_of(name)))}
    if f"{name}_nm" in row:
        values["nm"] = _shown(row[f"{name}_nm"], row.get(f"{_error_of(name)}_nm"))
    return values | {"unit": frame.attrs["units"][name], "description": frame.attrs["descriptions"][name]}


def _site_lines(row: dict[str, Any]) -> list[dict[str, str]]:
    """A line for each site of the structure."""
    sites: dict[str, list[str]] = {}
    for name, value in row.items():
        if name.startswith("sublattices."):
            _, site, key = name.split(".", 2)
            sites.setdefault(site, []).append(f"{key} {_shown(value)}")
    words = (
        "particles, rms displacement / distance of neighbours, spread of angles (deg), 1 if all cubes are turned alike"
    )
    return [
        {"group": "sublattices", "name": site, "value": ", ".join(parts), "unit": "", "description": words}
        for site, parts in sites.items()
    ]


def _error_of(name: str) -> str:
    return name.removesuffix("_deg") + "_sem"


def _is_worth_reading(name: str, row: dict[str, Any]) -> bool:
    first = name.split(".", 1)[0]
    if name.endswith(("_nm", "_sem")) or name in _UNREAD or first == "sublattices":
        return False
    if first == "model":
        return name == "model.beads"
    if name == "size_ratio":
        return bool(row["n_spheres"])
    if name in ("steps_done", "done"):
        return bool(row["stage"] != "finished")
    if first in ("cell_lengths", "cell_angles_deg"):
        return "c_over_a" in row or any(abs(row.get(f"cell_angles_deg.{a}", 90.0) - 90.0) > 0.5 for a in _ANGLES)
    none = not isinstance(row[name], str) and row[name] == 0
    return not (none and (first in ("fractions", "protocol", "molten") or name in StatePoint.model_fields))


def _shown(value: Any, error: Any = None) -> str:
    from .dashboard.readable import with_error

    if isinstance(value, float) and isinstance(error, float) and error > 0:
        return with_error(value, error)
    return f"{value:.4g}" if isinstance(value, float) else _short_start(str(value))


def title(job: Any) -> str:
    """A job in words, and what was found."""
    from .operations import describe

    found = job.doc.get("structure")
    share = job.doc.get("structure_fraction")
    return describe(state_point_of(job)) + (f" → {found} ({100 * share:.0f} %)" if found and share is not None else "")


def picture(job: Any, name: str) -> Any:
    """A picture of the job's folder, for a notebook; or, where it is not drawn yet, a sentence how to get it."""
    from IPython.display import Image, Markdown

    path = Path(job.fn(name))
    if not path.is_file():
        return Markdown(f"Job {job.id} has no {name} yet; draw it with `python workflow.py run -j {job.id}`.")
    return Image(filename=str(path), width=900)


def series(job: Any) -> pd.DataFrame:
    """Order over a run, one row a frame: step, time in e^2/D0, packing fraction, cubatic order, shares of the labels.

    Raises:
        InputError: the job is not classified yet.
    """
    import pandas as pd

    path = Path(job.fn(ORDER))
    if not path.is_file():
        raise InputError(f"job {job.id} is not classified yet; run it to its end: python workflow.py run -j {job.id}")
    with np.load(path) as stored:
        table = pd.DataFrame({name: stored[name] for name in stored.files if name != "labels"})
    first = ["step", "time", "packing_fraction", "cubatic_order"]
    rest = [name for name in table.columns if name not in first and (table[name] > 0).any()]
    return table[[*first, *rest]]


def view_job(job: Any, frame: int = -1) -> View:
    """The configuration of a job to be turned with the mouse; the last frame in the colours of its labels.

    Args:
        job: a job with a trajectory.
        frame: index, negative from the end; a job that is only built shows its initial configuration.

    Raises:
        InputError: there is no such frame, or nothing is built yet.
    """
    from .configuration import read_gsd
    from .engines.segments import read_trajectory, segment_paths
    from .observe import view3d

    if not segment_paths(Path(job.path), "trajectory"):
        if not Path(job.fn(INITIAL)).is_file():
            raise InputError(f"job {job.id} is not built yet; run: python workflow.py run -o build -j {job.id}")
        return view3d(read_gsd(job.fn(INITIAL)), title="initial configuration")
    frames = list(read_trajectory(Path(job.path)))
    if not -len(frames) <= frame < len(frames):
        raise InputError(f"job {job.id} has {len(frames)} frames, so there is no frame {frame}.")
    labels = None
    if frames[frame] is frames[-1] and Path(job.fn(ORDER)).is_file():
        with np.load(job.fn(ORDER)) as stored:
            labels = stored["labels"].tolist()
    return view3d(frames[frame], labels, title=title(job))


def peclet(film_mm: float, hours: float, cube_edge_nm: float) -> float:
    """Formula Pe = v H0/D0 with v = H0/t: a film of a solution of cubes in toluene that dries away in a time.

    Args:
        film_mm: thickness H0, mm.
        hours: drying time t, h.
        cube_edge_nm: effective edge of a cube, which gives D0.

    Raises:
        InputError: a value that is not positive.
    """
    from .model.units import Units

    for name, value in (("film_mm", film_mm), ("hours", hours)):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} is {value:g}; expected a finite number above 0.")
    return (film_mm * 1e-3) ** 2 / (hours * 3600.0 * Units(cube_edge_nm).diffusion_m2_per_s)


def peclet_table(frame: pd.DataFrame, film_mm: float, hours: Sequence[float]) -> pd.DataFrame:
    """:func:`peclet` of drying times, with the cubes whose size the table was loaded with (``cube_edge_nm``).

    Raises:
        InputError: the table knows no size in nm, or as :func:`peclet`.
    """
    import pandas as pd

    edge = frame.attrs.get("cube_edge_nm")
    if edge is None:
        raise InputError("the table has no size of the cubes in nm; expected load(..., preset=...) or cube_edge_nm=...")
    times = pd.Index(hours, name="hours")
    return pd.DataFrame({"Pe": [peclet(film_mm, time, edge) for time in hours]}, index=times)
