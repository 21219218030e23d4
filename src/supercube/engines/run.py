"""Drive an engine through a schedule: chunks, log, frames, checkpoints, signals and walltime.

What this does not know: signac, and which engine it drives.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from ..errors import IncompleteError
from ..files import write_whole
from ..model.particles import Model
from ..protocol.schedule import STEP_UNIT, Schedule
from .base import Engine, Setup, State, choose
from .checkpoint import Checkpoint, job_lock, read_manifest, refresh_lock
from .segments import SegmentWriter

#: Frames of the hold: the labels come from its last ones, which have to tell vibration from hopping.
HOLD_FRAMES = 20
#: Steps times bodies from which an engine may spend some seconds on finding out what runs fastest (a minute or more).
WORTH_TUNING = 5_000_000


@dataclass(frozen=True)
class RunOptions:
    """What does not change the answer.

    Attributes:
        engine, device, ranks: as in config.yaml.
        log_period: steps between log rows; also the length of a chunk.
        frames: trajectory frames over the whole schedule; the hold alone gets at least ``HOLD_FRAMES``.
        checkpoint_seconds: wall-clock time between checkpoints.
        walltime_seconds: stop, checkpointed, before this long has passed since the call (None: never).
        progress: ``bar`` (one updating line), ``lines`` (a line every ten seconds) or ``off``.
        label: name of the job in the progress display.
    """

    engine: str = "auto"
    device: str = "auto"
    ranks: int = 1
    log_period: int = 2000
    frames: int = 100
    checkpoint_seconds: float = 60.0
    walltime_seconds: float | None = None
    progress: str = "off"
    label: str = ""


@dataclass(frozen=True)
class RunResult:
    """What a run did: absolute step reached, engine and its own choices, and its speed in this execution."""

    steps_done: int
    engine: str
    engine_version: str
    device: str
    engine_settings: dict[str, Any]
    wall_seconds: float
    steps_per_second: float | None


@dataclass
class _Stop:
    """Set by a signal or the walltime; the loop looks at it between chunks."""

    reason: str = ""
    by_signal: bool = False
    deadline: float = float("inf")
    _previous: dict[int, Any] = field(default_factory=dict)

    def due(self, ahead: float = 0.0) -> str:
        # What takes as long as the longest chunk so far must not be begun if it would end past the deadline.
        if not self.reason and time.monotonic() + ahead > self.deadline:
            self.reason = "the walltime"
        return self.reason

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.reason, self.by_signal = signal.Signals(number).name, True

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        # Only the main thread may install handlers; elsewhere the walltime still works.
        with contextlib.suppress(ValueError):
            for caught in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
                self._previous[caught] = signal.signal(caught, self._receive)
        try:
            yield
            if self.by_signal:
                raise self.incomplete("before it ran")
        except IncompleteError:
            raise
        except Exception as error:
            # A signal that was heard must end this process, whatever else went wrong: a worker that swallowed it would
            # wait for its next job, and its parent for its end, for ever.
            if self.by_signal:
                raise self.incomplete(f"while it failed ({error})") from error
            raise
        finally:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    def incomplete(self, where: str) -> IncompleteError:
        return IncompleteError(f"stopped by {self.reason} {where}; run again to continue.", by_signal=self.by_signal)


def simulate(
    folder: Path, model: Model, schedule: Schedule, start: State, until: int, *, seed: int, options: RunOptions
) -> RunResult:
    """Run a job to the absolute step ``until``, from its checkpoint if it has one, else from ``start``.

    Files are written as described in ``segments`` and ``checkpoint``, and ``model.json`` with the definition of the
    bodies, whose hash the checkpoint carries. The trajectory's first segment begins with the
    start itself; later ones with the state they continue from.

    Args:
        folder: the job's folder.
        model: what runs.
        schedule: steps of the stages, and the volume at every step.
        start: state at step 0, used if there is no checkpoint.
        until: absolute step to reach, an end of a stage.
        seed: of the noise; the seed of an execution also depends on the step it starts at.
        options: everything that does not change the answer.

    Returns:
        RunResult: with ``steps_per_second`` None if there was nothing left to do.

    Raises:
        IncompleteError: a signal or the walltime stopped the run; it is checkpointed and continues next time.
        CheckpointError: the checkpoint belongs to another run.
        EngineError: the engine is absent or failed, or another process runs this job.
    """
    name = options.engine
    if name == "auto":  # a job that has a checkpoint continues with the engine that wrote it
        name = read_manifest(folder / "checkpoint").get("identity", {}).get("engine", name)
    engine_class = choose(name, options.device, options.ranks)
    checkpoint = Checkpoint(
        folder / "checkpoint",
        {
            "engine": engine_class.name,
            "model_hash": model.hash,
            "n": len(start.configuration),
            "box": "triclinic" if start.configuration.box[3:].any() else "rectangular",
        },
    )
    stop = _Stop()
    if options.walltime_seconds is not None:  # building and tuning the engine count
        stop.deadline = time.monotonic() + options.walltime_seconds
    # Listening begins before the lock is taken: a signal while the engine is being built must leave no lock behind.
    with stop.listening(), job_lock(folder):
        engine_class.check(model, start.configuration, min(schedule.volume_start, schedule.volume_end))
        found = checkpoint.load()
        nothing: dict[str, Any] = {"wall_seconds": 0.0}
        state, record = found if found is not None else (start, nothing)
        step = state.configuration.step
        if step >= until and found is not None:
            version, device, settings = record["engine_version"], record["device"], record.get("settings", {})
            return RunResult(step, engine_class.name, version, device, settings, record["wall_seconds"], None)
        write_whole(folder / "model.json", json.dumps(model.definition(), indent=1).encode(), durable=True)
        setup = Setup(
            schedule.time_step,
            seed,
            device=options.device,
            settings=record.get("settings", {}),
            tune=schedule.total_steps * len(start.configuration) > WORTH_TUNING,
            barostat=schedule.barostat,
        )
        engine = engine_class(model, state, setup)
        try:
            return _Run(folder, model, schedule, engine, checkpoint, options, record).to(until, stop)
        finally:
            engine.close()


class _Run:
    """One execution: an engine, its output files and its clock."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        schedule: Schedule,
        engine: Engine,
        checkpoint: Checkpoint,
        options: RunOptions,
        record: dict[str, Any],
    ) -> None:
        self.schedule, self.engine, self.checkpoint, self.options = schedule, engine, checkpoint, options
        self.wall_before = float(record["wall_seconds"])
        self.segments: list[dict[str, Any]] = list(record.get("segments", []))
        self.folder, self.writer = folder, SegmentWriter(folder)
        configuration = engine.state().configuration
        self.body_volume = model.volume_of({b.name: configuration.count(b.name) for b in model.bodies})
        self.step = self.first_step = configuration.step
        period = schedule.total_steps // options.frames
        self.frame_periods = {
            "equilibrate": _whole(period),
            "dry": _whole(period),
            "ramp": _whole(period),
            "hold": _whole(min(period, schedule.hold_steps // HOLD_FRAMES)),
        }

    def to(self, until: int, stop: _Stop) -> RunResult:
        """Run, and return what was done; the files are closed and checkpointed whatever happens but a crash."""
        began = time.monotonic()
        last_checkpoint, longest = began, 0.0
        try:
            with _progress(self.options, self.step, until) as report:
                self._record(frame=True)
                if self.step >= until:  # a stage of no steps still leaves a checkpoint
                    self._save(0.0)
                while self.step < until:
                    chunk_began = time.monotonic()
                    frame = self._advance(until)
                    refresh_lock(self.folder)
                    report(self.step, self.schedule.stage(self.step - 1))
                    self._record(frame=frame or self.step == until)
                    now = time.monotonic()
                    longest = max(longest, now - chunk_began)
                    if (
                        self.step == until
                        or stop.due(longest)
                        or now - last_checkpoint > self.options.checkpoint_seconds
                    ):
                        self._save(now - began)
                        last_checkpoint = now
                    if stop.by_signal or (stop.reason and self.step < until):
                        # A signal counts even in the last chunk: the caller must not go on to the next operation.
                        raise stop.incomplete(f"at step {self.step} of {until}, checkpointed")
        finally:
            self.writer.close()
        return self._result(time.monotonic() - began)

    def _advance(self, until: int) -> bool:
        """One chunk; says whether a frame is due after it."""
        # Chunks end at multiples of the log and frame periods and at ends of stages, wherever they began.
        log, frames = _whole(self.options.log_period), self.frame_periods[self.schedule.stage(self.step)]
        next_frame = (self.step // frames + 1) * frames
        target = min(until, self.schedule.next_boundary(self.step), (self.step // log + 1) * log, next_frame)
        frame = target == next_frame
        self.engine.advance(target - self.step, self.schedule)
        self.step = target
        return frame

    def _record(self, *, frame: bool) -> None:
        thermo = self.engine.measure()
        self.writer.row(self.step, self.step * self.schedule.time_step, thermo, self.body_volume)
        if frame:
            self.writer.frame(self.engine.state().configuration)

    def _save(self, elapsed: float) -> None:
        record = {
            "engine_version": self.engine.version,
            "device": self.engine.device,
            "settings": self.engine.settings,
            "wall_seconds": self.wall_before + elapsed,
            "total_steps": self.schedule.total_steps,
            "segments": [*self.segments, self.writer.sync()],
        }
        self.checkpoint.save(self.engine.state(), record)

    def _result(self, elapsed: float) -> RunResult:
        rate = (self.step - self.first_step) / elapsed if elapsed > 0 else None
        engine = self.engine
        wall = self.wall_before + elapsed
        return RunResult(self.step, engine.name, engine.version, engine.device, engine.settings, wall, rate)


def _whole(period: int) -> int:
    """The period as a multiple of STEP_UNIT, at least one of it, so that no chunk ends between two box changes."""
    return max(1, period // STEP_UNIT) * STEP_UNIT


@contextlib.contextmanager
def _progress(options: RunOptions, first: int, until: int) -> Iterator[Any]:
    if options.progress == "bar":
        from tqdm import tqdm

        with tqdm(total=until, initial=first, unit="step", unit_scale=True, desc=options.label, leave=False) as bar:

            def show(step: int, stage: str) -> None:
                bar.set_postfix_str(stage, refresh=False)
                bar.update(step - bar.n)

            yield show
        return
    yield _Lines(options.label, first, until) if options.progress == "lines" else lambda step, stage: None


class _Lines:
    """A full line every ten seconds: readable when several jobs share a terminal or a log file."""

    def __init__(self, label: str, first: int, until: int) -> None:
        self.label, self.first, self.until = label, first, until
        self.began = self.last = time.monotonic()

    def __call__(self, step: int, stage: str) -> None:
        now = time.monotonic()
        if now - self.last < 10.0 and step < self.until:
            return
        self.last = now
        rate = (step - self.first) / (now - self.began)
        left = (self.until - step) / rate
        print(
            f"{self.label}  {stage:11s} {100 * step / self.until:5.1f} %  {rate:6.0f} steps/s  "
            f"{int(left // 60)}:{int(left % 60):02d} left",
            file=sys.stderr,
            flush=True,
        )


def progress_style() -> str:
    """``SUPERCUBE_PROGRESS`` if set (bar, lines, off); else a bar on a terminal and lines elsewhere."""
    asked = os.environ.get("SUPERCUBE_PROGRESS", "")
    if asked in ("bar", "lines", "off"):
        return asked
    return "bar" if sys.stderr.isatty() else "lines"
