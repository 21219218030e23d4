"""Crystals pressed by molecular dynamics, against packing theory and the model's own least enthalpy.

Theory gives two lattice constants at a pressure P (``crystals.enthalpy``): a_0, at the minimum of U + P V with the
symmetry of the crystal, and a_d, the hard-packing formula at the contact distance d(P). At kT the crystal is larger by
its free volume, f N kT/P, so the measured a/a_0 - 1 is extrapolated linearly in 1/P to zero; a soft shell has no
plateau of its own there.

In a crystal of cubes alone every contact is one of faces, which slide on each other. The symmetry of a_0 holds bead on
bead, the top of what a face that slides goes through (a saddle point of the enthalpy), so SC is compared with a_s: the
mean over lateral shifts (:func:`sliding_distance`).
"""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..crystals.enthalpy import ground_state, packing_at_pressure
from ..model.beads import LARGEST_SHIFT
from ..model.interactions import wca_force
from ..model.particles import Model, build_model
from ..statepoint import StatePoint
from .results import N_ERRORS, Check, engine_label

if TYPE_CHECKING:
    from .dynamics import Machine

FloatArray = NDArray[np.float64]

GROUP = "Crystals under pressure"
#: What lattice constants may differ by.
TOLERANCE = 0.01
#: Least share of particles with the crystal's label: it held.
HELD = 0.9
#: Pressures that a straight line with an honest error needs.
FEWEST_PRESSURES = 3
#: Largest spread of O-site angles (degrees) that has a mean; a uniform one over 0..45 has 13.
LARGEST_SPREAD = 8.0
#: Normal angles about 45 degrees, folded to 0..45, have a mean below 45 by this many of their own standard deviations:
#: sqrt(2/pi) sigma over sqrt(1 - 2/pi) sigma of the half-normal distribution.
FOLDED = math.sqrt(2 / (math.pi - 2))
#: Crystals that ``supercube validate`` presses itself; the rest of them is project/spaces/validation.yaml.
SPACE: dict[str, Any] = {
    "description": "three crystals at three pressures",
    "protocol": {"equilibration_time": 1, "initial_pressure": 20, "ramp_time": 4, "hold_time": 8},
    "defaults": {"expansion": 1.05, "pressure": [60, 120, 240]},
    "jobs": [
        {"initial": "SC", "n_cubes": 64, "ligand_length": 0.15},
        {"initial": "NaCl", "n_cubes": 32, "n_spheres": 32, "size_ratio": 0.41, "ligand_length": 0.15},
        {"initial": "ABO3", "n_cubes": 108, "n_spheres": 27, "size_ratio": 0.49, "ligand_length": 0.18},
    ],
}


# --- theory ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """What decides the theory of a crystal: its structure and its particles."""

    structure: str
    size_ratio: float
    ligand_length: float
    attraction: float = 0.0
    roughness: float = 0.02

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Kind:
        """Of a state point."""
        sizes = (values["size_ratio"], values["ligand_length"])
        return cls(values["initial"], *sizes, values["attraction"], values["roughness"])

    def __str__(self) -> str:
        parts = [] if self.structure in ("SC", "fcc") else [f"gamma {self.size_ratio:g}"]
        parts.append(f"lambda {self.ligand_length:g}")
        parts += [f"attraction {self.attraction:g}"] if self.attraction else []
        parts += [f"roughness {self.roughness:g}"] if self.roughness != Kind.roughness else []
        return f"{self.structure} ({', '.join(parts)})"

    @property
    def model(self) -> Model:
        """Its particles."""
        counts = {"n_cubes": int(self.structure != "fcc"), "n_spheres": int(self.structure != "SC")}
        sizes = {"size_ratio": self.size_ratio, "ligand_length": self.ligand_length}
        soft = {"attraction": self.attraction, "roughness": self.roughness}
        return build_model(StatePoint.parse(counts | sizes | soft, str(self)))


@dataclass(frozen=True)
class Theory:
    """Of a crystal at one pressure.

    Attributes:
        packing, minimum: a_d and a_0, e.
        sliding: a_s of repulsive cubes alone, e; None for others.
        angle: of O cubes at a_0, degrees; None without.
    """

    packing: float
    minimum: float
    sliding: float | None
    angle: float | None


