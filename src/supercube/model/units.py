"""Reduced units and SI: the only place that knows nm, K and s.

Inside the package length = effective cube edge e, energy = kT, time = e^2/D0 with D0 the diffusion coefficient of a
cube. ``Units(10.6).time_to_seconds(1.0)`` and its kin convert a number or an array, both ways.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .particles import CUBE_HYDRODYNAMIC_RADIUS

#: k in J/K and the charge of an electron in C, exact in the SI of 2019.
BOLTZMANN = 1.380649e-23
ELEMENTARY_CHARGE = 1.602176634e-19
#: Viscosity of toluene at 298.15 K, 554.2 +- 3.3 uPa s: Santos et al., J. Phys. Chem. Ref. Data 35, 1 (2006).
TOLUENE_VISCOSITY = 554.2e-6
ROOM_TEMPERATURE = 298.15
_METRES = 1e-9  # in a nm

Values = TypeVar("Values", float, NDArray[np.float64])


@dataclass(frozen=True)
class Units:
    """What one reduced unit is.

    Attributes:
        edge_nm: e, the effective cube edge (core and two shells), nm.
        temperature_kelvin: T.
        viscosity_pa_s: eta of the solvent, at T: the default is that of toluene at 298.15 K, and is not adjusted to
            another temperature.
    """

    edge_nm: float
    temperature_kelvin: float = ROOM_TEMPERATURE
    viscosity_pa_s: float = TOLUENE_VISCOSITY

    def __post_init__(self) -> None:
        """Refuse what no unit can be made of."""
        for field in fields(self):
            value = float(getattr(self, field.name))
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{field.name} is {value:g}; expected a finite number above 0.")

    @property
    def energy_joule(self) -> float:
        """The energy unit kT in J."""
        return BOLTZMANN * self.temperature_kelvin

    @property
    def energy_mev(self) -> float:
        """The energy unit kT in meV: 25.69 at 298.15 K."""
        return 1e3 * self.energy_joule / ELEMENTARY_CHARGE

    @property
    def pressure_pascal(self) -> float:
        """The pressure unit kT/e^3 in Pa."""
        return self.energy_joule / (self.edge_nm * _METRES) ** 3

    @property
    def diffusion_m2_per_s(self) -> float:
        """Formula D0 = kT / (6 pi eta 0.66 e) of one cube in the solvent (Stokes and Einstein), m^2/s."""
        radius = CUBE_HYDRODYNAMIC_RADIUS * self.edge_nm * _METRES
        return self.energy_joule / (6 * math.pi * self.viscosity_pa_s * radius)

    @property
    def time_seconds(self) -> float:
        """The time unit e^2/D0 in s: the time in which a cube diffuses about its own edge."""
        return (self.edge_nm * _METRES) ** 2 / self.diffusion_m2_per_s

    def length_to_nm(self, length: Values) -> Values:
        """From edges to nm."""
        return length * self.edge_nm

    def length_from_nm(self, length: Values) -> Values:
        """From nm to edges."""
        return length / self.edge_nm

    def volume_to_nm3(self, volume: Values) -> Values:
        """From edges cubed to nm^3."""
        return volume * self.edge_nm**3

    def volume_from_nm3(self, volume: Values) -> Values:
        """From nm^3 to edges cubed."""
        return volume / self.edge_nm**3

    def energy_to_joule(self, energy: Values) -> Values:
        """From kT to J."""
        return energy * self.energy_joule

    def energy_from_joule(self, energy: Values) -> Values:
        """From J to kT."""
        return energy / self.energy_joule

    def energy_to_mev(self, energy: Values) -> Values:
        """From kT to meV."""
        return energy * self.energy_mev

    def energy_from_mev(self, energy: Values) -> Values:
        """From meV to kT."""
        return energy / self.energy_mev

    def pressure_to_pascal(self, pressure: Values) -> Values:
        """From kT/e^3 to Pa."""
        return pressure * self.pressure_pascal

    def pressure_from_pascal(self, pressure: Values) -> Values:
        """From Pa to kT/e^3."""
        return pressure / self.pressure_pascal

    def time_to_seconds(self, time: Values) -> Values:
        """From e^2/D0 to s."""
        return time * self.time_seconds

    def time_from_seconds(self, time: Values) -> Values:
        """From s to e^2/D0."""
        return time / self.time_seconds
