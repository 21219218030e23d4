"""A real SLURM of one node in a temporary folder: munged, slurmctld and slurmd of this user, on 127.0.0.1 only.

Nothing of the machine's own SLURM or munge is read or written, neither systemd nor cgroups are needed, and root is not
either. ``python tests/slurm/cluster.py`` says why none can be started here; it prints nothing where one can.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

#: Debian puts the daemons where a plain user's PATH does not look.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
_PROGRAMS = {
    "munge": ("munged", "munge"),
    "slurm-wlm": ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo"),
}
#: Seconds after which something that takes one or two counts as broken; CI machines are slow and noisy.
PATIENCE = 120.0


class ClusterError(RuntimeError):
    """The SLURM did not start or does not answer; the text ends with its logs."""


def unavailable() -> str | None:
    """Why no SLURM can be started on this machine, in a sentence; None if one can."""
    if not sys.platform.startswith("linux"):
        return f"a SLURM of its own needs Linux, and this is {sys.platform}"
    absent = {name: [p for p in programs if _which(p) is None] for name, programs in _PROGRAMS.items()}
    missing = [program for programs in absent.values() for program in programs]
    if not missing:
        return None
    return f"there is no {', '.join(missing)} on this machine; install slurm-wlm and munge (Debian, Ubuntu)"


def _which(program: str) -> str | None:
    return shutil.which(program, path=_PATH)


def wait_for(probe: Callable[[], T | None], what: str, timeout: float = PATIENCE) -> T:
    """Ask until the answer is neither None nor False, and return it.

    Raises:
        TimeoutError: it still was after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = probe()
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what}")
        time.sleep(0.2)


@dataclass(frozen=True)
class Cluster:
    """A running SLURM.

    Attributes:
        folder: where its configuration, state and logs are.
        environment: for every process that should see it: ``SLURM_CONF`` and ``PATH``, nothing of another SLURM.
        daemons: its processes by name.
    """

    folder: Path
    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def run(self, *command: str, timeout: float = PATIENCE) -> str:
        """Standard output of a command.

        Raises:
            ClusterError: the command failed; the text holds its errors.
        """
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode:
            raise ClusterError(f"{' '.join(command)} exited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def sbatch(self, script: Path, *options: str) -> str:
        """Submit a script; returns its job id."""
        return self.run("sbatch", "--parsable", *options, str(script)).strip()

    def jobs(self) -> dict[str, dict[str, str]]:
        """What ``scontrol show job`` says of every job ever submitted, by job id in order."""
        lines = self.run("scontrol", "--oneliner", "show", "job").splitlines()
        parsed = (dict(re.findall(r"(\S+?)=(.*?)(?=\s\S+?=|\s*$)", line)) for line in lines if "JobId=" in line)
        return {job["JobId"]: job for job in parsed}

    def queued(self) -> list[str]:
        """Ids of the jobs that wait, run or are being cleaned up."""
        return self.run("squeue", "--noheader", "--format=%i").split()

    def logs(self) -> str:
        """The ends of the daemons' logs."""
        ends = []
        for name in self.daemons:
            # A daemon that did not come as far as its log has said why on its standard error.
            log, output = (self.folder / f"{name}.{ending}" for ending in ("log", "out"))
            path = log if log.exists() else output
            ends.append("\n".join([f"--- {path.name}", *path.read_text(errors="replace").splitlines()[-15:]]))
        return "\n".join(ends)


@contextlib.contextmanager
def running_slurm(cpus: int = 2) -> Iterator[Cluster]:
    """A SLURM whose one node is idle, stopped with all of its jobs at the end, whatever happens.

    It has the partitions ``cpu`` (default) and ``gpu`` over the same node, which declares ``cpus`` CPUs (whatever the
    machine has) and two GPUs that are ``/dev/null`` and ``/dev/zero``: requests for them are counted as for real ones,
    and jobs see their numbers in ``CUDA_VISIBLE_DEVICES``.

    Raises:
        ClusterError: it cannot be started.
    """
    reason = unavailable()
    if reason is not None:
        raise ClusterError(reason)
    # Sockets have paths of at most 107 characters, hence not below pytest's folder.
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    # A test that is ended from outside has to end the cluster too.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    cluster = Cluster(folder, _environment(folder))
    try:
        _start(cluster, cpus)
        yield cluster
    finally:
        try:
            _stop(cluster)
        finally:
            signal.signal(signal.SIGTERM, previous)
            shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path) -> dict[str, str]:
    foreign = ("SLURM", "SBATCH", "SQUEUE", "SINFO", "SCANCEL", "SALLOC", "SRUN", "MUNGE", "CUDA_VISIBLE", "GPU_DEVICE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _PATH}


def _start(cluster: Cluster, cpus: int) -> None:
    folder = cluster.folder
    folder.chmod(0o755)  # munge insists that everybody can reach its socket
    for name in ("state", "spool"):
        (folder / name).mkdir()
    _write_configuration(folder, cpus)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    munge = [f"--{name}={folder}/munge.{ending}" for name, ending in _MUNGE_FILES.items()]
    # Force: unusual rights on the folders above are a warning instead of the end.
    _launch(cluster, "munged", "--foreground", "--force", "--num-threads=2", *munge)
    _wait_until_up(cluster, (folder / "munge.socket").is_socket, "munged's socket")
    _launch(cluster, "slurmctld", "-D", "-i", "-f", f"{folder}/slurm.conf")
    _wait_until_up(cluster, lambda: _answers(cluster, "scontrol", "ping"), "slurmctld")
    _launch(cluster, "slurmd", "-D", "-f", f"{folder}/slurm.conf")
    _wait_until_up(cluster, lambda: _state_of_node(cluster) == "idle", "an idle node")


_MUNGE_FILES = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}


