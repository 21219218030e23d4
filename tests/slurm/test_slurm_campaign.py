"""A campaign on a real SLURM: the real init.py, workflow.py, scripts, walltimes and signals."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import signac
import yaml
from cluster import running_slurm, wait_for

from supercube.engines.checkpoint import LOCK, read_manifest
from supercube.engines.segments import read_log, read_trajectory, segment_paths
from supercube.operations import EVAPORATED, FAILED, PICTURE

pytestmark = pytest.mark.slurm

ROOT = Path(__file__).resolve().parent.parent.parent
#: Seconds until something that takes one minute counts as hanging.
LONGEST = 400.0
LOG_PERIOD, FRAMES = 2000, 300

#: The last job takes about a minute, several times as long as its walltime leaves it; the others are done in seconds.
SPACE = """
description: two jobs of seconds, and one of a minute
protocol: {initial_packing_fraction: 0.2, equilibration_time: 0.2, hold_time: 0.5}
defaults: {ligand_length: 0.2, roughness: 0.05}
jobs:
  - {n_cubes: 27, initial: SC, expansion: 1.02}
  - {n_cubes: 8, evaporation_rate: 2000, target_packing_fraction: 0.45}
  - {n_cubes: 27, evaporation_rate: 500, target_packing_fraction: 0.45, protocol: {hold_time: 500}}
