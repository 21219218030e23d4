"""The entropy of a job's hold: which frames count, what is kept, and when it is computed again."""

import json
from pathlib import Path

import pytest
import signac
from finished_jobs import EVERY, HOLD, STEPS, finished, one_degree

from supercube.configuration import write_gsd
from supercube.crystals.build import build_crystal
from supercube.engines.segments import SegmentWriter, read_trajectory
from supercube.stability.entropy import Entropy, Refusal
from supercube.stability.hold import ENTROPY, VERSION, entropy_of, equally_spaced


@pytest.fixture
def project(tmp_path):
    return signac.init_project(tmp_path)


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
    assert isinstance(found, Refusal)
    assert entropy_of(job) == found
    assert "refusal" in json.loads(Path(job.fn(ENTROPY)).read_text())


DAMAGED = '{"version": ', "[]", "", "\xff", f'{{"version": {VERSION}, "total_steps": {STEPS}, "entropy": {{}}}}'


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_computed_again(project, content):
    job = finished(project)
    Path(job.fn(ENTROPY)).write_text(content, encoding="latin-1")
    assert isinstance(entropy_of(job), Entropy)
    assert json.loads(Path(job.fn(ENTROPY)).read_text())["total_steps"] == STEPS


def test_frames_that_cannot_be_used_are_a_refusal(project):
    job = finished(project)
    write_gsd(job.fn("initial.gsd"), build_crystal("SC", 64, 0, 1.0, 0.15))
    assert "other bodies" in entropy_of(job).reason


def test_frames_where_a_run_went_on_do_not_count(project):
    job = finished(project)
    frames = {frame.step: frame for frame in read_trajectory(Path(job.path))}
    Path(job.fn("trajectory-0000.gsd")).unlink()
    # Stopped at 707 and continued; the frame there stands between those of 705 and 720.
    for begin, end in ((0, 707), (707, STEPS + 1)):
        writer = SegmentWriter(Path(job.path))
        if begin:
            writer.frame(frames[705].with_(step=begin))
        for step, frame in frames.items():
            if begin <= step < end:
                writer.frame(frame)
        writer.close()
    assert len(list(read_trajectory(Path(job.path)))) == len(frames) + 1
    assert entropy_of(job).frames == HOLD // EVERY + 1


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ([100, 200, 300], [100, 200, 300]),
        ([80, *range(260, 2601, 260), 2700], range(260, 2601, 260)),
        # A hold made longer: frames every 10 up to 100, then every 20; the coarser spacing covers all of it.
        ([*range(0, 100, 10), *range(100, 501, 20)], range(0, 501, 20)),
        # Every 10, then every 15: 11 frames over 300 steps are better than 15 over 140 or 11 over 150.
        ([*range(0, 150, 10), *range(150, 301, 15)], range(0, 301, 30)),
        # Every 70, then every 110: hardly any are in step, so one of both parts alone is better.
        ([*range(0, 770, 70), *range(770, 3301, 110)], range(770, 3301, 110)),
        ([5], [5]),
        ([], []),
    ],
)
def test_equally_spaced_frames(steps, kept):
    assert [steps[row] for row in equally_spaced(steps)] == list(kept)