@cache  # a minimisation takes up to seconds, and a campaign has many jobs of one kind and pressure
def theory_of(kind: Kind, pressure: float) -> Theory:
    """The lattice constants and the O-site angle that theory gives at a pressure in kT/e^3."""
    name, sizes, model = kind.structure, (kind.size_ratio, kind.ligand_length), kind.model
    least = ground_state(name, model, *sizes, pressure, symmetric=True)
    packed = packing_at_pressure(name, model, *sizes, pressure).lattice_constant
    slides = name == "SC" and not model.attracts
    sliding = float(sliding_distance(model, pressure).mean()) if slides else None
    return Theory(packed, least.lattice_constant, sliding, least.o_site_angle_deg)


def sliding_distance(model: Model, pressure: float, points: int = 16) -> FloatArray:
    """Distances h of two aligned cubes, face to face, at which the force is P h^2, over lateral shifts.

    Args:
        model: with cubes that repel.
        pressure: P > 0, kT/e^3.
        points: shifts along each axis.

    Returns:
        (points^2,) in cube edges; shifts lie evenly in a square of the side over which roughness is defined.
    """
    cube = model.body("cube")
    outside = cube.positions[:, 2] + cube.radii > 0.5 - 1e-9
    beads, radii = cube.positions[outside], cube.radii[outside]
    line = (np.arange(points) + 0.5) / points * min(LARGEST_SHIFT, (1 - model.sigma) / 2)
    shifts = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 1, 1, 2)
    lateral2 = ((beads[:, None, :2] - beads[None, :, :2] - shifts) ** 2).sum(axis=-1)
    range_from = radii[:, None] + radii[None, :] - model.sigma
    depth = beads[:, None, 2] + beads[None, :, 2]
    low, high = np.full(len(shifts), 0.8), np.full(len(shifts), 1.0 + model.sigma)
    for _ in range(40):  # bisection to 1e-12: the force falls with the distance
        middle = (low + high) / 2
        height = middle[:, None, None] - depth
        r = np.sqrt(lateral2 + height**2)
        s = np.maximum(r - range_from, 0.3 * model.sigma)  # a cap far above any pressure keeps numbers finite
        strong = (wca_force(s, model.sigma) * height / r).sum(axis=(1, 2)) > pressure * middle**2
        low, high = np.where(strong, middle, low), np.where(strong, high, middle)
    return low


