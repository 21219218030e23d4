"""How a run goes: equilibrate, then dry (bulk: linear loss of volume) or ramp (pressure), then hold - in steps.

Everything is a function of the absolute step.

Drying, bulk geometry: a well-mixed film of fixed height H0 = 60 e whose volume falls as
V(t) = V(0) (1 - v t/H0) with v = Pe D0/H0; from packing fraction phi0 to phi1 it takes (1 - phi0/phi1) H0^2/(Pe D0),
independent of the number of particles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError

#: Height of the drying film in cube edges (physics.md).
FILM_HEIGHT = 60.0
#: Stages last a multiple of this many steps, so that an engine may change the box only that often and still end every
#: stage at exactly its volume. An edge changes by 1e-5 each time at Pe 8 and by 1e-3 at Pe 400 (lambda 0.2), where one
#: step at a time gave the same temperatures.
STEP_UNIT = 10


def drying_time(phi_start: float, phi_end: float, peclet: float, diffusion: float) -> float:
    """(1 - phi0/phi1) H0^2 / (Pe D0), in time units.

    Args:
        phi_start: packing fraction before.
        phi_end: packing fraction after.
        peclet: Pe > 0.
        diffusion: D0, e^2 per time.

    Raises:
        InputError: the target is not denser than the start.
    """
    if phi_end <= phi_start:
        raise InputError(
            f"target_packing_fraction {phi_end:g} is not above the {phi_start:.4g} the run starts from; "
            f"expected a denser target."
        )
    return (1.0 - phi_start / phi_end) * FILM_HEIGHT**2 / (peclet * diffusion)


@dataclass(frozen=True)
class Barostat:
    """Pressure at every absolute step, and what it may change.

    Attributes:
        start, end: pressures before and after the ramp, kT/e^3.
        first: absolute step at which the ramp begins.
        steps: length of the ramp; 0 = none, and ``start`` is not used.
        freedom: a name in ``configuration.BOX_FREEDOMS``.
    """

    start: float
    end: float
    first: int
    steps: int
    freedom: str

    def pressure(self, step: int) -> float:
        """P(step): constant, then linear in the step, then constant again."""
        done = min(max(step - self.first, 0) / self.steps, 1.0) if self.steps else 1.0
        return self.start + (self.end - self.start) * done


@dataclass(frozen=True)
class Schedule:
    """Steps of the three stages, and the volume or the pressure at every absolute step.

    Attributes:
        time_step: dt in time units.
        equilibration_steps, drying_steps, hold_steps: lengths of the stages, in this order; with a barostat the second
            is its ramp.
        volume_start, volume_end: box volumes before and after drying, e^3; with a barostat the volume of the start and
            the smallest that can be.
        barostat: what sets the volume instead, if anything.
    """

    time_step: float
    equilibration_steps: int
    drying_steps: int
    hold_steps: int
    volume_start: float
    volume_end: float
    barostat: Barostat | None = None

    @property
    def end_of_equilibration(self) -> int:
        """Absolute step at which drying begins."""
        return self.equilibration_steps

    @property
    def end_of_drying(self) -> int:
        """Absolute step at which the hold begins."""
        return self.equilibration_steps + self.drying_steps

    @property
    def total_steps(self) -> int:
        """Absolute step at which the run is finished."""
        return self.end_of_drying + self.hold_steps

    def volume(self, step: int) -> float:
        """V(step): constant, then falling linearly, then constant again; not for a run with a barostat."""
        if not self.drying_steps:
            return self.volume_start
        done = min(max(step - self.equilibration_steps, 0), self.drying_steps) / self.drying_steps
        return self.volume_start + (self.volume_end - self.volume_start) * done

    def next_boundary(self, step: int) -> int:
        """The first end of a stage after ``step``."""
        return next(end for end in (self.end_of_equilibration, self.end_of_drying, self.total_steps) if end > step)

    def stage(self, step: int) -> str:
        """Name of the stage that the step after ``step`` belongs to."""
        if step < self.end_of_equilibration:
            return "equilibrate"
        if step >= self.end_of_drying:
            return "hold"
        return "dry" if self.barostat is None else "ramp"


def _steps(time: float, time_step: float) -> int:
    return math.ceil(time / time_step / STEP_UNIT - 1e-9) * STEP_UNIT


def pressure_schedule(
    *,
    time_step: float,
    volume: float,
    body_volume: float,
    initial_pressure: float,
    pressure: float,
    freedom: str,
    equilibration_time: float,
    ramp_time: float,
    hold_time: float,
) -> Schedule:
    """The schedule of a state point with a pressure; steps are the times rounded up to ``STEP_UNIT``.

    Args:
        time_step: dt.
        volume: box volume of the initial configuration, e^3.
        body_volume: nominal volume of all bodies, e^3: no box becomes smaller than that.
        initial_pressure: during the equilibration and at the start of the ramp, kT/e^3.
        pressure: at its end and during the hold.
        freedom: a name in ``configuration.BOX_FREEDOMS``.
        equilibration_time: at the initial pressure, time units.
        ramp_time: from there to the pressure.
        hold_time: at the pressure.
    """
    first, ramp = _steps(equilibration_time, time_step), _steps(ramp_time, time_step)
    return Schedule(
        time_step=time_step,
        equilibration_steps=first,
        drying_steps=ramp,
        hold_steps=_steps(hold_time, time_step),
        volume_start=volume,
        volume_end=min(volume, body_volume),
        barostat=Barostat(initial_pressure, pressure, first, ramp, freedom),
    )


def make_schedule(
    *,
    time_step: float,
    volume: float,
    body_volume: float,
    diffusion: float,
    peclet: float,
    target_packing_fraction: float,
    equilibration_time: float,
    hold_time: float,
) -> Schedule:
    """The schedule of a state point in ``bulk`` geometry; steps are the times rounded up to ``STEP_UNIT``.

    Args:
        time_step: dt.
        volume: box volume of the initial configuration, e^3.
        body_volume: nominal volume of all bodies, e^3.
        diffusion: D0 of the model.
        peclet: 0 holds the volume, > 0 dries.
        target_packing_fraction: where drying stops; read only if ``peclet`` > 0.
        equilibration_time: before drying, time units.
        hold_time: after drying, time units.
    """
    drying_steps, volume_end = 0, volume
    if peclet > 0:
        time = drying_time(body_volume / volume, target_packing_fraction, peclet, diffusion)
        drying_steps = _steps(time, time_step)
        volume_end = body_volume / target_packing_fraction
    return Schedule(
        time_step=time_step,
        equilibration_steps=_steps(equilibration_time, time_step),
        drying_steps=drying_steps,
        hold_steps=_steps(hold_time, time_step),
        volume_start=volume,
        volume_end=volume_end,
    )
