"""The same configurations through every engine and the formula: fluids, crystals and touching pairs.

Every configuration is moved so that bodies lie across the faces of the box. HOOMD-blue needs boxes wider than twice the
longest range, which is the spheres' with attraction: D + 1.5 sigma.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from ..configuration import Configuration, box_matrix, wrap
from ..crystals.build import build_crystal
from ..model import sums
from ..model.interactions import wca_energy, wca_force, well_energy, well_force
from ..model.particles import Model
from ..protocol.initial import random_fluid
from .dynamics import Machine, label, model_of
from .results import Check

FloatArray = NDArray[np.float64]
#: Energy (kT), forces and torques (N, 3).
Answer = tuple[float, FloatArray, FloatArray]

GROUP = "Parity of the engines"

# --- configurations --------------------------------------------------------------------------------------------------

TILTS = {"cubic": (0.0, 0.0, 0.0), "tilted": (0.12, -0.08, 0.2)}
GAMMA, LAMBDA = 0.49, 0.18

#: n_cubes, n_spheres, gamma, lambda, roughness, structure. Coarse cubes (21 beads, one of them large) keep a slow sum
#: fast; the crystals of cubes and ABO3 have the cubes that runs use (69 and 44 beads).
SYSTEMS: dict[str, tuple[int, int, float, float, float, str]] = {
    "cube fluid": (32, 0, 1.0, 0.2, 0.05, "fluid"),
    "cube crystal": (27, 0, 1.0, 0.1, 0.02, "SC"),
    "sphere fluid": (0, 40, 0.6, 0.2, 0.05, "fluid"),
    "mixed fluid": (32, 12, 0.7, 0.2, 0.05, "fluid"),
    "NaCl crystal": (32, 32, GAMMA, LAMBDA, 0.05, "NaCl"),
    "ABO3 crystal": (108, 27, GAMMA, LAMBDA, 0.02, "ABO3"),
}
#: Which way a cube points at its partner, as the normal of what touches.
FEATURES = {"face": (1, 0, 0), "edge": (1, 1, 0), "corner": (1, 1, 1)}
#: Two bodies that touch, what of each, and the turn of the second about the line between them, degrees.
CONTACTS = {
    "face-face": ("face", "face", 0),
    "face-face turned": ("face", "face", 30),
    "edge-edge": ("edge", "edge", 90),
    "corner-face": ("corner", "face", 10),
    "corner-corner": ("corner", "corner", 0),
    "face-sphere": ("face", "sphere", 0),
    "corner-sphere": ("corner", "sphere", 0),
    "sphere-sphere": ("sphere", "sphere", 0),
}


@cache
def dense(name: str, box: str) -> Configuration:
    """The bodies of a name in ``SYSTEMS``, pressed together in a box of ``TILTS``, across its faces."""
    *values, structure = SYSTEMS[name]
    n_cubes, n_spheres, gamma, ligand_length, _ = SYSTEMS[name][:5]
    counts, rng = (n_cubes, n_spheres, gamma, ligand_length), np.random.default_rng(5)
    if structure == "fluid":
        loose = scaled(random_fluid(*counts, 0.25, 3), 0.9)
    else:
        # Layers of aligned cubes slide along each other, but those of ABO3 need room to be sheared.
        expansion = 1.12 if (structure, box) == ("ABO3", "tilted") else 1.04
        loose = perturbed(build_crystal(structure, *counts, expansion), 0.05 * ligand_length, rng)
    # Shearing pushes bodies deep into each other; what is left after easing is squeezed to forces of 10 to 1e3 kT/e.
    pressed = scaled(eased(model_of(*values), sheared(loose, TILTS[box])), 0.965)
    return moved(pressed, rng.uniform(-3, 3, 3))


def scaled(configuration: Configuration, factor: float) -> Configuration:
    """Box and positions scaled, bodies as large as before."""
    box = configuration.box * np.array([factor, factor, factor, 1, 1, 1])
    return configuration.with_(box=box, positions=configuration.positions * factor)


def eased(model: Model, configuration: Configuration, steps: int = 15) -> Configuration:
    """Overlapping bodies moved along their forces, at most 0.03 e a step."""
    for _ in range(steps):
        forces = sums.evaluate(model, configuration).forces
        length = np.linalg.norm(forces, axis=1, keepdims=True)
        step = forces * np.minimum(2e-4, 0.03 / np.maximum(length, 1e-12))
        configuration = configuration.with_(positions=wrap(configuration.positions + step, configuration.box)[0])
    return configuration


def perturbed(configuration: Configuration, length: float, rng: np.random.Generator) -> Configuration:
    """Every body displaced and turned by normal deviates of ``length`` (over the cube's edge, for angles)."""
    n = len(configuration)
    turned = _turned(configuration, Rotation.from_rotvec(rng.normal(0, length, (n, 3))))
    positions = configuration.positions + rng.normal(0, length, (n, 3))
    return turned.with_(positions=wrap(positions, configuration.box)[0])


def _turned(configuration: Configuration, rotation: Rotation) -> Configuration:
    """Orientations after a turn in space; spheres keep theirs, which means nothing."""
    before = Rotation.from_quat(configuration.orientations, scalar_first=True)
    after = (rotation * before).as_quat(scalar_first=True)
    after[configuration.is_species("sphere")] = [1, 0, 0, 0]
    return configuration.with_(orientations=after)


def sheared(configuration: Configuration, tilts: Sequence[float]) -> Configuration:
    """The same fractional coordinates in a box of these tilts."""
    box = np.concatenate([configuration.box[:3], tilts])
    fractional = configuration.positions @ np.linalg.inv(box_matrix(configuration.box)).T
    return configuration.with_(box=box, positions=wrap(fractional @ box_matrix(box).T, box)[0])


def moved(configuration: Configuration, vector: ArrayLike) -> Configuration:
    """All bodies moved by a vector (3,) and wrapped."""
    shifted = configuration.positions + np.asarray(vector, dtype=np.float64)
    return configuration.with_(positions=wrap(shifted, configuration.box)[0])


def rotated(configuration: Configuration, rotation: Rotation) -> Configuration:
    """All bodies turned about the centre of the box, which stays as it is, and wrapped."""
    positions = rotation.apply(configuration.positions)
    return _turned(configuration, rotation).with_(positions=wrap(positions, configuration.box)[0])


def touching(name: str, gap: float, box: str, attraction: float) -> tuple[Model, Configuration]:
    """A pair of ``CONTACTS`` across the corner of a box 7 e wide, and its model.

    Args:
        name: a key of ``CONTACTS``.
        gap: between the surfaces, over sigma.
        box: a key of ``TILTS``.
        attraction: of the model, kT.
    """
    first, second, spin = CONTACTS[name]
    kinds = ["sphere" if feature == "sphere" else "cube" for feature in (first, second)]
    model = model_of(kinds.count("cube"), kinds.count("sphere"), GAMMA, LAMBDA, 0.05, attraction)
    distance = _support(first) + _support(second) + gap * model.sigma
    spins = [Rotation.identity(), Rotation.from_rotvec([np.radians(spin), 0, 0])]
    turns = Rotation.concatenate([s * _pointing(f) for s, f in zip(spins, (first, second), strict=True)])
    species = tuple(body.name for body in model.bodies)
    pair = Configuration(
        box=np.array([7.0, 7.0, 7.0, *TILTS[box]]),
        # Sideways by a little: no force or torque then vanishes by symmetry.
        positions=np.array([[-distance / 2, 0, 0], [distance / 2, 0.02, -0.03]]),
        orientations=turns.as_quat(scalar_first=True),
        species=species,
        typeid=np.array([species.index(kind) for kind in kinds]),
    )
    pair = rotated(pair, Rotation.from_rotvec([0.3, -0.2, 0.5]))
    return model, moved(pair, box_matrix(pair.box) @ [0.5, 0.5, 0.5])


def _support(feature: str) -> float:
    """Distance of the surface from the centre in the direction of a feature."""
    if feature == "sphere":
        return 0.5 / GAMMA
    normal = np.array(FEATURES[feature])
    return float((0.5 - LAMBDA) * normal.sum() / np.linalg.norm(normal) + LAMBDA)


def _pointing(feature: str) -> Rotation:
    """The turn that brings a feature onto the x axis; a cube is symmetric, so onto both sides of it."""
    normal = np.array(FEATURES.get(feature, (1, 0, 0))) / np.linalg.norm(FEATURES.get(feature, (1, 0, 0)))
    axis = np.cross(normal, [1.0, 0, 0])
    length = np.linalg.norm(axis)
    return Rotation.from_rotvec(axis / length * np.arccos(normal[0]) if length else np.zeros(3))


# --- deviations ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scales:
    """What differences are measured by.

    Attributes:
        energy: sum of the absolute energies of all bead pairs, kT; unlike the energy it cannot cancel to zero.
        force: the largest force of a single bead pair, kT/e; a lever is about one cube edge, so for torques too.
    """

    energy: float
    force: float


def scales(model: Model, configuration: Configuration) -> Scales:
    """Sums over the pairs of beads of a configuration."""
    beads, _, radii, owner = sums.place_beads(model, configuration)
    rigid = np.array([model.body(configuration.species[k]).is_rigid for k in configuration.typeid])
    energy, force = 0.0, 0.0
    for i, j, vector in sums.pairs(model, configuration.box, beads, radii, owner):
        s = np.linalg.norm(vector, axis=1) - (radii[i] + radii[j] - model.sigma)
        depth = model.depth(radii[i], radii[j], (~rigid[owner[i]]).astype(int) + ~rigid[owner[j]])
        strength = wca_energy(s, model.sigma) + depth * well_energy(s, model.sigma)
        push = wca_force(s, model.sigma) + depth * well_force(s, model.sigma)
        energy += float(np.abs(strength).sum())
        force = max(force, float(np.abs(push).max(initial=0.0)))
    return Scales(energy, force)


def deviations(found: Answer, expected: Answer, scale: Scales) -> tuple[float, float, float]:
    """Largest differences of energy, forces and torques, over their scales; NaN where a number is none."""
    energy = abs(found[0] - expected[0]) / scale.energy
    force, torque = (float(np.abs(a - b).max()) / scale.force for a, b in zip(found[1:], expected[1:], strict=True))
    return energy, force, torque


# --- for the report --------------------------------------------------------------------------------------------------

#: Every one of ``SYSTEMS`` runs like this: box, attraction (kT).
WAYS = (("cubic", 2.5), ("tilted", 0.0))
#: Gaps over sigma with the attraction: pressed, and where only the well acts, near its steepest.
GAPS = ((-0.1, 0.0), (-0.05, 4.0), (0.4, 4.0))
#: LAMMPS keeps bead radii to 12 decimals: a contact distance off by up to 1e-12 e, times the slope of the force, up to
#: 1e2 of itself per e, times a few pairs of beads that all err alike. Doubles round to less (1e-13 for HOOMD-blue).
TOLERANCE = 1e-9
_WHY = (
    "LAMMPS keeps bead radii to 1e-12 e, where a force changes by 1e2 of itself per e and several pairs err alike; "
    "double precision rounds to 1e-12 or less"
)


def samples(kind: str) -> Iterator[tuple[Model, Configuration]]:
    """The configurations of one kind: ``fluids``, ``crystals`` or ``touching pairs``."""
    if kind == "touching pairs":
        for name in CONTACTS:
            for gap, attraction in GAPS:
                for box in TILTS:
                    yield touching(name, gap, box, attraction)
        return
    for name, values in SYSTEMS.items():
        if (values[-1] == "fluid") == (kind == "fluids"):
            for box, attraction in WAYS:
                yield model_of(*values[:-1], attraction), dense(name, box)


def parity_checks(machines: Sequence[Machine]) -> list[Check]:
    """Every engine against the formula (``model.sums``), and the engines against each other."""
    checks: list[Check] = []
    for kind in ("fluids", "crystals", "touching pairs"):
        worst: dict[tuple[str, str], FloatArray] = {}
        count = 0
        for model, configuration in samples(kind):
            count += 1
            for pair, found in _compared(machines, model, configuration).items():
                worst[pair] = np.maximum(worst.get(pair, np.zeros(3)), found)  # keeps NaN
        for (engine, other), found in worst.items():
            checks += _checks_of(f"{count} {kind}", engine, other, found)
    return checks


def _compared(
    machines: Sequence[Machine], model: Model, configuration: Configuration
) -> dict[tuple[str, str], FloatArray]:
    formula, scale = sums.evaluate(model, configuration), scales(model, configuration)
    expected: Answer = (formula.energy, formula.forces, formula.torques)
    answers = {label(machine): machine.single_point(model, configuration) for machine in machines}
    found = {(name, "the formula"): np.array(deviations(one, expected, scale)) for name, one in answers.items()}
    for (name, one), (other, two) in combinations(answers.items(), 2):
        found[name, other] = np.array(deviations(one, two, scale))
    return found


def _checks_of(what: str, engine: str, other: str, found: FloatArray) -> list[Check]:
    return [
        Check(
            group=GROUP,
            name=f"{quantity} against {other}, {what}",
            engine=engine,
            value=float(value),
            error=0.0,
            target=0.0,
            source="the same potential",
            tolerance=TOLERANCE,
            why=_WHY,
        )
        for quantity, value in zip(("energy", "forces", "torques"), found, strict=True)
    ]
