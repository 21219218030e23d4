"""``supercube energy``: one configuration, one engine, and everything that is needed to compute the same elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from .configuration import Configuration
from .engines.base import choose, single_point
from .errors import EngineError, InputError
from .model.particles import Model, build_model
from .model.sums import pairs, place_beads
from .statepoint import StatePoint


def model_of(
    configuration: Configuration,
    *,
    ligand_length: float,
    size_ratio: float | None = None,
    attraction: float = 0.0,
    roughness: float | None = None,
) -> Model:
    """The model of the species in a configuration.

    Args:
        configuration: what is counted; one body is enough here, since no order is to be told.
        ligand_length: lambda, cube edges.
        size_ratio: gamma, cube edge over sphere diameter; needed only with spheres, and of no effect without.
        attraction: depth of the face-to-face well, kT.
        roughness: allowed roughness of a face, cube edges; None takes the default of a state point.

    Raises:
        InputError: a value cannot be used; the message names the option of the command line.
    """
    cubes, spheres = configuration.count("cube"), configuration.count("sphere")
    if spheres and size_ratio is None:
        raise InputError(
            f"--size-ratio is missing, but there are {spheres} spheres; expected the cube edge over the sphere "
            "diameter, such as --size-ratio 0.49."
        )
    values: dict[str, Any] = {"ligand_length": ligand_length, "attraction": attraction}
    values |= {} if roughness is None else {"roughness": roughness}
    with_spheres = values | {} if size_ratio is None else values | {"size_ratio": size_ratio}
    if size_ratio is not None and not spheres:
        _parse(with_spheres | {"n_cubes": cubes, "n_spheres": 1})  # bad values are refused even where they do nothing
    used = with_spheres if spheres else values
    return build_model(_parse(used | {"n_cubes": cubes, "n_spheres": spheres}))


def _parse(values: dict[str, Any]) -> StatePoint:
    try:
        return StatePoint.parse(values, "energy")
    except InputError as error:
        text = str(error).removeprefix("energy: ")
        for key in ("size_ratio", "ligand_length", "attraction", "roughness"):
            text = text.replace(key, "--" + key.replace("_", "-"))
        raise InputError(text) from None


def single_point_answer(
    configuration: Configuration, model: Model, engine: str = "auto", device: str = "auto"
) -> dict[str, Any]:
    """Energy, forces and torques as plain types, with the bead model beside them.

    Args:
        configuration: bodies and box, of the species of the model.
        model: as :func:`model_of` makes it.
        engine: auto, hoomd or lammps.
        device: auto, cpu or gpu.

    Returns:
        dict: ``engine``, ``version``, ``potential_energy`` (kT), ``forces`` and ``torques`` (N rows, in the order of
        the configuration; kT/e and kT, about the centres of mass, space frame) and ``model``.

    Raises:
        EngineError: bodies overlap, or the engine is absent or cannot take this box.
    """
    chosen = choose(engine, device)
    _refuse_overlap(model, configuration)
    energy, forces, torques, version = single_point(model, configuration, chosen, device)
    if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(torques).all()):
        raise EngineError(
            f"{chosen.name} finds an energy of {energy:g} kT, or a force that is not finite; "
            "expected bodies that do not overlap - is the scale right (length 1 = cube edge)?"
        )
    return {
        "engine": chosen.name,
        "version": version,
        "potential_energy": float(energy),
        "forces": forces.tolist(),
        "torques": torques.tolist(),
        "model": describe(model),
    }


def _refuse_overlap(model: Model, configuration: Configuration) -> None:
    # Behind its singularity at r = Delta the potential comes down again, so engines return finite nonsense there.
    beads, _, radii, owner = place_beads(model, configuration)
    for i, j, vector in pairs(model, configuration.box, beads, radii, owner):
        apart = np.linalg.norm(vector, axis=1) - (radii[i] + radii[j] - model.sigma)
        if len(apart) and apart.min() <= 0:
            worst = int(apart.argmin())
            raise EngineError(
                f"bodies {owner[i[worst]]} and {owner[j[worst]]} overlap: their cores are {abs(apart[worst]):.2g} e "
                "nearer than touching, where there is no energy; expected bodies apart - are the size ratio and the "
                "scale right (length 1 = cube edge)?"
            )


def describe(model: Model) -> dict[str, Any]:
    """``Model.describe()`` and what it takes to compute the energy elsewhere.

    Added keys: ``positions`` and ``radii`` of the cube's beads in the body frame, the centre (row 0, radius 0 if it
    does not interact) included, empty without cubes; ``sphere_diameter``, None without spheres. Lengths in cube edges.
    """
    cube = next((body for body in model.bodies if body.name == "cube"), None)
    sphere = next((body for body in model.bodies if body.name == "sphere"), None)
    return model.describe() | {
        "positions": [] if cube is None else cube.positions.tolist(),
        "radii": [] if cube is None else cube.radii.tolist(),
        "sphere_diameter": None if sphere is None else 2.0 * float(sphere.radii[0]),
    }


def summary(answer: dict[str, Any]) -> str:
    """A few readable lines of :func:`single_point_answer`."""
    n = len(answer["forces"])
    lines = [
        f"engine            {answer['engine']} {answer['version']}",
        f"potential energy  {answer['potential_energy']:.9g} kT ({n} {'body' if n == 1 else 'bodies'})",
    ]
    for name, key, unit in (("largest force ", "forces", "kT/e"), ("largest torque", "torques", "kT")):
        sizes = np.linalg.norm(np.reshape(answer[key], (-1, 3)), axis=1)
        most = int(sizes.argmax())
        lines.append(f"{name}    {sizes[most]:.6g} {unit} on body {most}")
    return "\n".join(lines)
