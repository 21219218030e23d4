import shutil
from pathlib import Path

import pytest
import signac
from dashboard_space import find, run

from supercube.dashboard import live
from supercube.dashboard.live import LiveSpace
from supercube.errors import InputError


@pytest.fixture
def watched(copy, monkeypatch):
    """A data space that is read at every look."""
    monkeypatch.setattr(live, "_FRESH", 0.0)
    monkeypatch.setattr(live, "_PATIENCE", 0.0)
    return LiveSpace(signac.get_project(copy))


def test_cubes_come_before_mixtures_and_parameters_in_order(watched):
    points = [entry.state_point for entry in watched.snapshot().entries.values()]
    assert [(point["n_spheres"], point["evaporation_rate"]) for point in points] == [
        (0, 8.0), (0, 20.0), (0, 60.0), (32, 0.0), (8, 0.0), (8, 0.0),
    ]  # fmt: skip
    assert [point["replicate"] for point in points[-2:]] == [0, 1]


def test_counts_hold_every_job_of_ours_once(watched):
    counts = watched.snapshot().counts()
    assert counts == {"finished": 1, "simulated": 1, "waiting": 1, "running": 1, "failed": 1, "unreadable": 1}
    assert counts.total() == len(watched.snapshot().entries)  # the rows of the table; the foreign job is none of them
    assert len(watched.snapshot().problems) == 1
    assert watched.snapshot().structures() == {"ABO3": 1, "NaCl": 1}


def test_what_changes_is_seen(watched, copy):
    waiting, failed, nacl = (
        find(copy, **values) for values in ({"evaporation_rate": 8.0}, {"evaporation_rate": 20.0}, {"initial": "NaCl"})
    )
    before = watched.snapshot().entries
    run(waiting, step=4000)
    Path(failed.fn("failed")).unlink()
    nacl.doc["structure"] = "CsCl"
    after = watched.snapshot().entries
    assert [before[one.id].state for one in (waiting, failed)] == ["waiting", "failed"]
    assert [after[one.id].state for one in (waiting, failed)] == ["running", "waiting"]
    assert (before[nacl.id].structure, after[nacl.id].structure) == ("NaCl", "CsCl")


def test_a_checkpoint_is_seen_though_no_file_comes_or_goes(watched, copy):
    job = find(copy, evaporation_rate=60.0)
    assert watched.snapshot().entries[job.id].progress.done == 0.6
    manifest = Path(job.fn("checkpoint/manifest.json"))
    manifest.write_text(manifest.read_text().replace('"step": 6000', '"step": 8000'))
    assert watched.snapshot().entries[job.id].progress.done == 0.8


def test_jobs_that_go_are_gone(watched, copy):
    job = find(copy, initial="NaCl")
    assert job.id in watched.snapshot().entries
    shutil.rmtree(job.path)
    assert job.id not in watched.snapshot().entries
    assert watched.entry(job.id) is None


def test_documents_that_have_not_changed_are_not_read_again(watched, monkeypatch):
    first = watched.snapshot().entries
    monkeypatch.setattr(live, "read_entry", lambda record: pytest.fail(f"{record.id} was read again"))
    assert watched.snapshot().entries == first


def test_a_space_that_was_just_read_is_not_read_again(copy, monkeypatch):
    monkeypatch.setattr(live, "_FRESH", 1e6)
    space = LiveSpace(signac.get_project(copy))
    first = space.snapshot()
    assert space.snapshot() is first


def test_a_workspace_that_goes_is_one_sentence(watched, copy):
    watched.snapshot()
    (copy / "workspace").rename(copy / "elsewhere")
    with pytest.raises(InputError, match="is gone; restore the workspace"):
        watched.snapshot()


def test_ids_may_be_cut_short_while_they_are_unique(watched, copy):
    snapshot = watched.snapshot()
    job = find(copy, initial="NaCl").id
    assert snapshot.expand(job[:8]) == snapshot.expand(job) == job
    assert snapshot.expand("") is None
    assert snapshot.expand("z") is None


def test_a_job_alone_knows_its_replicates(watched, copy):
    job = find(copy, initial="ABO3", replicate=0)
    watched.snapshot()
    assert watched.entry(job.id).describes.endswith(", replicate 0")
    shutil.rmtree(find(copy, initial="ABO3", replicate=1).path)
    watched.snapshot()
    assert "replicate" not in watched.entry(job.id).describes
