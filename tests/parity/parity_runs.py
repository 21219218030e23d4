"""Runs without an end, and bodies that diffuse alone on them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from parity_states import model_of

from supercube.configuration import Configuration
from supercube.protocol.schedule import make_schedule

#: Free bodies have no stiff contacts: the step need only be short against I/zeta_r = 0.26.
WALK_STEP = 0.005


def endless(model, configuration, time_step, peclet=0.0, target=0.0):
    """A schedule that goes on for ever, after drying to ``target`` if asked for."""
    return make_schedule(
        time_step=time_step,
        volume=configuration.volume,
        body_volume=model.volume_of({name: configuration.count(name) for name in configuration.species}),
        diffusion=model.diffusion,
        peclet=peclet,
        target_packing_fraction=target,
        equilibration_time=1e6 if peclet == 0 else 1.0,
        hold_time=1e6,
    )


def free_bodies(n_each, box=30.0):
    """Cubes and spheres whose beads do not interact, so that none ever meets another.

    Mass, inertia and friction are the model's. Eight corners are enough beads to carry an orientation.
    """
    model = model_of(n_each, n_each, 1.0, 0.2, 0.05)
    model = replace(model, bodies=tuple(_ghost(body) for body in model.bodies))
    n = 2 * n_each
    configuration = Configuration(
        box=[box, box, box, 0, 0, 0],
        positions=np.random.default_rng(4).uniform(-box / 2, box / 2, (n, 3)),
        orientations=np.tile([1.0, 0, 0, 0], (n, 1)),
        species=("cube", "sphere"),
        typeid=np.repeat([0, 1], n_each),
    )
    return model, configuration


def _ghost(body):
    corners = 0.3 * np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), axis=-1).reshape(-1, 3)
    positions = np.concatenate([np.zeros((1, 3)), corners]) if body.is_rigid else np.zeros((1, 3))
    return replace(body, positions=positions, radii=np.zeros(len(positions)))


def angular_displacements(turns):
    """(T, N, 3) sums of the rotation vectors from each frame to the next, in the space frame.

    They are the integral of the angular velocity up to the commutators of turns within one frame, so frames must be
    short: here a frame turns a body by 0.1 rad and its velocity by a tenth, which leaves 1e-4 of the angle.
    """
    steps = [(after * before.inv()).as_rotvec() for before, after in pairwise(turns)]
    return np.cumsum([np.zeros_like(steps[0]), *steps], axis=0)


def mean_square(path, lag):
    """(N,) mean square displacement of each body over ``lag`` frames, from all origins; bodies are independent."""
    return ((path[lag:] - path[:-lag]) ** 2).sum(axis=-1).mean(axis=0)
