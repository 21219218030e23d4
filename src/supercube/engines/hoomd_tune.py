"""What fits and what is fast in HOOMD-blue: the neighbour list by measurement, the narrowest box, the most ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError
from ..model.particles import Model
from .base import Setup, State, box_heights
from .hoomd_world import World, one_sentence

FloatArray = NDArray[np.float64]

#: Neighbour lists to choose from; Cell cannot hold beads and large spheres well, Tree always can.
LISTS = ("Tree", "Stencil", "Cell")
#: Taken for runs that are too short to be worth measuring; the buffer over the range of the bead potential.
DEFAULT = ("Tree", 0.6)
#: Buffers to try, over the range of the bead potential.
BUFFERS = (0.3, 0.45, 0.75, 1.0)
#: Seconds of a trial run.
_TRIAL = 0.3
_tuned: dict[tuple[str, int, str], dict[str, Any]] = {}


def tune(hoomd: Any, device: Any, model: Model, state: State, setup: Setup) -> dict[str, Any]:
    """Neighbour list and buffer that ran fastest on this state, measured once per kind of system and process.

    All lists at the usual buffer, then the fastest of them at the other buffers that the box has room for. Times are
    the communicator's, which agree on all ranks, so every rank decides alike.

    Returns:
        dict: ``neighbour_list``, ``buffer`` (cube edges) and ``tried``: list, buffer and steps per second of each
        trial.
    """
    key = (model.hash, len(state.configuration), f"{type(device).__name__} {device.communicator.num_ranks}")
    if key not in _tuned:
        room = room_for_buffer(model, state.configuration.box, device.communicator.num_ranks)
        tried: list[tuple[str, float, float]] = []

        def attempt(kind: str, buffers: Sequence[float]) -> None:
            world = World(hoomd, device, model, state, setup, kind, buffers[0])
            for buffer in buffers:
                world.neighbours.buffer = buffer
                tried.append((kind, buffer, round(_rate(world, device), 1)))

        usual = min(DEFAULT[1] * model.reach, room)
        for kind in LISTS:
            attempt(kind, [usual])
        fastest = max(tried, key=lambda trial: trial[2])[0]
        others = [factor * model.reach for factor in BUFFERS if factor * model.reach <= room]
        attempt(fastest, others or [usual])
        kind, buffer, _ = max(tried, key=lambda trial: trial[2])
        _tuned[key] = {"neighbour_list": kind, "buffer": buffer, "tried": [list(trial) for trial in tried]}
    return dict(_tuned[key])


def _rate(world: World, device: Any) -> float:
    """Steps per second, after a warm-up that lets a GPU's kernels tune themselves.

    A large system on the wrong list takes seconds a step, so trials begin with single steps.
    """
    simulation, clock = world.simulation, device.communicator
    steps, began = 1, clock.walltime
    with one_sentence():
        simulation.run(steps)
        while clock.walltime - began < _TRIAL / 2:
            simulation.run(10)
        while True:
            began = clock.walltime
            simulation.run(steps)
            took = clock.walltime - began
            if took > _TRIAL / 2:
                return float(steps / took)
            steps = int(steps * max(2.0, 0.7 * _TRIAL / max(took, 1e-6)))


def longest_range(model: Model) -> float:
    """Longest distance of two bead centres that still interact, cube edges."""
    largest = max(float(radius) for body in model.bodies for radius in body.radii)
    return model.cutoff(largest, largest)


def room_for_buffer(model: Model, box: FloatArray, ranks: int = 1) -> float:
    """The largest buffer that HOOMD takes in this box: ranges and buffer within half of it.

    Raises:
        EngineError: there is no room for any.
    """
    longest, narrowest = longest_range(model), float(box_heights(box).min())
    room = 0.499 * narrowest - longest
    if room <= 0:
        raise EngineError(
            f"the box is {narrowest:.3g} e wide, but HOOMD-blue needs more than {2 * longest / 0.998:.3g} e, twice the "
            f"longest range of the forces; take more particles, a looser target, or engine: lammps."
        )
    # ``most_ranks`` counts with the usual buffer, so on several ranks no larger one will do.
    return room if ranks == 1 else min(room, DEFAULT[1] * model.reach)


def most_ranks(model: Model, box: FloatArray, buffer: float, limit: int) -> int:
    """The largest number of ranks up to ``limit`` for which bodies fit the domains of a box.

    Half a domain must exceed the layer of neighbours' particles that HOOMD keeps: max_i (2 d_i + r_i + buffer) over the
    beads, with d_i from the centre of the body and r_i the bead's longest range. (Measured: two ranks ran at a box of
    7.6 and not at 7.4 where this gives 7.51.)

    Args:
        model: its largest body counts.
        box: (6,) the smallest box of the run.
        buffer: of the neighbour list, cube edges.
        limit: ranks that were asked for.
    """
    largest = max(float(radius) for body in model.bodies for radius in body.radii)
    layer = max(
        2.0 * float(np.linalg.norm(x)) + model.cutoff(float(radius), largest) + buffer
        for body in model.bodies
        for x, radius in zip(body.positions, body.radii, strict=True)
        if radius > 0
    )
    width = 2.0 * layer
    fits = np.maximum(1, np.floor(box_heights(box) / width).astype(int))
    return max(n for n in range(1, limit + 1) if _splits(n, fits))


def _splits(n: int, fits: NDArray[np.int_]) -> bool:
    """Whether n = x y z with each factor at most what fits along that axis."""
    return any(
        n % x == 0 and (n // x) % y == 0 and n // x // y <= fits[2]
        for x in range(1, int(fits[0]) + 1)
        for y in range(1, int(fits[1]) + 1)
    )
