"""The operations of a job as plain functions: gather, call one room, store.

``workflow.py`` calls them through signac-flow, ``supercube continue`` calls them in a row, and any other runner can do
the same. Every operation writes its completion marker last. ``job`` is a ``signac.job.Job``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cluster import check_time
from .config import Config, load_config
from .configuration import Configuration, in_mean_box, read_gsd, write_gsd
from .dataspace import JobRecord, open_project, read_data_space, read_document
from .errors import FileFormatError, IncompleteError, InputError, LockedError, SupercubeError
from .files import write_whole
from .model.particles import Model, build_model
from .model.thermal import thermal_sizes
from .protocol.schedule import Schedule, make_schedule, pressure_schedule
from .statepoint import SCHEMA_VERSION, ProtocolSettings, StatePoint

#: Markers, relative to the job's folder; an operation is complete when its file exists.
INITIAL = "initial.gsd"
EQUILIBRATED = "checkpoint/equilibrated"
EVAPORATED = "checkpoint/evaporated"
ORDER = "order.npz"
PICTURE = "structure.png"
SCATTERED = "scattering.png"
#: Curves and reflections, beside their picture.
SCATTERING = "scattering.npz"
#: Left by a failed operation beside ``doc.error``, so that ``status`` need not open documents.
FAILED = "failed"

#: Frames at the end of the hold that decide the labels: enough to tell a rattling body from a hopping one.
CLASSIFIED_FRAMES = 10

#: Most frames of ``order.npz``: what a curve needs, while entropies ask for runs of many hundred frames.
SERIES_FRAMES = 200

#: What classify writes to the job document; all of it goes when a job is continued or fails.
RESULT_KEYS = (
    "structure",
    "structure_fraction",
    "fractions",
    "n_cubes",
    "n_spheres",
    "packing_fraction",
    "packing_fraction_sem",
    "thermal",
    "cubatic_order",
    "lattice_constant",
    "lattice_constant_sem",
    "c_over_a",
    "c_over_a_sem",
    "cell_lengths",
    "cell_angles_deg",
    "n_grains",
    "grains",
    "displacement_rms",
    "vacancy_fraction",
    "vacancy_fraction_sem",
    "substituted_fraction",
    "orientation_fwhm_deg",
    "orientation_fwhm_sem",
    "orientation_coherence",
    "o_site_angle_deg",
    "o_site_angle_sem",
    "o_site_angle_spread_deg",
    "o_site_angle_histogram",
    "mobile_fraction",
    "lindemann",
    "molten",
    "sublattices",
    "frames",
    "notes",
    "pressure",
    "pressure_sem",
    "potential_energy",
    "potential_energy_sem",
    "volume",
    "volume_sem",
    "enthalpy",
    "enthalpy_sem",
)


def state_point_of(job: Any) -> StatePoint:
    """The validated state point of a job."""
    return StatePoint.parse(dict(job.cached_statepoint), f"job {job.id}")


def protocol_of(job: Any) -> ProtocolSettings:
    """The protocol that ``init.py`` recorded for a job.

    Raises:
        InputError: there is none, so the job was not made by ``init.py``.
    """
    recorded = job.doc.get("protocol")
    if recorded is None:
        raise InputError(f"job {job.id} has no recorded protocol; expected a job made by init.py - run it again.")
    return ProtocolSettings.parse(dict(recorded), f"job {job.id}, protocol")


def schedule_of(job: Any, model: Model, initial: Configuration) -> Schedule:
    """Steps and volumes of a job, from its state point, its protocol and its initial configuration."""
    state_point, protocol = state_point_of(job), protocol_of(job)
    if state_point.pressure > 0:
        chosen = "isotropic" if state_point.initial == "fluid" else "lengths"
        return pressure_schedule(
            time_step=model.time_step,
            volume=initial.volume,
            body_volume=_body_volume(model, initial),
            initial_pressure=protocol.initial_pressure or state_point.pressure,
            pressure=state_point.pressure,
            freedom=chosen if protocol.box == "auto" else protocol.box,
            equilibration_time=protocol.equilibration_time,
            ramp_time=protocol.ramp_time,
            hold_time=protocol.hold_time,
        )
    return make_schedule(
        time_step=model.time_step,
        volume=initial.volume,
        body_volume=_body_volume(model, initial),
        diffusion=model.diffusion,
        peclet=state_point.evaporation_rate,
        target_packing_fraction=state_point.target_packing_fraction,
        equilibration_time=protocol.equilibration_time,
        hold_time=protocol.hold_time,
    )


def _body_volume(model: Model, configuration: Configuration) -> float:
    return model.volume_of({name: configuration.count(name) for name in configuration.species})


@contextlib.contextmanager
def recording_errors(job: Any) -> Iterator[None]:
    """Put a failure's sentence into ``job.doc.error`` and take the results away; clear it on success.

    An incomplete run is no failure, for it continues next time; nor is a job that another process runs.
    """
    try:
        read_document(Path(job.path))  # a damaged one can hold neither result nor error
    except InputError:
        Path(job.fn(FAILED)).touch()
        raise
    try:
        yield
    except (IncompleteError, LockedError):
        raise
    except (SupercubeError, OSError) as error:
        if not Path(job.path).is_dir():  # opening its document would make the job anew
            raise SupercubeError(f"job {job.id} was moved or deleted meanwhile ({error}).") from error
        _forget_results(job)
        Path(job.fn(FAILED)).touch()
        job.doc["error"] = str(error)
        if isinstance(error, OSError):  # a full disk, a lost mount: the job's failure, not the program's
            raise SupercubeError(str(error)) from error
        raise
    if job.isfile(FAILED):
        job.doc.pop("error", None)
        Path(job.fn(FAILED)).unlink()


def _forget_results(job: Any) -> None:
    # Markers before results, so that a crash in between never leaves a job that looks finished and has no answer.
    from .stability.hold import ENTROPY

    for marker in (PICTURE, SCATTERED, ORDER, SCATTERING, ENTROPY):
        Path(job.fn(marker)).unlink(missing_ok=True)
    for key in RESULT_KEYS:
        job.doc.pop(key, None)


def _alone(operation: Callable[..., None]) -> Callable[..., None]:
    """Hold the job's lock from the beginning to the marker, so that it is neither moved nor prolonged meanwhile."""

    @functools.wraps(operation)
    def locked(job: Any, *arguments: Any) -> None:
        from .engines.checkpoint import job_lock

        with job_lock(Path(job.path)):
            operation(job, *arguments)

    return locked


