"""How fast jobs run: a model of the measured speeds, and short runs that measure some.

seconds per step = A (w0 + n_beads + 5 n_bodies): the pairs of beads in reach are proportional to the beads, and a body
costs about five of them for its own motion and neighbours (the best fit to 150 LAMMPS jobs of 64 to 340 bodies with 1
to 69 beads each, where beads alone missed by 0.63 in the logarithm and this by 0.42). A makes the sum over
the measured jobs of one engine and device right; w0, what a step costs without particles, is 0 unless the measured jobs
show more, as on GPUs. Jobs like measured ones (the same particles and start) lean on those. What remains unexplained is
the spread, 0.3 to 0.5: most of it is machines that were shared, and that dense states are slower than dilute ones.
"""

from __future__ import annotations

import math
import re
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .config import Config
from .configuration import Configuration
from .errors import IncompleteError, InputError
from .model.particles import Model, build_model
from .protocol.schedule import Schedule
from .statepoint import ProtocolSettings, StatePoint

#: Beads that a body costs beside its own.
BODY_COST = 5
#: Spread (in the logarithm) assumed while fewer than ``ENOUGH`` jobs are measured: that of 150 jobs, 0.42.
UNKNOWN_SPREAD = 0.42
ENOUGH = 5
#: What w0 may be, in beads; GPUs need some 10,000 before the number of beads matters.
_OFFSETS = (0.0, *np.geomspace(100.0, 1e5, 13).tolist())
#: Fewer different sizes than this say nothing about w0.
_SIZES = 4
#: Steps between two looks at the clock while measuring.
_CHUNK = 500


@dataclass(frozen=True)
class Particles:
    """What a state point's model is made of, and how the run starts: jobs that share it run alike."""

    n_cubes: int
    n_spheres: int
    size_ratio: float
    ligand_length: float
    attraction: float
    roughness: float
    initial: str

    @classmethod
    def of(cls, state_point: StatePoint) -> Particles:
        """Those of a state point."""
        return cls(**{name: getattr(state_point, name) for name in cls.__dataclass_fields__})

    def __str__(self) -> str:
        parts = [f"{n} {name}" for n, name in ((self.n_cubes, "cubes"), (self.n_spheres, "spheres")) if n]
        parts[-1] += f", γ = {self.size_ratio:g}" if self.n_spheres else ""
        attracts = f", {self.attraction:g} kT" if self.attraction else ""
        start = "file" if self.initial.startswith("file:") else self.initial
        return f"{' + '.join(parts)}, λ = {self.ligand_length:g}{attracts}, from {start}"


@dataclass(frozen=True)
class Rate:
    """A measured speed.

    Attributes:
        engine, device: what ran; the device without its details.
        particles: what was run.
        work: n_beads + 5 n_bodies.
        seconds: wall-clock time per step.
        ranks: MPI ranks that it ran on.
    """

    engine: str
    device: str
    particles: Particles
    work: float
    seconds: float
    ranks: int = 1


def work_of(beads: int, bodies: int) -> float:
    """n_beads + 5 n_bodies, to which the time per step is proportional."""
    return float(beads + BODY_COST * bodies)


# --- the model --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RateModel:
    """seconds per step = A (w0 + work), corrected by what like jobs took.

    Attributes:
        scale: A, seconds.
        offset: w0, beads.
        spread: root mean square of ln(measured / expected), each job expected from the others.
        like: times per step of measured jobs with the same particles.
    """

    scale: float
    offset: float
    spread: float
    like: dict[Particles, list[float]]

    def seconds(self, particles: Particles, work: float) -> float:
        """Expected wall-clock time per step: the mean of like jobs and of the formula, which counts as one of them.

        A single like job says little: two of the same kind differ as much on a shared machine as two kinds.
        """
        like = self.like.get(particles, [])
        return (sum(like) + self.scale * (self.offset + work)) / (len(like) + 1)


def fit(rates: Sequence[Rate]) -> RateModel:
    """The model of some measured speeds of one engine and device (at least one)."""
    scale, offset = _scale_and_offset(rates)
    spread = UNKNOWN_SPREAD
    if len(rates) >= ENOUGH:
        spread = math.sqrt(statistics.fmean(error**2 for error in left_out_errors(rates)))
    return RateModel(scale, offset, spread, _by_particles(rates))


def left_out_errors(rates: Sequence[Rate]) -> list[float]:
    """ln(measured / expected) of every job, expected from all others: what the model is worth for a new job."""
    scale, offset = _scale_and_offset(rates)
    known = sum(rate.seconds for rate in rates), sum(offset + rate.work for rate in rates)
    like = {particles: (sum(found), len(found)) for particles, found in _by_particles(rates).items()}
    errors = []
    for rate in rates:
        # A and the mean of like jobs without this one; w0 hardly depends on a single job.
        work = offset + rate.work
        others = (known[0] - rate.seconds) / (known[1] - work) if len(rates) > 1 else scale
        total, number = like[rate.particles]
        errors.append(math.log(rate.seconds * number / (total - rate.seconds + others * work)))
    return errors


def _by_particles(rates: Iterable[Rate]) -> dict[Particles, list[float]]:
    like: dict[Particles, list[float]] = defaultdict(list)
    for rate in rates:
        like[rate.particles].append(rate.seconds)
    return dict(like)


def _scale_and_offset(rates: Sequence[Rate]) -> tuple[float, float]:
    """A and w0: the sum of all times is exact, and w0 makes the single ones scatter least.

    The median of the ratios would be a steadier A, but totals came out 6 to 50 % too low with it in six data spaces,
    because slow jobs are the ones that cost.
    """
    work, seconds = (np.array([getattr(rate, name) for rate in rates]) for name in ("work", "seconds"))
    offsets = _OFFSETS if len(set(work.tolist())) >= _SIZES else (0.0,)
    scatter = [float(np.std(np.log(seconds / (offset + work)))) for offset in offsets]
    # The simplest within 2 % of the best: a scatter of ten jobs is not known better than that.
    chosen = next(o for o, s in zip(offsets, scatter, strict=True) if s <= 1.02 * min(scatter))
    return float(seconds.sum() / (chosen + work).sum()), chosen


