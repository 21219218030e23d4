"""Configurations for the parity suite: fluids, crystals and touching pairs, in cubic and tilted boxes.

Every one is moved so that bodies lie across the faces of the box. HOOMD-blue needs boxes wider than twice the longest
range, which is the spheres' with attraction: D + 1.5 sigma.
"""

from functools import cache

import numpy as np
from reference import evaluate
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration, box_matrix, wrap
from supercube.crystals.build import build_crystal
from supercube.model import sums
from supercube.model.particles import build_model
from supercube.protocol.initial import random_fluid
from supercube.statepoint import StatePoint

TILTS = {"cubic": (0.0, 0.0, 0.0), "tilted": (0.12, -0.08, 0.2)}
GAMMA, LAMBDA = 0.49, 0.18

#: n_cubes, n_spheres, gamma, lambda, roughness, structure. Coarse cubes (21 beads, one of them large) keep the slow
#: sum fast; the crystals of cubes and ABO3 have the cubes that runs use (69 and 44 beads).
SYSTEMS = {
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
def model_of(n_cubes, n_spheres, gamma, ligand_length, roughness, attraction=0.0):
    """The model of a state point with these values."""
    values = {"n_cubes": n_cubes, "n_spheres": n_spheres, "ligand_length": ligand_length, "roughness": roughness}
    size_ratio = {"size_ratio": gamma} if n_spheres else {}
    return build_model(StatePoint.parse(values | size_ratio | {"attraction": attraction}, "parity"))


@cache
def system(name, box, attraction):
    """The model, the configuration and its reference of a name in ``SYSTEMS``, once for all engines."""
    model = model_of(*SYSTEMS[name][:-1], attraction)
    configuration = _bodies(name, box)
    return model, configuration, evaluate(model, configuration)


@cache
def _bodies(name, box):
    *values, structure = SYSTEMS[name]
    n_cubes, n_spheres, gamma, ligand_length, _ = values
    counts, rng = (n_cubes, n_spheres, gamma, ligand_length), np.random.default_rng(5)
    if structure == "fluid":
        loose = scaled(random_fluid(*counts, 0.25, 3), 0.9)
    else:
        # Layers of aligned cubes slide along each other, but those of ABO3 need room to be sheared.
        expansion = 1.12 if (structure, box) == ("ABO3", "tilted") else 1.04
        loose = perturbed(build_crystal(structure, *counts, expansion), 0.05 * ligand_length, rng)
    # Shearing pushes bodies deep into each other; what is left after easing is squeezed to forces of 10 to 1e3 kT/e.
    dense = scaled(eased(model_of(*values), sheared(loose, TILTS[box])), 0.965)
    return moved(dense, rng.uniform(-3, 3, 3))


def scaled(configuration, factor):
    """Box and positions scaled, bodies as large as before."""
    box = configuration.box * [factor, factor, factor, 1, 1, 1]
    return configuration.with_(box=box, positions=configuration.positions * factor)


def eased(model, configuration, steps=15):
    """Overlapping bodies moved along their forces, at most 0.03 e a step."""
    for _ in range(steps):
        forces = sums.evaluate(model, configuration).forces
        length = np.linalg.norm(forces, axis=1, keepdims=True)
        step = forces * np.minimum(2e-4, 0.03 / np.maximum(length, 1e-12))
        configuration = configuration.with_(positions=wrap(configuration.positions + step, configuration.box)[0])
    return configuration


def perturbed(configuration, length, rng):
    """Every body displaced and turned by normal deviates of ``length`` (over the cube's edge, for angles)."""
    n = len(configuration)
    turned = _turned(configuration, Rotation.from_rotvec(rng.normal(0, length, (n, 3))))
    positions = configuration.positions + rng.normal(0, length, (n, 3))
    return turned.with_(positions=wrap(positions, configuration.box)[0])


def _turned(configuration, rotation):
    """Orientations after a turn in space; spheres keep theirs, which means nothing."""
    before = Rotation.from_quat(configuration.orientations, scalar_first=True)
    after = (rotation * before).as_quat(scalar_first=True)
    after[configuration.is_species("sphere")] = [1, 0, 0, 0]
    return configuration.with_(orientations=after)


def sheared(configuration, tilts):
    """The same fractional coordinates in a box of these tilts."""
    box = np.concatenate([configuration.box[:3], tilts])
    fractional = configuration.positions @ np.linalg.inv(box_matrix(configuration.box)).T
    return configuration.with_(box=box, positions=wrap(fractional @ box_matrix(box).T, box)[0])


def moved(configuration, vector):
    """All bodies moved by a vector and wrapped."""
    return configuration.with_(positions=wrap(configuration.positions + vector, configuration.box)[0])


def rotated(configuration, rotation):
    """All bodies turned about the centre of the box, which stays as it is, and wrapped."""
    positions = rotation.apply(configuration.positions)
    return _turned(configuration, rotation).with_(positions=wrap(positions, configuration.box)[0])


def touching(name, gap, box, attraction):
    """A pair of ``CONTACTS`` across the corner of a box 7 e wide, its surfaces ``gap`` sigma apart, and its model."""
    first, second, spin = CONTACTS[name]
    kinds = ["sphere" if feature == "sphere" else "cube" for feature in (first, second)]
    model = model_of(kinds.count("cube"), kinds.count("sphere"), GAMMA, LAMBDA, 0.05, attraction)
    distance = _support(first) + _support(second) + gap * model.sigma
    spins = [Rotation.identity(), Rotation.from_rotvec([np.radians(spin), 0, 0])]
    turns = Rotation.concatenate([s * _pointing(f) for s, f in zip(spins, (first, second), strict=True)])
    species = tuple(body.name for body in model.bodies)
    pair = Configuration(
        box=[7.0, 7.0, 7.0, *TILTS[box]],
        # Sideways by a little: no force or torque then vanishes by symmetry.
        positions=[[-distance / 2, 0, 0], [distance / 2, 0.02, -0.03]],
        orientations=turns.as_quat(scalar_first=True),
        species=species,
        typeid=[species.index(kind) for kind in kinds],
    )
    pair = rotated(pair, Rotation.from_rotvec([0.3, -0.2, 0.5]))
    return model, moved(pair, box_matrix(pair.box) @ [0.5, 0.5, 0.5])


def _support(feature):
    """Distance of the surface from the centre in the direction of a feature."""
    if feature == "sphere":
        return 0.5 / GAMMA
    normal = np.array(FEATURES[feature])
    return (0.5 - LAMBDA) * normal.sum() / np.linalg.norm(normal) + LAMBDA


def _pointing(feature):
    """The turn that brings a feature onto the x axis; a cube is symmetric, so onto both sides of it."""
    normal = np.array(FEATURES.get(feature, (1, 0, 0))) / np.linalg.norm(FEATURES.get(feature, (1, 0, 0)))
    axis = np.cross(normal, [1.0, 0, 0])
    length = np.linalg.norm(axis)
    return Rotation.from_rotvec(axis / length * np.arccos(normal[0]) if length else np.zeros(3))
