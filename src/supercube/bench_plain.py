"""The plain side of ``supercube bench engines``: the same system as a HOOMD-blue script that one would write by hand.

Nothing of ``engines`` is used, so that its cost can be measured against this; only numbers come from the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .configuration import Configuration
from .model.particles import Model


def plain_hoomd(
    hoomd: Any, device: Any, model: Model, configuration: Configuration, settings: Mapping[str, Any]
) -> Any:
    """A ``hoomd.Simulation`` of cubes and spheres under ``Langevin``, ready to run.

    Args:
        hoomd: the module, ``hoomd.md`` imported.
        device: HOOMD device.
        model: both species, without attraction; radii, masses and frictions are read from it.
        configuration: the start.
        settings: ``neighbour_list`` (Tree, Stencil or Cell), its ``buffer`` and, for Stencil, ``cell_width`` (cube
            edges).
    """
    cube, sphere = model.body("cube"), model.body("sphere")
    simulation = hoomd.Simulation(device=device, seed=1)
    radii = {"cube": float(cube.radii[0]), "sphere": float(sphere.radii[0])}
    constituents = [f"b{radius:.9g}" for radius in cube.radii[1:]]
    radii.update({f"b{radius:.9g}": float(radius) for radius in cube.radii[1:]})
    simulation.create_state_from_snapshot(_start(hoomd, model, configuration, list(radii)))

    rigid = hoomd.md.constrain.Rigid()
    rigid.body["cube"] = {
        "constituent_types": constituents,
        "positions": cube.positions[1:].tolist(),
        "orientations": [(1.0, 0.0, 0.0, 0.0)] * len(constituents),
    }
    rigid.create_bodies(simulation.state)
    options = {"cell_width": settings["cell_width"]} if settings["neighbour_list"] == "Stencil" else {}
    kind = getattr(hoomd.md.nlist, settings["neighbour_list"])
    nlist = kind(buffer=settings["buffer"], exclusions=("body",), **options)
    bodies = hoomd.filter.Rigid(flags=("center", "free"))
    langevin = hoomd.md.methods.Langevin(filter=bodies, kT=1.0)
    for body in (cube, sphere):
        langevin.gamma[body.name] = body.friction
        langevin.gamma_r[body.name] = (body.rotational_friction,) * 3
    simulation.operations.integrator = hoomd.md.Integrator(
        dt=model.time_step,
        methods=[langevin],
        forces=[_contacts(hoomd, nlist, radii, model.sigma)],
        rigid=rigid,
        integrate_rotational_dof=True,
    )
    simulation.state.thermalize_particle_momenta(filter=bodies, kT=1.0)
    return simulation


def _contacts(hoomd: Any, nlist: Any, radii: dict[str, float], sigma: float) -> Any:
    """WCA whose range is the ligand shell, between surfaces; particles of radius 0 are left out."""
    contacts = hoomd.md.pair.ExpandedLJ(nlist=nlist, mode="shift")
    names = list(radii)
    for k, a in enumerate(names):
        for b in names[k:]:
            acts = radii[a] > 0 and radii[b] > 0
            delta = radii[a] + radii[b] - sigma if acts else 0.0
            contacts.params[(a, b)] = {"epsilon": 1.0 if acts else 0.0, "sigma": sigma, "delta": delta}
            contacts.r_cut[(a, b)] = delta + 2.0 ** (1.0 / 6.0) * sigma if acts else 0.0
    return contacts


def _start(hoomd: Any, model: Model, configuration: Configuration, types: list[str]) -> Any:
    snapshot = hoomd.Snapshot()
    snapshot.configuration.box = configuration.box.tolist()
    particles = snapshot.particles
    particles.N = len(configuration)
    particles.types = types
    particles.position[:] = configuration.positions
    particles.orientation[:] = configuration.orientations
    for body in model.bodies:
        rows = configuration.is_species(body.name)
        particles.typeid[rows] = types.index(body.name)
        particles.mass[rows] = body.mass
        if body.is_rigid:
            particles.moment_inertia[rows] = [body.inertia] * 3
            particles.body[rows] = np.flatnonzero(rows)
    return snapshot
