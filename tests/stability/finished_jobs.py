"""Jobs as the workflow leaves them: a document, and frames of a crystal whose coordinates are Gaussian."""

from pathlib import Path

import numpy as np
from gaussian_crystals import moving

from supercube.configuration import write_gsd
from supercube.crystals.build import build_crystal
from supercube.engines.segments import SegmentWriter

#: State point of a cube crystal; the rest changes.
BASE = {
    "size_ratio": 1.0, "ligand_length": 0.15, "evaporation_rate": 0.0, "n_cubes": 27, "n_spheres": 0, "attraction": 0.0,
    "initial": "SC", "expansion": 1.05, "pressure": 20.0, "roughness": 0.02, "size_dispersity": 0.0, "replicate": 0,
}  # fmt: skip
#: Time steps of a run, between its frames, and of its hold.
STEPS, EVERY, HOLD = 900, 15, 600
#: The cube of every job.
BEADS = {"beads": 56, "bead_radii": [0.15, 0.43], "bead_spacing": 0.233, "roughness": 0.0064}


def finished(project, width=0.02, *, frames=True, model=None, **values):
    """A job with a document, and frames in which every coordinate is Gaussian; wider ones before the hold."""
    job = project.open_job(BASE | values)
    job.init()
    point = job.cached_statepoint
    names = ("initial", "n_cubes", "n_spheres", "size_ratio", "ligand_length", "expansion")
    crystal = build_crystal(*(point[name] for name in names))
    units = {"SC": 27, "fcc": 32, "NaCl": 32, "ABO3": 8}[point["initial"]]
    job.doc.update(
        {
            "structure": point["initial"], "structure_fraction": 1.0, "n_cubes": point["n_cubes"],
            "n_spheres": point["n_spheres"], "volume": crystal.volume, "volume_sem": 0.001 * units,
            "potential_energy": 2.0 * units, "potential_energy_sem": 0.01 * units,
            "enthalpy": 2.0 * units + point["pressure"] * crystal.volume, "enthalpy_sem": 0.005 * units,
            "molten": {"cube": False, "sphere": False}, "total_steps": STEPS,
            "protocol": {"hold_time": HOLD * 0.002}, "model": {"time_step": 0.002} | BEADS | (model or {}),
        }
    )  # fmt: skip
    write_gsd(job.fn("initial.gsd"), crystal)
    if frames:
        rng = np.random.default_rng(4)
        steps = np.arange(0, STEPS + 1, EVERY)
        widths = np.where(steps < STEPS - HOLD, 2.0, 1.0)[:, None] * width
        rows = widths * rng.normal(size=(len(steps), 3 * len(crystal) + 3 * crystal.count("cube")))
        writer = SegmentWriter(Path(job.path))
        for step, frame in zip(steps, moving(crystal, rows), strict=True):
            writer.frame(frame.with_(step=int(step)))
        writer.close()
    return job


def one_degree(width):
    """Entropy of one Gaussian coordinate."""
    return 0.5 * np.log(2 * np.pi * np.e * width**2)
