from pathlib import Path

from dashboard_space import FAILURE, find

from supercube.dashboard.entries import read_entry, with_replicates
from supercube.dataspace import read_data_space
from supercube.operations import ORDER


def entry_of(root, **values):
    (record,) = read_data_space(root, [find(root, **values).id]).jobs
    return read_entry(record)


def test_titles_say_what_it_is_and_what_was_found(space):
    assert entry_of(space, initial="NaCl").title == (
        "32 cubes + 32 spheres, γ = 0.4, λ = 0.2, Pe = 0, from NaCl x 1.02 – NaCl 100 %"
    )
    assert entry_of(space, evaporation_rate=8.0).title == "8 cubes, λ = 0.2, Pe = 8, from fluid"
    assert entry_of(space, initial="ABO3", replicate=1).title.endswith("from ABO3 x 1.02, replicate 1")


def test_states(space):
    states = {pe: entry_of(space, evaporation_rate=pe).state for pe in (8.0, 20.0, 60.0)}
    assert states == {8.0: "waiting", 20.0: "failed", 60.0: "running"}
    assert entry_of(space, initial="ABO3", replicate=0).state == "finished"
    assert entry_of(space, initial="NaCl").state == "simulated"  # no scattering yet
    assert entry_of(space, initial="ABO3", replicate=1).state == "unreadable"


def test_a_running_job_has_progress_and_a_failed_one_its_reason(space):
    running = entry_of(space, evaporation_rate=60.0)
    assert running.progress.done == 0.6
    assert running.progress.seconds_left == 20.0  # 4,000 steps at the 200 per second between its checkpoints
    assert running.error is None
    assert entry_of(space, evaporation_rate=20.0).error == FAILURE


def test_a_failed_job_whose_document_lost_the_reason_still_says_that_it_failed(copy):
    job = find(copy, evaporation_rate=20.0)
    job.doc.pop("error")
    assert "left no reason" in entry_of(copy, evaporation_rate=20.0).error


def test_a_manifest_that_makes_no_sense_hides_no_job(copy):
    job = find(copy, evaporation_rate=60.0)
    with open(job.fn("checkpoint/manifest.json"), "w") as manifest:
        manifest.write('{"slots": [{"record": {"total_steps": "x", "wall_seconds": 1}}]}')
    assert entry_of(copy, evaporation_rate=60.0).state in ("stopped", "running")


def test_steps_that_are_done(space):
    assert dict(entry_of(space, initial="NaCl").steps) == {
        "built": True, "equilibrated": True, "held": True, "classified": True, "scattering": False, "drawn": True,
    }  # fmt: skip
    assert [name for name, done in entry_of(space, evaporation_rate=8.0).steps if done] == []


def test_replicates_of_one_point_all_say_which_one_they_are(space):
    entries = with_replicates(read_entry(record) for record in read_data_space(space).jobs)
    titles = {(e.state_point["initial"], e.state_point["replicate"]): e.describes for e in entries}
    assert titles["ABO3", 0].endswith("from ABO3 x 1.02, replicate 0")
    assert titles["ABO3", 1].endswith("from ABO3 x 1.02, replicate 1")
    assert "replicate" not in titles["NaCl", 0]
    assert "replicate" not in titles["fluid", 0]  # three of them, but at three speeds


def test_a_job_whose_classification_is_gone_is_not_finished(copy):
    (Path(find(copy, initial="ABO3", replicate=0).path) / ORDER).unlink()
    entry = entry_of(copy, initial="ABO3", replicate=0)
    assert not dict(entry.steps)["classified"]
    assert entry.state == "simulated"
