"""The whole chain on a tiny data space: the real init.py, workflow.py, signac, engine, freud and console script.

Where a test names no engine it runs with what ``engine: auto`` takes here.
"""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import signac

from supercube import operations
from supercube.errors import SupercubeError

#: Seconds after which a command hangs: these take a few each on an idle machine.
LONGEST = 300
ROOT = Path(__file__).resolve().parent.parent

TINY = """
description: a tiny space
protocol: {initial_packing_fraction: 0.2, equilibration_time: 0.2, hold_time: 0.5}
defaults: {ligand_length: 0.2, roughness: 0.05}
jobs:
  - {n_cubes: 27, initial: SC, expansion: 1.02}
  - {n_cubes: 27, evaporation_rate: 2000, target_packing_fraction: 0.45}
  - {n_cubes: 32, n_spheres: 8, size_ratio: 0.49, ligand_length: 0.18, initial: ABO3, expansion: 1.02}
"""


@pytest.fixture
def study(tmp_path):
    for name in ("init.py", "workflow.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "project" / "spaces").mkdir(parents=True)
    (tmp_path / "project" / "spaces" / "tiny.yaml").write_text(TINY)
    (tmp_path / "project" / "config.yaml").write_text("log_period: 50\nframes: 10\n")
    return tmp_path


def run(study, *arguments, code=0, **environment):
    command = [sys.executable, *arguments]
    environment = {**os.environ, **environment}
    with subprocess.Popen(
        command, cwd=study, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, process_group=0
    ) as process:
        try:
            out, err = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # workers of a pool, too, hold the pipes
            pytest.fail(f"{' '.join(arguments)} hung: {process.communicate()}")
    assert process.returncode == code, out + err
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def jobs_of(study):
    return list(signac.get_project(study / "project"))


@pytest.mark.parametrize("engine", ["lammps", pytest.param("hoomd", marks=pytest.mark.hoomd)])
def test_a_data_space_in_classified_superlattices_out(study, engine):
    (study / "project" / "config.yaml").write_text(f"engine: {engine}\ndevice: cpu\nlog_period: 50\nframes: 10\n")
    assert "3 jobs - 3 added, 0 already there" in run(study, "init.py", "tiny").stdout
    assert "3 jobs - 0 added, 3 already there" in run(study, "init.py", "tiny").stdout
    run(study, "workflow.py", "run", "--parallel", "2")
    structures = {}
    for job in jobs_of(study):
        document = job.doc()
        structures[job.sp.initial] = document["structure"]
        assert sum(document["fractions"].values()) == pytest.approx(1.0)
        assert document["engine"] == engine
        assert document["steps_done"] == document["total_steps"]
        assert document["model"]["roughness"] <= job.sp.roughness
        assert "error" not in document
        for name in ("initial.gsd", "trajectory-0000.gsd", "log-0000.csv", "order.npz", "order.png", "structure.png"):
            assert job.isfile(name), name
        with np.load(job.fn("order.npz")) as series:
            assert len(series["labels"]) == job.sp.n_cubes + job.sp.n_spheres
            total = sum(series[name] for name in series.files if name.startswith("fraction_"))
            np.testing.assert_allclose(total, 1.0)
            assert np.all(np.diff(series["time"]) > 0)
            if job.sp.target_packing_fraction:
                assert series["packing_fraction"][-1] == pytest.approx(job.sp.target_packing_fraction, rel=1e-5)
    assert structures == {"SC": "SC", "ABO3": "ABO3", "fluid": "disordered"}
    with open(study / "project" / "phase_map.csv", newline="") as handle:
        assert len(list(csv.DictReader(handle))) == 3
    assert (study / "project" / "phase_map.png").stat().st_size > 10_000
    table = run(study, "-m", "supercube", "table").stdout
    assert table.splitlines()[0].split()[:3] == ["job", "cubes", "spheres"]
    assert {"SC", "ABO3", "disordered"} <= set(table.split())
    # Nothing is left to do, and nothing changes when asked again.
    before = {p: p.stat().st_mtime_ns for p in (study / "project" / "workspace").rglob("*") if p.is_file()}
    run(study, "workflow.py", "run")
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_finished_job_goes_on_by_one_command(study):
    run(study, "init.py", "tiny")
    job = next(job for job in jobs_of(study) if job.sp.initial == "fluid")
    run(study, "workflow.py", "run", "-j", job.id)
    steps = job.doc["steps_done"]
    assert "disordered" in run(study, "-m", "supercube", "continue", job.id[:6], "--hold", "1.0").stdout
    job = signac.get_project(study / "project").open_job(id=job.id)
    longer = 0.5 / job.doc["model"]["time_step"]
    assert job.doc["steps_done"] - steps == pytest.approx(longer, abs=11)  # stages are rounded up to ten steps
    assert job.doc["protocol"]["hold_time"] == 1.0
    assert job.isfile("trajectory-0002.gsd")  # equilibrate, evaporate, and the longer hold
    answer = run(study, "-m", "supercube", "continue", job.id[:6], "--target", "0.5").stdout
    new = signac.get_project(study / "project").open_job(id=answer.split(":")[0])
    assert new.doc["continued_from"] == job.id
    assert new.doc["packing_fraction"] == pytest.approx(0.5, rel=1e-5)
    assert new.sp.initial.startswith("file:")
    assert "0 added, 3 already there" in run(study, "init.py", "tiny").stdout
    words = run(study, "-m", "supercube", "continue", job.id[:6], "--hold", "0.2", code=2).stderr
    assert "expected a longer one" in words
    assert "--hold" in run(study, "-m", "supercube", "continue", job.id[:6], "--hold", "nan", code=2).stderr
    files = sorted((study / "project" / "files").iterdir())
    for target in ("0.3", "nan", "0.99"):  # below the start, no number, above what can be reached
        assert "target" in run(study, "-m", "supercube", "continue", job.id[:6], "--target", target, code=2).stderr
    assert sorted((study / "project" / "files").iterdir()) == files
    assert len(jobs_of(study)) == 4


def test_a_killed_run_resumes_and_the_others_finish(study):
    space = study / "project" / "spaces" / "tiny.yaml"
    space.write_text(TINY.replace("evaporation_rate: 2000", "evaporation_rate: 20"))
    (study / "project" / "config.yaml").write_text("log_period: 50\nframes: 10\ncheckpoint_seconds: 0.05\n")
    run(study, "init.py", "tiny")
    job = next(job for job in jobs_of(study) if job.sp.initial == "fluid")
    run(study, "workflow.py", "run", "-o", "build", "equilibrate", "-j", job.id)
    manifest = Path(job.fn("checkpoint/manifest.json"))
    before = manifest.stat().st_mtime_ns
    process = subprocess.Popen([sys.executable, "workflow.py", "run", "-j", job.id], cwd=study, stderr=subprocess.PIPE)
    while manifest.stat().st_mtime_ns == before:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert b"checkpointed; run again to continue" in errors
    assert not job.isfile("checkpoint/evaporated")
    assert "error" not in job.doc
    space.write_text(TINY)
    run(study, "workflow.py", "run", "-o", "evaporate", "-j", job.id)
    assert job.isfile("checkpoint/evaporated")
    steps = np.loadtxt(job.fn("log-0001.csv"), delimiter=",", skiprows=1)[:, 0]
    again = np.loadtxt(job.fn("log-0002.csv"), delimiter=",", skiprows=1)[:, 0]
    assert again[0] == steps[-1]


def test_a_parallel_run_stops_checkpointed_and_leaves_nobody_behind(study):
    slow = TINY.replace("evaporation_rate: 2000", "evaporation_rate: 2, replicate: [0, 1]")
    (study / "project" / "spaces" / "tiny.yaml").write_text(slow)
    run(study, "init.py", "tiny")
    drying = [job for job in jobs_of(study) if job.sp.initial == "fluid"]
    run(study, "workflow.py", "run", "-o", "build", "equilibrate", "-j", *(job.id for job in drying))
    command = [sys.executable, "workflow.py", "run", "-o", "evaporate", "--parallel", "2", "-j"]
    process = subprocess.Popen(
        [*command, *(job.id for job in drying)], cwd=study, stderr=subprocess.PIPE, start_new_session=True
    )
    while not all(job.isfile("lock.json") for job in drying):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert b"Traceback" not in errors
    assert not any(job.isfile("lock.json") for job in drying)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # no worker is left


def test_a_parallel_run_of_many_passes_always_ends(study):
    # Every pass ends a pool; idle workers must not outlive its SIGTERM (with an inherited handler, one in some dozens
    # slept on for ever).
    run(study, "init.py", "tiny")
    loop = """
        import sys, workflow
        workflow._workers_start_with_default_signals()
        signal = workflow.signal
        signal.signal(signal.SIGTERM, workflow._exit_incomplete)
        for _ in range(200):
            with workflow.multiprocessing.Pool(2) as pool:
                assert pool.apply(signal.getsignal, (signal.SIGTERM,)) == signal.SIG_DFL
                results = [pool.apply_async(abs, (-k,)) for k in range(3)]
                assert [result.get() for result in results] == [0, 1, 2]
        print("ended")
    """
    assert "ended" in run(study, "-c", textwrap.dedent(loop)).stdout


def test_one_failing_job_leaves_its_sentence_and_does_not_stop_the_others(study):
    run(study, "init.py", "tiny")
    run(study, "workflow.py", "run", "-o", "build")
    broken = next(job for job in jobs_of(study) if job.sp.initial == "SC")
    Path(broken.fn("initial.gsd")).write_bytes(b"")
    done = run(study, "workflow.py", "run", code=1)
    assert "1 job(s) failed" in done.stderr
    broken, *_ = (job for job in jobs_of(study) if job.sp.initial == "SC")
    assert "is empty (0 bytes)" in broken.doc["error"]
    assert "structure" not in broken.doc
    assert all("structure" in job.doc for job in jobs_of(study) if job.id != broken.id)
    # Mended, it runs, and the error goes.
    Path(broken.fn("initial.gsd")).unlink()
    run(study, "workflow.py", "run")
    broken, *_ = (job for job in jobs_of(study) if job.sp.initial == "SC")
    assert "error" not in broken.doc
    assert broken.doc["structure"] == "SC"


def test_status_needs_no_engine(study):
    run(study, "init.py", "tiny")
    # A login node: the engine, its MPI and freud cannot be imported.
    blocked = study / "blocked"
    blocked.mkdir()
    for name in ("lammps", "hoomd", "freud"):
        (blocked / f"{name}.py").write_text("raise ImportError('not on this node')\n")
    out = run(study, "workflow.py", "status", "--detailed", PYTHONPATH=str(blocked)).stdout
    assert "build" in out


def test_a_run_ends_before_its_deadline_and_the_next_goes_on(study):
    run(study, "init.py", "tiny")
    crystal = next(job for job in jobs_of(study) if job.sp.initial == "SC")
    late = str(time.time() + 60.0)  # less than the margin of two minutes
    stopped = run(study, "workflow.py", "run", "-j", crystal.id, code=75, SUPERCUBE_DEADLINE=late)
    assert "stopped by the walltime before it ran; run again to continue" in stopped.stderr
    assert not crystal.isfile("initial.gsd")  # nothing is begun any more
    assert "error" not in crystal.doc
    run(study, "workflow.py", "run", "-j", crystal.id, SUPERCUBE_DEADLINE=str(time.time() + 3600.0))
    assert crystal.isfile("structure.png")
    assert "SUPERCUBE_DEADLINE is 'x'" in run(study, "workflow.py", "run", code=2, SUPERCUBE_DEADLINE="x").stderr


def test_the_map_shows_what_the_same_run_has_found(study):
    run(study, "init.py", "tiny")
    first, second, _ = sorted(jobs_of(study), key=lambda job: job.sp.initial, reverse=True)
    run(study, "workflow.py", "run", "-j", first.id)
    assert len(list(csv.DictReader((study / "project" / "phase_map.csv").read_text().splitlines()))) == 1
    run(study, "workflow.py", "run", "-j", second.id)
    assert len(list(csv.DictReader((study / "project" / "phase_map.csv").read_text().splitlines()))) == 2
    status = run(study, "workflow.py", "status").stdout
    assert "phase_map" not in status
    assert "2 finished" in status
    assert "nothing is running; " in status
    assert "core-hours left" in status


def test_status_survives_whatever_a_job_holds(study):
    run(study, "init.py", "tiny")
    good, manifest, odd = jobs_of(study)
    for job, text in (
        (manifest, "null"),
        (good, '{"identity": {"engine": "lammps"}, "slots": [{"step": 1, "record": "x"}]}'),
    ):
        Path(job.fn("checkpoint")).mkdir()
        Path(job.fn("checkpoint/manifest.json")).write_text(text)
    strange = signac.get_project(study / "project").open_job({**odd.sp(), "pressure": None})
    strange.init()
    Path(strange.fn("order.npz")).touch()
    for options in (["status"], ["-v", "status"]):
        answer = run(study, "workflow.py", *options)
        assert "Progress: " in answer.stdout
        assert "All jobs are simulated" not in answer.stdout
        assert f"{manifest.id}" in answer.stderr
        assert "Traceback" not in answer.stderr
    Path(good.fn("signac_job_document.json")).write_text("{")
    answer = run(study, "workflow.py", "run", "--pretend", "-f", "doc.structure", "SC", code=2)
    assert "a job is damaged, and -f has to look at all of them" in answer.stderr


def test_a_selection_of_nothing_is_an_error(study):
    run(study, "init.py", "tiny")
    answer = run(study, "workflow.py", "run", "-o", "phase_mpa", code=2)
    assert "there is no operation phase_mpa; did you mean phase_map?" in answer.stderr
    answer = run(study, "workflow.py", "run", "-o", "simulate(", code=2)
    assert "-o simulate( is no regular expression" in answer.stderr
    answer = run(study, "workflow.py", "run", "-f", "ligand_lenght", "0.2", code=2)
    assert "no job matches this selection" in answer.stderr
    assert not any(job.isfile("initial.gsd") for job in jobs_of(study))


def test_a_locked_job_is_left_alone_and_has_not_failed(study):
    run(study, "init.py", "tiny")
    crystal = next(job for job in jobs_of(study) if job.sp.initial == "SC")
    lock = Path(crystal.fn("lock.json"))
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    done = run(study, "workflow.py", "run", "-j", crystal.id, code=75)
    assert "is being run by process 1 on elsewhere" in done.stderr
    assert "failed" not in done.stderr
    assert not crystal.isfile("failed")
    assert "error" not in crystal.doc
    assert lock.exists()


def test_a_signal_while_python_starts_is_a_clean_stop(study):
    run(study, "init.py", "tiny")
    # The imports take seconds here, as they do on a busy network disk.
    (study / "numpy.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    with subprocess.Popen([sys.executable, "workflow.py", "run"], cwd=study, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=60) == 75


def test_a_job_that_was_moved_meanwhile_is_not_made_anew(study):
    run(study, "init.py", "tiny")
    crystal = next(job for job in jobs_of(study) if job.sp.initial == "SC")
    (study / "moved").mkdir()

    def move(job):
        Path(job.path).rename(study / "moved" / job.id)
        raise OSError("no such file")

    with pytest.raises(SupercubeError, match="was moved or deleted meanwhile"), operations.recording_errors(crystal):
        move(crystal)
    assert not Path(crystal.path).exists()


def test_damaged_and_foreign_jobs_hide_no_other(study):
    run(study, "init.py", "tiny")
    good, document, state_point = jobs_of(study)
    Path(document.fn("signac_job_document.json")).write_text('{"protocol": {')
    # Without signac's cache, which would know the state point that the file has lost.
    Path(state_point.fn("signac_statepoint.json")).write_text("{")
    (study / "project" / ".signac" / "statepoint_cache.json.gz").unlink()
    foreign = signac.get_project(study / "project").open_job({"temperature": 300})
    foreign.init()
    done = run(study, "workflow.py", "run", "-o", "all", code=1)
    assert "1 job(s) failed" in done.stderr
    assert f"{document.id}/signac_job_document.json is damaged" in done.stderr
    assert "structure" in good.doc
    assert sorted(path.name for path in Path(foreign.path).iterdir()) == ["signac_statepoint.json"]
    for command in (["workflow.py", "status"], ["-m", "supercube", "table"]):
        answer = run(study, *command)
        assert "Traceback" not in answer.stderr
        assert f"job {state_point.id}: its state point cannot be read" in answer.stderr
        assert (
            f"job {foreign.id} is not of supercube: its state point has temperature; it is left alone" in answer.stderr
        )
        assert good.id[:8] in answer.stdout or "1 finished, 1 failed" in answer.stdout
    assert (study / "project" / "phase_map.csv").exists() or run(study, "workflow.py", "run", "-o", "phase_map")
    table = (study / "project" / "phase_map.csv").read_text()
    assert len(list(csv.DictReader(table.splitlines()))) == 1


def test_a_lost_workspace_is_said(study):
    run(study, "init.py", "tiny")
    shutil.rmtree(study / "project" / "workspace")
    for command in (["workflow.py", "status"], ["-m", "supercube", "table"]):
        answer = run(study, *command, code=2)
        assert "workspace does not exist, though" in answer.stderr
        assert len(answer.stderr.strip().splitlines()) == 1


def test_without_a_data_space_the_workflow_says_what_to_do(study):
    assert "python init.py demo" in run(study, "workflow.py", "status", code=2).stderr


def test_a_wrong_config_is_said_once_and_fails_no_job(study):
    run(study, "init.py", "tiny")
    (study / "project" / "config.yaml").write_text("egnine: lammps\n")
    done = run(study, "workflow.py", "run", code=2)
    assert "egnine is not a known key" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert all("error" not in job.doc for job in jobs_of(study))


def test_classify_and_render_plain_files(study):
    run(study, "init.py", "tiny")
    run(study, "workflow.py", "run", "-o", "build")
    crystal = next(job for job in jobs_of(study) if job.sp.initial == "ABO3").fn("initial.gsd")
    answer = json.loads(run(study, "-m", "supercube", "classify", crystal, "--json", "--labels", "labels.npy").stdout)
    assert answer["structure"] == "ABO3"
    assert (answer["n_cubes"], answer["n_spheres"]) == (32, 8)
    assert {"structure", "fractions", "n_cubes", "n_spheres", "lattice_constant", "cubatic_order"} <= set(answer)
    assert np.load(study / "labels.npy").tolist() == ["ABO3"] * 40
    run(study, "-m", "supercube", "render", crystal, "-o", "out.png", "--size", "200")
    assert (study / "out.png").read_bytes().startswith(b"\x89PNG")
