from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import signac
import yaml

from supercube.configuration import Configuration, cube_shape, write_gsd
from supercube.errors import InputError
from supercube.spaces import MAX_JOBS, expand, fill, load_space
from supercube.statepoint import SCHEMA_VERSION, ProtocolSettings, StatePoint

DEMO = Path(__file__).resolve().parents[1] / "project" / "spaces" / "demo.yaml"
CUBES = {"n_cubes": 64, "ligand_length": 0.2}


def space(*jobs: object, **sections: object) -> dict[str, Any]:
    return {"jobs": list(jobs), **sections}


def ids(mapping: object) -> list[str]:
    return [signac.job.calc_id(point.to_dict()) for point, _ in expand(mapping, "here")]


# --- expanding, without a disk ----------------------------------------------------------------------------------------


def test_lists_expand_as_a_grid():
    entry = {**CUBES, "evaporation_rate": [2.4, 80], "target_packing_fraction": 0.6, "replicate": [0, 1, 2]}
    points = [point for point, _ in expand(space(entry), "here")]
    expected = [(rate, replicate) for rate in (2.4, 80.0) for replicate in (0, 1, 2)]
    assert [(point.evaporation_rate, point.replicate) for point in points] == expected
    assert {point.n_cubes for point in points} == {64}


def test_defaults_are_overridden_by_the_entry_and_may_be_lists():
    mapping = space(
        {"n_cubes": 64}, {"n_cubes": 8, "replicate": 5}, defaults={"ligand_length": 0.2, "replicate": [0, 1]}
    )
    found = [(point.n_cubes, point.replicate, point.ligand_length) for point, _ in expand(mapping, "here")]
    assert found == [(64, 0, 0.2), (64, 1, 0.2), (8, 5, 0.2)]


def test_the_protocol_of_an_entry_overrides_that_of_the_space_key_by_key():
    mapping = space(
        CUBES,
        {**CUBES, "replicate": 1, "protocol": {"hold_time": 40}},
        protocol={"equilibration_time": 5, "hold_time": 30},
    )
    assert [protocol for _, protocol in expand(mapping, "here")] == [
        ProtocolSettings(equilibration_time=5.0, hold_time=30.0),
        ProtocolSettings(equilibration_time=5.0, hold_time=40.0),
    ]


def test_ids_depend_neither_on_the_order_of_keys_nor_of_jobs():
    one = {**CUBES, "replicate": [0, 1], "roughness": [0.02, 0.05]}
    other = {**CUBES, "n_cubes": 8}
    forward = ids(space(one, other))
    assert sorted(forward) == sorted(ids(space(other, dict(reversed(one.items())))))
    assert len(set(forward)) == 5


def test_a_job_named_twice_is_one_job_unless_the_protocols_differ():
    assert len(ids(space(CUBES, {**CUBES, "replicate": [0, 0, 1]}))) == 2
    with pytest.raises(
        InputError, match=r"jobs\[1\]: the same job as here, jobs\[0\], but hold_time is 20.0 there and 3"
    ):
        expand(space(CUBES, {**CUBES, "protocol": {"hold_time": 3}}), "here")


def test_empty_sections_count_as_absent():
    assert ids(space(CUBES, protocol=None, defaults=None)) == ids(space(CUBES))