@_alone
def build(job: Any) -> None:
    """Write ``initial.gsd``: the random fluid, crystal or user's file of the state point."""
    from .protocol.initial import initial_configuration

    state_point, protocol = state_point_of(job), protocol_of(job)
    configuration = initial_configuration(
        state_point,
        protocol.initial_packing_fraction,
        state_point.seed("build"),
        Path(job.project.path) / "files",
    )
    write_gsd(job.fn(INITIAL), configuration.with_(step=0))


@_alone
def equilibrate(job: Any, config: Config | None = None) -> None:
    """Run to the end of the equilibration."""
    _simulate(job, config, stage="equilibrate")
    Path(job.fn(EQUILIBRATED)).touch()


@_alone
def evaporate(job: Any, config: Config | None = None) -> None:
    """Dry or go to the pressure (if the state point says so) and hold; continues from the checkpoint."""
    _simulate(job, config, stage="evaporate")
    Path(job.fn(EVAPORATED)).touch()


def _simulate(job: Any, config: Config | None, *, stage: str) -> None:
    from .engines.base import thermal_state
    from .engines.run import RunOptions, progress_style, simulate

    config = config or load_config(Path(job.project.path) / "config.yaml")
    state_point = state_point_of(job)
    model = build_model(state_point)
    initial = read_gsd(job.fn(INITIAL))
    schedule = schedule_of(job, model, initial)
    result = simulate(
        Path(job.path),
        model,
        schedule,
        thermal_state(model, initial, state_point.seed("velocities")),
        schedule.end_of_equilibration if stage == "equilibrate" else schedule.total_steps,
        seed=state_point.seed("noise"),
        options=RunOptions(
            engine=config.engine,
            device=config.device,
            ranks=config.ranks,
            log_period=config.log_period,
            frames=config.frames,
            checkpoint_seconds=config.checkpoint_seconds,
            walltime_seconds=check_time(config),
            progress=progress_style(),
            label=job.id[:8],
        ),
    )
    record = {key: value for key, value in dataclasses.asdict(result).items() if value is not None}
    job.doc.update(record | {"model": model.describe(), "total_steps": schedule.total_steps})


