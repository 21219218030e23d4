"""The bench of large data spaces: the same jobs on both sides, and a table that says what it measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import signac
import yaml

from supercube import bench_campaign
from supercube.bench_campaign import (
    MARKERS,
    TARGETS,
    Row,
    _plain_init,
    _plain_look,
    _pretend_results,
    _run,
    campaign,
    heading,
    line,
    space_of,
)
from supercube.cli import main
from supercube.dataspace import read_data_space
from supercube.errors import EngineError, InputError
from supercube.progress import progress_of
from supercube.spaces import expand, fill

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("jobs", [100, 1000])
def test_the_space_has_as_many_different_jobs_as_asked_for(jobs: int):
    assert len(expand(space_of(jobs), "here")) == jobs


@pytest.mark.parametrize("jobs", [0, -100, 150, 100_100])
def test_other_numbers_of_jobs_are_refused(jobs: int):
    with pytest.raises(InputError, match=f"--jobs is {jobs}; expected a multiple of 100"):
        space_of(jobs)


def test_plain_signac_makes_the_very_same_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bench_campaign, "_LIGAND_LENGTHS", [0.25])  # one cube to design, with few beads
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space_of(40)))
    fill(tmp_path / "ours", tmp_path / "space.yaml")
    _plain_init(tmp_path / "plain", space_of(40))
    ours, plain = (signac.get_project(tmp_path / name) for name in ("ours", "plain"))
    assert {job.id: job.doc() for job in ours} == {job.id: job.doc() for job in plain}
    assert len(ours) == 40


def test_pretended_results_look_like_a_campaign_halfway(tmp_path: Path):
    _plain_init(tmp_path, space_of(200))
    assert _plain_look(tmp_path) == 0
    _pretend_results(tmp_path)
    # Half have everything but a failure; one in a hundred of the rest has begun and has two files.
    assert _plain_look(tmp_path) == 100 * (len(MARKERS) - 1) + 1 * 2
    progress = progress_of(read_data_space(tmp_path))
    assert progress.counts["finished"] == 100
    assert progress.counts["stopped"] == 1
    assert progress.counts["waiting"] == 99
    assert progress.begun[0].rate == pytest.approx(500.0)


def test_a_line_says_seconds_their_ratio_to_plain_signac_and_what_is_allowed():
    row = Row("status", "status, nothing has begun", 3.0, 0.5)
    assert line(row, 10_000).split()[-5:] == ["3.00", "0.50", "6.0", "<", "5"]
    assert line(row, 200).split()[-4:] == ["3.00", "0.50", "6.0", "-"]
    assert line(Row("init", "init.py again", 3.0, None), 200).split()[-4:] == ["3.00", "-", "-", "-"]
    assert len(line(row, 10_000)) == len(heading(10_000))
    assert TARGETS[100_000] == {"status": 60.0}


def test_a_command_that_fails_is_one_sentence(tmp_path: Path):
    with pytest.raises(EngineError, match="failed with exit code 3: that is why"):
        _run(tmp_path, "-c", "import sys; print('that is why', file=sys.stderr); sys.exit(3)")


def test_a_folder_without_the_workflow_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["bench", "campaign", "--jobs", "100", "--checkout", str(tmp_path)]) == 2
    assert "init.py does not exist; expected --checkout DIR" in capsys.readouterr().err


@pytest.mark.validate
def test_two_hundred_jobs():
    told: list[str] = []
    rows = campaign(200, ROOT, told.append)
    assert [row.command for row in rows] == ["init", "init", *(["status", "submit", "estimate"] * 2)]
    assert all(row.seconds > 0 for row in rows)
    assert told == [heading(200), *(line(row, 200) for row in rows)]
