"""What a campaign will cost: steps of the jobs that are not simulated yet, and hours at the speeds that were measured.

The speeds are those at which jobs of the same data space have run (:mod:`.rates`). Only the simulation is counted:
building, classifying and drawing take seconds a job.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .config import Config, load_config
from .configuration import Configuration
from .dataspace import DataSpace, JobRecord, read_data_space
from .engines.checkpoint import read_manifest
from .errors import InputError, SupercubeError
from .operations import EVAPORATED
from .progress import duration
from .protocol.initial import initial_volume
from .rates import (
    Particles,
    Rate,
    RateModel,
    beads_of,
    fit,
    measure_rate,
    newest_slot,
    rate_of,
    schedule_for,
    shared_model,
    work_of,
)
from .statepoint import ProtocolSettings, StatePoint

#: Finished jobs, spread over the campaign, that are asked how fast they ran; thousands would say no more.
SAMPLE = 200


@dataclass(frozen=True)
class Work:
    """What is left of one job, in steps."""

    id: str
    particles: Particles
    beads: int
    bodies: int
    steps: int
    begun: bool

    @property
    def work(self) -> float:
        """n_beads + 5 n_bodies."""
        return work_of(self.beads, self.bodies)


@dataclass(frozen=True)
class Group:
    """Like jobs together.

    Attributes:
        particles: in words.
        jobs, begun: how many are left, and how many of them are in progress.
        beads, bodies: of one job.
        steps: of all of them.
        measured: number of like jobs whose speed was measured.
        steps_per_second: expected; None without rates.
        hours, low, high: of all of them, one after the other; None without rates.
    """

    particles: str
    jobs: int
    begun: int
    beads: int
    bodies: int
    steps: int
    measured: int
    steps_per_second: float | None = None
    hours: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Cost:
    """What all jobs that are left cost together.

    Attributes:
        engine, device: whose speeds were taken.
        measured: number of these speeds.
        spread: e^(standard deviation of the logarithm of measured over expected time): the factor either way.
        unit: what an hour of a job is, ``core-hours`` or ``GPU-hours``.
        hours, low, high: in that unit; the limits take the spread as common to all jobs.
        elapsed_hours: until all are done, with as many at a time as were asked for.
    """

    engine: str
    device: str
    measured: int
    spread: float
    unit: str
    hours: float
    low: float
    high: float
    elapsed_hours: float


@dataclass(frozen=True)
class Estimate:
    """What is left of a campaign.

    Attributes:
        jobs, finished, left, begun: numbers of readable jobs, of simulated ones, of those to do, of those in progress.
        steps: that are left.
        at_a_time: how many jobs run at a time.
        cost: None where no speed is known.
        groups: like jobs together, the most expensive first.
        problems: of jobs that cannot be estimated, by id: one sentence each.
    """

    jobs: int
    finished: int
    left: int
    begun: int
    steps: int
    at_a_time: int
    cost: Cost | None
    groups: tuple[Group, ...]
    problems: dict[str, str]


# --- reading a data space ---------------------------------------------------------------------------------------------


class _Reader:
    """Steps that are left of the jobs of a data space; what jobs share is computed once."""

    def __init__(self, path: Path) -> None:
        self.files = path / "files"
        self._total = cache(self._total_steps)

    def _total_steps(self, state_point: StatePoint, protocol: ProtocolSettings) -> int:
        volume = initial_volume(state_point, protocol.initial_packing_fraction, self.files)
        return schedule_for(state_point, protocol, shared_model(state_point), _box(state_point, volume)).total_steps

    def left(self, job: JobRecord, manifest: Mapping[str, Any]) -> Work | None:
        """What is left of a job; None if its simulation is finished.

        Raises:
            InputError: it was not made by ``init.py``, or something in it is wrong.
        """
        if job.has(EVAPORATED):
            return None
        state_point, protocol = settings_of(job)
        # Which repeat it is changes no step.
        total = self._total(state_point.model_copy(update={"replicate": 0}), protocol)
        slot = newest_slot(manifest)
        steps = total - (int(slot["step"]) if slot else 0)
        beads, bodies = beads_of(state_point), state_point.n_bodies
        return Work(job.id, Particles.of(state_point), beads, bodies, max(steps, 0), bool(job.marks))


def settings_of(job: JobRecord) -> tuple[StatePoint, ProtocolSettings]:
    """State point and protocol of a job.

    Raises:
        InputError: it was not made by ``init.py``, or one of them is wrong.
    """
    if "protocol" not in job.document:
        raise InputError(f"job {job.id} has no recorded protocol; expected a job made by init.py - run it again.")
    state_point = StatePoint.parse(job.state_point, f"job {job.id}")
    return state_point, ProtocolSettings.parse(job.document["protocol"], f"job {job.id}, protocol")


def _box(state_point: StatePoint, volume: float) -> Configuration:
    """A box of that volume with all bodies in its middle: a schedule asks for no more."""
    numbers = {name: n for name, n in (("cube", state_point.n_cubes), ("sphere", state_point.n_spheres)) if n}
    return Configuration(
        box=np.array([np.cbrt(volume)] * 3 + [0.0] * 3),
        positions=np.zeros((state_point.n_bodies, 3)),
        orientations=np.tile([1.0, 0.0, 0.0, 0.0], (state_point.n_bodies, 1)),
        species=tuple(numbers),
        typeid=np.repeat(np.arange(len(numbers)), list(numbers.values())),
    )


# --- the estimate -----------------------------------------------------------------------------------------------------


def estimate(path: Path | DataSpace, *, at_a_time: int = 1, measure: float | None = None) -> Estimate:
    """Cost of all jobs of a data space that are not simulated yet.

    Args:
        path: root of the signac project, or what was read of it.
        at_a_time: how many jobs will run at a time.
        measure: seconds to run each of a few representative jobs in a temporary folder, where nothing is measured yet.

    Raises:
        InputError: no data space, ``at_a_time`` below 1, or a wrong config.yaml.
        EngineError: the engine is missing or failed while measuring.
    """
    if at_a_time < 1:
        raise InputError(f"at a time is {at_a_time}; expected at least 1 job.")
    space = (path if isinstance(path, DataSpace) else read_data_space(path)).with_documents()
    config = load_config(space.path / "config.yaml")
    works, rates, problems = _read(space)
    finished = len(space.jobs) - len(works) - sum(job.id in problems for job in space.jobs)
    if measure is not None:
        rates += _measured(space, _representative(works), config, measure, problems)
    chosen = _chosen(rates, config)
    model = fit(chosen) if chosen else None
    return Estimate(
        jobs=len(space.jobs),
        finished=finished,
        left=len(works),
        begun=sum(work.begun for work in works),
        steps=sum(work.steps for work in works),
        at_a_time=at_a_time,
        cost=_cost(works, chosen, model, config, at_a_time) if model else None,
        groups=tuple(_groups(works, chosen, model)),
        problems=problems,
    )


def _read(space: DataSpace) -> tuple[list[Work], list[Rate], dict[str, str]]:
    """What is left, how fast jobs have run, and what is wrong with jobs that do not say."""
    reader = _Reader(space.path)
    works: list[Work] = []
    rates: list[Rate] = []
    problems = dict(space.problems)
    finished = [job for job in space.jobs if job.has(EVAPORATED)]
    asked = {job.id for job in finished[:: max(1, len(finished) // SAMPLE)]}
    for job in space.jobs:
        if job.has(EVAPORATED) and job.id not in asked:
            continue
        try:
            manifest = read_manifest(job.path / "checkpoint") if job.has("checkpoint/manifest.json") else {}
            work = reader.left(job, manifest)
            rate = rate_of(manifest, StatePoint.parse(job.state_point, f"job {job.id}")) if manifest else None
        except (SupercubeError, OSError) as error:
            problems[job.id] = str(error) if job.id in str(error) else f"job {job.id}: {error}"
            continue
        works += [work] if work is not None else []
        rates += [rate] if rate is not None else []
    return works, rates, problems


def _measured(
    space: DataSpace, works: Iterable[Work], config: Config, seconds: float, problems: dict[str, str]
) -> list[Rate]:
    """Speeds of some jobs; one that cannot be run is added to the problems."""
    jobs = {job.id: job for job in space.jobs}
    rates = []
    for work in works:
        try:
            rates.append(measure_rate(*settings_of(jobs[work.id]), space.path / "files", config, seconds))
        except InputError as error:
            problems[work.id] = f"job {work.id} cannot be measured: {error}"
    return rates


def _representative(works: Sequence[Work], most: int = 3) -> list[Work]:
    """The smallest, the middle and the largest kind of job that is left."""
    kinds = sorted({work.particles: work for work in works}.values(), key=lambda work: (work.work, work.id))
    places = {round(k * (len(kinds) - 1) / (most - 1)) for k in range(most)} if kinds else set()
    return [kinds[place] for place in sorted(places)]


def _chosen(rates: Sequence[Rate], config: Config) -> list[Rate]:
    """Rates of the engine, device and ranks that jobs will run on: as configured, else what was measured most often."""
    device = "gpu" if config.cluster.simulation.gpus else config.device
    fitting = [
        rate
        for rate in rates
        if config.engine in ("auto", rate.engine) and device in ("auto", rate.device) and rate.ranks == config.ranks
    ]
    if not fitting:
        return []
    ((engine, kind), _), *_ = Counter((rate.engine, rate.device) for rate in fitting).most_common(1)
    return [rate for rate in fitting if (rate.engine, rate.device) == (engine, kind)]


def _groups(works: Iterable[Work], rates: Sequence[Rate], model: RateModel | None) -> list[Group]:
    """Like jobs together, the most expensive first."""
    like: dict[Particles, list[Work]] = defaultdict(list)
    for work in works:
        like[work.particles].append(work)
    counts = Counter(rate.particles for rate in rates)
    groups = []
    for particles, jobs in like.items():
        group = Group(
            particles=str(particles),
            jobs=len(jobs),
            begun=sum(job.begun for job in jobs),
            beads=jobs[0].beads,
            bodies=jobs[0].bodies,
            steps=sum(job.steps for job in jobs),
            measured=counts[particles],
        )
        groups.append(_priced(group, model, model.seconds(particles, jobs[0].work)) if model else group)
    return sorted(groups, key=lambda group: (-(group.hours or 0.0), -group.steps, group.particles))


def _priced(group: Group, model: RateModel, seconds: float) -> Group:
    hours, factor = group.steps * seconds / 3600.0, math.exp(model.spread)
    return replace(group, steps_per_second=1.0 / seconds, hours=hours, low=hours / factor, high=hours * factor)


def _cost(works: Sequence[Work], rates: Sequence[Rate], model: RateModel, config: Config, at_a_time: int) -> Cost:
    each = [work.steps * model.seconds(work.particles, work.work) / 3600.0 for work in works]
    on_gpu = rates[0].device == "gpu"
    # A job holds all of its ranks for as long as it runs, and its share of a GPU (the speeds should then be those of
    # jobs that shared one).
    hours = sum(each) / config.cluster.simulation.jobs_per_gpu if on_gpu else sum(each) * config.ranks
    factor = math.exp(model.spread)
    return Cost(
        engine=rates[0].engine,
        device=rates[0].device,
        measured=len(rates),
        spread=factor,
        unit="GPU-hours" if on_gpu else "core-hours",
        hours=hours,
        low=hours / factor,
        high=hours * factor,
        # Nothing is done before its longest job is.
        elapsed_hours=max(sum(each) / at_a_time, max(each, default=0.0)),
    )


# --- telling ----------------------------------------------------------------------------------------------------------


def answer(found: Estimate) -> dict[str, Any]:
    """The estimate as plain types for JSON."""
    return asdict(found)


def lines(found: Estimate, most: int = 20) -> list[str]:
    """The estimate as text: a line a group of like jobs, and the sum."""
    text = [
        f"{found.jobs} jobs: {found.finished} simulated, {found.left} left ({found.begun} of them begun), "
        f"{found.steps:,} steps"
    ]
    if not found.left:
        return text
    text += _table(found.groups[:most])
    if len(found.groups) > most:
        text.append(f"... and {len(found.groups) - most} more kinds of jobs")
    cost = found.cost
    if cost is None:
        return [
            *text,
            "No speed of the engine, device and ranks of config.yaml is known yet: run one job of each size, or a few "
            "seconds of some with --measure.",
        ]
    return [
        *text,
        f"{cost.hours:.3g} {cost.unit} ({cost.low:.3g} to {cost.high:.3g}), from {cost.measured} measured speeds of "
        f"{cost.engine} on {cost.device}, good to a factor {cost.spread:.2f}",
        f"{found.at_a_time} at a time: {duration(3600.0 * cost.elapsed_hours)}",
    ]


def _table(groups: Iterable[Group]) -> list[str]:
    rows = [("jobs", "begun", "beads", "steps/job", "steps/s", "hours", "from - to", "measured", "")]
    for group in groups:
        hours = "-" if group.hours is None else f"{group.hours:.3g}"
        limits = "-" if group.low is None else f"{group.low:.2g} - {group.high:.2g}"
        rate = "-" if group.steps_per_second is None else f"{group.steps_per_second:.0f}"
        each = f"{group.steps / group.jobs:.0f}"
        counts = (str(group.jobs), str(group.begun), str(group.beads))
        rows.append((*counts, each, rate, hours, limits, str(group.measured), group.particles))
    widths = [max(len(row[k]) for row in rows) for k in range(8)]
    return ["  ".join([*(c.rjust(w) for c, w in zip(row, widths, strict=False)), row[8]]).rstrip() for row in rows]
