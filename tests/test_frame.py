"""``supercube.load``: every value of every readable job, with units; and what cannot be read says so."""

import json
import math
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest
import signac

import supercube
from supercube import operations
from supercube._columns import LEFT_OUT, by_site, fixed_columns
from supercube.configuration import read_gsd
from supercube.errors import InputError
from supercube.frame import describe_columns, load, problems
from supercube.model.particles import build_model
from supercube.order import classify
from supercube.preset import Request, preset_answer
from supercube.progress import STAGES
from supercube.spaces import fill
from supercube.statepoint import ProtocolSettings, StatePoint

SPACE = """
description: crystals and drying
protocol: {hold_time: 3.0}
defaults: {ligand_length: 0.2, roughness: 0.05}
jobs:
  - {n_cubes: 27, initial: SC, expansion: 1.02}
  - {n_cubes: 32, n_spheres: 8, size_ratio: 0.49, ligand_length: 0.18, initial: ABO3, expansion: 1.02}
  - {n_cubes: 27, evaporation_rate: 2000, target_packing_fraction: 0.45, replicate: [0, 1]}
"""


def finish(job):
    """A result without a simulation: the crystal of the job's start, as its classifier sees it."""
    operations.build(job)
    order = classify(read_gsd(job.fn(operations.INITIAL)))
    model = build_model(operations.state_point_of(job))
    job.doc.update(order.document() | {"model": model.describe(), "engine": "lammps", "steps_done": 10})
    job.doc.update({"engine_version": "2025", "device": "cpu"})
    job.doc.update({"thermal": {"cube_edge": 0.98, "sphere_diameter": None}, "pressure": 12.5, "pressure_sem": 0.5})
    for marker in (operations.EVAPORATED, operations.ORDER, operations.SCATTERED, operations.PICTURE):
        Path(job.fn(marker)).parent.mkdir(exist_ok=True)
        Path(job.fn(marker)).touch()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data space with two finished jobs, one that failed and one that waits."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "space.yaml").write_text(SPACE)
    fill(folder / "project", folder / "space.yaml")
    for job in signac.get_project(folder / "project"):
        if job.sp.initial != "fluid":
            finish(job)
        elif job.sp.replicate == 1:
            Path(job.fn(operations.FAILED)).touch()
            job.doc["error"] = "the disk is full."
    return folder / "project"


@pytest.fixture
def project(made, tmp_path):
    """A copy to damage."""
    shutil.copytree(made, tmp_path / "project")
    return tmp_path / "project"


def job_of(project, **state_point):
    (job,) = signac.get_project(project).find_jobs(state_point)
    return job


def test_each_column_has_a_unit_and_a_description_and_only_columns_have(made):
    frame = load(made, preset="cspbbr3-8.6nm")
    for name in ("units", "descriptions"):
        assert set(frame.attrs[name]) == set(frame.columns), name
        assert all(isinstance(text, str) and text for text in frame.attrs[name].values()), name
    known = {"1", "text", "e", "e^3", "nm", "a", "kT", "kT/e^3", "e^2/D0", "s", "1/s", "deg"}
    assert set(frame.attrs["units"].values()) <= known


def test_no_result_and_no_setting_is_left_out_silently():
    names = {column.name for column in fixed_columns()}
    assert set(StatePoint.model_fields) <= names
    assert {f"protocol.{key}" for key in ProtocolSettings.model_fields} <= names
    found = names | {"notes", "fractions.SC", "sublattices.A.particles"}
    found |= {name.removeprefix("measured_") for name in names if name.startswith("measured_")}
    families = {name.split(".")[0] for name in found}
    assert {key for key in operations.RESULT_KEYS if key not in families} <= set(LEFT_OUT)


def test_rows_hold_what_is_in_state_points_and_documents(made):
    frame = load(made)
    assert len(frame) == 4
    assert frame.index.name == "job"
    for job in signac.get_project(made):
        row = frame.loc[job.id]
        for key, value in job.sp.items():
            assert row[key] == value, key
        assert row["protocol.hold_time"] == 3.0
        for key in ("structure_fraction", "lattice_constant", "cubatic_order", "displacement_rms"):
            expected = job.doc.get(key)
            assert row[key] == expected if expected is not None else math.isnan(row[key]), key
    sc, abo3 = (frame.loc[job_of(made, initial=name).id] for name in ("SC", "ABO3"))
    assert (sc["structure"], abo3["structure"]) == ("SC", "ABO3")
    assert (sc["fractions.SC"], sc["fractions.ABO3"]) == (1.0, 0.0)
    assert sc["model.beads"] == job_of(made, initial="SC").doc["model"]["beads"]
    assert abo3["sublattices.O.particles"] == 24
    assert abo3["cell_lengths.c"] == pytest.approx(abo3["lattice_constant"], rel=1e-5)  # positions are float32
    assert (sc["pressure"], sc["measured_pressure"], sc["measured_pressure_sem"]) == (0.0, 12.5, 0.5)
    assert sc["thermal.cube_edge"] == 0.98


