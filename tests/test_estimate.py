"""The cost of a campaign: steps as they will be run, hours as they were measured."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import signac
import yaml

from supercube import operations
from supercube.cli import main
from supercube.config import Config
from supercube.errors import InputError
from supercube.estimate import Work, _chosen, _representative, estimate, lines
from supercube.model.particles import build_model
from supercube.protocol.initial import initial_configuration, store_file
from supercube.rates import UNKNOWN_SPREAD, Particles, Rate, work_of
from supercube.spaces import fill
from supercube.statepoint import StatePoint

CUBES: dict[str, Any] = {"n_cubes": 27, "ligand_length": 0.2}
SPHERES: dict[str, Any] = {"n_cubes": 0, "n_spheres": 32, "size_ratio": 0.5, "ligand_length": 0.2}
DRYING: dict[str, Any] = {**CUBES, "evaporation_rate": 40.0, "target_packing_fraction": 0.6}
PROTOCOL = {"equilibration_time": 1.0, "hold_time": 2.0}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


@pytest.fixture
def make(tmp_path: Path, project: Path) -> Any:
    def make_jobs(*jobs: dict[str, Any], protocol: dict[str, Any] = PROTOCOL) -> list[Path]:
        """Folders of the jobs of a space, in its order."""
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"protocol": protocol, "jobs": list(jobs)}))
        fill(project, path)
        opened = signac.get_project(project)
        return [Path(opened.open_job(StatePoint.parse(job, "here").to_dict()).path) for job in jobs]

    return make_jobs


def run(folder: Path, step: int, seconds: float, *, finished: bool = False, device: str = "cpu") -> None:
    """What a job looks like that has run to a step."""
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir(exist_ok=True)
    slot = {"slot": "a.npz", "step": step, "record": {"device": device, "wall_seconds": seconds, "total_steps": 1}}
    manifest = {"identity": {"engine": "hoomd" if device != "cpu" else "lammps"}, "slots": [slot]}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    if finished:
        (checkpoint / "evaporated").touch()


# --- steps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "protocol"),
    [
        (CUBES, {}),
        (DRYING, {}),
        ({**DRYING, "initial": "SC", "expansion": 1.3}, {}),
        ({**CUBES, "pressure": 9.0}, {"initial_pressure": 2.0, "ramp_time": 3.0}),
        ({**SPHERES, "evaporation_rate": 40.0, "target_packing_fraction": 0.6}, {"initial_packing_fraction": 0.2}),
        ({**SPHERES, "initial": "fcc", "expansion": 1.05}, {}),
    ],
)
def test_steps_are_those_that_the_job_will_run(make: Any, project: Path, values: dict[str, Any], protocol: Any):
    (folder,) = make(values, protocol=PROTOCOL | protocol)
    job = signac.get_project(project).open_job(id=folder.name)
    state_point = operations.state_point_of(job)
    fraction = operations.protocol_of(job).initial_packing_fraction
    start = initial_configuration(state_point, fraction, 1, project / "files")
    assert estimate(project).steps == operations.schedule_of(job, build_model(state_point), start).total_steps


def test_a_start_from_a_file_is_counted_too(make: Any, project: Path, tmp_path: Path):
    from supercube.configuration import write_gsd

    start = initial_configuration(StatePoint.parse(CUBES, "here"), 0.25, 1, tmp_path)
    write_gsd(tmp_path / "mine.gsd", start)
    values = {**DRYING, "initial": store_file(tmp_path / "mine.gsd", project / "files")}
    (folder,) = make(values)
    job = signac.get_project(project).open_job(id=folder.name)
    expected = operations.schedule_of(job, build_model(StatePoint.parse(values, "here")), start).total_steps
    assert estimate(project).steps == expected


def test_only_what_is_left_counts(make: Any, project: Path):
    folders = make({**CUBES, "replicate": 0}, {**CUBES, "replicate": 1}, {**CUBES, "replicate": 2})
    total = estimate(project).steps // 3
    run(folders[0], total, 3.0, finished=True)
    run(folders[1], 400, 3.0)
    found = estimate(project)
    assert (found.jobs, found.finished, found.left, found.begun) == (3, 1, 2, 1)
    assert found.steps == 2 * total - 400


def test_a_hold_that_was_made_longer_counts(make: Any, project: Path):
    (folder,) = make(CUBES)
    total = estimate(project).steps
    run(folder, total, 3.0, finished=True)
    job = signac.get_project(project).open_job(id=folder.name)
    job.doc["engine"] = "lammps"
    operations.prolong(job, 4.0)
    time_step = build_model(StatePoint.parse(CUBES, "here")).time_step
    # Steps are rounded up to tens, twice.
    assert estimate(project).steps == pytest.approx(2.0 / time_step, abs=20)


# --- hours ------------------------------------------------------------------------------------------------------------


def test_hours_follow_from_the_measured_speed(make: Any, project: Path):
    folders = make(*({**CUBES, "replicate": k} for k in range(5)))
    total = estimate(project).steps // 5
    run(folders[0], total, total / 100.0, finished=True)  # 100 steps/s
    found = estimate(project, at_a_time=2)
    assert found.cost is not None
    hours = 4 * total / 100.0 / 3600.0
    assert found.cost.hours == pytest.approx(hours)
    assert (found.cost.low, found.cost.high) == pytest.approx(
        (hours / math.exp(UNKNOWN_SPREAD), hours * math.exp(UNKNOWN_SPREAD))
    )
    assert found.cost.elapsed_hours == pytest.approx(hours / 2)
    assert (found.cost.unit, found.cost.engine, found.cost.measured) == ("core-hours", "lammps", 1)
    (group,) = found.groups
    assert (group.jobs, group.measured, group.hours) == (4, 1, pytest.approx(hours))
    assert group.steps_per_second == pytest.approx(100.0)


def test_another_kind_of_job_takes_its_share_of_beads(make: Any, project: Path):
    folders = make(CUBES, SPHERES)
    steps = estimate(project).steps
    run(folders[0], 1000, 10.0, finished=True)
    found = estimate(project)
    assert found.cost is not None
    ratio = work_of(32, 32) / work_of(27 * 39, 27)
    assert found.cost.hours == pytest.approx(found.steps * 0.01 * ratio / 3600.0)
    assert 0 < found.steps < steps


def test_nothing_is_done_before_the_longest_job(make: Any, project: Path):
    folders = make(CUBES, {**CUBES, "replicate": 1})
    total = estimate(project).steps // 2
    run(folders[0], total - 10, 10.0)
    found = estimate(project, at_a_time=100)
    assert found.cost is not None
    assert found.cost.elapsed_hours == pytest.approx(total / (total - 10) * 10.0 / 3600.0)


def test_all_ranks_of_a_job_are_paid(make: Any, project: Path):
    folders = make(CUBES, {**CUBES, "replicate": 1})
    run(folders[0], 1000, 10.0, finished=True, device="4 ranks, cpu")
    assert estimate(project).cost is None  # one rank is another speed, which nobody has measured
    (project / "config.yaml").write_text("ranks: 4\n")
    cost = estimate(project).cost
    assert cost is not None
    assert (cost.device, cost.measured) == ("cpu", 1)
    assert cost.hours == pytest.approx(4 * cost.elapsed_hours)


def test_simulations_that_share_a_gpu_share_its_hours(make: Any, project: Path):
    folders = make(CUBES, {**CUBES, "replicate": 1})
    run(folders[0], 1000, 10.0, finished=True, device="gpu (NVIDIA A100)")
    text = "{{engine: hoomd, device: gpu, cluster: {{simulation: {{gpus: 1, jobs_per_gpu: {}}}}}}}"
    hours = []
    for number in (1, 4):
        (project / "config.yaml").write_text(text.format(number))
        cost = estimate(project).cost
        assert cost is not None
        hours.append(cost.hours)
    assert hours[0] == pytest.approx(4 * hours[1])


def rate(engine: str, device: str, seconds: float = 1e-3) -> Rate:
    return Rate(engine, device, Particles.of(StatePoint.parse(CUBES, "x")), 100.0, seconds)


def test_speeds_of_the_engine_that_will_run():
    measured = [rate("lammps", "cpu"), rate("lammps", "cpu"), rate("hoomd", "gpu"), rate("hoomd", "cpu")]
    assert {(r.engine, r.device) for r in _chosen(measured, Config())} == {("lammps", "cpu")}
    assert {(r.engine, r.device) for r in _chosen(measured, Config(device="gpu"))} == {("hoomd", "gpu")}
    assert {(r.engine, r.device) for r in _chosen(measured, Config(engine="hoomd", device="cpu"))} == {("hoomd", "cpu")}
    assert _chosen(measured[:2], Config(device="gpu")) == []


def test_gpu_hours(make: Any, project: Path):
    folders = make(CUBES, {**CUBES, "replicate": 1})
    run(folders[0], 1000, 10.0, finished=True, device="gpu (NVIDIA A100)")
    found = estimate(project).cost
    assert found is not None
    assert (found.unit, found.device) == ("GPU-hours", "gpu")


def test_representatives_are_the_smallest_the_middle_and_the_largest():
    def work(n: int) -> Work:
        particles = Particles.of(StatePoint.parse({**CUBES, "n_cubes": n}, "x"))
        return Work(str(n), particles, n, n, 1000, begun=False)

    works = [work(n) for n in (50, 10, 10, 90, 30, 70)]
    assert [w.bodies for w in _representative(works)] == [10, 50, 90]
    assert [w.bodies for w in _representative(works[:1])] == [50]
    assert _representative([]) == []


# --- bad input and text -----------------------------------------------------------------------------------------------


def test_one_broken_job_hides_no_other(make: Any, project: Path, capsys: pytest.CaptureFixture[str]):
    folders = make(*({**CUBES, "replicate": k} for k in range(6)))
    whole = estimate(project).steps
    (folders[0] / "signac_job_document.json").write_text("{")
    (folders[1] / "signac_job_document.json").unlink()
    for folder in folders[2:5]:
        run(folder, 100, 1.0)
    (folders[2] / "checkpoint" / "manifest.json").write_text("{")
    (folders[3] / "checkpoint" / "manifest.json").write_text('{"slots": [{}]}')
    signac.get_project(project).open_job({"temperature": 300}).init()
    found = estimate(project)
    assert (found.left, found.steps) == (2, whole // 3 - 100)
    assert main(["estimate", "--project", str(project)]) == 0
    errors = capsys.readouterr().err.splitlines()
    for folder, words in zip(
        folders, ("is damaged", "has no recorded protocol", "is damaged", "is not what a run writes"), strict=False
    ):
        assert [words in line for line in errors if folder.name in line] == [True]
    assert len(errors) == len(found.problems) == 5


def test_without_any_speed_the_steps_are_still_told(make: Any, project: Path, capsys: pytest.CaptureFixture[str]):
    make(CUBES, SPHERES)
    assert main(["estimate", "--project", str(project)]) == 0
    output = capsys.readouterr().out
    assert "2 jobs: 0 simulated, 2 left (0 of them begun)" in output
    assert "is known yet: run one job of each size" in output
    assert "27 cubes, λ = 0.2, from fluid" in output


def test_measuring_gives_hours_and_leaves_the_jobs_alone(make: Any, project: Path):
    project.mkdir()
    (project / "config.yaml").write_text("engine: lammps\n")
    make(SPHERES)
    before = sorted(project.rglob("*"))
    found = estimate(project, measure=0.01)
    assert found.cost is not None
    assert found.cost.measured == 1
    assert found.cost.hours > 0
    assert sorted(project.rglob("*")) == before


def test_a_job_that_cannot_be_measured_hides_no_other(make: Any, project: Path):
    project.mkdir()
    (project / "config.yaml").write_text("engine: lammps\n")
    none = make({**SPHERES, "n_spheres": 50}, protocol={"equilibration_time": 0.0, "hold_time": 0.0})
    make(SPHERES)
    found = estimate(project, measure=0.01)
    assert found.cost is not None
    assert (found.left, found.cost.measured) == (2, 1)
    assert "cannot be measured: 50 spheres" in found.problems[none[0].name]


def test_json_is_the_same_in_plain_types(make: Any, project: Path, capsys: pytest.CaptureFixture[str]):
    folders = make(CUBES, {**CUBES, "replicate": 1})
    run(folders[0], 1000, 10.0, finished=True)
    assert main(["estimate", "--project", str(project), "--json", "--at-a-time", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["left"], found["finished"], found["at_a_time"]) == (1, 1, 3)
    assert found["cost"]["hours"] == pytest.approx(found["steps"] * 0.01 / 3600.0)
    assert found["groups"][0]["particles"] == "27 cubes, λ = 0.2, from fluid"


def test_a_finished_campaign_costs_nothing_more(make: Any, project: Path):
    (folder,) = make(CUBES)
    run(folder, 1000, 10.0, finished=True)
    assert lines(estimate(project)) == ["1 jobs: 1 simulated, 0 left (0 of them begun), 0 steps"]


def test_many_kinds_of_jobs_are_a_few_lines(make: Any, project: Path):
    folders = make(*({**CUBES, "n_cubes": n} for n in range(27, 57)))
    run(folders[0], 1000, 10.0)
    text = lines(estimate(project), most=5)
    assert len(text) == 1 + 1 + 5 + 1 + 2
    assert text[-3] == "... and 25 more kinds of jobs"
    # The most expensive first.
    assert "56 cubes" in text[2]


def test_wrong_options_are_refused(project: Path, make: Any, capsys: pytest.CaptureFixture[str]):
    make(CUBES)
    with pytest.raises(InputError, match="at a time is 0; expected at least 1"):
        estimate(project, at_a_time=0)
    assert main(["estimate", "--project", str(project), "--measure", "--seconds", "nan"]) == 2
    assert "--seconds is nan" in capsys.readouterr().err
    assert main(["estimate", "--project", str(project / "nothing")]) == 2
    assert "holds no data space" in capsys.readouterr().err


def test_of_many_finished_jobs_some_are_asked_and_all_are_counted(
    monkeypatch: pytest.MonkeyPatch, make: Any, project: Path
):
    folders = make(*({**CUBES, "replicate": k} for k in range(7)))
    for folder in folders[:6]:
        run(folder, 1000, 10.0, finished=True)
    monkeypatch.setattr("supercube.estimate.SAMPLE", 2)
    found = estimate(project)
    assert (found.jobs, found.finished, found.left) == (7, 6, 1)
    assert found.cost is not None
    assert found.cost.measured == 2
