"""Hard-sphere limit: the compressibility factor of spheres with a thin shell, against that of hard spheres.

Z = P V/(N kT) at rho d^3 = 0.6 and 0.75, with the Barker-Henderson diameter d = int (1 - exp(-U)) dr of the shell, and
T the kinetic temperature of the same run: all of the pressure of hard spheres is proportional to it, so fluctuations in
the bath, which would be most of the error of Z, divide out. That T is right on average is checked in ``dynamics``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.interpolate import pade

from ..configuration import Configuration
from ..crystals.build import build_crystal
from ..engines.base import thermal_state
from ..model.interactions import wca_energy
from ..model.particles import Model
from .dynamics import Machine, endless, label, mean_and_error, model_of
from .results import Check

FloatArray = NDArray[np.float64]

GROUP = "Hard-sphere limit"

#: Z of hard spheres at rho d^3, by molecular dynamics. They lie 0.005 and 0.024 % above :func:`virial_series`.
TARGETS = {0.60: 4.2952, 0.75: 6.6566}
#: B_k/d^(3(k-1)) over (pi/6)^(k-1): 1 to 4 in closed form, 5 to 10 by Clisby & McCoy, J. Stat. Phys. 122, 15 (2006).
VIRIALS = (1.0, 4.0, 10.0, 18.364768, 28.2245, 39.81515, 53.34442, 68.5375, 85.8128, 105.775)
#: How far the simulations behind ``TARGETS`` and the virial series disagree, over Z.
DATA_ERROR = 3e-4
#: Ligand length in units of the sphere's diameter, so sigma/D = 0.1.
LIGAND_LENGTH = 0.05
#: 5 x 5 x 5 cells of fcc.
N_SPHERES = 500
#: Steps between two pressures: longer than the memory of a contact (some 30 steps), so that few values say it all.
PERIOD = 50
#: Spheres diffuse their own size in D^2/D0 = 0.8 time units before the fluid slows down; a crystal expanded to these
#: densities melts within a few of them.
EQUILIBRATION_TIME = 20.0
#: Chosen so that the standard error of Z is some 0.1 %.
TIME = 240.0
#: Largest standard error, over Z.
LARGEST_ERROR = 0.003


# --- theory ----------------------------------------------------------------------------------------------------------


def carnahan_starling(density: float) -> float:
    """Z = (1 + eta + eta^2 - eta^3)/(1 - eta)^3 with eta = pi/6 rho d^3 (J. Chem. Phys. 51, 635, 1969)."""
    eta = math.pi / 6 * density
    return (1 + eta + eta**2 - eta**3) / (1 - eta) ** 3


def virial_series(density: float) -> float:
    """Z = sum B_k rho^(k-1) from the ten known virial coefficients, as the [5/4] Pade approximant."""
    numerator, denominator = pade(VIRIALS, 4)
    eta = math.pi / 6 * density
    return float(numerator(eta) / denominator(eta))


def barker_henderson(model: Model) -> float:
    """Diameter d = int (1 - exp(-U(r))) dr of two spheres, e (J. Chem. Phys. 47, 4714, 1967)."""
    start, end = _shell(model)
    return start + _integral(model, lambda r, boltzmann: 1 - boltzmann, start, end)


def softness(model: Model, diameter: float) -> float:
    """Softness delta = int (r/d - 1)^2 d exp(-U) / dr dr, the spread of collision distances; 0 if hard."""
    start, end = _shell(model)
    # By parts: only exp(-U) itself is needed.
    rest = _integral(model, lambda r, boltzmann: 2 * (r / diameter - 1) / diameter * boltzmann, start, end)
    return (end / diameter - 1) ** 2 - rest


def _shell(model: Model) -> tuple[float, float]:
    """Distances between which exp(-U) of two spheres goes from nothing (1e-20) to one."""
    radius = float(model.bodies[0].radii[0])
    delta = 2 * radius - model.sigma
    return delta + 0.75 * model.sigma, delta + model.wca_cutoff


def _integral(model: Model, function: Callable[[float, float], float], start: float, end: float) -> float:
    delta = 2 * float(model.bodies[0].radii[0]) - model.sigma

    def integrand(r: float) -> float:
        return function(r, math.exp(-float(wca_energy(r - delta, model.sigma))))

    return float(quad(integrand, start, end, epsabs=1e-13, epsrel=1e-11)[0])


def softness_shift(density: float, delta: float) -> float:
    """Z(soft) - Z(hard) at the same rho d^3, to second order in the softness.

    The blip expansion replaces the soft spheres by hard ones of diameter d' = d [1 + f(eta) delta], with
    f = sigma_1/(2 sigma_0) = (1 - 17/4 eta + 1.362 eta^2 - 0.8751 eta^3)/(1 - eta)^2 (Andersen, Weeks & Chandler, Phys.
    Rev. A 4, 1597, 1971; fit by Verlet & Weis, Phys. Rev. A 5, 939, 1972). From A(eta'):
    Z = 1 + (Z_hard(eta') - 1) (1 + 3 dln d'/dln rho).

    Args:
        density: rho d^3 with the Barker-Henderson diameter d.
        delta: of :func:`softness`.
    """

    def growth(eta: float) -> float:
        f = (1 - 17 / 4 * eta + 1.362 * eta**2 - 0.8751 * eta**3) / (1 - eta) ** 2
        return 1 + f * delta

    eta = math.pi / 6 * density
    h = 1e-4
    slope = (math.log(growth(eta * (1 + h))) - math.log(growth(eta * (1 - h)))) / (2 * h)
    effective = virial_series(density * growth(eta) ** 3)
    return 1 + (effective - 1) * (1 + 3 * slope) - virial_series(density)


def finite_size_shift(density: float, n: int) -> float:
    """Z(N) - Z(infinity) = rho/(2 N) dln chi/drho with chi = kT drho/dP, from Carnahan-Starling.

    The grand-canonical pressure of a periodic box is that of the infinite system; a constant number of particles takes
    away its fluctuations, A_N = A + kT/2 ln(2 pi N chi), hence this first order in 1/N (-B2 rho/N at low density).
    """

    def log_chi(rho: float) -> float:
        h = 1e-4 * rho
        return -math.log(((rho + h) * carnahan_starling(rho + h) - (rho - h) * carnahan_starling(rho - h)) / (2 * h))

    step = 1e-3
    slope = (log_chi(density * (1 + step)) - log_chi(density * (1 - step))) / (2 * step)
    return slope / (2 * n)


# --- simulation ------------------------------------------------------------------------------------------------------


def hard_sphere_model() -> Model:
    """Spheres of diameter 1 e whose shell is a tenth as wide."""
    return model_of(0, N_SPHERES, 1.0, LIGAND_LENGTH, 0.02)


def expanded_crystal(model: Model, density: float) -> Configuration:
    """An fcc crystal of these spheres at rho d^3 = ``density``."""
    crystal = build_crystal("fcc", 0, N_SPHERES, 1.0, LIGAND_LENGTH)
    volume = N_SPHERES * barker_henderson(model) ** 3 / density
    factor = (volume / crystal.volume) ** (1 / 3)
    scale = np.array([factor, factor, factor, 1, 1, 1])
    return crystal.with_(box=crystal.box * scale, positions=crystal.positions * factor)


@dataclass(frozen=True)
class Compressibility:
    """Z of one run: mean and standard error, and how much of the fcc order of the start is left (0 to 1)."""

    value: float
    error: float
    crystal: float


def compressibility(machine: Machine, density: float, time: float = TIME) -> Compressibility:
    """Melt an expanded crystal and average P V/(N kT).

    Args:
        machine: what runs.
        density: rho d^3.
        time: of the average, time units.
    """
    model = hard_sphere_model()
    start = expanded_crystal(model, density)
    schedule, rows = endless(model, start, model.time_step), []
    with machine.running(model, thermal_state(model, start, 7), model.time_step, seed=7) as engine:
        engine.advance(round(EQUILIBRATION_TIME / model.time_step), schedule)
        for _ in range(round(time / model.time_step / PERIOD)):
            engine.advance(PERIOD, schedule)
            rows.append(engine.measure())
        end = engine.state().configuration
    pressures = np.array([row.pressure for row in rows]) * start.volume / N_SPHERES
    value, error = ratio_and_error(pressures, np.array([row.temperature_translation for row in rows]))
    return Compressibility(value, error, crystal_order(end))


def ratio_and_error(above: FloatArray, below: FloatArray) -> tuple[float, float]:
    """Ratio of the means of two series of one run, and its standard error: that of (a - ratio b) over the mean of b."""
    ratio = float(above.mean() / below.mean())
    return ratio, mean_and_error((above - ratio * below) / below.mean())[1]


def crystal_order(configuration: Configuration) -> float:
    """|sum exp(i q.r)|/N at q = (111) of the fcc cell of the start: 1 in the crystal, about N^(-1/2) in a fluid."""
    cells = round((len(configuration) / 4) ** (1 / 3))
    q = 2 * math.pi * cells / configuration.box[0] * np.ones(3)
    return float(np.abs(np.exp(1j * configuration.positions @ q).mean()))


# --- for the report --------------------------------------------------------------------------------------------------


def sphere_checks(machine: Machine, *, quick: bool = False) -> list[Check]:
    """Compressibility factors at the densities of ``TARGETS``, and that the start has melted.

    Args:
        machine: what runs.
        quick: a tenth of the time, with errors sqrt(10) as large.
    """
    engine, shorter = label(machine), 10 if quick else 1
    checks = []
    for density, target in TARGETS.items():
        found = compressibility(machine, density, TIME / shorter)
        checks += [_factor(engine, density, target, found, shorter), _melted(engine, density, found)]
    return checks


def _factor(engine: str, density: float, target: float, found: Compressibility, shorter: int) -> Check:
    model = hard_sphere_model()
    diameter = barker_henderson(model)
    soft = abs(softness_shift(density, softness(model, diameter)))
    finite = finite_size_shift(density, N_SPHERES)
    return Check(
        group=GROUP,
        name=f"Z of {N_SPHERES} spheres at rho d^3 = {density:g}",
        engine=engine,
        value=found.value,
        error=found.error,
        target=target + finite,
        source=f"molecular dynamics of hard spheres, {target:g}, and {finite:+.4f} for {N_SPHERES} particles",
        tolerance=soft + DATA_ERROR * target + abs(finite) / 10,
        why=f"softness: {soft:.4f} by the second order of the blip expansion; {DATA_ERROR * target:.4f} between the "
        f"simulations and the virial series; the next order in 1/N, taken as a tenth of the first",
        largest_error=LARGEST_ERROR * target * math.sqrt(shorter),
    )


def _melted(engine: str, density: float, found: Compressibility) -> Check:
    return Check(
        group=GROUP,
        name=f"order left of the crystal it started from, rho d^3 = {density:g}",
        engine=engine,
        value=found.crystal,
        error=0.0,
        target=0.0,
        source="hard spheres are fluid below rho d^3 = 0.94",
        tolerance=4 / math.sqrt(N_SPHERES),
        why="a Fourier component of a fluid is at most about N^(-1/2); a crystal has 0.9",
    )


def comparison_table() -> str:
    """Markdown: the two densities, and what theories give."""
    rows = [
        "| rho d^3 | molecular dynamics | virial series to B10, Pade | Carnahan-Starling | softness shift | "
        f"shift of {N_SPHERES} particles |",
        "|---|---|---|---|---|---|",
    ]
    model = hard_sphere_model()
    delta = softness(model, barker_henderson(model))
    rows += [
        f"| {density:g} | {target:.4f} | {virial_series(density):.4f} | {carnahan_starling(density):.4f} | "
        f"{softness_shift(density, delta):+.5f} | {finite_size_shift(density, N_SPHERES):+.4f} |"
        for density, target in TARGETS.items()
    ]
    return "\n".join(rows)
