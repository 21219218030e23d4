"""What a submission asks of the cluster: from ``config.yaml`` to numbers that a script's template writes down.

Knows neither signac-flow (``workflow.py`` does) nor one scheduler's spelling (``project/templates`` does).
"""

from __future__ import annotations

import getpass
import math
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .config import Config
from .errors import IncompleteError, InputError

Kind = Literal["simulation", "analysis"]

#: The environment variable that tells a process when its submission ends, seconds since 1970.
DEADLINE = "SUPERCUBE_DEADLINE"
#: What a submission is to its scheduler, weakest first.
QueueState = Literal["ended", "held", "queued", "active"]
_STRENGTH: tuple[QueueState, ...] = ("ended", "held", "queued", "active")
#: The command that tells what is in the queue.
QUEUE_COMMANDS = {"slurm": "squeue", "pbs": "qstat"}
#: States of squeue's manual page; all others (running, configuring, suspended, completing ...) have or get nodes.
_SLURM_ENDED = frozenset({"BF", "CA", "CD", "DL", "F", "NF", "OOM", "TO"})
_SLURM_QUEUED = frozenset({"PD", "RD", "RF", "RH", "RQ", "SE"})
#: States of PBS and Torque; all others (queued, waiting, suspended, in transit ...) are in the queue.
_PBS_STATES: dict[str, QueueState] = {
    **dict.fromkeys("CFX", "ended"),
    **dict.fromkeys("RE", "active"),
    "H": "held",
}
#: The command that submits, for each scheduler, in the order in which ``auto`` looks for them.
SUBMIT_COMMANDS = {"slurm": "sbatch", "pbs": "qsub"}