# --- speeds of jobs that have run -------------------------------------------------------------------------------------


def rate_of(manifest: Mapping[str, Any], state_point: StatePoint) -> Rate | None:
    """How fast a job has run up to its last checkpoint, over all of its executions; None if that is not known.

    The mean over a whole run, and not the speed of its last part, is what a new job takes.

    Args:
        manifest: of its checkpoint.
        state_point: of the job.
    """
    slot = newest_slot(manifest)
    if slot is None:
        return None
    step, record = int(slot["step"]), slot["record"]
    wall = float(record.get("wall_seconds", 0.0))
    if step <= 0 or wall <= 0:
        return None
    # Such as "cpu", "gpu (NVIDIA A100)" or "8 ranks, cpu".
    told = re.match(r"(?:(\d+) ranks, )?(\w+)", str(record.get("device", "cpu")))
    ranks, device = (int(told[1] or 1), told[2]) if told else (1, "cpu")
    work = work_of(beads_of(state_point), state_point.n_bodies)
    return Rate(str(manifest["identity"]["engine"]), device, Particles.of(state_point), work, wall / step, ranks)


def newest_slot(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The last checkpoint in a manifest, None if there is none.

    Raises:
        InputError: the manifest is not one.
    """
    if not manifest:
        return None
    try:
        newest: Mapping[str, Any] = max(manifest["slots"], key=lambda slot: int(slot["step"]))
        float(newest["record"].get("wall_seconds", 0.0))
        return newest if manifest["identity"]["engine"] else None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"checkpoint/manifest.json is not what a run writes ({error!r}); expected slots with step and record - "
            "restore it from a backup, or delete checkpoint/ to start the job again."
        ) from error


def beads_of(state_point: StatePoint) -> int:
    """Number of beads of all bodies."""
    model = shared_model(state_point)
    counts = {"cube": state_point.n_cubes, "sphere": state_point.n_spheres}
    return sum(counts[body.name] * body.n_beads for body in model.bodies)


def shared_model(state_point: StatePoint) -> Model:
    """The model of a state point, built once for all that differ in the numbers of particles and how they are run."""
    kept = ("size_ratio", "ligand_length", "attraction", "roughness")
    values: dict[str, Any] = {name: getattr(state_point, name) for name in kept}
    present = {name: min(getattr(state_point, name), 1) for name in ("n_cubes", "n_spheres")}
    return _built(StatePoint(**values, **present))


@cache
def _built(state_point: StatePoint) -> Model:
    return build_model(state_point)


@dataclass(frozen=True)
class _Planned:
    """What ``schedule_of`` asks of a job."""

    id: str
    cached_statepoint: dict[str, Any]
    doc: dict[str, Any]


def schedule_for(state_point: StatePoint, protocol: ProtocolSettings, model: Model, initial: Configuration) -> Schedule:
    """``operations.schedule_of`` without a job."""
    from .operations import schedule_of

    return schedule_of(_Planned("", state_point.to_dict(), {"protocol": protocol.to_dict()}), model, initial)


# --- measuring --------------------------------------------------------------------------------------------------------


def measure_rate(
    state_point: StatePoint, protocol: ProtocolSettings, files: Path, config: Config, seconds: float
) -> Rate:
    """Run a job for some seconds in a temporary folder.

    A fluid that dries is measured at ``LARGEST_FLUID``, for its start is dilute and fast and its end dense and slow.

    Args:
        state_point: of the job.
        protocol: of the job.
        files: where the project keeps its GSD files.
        config: engine, device and ranks.
        seconds: wall-clock time; one chunk of steps at least is run.

    Raises:
        IncompleteError: a signal stopped it.
        InputError: a start that cannot be made, or a job without steps.
        EngineError: the engine is missing or failed.
    """
    from .engines.base import thermal_state
    from .engines.checkpoint import read_manifest
    from .engines.run import RunOptions, simulate
    from .protocol.initial import initial_configuration

    fraction = _fraction_to_measure(state_point, protocol)
    initial = initial_configuration(state_point, fraction, state_point.seed("build"), files)
    model = build_model(state_point)
    schedule = schedule_for(state_point, protocol, model, initial)
    state = thermal_state(model, initial, state_point.seed("velocities"))
    options = RunOptions(
        config.engine, config.device, config.ranks, min(config.log_period, _CHUNK), walltime_seconds=seconds
    )
    with tempfile.TemporaryDirectory(prefix="supercube-estimate-") as name:
        folder = Path(name)
        try:
            simulate(folder, model, schedule, state, schedule.total_steps, seed=1, options=options)
        except IncompleteError as stop:
            if stop.by_signal:
                raise
        rate = rate_of(read_manifest(folder / "checkpoint"), state_point)
    if rate is None:
        raise InputError(f"{Particles.of(state_point)}: a run without steps has no speed; expected a longer protocol.")
    return rate


def _fraction_to_measure(state_point: StatePoint, protocol: ProtocolSettings) -> float:
    from .protocol.initial import LARGEST_FLUID, check_initial

    if state_point.evaporation_rate > 0 and state_point.initial == "fluid":
        try:
            check_initial(state_point, LARGEST_FLUID, Path())
        except InputError:  # too few particles for so small a box, or a target below it
            return protocol.initial_packing_fraction
        return LARGEST_FLUID
    return protocol.initial_packing_fraction
