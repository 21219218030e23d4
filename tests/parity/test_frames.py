"""Nothing but the relative places of bodies matters: translations and rotations of the whole system."""

import numpy as np
import pytest
from parity_states import system
from scipy.spatial.transform import Rotation

from supercube.configuration import Configuration
from supercube.validation.parity import moved, rotated

#: Coordinates are rounded anew by every turn, 1e-15 e; a force of the 13th power over a tenth of an edge makes that
#: 1e-12 of itself.
ROUNDING = 1e-9
QUARTER_TURNS = {
    "90 deg about z": Rotation.from_rotvec([0, 0, np.pi / 2]),
    "180 deg about x": Rotation.from_rotvec([np.pi, 0, 0]),
    "120 deg about 111": Rotation.from_rotvec(np.full(3, 2 * np.pi / 3 / np.sqrt(3))),
}


def check(machine, model, pair_of_configurations, rotation, scales):
    """Energies are equal and vectors turn along."""
    (energy, *before), (energy_after, *after) = (machine.single_point(model, c) for c in pair_of_configurations)
    assert abs(energy - energy_after) < ROUNDING * scales.energy_scale
    for vectors, turned in zip(before, after, strict=True):
        np.testing.assert_allclose(turned, rotation.apply(vectors), rtol=0, atol=ROUNDING * scales.force_scale)
    assert np.abs(before[1]).max() > 0.1 * scales.force_scale  # there is a torque that could have turned wrongly


@pytest.mark.parametrize("box", ["cubic", "tilted"])
def test_translation_changes_nothing(machine, box):
    model, configuration, scales = system("mixed fluid", box, 2.5)
    there = moved(configuration, [0.7, -1.9, 2.6])
    check(machine, model, (configuration, there), Rotation.identity(), scales)


@pytest.mark.parametrize("name", QUARTER_TURNS)
def test_forces_turn_with_a_cubic_box(machine, name):
    model, configuration, scales = system("mixed fluid", "cubic", 2.5)
    check(machine, model, (configuration, rotated(configuration, QUARTER_TURNS[name])), QUARTER_TURNS[name], scales)


def cluster():
    """A sphere of the mixed fluid and all bodies within 2 e of it, alone in a box that none of their images reach."""
    model, configuration, scales = system("mixed fluid", "cubic", 2.5)
    center = configuration.positions[configuration.is_species("sphere")][0]
    offsets = configuration.minimum_image(configuration.positions - center)
    near = np.linalg.norm(offsets, axis=1) < 2
    assert near.sum() > 6
    alone = Configuration(
        box=[12.0, 12, 12, 0, 0, 0],
        positions=offsets[near],
        orientations=configuration.orientations[near],
        species=configuration.species,
        typeid=configuration.typeid[near],
    )
    return model, scales, alone


def test_forces_turn_with_a_cluster_in_any_direction(machine):
    model, scales, alone = cluster()
    for rotation in Rotation.random(3, rng=8):
        check(machine, model, (alone, rotated(alone, rotation)), rotation, scales)


def test_a_cluster_feels_no_torque_of_its_own(machine):
    model, scales, alone = cluster()
    _, forces, torques = machine.single_point(model, alone)
    whole = (torques + np.cross(alone.positions, forces)).sum(axis=0)
    np.testing.assert_allclose(whole, 0, atol=ROUNDING * scales.force_scale)