@dataclass(frozen=True)
class Request:
    """What one script asks for.

    Attributes:
        cores: processes that compute at a time.
        gpus: for all of them together.
        memory_mb: None for the cluster's default.
        seconds: walltime.
        margin: seconds before the walltime at which simulations stop by themselves.
        partition, account, options: as in config.yaml.
        setup: shell lines before the first command.
        shared_gpu: whether several commands use one GPU, under MPS.
    """

    cores: int
    gpus: int
    memory_mb: int | None
    seconds: int
    margin: int
    partition: str | None
    account: str | None
    options: tuple[str, ...]
    setup: tuple[str, ...]
    shared_gpu: bool

    @property
    def to_be_continued(self) -> int:
        """Exit code of a command that stopped checkpointed before its end."""
        return IncompleteError.exit_code

    @property
    def warning(self) -> int:
        """Seconds before the walltime at which the scheduler shall warn: later than simulations stop by themselves."""
        return max(1, self.margin // 2)

    @property
    def walltime(self) -> str:
        """H:MM:SS, which every scheduler takes."""
        return f"{self.seconds // 3600:02d}:{self.seconds // 60 % 60:02d}:{self.seconds % 60:02d}"


def request(config: Config, kinds: Sequence[Kind], *, parallel: bool = False) -> Request:
    """What a script of these commands needs.

    Args:
        config: of the project.
        kinds: one entry for each command: a simulation, or an analysis.
        parallel: all commands at a time, instead of one after the other.

    Raises:
        InputError: simulations and analyses in one script, a GPU where none is configured, or more simulations at a
            time than may share a GPU.
    """
    if len(set(kinds)) != 1:
        raise InputError(
            "this bundle mixes simulations and analyses, which ask for different nodes; expected one of them: "
            "submit -o simulate, and submit -o analyse."
        )
    simulation, cluster = kinds[0] == "simulation", config.cluster
    nodes = cluster.simulation if simulation else cluster.analysis
    at_a_time = len(kinds) if parallel else 1
    hours = nodes.walltime_hours * (1 if parallel else len(kinds))
    gpus = _gpus(config, at_a_time) if simulation else 0
    return Request(
        cores=at_a_time * (config.ranks if simulation else 1),
        gpus=gpus,
        memory_mb=None if nodes.memory_gb is None else math.ceil(1024 * nodes.memory_gb * at_a_time),
        seconds=round(3600 * hours),
        margin=round(60 * config.walltime_margin_minutes),
        partition=nodes.partition,
        account=cluster.account,
        options=tuple(nodes.options),
        setup=tuple(cluster.setup),
        shared_gpu=gpus > 0 and at_a_time > 1 and cluster.simulation.jobs_per_gpu > 1,
    )


def _gpus(config: Config, at_a_time: int) -> int:
    nodes = config.cluster.simulation
    if not nodes.gpus:
        if config.device == "gpu":
            raise InputError(
                "device is gpu, but cluster.simulation.gpus is 0; expected gpus: 1 in config.yaml, or device: cpu."
            )
        return 0
    if at_a_time > 1 and nodes.jobs_per_gpu == 1:
        raise InputError(
            f"this bundle runs {at_a_time} simulations at a time on one GPU, but cluster.simulation.jobs_per_gpu is 1; "
            "set it to the number that shall share a GPU, or leave --parallel out."
        )
    if at_a_time > max(nodes.jobs_per_gpu, 1):
        raise InputError(
            f"this bundle runs {at_a_time} simulations at a time on one GPU; expected at most the "
            f"{nodes.jobs_per_gpu} of cluster.simulation.jobs_per_gpu."
        )
    return 1


def scheduler_of(config: Config) -> str:
    """``slurm`` or ``pbs``: as configured, or whichever is here.

    Raises:
        InputError: ``auto``, and neither is here.
    """
    if config.cluster.scheduler != "auto":
        return config.cluster.scheduler
    for name, command in SUBMIT_COMMANDS.items():
        if shutil.which(command):
            return name
    raise InputError(
        "there is no scheduler here: neither sbatch (SLURM) nor qsub (PBS) is on PATH; submit on the cluster's login "
        "node, run here with: python workflow.py run, or, to see the scripts, name one as cluster.scheduler in "
        "config.yaml and add --pretend."
    )


def queue(scheduler: str) -> dict[str, QueueState]:
    """What this user has in a scheduler's queue, by name.

    Of several entries of one name the strongest state counts: one that ends must not hide another that runs. That is
    also why signac-flow is not asked, which takes much of what still has its nodes for ended.

    Args:
        scheduler: ``slurm`` or ``pbs``.

    Raises:
        InputError: it does not answer, or in a form that is not known.
    """
    try:
        found = list(_slurm_queue() if scheduler == "slurm" else _pbs_queue())
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        said = ((getattr(error, "stderr", None) or "").strip() or str(error)).splitlines()[-1]
        raise InputError(
            f"{QUEUE_COMMANDS[scheduler]} does not answer ({said}); is this the cluster's login node?"
        ) from error
    states: dict[str, QueueState] = {}
    for name, state in found:
        states[name] = max(state, states.get(name, state), key=_STRENGTH.index)
    return states


def _slurm_queue() -> Iterator[tuple[str, QueueState]]:
    command = ["squeue", "--noheader", "--user", getpass.getuser(), "--format=%t %j"]
    for line in subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines():
        code, _, name = line.strip().partition(" ")
        yield name.strip(), "ended" if code in _SLURM_ENDED else "queued" if code in _SLURM_QUEUED else "active"


def _pbs_queue() -> Iterator[tuple[str, QueueState]]:
    # The plain text of our own jobs alone is the same in PBS Professional, OpenPBS and Torque; the JSON of OpenPBS
    # breaks on other users' environments. Long values go on in lines that begin with a tab.
    command = ["qselect", "-u", getpass.getuser()]
    numbers = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    if not numbers:
        return
    told = subprocess.run(["qstat", "-f", *numbers], capture_output=True, check=False, text=True)
    text = told.stdout.replace("\n\t", "")
    names = re.findall(r"^\s*Job_Name = (.*)$", text, re.MULTILINE)
    codes = re.findall(r"^\s*job_state = (\w)", text, re.MULTILINE)
    # One that has ended since is unknown to qstat; anything else that is missing could be submitted twice.
    if len(names) != len(codes) or len(names) + len(re.findall("(?i)unknown job|job has finished", told.stderr)) < len(
        numbers
    ):
        raise ValueError(told.stderr.strip() or f"{len(names)} of {len(numbers)} jobs were told")
    for name, code in zip(names, codes, strict=True):
        yield name.strip(), _PBS_STATES.get(code, "queued")


def deadline(config: Config, began: float) -> float | None:
    """When this process has to be gone (seconds since 1970): the earlier of its submission's and its own limit.

    Args:
        config: of the project; ``walltime_minutes`` counts from ``began``.
        began: start of this process.

    Raises:
        InputError: the environment variable holds no number.
    """
    limits = [began + 60.0 * config.walltime_minutes] if config.walltime_minutes is not None else []
    text = os.environ.get(DEADLINE, "")
    if text:
        try:
            limits.append(float(text))
        except ValueError:
            raise InputError(f"{DEADLINE} is {text!r}; expected seconds since 1970, as the script sets it.") from None
    return min(limits, default=None)


def check_time(config: Config) -> float | None:
    """As :func:`seconds_left`.

    Raises:
        IncompleteError: no time is left to begin anything.
    """
    left = seconds_left(config)
    if left is not None and left < 0:
        raise IncompleteError("stopped by the walltime before it ran; run again to continue.")
    return left


def seconds_left(config: Config) -> float | None:
    """How long a simulation may still run so that its last checkpoint is written ``margin`` before the deadline."""
    end = deadline(config, time.time())
    return None if end is None else end - time.time() - 60.0 * config.walltime_margin_minutes
