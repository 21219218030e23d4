"""``supercube.load``: a data space as a pandas table, one row a job, with units and words for every column."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ._columns import CATEGORY, COUNT, FLAG, FLOAT, TEXT, WHOLE, Column, by_site, fixed_columns, found_columns
from .dataspace import DataSpace, JobRecord, read_data_space
from .errors import InputError
from .model.units import Units
from .observe.palette import STYLES
from .progress import STAGES, job_progress
from .statepoint import StatePoint

if TYPE_CHECKING:
    import pandas as pd

    from .model.nanocrystals import EffectiveSizes

#: What jobs of before a key was added mean by its absence.
_DEFAULTS = {name: field.default for name, field in StatePoint.model_fields.items() if not field.is_required()}
_STAGE = Column(
    "stage", ("progress", "stage"), CATEGORY, "text", "how far the job is, as in status: " + ", ".join(STAGES)
)
_DONE = Column("done", ("progress", "done"), FLOAT, "1", "share of its time steps that are simulated")
_ERROR = Column("error", ("document", "error"), TEXT, "text", "sentence of the operation that failed")
_NOTES = Column("notes", ("document", "notes"), TEXT, "text", "what the numbers of this job do not say")
#: pandas' names of the kinds of columns; missing numbers are NaN, all else that is missing is NA.
_DTYPES = {FLOAT: "float64", WHOLE: "Int64", COUNT: "int64", FLAG: "boolean", TEXT: "string"}


def load(
    project: str | os.PathLike[str] | Any = "project",
    *,
    preset: str | None = None,
    cube_edge_nm: float | None = None,
    extra: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """A data space as a table: state point, protocol and results of every job that can be read.

    Nested values have names with dots: ``fractions.SC``, ``thermal.cube_edge``, ``protocol.hold_time``. ``pressure`` is
    that of the state point, ``measured_pressure`` the mean of the hold. A result that is not there is NaN (NA in whole
    numbers, flags and texts). Grains and histograms are in the documents only.

    Args:
        project: root of the signac project, or the project itself.
        preset: nanocrystals (``supercube preset``) whose cubes give lengths in nm: each column in ``e`` gets a second
            one, such as ``lattice_constant_nm``.
        cube_edge_nm: the same from the effective edge of a cube (core and two shells).
        extra: further keys of the job document and their units, such as ``{"my_result": "nm"}``; dots lead inwards.

    Returns:
        pandas.DataFrame: index ``job`` (signac's ids), and in ``attrs``: ``units`` and ``descriptions`` of every
        column, ``problems`` (job id -> sentence) for jobs that cannot be read, ``project`` (its path), and ``notes``:
        a sentence if columns in nm belong to other particles than those of the jobs.

    Raises:
        InputError: there is no project or no job in it, the workspace is missing, the preset is unknown, both a preset
            and an edge are given, or an extra key has the name of a column.
    """
    sizes = _sizes(preset, cube_edge_nm)
    space = read_data_space(project).with_documents()
    _check(space)
    columns = _all_columns(space.jobs, extra or {})
    table = _table(space.jobs, columns)
    table.attrs = {
        "units": {column.name: column.unit for column in columns},
        "descriptions": {column.name: column.description for column in columns},
        "problems": dict(space.problems),
        "project": str(space.path),
        "notes": [],
    }
    if sizes is not None:
        table.attrs["notes"] = _other_shells(table, preset or "", sizes)
        return _with_nm(table, sizes.cube.size.value)
    return table if cube_edge_nm is None else _with_nm(table, Units(cube_edge_nm).edge_nm)


def _check(space: DataSpace) -> None:
    if not space.jobs:
        others = (
            f" ({len(space.problems)} cannot be read: {next(iter(space.problems.values()))})" if space.problems else ""
        )
        raise InputError(
            f"{space.path} holds no job of supercube{others}; expected at least one - fill it with: python init.py"
        )
    if space.problems:
        first = next(iter(space.problems.values()))
        jobs = "1 job" if len(space.problems) == 1 else f"{len(space.problems)} jobs"
        warnings.warn(
            f"{jobs} of {space.path} cannot be read and are left out, see attrs['problems']; the first: {first}",
            UserWarning,
            stacklevel=3,
        )


def _sizes(preset: str | None, cube_edge_nm: float | None) -> EffectiveSizes | None:
    """The sizes of a preset's nanocrystals with their usual ligands; None without a preset."""
    from .model.ligands import Quantity, find_ligand
    from .model.nanocrystals import CORE_ERROR, Nanocrystal, effective_sizes, find_preset
    from .preset import DEFAULT_SHELL, PRESET_LIGANDS

    if preset is None:
        return None
    if cube_edge_nm is not None:
        raise InputError(
            f"preset is {preset!r} and cube_edge_nm {cube_edge_nm:g}; expected one of them, for both say what e is."
        )

    def crystal(shape: str, core: float) -> Nanocrystal:
        ligand = find_ligand(PRESET_LIGANDS[shape])
        return Nanocrystal(shape=shape, core=Quantity(core, CORE_ERROR * core), ligand=ligand)

    found = find_preset(preset)
    sphere = None if found.sphere_core is None else crystal("sphere", found.sphere_core)
    return effective_sizes(crystal("cube", found.cube_core), sphere, DEFAULT_SHELL)


def _other_shells(table: pd.DataFrame, preset: str, sizes: EffectiveSizes) -> list[str]:
    """Formula core = e (1 - 2 lambda): with the preset's e and another lambda the cubes have another core.

    A lambda is another one if it is two standard uncertainties of the preset's away.
    """
    known, edge = sizes.ligand_length, sizes.cube.size.value
    lambdas = table["ligand_length"]
    others = lambdas[(lambdas - known.value).abs() > 2 * known.error]
    if others.empty:
        return []
    low, high = float(others.min()), float(others.max())
    shown = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    cores = " to ".join(dict.fromkeys(f"{edge * (1 - 2 * value):.1f}" for value in (low, high)))
    return [
        f"Columns in nm take e = {edge:.2f} nm from {preset}, whose lambda is {known.value:.3f} ± {known.error:.3f}, "
        f"but {len(others)} of {len(table)} jobs have lambda {shown}: with this e their cubes have cores of {cores} "
        f"nm, not {edge * (1 - 2 * known.value):.1f} nm."
    ]


def _all_columns(jobs: Iterable[JobRecord], extra: Mapping[str, str]) -> list[Column]:
    columns = [*fixed_columns(), *found_columns((job.document for job in jobs), STYLES), _NOTES]
    names = {column.name for column in columns} | {_STAGE.name, _DONE.name, _ERROR.name}
    for key, unit in extra.items():
        if key in names:
            raise InputError(f"extra key {key!r} is a column already; expected another key of the job document.")
        columns.append(Column(key, ("document", *key.split(".")), "any", unit, f"{key} of the job document"))
    return [_STAGE, _DONE, *columns, _ERROR]


def _table(jobs: tuple[JobRecord, ...], columns: list[Column]) -> pd.DataFrame:
    import pandas as pd

    contents = [_content(job, time.time()) for job in jobs]
    index = pd.Index([job.id for job in jobs], name="job")
    data = {column.name: _series(column, [column.value(content) for content in contents], index) for column in columns}
    return pd.DataFrame(data, index=index)


def _content(job: JobRecord, now: float) -> dict[str, Any]:
    """What the columns look into."""
    return {
        "progress": vars(job_progress(job, now)),
        "state_point": _DEFAULTS | dict(job.state_point),
        "document": job.document,
        "sites": by_site(job.document),
    }


def _series(column: Column, values: list[Any], index: pd.Index[Any]) -> pd.Series[Any]:
    import pandas as pd

    if column is _STAGE:
        return pd.Series(pd.Categorical(values, list(STAGES), ordered=True), index=index)
    if column.kind == CATEGORY:
        texts = [None if value is None else str(value) for value in values]
        # With a type even where there is none, or parquet would forget that the column holds texts.
        known = pd.Index(sorted({text for text in texts if text is not None}), dtype="str")
        return pd.Series(pd.Categorical(texts, known), index=index)
    if column.kind == TEXT:
        return pd.Series([_text(value) for value in values], index=index, dtype="string")
    if column.kind in _DTYPES:
        return pd.Series([_number(column, value) for value in values], index=index, dtype=_DTYPES[column.kind])
    return pd.Series(values, index=index).infer_objects()


def _text(value: Any) -> str | None:
    joined = " ".join(map(str, value)) if isinstance(value, list) else value
    return str(joined) if joined else None


def _number(column: Column, value: Any) -> Any:
    """The value if it is of the column's kind, else None: one odd document must not stop the others."""
    if column.kind == FLAG:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if column.kind == FLOAT or value % 1 == 0 else None


def _with_nm(table: pd.DataFrame, edge_nm: float) -> pd.DataFrame:
    """The same with a column in nm after each one in edges."""
    import pandas as pd

    units, attrs = Units(edge_nm), table.attrs
    parts: dict[str, pd.Series[Any]] = {}
    for name in table.columns:
        parts[name] = table[name]
        if attrs["units"][name] == "e":
            parts[f"{name}_nm"] = units.length_to_nm(table[name])
            attrs["units"][f"{name}_nm"] = "nm"
            attrs["descriptions"][f"{name}_nm"] = f"{attrs['descriptions'][name]}, with e = {edge_nm:.4g} nm"
    wider = pd.DataFrame(parts, index=table.index)
    wider.attrs = attrs | {"cube_edge_nm": edge_nm}
    return wider


def describe_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Unit, description and number of values of each column of a table that :func:`load` made."""
    import pandas as pd

    about = pd.DataFrame(
        {"unit": frame.attrs["units"], "description": frame.attrs["descriptions"], "jobs": frame.notna().sum()}
    )
    about = about.loc[[name for name in frame.columns if name in about.index]]
    about.index.name = "column"
    return about


def problems(frame: pd.DataFrame) -> pd.DataFrame:
    """Jobs that failed or cannot be read, with their sentences; empty if all is well."""
    import pandas as pd

    failed = frame.loc[frame["stage"] == "failed", "error"].fillna("left no sentence").to_dict()
    unread = frame.attrs.get("problems", {})
    rows = [(job, "failed", words) for job, words in failed.items()]
    rows += [(job, "cannot be read", words) for job, words in unread.items()]
    return pd.DataFrame(rows, columns=["job", "what", "sentence"]).set_index("job")
