import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from engine_samples import assert_same_state

from supercube.engines.base import State
from supercube.engines.checkpoint import FORSAKEN, Checkpoint, job_lock, pack, read_manifest, refresh_lock, unpack
from supercube.errors import CheckpointError, LockedError

IDENTITY = {"engine": "lammps", "model_hash": "abc", "n": 40, "box": "rectangular"}


def at(state, step):
    return State(state.configuration.with_(step=step), state.velocities, state.angular_momenta)


@pytest.fixture
def private():
    rng = np.random.default_rng(2)
    return {"acceleration": rng.normal(size=(40, 3)), "image": np.arange(120, dtype=np.int32).reshape(40, 3)}


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path / "checkpoint", IDENTITY)


def test_a_state_survives_packing_bit_by_bit(mixture, private):
    _, state = mixture
    given = dataclasses.replace(state, private=private)
    found = unpack(pack(given))
    assert_same_state(found, given)
    assert found.configuration.species == state.configuration.species
    assert found.configuration.shapes == state.configuration.shapes
    assert {array.dtype for array in found.private.values()} == {np.dtype(np.float64), np.dtype(np.int32)}


def test_a_state_without_private_arrays_has_none_after_packing(mixture):
    assert unpack(pack(mixture[1])).private == {}


def test_nothing_saved_is_none(checkpoint):
    assert checkpoint.load() is None


def test_the_newest_of_two_slots_is_loaded(checkpoint, mixture):
    for step in (10, 20, 30):
        checkpoint.save(at(mixture[1], step), {"wall_seconds": step})
    state, record = checkpoint.load()
    assert state.configuration.step == 30
    assert record == {"wall_seconds": 30}
    assert sorted(e["step"] for e in read_manifest(checkpoint.folder)["slots"]) == [20, 30]
    assert not list(checkpoint.folder.glob("*.part"))


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_slot_falls_back_to_the_one_before(checkpoint, mixture, damage):
    for step in (10, 20):
        checkpoint.save(at(mixture[1], step), {"wall_seconds": 0.0})
    newest = max(read_manifest(checkpoint.folder)["slots"], key=lambda e: e["step"])
    path = checkpoint.folder / newest["slot"]
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert checkpoint.load()[0].configuration.step == 10
    # The next save goes to the damaged slot: were it killed before its manifest, the good one would still be there.
    manifest = checkpoint.folder / "manifest.json"
    before = manifest.read_bytes()
    checkpoint.save(at(mixture[1], 15), {"wall_seconds": 0.0})
    assert checkpoint.load()[0].configuration.step == 15
    manifest.write_bytes(before)
    assert checkpoint.load()[0].configuration.step == 10


def test_a_slot_that_was_written_without_its_manifest_is_not_trusted(checkpoint, mixture):
    # A crash between the slot and the manifest: the manifest still describes the slot's older content.
    for step in (10, 20):
        checkpoint.save(at(mixture[1], step), {"wall_seconds": 0.0})
    oldest = min(read_manifest(checkpoint.folder)["slots"], key=lambda e: e["step"])
    (checkpoint.folder / oldest["slot"]).write_bytes(pack(at(mixture[1], 30)))
    assert checkpoint.load()[0].configuration.step == 20


def test_no_good_slot_is_an_error_that_says_what_to_do(checkpoint, mixture):
    checkpoint.save(at(mixture[1], 10), {"wall_seconds": 0.0})
    for slot in checkpoint.folder.glob("*.npz"):
        slot.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"neither slot matches.*delete the folder"):
        checkpoint.load()


@pytest.mark.parametrize(
    ("key", "value"), [("engine", "hoomd"), ("model_hash", "other"), ("n", 41), ("box", "triclinic")]
)
def test_a_checkpoint_of_another_run_is_refused(checkpoint, mixture, key, value):
    checkpoint.save(mixture[1], {"wall_seconds": 0.0})
    with pytest.raises(CheckpointError, match=f"was written with {key}"):
        Checkpoint(checkpoint.folder, IDENTITY | {key: value}).load()