def test_expanding_leaves_the_mapping_alone():
    mapping = space({**CUBES, "replicate": [0, 1], "protocol": {"hold_time": 3}}, defaults={"roughness": 0.05})
    before = json.dumps(mapping)
    expand(mapping, "here")
    assert json.dumps(mapping) == before


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (None, "here: found empty; expected a mapping"),
        ([CUBES], "here: found a list; expected a mapping"),
        ("text", "found the text 'text'; expected a mapping"),
        ({}, "jobs is nothing; expected a list"),
        ({"jobs": None}, "jobs is empty; expected a list"),
        ({"jobs": []}, "jobs is a list; expected a list of at least one job"),
        ({"jobs": CUBES}, "jobs is a mapping; expected a list"),
        (space(CUBES, job=[]), "job is not a known key; did you mean jobs"),
        (space(CUBES, description=["a"]), "description is a list; expected one line"),
        (space(CUBES, defaults=[1]), "here, defaults: found a list; expected a mapping"),
        (space(CUBES, defaults={"roughnes": 1}), "here, defaults: roughnes is not a known key; did you mean roughness"),
        (space(CUBES, protocol=3), "here, protocol: found 3; expected a mapping"),
        (space(CUBES, protocol={"hold": 3}), "here, protocol: hold is not a known key; did you mean hold_time"),
        (space(CUBES, protocol={"hold_time": [1, 2]}), "protocol: hold_time is .1, 2.; expected a number"),
        (space(None), r"here, jobs\[0\]: found nothing"),
        (space(CUBES, "SC"), r"here, jobs\[1\]: found the text 'SC'; expected a mapping"),
        (space(CUBES, {**CUBES, "n_cube": 3}), r"jobs\[1\]: n_cube is not a known key; did you mean n_cubes"),
        (space({**CUBES, "protocol": [1]}), r"jobs\[0\], protocol: found a list; expected a mapping"),
        (space({**CUBES, "protocol": {"hold_time": -1}}), r"jobs\[0\], protocol: hold_time is -1"),
        (space({**CUBES, "pressure": 9, "protocol": {"box": "cubic"}}), "box is 'cubic'; expected 'auto', 'isotropic'"),
        (
            space({**CUBES, "protocol": {"ramp_time": 4, "initial_pressure": 2}}),
            "initial_pressure is 2.0, but there are jobs without pressure",
        ),
        (space({**CUBES, "pressure": [0, 9], "protocol": {"box": "all"}}), "box is all, but there are jobs without"),
        (space({**CUBES, "replicate": []}), r"jobs\[0\]: replicate is an empty list"),
        (space({**CUBES, "replicate": [[0, 1]]}), r"replicate is \[0, 1\]; expected a whole number"),
        (space({**CUBES, "replicate": [0, -1]}), r"jobs\[0\] \(replicate -1\): replicate is -1; expected 0 or more"),
        (space({**CUBES, "replicate": list(range(MAX_JOBS + 1))}), f"expand to {MAX_JOBS + 1} jobs; expected at most"),
        (space({**CUBES, "initial": "mine.gsd"}), "only a space file may give a path"),
    ],
)
def test_bad_spaces_are_refused_in_one_sentence_that_names_the_place(mapping: object, words: str):
    with pytest.raises(InputError, match=words) as caught:
        expand(mapping, "here")
    assert str(caught.value).startswith("here")
    assert "\n" not in str(caught.value)


def test_a_grid_too_large_to_count_is_refused_at_once():
    axes = {key: list(range(1000)) for key in ("replicate", "n_cubes", "roughness", "ligand_length", "size_ratio")}
    with pytest.raises(InputError, match="expected at most"):
        expand(space(axes), "here")


# --- filling a project ------------------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path: Path):
    def write_space(*jobs: object, name: str = "mine.yaml", **sections: object) -> Path:
        path = tmp_path / "spaces" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(space(*jobs, **sections)), encoding="utf-8")
        return path

    return write_space


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


def write_cubes(path: Path, n_cubes: int = 8, box: float = 4.0) -> Path:
    """A GSD file of a simple cubic lattice with lattice constant 2."""
    grid = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3), axis=-1).reshape(-1, 3)[:n_cubes]
    configuration = Configuration(
        box=[box, box, box, 0, 0, 0],
        positions=grid,
        orientations=np.tile([1.0, 0, 0, 0], (n_cubes, 1)),
        species=("cube",),
        typeid=np.zeros(n_cubes),
        shapes=(cube_shape(0.2),),
    )
    write_gsd(path, configuration)
    return path