def test_missing_values_have_the_right_kind(made):
    frame = load(made)
    waiting = frame.loc[job_of(made, initial="fluid", replicate=0).id]
    assert math.isnan(waiting["structure_fraction"])
    assert waiting["model.beads"] is pd.NA
    assert waiting["error"] is pd.NA
    dtypes = frame.dtypes.astype(str)
    assert dtypes["lattice_constant"] == "float64"
    assert dtypes["c_over_a"] == "float64"  # nobody has one
    assert dtypes["n_cubes"] == "int64"
    assert dtypes["steps_done"] == "Int64"
    assert dtypes["molten.cube"] == "boolean"
    assert {dtypes[name] for name in ("structure", "initial", "engine", "stage")} == {"category"}


def test_stages_and_failures(made):
    frame = load(made)
    assert list(frame["stage"].cat.categories) == list(STAGES)
    assert frame["stage"].value_counts()[["finished", "failed", "waiting"]].tolist() == [2, 1, 1]
    failed = job_of(made, initial="fluid", replicate=1).id
    assert frame.loc[failed, "stage"] == "failed"
    assert frame.loc[failed, "error"] == "the disk is full."
    assert problems(frame).to_dict("index") == {failed: {"what": "failed", "sentence": "the disk is full."}}


def test_jobs_that_cannot_be_read_leave_the_others_alone(project, made):
    damaged = job_of(project, initial="SC").id
    (project / "workspace" / damaged / "signac_job_document.json").write_text('{"structure": ')
    foreign = signac.get_project(project).open_job({"temperature": 300})
    foreign.init()
    with pytest.warns(UserWarning, match=r"2 jobs of .* cannot be read") as caught:
        frame = load(project)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # the line to look at is the caller's
    assert set(frame.attrs["problems"]) == {damaged, foreign.id}
    assert "is damaged" in frame.attrs["problems"][damaged]
    others = load(made).drop(index=damaged)
    pd.testing.assert_series_equal(frame["structure"].astype(str), others["structure"].astype(str))
    assert set(problems(frame).index) == {damaged, foreign.id, job_of(project, initial="fluid", replicate=1).id}


def test_what_is_no_data_space_is_said_in_one_sentence(project, tmp_path):
    with pytest.raises(InputError, match=r"holds no data space; .* python init.py"):
        load(tmp_path)
    shutil.rmtree(project / "workspace")
    with pytest.raises(InputError, match="restore the workspace"):
        load(project)
    (project / "workspace").mkdir()
    with pytest.raises(InputError, match=r"holds no job of supercube; expected at least one - .* python init.py"):
        load(project)
    signac.get_project(project).open_job({"temperature": 300}).init()
    with pytest.raises(InputError, match=r"no job of supercube \(1 cannot be read: .* is not of supercube"):
        load(project)


def test_lengths_in_nm(made):
    name = "cspbbr3-8.6nm+fe3o4-19.5nm"
    frame = load(made, preset=name)
    edge = preset_answer(Request(name=name))["units"]["length_nm"]
    assert frame.attrs["cube_edge_nm"] == pytest.approx(edge, rel=1e-12)
    pd.testing.assert_series_equal(frame["lattice_constant_nm"], edge * frame["lattice_constant"], check_names=False)
    units = frame.attrs["units"]
    assert {key for key, unit in units.items() if unit == "nm"} == {f"{key}_nm" for key in units if units[key] == "e"}
    assert load(made, cube_edge_nm=10.0)["cell_lengths.a_nm"].max() == pytest.approx(
        10.0 * load(made)["cell_lengths.a"].max()
    )
    assert "lattice_constant_nm" not in load(made).columns


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "cspbbr3-8.6nm", "cube_edge_nm": 10.0}, "expected one of them"),
        ({"preset": "cspbbr3"}, "did you mean"),
        ({"cube_edge_nm": 0.0}, "edge_nm is 0"),
        ({"cube_edge_nm": math.nan}, "edge_nm is nan"),
        ({"extra": {"structure": "1"}}, "is a column already"),
        ({"extra": {"stage": "1"}}, "is a column already"),
    ],
)
def test_wrong_options_are_refused(made, options, words):
    with pytest.raises(InputError, match=words):
        load(made, **options)


def test_further_keys_of_the_document(project):
    job_of(project, initial="SC").doc["mine"] = {"width": 2.5}
    frame = load(project, extra={"mine.width": "nm"})
    assert frame["mine.width"].dropna().tolist() == [2.5]
    assert frame.attrs["units"]["mine.width"] == "nm"


