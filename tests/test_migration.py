"""Migration of data spaces: nothing is lost, whatever happens in the middle."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import signac
import yaml
from pydantic import Field
from signac.job import calc_id

from supercube import dataspace, migration
from supercube.cli import main
from supercube.errors import InputError
from supercube.migration import MIGRATIONS, PROTOCOL_BEFORE, migrate
from supercube.spaces import fill
from supercube.statepoint import SCHEMA_VERSION, ProtocolSettings, StatePoint

#: A job of before keys were added, and the one that means the same today.
OLD = {"ligand_length": 0.1, "n_cubes": 64, "n_spheres": 0, "initial": "fluid", "replicate": 0}
OLD_PROTOCOL = {"initial_packing_fraction": 0.15, "equilibration_time": 10.0, "hold_time": 20.0}
PRESENT_ID = "c63c82ff5ccc2280e07c34a10e9b83c0"  # as pinned in test_statepoint.py

#: Keys of every version of the state point. A version is never edited: a new one is added, with its migration.
SCHEMAS = {
    1: {
        "size_ratio",
        "ligand_length",
        "evaporation_rate",
        "n_cubes",
        "n_spheres",
        "attraction",
        "initial",
        "expansion",
        "geometry",
        "target_packing_fraction",
        "pressure",
        "roughness",
        "size_dispersity",
        "replicate",
    }
}
#: Keys of the protocol that every recorded one has.
FIRST_PROTOCOL = {"initial_packing_fraction", "equilibration_time", "hold_time"}


def add(project: Any, state_point: dict[str, Any], document: dict[str, Any] | None = None) -> Path:
    """A job with results in its folder."""
    job = project.open_job(state_point)
    job.init()
    folder = Path(job.path)
    folder.joinpath("signac_job_document.json").write_text(
        json.dumps({"protocol": OLD_PROTOCOL, "structure": "SC"} if document is None else document)
    )
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "a.npz").write_bytes(b"state")
    (folder / "trajectory-0000.gsd").write_bytes(b"frames")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Any:
    return signac.init_project(tmp_path / "project")


def documents(project: Any) -> dict[str, dict[str, Any]]:
    """As they are on disk, by id, each of a job that signac finds intact."""
    return {job.id: json.loads(Path(job.fn(job.FN_DOCUMENT)).read_text()) for job in signac.get_project(project.path)}


def snapshot(directory: Path) -> dict[str, bytes]:
    """Files below a directory, without what a killed process leaves of its lock and half-written files."""
    files = (path for path in directory.rglob("*") if path.is_file())
    kept = (path for path in files if not path.name.startswith("lock.json.") and not path.name.endswith(".part"))
    return {str(path.relative_to(directory)): path.read_bytes() for path in kept}


# --- the schema -------------------------------------------------------------------------------------------------------


def test_a_new_key_needs_a_new_version_and_a_migration():
    assert SCHEMAS[SCHEMA_VERSION] == StatePoint.model_fields.keys()
    assert max(SCHEMAS) == SCHEMA_VERSION
    assert list(MIGRATIONS) == list(range(1, SCHEMA_VERSION + 1))
    assert ProtocolSettings.model_fields.keys() == FIRST_PROTOCOL | PROTOCOL_BEFORE.keys()


def test_absent_keys_mean_what_they_meant():
    found = migration.present_state_point(OLD, 0)
    assert calc_id(found) == PRESENT_ID
    assert found.keys() == SCHEMAS[SCHEMA_VERSION]


def test_filling_up_changes_no_seed():
    # What a job of version 0 goes on with is what this program would have taken without the migration.
    before = StatePoint.parse(OLD, "here")
    after = StatePoint.parse(migration.present_state_point(OLD, 0), "here")
    assert before.seed("noise") == after.seed("noise")


def test_a_given_value_is_never_replaced():
    file = "file:" + "ab" * 32
    found = migration.present_state_point({**OLD, "initial": file, "roughness": 0.05, "n_cubes": 8}, 0)
    assert (found["initial"], found["roughness"], found["n_cubes"]) == (file, 0.05, 8)


@pytest.mark.parametrize(
    ("state_point", "document", "version"),
    [
        (OLD, {}, 0),
        (OLD, {"schema_version": 1}, 0),
        (migration.present_state_point(OLD, 0), {}, 0),
        (migration.present_state_point(OLD, 0), {"schema_version": 1}, 1),
    ],
)
def test_versions(state_point: dict[str, Any], document: dict[str, Any], version: int):
    assert migration.version_of(state_point, document) == version


@pytest.mark.parametrize(("version", "words"), [("1", "is '1'"), (True, "is True"), (-1, "is -1"), (99, "is 99, but")])
def test_wrong_versions_are_refused(version: object, words: str):
    with pytest.raises(InputError, match=f"schema_version {words}"):
        migration.version_of(OLD, {"schema_version": version})


# --- migrating --------------------------------------------------------------------------------------------------------


def test_a_job_moves_with_everything_it_has(project: Any):
    old = add(project, OLD)
    report = migrate(project.path)
    new = old.with_name(PRESENT_ID)
    assert not old.exists()
    assert (new / "checkpoint" / "a.npz").read_bytes() == b"state"
    assert (new / "trajectory-0000.gsd").read_bytes() == b"frames"
    assert {path.name for path in new.iterdir()} == {
        "checkpoint",
        "trajectory-0000.gsd",
        "signac_statepoint.json",
        "signac_job_document.json",
    }
    assert documents(project) == {
        PRESENT_ID: {
            "protocol": OLD_PROTOCOL | PROTOCOL_BEFORE,
            "structure": "SC",
            "schema_version": SCHEMA_VERSION,
            "migrated_from": [old.name],
        }
    }
    (step,) = report.moved
    assert (step.old, step.new, report.problems) == (old.name, PRESENT_ID, {})
    assert step.added["roughness"] == 0.02
    # The cache must know the new id and no longer the old one.
    assert set(signac.get_project(project.path)._read_cache()) == {PRESENT_ID}


def test_migrating_again_changes_nothing(project: Any, tmp_path: Path):
    add(project, OLD)
    migrate(project.path)
    before = snapshot(tmp_path)
    report = migrate(project.path)
    assert (report.moved, report.completed, report.current) == ((), (), 1)
    assert snapshot(tmp_path) == before


def test_a_dry_run_says_it_and_changes_nothing(project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    old = add(project, OLD)
    add(project, {**OLD, "replicate": 1}, {"continued_from": old.name})
    before = snapshot(tmp_path)
    assert main(["migrate", "--project", project.path, "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert f"{old.name} -> {PRESENT_ID}: size_ratio 1.0" in output
    assert "2 would be moved, 0 would be completed in place, 1 reference(s) would be updated, 0 up to date" in output
    assert snapshot(tmp_path) == before


def test_only_the_document_is_completed_where_the_id_stays(project: Any):
    folder = add(project, migration.present_state_point(OLD, 0), {"protocol": OLD_PROTOCOL, "schema_version": 1})
    report = migrate(project.path)
    assert (report.moved, report.completed) == ((), (PRESENT_ID,))
    assert documents(project)[folder.name] == {"protocol": OLD_PROTOCOL | PROTOCOL_BEFORE, "schema_version": 1}


def test_references_follow(project: Any):
    old = add(project, OLD)
    other = add(project, migration.present_state_point({**OLD, "replicate": 1}, 0), {"continued_from": old.name})
    assert migrate(project.path).references == 1
    assert documents(project)[other.name] == {"continued_from": PRESENT_ID}


def test_values_that_are_the_same_number_get_the_same_id(project: Any):
    add(project, {**migration.present_state_point(OLD, 0), "size_ratio": 1, "ligand_length": 0.1 + 1e-16})
    migrate(project.path)
    assert list(documents(project)) == [PRESENT_ID]


def test_every_later_version_is_gone_through_in_order(project: Any, monkeypatch: pytest.MonkeyPatch):
    class Grown(StatePoint):
        solvent: str = Field()
        dielectric: float = Field()

    migrations = {
        2: lambda point: {**point, "solvent": "toluene"},
        3: lambda point: {**point, "dielectric": {"toluene": 2.4}[point["solvent"]]},
    }
    for module in (migration, dataspace):
        monkeypatch.setattr(module, "StatePoint", Grown)
    monkeypatch.setattr(migration, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(migration, "MIGRATIONS", MIGRATIONS | migrations)
    first = add(project, OLD)
    present = StatePoint.parse({**OLD, "replicate": 1}, "here").to_dict()
    second = add(project, present, {"protocol": OLD_PROTOCOL, "schema_version": 1})
    migrate(project.path)
    found = documents(project)
    assert {document["migrated_from"][0] for document in found.values()} == {first.name, second.name}
    assert {document["schema_version"] for document in found.values()} == {3}
    for job in signac.get_project(project.path):
        assert (job.sp.solvent, job.sp.dielectric) == ("toluene", 2.4)


# --- what cannot be migrated does not stop the rest -------------------------------------------------------------------


def test_one_sentence_for_each_that_stays(project: Any, capsys: pytest.CaptureFixture[str]):
    good = add(project, OLD)
    newer = add(project, {**OLD, "replicate": 1}, {"protocol": OLD_PROTOCOL, "schema_version": SCHEMA_VERSION + 1})
    unknown = add(project, {**OLD, "replicate": 2, "colour": "red"})
    foreign = add(project, {"temperature": 300}, {})
    damaged = add(project, {**OLD, "replicate": 3})
    (damaged / "signac_job_document.json").write_text('{"protocol"')
    ramp = {**OLD_PROTOCOL, "initial_pressure": 2.0}
    protocol = add(project, {**OLD, "replicate": 4}, {"protocol": ramp})
    assert main(["migrate", "--project", project.path]) == 1
    error = capsys.readouterr().err
    words = {
        newer: f"schema_version is {SCHEMA_VERSION + 1}, but this program knows versions up to {SCHEMA_VERSION}",
        unknown: "its state point has colour, which no schema up to",
        foreign: "is not of supercube",
        damaged: "is damaged",
        protocol: "its recorded protocol: initial_pressure is 2",
    }
    sentences = {line.split("job ")[1][:32]: line for line in error.splitlines()}
    assert {folder.name for folder in words} == sentences.keys()
    for folder, part in words.items():
        assert part in sentences[folder.name]
        assert folder.is_dir()
    assert not good.exists()
    assert good.with_name(PRESENT_ID).is_dir()


def test_a_newer_key_is_named_as_newer(project: Any):
    newer = add(project, {**OLD, "colour": "red"}, {"protocol": OLD_PROTOCOL, "schema_version": 99})
    assert "schema_version is 99, but this program" in migrate(project.path).problems[newer.name]


def test_a_running_job_is_left_for_the_next_call(project: Any):
    folder = add(project, OLD)
    lock = folder / "lock.json"
    # Process 1 is alive as long as anything is.
    lock.write_text(json.dumps({"host": socket.gethostname(), "pid": 1}))
    report = migrate(project.path)
    assert "is being run by process 1" in report.problems[folder.name]
    assert {path.name for path in folder.iterdir()} >= {"lock.json", "checkpoint"}
    assert not (folder / migration.JOURNAL).exists()
    lock.unlink()
    assert [step.new for step in migrate(project.path).moved] == [PRESENT_ID]


def test_the_lock_is_held_while_the_folder_moves(project: Any, monkeypatch: pytest.MonkeyPatch):
    folder = add(project, OLD)
    held = []

    def watched(path: Path, *args: Any, **options: Any) -> None:
        held.append((path.parent / "lock.json").exists())
        whole(path, *args, **options)

    whole = migration.write_whole
    monkeypatch.setattr(migration, "write_whole", watched)
    migrate(project.path)
    assert held == [True, True, True]  # journal, state point, document
    assert not list(folder.with_name(PRESENT_ID).glob("lock*"))


def test_two_jobs_with_one_meaning_stay_apart(project: Any):
    present = add(project, migration.present_state_point(OLD, 0), {"structure": "NaCl"})
    one = add(project, OLD)
    assert migrate(project.path, dry_run=True).problems.keys() == {one.name}
    report = migrate(project.path)
    assert f"means the same as job {PRESENT_ID}" in report.problems[one.name]
    assert one.is_dir()
    assert json.loads((present / "signac_job_document.json").read_text()) == {"structure": "NaCl"}


def test_of_two_old_jobs_with_one_meaning_one_moves(project: Any):
    folders = {add(project, OLD).name, add(project, {**OLD, "pressure": 0.0}).name}
    report = migrate(project.path)
    (step,) = report.moved
    (left,) = folders - {step.old}
    assert f"means the same as job {step.old}" in report.problems[left]
    assert (Path(project.workspace) / left).is_dir()


def test_a_target_that_appears_meanwhile_is_not_overwritten(project: Any):
    # A folder that signac cannot read is not in the plan, so only the rename itself can find it.
    old = add(project, OLD)
    squatter = old.with_name(PRESENT_ID)
    squatter.mkdir()
    (squatter / "precious").write_text("data")
    (squatter / "lock.json").write_text("of somebody")
    step = migration.Step(old.name, PRESENT_ID, migration.present_state_point(OLD, 0), {})
    before = snapshot(Path(project.path))
    with pytest.raises(InputError, match="means the same as job"):
        migration._carry_out(Path(project.workspace), step)
    assert snapshot(Path(project.path)) == before


def test_a_damaged_journal_is_named(project: Any):
    folder = add(project, OLD)
    (folder / migration.JOURNAL).write_text("{")
    assert "migration.json is damaged" in migrate(project.path).problems[folder.name]


# --- a crash at any instant -------------------------------------------------------------------------------------------


def killed(project: Any, instant: int) -> bool:
    """Migrate in a child process that dies just before its n-th change of a file; False if it got to its end."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            if writes or event in ("os.rename", "os.remove", "os.link", "os.mkdir"):
                count += 1
                if count == instant:
                    os._exit(9)

        try:
            sys.addaudithook(hook)
            migrate(project.path)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_killed_at_any_instant_and_called_again(tmp_path: Path):
    def space(name: str) -> Any:
        project = signac.init_project(tmp_path / name)
        old = add(project, OLD)
        add(project, migration.present_state_point({**OLD, "replicate": 1}, 0), {"continued_from": old.name})
        return project

    def content(project: Any) -> dict[str, bytes]:
        # The lock of a dead process is left by every killed run, and taken over by whoever needs the job next.
        found = snapshot(Path(project.path)).items()
        return {
            name: data for name, data in found if not name.endswith(("lock.json", "cache.json.gz", "cache.json.gz~"))
        }

    whole = space("whole")
    migrate(whole.path)
    expected = content(whole)
    assert len(expected) == 9  # the project's file and four of each job
    instant = 1
    while True:
        project = space(f"killed-{instant}")
        was_killed = killed(project, instant)
        # Before anybody repairs anything: each trajectory is there once.
        assert len(list(Path(project.workspace).glob("*/trajectory-0000.gsd"))) == 2
        report = migrate(project.path)
        assert report.problems == {}
        assert content(project) == expected, f"killed before change {instant}"
        if not was_killed:
            break
        instant += 1
    assert instant > 20


# --- init.py ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def space(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"jobs": [{"n_cubes": 64, "ligand_length": 0.1}]}))
    return path


def test_filling_asks_for_the_migration_and_then_knows_the_job(project: Any, space: Path, tmp_path: Path):
    old = add(project, OLD)
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=f"mine.yaml, jobs.0.: .* already there as {old.name}.*: supercube migrate"):
        fill(project.path, space)
    assert snapshot(tmp_path) == before
    migrate(project.path)
    assert (fill(project.path, space).added, fill(project.path, space).present) == (0, 1)


def test_older_jobs_of_other_points_do_not_stand_in_the_way(project: Any, space: Path):
    add(project, {**OLD, "replicate": 7})
    assert fill(project.path, space).added == 1


def test_a_half_made_job_of_before_is_moved_and_then_completed(project: Any, space: Path):
    add(project, OLD, {})
    migrate(project.path)
    assert fill(project.path, space).added == 1
    assert documents(project)[PRESENT_ID]["protocol"] == ProtocolSettings().to_dict()


def test_no_project_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["migrate", "--project", str(tmp_path)]) == 2
    assert "holds no data space" in capsys.readouterr().err