@_alone
def classify(job: Any) -> None:
    """Label every particle, write the answer to the document and the series of all frames to ``order.npz``."""
    from .engines.segments import read_log, read_trajectory
    from .order import classify as classify_frames
    from .order import order_series

    frames = list(read_trajectory(Path(job.path)))
    state_point = state_point_of(job)
    model = build_model(state_point)
    schedule = schedule_of(job, model, read_gsd(job.fn(INITIAL)))
    if frames[-1].step != schedule.total_steps:
        raise FileFormatError(
            f"job {job.id}: the trajectory ends at step {frames[-1].step}, but the run at {schedule.total_steps}; "
            f"restore the missing segment, or delete checkpoint/ to run the job again."
        )
    log = read_log(Path(job.path))
    held = [f for f in frames if f.step >= schedule.end_of_drying]
    # A box that fluctuates would look like motion of everything in it.
    order = classify_frames(in_mean_box(held)[-CLASSIFIED_FRAMES:])
    some = thinned(frames)
    series: dict[str, Any] = dict(order_series(some))
    body_volume = _body_volume(model, frames[-1])
    series["time"] = series["step"] * schedule.time_step
    series["packing_fraction"] = np.array([body_volume / frame.volume for frame in some])
    document = order.document() | _means(log, schedule.end_of_drying, state_point.pressure)
    if schedule.barostat is None:  # the volume is prescribed, not an average
        document |= {"packing_fraction": body_volume / frames[-1].volume, "packing_fraction_sem": 0.0}
        document |= {"volume": frames[-1].volume, "volume_sem": 0.0}
    elif document["volume_sem"] is not None:  # else the hold is too short for any mean
        _at_pressure(document, state_point.pressure)
    document["notes"] += _temperature_notes(log, schedule.end_of_drying, len(frames[-1]))
    document["thermal"] = _thermal(model, frames[-1], document["packing_fraction"])
    job.doc.update(document)
    packed = BytesIO()
    np.savez_compressed(packed, labels=order.labels, **series)
    write_whole(job.fn(ORDER), packed.getvalue())


def thinned(frames: list[Configuration]) -> list[Configuration]:
    """At most ``SERIES_FRAMES`` of the frames, evenly chosen, the last among them."""
    stride = math.ceil(len(frames) / SERIES_FRAMES)
    return frames[(len(frames) - 1) % stride :: stride]


def _at_pressure(document: dict[str, Any], pressure: float) -> None:
    """Put the box's fluctuations into the error of the lattice constant, and say if the box has not settled."""
    if document["lattice_constant_sem"] is not None:
        box = document["volume_sem"] / document["volume"] / 3.0 * document["lattice_constant"]
        document["lattice_constant_sem"] = math.hypot(document["lattice_constant_sem"], box)
    found = document["pressure"]
    if abs(found - pressure) > 4.0 * document["pressure_sem"] + 0.02 * pressure:
        document["notes"].append(
            f"The mean pressure of the hold is {found:.4g}, not {pressure:g}: the box has not settled; hold longer."
        )


