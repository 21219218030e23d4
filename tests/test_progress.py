from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from supercube.dataspace import DataSpace, JobRecord
from supercube.progress import SILENT, duration, progress_of

STATE_POINT = {"ligand_length": 0.2, "n_cubes": 27, "n_spheres": 0, "initial": "fluid", "replicate": 0}


@pytest.fixture
def space(tmp_path):
    """Makes a data space from what its jobs' folders hold: names, and slots of the manifest as (step, wall seconds)."""

    def made(**jobs):
        records = []
        for name, (files, slots) in jobs.items():
            folder = tmp_path / name
            (folder / "checkpoint").mkdir(parents=True)
            for file in files:
                (folder / file).touch()
                if file == "lock.json":
                    (folder / file).write_text(json.dumps({"host": "elsewhere", "pid": 1}))
            if slots is not None:
                entries = [
                    {"step": step, "record": {"total_steps": 1000, "wall_seconds": wall}} for step, wall in slots
                ]
                (folder / "checkpoint" / "manifest.json").write_text(json.dumps({"identity": {}, "slots": entries}))
            names = frozenset(path.name for path in folder.iterdir())
            marks = frozenset(path.name for path in (folder / "checkpoint").iterdir())
            records.append(JobRecord(name, folder, STATE_POINT, names, marks))
        return DataSpace(tmp_path, tuple(records), {})

    return made


FINISHED = (
    ["initial.gsd", "checkpoint/evaporated", "order.npz", "scattering.png", "structure.png"],
    [(500, 50.0), (1000, 100.0)],
)


def test_stages_are_told_by_files_alone(space):
    found = progress_of(
        space(
            waiting=([], None),
            built=(["initial.gsd"], None),
            running=(["lock.json"], [(100, 10.0)]),
            stopped=([], [(100, 10.0)]),
            simulated=(["checkpoint/evaporated"], [(1000, 90.0)]),
            finished=FINISHED,
            failed=(["failed"], [(100, 10.0)]),
            failed_at_once=(["failed"], None),
        )
    )
    wanted = {"waiting": 2, "running": 1, "stopped": 1, "simulated": 1, "finished": 1, "failed": 2}
    assert found.counts == wanted
    assert found.total == 8
    assert found.done == pytest.approx((0 + 0 + 0.1 + 0.1 + 1 + 1 + 0.1 + 0) / 8)


def test_rate_is_that_between_the_last_two_checkpoints(space):
    (job,) = progress_of(space(one=(["lock.json"], [(200, 10.0), (600, 50.0)]))).begun
    assert (job.stage, job.done) == ("running", 0.6)
    assert job.rate == pytest.approx(10.0)
    assert job.seconds_left == pytest.approx(40.0)


def test_checkpoints_that_follow_at_once_measure_nothing(space):
    (job,) = progress_of(space(one=([], [(400, 40.0), (401, 40.01)]))).begun
    assert job.rate == pytest.approx(401 / 40.01)


def test_an_empty_space_is_not_done(space):
    assert progress_of(space()).done == 0.0
    assert progress_of(space()).total == 0


def test_a_process_of_this_machine_that_is_gone_runs_nothing(space):
    made = space(a=(["lock.json"], [(500, 50.0)]))
    lock = made.jobs[0].path / "lock.json"
    lock.write_text(json.dumps({"host": os.uname().nodename, "pid": os.getpid()}))
    assert progress_of(made).counts["running"] == 1
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    lock.write_text(json.dumps({"host": os.uname().nodename, "pid": gone.pid}))
    assert progress_of(made).counts["stopped"] == 1
    lock.write_text(json.dumps({"host": "elsewhere", "pid": gone.pid}))
    assert progress_of(made).counts["running"] == 1


def test_a_lock_that_is_not_refreshed_is_no_running_job(space):
    made = space(a=(["lock.json"], [(500, 50.0)]))
    lock = made.jobs[0].path / "lock.json"
    os.utime(lock, (time.time() - SILENT - 60,) * 2)
    assert progress_of(made).counts["stopped"] == 1
    lock.unlink()  # between the listing and the look
    assert progress_of(made).counts["stopped"] == 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"slots": [{"step": 3}]}',
        '{"slots": [{"record": {"total_steps": 9, "wall_seconds": 1}}]}',
        '{"slots": [{"step": 3, "record": {}}]}',
    ],
)
def test_a_damaged_manifest_hides_no_other_job(space, text):
    made = space(a=([], [(500, 50.0)]), b=([], [(500, 50.0)]))
    (made.jobs[0].path / "checkpoint" / "manifest.json").write_text(text)
    found = progress_of(made)
    assert found.counts["stopped"] == 2
    assert sorted(job.rate or 0.0 for job in found.begun) == [0.0, 10.0]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(5, "5 s"), (89, "89 s"), (90, "1.5 min"), (1200, "20 min"), (5400, "1.5 h"), (86400, "24 h"), (2e6, "23 days")],
)
def test_durations_as_people_say_them(seconds, words):
    assert duration(seconds) == words