def test_metadata_survive_a_choice_of_rows_and_files(made, tmp_path):
    frame = load(made, cube_edge_nm=10.0)
    chosen = frame[frame.structure == "SC"]
    assert chosen.attrs == frame.attrs
    frame.to_parquet(tmp_path / "jobs.parquet")
    back = pd.read_parquet(tmp_path / "jobs.parquet")
    assert back.attrs == frame.attrs
    pd.testing.assert_frame_equal(back, frame)
    frame.to_csv(tmp_path / "jobs.csv")
    numbers = pd.read_csv(tmp_path / "jobs.csv", index_col="job")
    assert list(numbers.columns) == list(frame.columns)
    pd.testing.assert_series_equal(numbers["lattice_constant"], frame["lattice_constant"], check_index_type=False)


def test_values_of_another_type_are_missing_and_stop_nobody(project):
    job = job_of(project, initial="SC")
    path = Path(job.fn("signac_job_document.json"))
    document = json.loads(path.read_text())
    document |= {"lattice_constant": "1.05", "model": 7, "fractions": None, "steps_done": 1.5, "cell_lengths": [1.0]}
    document |= {"molten": {"cube": 3}, "sublattices": [4], "notes": None}
    path.write_text(json.dumps(document))
    row = load(project).loc[job.id]
    for name in ("lattice_constant", "model.beads", "fractions.SC", "steps_done", "cell_lengths.b", "molten.cube"):
        assert pd.isna(row[name]), name
    assert row["cell_lengths.a"] == 1.0
    assert row["structure"] == "SC"


def test_jobs_of_before_a_key_was_added_have_its_default(project):
    job = job_of(project, initial="SC")
    old = {key: value for key, value in dict(job.sp).items() if key != "pressure"} | {"replicate": 9}
    signac.get_project(project).open_job(old).init()
    frame = load(project)
    assert frame.set_index("replicate").loc[9, "pressure"] == 0.0
    assert len(frame) == 5


def test_two_sublattices_of_one_name_keep_apart():
    rows = [{"site": "A", "multiplicity": 8}, {"site": "B", "multiplicity": 4}, {"site": "B", "multiplicity": 12}]
    assert {name: row["multiplicity"] for name, row in by_site({"sublattices": rows}).items()} == {
        "A": 8, "B4": 4, "B12": 12
    }  # fmt: skip


def test_columns_are_described(made):
    frame = load(made)
    about = describe_columns(frame)
    assert list(about.index) == list(frame.columns)
    assert about.loc["pressure", "unit"] == "kT/e^3"
    assert about.loc["lattice_constant", "jobs"] == 2


def test_the_package_is_light_until_load_is_used():
    heavy = {"numpy", "pandas", "signac", "pydantic", "matplotlib"}
    code = f"import sys, supercube; print(sorted({heavy} & set(sys.modules))); print(supercube.load.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "load"]
    assert "load" in dir(supercube)
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        supercube.laod  # noqa: B018


def test_nothing_is_warned_about_in_a_sound_data_space(made):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = load(made)
    assert frame.attrs["problems"] == {}


def test_lengths_in_nm_of_other_shells_are_said(made):
    """e = 10.43 nm of a core of 8.6 nm and its shells; with lambda 0.2 the same e is a core of e (1 - 0.4)."""
    frame = load(made, preset="cspbbr3-8.6nm")
    (note,) = frame.attrs["notes"]
    assert "4 of 4 jobs have lambda 0.18 to 0.2" in note
    assert "cores of 6.7 to 6.3 nm, not 8.6 nm" in note
    edge = frame.attrs["cube_edge_nm"]
    assert (edge * (1 - 2 * 0.18), edge * (1 - 2 * 0.2)) == (pytest.approx(6.7, abs=0.05), pytest.approx(6.3, abs=0.05))


def test_without_another_shell_there_is_no_note(made, tmp_path):
    assert load(made).attrs["notes"] == []
    assert load(made, cube_edge_nm=10.0).attrs["notes"] == []
    request = preset_answer(Request(name="cspbbr3-8.6nm"))
    (tmp_path / "space.yaml").write_text(
        f"jobs:\n  - {{n_cubes: 27, ligand_length: {round(request['state_point']['ligand_length'], 3)}, initial: SC}}"
    )
    fill(tmp_path / "project", tmp_path / "space.yaml")
    assert load(tmp_path / "project", preset="cspbbr3-8.6nm").attrs["notes"] == []


def test_notes_survive_a_file(made, tmp_path):
    frame = load(made, preset="cspbbr3-8.6nm")
    frame.to_parquet(tmp_path / "jobs.parquet")
    assert pd.read_parquet(tmp_path / "jobs.parquet").attrs["notes"] == frame.attrs["notes"]
