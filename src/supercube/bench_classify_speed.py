"""Speed and memory of the classifier beside plain freud, for ``supercube bench classify``."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import numpy as np

from .configuration import Configuration, wrap
from .order import classify
from .order.samples import FWHM, generator

#: Edges in cells of the frames that are timed: about 2,000, 20,000 and 100,000 particles of ABO3.
EDGES = (7, 16, 27)


@contextmanager
def processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes with one thread each, of BLAS and of freud; they are stopped at the end.

    Spawned, since forking a process that may hold threads can hang.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    # BLAS reads them when a worker first imports numpy, which is before any function of ours runs there.
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_single_threaded_freud) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _single_threaded_freud() -> None:
    import freud

    freud.parallel.set_num_threads(1)


def speed_frame(edge: int) -> Configuration:
    """ABO3 of edge^3 cells with 3 % noise and 5 degrees FWHM, in random particle order."""
    from scipy.spatial.transform import Rotation

    from .crystals.build import build_crystal

    crystal = build_crystal("ABO3", 4 * edge**3, edge**3, 0.49, 0.15, 1.04)
    rng = generator("speed", edge)
    order = rng.permutation(len(crystal))
    # Nearest neighbours of ABO3 are half a lattice constant apart.
    step = 0.03 * 0.5 * float(crystal.box[0]) / edge
    tilts = Rotation.from_rotvec(np.radians(5 / FWHM) * rng.normal(size=(len(crystal), 3)))
    turned = (tilts * Rotation.from_quat(crystal.orientations[:, [1, 2, 3, 0]])).as_quat()[:, [3, 0, 1, 2]]
    return crystal.with_(
        positions=wrap(crystal.positions + step * rng.normal(size=(len(crystal), 3)), crystal.box)[0][order],
        orientations=turned[order],
        typeid=crystal.typeid[order],
    )


def speed_row(edge: int) -> dict[str, float]:
    """Rates on one core by processor time, so that other programs do not count: classifier and freud's q6.

    The median of three rounds up to 30,000 particles, and the first round (after a warm-up on a small frame) above;
    ``peak_mb`` is the peak memory of this process until then, so each row needs a process of its own.
    """
    import resource

    import freud

    frame, small = speed_frame(edge), speed_frame(4)
    rounds = 3 if len(frame) < 30_000 else 1

    def steinhardt(configuration: Configuration) -> None:
        system = (freud.box.Box.from_box(configuration.box), configuration.positions)
        freud.order.Steinhardt(l=6).compute(system, neighbors={"num_neighbors": 12})

    steinhardt_seconds = cpu_seconds(steinhardt, small, frame, rounds)
    classify_seconds = cpu_seconds(classify, small, frame, rounds)
    # ru_maxrss is in kilobytes on Linux and in bytes on macOS.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return {
        "particles": len(frame),
        "particles_per_second": len(frame) / classify_seconds,
        "steinhardt_particles_per_second": len(frame) / steinhardt_seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit,
    }


def cpu_seconds(
    function: Callable[[Configuration], Any], warm: Configuration, frame: Configuration, rounds: int
) -> float:
    """Median processor time of some calls after one on a small frame."""
    function(warm)
    times = []
    for _ in range(rounds):
        began = time.process_time()
        function(frame)
        times.append(time.process_time() - began)
    return statistics.median(times)


def speed(edges: Sequence[int] = EDGES) -> list[dict[str, float]]:
    """One row a frame, each measured in a fresh process with one thread."""
    found = []
    for edge in edges:
        with processes(1) as pool:
            found.append(pool.submit(speed_row, edge).result())
    return found
