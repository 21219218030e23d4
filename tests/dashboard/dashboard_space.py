"""A data space with a job of every kind, made without molecular dynamics."""

import json
from pathlib import Path

import numpy as np
import signac

from supercube import operations
from supercube.configuration import read_gsd
from supercube.engines.base import Thermo
from supercube.engines.segments import SegmentWriter
from supercube.model.particles import build_model
from supercube.spaces import fill

TOKEN = "letmein123"
SPACE = """
protocol: {equilibration_time: 0.1, hold_time: 0.2}
jobs:
  - {n_cubes: 32, n_spheres: 8, size_ratio: 0.49, ligand_length: 0.2, initial: ABO3, expansion: 1.02, replicate: [0, 1]}
  - {n_cubes: 32, n_spheres: 32, size_ratio: 0.4, ligand_length: 0.2, initial: NaCl, expansion: 1.02}
  - {n_cubes: 8, ligand_length: 0.2, evaporation_rate: [8, 20, 60], target_packing_fraction: 0.5}
"""
FAILURE = "LAMMPS stopped: the <energy> is not finite."


def make(root):
    """A data space: two finished jobs, one each waiting, running, failed and damaged, and a foreign one."""
    path = root.parent / "study.yaml"
    path.write_text(SPACE)
    fill(root, path)
    project = signac.get_project(root)
    finish(find(root, initial="ABO3", replicate=0), scattering=True)
    finish(find(root, initial="NaCl"))
    fail(find(root, evaporation_rate=20.0))
    run(find(root, evaporation_rate=60.0))
    damaged = find(root, initial="ABO3", replicate=1)
    Path(damaged.path, "signac_job_document.json").write_text('{"protocol": ')
    project.open_job({"foreign": 1}).init()
    operations.phase_map(root)


def find(root, **values):
    """The job with these values."""
    (job,) = [
        job
        for job in signac.get_project(root)
        if all(dict(job.cached_statepoint).get(key) == value for key, value in values.items())
    ]
    return job


def finish(job, *, scattering=False):
    """What the workflow leaves of a crystal that trembles at its place."""
    operations.build(job)
    initial = read_gsd(job.fn("initial.gsd"))
    model = build_model(operations.state_point_of(job))
    schedule = operations.schedule_of(job, model, initial)
    rng = np.random.default_rng(1)
    body_volume = operations._body_volume(model, initial)
    writer = SegmentWriter(Path(job.path))
    for step in np.linspace(0, schedule.total_steps, 13).astype(int):
        moved = initial.positions + rng.normal(scale=0.01, size=initial.positions.shape)
        writer.frame(initial.with_(positions=moved, step=int(step)))
        thermo = Thermo(1.0 + 0.1 * rng.normal(), 1.0, 2.0 * len(initial), 20.0 + rng.normal(), initial.volume)
        writer.row(int(step), step * schedule.time_step, thermo, body_volume)
    writer.close()
    Path(job.fn("checkpoint")).mkdir()
    for marker in (operations.EQUILIBRATED, operations.EVAPORATED):
        Path(job.fn(marker)).touch()
    job.doc.update({"engine": "lammps", "total_steps": schedule.total_steps, "steps_per_second": 1234.5})
    operations.classify(job)
    if scattering:
        operations.scatter(job)
    operations.render(job)


def fail(job):
    """What a failed operation leaves."""
    Path(job.fn(operations.FAILED)).touch()
    job.doc["error"] = FAILURE


def run(job, step=6000, total=10000):
    """What a running job leaves: a lock, two checkpoints, and a log whose last row is half written."""
    Path(job.fn("checkpoint")).mkdir()
    slots = [
        {"slot": name, "step": at, "record": {"total_steps": total, "wall_seconds": wall}}
        for name, at, wall in (("a.npz", step - 2000, 20.0), ("b.npz", step, 30.0))
    ]
    Path(job.fn("checkpoint/manifest.json")).write_text(json.dumps({"identity": {}, "slots": slots}))
    Path(job.fn("lock.json")).write_text(json.dumps({"host": "a-node", "pid": 1}))
    writer = SegmentWriter(Path(job.path))
    for at in range(0, step, 500):
        writer.row(at, at * 0.001, Thermo(1.0, 0.9, 3.0, 5.0, 30.0), 8.0)
    writer.close()
    with open(job.fn("log-0000.csv"), "a") as log:
        log.write("6000,6.0,1.0")
