"""Reading a data space whole: one broken job never hides the others."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import signac

from supercube.dataspace import DOCUMENT, is_ours, open_project, problem_lines, read_data_space, read_document
from supercube.errors import InputError
from supercube.statepoint import SCHEMA_VERSION, StatePoint

STATE_POINT = "signac_statepoint.json"


def make(project: Any, replicate: int) -> Path:
    """A job as init.py makes it."""
    values = StatePoint.parse({"n_cubes": 8, "ligand_length": 0.2, "replicate": replicate}, "a test").to_dict()
    job = project.open_job(values)
    job.init()
    Path(job.path, DOCUMENT).write_text(json.dumps({"schema_version": SCHEMA_VERSION, "replicate": replicate}))
    return Path(job.path)


@pytest.fixture
def project(tmp_path: Path) -> Any:
    return signac.init_project(tmp_path / "project")


@pytest.fixture
def jobs(project: Any) -> list[Path]:
    return [make(project, replicate) for replicate in range(3)]


# --- what can be read -------------------------------------------------------------------------------------------------


def test_jobs_come_sorted_with_what_lies_in_their_folders(project: Any, jobs: list[Path]):
    (jobs[0] / "checkpoint").mkdir()
    (jobs[0] / "checkpoint" / "evaporated").touch()
    (jobs[0] / "order.npz").touch()
    space = read_data_space(project.path)
    assert [job.id for job in space.jobs] == sorted(folder.name for folder in jobs)
    assert space.problems == {}
    assert space.path == Path(project.path)
    found = {job.id: job for job in space.jobs}
    first, second = found[jobs[0].name], found[jobs[1].name]
    assert first.path == jobs[0]
    assert first.state_point["replicate"] == 0
    assert first.document == {"schema_version": SCHEMA_VERSION, "replicate": 0}
    assert first.has("order.npz")
    assert first.has("checkpoint/evaporated")
    assert not first.has("evaporated")
    assert not first.has("checkpoint/order.npz")
    assert not first.has("checkpoint/equilibrated")
    assert not second.has("checkpoint/evaporated")
    assert second.marks == frozenset()


def test_a_project_serves_as_well_as_its_path(project: Any, jobs: list[Path]):
    assert read_data_space(project).jobs == read_data_space(project.path).jobs
    assert open_project(project) is project


def test_only_the_jobs_asked_for(project: Any, jobs: list[Path]):
    asked = [jobs[2].name, jobs[0].name]
    space = read_data_space(project, ids=asked)
    assert [job.id for job in space.jobs] == sorted(asked)
    assert read_data_space(project, ids=[]).jobs == ()


def test_reading_changes_nothing(project: Any, jobs: list[Path]):
    (jobs[0] / DOCUMENT).unlink()
    before = sorted(Path(project.path).rglob("*"))
    read_data_space(project.path).with_documents()
    assert sorted(Path(project.path).rglob("*")) == before


def test_documents_are_read_only_when_asked_for(project: Any, jobs: list[Path]):
    (jobs[0] / DOCUMENT).write_text("{")
    space = read_data_space(project.path)
    assert len(space.jobs) == 3
    assert space.problems == {}


def test_no_document_is_an_empty_one(project: Any, jobs: list[Path]):
    (jobs[0] / DOCUMENT).unlink()
    space = read_data_space(project.path).with_documents()
    assert {job.id: job.document for job in space.jobs}[jobs[0].name] == {}
    assert read_document(jobs[0]) == {}


def test_a_state_point_of_before_a_key_was_known_is_ours(project: Any):
    old = {"ligand_length": 0.1, "n_cubes": 64, "n_spheres": 0, "initial": "fluid", "replicate": 0}
    project.open_job(old).init()
    assert [dict(job.state_point) for job in read_data_space(project.path).jobs] == [old]


@pytest.mark.parametrize("missing", ["ligand_length", "n_cubes", "n_spheres", "initial", "replicate"])
def test_what_lacks_an_essential_key_is_not_ours(missing: str):
    values = StatePoint.parse({"n_cubes": 8, "ligand_length": 0.2}, "a test").to_dict()
    assert is_ours(values)
    del values[missing]
    assert not is_ours(values)


# --- what cannot ------------------------------------------------------------------------------------------------------


def spoil_document(folder: Path) -> None:
    (folder / DOCUMENT).write_text('{"structure": "S')


def document_of_bytes(folder: Path) -> None:
    (folder / DOCUMENT).write_bytes(b"\xff\xfe\x00")


def document_is_a_list(folder: Path) -> None:
    (folder / DOCUMENT).write_text("[1, 2]")


def document_is_a_folder(folder: Path) -> None:
    (folder / DOCUMENT).unlink()
    (folder / DOCUMENT).mkdir()


def cut_state_point(folder: Path) -> None:
    path = folder / STATE_POINT
    path.write_text(path.read_text()[:30])


def empty_state_point(folder: Path) -> None:
    (folder / STATE_POINT).write_text("")


def state_point_of_another_job(folder: Path) -> None:
    path = folder / STATE_POINT
    path.write_text(path.read_text().replace('"n_cubes": 8', '"n_cubes": 9'))


def state_point_is_a_list(folder: Path) -> None:
    (folder / STATE_POINT).write_text("[1, 2]")


def state_point_of_bytes(folder: Path) -> None:
    (folder / STATE_POINT).write_bytes(b"\xff\xfe\x00")


def no_state_point(folder: Path) -> None:
    (folder / STATE_POINT).unlink()


def folder_is_a_file(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("not a folder")


def marks_cannot_be_listed(folder: Path) -> None:
    (folder / "checkpoint").write_text("not a folder")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_document, "signac_job_document.json is damaged"),
        (document_of_bytes, "signac_job_document.json is damaged"),
        (document_is_a_list, "it holds list, not a mapping"),
        (document_is_a_folder, "signac_job_document.json is damaged"),
        (cut_state_point, "its state point cannot be read"),
        (empty_state_point, "its state point cannot be read"),
        (state_point_of_another_job, "its state point cannot be read"),
        (state_point_is_a_list, "its state point cannot be read"),
        (state_point_of_bytes, "its state point cannot be read"),
        (no_state_point, "its state point cannot be read"),
        (marks_cannot_be_listed, "its folder cannot be read"),
    ],
)
def test_one_broken_job_is_one_sentence(project: Any, jobs: list[Path], spoil: Any, words: str):
    spoil(jobs[1])
    space = read_data_space(project.path).with_documents()
    assert {job.id for job in space.jobs} == {jobs[0].name, jobs[2].name}
    assert space.problems.keys() == {jobs[1].name}
    sentence = space.problems[jobs[1].name]
    assert words in sentence
    assert sentence.startswith(f"job {jobs[1].name}")
    assert "\n" not in sentence


def test_a_file_with_the_name_of_a_job_hides_nothing(project: Any, jobs: list[Path]):
    folder_is_a_file(jobs[1])
    space = read_data_space(project.path).with_documents()
    assert {job.id for job in space.jobs} == {jobs[0].name, jobs[2].name}


def test_a_folder_that_cannot_be_listed(project: Any, jobs: list[Path], monkeypatch: pytest.MonkeyPatch):
    # Permissions do not stop root, which tests may run as; so the system's answer is given here.
    def scandir(path: Any) -> Any:
        if Path(path) == jobs[1]:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    real = os.scandir
    monkeypatch.setattr("supercube.dataspace.os.scandir", scandir)
    space = read_data_space(project.path)
    assert len(space.jobs) == 2
    assert "its folder cannot be read ([Errno 13] Permission denied" in space.problems[jobs[1].name]


def test_jobs_of_others_are_left_alone(project: Any, jobs: list[Path]):
    foreign = project.open_job({"temperature": 300, "pressure": 1, "a": 1, "b": 2, "c": 3})
    foreign.init()
    more = project.open_job({**StatePoint.parse({"n_cubes": 8, "ligand_length": 0.2}, "x").to_dict(), "colour": "red"})
    more.init()
    space = read_data_space(project.path)
    assert len(space.jobs) == 3
    assert space.problems.keys() == {foreign.id, more.id}
    assert (
        "is not of supercube: its state point has a, b, c, temperature; it is left alone" in space.problems[foreign.id]
    )


def test_folders_that_are_no_jobs_are_not_looked_at(project: Any, jobs: list[Path]):
    for name in ("notes", "f" * 31, "g" * 32):
        (Path(project.workspace) / name).mkdir()
    space = read_data_space(project.path)
    assert (len(space.jobs), space.problems) == (3, {})


def test_ids_that_are_not_there_are_problems_of_their_own(project: Any, jobs: list[Path]):
    space = read_data_space(project.path, ids=[jobs[0].name, "f" * 32])
    assert [job.id for job in space.jobs] == [jobs[0].name]
    assert space.problems.keys() == {"f" * 32}


def test_a_thousand_good_jobs_beside_a_bad_one(project: Any):
    folders = [make(project, replicate) for replicate in range(1001)]
    cut_state_point(folders[500])
    space = read_data_space(project.path).with_documents()
    assert len(space.jobs) == 1000
    assert space.problems.keys() == {folders[500].name}


def test_the_cache_does_not_bring_back_what_is_gone(project: Any, jobs: list[Path]):
    project.update_cache()
    for path in jobs[1].iterdir():
        path.unlink()
    jobs[1].rmdir()
    space = read_data_space(project.path)
    assert {job.id for job in space.jobs} == {jobs[0].name, jobs[2].name}


# --- no data space ----------------------------------------------------------------------------------------------------


def test_no_project_says_how_to_make_one(tmp_path: Path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError, match=r"holds no data space; .* fill it with: python init.py"):
            read_data_space(path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_workspace_is_not_an_empty_one(project: Any):
    Path(project.workspace).rmdir()
    with pytest.raises(InputError, match=r"workspace does not exist, though .* is a signac project"):
        read_data_space(project.path)
    assert not Path(project.workspace).exists()


def test_an_empty_workspace_is_an_empty_data_space(project: Any):
    space = read_data_space(project.path)
    assert (space.jobs, space.problems) == ((), {})


def test_a_project_of_another_signac_is_named(project: Any):
    config = Path(project.path) / ".signac" / "config"
    config.write_text("schema_version = 99\n")
    with pytest.raises(InputError, match="a signac project that this version cannot open"):
        read_data_space(project.path)


# --- telling ----------------------------------------------------------------------------------------------------------


def test_many_problems_are_a_few_lines_and_a_number():
    problems = {str(k): f"sentence {k}" for k in range(12)}
    assert list(problem_lines(problems)) == [
        *(f"sentence {k}" for k in range(10)),
        ("... and 2 more jobs that cannot be read."),
    ]
    assert list(problem_lines({"0": "sentence 0"})) == ["sentence 0"]
    assert list(problem_lines({})) == []