def _thermal(model: Model, configuration: Configuration, nominal: float | None) -> dict[str, float | None]:
    """Sizes of the bodies at kT (:mod:`.model.thermal`), and the packing fraction with them instead of the nominal."""
    sizes = thermal_sizes(model)
    volume = sizes.volume_of({name: configuration.count(name) for name in configuration.species})
    return {
        "cube_edge": sizes.cube_edge,
        "rounding": sizes.rounding,
        "sphere_diameter": sizes.sphere_diameter,
        "size_ratio": sizes.size_ratio,
        "ligand_length": sizes.ligand_length,
        "packing_fraction": None if nominal is None else nominal * volume / _body_volume(model, configuration),
    }


def _means(log: dict[str, Any], first_step: int, pressure: float) -> dict[str, float | None]:
    """What the log knows about the hold, each with its standard error; ``enthalpy`` is U + P V at the P asked for.

    Without a pressure in the state point there is no enthalpy.
    """
    columns = {name: log[name] for name in ("pressure", "potential_energy", "volume", "packing_fraction")}
    found: dict[str, float | None] = {"enthalpy": None, "enthalpy_sem": None}
    if pressure > 0:
        columns["enthalpy"] = log["potential_energy"] + pressure * log["volume"]
    for name, values in columns.items():
        found[name], found[f"{name}_sem"] = _mean(values[log["step"] > first_step])
    return found


def _temperature_notes(log: dict[str, Any], first_step: int, bodies: int) -> list[str]:
    """A sentence for each kinetic temperature of the hold that is not 1: the run has not come to rest."""
    held, notes = log["step"] > first_step, []
    for motion in ("translation", "rotation"):
        values = log[f"temperature_{motion}"][held]
        mean, sem = _mean(values)
        if mean is None or not math.isfinite(mean):  # nothing held, or nothing that turns
            continue
        # Three components of every body scatter by sqrt(2 / 3N) even if rows were independent.
        error = max(sem or 0.0, math.sqrt(2.0 / (3.0 * bodies * len(values))))
        if abs(mean - 1.0) > 4.0 * error + 0.05:
            notes.append(f"The mean temperature of {motion} in the hold is {mean:.3g} kT, not 1: hold longer.")
    return notes


#: Numbers of blocks that a series is cut into. Which are longer than its memory is not known (velocities of large
#: spheres remember some time units), so the largest of the errors counts.
_BLOCKS = (5, 10, 20)


