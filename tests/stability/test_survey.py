"""From jobs to the stability map: what is read, what is kept, which jobs count."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import signac
from gaussian_crystals import moving

from supercube.configuration import write_gsd
from supercube.crystals.build import build_crystal
from supercube.engines.segments import SegmentWriter
from supercube.errors import InputError
from supercube.stability import PurePhase, load_csv, stability_map, survey
from supercube.stability.survey import ENTROPY, PICTURE, TABLE, entropy_of, stability_points

#: State point of a cube crystal; the rest changes.
BASE = {
    "size_ratio": 1.0, "ligand_length": 0.15, "evaporation_rate": 0.0, "n_cubes": 27, "n_spheres": 0, "attraction": 0.0,
    "initial": "SC", "expansion": 1.05, "pressure": 20.0, "roughness": 0.02, "replicate": 0,
}  # fmt: skip
#: Time steps of a run, between its frames, and of its hold.
STEPS, EVERY, HOLD = 900, 15, 600


@pytest.fixture
def project(tmp_path):
    return signac.init_project(tmp_path)


def finished(project, width=0.02, *, frames=True, **values):
    """A job with a document, and frames in which every coordinate is Gaussian; wider ones before the hold."""
    job = project.open_job(BASE | values)
    job.init()
    point = job.cached_statepoint
    names = ("initial", "n_cubes", "n_spheres", "size_ratio", "ligand_length", "expansion")
    crystal = build_crystal(*(point[name] for name in names))
    units = {"SC": 27, "fcc": 32, "NaCl": 32, "ABO3": 8}[point["initial"]]
    job.doc.update(
        {
            "structure": point["initial"], "n_cubes": point["n_cubes"], "n_spheres": point["n_spheres"],
            "volume": crystal.volume, "volume_sem": 0.001 * units, "potential_energy": 2.0 * units,
            "potential_energy_sem": 0.01 * units, "molten": {"cube": False, "sphere": False}, "total_steps": STEPS,
            "protocol": {"hold_time": HOLD * 0.002}, "model": {"time_step": 0.002},
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
    return 0.5 * np.log(2 * np.pi * np.e * width**2)


def test_entropy_of_the_hold_is_kept_until_the_job_runs_on(project):
    job = finished(project)
    found = entropy_of(job)
    assert found.frames == HOLD // EVERY + 1
    # 81 - 3 displacements, 81 rotations.
    assert found.many_body == pytest.approx(159 * one_degree(0.02), abs=4 * found.error)
    kept = json.loads(Path(job.fn(ENTROPY)).read_text())
    Path(job.fn("trajectory-0000.gsd")).unlink()
    assert entropy_of(job) == found
    kept["entropy"]["many_body"] = 1.0
    Path(job.fn(ENTROPY)).write_text(json.dumps(kept))
    assert entropy_of(job).many_body == 1.0
    job.doc["total_steps"] = 2 * STEPS
    assert "no readable trajectory" in entropy_of(job).reason


def test_a_refusal_is_kept_too(project):
    job = finished(project, width=0.15)
    found = entropy_of(job)
    assert found.left_sites
    assert entropy_of(job) == found
    assert "refusal" in json.loads(Path(job.fn(ENTROPY)).read_text())


def test_stability_map_writes_table_and_picture(project, tmp_path, monkeypatch):
    # Without ABO3, whose closest packing takes a search at each of its points, the theory takes no time.
    monkeypatch.setattr(survey, "_THEORY", ("SC", "NaCl", "fcc"))
    both = {"size_ratio": 0.41, "n_spheres": 32}
    jobs = [
        finished(project),
        finished(project, initial="NaCl", n_cubes=32, **both),
        finished(project, initial="fcc", n_cubes=0, **both),
        finished(project, initial="SC", pressure=0.0, frames=False),
        finished(project, initial="SC", pressure=21.0, frames=False),
    ]
    open_job = project.open_job(BASE | {"replicate": 5})
    open_job.init()
    points = stability_map([*jobs, open_job], tmp_path)
    assert [(point.size_ratio, point.pressure) for point in points] == [(0.41, 20.0)]
    assert {phase.name for phase in points[0].phases} == {"SC", "NaCl", "fcc"}
    nacl = next(phase for phase in points[0].phases if phase.name == "NaCl")
    assert nacl.entropy == pytest.approx(9 * one_degree(0.02), abs=0.3)
    assert nacl.volume == pytest.approx(jobs[1].doc["volume"] / 32)
    read = load_csv(tmp_path / TABLE)
    assert read[0].by_gibbs.winner == points[0].by_gibbs.winner == "SC + NaCl"
    assert (tmp_path / PICTURE).read_bytes()[:4] == b"\x89PNG"


def test_nothing_is_written_without_points(project, tmp_path):
    assert stability_map([finished(project, frames=False)], tmp_path) == []
    assert not (tmp_path / TABLE).exists()


def test_different_cubes_are_refused(project, tmp_path):
    jobs = [finished(project, frames=False, roughness=value) for value in (0.02, 0.01)]
    with pytest.raises(InputError, match=r"roughness of 0\.01, 0\.02"):
        stability_map(jobs, tmp_path)


def test_cubes_alone_serve_all_size_ratios_and_spheres_alone_one():
    def run(name, cubes, spheres, gamma, **values):
        phase = PurePhase(name, cubes, spheres, 5.0, 0.01, 1.0, 0.01, -1.0)
        return BASE | {"size_ratio": gamma, "n_spheres": spheres} | values, phase

    runs = [run("SC", 1, 0, 1.0), run("NaCl", 1, 1, 0.45), run("ABO3", 4, 1, 0.45), run("ABO3", 4, 1, 0.5)]
    runs += [run("fcc", 0, 1, 0.5), run("fcc", 0, 1, 0.55), run("SC", 1, 0, 1.0, ligand_length=0.2)]
    runs += [run("ABO3", 4, 1, 0.5, attraction=2.0), run("ABO3", 4, 1, 0.5, pressure=60.0)]
    values, phase = run("ABO3", 4, 1, 0.5, replicate=1)
    runs.append((values, replace(phase, energy=3.0)))
    points = stability_points(runs)
    found = {(p.size_ratio, p.pressure, p.attraction): {phase.name: phase.energy for phase in p.phases} for p in points}
    assert found == {
        (0.45, 20.0, 0.0): {"NaCl": 1.0, "ABO3": 1.0, "SC": 1.0},
        (0.5, 20.0, 0.0): {"ABO3": 2.0, "fcc": 1.0, "SC": 1.0},
        (0.5, 20.0, 2.0): {"ABO3": 1.0},
        (0.5, 60.0, 0.0): {"ABO3": 1.0},
    }
