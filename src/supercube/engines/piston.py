"""A barostat for engines that have none for rigid bodies beside free spheres: a Langevin piston.

Positions follow the box, velocities do not, so that any thermostat for the velocities will do:

    dx/dt = v + eta x,   dh/dt = eta h,   M d eta/dt = Q W - Q V (P - N kT/V) 1 - gamma M eta + noise

with the box matrix h (upper triangular), the rate of strain eta (upper triangular), W = sum F R of the centres of mass
and Q the average over what the box may change. With <noise^2> = 2 gamma M kT per freedom the stationary distribution is
exp{-[U + P V + kinetic + M eta^2/2]/kT}: inserting it into the Fokker-Planck equation, the compression N tr(eta) of
phase space by dx/dt cancels the N kT of the force. (Measure d ln L of each length; others differ by 1/N.) The mass M
must not depend on the volume, or it would become part of that measure.

It acts every ``STEP_UNIT`` steps: a kick by the virial at that step, friction and noise, and as much of a kick again;
in between the box moves evenly. That is a symmetric splitting, wrong by the square of the interval. (The virial
averaged over the interval would lag behind by half of it, which feeds the piston with energy: the volume of 32 spheres
fluctuated 19 % too much.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Period of the piston, time units e^2/D0: hundreds of steps, so that ten are short, and much less than any run.
PERIOD = 1.0
#: Degrees of freedom over three that a body's free volume is shared by; see :func:`bulk_modulus`.
_FREE_VOLUME = 3.0
_UPPER = np.triu(np.ones((3, 3), dtype=bool))


def bulk_modulus(pressure: float, volume_per_body: float) -> float:
    """K = P + P^2 v/3, kT/e^3: what the mass of the piston is made for; it need not be exact.

    Near close packing V = V0 + f N kT/P with f = 3 for spheres and 6 for bodies that turn, so K = -V dP/dV is
    P^2 v / (f kT); P is what an ideal gas would add.
    """
    return pressure + pressure**2 * volume_per_body / _FREE_VOLUME


@dataclass
class Piston:
    """Rate of strain of a box, and how it changes.

    Attributes:
        freedom: ``isotropic`` (one rate), ``lengths`` (three) or ``all`` (six, the tilts too).
        body_volume: of all bodies together, e^3; the mass is that for a box so dense.
        seed: of its noise, which depends on the step alone, so that a continued run goes on with it.
        rates: (3, 3) eta, upper triangular, 1/time.
    """

    freedom: str
    body_volume: float
    seed: int
    rates: FloatArray

    def push(self, virial: FloatArray, volume: float, n: int, pressure: float, interval: float, step: int) -> None:
        """Half a kick, exact friction and noise over the interval, half a kick.

        Args:
            virial: (3, 3) W = sum F R at this step, kT.
            volume: of the box, e^3.
            n: number of bodies.
            pressure: P, kT/e^3.
            interval: time until the next call.
            step: absolute step.
        """
        omega = 2.0 * math.pi / PERIOD
        mass = self.body_volume * bulk_modulus(pressure, self.body_volume / n) / omega**2
        half = 0.5 * interval / mass * self._allowed(virial + (n - pressure * volume) * np.eye(3))
        rng = np.random.default_rng([self.seed, step])
        freedoms = mass * (3.0 if self.freedom == "isotropic" else 1.0)
        noise = self._allowed(rng.normal(size=(3, 3)), one=True) / math.sqrt(freedoms)
        kept = math.exp(-2.0 * omega * interval)  # critical damping
        self.rates = kept * (self.rates + half) + math.sqrt(1.0 - kept**2) * noise + half

    def _allowed(self, tensor: FloatArray, *, one: bool = False) -> FloatArray:
        """The part of a tensor that the box may follow: its mean (or, of noise, one number), diagonal, upper half."""
        if self.freedom == "isotropic":
            return np.eye(3) * float(tensor[0, 0] if one else np.trace(tensor) / 3.0)
        return np.asarray(np.where(np.eye(3, dtype=bool) if self.freedom == "lengths" else _UPPER, tensor, 0.0))
