"""Constant pressure: spheres take the volume of hard spheres at it, and volumes fluctuate as they must.

With A = V (P_int - P), P_int the instantaneous pressure, integration by parts of the distribution
V^N exp[-(U + P V)/kT] over ln V gives <A> = 0 and <(V - <V>) A> = -kT <V>: the second tests the fluctuations of the
volume against those of the virial, whatever the material. (Of three free lengths it is the same sum.) Other measures
than d ln V differ by 1/N.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration
from ..crystals.build import build_crystal
from ..engines.base import Setup, choose, thermal_state
from ..model.particles import Model
from ..protocol.schedule import Barostat, Schedule
from .dynamics import Machine, label, mean_and_error, model_of
from .results import Check
from .spheres import LIGAND_LENGTH, TARGETS, barker_henderson

FloatArray = NDArray[np.float64]

GROUP = "Constant pressure"
N_SPHERES, DENSITY = 108, 0.6
#: Cubes in a crystal, and their pressure in kT/e^3.
N_CUBES, CRYSTAL_PRESSURE = 27, 15.0
EQUILIBRATION_TIME, TIME, PERIOD = 20.0, 160.0, 50


@dataclass(frozen=True)
class Held:
    """Volumes and instantaneous pressures of one run, (K,) each, and what pressure was asked for."""

    volumes: FloatArray
    pressures: FloatArray
    pressure: float

    @property
    def balance(self) -> tuple[float, float]:
        """<V P_int>/(P <V>) = 1 + <A>/(P <V>), 1 at constant pressure, and its standard error from blocks."""
        # The error is that of A, where V P_int and P V fluctuate together.
        work = self.volumes * (self.pressures - self.pressure)
        return mean_and_error(1 + work / (self.pressure * self.volumes.mean()))

    @property
    def fluctuation(self) -> tuple[float, float]:
        """-<(V - <V>) A>/(kT <V>), 1 at constant pressure, and its standard error from blocks."""
        work = self.volumes * (self.pressures - self.pressure)
        product = (self.volumes - self.volumes.mean()) * (work - work.mean())
        return mean_and_error(-product / self.volumes.mean())


def hold(machine: Machine, model: Model, start: Configuration, pressure: float, freedom: str, time: float) -> Held:
    """Run at constant pressure and keep volume and pressure every ``PERIOD`` steps after the equilibration."""
    barostat = Barostat(pressure, pressure, 0, 0, freedom)
    schedule = Schedule(model.time_step, 10**9, 0, 0, start.volume, start.volume, barostat)
    setup = Setup(model.time_step, 5, device=machine.device, barostat=barostat)
    engine, rows = choose(machine.name, machine.device)(model, thermal_state(model, start, 5), setup), []
    try:
        engine.advance(round(EQUILIBRATION_TIME / model.time_step / PERIOD) * PERIOD, schedule)
        for _ in range(round(time / model.time_step / PERIOD)):
            engine.advance(PERIOD, schedule)
            rows.append(engine.measure())
    finally:
        engine.close()
    return Held(np.array([row.volume for row in rows]), np.array([row.pressure for row in rows]), pressure)


def pressure_checks(machine: Machine, *, quick: bool = False) -> list[Check]:
    """Density of a fluid of spheres at the pressure of hard spheres; balance and fluctuations of it and of cubes in SC.

    Args:
        machine: what runs.
        quick: a tenth of the time.
    """
    engine, time = label(machine), TIME / 10 if quick else TIME
    slack = math.sqrt(10) if quick else 1.0
    spheres, diameter = _fluid(machine, time)
    densities = N_SPHERES * diameter**3 / spheres.volumes
    value, error = mean_and_error(densities)
    density = Check(
        group=GROUP,
        name=f"rho d^3 of {N_SPHERES} spheres at P d^3/kT = {DENSITY * TARGETS[DENSITY]:.4f}",
        engine=engine,
        value=value,
        error=error,
        target=DENSITY,
        source=f"hard spheres have Z = {TARGETS[DENSITY]:g} there",
        tolerance=0.003,
        why="the mean of 1/V over its fluctuations and the number of particles, each about rho/(3 N)",
        largest_error=0.003 * slack,
    )
    cubes = hold(machine, *_crystal(), CRYSTAL_PRESSURE, "lengths", time)
    checks = [density]
    for what, found, n in (
        (f"{N_SPHERES} spheres, isotropic box", spheres, N_SPHERES),
        (f"{N_CUBES} cubes in SC, three free lengths", cubes, N_CUBES),
    ):
        checks += [_balance(engine, what, found, slack), _fluctuation(engine, what, found, 1 / n, slack)]
    return checks


def _fluid(machine: Machine, time: float) -> tuple[Held, float]:
    model = model_of(0, N_SPHERES, 1.0, LIGAND_LENGTH, 0.02)
    diameter = barker_henderson(model)
    crystal = build_crystal("fcc", 0, N_SPHERES, 1.0, LIGAND_LENGTH)
    # A little looser than it is going to be, so that the crystal melts.
    factor = (N_SPHERES * diameter**3 / (0.9 * DENSITY) / crystal.volume) ** (1 / 3)
    start = crystal.with_(box=crystal.box * [factor, factor, factor, 1, 1, 1], positions=crystal.positions * factor)
    pressure = DENSITY * TARGETS[DENSITY] / diameter**3
    return hold(machine, model, start, pressure, "isotropic", time), diameter


def _crystal() -> tuple[Model, Configuration]:
    return model_of(N_CUBES, 0, 1.0, 0.2, 0.02), build_crystal("SC", N_CUBES, 0, 1.0, 0.2, 1.05)


def _balance(engine: str, what: str, found: Held, slack: float) -> Check:
    value, error = found.balance
    return Check(
        group=GROUP,
        name=f"<V P_int>/(P <V>), {what}",
        engine=engine,
        value=value,
        error=error,
        target=1.0,
        source="integration by parts of the distribution at constant pressure",
        tolerance=1 / (found.pressure * float(found.volumes.mean())),
        why="kT/(P V) between the measures dV and d ln V",
        largest_error=0.01 * slack,
    )


def _fluctuation(engine: str, what: str, found: Held, allowed: float, slack: float) -> Check:
    value, error = found.fluctuation
    return Check(
        group=GROUP,
        name=f"-<dV A>/(kT <V>), {what}",
        engine=engine,
        value=value,
        error=error,
        target=1.0,
        source="integration by parts of the distribution at constant pressure",
        tolerance=allowed,
        why="1/N between the measures dV and d ln V",
        largest_error=0.12 * slack,
    )
