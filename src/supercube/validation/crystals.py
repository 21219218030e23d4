"""Crystals pressed by molecular dynamics, against packing theory and the model's own least enthalpy.

Theory gives two lattice constants at a pressure P (``crystals.enthalpy``): a_0, at the minimum of U + P V with the
symmetry of the crystal, and a_d, the hard-packing formula at the contact distance d(P). At kT the crystal is larger by
its free volume, f N kT/P, so the measured a/a_0 - 1 is extrapolated linearly in 1/P to zero; a soft shell has no
plateau of its own there.
"""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..crystals.enthalpy import ground_state, packing_at_pressure
from ..model.particles import build_model
from ..statepoint import StatePoint
from .results import Check

if TYPE_CHECKING:
    from .dynamics import Machine

FloatArray = NDArray[np.float64]

GROUP = "Crystals under pressure"
#: What lattice constants may differ by.
TOLERANCE = 0.01
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


@dataclass(frozen=True)
class Point:
    """One crystal at one pressure.

    Attributes:
        pressure: that was asked for, kT/e^3.
        measured_pressure, pressure_error: its mean in the hold.
        lattice_constant, error: a and its standard error, e.
        packing, minimum: a_d and a_0 of the theory, e.
        angle, spread, theory_angle: of O cubes, degrees; None without.
        held: share of particles that still carry the crystal's label.
    """

    pressure: float
    measured_pressure: float
    pressure_error: float
    lattice_constant: float
    error: float
    packing: float
    minimum: float
    angle: float | None
    spread: float | None
    theory_angle: float | None
    held: float