# --- what was measured -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """One crystal at one pressure.

    Attributes:
        pressure: that was asked for, kT/e^3.
        measured_pressure, pressure_error: its mean in the hold.
        lattice_constant, error: a and its standard error, e; NaN if there is no such crystal any more.
        theory: at this pressure.
        angle, angle_error, spread: of O cubes: mean, its standard error, standard deviation, degrees; None without.
        held: share of particles that still carry the crystal's label.
    """

    pressure: float
    measured_pressure: float
    pressure_error: float
    lattice_constant: float
    error: float
    theory: Theory
    angle: float | None
    angle_error: float | None
    spread: float | None
    held: float

    @property
    def expected(self) -> float:
        """The lattice constant without motion: a_0, or a_s where faces slide."""
        return self.theory.minimum if self.theory.sliding is None else self.theory.sliding


@dataclass(frozen=True)
class Pressed:
    """One crystal over several pressures, ascending."""

    kind: Kind
    engine: str
    points: tuple[Point, ...]

    def __str__(self) -> str:
        return str(self.kind)

    @property
    def expected(self) -> str:
        """Symbol of the lattice constant that it is compared with."""
        return "a_0" if self.points[0].theory.sliding is None else "a_s"

    @property
    def held(self) -> tuple[Point, ...]:
        """The points at which it is still a crystal; what is none has no lattice constant."""
        return tuple(point for point in self.points if point.held >= HELD)

    @cached_property
    def swelling(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """1/P, a/a_0 - 1 and its standard error, of every pressure at which it held."""
        rows = [
            (1 / p.pressure, p.lattice_constant / p.expected - 1, max(p.error / p.expected, 1e-6)) for p in self.held
        ]
        inverse, swelling, error = np.array(rows).reshape(-1, 3).T
        return inverse, swelling, error

    @cached_property
    def line(self) -> tuple[float, float, float] | None:
        """Value and standard error of a/a_0 at 1/P = 0, and slope (e^3/kT), of a weighted straight line.

        Where the points scatter more than their errors, chi^2 per degree of freedom above 1, the error grows with it:
        it then holds what the next order in 1/P bends. None with fewer than ``FEWEST_PRESSURES`` held.
        """
        inverse, swelling, error = self.swelling
        if len(np.unique(inverse)) < FEWEST_PRESSURES:
            return None
        design = np.stack([np.ones_like(inverse), inverse], axis=1) / error[:, None]
        covariance = np.linalg.inv(design.T @ design)
        offset, slope = covariance @ design.T @ (swelling / error)
        chi2 = float((((swelling - offset - slope * inverse) / error) ** 2).sum())
        excess = max(1.0, chi2 / (len(inverse) - 2))
        return 1.0 + float(offset), math.sqrt(covariance[0, 0] * excess), float(slope)


def pressed_crystals(jobs: Iterable[Any]) -> list[Pressed]:
    """What finished jobs say about crystals held at pressures; runs of one crystal belong together.

    Args:
        jobs: signac jobs; those that are no crystal under pressure, or not classified yet, are passed over.
    """
    found: dict[tuple[Kind, str], list[Point]] = defaultdict(list)
    for job in jobs:
        values, document = dict(job.cached_statepoint), job.doc()
        crystal = values["initial"] not in ("fluid",) and not values["initial"].startswith("file:")
        if crystal and values["pressure"] > 0 and document.get("structure") and not _melts(values, document):
            engine = engine_label(document["engine"], document["engine_version"])
            found[Kind.of(values), engine].append(_point(values, document))
    ordered = sorted(found.items(), key=lambda item: (_ORDER.get(item[0][0].structure, 9), str(item[0])))
    return [Pressed(*key, tuple(sorted(points, key=lambda p: p.pressure))) for key, points in ordered]


_ORDER = {"SC": 0, "NaCl": 1, "ABO3": 2}


def _melts(values: dict[str, Any], document: dict[str, Any]) -> bool:
    # A pressure that falls from where the run began is a melting run.
    return float(document["protocol"].get("initial_pressure", 0.0)) > float(values["pressure"])


def _point(values: dict[str, Any], document: dict[str, Any]) -> Point:
    pressure = float(values["pressure"])
    return Point(
        pressure=pressure,
        measured_pressure=document["pressure"],
        pressure_error=document["pressure_sem"] or math.nan,
        lattice_constant=document["lattice_constant"] or math.nan,
        error=document["lattice_constant_sem"] or math.nan,
        theory=theory_of(Kind.of(values), pressure),
        angle=document["o_site_angle_deg"],
        angle_error=document["o_site_angle_sem"],
        spread=document["o_site_angle_spread_deg"],
        held=float(document["fractions"].get(values["initial"], 0.0)),
    )


# --- checks ----------------------------------------------------------------------------------------------------------


def crystal_checks(crystals: Sequence[Pressed]) -> list[Check]:
    """Every crystal's checks: it held, its pressure, a against both theories, and the O-site angle.

    What is no crystal any more has neither lattice constant nor angle: its first check fails instead.
    """
    checks: list[Check] = []
    for crystal in crystals:
        checks += [held_check(crystal), _balance_check(crystal), *_lattice_checks(crystal), *_angle_checks(crystal)]
    return checks


def held_check(crystal: Pressed) -> Check:
    """The least share of particles in the crystal over all pressures."""
    worst = min(crystal.points, key=lambda p: p.held)
    return Check(
        GROUP, f"{crystal}: held at all pressures; least share of particles in it, P = {worst.pressure:g}",
        crystal.engine, worst.held, 0.0, 1.0, "a crystal that melts or transforms has no lattice constant", 1.0 - HELD,
        "a tenth may be disordered at the moment of the last frames",
    )  # fmt: skip


def _balance_check(crystal: Pressed) -> Check:
    def beyond(p: Point) -> float:
        excess = abs(p.measured_pressure - p.pressure) / p.pressure - N_ERRORS * p.pressure_error / p.pressure
        return excess if math.isfinite(excess) else math.inf

    worst = max(crystal.points, key=beyond)
    return Check(
        GROUP, f"{crystal}: mean virial pressure over P, P = {worst.pressure:g}", crystal.engine,
        worst.measured_pressure / worst.pressure, worst.pressure_error / worst.pressure, 1.0,
        "<P_virial> = P at constant pressure", 0.01,
        "other measures of the volume differ by 1/N; steps between two pushes of the barostat", 0.02,
    )  # fmt: skip


def _lattice_checks(crystal: Pressed) -> list[Check]:
    if not crystal.held:
        return []
    worst = max(crystal.held, key=lambda p: abs(p.theory.minimum / p.theory.packing - 1))
    packing = Check(
        GROUP, f"{crystal}: a_0/a_d, P = {worst.pressure:g}", "formula", worst.theory.minimum / worst.theory.packing,
        0.0, 1.0, "closest packing at the contact distance d(P)", TOLERANCE, _SHARED,
    )  # fmt: skip
    return [extrapolation_check(crystal), packing]


def extrapolation_check(crystal: Pressed) -> Check:
    """Measured a over that of theory at 1/P = 0; without enough pressures for a line, how many there are: it fails."""
    if crystal.line is None:
        return Check(
            GROUP, f"{crystal}: pressures finished at which it held", crystal.engine,
            len({point.pressure for point in crystal.held}), 0.0, FEWEST_PRESSURES,
            "a straight line needs them", 0.0, f"expected {FEWEST_PRESSURES} or more",
        )  # fmt: skip
    value, error, _ = crystal.line
    symbol = crystal.expected
    return Check(
        GROUP, f"{crystal}: a/{symbol}, extrapolated to 1/P = 0", crystal.engine, value, error, 1.0, _SOURCES[symbol],
        max(0.0, TOLERANCE - N_ERRORS * error), _REGISTRY, TOLERANCE / N_ERRORS,
    )  # fmt: skip


_SOURCES = {
    "a_0": "least enthalpy of the model's crystal",
    "a_s": "distance of faces that carry P e^2, mean over lateral shifts",
}
_REGISTRY = (
    "1 % together with the errors, so that points which scatter pass no easier: beads in registry let faces sink into "
    "each other by up to the roughness, 0.02 e, which motion averages out; the next order in 1/P"
)
_SHARED = "where several kinds of contacts share the pressure, the formula gives all of it to one kind"


def _angle_checks(crystal: Pressed) -> list[Check]:
    if not crystal.held or crystal.points[-1].theory.angle is None:
        return []
    last = crystal.held[-1]
    angle, error, spread = (math.nan if x is None else x for x in (last.angle, last.angle_error, last.spread))
    mean = Check(
        GROUP, f"{crystal}: O-site angle (degrees), P = {last.pressure:g}", crystal.engine, angle, error,
        last.theory.angle or 0.0, _SOURCES["a_0"], min(max(FOLDED * spread, 1.0), LARGEST_SPREAD),
        "angles folded to 0..45 have a mean up to 1.32 standard deviations below the true one, exactly that at 45; "
        "at least 1, at most 8",
        1.0,
    )  # fmt: skip
    width = Check(
        GROUP, f"{crystal}: standard deviation of the O-site angle (degrees), P = {last.pressure:g}", crystal.engine,
        spread, 0.0, 0.0, "O cubes of a crystal share one angle", LARGEST_SPREAD,
        "motion; a mean of angles that are spread further tells nothing, uniform ones over 0..45 have 13",
    )  # fmt: skip
    return [mean, width]


# --- runs ------------------------------------------------------------------------------------------------------------


def press(machine: Machine, *, quick: bool = False) -> list[Pressed]:
    """Run ``SPACE`` on one engine in a temporary project, and read what came of it."""
    import signac
    import yaml

    from .. import operations
    from ..spaces import fill

    protocol = {key: value / 10 if quick and key == "hold_time" else value for key, value in SPACE["protocol"].items()}
    config = Config.parse({"engine": machine.name, "device": machine.device, "log_period": 200}, "the validation")
    with tempfile.TemporaryDirectory(prefix="supercube-") as folder:
        space = Path(folder) / "crystals.yaml"
        space.write_text(yaml.safe_dump(SPACE | {"protocol": protocol}))
        fill(Path(folder) / "project", space)
        jobs = list(signac.get_project(Path(folder) / "project"))
        for job in jobs:
            operations.build(job)
            operations.equilibrate(job, config)
            operations.evaporate(job, config)
            operations.classify(job)
        return pressed_crystals(jobs)