"""


class Study:
    """A copy of the repository's front, whose commands see the test's SLURM."""

    def __init__(self, folder, slurm):
        self.folder, self.slurm, self.project = folder, slurm, folder / "project"
        for name in ("init.py", "workflow.py"):
            shutil.copy(ROOT / name, folder / name)
        shutil.copytree(ROOT / "project" / "templates", self.project / "templates")
        (self.project / "spaces").mkdir()
        (self.project / "spaces" / "small.yaml").write_text(SPACE)

    def configure(self, *, walltime_minutes, margin_minutes, checkpoint_seconds, device="auto"):
        simulation = {"partition": "gpu", "walltime_hours": walltime_minutes / 60.0}
        # LAMMPS, which runs here, has no use for a GPU, and gets one all the same.
        simulation |= {"gpus": 1} if device == "gpu" else {"options": ["--gres=gpu:1"]}
        analysis = {"partition": "cpu", "walltime_hours": 0.5, "memory_gb": 0.5}
        config = yaml.safe_load((ROOT / "project" / "config.yaml").read_text())
        config |= {"device": device, "log_period": LOG_PERIOD, "frames": FRAMES}
        config |= {"checkpoint_seconds": checkpoint_seconds, "walltime_margin_minutes": margin_minutes}
        config["cluster"] |= {"scheduler": "auto", "simulation": simulation, "analysis": analysis}
        (self.project / "config.yaml").write_text(yaml.safe_dump(config))

    def run(self, *arguments):
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.slurm.environment,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def submit(self, *options):
        """The SLURM jobs that a submission makes, by id."""
        before = self.slurm.jobs()
        self.run("workflow.py", "submit", *options)
        return {number: job for number, job in self.slurm.jobs().items() if number not in before}

    def wait_until_empty(self):
        wait_for(lambda: not self.slurm.queued(), "an empty queue", LONGEST)

    def jobs(self):
        return list(signac.get_project(self.project))

    def output(self, number):
        return Path(self.slurm.jobs()[number]["StdOut"]).read_text()


@pytest.fixture
def study(tmp_path, slurm):
    return Study(tmp_path, slurm)


def newest_step(job):
    slots = read_manifest(Path(job.path) / "checkpoint").get("slots", [])
    return max((slot["step"] for slot in slots), default=0)


def number_of(submitted, job):
    """The SLURM job, among those submitted, of a job of the data space."""
    return next(number for number, made in submitted.items() if job.id in made["JobName"])


def percent(status, job):
    """What ``status`` says that a begun job has done; 0 if it does not name it."""
    found = re.search(rf"^ *{job.id[:8]} +(\d+) %", status, re.MULTILINE)
    return int(found.group(1)) if found else 0


def is_writing_frames(job):
    # The first frame of a segment is the state it starts from, so a second one means that steps were made since.
    *_, newest = segment_paths(Path(job.path), "trajectory")
    before = newest.stat().st_size
    return lambda: newest.stat().st_size > before


def assert_can_be_continued(job):
    assert not job.isfile(LOCK)
    assert not job.isfile(FAILED)
    assert not job.isfile(EVAPORATED)
    assert "error" not in job.doc()


def assert_finished(job):
    document = job.doc()
    assert document["structure"]
    assert document["steps_done"] == document["total_steps"]
    assert "error" not in document
    assert job.isfile(PICTURE)
    folder = Path(job.path)
    steps = [frame.step for frame in read_trajectory(folder)]
    log = read_log(folder)["step"]
    for rows, longest in ((steps, document["total_steps"] / FRAMES), (log, LOG_PERIOD)):
        assert rows[0] == 0
        assert rows[-1] == document["total_steps"]
        assert np.all(np.diff(rows) > 0)
        assert np.all(np.diff(rows) <= max(longest, 10))  # a stage ends at a multiple of ten steps


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # a zombie waits for its new parent to notice


def test_a_script_gets_the_gpu_that_it_asks_for(slurm, tmp_path):
    script, output = tmp_path / "script.sh", tmp_path / "output"
    script.write_text('#!/bin/bash\necho "$SLURM_JOB_PARTITION:$CUDA_VISIBLE_DEVICES"\n')
    number = slurm.sbatch(script, "--partition=gpu", "--gres=gpu:1", f"--output={output}")
    wait_for(lambda: not slurm.queued(), "the end of the script")
    assert slurm.jobs()[number]["JobState"] == "COMPLETED"
    assert output.read_text() in ("gpu:0\n", "gpu:1\n")


def test_no_process_outlives_the_cluster(tmp_path):
    script, pids = tmp_path / "script.sh", tmp_path / "pids"
    # One that does not listen, and one below it.
    script.write_text(f"#!/bin/bash\ntrap '' TERM\nsleep 3600 &\necho $$ $! >{pids}.new\nmv {pids}.new {pids}\nwait\n")
    started = []

    def fail_with_a_running_job():
        with running_slurm() as cluster:
            started.append(cluster)
            cluster.sbatch(script, f"--output={tmp_path}/output")
            wait_for(pids.exists, "a running script")
            assert all(is_running(pid) for pid in processes())
            raise ZeroDivisionError

    def processes():
        return [*(str(daemon.pid) for daemon in started[0].daemons.values()), *pids.read_text().split()]

    with pytest.raises(ZeroDivisionError):
        fail_with_a_running_job()
    assert len(processes()) == 5
    assert not [pid for pid in processes() if is_running(pid)]
    assert not started[0].folder.exists()


def test_two_jobs_go_all_the_way_in_one_submission(study):
    study.run("init.py", "small")
    study.configure(walltime_minutes=30.0, margin_minutes=2.0, checkpoint_seconds=60.0)
    short = [job for job in study.jobs() if job.doc["protocol"]["hold_time"] < 100]
    command = ("-o", "all", "--bundle", "2", "--parallel", "-j", *(job.id for job in short))
    study.slurm.run("scontrol", "update", "PartitionName=gpu", "State=DOWN")
    (submitted,) = study.submit(*command).values()
    assert submitted["NumTasks"] == "2"
    assert not study.submit(*command)
    assert not study.submit("-j", *(job.id for job in short))
    study.slurm.run("scontrol", "update", "PartitionName=gpu", "State=UP")
    study.wait_until_empty()
    for job in short:
        assert_finished(job)


def test_a_simulation_that_asks_for_a_gpu_gets_one_and_says_if_it_cannot_use_it(study):
    study.run("init.py", "small")
    study.configure(walltime_minutes=30.0, margin_minutes=2.0, checkpoint_seconds=60.0, device="gpu")
    ((number, submitted),) = study.submit("-n", "1").items()
    assert submitted["TresPerNode"] == "gres:gpu:1"
    study.wait_until_empty()
    (job,) = (job for job in study.jobs() if job.isfile(FAILED))
    assert job.id in submitted["JobName"]
    assert "GPU" in job.doc["error"] or "HOOMD-blue" in job.doc["error"]
    assert study.slurm.jobs()[number]["JobState"] == "FAILED"


def test_a_campaign_outlives_its_walltime_and_a_cancellation(study):
    assert "3 jobs - 3 added" in study.run("init.py", "small")
    long = next(job for job in study.jobs() if job.doc["protocol"]["hold_time"] > 100)
    stop_at_the_walltime(study, long)
    cancel(study, long)
    # Simulated to its end, then analysed; then there is nothing left to submit.
    assert [job["Partition"] for job in study.submit().values()] == ["gpu"]
    study.wait_until_empty()
    assert [job["Partition"] for job in study.submit().values()] == ["cpu"]
    study.wait_until_empty()
    assert not study.submit()
    for job in study.jobs():
        assert_finished(job)
    assert len(segment_paths(Path(long.path), "log")) >= 3


def stop_at_the_walltime(study, long):
    slurm = study.slurm
    # Twenty seconds for simulations, and a hundred until the limit.
    study.configure(walltime_minutes=2.0, margin_minutes=100.0 / 60.0, checkpoint_seconds=1.0)
    slurm.run("scontrol", "update", "PartitionName=gpu", "State=DOWN")
    submitted = study.submit()
    assert [job["Partition"] for job in submitted.values()] == ["gpu"] * 3
    assert all(job["TimeLimit"] == "00:02:00" and job["JobState"] == "PENDING" for job in submitted.values())
    assert not study.submit()
    slurm.run("scontrol", "update", "PartitionName=gpu", "State=UP")
    wait_for(lambda: 0 < percent(study.run("workflow.py", "status"), long) < 100, "a percentage in status", LONGEST)
    assert not study.submit("-o", "simulate", "-j", long.id)
    study.wait_until_empty()
    # It has stopped itself, checkpointed, long before SLURM would have.
    assert {slurm.jobs()[number]["JobState"] for number in submitted} == {"COMPLETED"}
    output = study.output(number_of(submitted, long))
    assert re.search(rf"stopped by the walltime at step {newest_step(long)} of \d+, checkpointed", output)
    assert_can_be_continued(long)
    assert all(job.isfile(EVAPORATED) for job in study.jobs() if job.id != long.id)
    assert 0 < percent(study.run("workflow.py", "status"), long) < 100


def cancel(study, long):
    # From here on only a signal makes a checkpoint. What is simulated goes to the analysis, on CPU nodes.
    study.configure(walltime_minutes=30.0, margin_minutes=2.0, checkpoint_seconds=3600.0)
    folder, step = Path(long.path), newest_step(long)
    segments = len(segment_paths(folder, "trajectory"))
    submitted = study.submit()
    assert sorted(job["Partition"] for job in submitted.values()) == ["cpu", "cpu", "gpu"]
    wait_for(lambda: len(segment_paths(folder, "trajectory")) > segments, "the continued job", LONGEST)
    wait_for(is_writing_frames(long), "its frames", LONGEST)
    assert newest_step(long) == step
    number = number_of(submitted, long)
    study.slurm.run("scancel", number)
    study.wait_until_empty()
    assert study.slurm.jobs()[number]["JobState"] == "CANCELLED"
    assert newest_step(long) > step
    assert_can_be_continued(long)