def test_a_damaged_manifest_is_named(checkpoint, mixture):
    checkpoint.save(mixture[1], {"wall_seconds": 0.0})
    (checkpoint.folder / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged"):
        checkpoint.load()


def test_the_lock_keeps_others_out_and_goes_away(tmp_path):
    other = (
        "import pathlib, sys; from supercube.engines.checkpoint import job_lock\n"
        "with job_lock(pathlib.Path(sys.argv[1])):\n    pass"
    )
    with job_lock(tmp_path):
        done = subprocess.run([sys.executable, "-c", other, str(tmp_path)], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert f"LockedError: {tmp_path} is being run by process {os.getpid()}" in done.stderr
    assert list(tmp_path.iterdir()) == []
    subprocess.run([sys.executable, "-c", other, str(tmp_path)], check=True)


@pytest.mark.parametrize("content", [None, "", "{"])
def test_a_stale_lock_of_this_host_is_taken_over(tmp_path, content):
    if content is None:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        content = json.dumps({"host": os.uname().nodename, "pid": gone.pid})
    (tmp_path / "lock.json").write_text(content)
    with job_lock(tmp_path):
        assert json.loads((tmp_path / "lock.json").read_text())["pid"] == os.getpid()


def test_a_lock_of_another_host_is_kept_while_it_is_refreshed(tmp_path):
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    past = lock.stat().st_mtime - FORSAKEN + 600
    os.utime(lock, (past, past))
    with pytest.raises(LockedError, match=r"process 1 on elsewhere, last seen 230 minutes ago"), job_lock(tmp_path):
        pytest.fail("took the lock of another host")


def test_a_lock_of_a_host_that_died_is_taken_over(tmp_path):
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    past = lock.stat().st_mtime - FORSAKEN - 60
    os.utime(lock, (past, past))
    with job_lock(tmp_path):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
        os.utime(lock, (past, past))
        refresh_lock(tmp_path)
        assert lock.stat().st_mtime > past + FORSAKEN
    assert list(tmp_path.iterdir()) == []


def test_a_living_process_of_the_same_number_does_not_hold_a_job_for_ever(tmp_path):
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps({"host": os.uname().nodename, "pid": os.getppid()}))
    with pytest.raises(LockedError), job_lock(tmp_path):
        pytest.fail("took the lock of a living process")
    past = lock.stat().st_mtime - FORSAKEN - 60
    os.utime(lock, (past, past))
    with job_lock(tmp_path):
        assert json.loads(lock.read_text())["pid"] == os.getpid()


def test_who_holds_a_job_may_take_it_again(tmp_path):
    lock = tmp_path / "lock.json"
    with job_lock(tmp_path):
        with job_lock(tmp_path):
            pass
        assert lock.exists()
    assert not lock.exists()


def test_a_lock_left_by_an_earlier_process_of_the_same_number_goes_with_ours(tmp_path):
    # In containers, every first process has number 1.
    lock = tmp_path / "lock.json"
    with job_lock(tmp_path):
        text = lock.read_text()
    lock.write_text(text)
    past = lock.stat().st_mtime - FORSAKEN - 60
    os.utime(lock, (past, past))
    with job_lock(tmp_path):
        refresh_lock(tmp_path)
    assert not lock.exists()


@pytest.mark.parametrize("text", ["null", "[]", "3"])
def test_a_manifest_that_is_no_mapping_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CheckpointError, match="not a mapping"):
        read_manifest(tmp_path)


def test_a_lock_that_was_taken_away_is_neither_refreshed_nor_removed(tmp_path):
    lock = tmp_path / "lock.json"
    other = json.dumps({"host": "elsewhere", "pid": 7})
    with job_lock(tmp_path):
        lock.write_text(other)
        with pytest.raises(LockedError, match="taken over by another process"):
            refresh_lock(tmp_path)
    assert lock.read_text() == other
