from __future__ import annotations

import os
import shutil
import time

import pytest

from supercube.cluster import DEADLINE, deadline, queue, request, scheduler_of, seconds_left
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


# --- what is in the queue ---------------------------------------------------------------------------------------------


@pytest.fixture
def tools(monkeypatch, tmp_path):
    """Makes a command that prints a text, and perhaps complains and fails; the only commands there are."""
    monkeypatch.setenv("PATH", str(tmp_path))
    cat = shutil.which("cat", path=os.defpath)

    def made(name, out, err="", code=0):
        (tmp_path / f"{name}.out").write_text(out)
        (tmp_path / f"{name}.err").write_text(err)
        (tmp_path / name).write_text(
            f"#!/bin/sh\n{cat} {tmp_path}/{name}.out\n{cat} {tmp_path}/{name}.err >&2\nexit {code}\n"
        )
        (tmp_path / name).chmod(0o755)

    return made


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        *[([code], "active") for code in ("R", "CF", "S", "ST", "SI", "CG", "SO", "PR", "RS")],
        *[([code], "queued") for code in ("PD", "RQ", "RH", "RD", "SE")],
        *[([code], "ended") for code in ("CD", "F", "TO", "CA", "NF", "OOM", "BF", "DL")],
        (["TO", "R", "CD"], "active"),  # one that has ended does not hide another
        (["PD", "CA"], "queued"),
    ],
)
def test_states_of_slurm(tools, codes, state):
    tools("squeue", "".join(f"{code:2s} a name\n" for code in codes))
    assert queue("slurm") == {"a name": state}


#: Records of `qstat -f` (Torque and OpenPBS): long values go on in lines that begin with a tab.
RECORD = """Job Id: {number}.server
    Job_Name = a-long-
\tname{number}
    Job_Owner = someone@login1
    job_state = {code}
    queue = workq
    Variable_List = PBS_O_HOME=/home/someone,foo="005,
\tJob_Name = no,BASH_FUNC_module()={{ echo job_state = F

"""


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("R", "active"),
        ("E", "active"),
        ("Q", "queued"),
        ("S", "queued"),
        ("W", "queued"),
        ("H", "held"),
        ("F", "ended"),
    ],
)
def test_states_of_pbs(tools, code, state):
    tools("qselect", "1.server\n2.server\n")
    tools("qstat", RECORD.format(number=1, code="Q") + RECORD.format(number=2, code=code))
    assert queue("pbs") == {"a-long-name1": "queued", "a-long-name2": state}


def test_an_empty_queue(tools):
    tools("squeue", "")
    tools("qselect", "")
    assert queue("slurm") == queue("pbs") == {}


@pytest.mark.parametrize(
    "said",
    [
        "qstat: Unknown Job Id 2.server",
        "qstat: 2.server Job has finished, use -x or -H to obtain historical job information",
    ],
)
def test_a_job_that_ended_between_two_questions_is_no_silence(tools, said):
    tools("qselect", "1.server\n2.server\n")
    tools("qstat", RECORD.format(number=1, code="R"), f"{said}\n", code=153)
    assert queue("pbs") == {"a-long-name1": "active"}


@pytest.mark.parametrize(
    ("out", "err"), [(RECORD.format(number=1, code="R"), "qstat: timeout\n"), ("", "qstat: cannot connect\n"), ("", "")]
)
def test_half_an_answer_is_none(tools, out, err):
    tools("qselect", "1.server\n2.server\n")
    tools("qstat", out, err, code=1)
    with pytest.raises(InputError, match=r"qstat does not answer \((qstat: |. of 2 jobs).*login node\?"):
        queue("pbs")


def test_a_scheduler_that_is_not_here_or_fails_is_one_sentence(tools):
    with pytest.raises(InputError, match=r"squeue does not answer \(.*No such file"):
        queue("slurm")
    tools("squeue", "", "slurm_load_jobs error\nsqueue: Unable to contact controller\n", code=1)
    with pytest.raises(InputError, match=r"squeue does not answer \(squeue: Unable to contact controller\)"):
        queue("slurm")
