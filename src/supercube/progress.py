"""How far the jobs of a campaign are, from the names of their files and, once they have begun, their manifests.

Done = the mean over jobs of the share of their steps. What is left is a matter of :mod:`.estimate`.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from .dataspace import DataSpace, JobRecord
from .engines.checkpoint import LOCK, is_stale, read_manifest
from .errors import SupercubeError

Stage = Literal["waiting", "running", "stopped", "simulated", "finished", "failed"]
#: In the order in which a job goes through them; then what went wrong.
STAGES: tuple[Stage, ...] = ("waiting", "running", "stopped", "simulated", "finished", "failed")
#: A job whose lock has not been refreshed for so long (seconds) is not called running; every chunk refreshes it.
SILENT = 1800.0


@dataclass(frozen=True)
class JobProgress:
    """One job.

    Attributes:
        id: of the job.
        stage: waiting (nothing simulated), running, stopped (checkpointed, to be continued), simulated (all but the
            analysis), finished, failed.
        done: share of its steps.
        rate: steps per second between its last two checkpoints, None if it has none.
        seconds_left: of its simulation, None if there is no rate.
    """

    id: str
    stage: Stage
    done: float
    rate: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True)
class Progress:
    """A campaign.

    Attributes:
        counts: jobs by stage.
        done: share of all jobs' steps, each job counting alike.
        begun: jobs that are running or stopped.
    """

    counts: dict[Stage, int]
    done: float
    begun: tuple[JobProgress, ...]

    @property
    def total(self) -> int:
        """Number of jobs."""
        return sum(self.counts.values())


def progress_of(space: DataSpace, now: float | None = None) -> Progress:
    """Progress of all readable jobs of a data space; a damaged manifest makes its job one that is ``stopped``.

    Args:
        space: see :func:`.dataspace.read_data_space`; documents are not read.
        now: seconds since 1970 (default: the present).
    """
    now = time.time() if now is None else now
    jobs = [job_progress(job, now) for job in space.jobs]
    counts: Counter[Stage] = Counter(job.stage for job in jobs)
    return Progress(
        counts={stage: counts[stage] for stage in STAGES},
        done=sum(job.done for job in jobs) / len(jobs) if jobs else 0.0,
        begun=tuple(job for job in jobs if job.stage in ("running", "stopped")),
    )


def job_progress(job: JobRecord, now: float) -> JobProgress:
    """Where one job is, from the names of its files and, once it has begun, its manifest."""
    from .operations import EVAPORATED, FAILED, ORDER, PICTURE, SCATTERED

    if all(job.has(marker) for marker in (ORDER, PICTURE, SCATTERED)):
        return JobProgress(job.id, "failed" if job.has(FAILED) else "finished", 1.0)
    if job.has(ORDER) or job.has(EVAPORATED):
        return JobProgress(job.id, "failed" if job.has(FAILED) else "simulated", 1.0)
    running = job.has(LOCK) and _is_held(job, now)
    if not job.marks:
        return JobProgress(job.id, "running" if running else "failed" if job.has(FAILED) else "waiting", 0.0)
    done, rate, left = _pace(job)
    stage: Stage = "running" if running else "failed" if job.has(FAILED) else "stopped"
    return JobProgress(job.id, stage, done, rate, left)


def _is_held(job: JobRecord, now: float) -> bool:
    """Whether the process that locked a job still gives signs of life; one of this machine can be asked."""
    path = job.path / LOCK
    try:
        return now - path.stat().st_mtime < SILENT and not is_stale(path)
    except OSError:  # it has just been removed
        return False


def _pace(job: JobRecord) -> tuple[float, float | None, float | None]:
    """Share done, steps per second and seconds left, as the manifest's slots say."""
    slots = sorted(_slots(job), key=lambda slot: slot["step"])
    if not slots:
        return 0.0, None, None
    newest = slots[-1]
    step, total = newest["step"], newest["record"]["total_steps"]
    done = step / total if total else 1.0
    # Two checkpoints that follow each other at once, as at the end of a stage, measure nothing.
    earlier = [slot for slot in slots[:-1] if newest["record"]["wall_seconds"] - slot["record"]["wall_seconds"] > 1.0]
    first: dict[str, Any] = earlier[0] if earlier else {"step": 0, "record": {"wall_seconds": 0.0}}
    seconds = newest["record"]["wall_seconds"] - first["record"]["wall_seconds"]
    if step <= first["step"] or seconds <= 0:
        return done, None, None
    rate = (step - first["step"]) / seconds
    return done, rate, (total - step) / rate


def _slots(job: JobRecord) -> list[dict[str, Any]]:
    try:
        slots = read_manifest(job.path / "checkpoint").get("slots", [])
        for slot in slots:
            numbers = (slot["step"], slot["record"]["total_steps"], slot["record"]["wall_seconds"])
            if not all(isinstance(number, int | float) for number in numbers):
                return []
        return list(slots)
    except (SupercubeError, OSError, KeyError, TypeError, AttributeError, ValueError):
        return []  # the next run says what is wrong with it


def duration(seconds: float) -> str:
    """A time as people say it: 40 s, 12 min, 3.5 h, 2.1 days."""
    for size, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {name}" if seconds < 10 * size else f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"
