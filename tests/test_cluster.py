from __future__ import annotations

import time

import pytest

from supercube.cluster import DEADLINE, deadline, request, scheduler_of, seconds_left
from supercube.config import Config
from supercube.errors import InputError


def config(**keys):
    return Config.parse(keys, "config.yaml")


def test_one_simulation_asks_for_its_ranks_and_one_analysis_for_a_core():
    chosen = config(
        ranks=6, cluster={"simulation": {"walltime_hours": 3.5, "memory_gb": 2}, "analysis": {"memory_gb": 1}}
    )
    one = request(chosen, ["simulation"])
    assert (one.cores, one.gpus, one.memory_mb, one.seconds, one.walltime) == (6, 0, 2048, 12600, "03:30:00")
    other = request(chosen, ["analysis"])
    assert (other.cores, other.memory_mb, other.seconds) == (1, 1024, 3600)


def test_a_bundle_adds_time_up_or_nodes_parts():
    chosen = config(ranks=2, cluster={"simulation": {"walltime_hours": 60, "memory_gb": 1.5}})
    row = request(chosen, ["simulation"] * 3)
    assert (row.cores, row.memory_mb, row.walltime) == (2, 1536, "180:00:00")
    side_by_side = request(chosen, ["simulation"] * 3, parallel=True)
    assert (side_by_side.cores, side_by_side.memory_mb, side_by_side.walltime) == (6, 4608, "60:00:00")


def test_only_simulations_have_a_gpu_and_share_it_when_asked():
    chosen = config(device="gpu", cluster={"simulation": {"gpus": 1, "jobs_per_gpu": 4}})
    assert request(chosen, ["analysis"] * 4, parallel=True).gpus == 0
    shared = request(chosen, ["simulation"] * 4, parallel=True)
    assert (shared.gpus, shared.shared_gpu, shared.cores) == (1, True, 4)
    assert not request(chosen, ["simulation"]).shared_gpu
    assert not request(chosen, ["simulation"] * 9).shared_gpu  # one after the other


def test_the_scheduler_warns_after_simulations_have_stopped_by_themselves():
    asked = request(config(walltime_margin_minutes=3.0), ["simulation"])
    assert 0 < asked.warning < asked.margin == 180


def test_the_first_scheduler_that_is_here_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="neither sbatch"):
        scheduler_of(config())
    assert scheduler_of(config(cluster={"scheduler": "pbs"})) == "pbs"
    for command, name in (("qsub", "pbs"), ("sbatch", "slurm")):
        (tmp_path / command).touch(mode=0o755)
        assert scheduler_of(config()) == name


def test_the_earlier_of_two_limits_counts(monkeypatch):
    monkeypatch.delenv(DEADLINE, raising=False)
    assert deadline(config(), 100.0) is None
    assert seconds_left(config()) is None
    assert deadline(config(walltime_minutes=10.0), 100.0) == 700.0
    monkeypatch.setenv(DEADLINE, "500")
    assert deadline(config(walltime_minutes=10.0), 100.0) == 500.0
    assert deadline(config(walltime_minutes=3.0), 100.0) == 280.0
    monkeypatch.setenv(DEADLINE, str(time.time() + 1000.0))
    assert 870.0 < seconds_left(config()) < 881.0  # two minutes are for the last checkpoint
    monkeypatch.setenv(DEADLINE, "soon")
    with pytest.raises(InputError, match="SUPERCUBE_DEADLINE is 'soon'; expected seconds"):
        deadline(config(), 100.0)