def _state_of_node(cluster: Cluster) -> str:
    return cluster.run("sinfo", "--noheader", "--partition=cpu", "--format=%T").strip()


def _answers(cluster: Cluster, *command: str) -> bool:
    with contextlib.suppress(ClusterError):
        cluster.run(*command)
        return True
    return False


def _wait_until_up(cluster: Cluster, probe: Callable[[], bool], what: str) -> None:
    def alive_and_ready() -> bool:
        for name, daemon in cluster.daemons.items():
            if daemon.poll() is not None:
                raise ClusterError(f"{name} exited with {daemon.returncode}\n{cluster.logs()}")
        return probe()

    try:
        wait_for(alive_and_ready, what)
    except TimeoutError as error:
        raise ClusterError(f"{error}\n{cluster.logs()}") from error


def _launch(cluster: Cluster, program: str, *arguments: str) -> None:
    path = _which(program)
    assert path is not None
    with open(cluster.folder / f"{program}.out", "wb") as output:
        cluster.daemons[program] = subprocess.Popen(
            [path, *arguments],
            env=cluster.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C ends the test, which ends these in their order
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - pytest has one thread
        )


def _die_with_parent() -> None:
    # PR_SET_PDEATHSIG, so that no daemon outlives a test that was killed.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _stop(cluster: Cluster) -> None:
    """End the daemons and every process that came from them; jobs first, so that slurmd does not start a next one.

    Raises:
        ClusterError: something is still there.
    """
    for name in ("slurmctld", "slurmd"):
        _end(cluster.daemons.get(name))

    # A job runs in a session of its own under a slurmstepd that has left its parent; both carry this SLURM_CONF.
    def none_left() -> bool:
        left = _processes_of(cluster, spared=cluster.daemons.get("munged"))
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    try:
        wait_for(none_left, f"the end of the processes with SLURM_CONF={cluster.environment['SLURM_CONF']}")
    except TimeoutError as error:
        raise ClusterError(f"{error}\n{cluster.logs()}") from error
    finally:
        _end(cluster.daemons.get("munged"))


def _end(daemon: subprocess.Popen[bytes] | None) -> None:
    if daemon is None:
        return
    daemon.terminate()
    try:
        daemon.wait(timeout=15.0)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _processes_of(cluster: Cluster, spared: subprocess.Popen[bytes] | None) -> list[int]:
    """Processes, zombies aside, that were started with this cluster's SLURM_CONF."""
    mark = f"SLURM_CONF={cluster.environment['SLURM_CONF']}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        pid = int(path.parent.name)
        if pid == os.getpid() or (spared is not None and pid == spared.pid):
            continue
        with contextlib.suppress(OSError):  # gone, or somebody else's
            if mark in path.read_bytes().split(b"\0"):
                found.append(pid)
    return found


_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={compute}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
# As with cgroups, what a script leaves behind dies with it; linuxproc would let it live.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
MailProg=/bin/true
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
KillWait=30
# Finished jobs stay in the list, for the tests to look at.
MinJobAge=36000
FirstJobId=1001
GresTypes=gpu
NodeName=DEFAULT CPUs={cpus} Sockets=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory=64000 Gres=gpu:2
NodeName={node} NodeAddr=127.0.0.1
PartitionName=cpu Nodes={node} Default=YES MaxTime=24:00:00 State=UP OverSubscribe=NO
PartitionName=gpu Nodes={node} Default=NO MaxTime=24:00:00 State=UP OverSubscribe=NO
"""


def _write_configuration(folder: Path, cpus: int) -> None:
    node = socket.gethostname().split(".")[0]
    user = pwd.getpwuid(os.getuid()).pw_name
    control, compute = _free_ports(2)
    values = {"node": node, "user": user, "control": control, "compute": compute, "folder": folder, "cpus": cpus}
    (folder / "slurm.conf").write_text(_CONFIGURATION.format(**values))
    (folder / "gres.conf").write_text("AutoDetect=off\nName=gpu File=/dev/null\nName=gpu File=/dev/zero\n")
    if _asks_for_cgroups():
        (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")


def _asks_for_cgroups() -> bool:
    # From 24.05 on, slurmd does so even where nothing is constrained, unless told not to; before, this value of
    # CgroupPlugin is refused.
    version = subprocess.run([str(_which("slurmd")), "-V"], capture_output=True, text=True, check=True).stdout
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    return numbers >= (24, 5)


def _free_ports(number: int) -> Sequence[int]:
    # All are open at once, so that they differ.
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


if __name__ == "__main__":
    print(unavailable() or "", end="")
