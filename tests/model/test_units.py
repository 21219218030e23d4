"""Units against the closed formulas in SI."""

import math

import numpy as np
import pytest

from supercube.errors import InputError
from supercube.model.particles import CUBE_HYDRODYNAMIC_RADIUS
from supercube.model.units import BOLTZMANN, Units

PAIRS = [
    ("length_to_nm", "length_from_nm"),
    ("volume_to_nm3", "volume_from_nm3"),
    ("energy_to_joule", "energy_from_joule"),
    ("energy_to_mev", "energy_from_mev"),
    ("pressure_to_pascal", "pressure_from_pascal"),
    ("time_to_seconds", "time_from_seconds"),
]


def test_one_unit_is_what_the_formulas_say():
    units = Units(10.0, temperature_kelvin=300.0, viscosity_pa_s=1e-3)
    kT, edge = 1.380649e-23 * 300.0, 10e-9
    assert units.energy_to_joule(1.0) == pytest.approx(kT, rel=1e-12)
    assert units.energy_to_mev(1.0) == pytest.approx(1e3 * kT / 1.602176634e-19, rel=1e-12)
    assert units.pressure_to_pascal(1.0) == pytest.approx(kT / edge**3, rel=1e-12)
    assert units.length_to_nm(1.0) == 10
    assert units.volume_to_nm3(1.0) == pytest.approx(1000, rel=1e-12)
    # t = e^2 / D0 = 6 pi eta 0.66 e^3 / kT
    seconds = 6 * math.pi * 1e-3 * CUBE_HYDRODYNAMIC_RADIUS * edge**3 / kT
    assert units.time_to_seconds(1.0) == pytest.approx(seconds, rel=1e-12)
    assert units.diffusion_m2_per_s * units.time_seconds == pytest.approx(edge**2, rel=1e-12)


def test_defaults_are_toluene_at_25_celsius():
    units = Units(10.6)
    assert units.temperature_kelvin == 273.15 + 25
    assert units.energy_mev == pytest.approx(25.693, abs=5e-4)  # 8.617333e-5 eV/K x 298.15 K
    assert units.viscosity_pa_s == 554.2e-6
    # eta D0 / kT = 1/(6 pi 0.66 e) leaves nothing but lengths.
    free = units.viscosity_pa_s * units.diffusion_m2_per_s / (BOLTZMANN * 298.15)
    assert free * 10.6e-9 == pytest.approx(1 / (6 * math.pi * CUBE_HYDRODYNAMIC_RADIUS), rel=1e-12)


@pytest.mark.parametrize(("there", "back"), PAIRS)
def test_there_and_back(there, back):
    units = Units(10.6)
    numbers = np.array([0.0, 1e-3, 7.0])
    converted = getattr(units, there)(numbers)
    assert getattr(units, back)(converted) == pytest.approx(numbers, rel=1e-14)
    assert getattr(units, there)(7.0) == pytest.approx(converted[2], rel=1e-14)
    assert converted[2] != 7


@pytest.mark.parametrize(("power", "name"), [(-3, "pressure_pascal"), (3, "time_seconds"), (-1, "diffusion_m2_per_s")])
def test_twice_the_edge(power, name):
    assert getattr(Units(20.0), name) == pytest.approx(2**power * getattr(Units(10.0), name), rel=1e-12)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"edge_nm": 0.0}, "edge_nm is 0"),
        ({"edge_nm": math.nan}, "edge_nm is nan"),
        ({"edge_nm": 10.0, "temperature_kelvin": -1.0}, "temperature_kelvin is -1"),
        ({"edge_nm": 10.0, "viscosity_pa_s": math.inf}, "viscosity_pa_s is inf"),
    ],
)
def test_impossible_units_are_refused(values, words):
    with pytest.raises(InputError, match=words):
        Units(**values)