@dataclass(frozen=True)
class Pressed:
    """One crystal over several pressures, ascending."""

    structure: str
    size_ratio: float
    ligand_length: float
    engine: str
    points: tuple[Point, ...]

    def __str__(self) -> str:
        gamma = "" if self.structure == "SC" else f"gamma {self.size_ratio:g}, "
        return f"{self.structure} ({gamma}lambda {self.ligand_length:g})"

    @cached_property
    def swelling(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """1/P, a/a_0 - 1 and its standard error, of every pressure."""
        rows = [
            (1 / p.pressure, p.lattice_constant / p.minimum - 1, max(p.error / p.minimum, 1e-6)) for p in self.points
        ]
        inverse, swelling, error = np.array(rows).T
        return inverse, swelling, error

    @cached_property
    def line(self) -> tuple[float, float, float]:
        """Value and standard error of a/a_0 at 1/P = 0, and slope (e^3/kT), of a weighted straight line.

        Where the points scatter more than their errors, chi^2 per degree of freedom above 1, the error grows with it:
        it then holds what the next order in 1/P bends.
        """
        inverse, swelling, error = self.swelling
        design = np.stack([np.ones_like(inverse), inverse], axis=1) / error[:, None]
        covariance = np.linalg.inv(design.T @ design)
        offset, slope = covariance @ design.T @ (swelling / error)
        free = len(inverse) - 2
        chi2 = float((((swelling - offset - slope * inverse) / error) ** 2).sum())
        excess = max(1.0, chi2 / free) if free else 1.0
        return 1.0 + float(offset), math.sqrt(covariance[0, 0] * excess), float(slope)


def pressed_crystals(jobs: Iterable[Any]) -> list[Pressed]:
    """What finished jobs say about crystals held at pressures; runs of one crystal belong together.

    Args:
        jobs: signac jobs; those that are no crystal under pressure, or not classified yet, are passed over.
    """
    found: dict[tuple[str, float, float, str], list[Point]] = defaultdict(list)
    for job in jobs:
        values, document = dict(job.cached_statepoint), job.doc()
        crystal = values["initial"] not in ("fluid",) and not values["initial"].startswith("file:")
        if crystal and values["pressure"] > 0 and document.get("structure") and not _melts(values, document):
            engine = f"{document['engine']} {document['engine_version']}"
            key = (values["initial"], values["size_ratio"], values["ligand_length"], engine)
            found[key].append(_point(values, document))
    ordered = sorted(found.items(), key=lambda item: (_ORDER.get(item[0][0], 9), item[0]))
    return [Pressed(*key, tuple(sorted(points, key=lambda p: p.pressure))) for key, points in ordered]


_ORDER = {"SC": 0, "NaCl": 1, "ABO3": 2}


def _melts(values: dict[str, Any], document: dict[str, Any]) -> bool:
    # A pressure that falls from where the run began is a melting run.
    return float(document["protocol"].get("initial_pressure", 0.0)) > float(values["pressure"])


def _point(values: dict[str, Any], document: dict[str, Any]) -> Point:
    name, pressure = values["initial"], float(values["pressure"])
    model = build_model(StatePoint.parse(values, "a job"))
    sizes = (values["size_ratio"], values["ligand_length"])
    theory = ground_state(name, model, *sizes, pressure, symmetric=True)
    label = document["fractions"].get(name, 0.0)
    return Point(
        pressure=pressure,
        measured_pressure=document["pressure"],
        pressure_error=document["pressure_sem"] or math.nan,
        lattice_constant=document["lattice_constant"] or math.nan,
        error=document["lattice_constant_sem"] or math.nan,
        packing=packing_at_pressure(name, model, *sizes, pressure).lattice_constant,
        minimum=theory.lattice_constant,
        angle=document["o_site_angle_deg"],
        spread=document["o_site_angle_spread_deg"],
        theory_angle=theory.o_site_angle_deg,
        held=float(label),
    )


def crystal_checks(crystals: Sequence[Pressed]) -> list[Check]:
    """Every crystal's checks: it held, a against both theories, and the O-site angle."""
    checks: list[Check] = []
    for crystal in crystals:
        checks += [*_held_checks(crystal), *_lattice_checks(crystal), *_angle_checks(crystal)]
    return checks


def _held_checks(crystal: Pressed) -> list[Check]:
    last = crystal.points[-1]
    why = "a tenth may be disordered at the moment of the last frames"
    source = "a crystal that melts has no lattice constant"
    stays = Check(
        GROUP, f"{crystal}: share of particles in it, P = {last.pressure:g}", crystal.engine, last.held, 0.0, 1.0,
        source, 0.1, why,
    )  # fmt: skip
    worst = max(crystal.points, key=lambda p: abs(p.measured_pressure / p.pressure - 1))
    balance = Check(
        GROUP, f"{crystal}: mean virial pressure over P, P = {worst.pressure:g}", crystal.engine,
        worst.measured_pressure / worst.pressure, worst.pressure_error / worst.pressure, 1.0,
        "<P_virial> = P at constant pressure", 0.01,
        "other measures of the volume differ by 1/N; steps between two pushes of the barostat", 0.02,
    )  # fmt: skip
    return [stays, balance]


def _lattice_checks(crystal: Pressed) -> list[Check]:
    value, error, _ = crystal.line
    extrapolated = Check(
        GROUP, f"{crystal}: a/a_0, extrapolated to 1/P = 0", crystal.engine, value, error, 1.0,
        "least enthalpy of the model's crystal", TOLERANCE, _REGISTRY, TOLERANCE / 2,
    )  # fmt: skip
    worst = max(crystal.points, key=lambda p: abs(p.minimum / p.packing - 1))
    packing = Check(
        GROUP, f"{crystal}: a_0/a_d, P = {worst.pressure:g}", "formula", worst.minimum / worst.packing, 0.0, 1.0,
        "closest packing at the contact distance d(P)", TOLERANCE, _SHARED,
    )  # fmt: skip
    return [extrapolated, packing]


_REGISTRY = (
    "beads in registry let faces sink into each other by up to the roughness, 0.02 e, which motion averages out; the "
    "next order in 1/P"
)
_SHARED = "where several kinds of contacts share the pressure, the formula gives all of it to one kind"


def _angle_checks(crystal: Pressed) -> list[Check]:
    last = crystal.points[-1]
    if last.angle is None or last.theory_angle is None:
        return []
    why = "one standard deviation of the cubes' angles: folded to 0..45 degrees, a spread shifts the mean by as much"
    spread = last.spread or 0.0
    return [
        Check(
            GROUP, f"{crystal}: O-site angle (degrees), P = {last.pressure:g}", crystal.engine, last.angle, 0.0,
            last.theory_angle, "least enthalpy of the model's crystal", max(spread, 1.0), why,
        )
    ]  # fmt: skip


def explanations(crystals: Sequence[Pressed]) -> dict[str, str]:
    """Name of a check -> why it fails, where that is known."""
    tilts = (
        "The packing of the library holds the spin axes of the O cubes along B-O. Above a size ratio of about 0.47 and "
        "with short ligands a denser packing tilts them by about 10 degrees; the least enthalpy finds it, and hard "
        "bodies without overlap confirm it. The formula, not the model, is too large here."
    )
    lattice = {check.name: crystal for crystal in crystals for check in _lattice_checks(crystal)}
    return {
        name: tilts
        for name, crystal in lattice.items()
        if "a_0/a_d" in name and crystal.structure == "ABO3" and crystal.size_ratio > 0.47
    }


def crystal_table(crystals: Sequence[Pressed]) -> str:
    """Markdown: every crystal at every pressure."""
    head = [
        "crystal",
        "P",
        "a measured",
        "a_0 (least enthalpy)",
        "a_d (packing at d(P))",
        "O angle",
        "its theory",
        "in the crystal",
    ]
    rows = [head, ["---"] * len(head)]
    for crystal in crystals:
        for p in crystal.points:
            angle = "" if p.angle is None else f"{p.angle:.1f} (spread {p.spread:.1f})"
            theory = "" if p.theory_angle is None else f"{p.theory_angle:.1f}"
            rows.append(
                [
                    str(crystal),
                    f"{p.pressure:g}",
                    f"{p.lattice_constant:.4f} ± {p.error:.4f}",
                    f"{p.minimum:.4f}",
                    f"{p.packing:.4f}",
                    angle,
                    theory,
                    f"{p.held:.2f}",
                ]
            )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def crystal_figure(path: Path, crystals: Sequence[Pressed]) -> None:
    """Swelling a/a_0 - 1 against 1/P with the straight lines, a panel for each structure."""
    from ..observe._figure import new_figure, save_png

    names = list(dict.fromkeys(crystal.structure for crystal in crystals))
    figure = new_figure(3.3 * len(names) + 0.4, 3.4)
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for ax, name in zip(axes, names, strict=True):
        own = [crystal for crystal in crystals if crystal.structure == name]
        for k, crystal in enumerate(own):
            colour = _COLOURS[k % len(_COLOURS)]
            inverse, swelling, error = crystal.swelling
            value, _, slope = crystal.line
            label = str(crystal).partition("(")[2].rstrip(")").replace("gamma", "γ").replace("lambda", "λ")
            ax.errorbar(
                inverse, 100 * swelling, 100 * error, fmt=_MARKS[k % len(_MARKS)], ms=4, color=colour, label=label
            )
            ends = np.array([0.0, inverse.max()])
            ax.plot(ends, 100 * (value - 1 + slope * ends), "-", lw=1, color=colour)
        ax.axhspan(-100 * TOLERANCE, 100 * TOLERANCE, color="#EEEEEE", zorder=0)
        ax.axhline(0, color="#999999", lw=0.8)
        ax.set(xlabel="1/P  (e³/kT)", title=name, xlim=(0, None))
        ax.legend(frameon=False, fontsize=7)
    axes[0].set_ylabel("a/a₀ − 1  (%)")
    figure.tight_layout()
    save_png(figure, path)


_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C510A", "#777777")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")


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