def _mean(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Mean of a correlated series and its standard error: the largest from blocks of several lengths."""
    errors = []
    for number in _BLOCKS:
        if len(values) >= number:
            blocks = [block.mean() for block in np.array_split(values, number)]
            errors.append(float(np.std(blocks, ddof=1) / np.sqrt(number)))
    return float(values.mean()) if len(values) else None, max(errors, default=None)


@_alone
def scatter(job: Any) -> None:
    """Write ``scattering.npz`` and, last, ``scattering.png``: of the frames that were classified, equal contrasts."""
    from .engines.segments import read_trajectory
    from .observe import plot_scattering
    from .observe.scattering import Cores
    from .observe.scattering import scatter as scatter_frames
    from .scattering import packed

    state_point, document = state_point_of(job), job.doc()
    schedule = schedule_of(job, build_model(state_point), read_gsd(job.fn(INITIAL)))
    held = [frame for frame in read_trajectory(Path(job.path)) if frame.step >= schedule.end_of_drying]
    shells = 2 * state_point.ligand_length
    cores = Cores(cube=1.0 - shells, sphere=state_point.sphere_diameter - shells)
    found = scatter_frames(in_mean_box(held)[-CLASSIFIED_FRAMES:], document, cores)
    write_whole(job.fn(SCATTERING), packed(found))
    plot_scattering(found, job.fn(SCATTERED), title=describe(state_point))


@_alone
def render(job: Any) -> None:
    """Draw ``order.png`` and, last, ``structure.png``."""
    from .engines.segments import read_trajectory
    from .observe import plot_order
    from .observe import render as render_configuration

    with np.load(job.fn(ORDER)) as stored:
        series = {name: stored[name] for name in stored.files}
    labels = series.pop("labels")
    title = describe(state_point_of(job))
    plot_order(series, job.fn("order.png"), title=title)
    *_, last = read_trajectory(Path(job.path))
    render_configuration(last, job.fn(PICTURE), labels, title=title)


def describe(state_point: StatePoint) -> str:
    """A job in words: composition, sizes, attraction, drying, start."""
    parts = [f"{state_point.n_cubes} cubes"] if state_point.n_cubes else []
    parts += [f"{state_point.n_spheres} spheres"] if state_point.n_spheres else []
    sizes = [f"γ = {state_point.size_ratio:g}"] if state_point.n_spheres else []
    sizes += [f"λ = {state_point.ligand_length:g}"]
    sizes += [f"well {state_point.attraction:g} kT"] if state_point.attraction else []
    start = state_point.initial if not state_point.initial.startswith("file:") else "file"
    if state_point.expansion != 1.0:
        start += f" x {state_point.expansion:g}"
    driven = f"P = {state_point.pressure:g}" if state_point.pressure else f"Pe = {state_point.evaporation_rate:g}"
    return f"{' + '.join(parts)}, {', '.join(sizes)}, {driven}, from {start}"


#: What jobs of before a key was added mean by its absence.
_DEFAULTS = {name: field.default for name, field in StatePoint.model_fields.items() if not field.is_required()}


def describe_leniently(state_point: Mapping[str, Any]) -> str:
    """As :func:`describe`, for the recorded state point of any job, however old."""
    try:
        return describe(StatePoint.parse({**_DEFAULTS, **state_point}, "job"))
    except InputError:
        return ", ".join(f"{key} {value}" for key, value in state_point.items())


def rows(jobs: Iterable[JobRecord]) -> list[dict[str, Any]]:
    """One row a job: its state point, what was found, and how fast; None where there is no result yet."""
    keys = ("structure", "structure_fraction", "cubatic_order", "packing_fraction", "steps_per_second", "error")
    table = []
    for job in jobs:
        document = job.document
        row = {"job": job.id, **_DEFAULTS, **job.state_point}
        row |= {key: document.get(key) for key in keys}
        row |= {key: (document.get("model") or {}).get(key) for key in ("beads",)}
        row["thermal_packing_fraction"] = (document.get("thermal") or {}).get("packing_fraction")
        row["measured_roughness"] = (document.get("model") or {}).get("roughness")
        table.append(row)
    return sorted(
        table, key=lambda r: (r["n_spheres"] > 0, r["initial"], r["size_ratio"], r["evaporation_rate"], r["job"])
    )


def phase_map(project: Any) -> dict[str, str]:
    """Write ``phase_map.csv`` and ``phase_map.png`` over all jobs of a data space that have a result.

    Args:
        project: the signac project, or its root.

    Returns:
        dict[str, str]: a sentence for each job that cannot be read.
    """
    from .observe import plot_phase_map, write_phase_map_csv

    space = read_data_space(project)
    space = dataclasses.replace(space, jobs=tuple(job for job in space.jobs if job.has(ORDER))).with_documents()
    finished = [row for row in rows(space.jobs) if row["structure"] is not None]
    if finished:
        write_phase_map_csv(finished, space.path / "phase_map.csv")
        plot_phase_map(finished, space.path / "phase_map.png")
    return space.problems


def stability_map(project: Any) -> dict[str, str]:
    """Write ``stability_map.csv`` and ``stability_map.png`` over the jobs at pressure that have a result.

    Args:
        project: the signac project, or its root.

    Returns:
        dict[str, str]: a sentence for each job that cannot be read.
    """
    from .stability import stability_map as compare

    project = open_project(project)
    space = read_data_space(project).with_documents()
    compare([project.open_job(id=job.id) for job in space.jobs], space.path)
    return space.problems


def prolong(job: Any, hold_time: float) -> None:
    """Set a longer hold for a job and open its last operations again; nothing that was simulated is lost.

    Args:
        job: a job whose hold is to last longer.
        hold_time: the new length of the hold, time units.

    Raises:
        InputError: the new hold is not longer than the recorded one.
    """
    from .engines.checkpoint import job_lock

    engine = load_config(Path(job.project.path) / "config.yaml").engine
    if engine not in ("auto", job.doc.get("engine", engine)):
        raise InputError(
            f"job {job.id} was run with {job.doc['engine']}, but config.yaml says engine: {engine}; "
            "expected auto, or the same engine."
        )
    protocol = protocol_of(job)
    longer = ProtocolSettings.parse(protocol.to_dict() | {"hold_time": hold_time}, "--hold")
    if hold_time <= protocol.hold_time:
        raise InputError(
            f"hold of job {job.id} is {protocol.hold_time:g} already; expected a longer one, got {hold_time:g}."
        )
    with job_lock(Path(job.path)):  # a running process would finish with the old hold and call it done
        _forget_results(job)
        Path(job.fn(EVAPORATED)).unlink(missing_ok=True)
        # What the space said, so that init.py still recognises the job.
        job.doc.setdefault("space_hold_time", protocol.hold_time)
        job.doc["protocol"] = longer.to_dict()


def densify(job: Any, target_packing_fraction: float) -> Any:
    """A new job that dries the last configuration of this one further; the finished job stays as it is.

    Args:
        job: a finished job.
        target_packing_fraction: where the new job stops, denser than the old one.

    Returns:
        signac.job.Job: the new job, whose start is the last frame of the old one.
    """
    from .engines.segments import read_trajectory
    from .protocol.initial import check_initial, store_file

    state_point = state_point_of(job)
    if not Path(job.fn(EVAPORATED)).exists():
        raise FileFormatError(f"job {job.id} is not finished; expected a finished run to dry further from.")
    if not state_point.evaporation_rate:
        raise InputError(f"job {job.id} has evaporation_rate 0; expected a drying job to dry further.")
    if not state_point.target_packing_fraction < target_packing_fraction < 1:
        raise InputError(
            f"target is {target_packing_fraction:g}; expected a packing fraction above the "
            f"{state_point.target_packing_fraction:g} that job {job.id} has reached, and below 1."
        )
    protocol = protocol_of(job)
    files = Path(job.project.path) / "files"
    values = state_point.to_dict() | {"expansion": 1.0, "target_packing_fraction": target_packing_fraction}
    # Can the target be reached at all? Asked of a fluid start first, so that a refusal leaves no file behind.
    check_initial(StatePoint.parse(values | {"initial": "fluid"}, "--target"), protocol.initial_packing_fraction, files)
    *_, last = read_trajectory(Path(job.path))
    temporary = Path(job.fn("final.gsd"))
    write_gsd(temporary, last.with_(step=0))
    try:
        values["initial"] = store_file(temporary, files)
    finally:
        temporary.unlink()
    further = StatePoint.parse(values, f"job {job.id} dried further")
    new = job.project.open_job(further.to_dict())
    new.init()
    if "protocol" not in new.doc:  # else it is there already, and may have been given a longer hold
        new.doc.update({"protocol": protocol.to_dict(), "continued_from": job.id, "schema_version": SCHEMA_VERSION})
    return new


def run_all(job: Any, config: Config | None = None) -> None:
    """Every operation that is still open, in order: what the workflow does for one job, without signac-flow."""
    steps: tuple[tuple[str, Callable[[Any], None]], ...] = (
        (INITIAL, build),
        (EQUILIBRATED, lambda j: equilibrate(j, config)),
        (EVAPORATED, lambda j: evaporate(j, config)),
        (ORDER, classify),
        (SCATTERED, scatter),
        (PICTURE, render),
    )
    with recording_errors(job):
        for marker, operation in steps:
            if not Path(job.fn(marker)).exists():
                operation(job)