def snapshot(directory: Path) -> dict[str, bytes]:
    """Every file and folder below a directory, with the contents."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else b"" for path in directory.rglob("*")
    }


def test_filling_makes_jobs_with_their_protocol(write: Any, project: Path):
    path = write({**CUBES, "replicate": [0, 1]}, {**CUBES, "n_cubes": 27}, protocol={"hold_time": 5})
    report = fill(project, path)
    assert (report.name, report.added, report.present, report.total) == ("mine", 3, 0, 3)
    assert report.workspace == project / "workspace"
    jobs = list(signac.get_project(project))
    assert {(job.sp.n_cubes, job.sp.replicate) for job in jobs} == {(64, 0), (64, 1), (27, 0)}
    for job in jobs:
        assert StatePoint.parse(job.statepoint(), "here").to_dict() == job.statepoint()
        assert job.doc() == {
            "protocol": {
                "initial_packing_fraction": 0.15,
                "equilibration_time": 10.0,
                "hold_time": 5.0,
                "initial_pressure": 0.0,
                "ramp_time": 0.0,
                "box": "auto",
            },
            "schema_version": SCHEMA_VERSION,
        }


def test_filling_again_changes_nothing(write: Any, project: Path):
    path = write({**CUBES, "replicate": [0, 1]})
    fill(project, path)
    before = snapshot(project)
    assert dataclasses.astuple(fill(project, path))[1:3] == (0, 2)
    assert snapshot(project) == before


def test_filling_again_keeps_results_and_adds_only_what_is_new(write: Any, project: Path):
    fill(project, write(CUBES))
    (job,) = signac.get_project(project)
    job.doc["structure"] = "SC"
    report = fill(project, write({**CUBES, "replicate": [0, 1]}))
    assert (report.added, report.present) == (1, 1)
    (job,) = signac.get_project(project).find_jobs({"replicate": 0})
    assert job.doc["structure"] == "SC"


def test_jobs_of_before_a_protocol_key_was_known_are_recognised(write: Any, project: Path):
    path = write(CUBES, protocol={"hold_time": 5})
    fill(project, path)
    (job,) = signac.get_project(project)
    old = {"initial_packing_fraction": 0.15, "equilibration_time": 10.0, "hold_time": 5.0}
    job.doc["protocol"] = old
    assert fill(project, path).added == 0
    assert dict(job.doc["protocol"]) == old


def test_another_protocol_is_refused_before_anything_is_added(write: Any, project: Path):
    fill(project, write({**CUBES, "replicate": 1}))
    before = snapshot(project)
    path = write({**CUBES, "replicate": [0, 1]}, protocol={"hold_time": 40})
    with pytest.raises(InputError, match=r"replicate 1.*hold_time is 20.0 there and 40.0 here.*`supercube continue`"):
        fill(project, path)
    assert snapshot(project) == before


def test_another_schema_version_is_refused(write: Any, project: Path):
    path = write(CUBES)
    fill(project, path)
    (job,) = signac.get_project(project)
    job.doc["schema_version"] = SCHEMA_VERSION + 1
    with pytest.raises(InputError, match=f"schema version {SCHEMA_VERSION + 1}; expected {SCHEMA_VERSION}"):
        fill(project, path)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"n_cubes": -1}, "n_cubes is -1"),
        ({"initial": "Unobtainium"}, r"mine\.yaml, jobs\[1\]: .*Unobtainium"),
        ({"initial": "ABO3"}, r"mine\.yaml, jobs\[1\]: .*ABO3"),
        ({"n_cubes": 63, "initial": "SC"}, r"mine\.yaml, jobs\[1\]: .*63"),
        ({"initial": "SC", "expansion": 0.5}, "expansion 0.5"),
        ({"initial": "file:" + "0" * 64}, "does not exist"),
        ({"initial": "nothing.gsd"}, r"jobs\[1\]: .*nothing\.gsd does not exist"),
        ({"ligand_length": 0.45, "roughness": 1e-6}, r"mine\.yaml, jobs\[1\]: roughness is 1e-06"),
        ({"evaporation_rate": 1, "target_packing_fraction": 0.1}, "is not above the 0.15"),
        ({"evaporation_rate": 1, "target_packing_fraction": 0.999}, "cannot be reached"),
    ],
)
def test_a_bad_space_leaves_nothing_behind(write: Any, project: Path, tmp_path: Path, bad: dict[str, Any], words: str):
    write_cubes(tmp_path / "good.gsd")
    good = {**CUBES, "n_cubes": 8, "initial": "../good.gsd"}
    path = write(good, {**CUBES, **bad})
    before = snapshot(tmp_path)
    with pytest.raises(InputError, match=words) as caught:
        fill(project, path)
    assert "\n" not in str(caught.value)
    assert snapshot(tmp_path) == before
    assert not project.exists()


def test_a_file_is_stored_under_its_hash(write: Any, project: Path, tmp_path: Path):
    source = write_cubes(tmp_path / "my start.gsd")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    path = write({**CUBES, "n_cubes": 8, "initial": "../my start.gsd", "replicate": [0, 1]})
    assert fill(project, path).added == 2
    assert {job.sp.initial for job in signac.get_project(project)} == {f"file:{digest}"}
    assert (project / "files" / f"{digest}.gsd").read_bytes() == source.read_bytes()
    assert len(list((project / "files").iterdir())) == 1
    # The file may be named by its hash from now on, even if the original is gone.
    source.unlink()
    assert fill(project, write({**CUBES, "n_cubes": 8, "initial": f"file:{digest}"})).present == 1


def test_a_file_that_holds_other_counts_is_refused(write: Any, project: Path, tmp_path: Path):
    write_cubes(tmp_path / "good.gsd", n_cubes=7)
    with pytest.raises(InputError, match=r"jobs\[0\]: .*7 cubes"):
        fill(project, write({**CUBES, "n_cubes": 8, "initial": "../good.gsd"}))
    assert not project.exists()


@pytest.mark.parametrize("damage", ["no document", "no state point", "cut state point", "empty document"])
def test_a_half_made_job_is_completed(write: Any, project: Path, damage: str):
    path = write({**CUBES, "replicate": [0, 1]})
    fill(project, path)
    before = snapshot(project)
    job = next(iter(signac.get_project(project)))
    document, state_point = Path(job.fn(job.FN_DOCUMENT)), Path(job.fn(job.FN_STATE_POINT))
    match damage:
        case "no document":
            document.unlink()
        case "no state point":
            document.unlink()
            state_point.unlink()
        case "cut state point":
            document.unlink()
            state_point.write_text(state_point.read_text()[:20])
        case "empty document":
            document.write_text("{}")
    report = fill(project, path)
    assert (report.added, report.present) == (1, 1)
    assert snapshot(project) == before


def test_a_damaged_document_is_named_and_hides_no_other_job(write: Any, project: Path):
    path = write(CUBES | {"replicate": [0, 1]})
    fill(project, path)
    damaged = min(signac.get_project(project), key=lambda job: job.id)
    Path(damaged.fn(damaged.FN_DOCUMENT)).write_text('{"protocol"')
    # The jobs that are new to the space are made all the same, and the damaged one is left as it is.
    report = fill(project, write(CUBES | {"replicate": [0, 1, 2]}))
    assert (report.added, report.present) == (1, 2)
    (problem,) = report.problems
    assert f"job {damaged.id}: " in problem
    assert "is damaged" in problem
    assert Path(damaged.fn(damaged.FN_DOCUMENT)).read_text() == '{"protocol"'


def test_a_project_that_cannot_be_written_is_one_sentence(write: Any, project: Path):
    project.write_text("a file where the folder should be")
    with pytest.raises(InputError, match="cannot be written"):
        fill(project, write(CUBES))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; expected a space with the sections"),
        ("# nothing yet\n", "is empty"),
        ("jobs: [", r"line \d: .*expected valid YAML"),
        ("jobs:\n  - {n_cubes: 1, n_cubes: 2}", "line 2: the key n_cubes is given twice"),
        ("- 1", "found a list"),
    ],
)
def test_files_that_are_no_space_are_refused(tmp_path: Path, text: str, words: str):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as caught:
        load_space(path)
    assert "bad.yaml" in str(caught.value)


def test_a_missing_space_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"nothing\.yaml does not exist"):
        load_space(tmp_path / "nothing.yaml")


def test_the_demo_fills(project: Path):
    assert dataclasses.astuple(fill(project, DEMO))[:3] == ("demo", 8, 0)
    assert fill(project, DEMO).present == 8


def test_a_thousand_jobs_take_a_moment(write: Any, project: Path):
    path = write({**CUBES, "replicate": list(range(1000))})
    start = time.perf_counter()
    assert fill(project, path).added == 1000
    # The aim is 10,000 in 30 s, which is 3 s here; measured: 0.3 s.
    assert time.perf_counter() - start < 3
