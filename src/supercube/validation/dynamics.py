"""What only a long run shows: momentum, drift of the energy, temperatures, diffusion and pressure, each with its error.

The parity suite and the report measure with these functions; only the lengths of the runs differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from ..configuration import Configuration
from ..crystals.build import build_crystal
from ..engines.base import Engine, Setup, State, Thermo, choose, installed_version, single_point, thermal_state
from ..model.particles import Body, Model, build_model
from ..protocol.initial import random_fluid
from ..protocol.schedule import Schedule, make_schedule
from ..statepoint import StatePoint
from .results import N_ERRORS, Check, engine_label

FloatArray = NDArray[np.float64]
Motion = Literal["cube translation", "sphere translation", "cube rotation"]

GROUP = "Dynamics"


# --- engines, models, schedules --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Machine:
    """An engine on a device."""

    name: str
    device: str = "cpu"

    def __str__(self) -> str:
        return self.name if self.device == "cpu" else f"{self.name}-{self.device}"

    def single_point(self, model: Model, configuration: Configuration) -> tuple[float, FloatArray, FloatArray]:
        """Energy (kT), and forces and torques (N, 3) (kT/e, kT, space frame) of one configuration."""
        return single_point(model, configuration, choose(self.name, self.device), self.device)[:3]

    @contextmanager
    def running(
        self, model: Model, state: State, time_step: float, seed: int = 1, *, thermostat: bool = True
    ) -> Iterator[Engine]:
        """A running engine, closed at the end."""
        setup = Setup(time_step, seed, thermostat=thermostat, device=self.device)
        engine = choose(self.name, self.device)(model, state, setup)
        try:
            yield engine
        finally:
            engine.close()


@cache
def model_of(
    n_cubes: int, n_spheres: int, gamma: float, ligand_length: float, roughness: float, attraction: float = 0.0
) -> Model:
    """The model of a state point with these values."""
    values = {"n_cubes": n_cubes, "n_spheres": n_spheres, "ligand_length": ligand_length, "roughness": roughness}
    size_ratio = {"size_ratio": gamma} if n_spheres else {}
    return build_model(StatePoint.parse(values | size_ratio | {"attraction": attraction}, "validation"))


def endless(
    model: Model, configuration: Configuration, time_step: float, peclet: float = 0.0, target: float = 0.0
) -> Schedule:
    """A schedule that goes on for ever, after drying to the packing fraction ``target`` if asked for."""
    return make_schedule(
        time_step=time_step,
        volume=configuration.volume,
        body_volume=model.volume_of({name: configuration.count(name) for name in configuration.species}),
        diffusion=model.diffusion,
        peclet=peclet,
        target_packing_fraction=target,
        equilibration_time=1e6 if peclet == 0 else 1.0,
        hold_time=1e6,
    )


def mean_and_error(series: ArrayLike, n_blocks: int = 20) -> tuple[float, float]:
    """Mean and standard error of a correlated series: blocks much longer than the correlation are independent."""
    values = np.asarray(series, dtype=np.float64)
    blocks = values[: len(values) // n_blocks * n_blocks].reshape(n_blocks, -1).mean(axis=1)
    return float(blocks.mean()), float(blocks.std(ddof=1) / math.sqrt(n_blocks))


# --- without a thermostat --------------------------------------------------------------------------------------------

#: Structure, counts with gamma and lambda, and expansion of crystals that run without a thermostat.
NVE: dict[str, tuple[str, tuple[int, int, float, float], float]] = {
    "cubes, lambda 0.2": ("SC", (64, 0, 1.0, 0.2), 1.18),
    "cubes, lambda 0.1": ("SC", (64, 0, 1.0, 0.1), 1.18),
    "ABO3": ("ABO3", (108, 27, 0.49, 0.18), 1.08),
}
#: So long that the slope of a random walk is well below the promise: see :func:`drift_and_error`.
NVE_STEPS = 60_000
#: Steps between two energies of the series.
NVE_PERIOD = 200
#: What ``Model.time_step`` promises: kT per degree of freedom and 1,000 steps.
LARGEST_DRIFT = 1e-5


@dataclass(frozen=True)
class Conservation:
    """What a run without thermostat kept.

    Attributes:
        drift, error: of the energy, kT per degree of freedom and 1,000 steps, and what a random walk would give.
        momentum: change of the total momentum over its thermal spread sqrt(3 M kT).
        temperature: of translation at the end, kT.
        spread: sqrt(2/(3 N)), the standard deviation of that temperature.
    """

    drift: float
    error: float
    momentum: float
    temperature: float
    spread: float


def conservation(machine: Machine, case: str, steps: int = NVE_STEPS) -> Conservation:
    """Run a crystal of ``NVE`` without thermostat, after a thermal start.

    Args:
        machine: what runs.
        case: a key of ``NVE``.
        steps: of the run, a multiple of ``NVE_PERIOD``.
    """
    structure, counts, expansion = NVE[case]
    model, configuration = model_of(*counts, 0.02), build_crystal(structure, *counts, expansion)
    dt = 2 * model.time_step  # nothing drifts in a thermostat, and a crystal forgets its perfection in 5 time units
    with machine.running(model, thermal_state(model, configuration, 1), dt) as engine:
        engine.advance(round(5 / dt), endless(model, configuration, dt))
        state = engine.state()
    schedule, energies = endless(model, configuration, model.time_step), []
    with machine.running(model, state, model.time_step, thermostat=False) as engine:
        before = total_momentum(model, engine.state())
        for _ in range(steps // NVE_PERIOD):
            engine.advance(NVE_PERIOD, schedule)
            energies.append(energy_per_degree(engine.measure(), configuration))
        temperature = engine.measure().temperature_translation
        change = total_momentum(model, engine.state()) - before
    drift, error = drift_and_error(energies)
    mass = sum(body.mass * configuration.count(body.name) for body in model.bodies)
    momentum = float(np.linalg.norm(change)) / math.sqrt(3 * mass)
    return Conservation(drift, error, momentum, temperature, math.sqrt(2 / (3 * len(configuration))))


def total_momentum(model: Model, state: State) -> FloatArray:
    """(3,) sum of m v, cube masses times e per time."""
    total = np.zeros(3)
    for body in model.bodies:
        total += body.mass * state.velocities[state.configuration.is_species(body.name)].sum(axis=0)
    return total


def drift_and_error(energies: ArrayLike) -> tuple[float, float]:
    """Least-squares slope per 1,000 steps of energies every 200, and what a random walk without drift would give.

    Errors of the energy are a random walk of stiff collisions; one of w per 1,000 steps has a slope of w sqrt(6/(5 n))
    over n thousands.
    """
    values = np.asarray(energies, dtype=np.float64)
    per_thousand = 1000 // NVE_PERIOD
    slope = float(np.polyfit(np.arange(len(values)) / per_thousand, values, 1)[0])
    walk, thousands = np.sqrt((np.diff(values[::per_thousand]) ** 2).mean()), len(values) / per_thousand
    return slope, float(walk * math.sqrt(6 / (5 * thousands)))


def energy_per_degree(thermo: Thermo, configuration: Configuration) -> float:
    """(U + K)/f in kT, with f = 3 N + 3 N_cubes degrees of freedom."""
    n, n_cubes = len(configuration), configuration.count("cube")
    rotation = n_cubes * thermo.temperature_rotation if n_cubes else 0.0
    kinetic = 1.5 * (n * thermo.temperature_translation + rotation)
    return (thermo.potential_energy + kinetic) / (3 * n + 3 * n_cubes)


# --- a dense fluid ---------------------------------------------------------------------------------------------------

#: Cubes, spheres, gamma, lambda of the fluid, and the packing fraction it is dried to.
FLUID, FLUID_FRACTION = (80, 20, 0.8, 0.2), 0.45
FLUID_TIME, FLUID_PERIOD = 220.0, 40
#: The Langevin schemes of both engines are exact at any step for a free body: friction acts on the velocity at half
#: steps, and the one at whole steps has <v^2> = kT/m. What is left is Verlet's in a contact, (omega dt)^2/4 of its
#: energy: 0.0036 for the stiffest at omega dt = 0.12, and a tenth of that as soft as bodies of a fluid touch.
CONTACT_HEATING = 0.0004


@cache
def dense_fluid(
    machine: Machine, time: float = FLUID_TIME
) -> tuple[Model, list[Thermo], list[tuple[Thermo, Configuration]]]:
    """Thermo every 40 steps, and with the configuration ten times, of a fluid dried to a packing fraction of 0.45.

    Args:
        machine: what runs.
        time: of the measurement, time units.
    """
    model, loose = model_of(*FLUID, 0.05), random_fluid(*FLUID, 0.25, 3)
    schedule = endless(model, loose, model.time_step, peclet=400.0, target=FLUID_FRACTION)
    rows, frames = [], []
    with machine.running(model, thermal_state(model, loose, 3), model.time_step, seed=3) as engine:
        for steps in (schedule.equilibration_steps, schedule.drying_steps, round(10 / model.time_step)):
            engine.advance(steps, schedule)
        n_rows = round(time / model.time_step / FLUID_PERIOD)
        for k in range(n_rows):
            engine.advance(FLUID_PERIOD, schedule)
            rows.append(engine.measure())
            if k % (n_rows // 10) == 0:
                frames.append((rows[-1], engine.state().configuration))
    return model, rows, frames


# --- diffusion -------------------------------------------------------------------------------------------------------

#: Free bodies have no stiff contacts: the step need only be short against I/zeta_r = 0.26.
WALK_STEP = 0.005
WALK_TIME = 50.0
#: Steps between two frames.
WALK_PERIOD = 5
MOTIONS: tuple[Motion, ...] = ("cube translation", "cube rotation", "sphere translation")


def free_bodies(n_each: int, box: float = 30.0) -> tuple[Model, Configuration]:
    """Cubes and spheres whose beads do not interact, so that none ever meets another.

    Mass, inertia and friction are the model's. Eight corners are enough beads to carry an orientation.

    Args:
        n_each: number of each species.
        box: edge of the box, e.
    """
    model = model_of(n_each, n_each, 1.0, 0.2, 0.05)
    model = replace(model, bodies=tuple(_ghost(body) for body in model.bodies))
    n = 2 * n_each
    configuration = Configuration(
        box=np.array([box, box, box, 0, 0, 0]),
        positions=np.random.default_rng(4).uniform(-box / 2, box / 2, (n, 3)),
        orientations=np.tile([1.0, 0, 0, 0], (n, 1)),
        species=("cube", "sphere"),
        typeid=np.repeat([0, 1], n_each),
    )
    return model, configuration


def _ghost(body: Body) -> Body:
    corners = 0.3 * np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), axis=-1).reshape(-1, 3)
    positions = np.concatenate([np.zeros((1, 3)), corners]) if body.is_rigid else np.zeros((1, 3))
    return replace(body, positions=positions, radii=np.zeros(len(positions)))


@dataclass(frozen=True)
class Walk:
    """Paths of bodies that never meet, every ``WALK_PERIOD`` steps.

    Attributes:
        model: masses and frictions.
        configuration: which body is what.
        positions: (T, N, 3) unwrapped, e.
        angles: (T, N_cubes, 3) integral of the angular velocity, rad.
    """

    model: Model
    configuration: Configuration
    positions: FloatArray
    angles: FloatArray


@cache
def walk(machine: Machine, n_each: int = 1000, time: float = WALK_TIME) -> Walk:
    """Unwrapped positions and orientations of lone cubes and spheres.

    Args:
        machine: what runs.
        n_each: number of each species.
        time: of the run, time units.
    """
    model, configuration = free_bodies(n_each)
    schedule, positions, orientations = endless(model, configuration, WALK_STEP), [], []
    with machine.running(model, thermal_state(model, configuration, 2), WALK_STEP, seed=5) as engine:
        for _ in range(round(time / WALK_STEP / WALK_PERIOD)):
            engine.advance(WALK_PERIOD, schedule)
            now = engine.state().configuration
            positions.append(now.unwrapped)
            orientations.append(now.orientations)
    cubes = configuration.is_species("cube")
    turns = [Rotation.from_quat(q[cubes], scalar_first=True) for q in orientations]
    return Walk(model, configuration, np.array(positions), angular_displacements(turns))


def angular_displacements(turns: Sequence[Rotation]) -> FloatArray:
    """(T, N, 3) sums of the rotation vectors from each frame to the next, in the space frame.

    They are the integral of the angular velocity up to the commutators of turns within one frame, so frames must be
    short: here a frame turns a body by 0.1 rad and its velocity by a tenth, which leaves 1e-4 of the angle.
    """
    steps = [(after * before.inv()).as_rotvec() for before, after in pairwise(turns)]
    return np.asarray(np.cumsum([np.zeros_like(steps[0]), *steps], axis=0))


def mean_square(path: FloatArray, lag: int) -> FloatArray:
    """(N,) mean square displacement of each body over ``lag`` frames, from all origins; bodies are independent."""
    return np.asarray(((path[lag:] - path[:-lag]) ** 2).sum(axis=-1).mean(axis=0))


@dataclass(frozen=True)
class Diffusion:
    """D zeta/kT of one motion: its mean and standard error over bodies, and dt/8 tau, what the scheme may be off by."""

    value: float
    error: float
    discretisation: float


def diffusion(path: Walk, motion: Motion) -> Diffusion:
    """D zeta/kT from <dr^2> = 6 D [t - tau (1 - exp(-t/tau))], tau = m/zeta (or I/zeta_r), at t = 5 tau.

    The formula is exact for a velocity that is an Ornstein-Uhlenbeck process; so is the angular velocity of a body of
    isotropic inertia, and its integral is the angle. The long-time D of the engines' schemes is exact; their memory tau
    is off by half a step, an eighth of dt/tau in the bracket.
    """
    body = path.model.body(motion.split()[0])
    rotates = motion.endswith("rotation")
    friction, inertia = (body.rotational_friction, body.inertia) if rotates else (body.friction, body.mass)
    displacements = path.angles if rotates else path.positions[:, path.configuration.is_species(body.name)]
    tau, frame = inertia / friction, WALK_PERIOD * WALK_STEP
    lag = round(5 * tau / frame)
    t = lag * frame
    found = friction * mean_square(displacements, lag) / (6 * (t - tau * (1 - math.exp(-t / tau))))
    error = float(found.std(ddof=1)) / math.sqrt(len(found))
    return Diffusion(float(found.mean()), error, 0.125 * WALK_STEP / tau)


# --- for the report --------------------------------------------------------------------------------------------------

#: Rounding of the total momentum over its thermal spread: 1e-16 a step, 1e-11 in 1e5 steps that all err alike.
LARGEST_MOMENTUM = 1e-11
#: Cases of ``NVE`` in the report; the parity suite runs all.
REPORTED = ("cubes, lambda 0.2", "ABO3")
#: How much shorter a quick run is.
QUICK = 10


def dynamics_checks(machine: Machine, *, quick: bool = False) -> list[Check]:
    """Conservation without thermostat, temperatures of a dense fluid, diffusion of lone bodies.

    Args:
        machine: what runs.
        quick: a tenth of the time, with errors sqrt(10) as large.
    """
    engine, shorter = label(machine), QUICK if quick else 1
    return [
        *_conservation_checks(machine, engine, shorter),
        *_temperature_checks(machine, engine, shorter),
        *_diffusion_checks(machine, engine, shorter),
    ]


def label(machine: Machine) -> str:
    """Name of the engine with its version, and the device if it is not the CPU."""
    return engine_label(machine.name, installed_version(machine.name), machine.device)


def _conservation_checks(machine: Machine, engine: str, shorter: int) -> list[Check]:
    checks = []
    for case in REPORTED:
        structure, counts, _ = NVE[case]
        found = conservation(machine, case, NVE_STEPS // shorter)
        bodies = f"{counts[0] + counts[1]} bodies ({structure}, lambda {counts[3]:g})"
        momentum = Check(
            group=GROUP,
            name=f"change of the total momentum over its thermal spread, {bodies}",
            engine=engine,
            value=found.momentum,
            error=0.0,
            target=0.0,
            source="Newton: forces come in pairs",
            tolerance=LARGEST_MOMENTUM,
            why="rounding: 1e-16 a step, and up to 1e5 steps that all err alike",
        )
        temperature = Check(
            group=GROUP,
            name=f"temperature of translation of that run at its end, {bodies}, kT",
            engine=engine,
            value=found.temperature,
            error=found.spread,
            target=1.0,
            source="its thermal start: a cold one conserves energy for nothing",
            tolerance=0.0,
            why="none",
        )
        checks += [_drift_check(found, engine, bodies, shorter), momentum, temperature]
    return checks


def _drift_check(found: Conservation, engine: str, bodies: str, shorter: int) -> Check:
    largest = LARGEST_DRIFT * math.sqrt(shorter)
    return Check(
        group=GROUP,
        name=f"energy drift without thermostat, {bodies}, kT per degree of freedom and 1,000 steps",
        engine=engine,
        value=found.drift,
        error=found.error,
        target=0.0,
        source="Newton: energy is constant",
        # Allowed in all is what the time step promises, or else what the random walk explains.
        tolerance=max(0.0, largest - N_ERRORS * found.error),
        why="together with the errors, the 1e-5 that the time step was chosen to stay below; the error is what "
        "a random walk of stiff collisions would show without drift",
        # A walk as wide as the promise would hide any drift, and is itself an integrator that does not conserve.
        largest_error=largest,
    )


def _temperature_checks(machine: Machine, engine: str, shorter: int) -> list[Check]:
    _, rows, _ = dense_fluid(machine, FLUID_TIME / shorter)
    values = {
        "translation": [row.temperature_translation for row in rows],
        "rotation": [row.temperature_rotation for row in rows],
    }
    checks = []
    for degree, series in values.items():
        mean, error = mean_and_error(series)
        checks.append(
            Check(
                group=GROUP,
                name=f"temperature of {degree} of a fluid, {FLUID[0]} cubes + {FLUID[1]} spheres at packing fraction "
                f"{FLUID_FRACTION:g}, kT",
                engine=engine,
                value=mean,
                error=error,
                target=1.0,
                source="equipartition",
                tolerance=CONTACT_HEATING,
                why="Verlet in a contact heats by (omega dt)^2/4 of its energy: 0.0036 for the stiffest contact, a "
                "tenth of that for contacts as soft as those of a fluid",
                largest_error=0.005 * math.sqrt(shorter),
            )
        )
    return checks


def _diffusion_checks(machine: Machine, engine: str, shorter: int) -> list[Check]:
    path, checks = walk(machine, 1000, WALK_TIME / math.sqrt(shorter)), []
    for motion in MOTIONS:
        found = diffusion(path, motion)
        checks.append(
            Check(
                group=GROUP,
                name=f"D zeta/kT of {motion}, alone",
                engine=engine,
                value=found.value,
                error=found.error,
                target=1.0,
                source="Einstein: D = kT/zeta",
                tolerance=found.discretisation,
                why="the memory m/zeta of the scheme is off by half a step, dt/8 tau of the mean square displacement",
                largest_error=0.01 * math.sqrt(shorter),
            )
        )
    return checks
