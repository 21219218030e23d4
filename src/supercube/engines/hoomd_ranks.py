"""HOOMD-blue on several MPI ranks of one machine.

The process that runs a job stays outside MPI. It starts ``mpiexec -n RANKS`` of this module, and every rank holds a
:class:`.hoomd.HoomdEngine`; what the run asks of its engine goes to all ranks over a Unix socket, and the first rank's
answer comes back. So signals, checkpoints, files and the job's lock stay with one process, as without MPI.

A continued run on several ranks follows the same statistics, not the same trajectory: where particles migrate decides
the order of sums.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration
from ..errors import EngineError
from ..model.particles import Model
from ..protocol.schedule import Schedule
from .base import Engine, Setup, State, Thermo, scaled_box
from .hoomd import HoomdEngine, load
from .hoomd_tune import DEFAULT, most_ranks

FloatArray = NDArray[np.float64]

#: Seconds that ranks may take to leave by themselves.
_PATIENCE = 20.0
#: Characters of a folder for temporary files that leave room for the name of a socket in it.
_LONGEST_PATH = 60


def on_ranks(ranks: int) -> type[Engine]:
    """The engine class for that many ranks."""
    return type(f"HoomdOn{ranks}Ranks", (HoomdRanks,), {"ranks": ranks})


class HoomdRanks(Engine):
    """A HOOMD simulation spread over ``ranks`` processes."""

    name = "hoomd"
    ranks: ClassVar[int]

    def __init__(self, model: Model, state: State, setup: Setup) -> None:
        self.check(model, state.configuration, state.configuration.volume)
        self._connections: list[Connection[Any, Any]] = []
        # The path of a Unix socket may have about 100 bytes.
        place = None if len(tempfile.gettempdir()) < _LONGEST_PATH else "/tmp"
        self._folder = tempfile.TemporaryDirectory(prefix="supercube-ranks-", dir=place)
        self._errors = Path(self._folder.name) / "stderr"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start()
            facts = self._ask("start", model, state, setup)
        except BaseException:
            self._abandon()
            raise
        self.version, self.settings = facts["version"], facts["settings"]
        self.device = f"{self.ranks} ranks, {facts['device']}"

    @classmethod
    def check(cls, model: Model, configuration: Configuration, smallest_volume: float) -> None:
        """See :meth:`Engine.check`."""
        HoomdEngine.check(model, configuration, smallest_volume)
        box = scaled_box(configuration, smallest_volume)
        fit = most_ranks(model, box, DEFAULT[1] * model.reach, cls.ranks)
        if fit < cls.ranks:
            raise EngineError(
                f"ranks is {cls.ranks}, but the smallest box of this run, {box[:3].min():.3g} e wide, holds the bodies "
                f"on at most {fit}; set ranks: {fit}, and use more cores with: python workflow.py run --parallel "
                f"{cls.ranks}"
            )

    def _start(self) -> None:
        address = str(Path(self._folder.name) / "socket")
        # The folder is readable by this user alone, and so is what goes over the socket.
        with socket.socket(socket.AF_UNIX) as listener, open(self._errors, "wb") as errors:
            listener.bind(address)
            listener.listen(self.ranks)
            listener.settimeout(0.2)
            # A session of its own: a signal to the job's process group must not end the ranks before the checkpoint.
            self._process = subprocess.Popen(
                [_mpiexec(), "-n", str(self.ranks), sys.executable, "-m", __name__, address],
                stdin=subprocess.DEVNULL,  # mpiexec would read away what a script is fed with
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=_plain_environment(),
                start_new_session=True,
            )
            found: dict[int, Connection[Any, Any]] = {}
            while len(found) < self.ranks:
                connection = self._accept(listener)
                rank, size = connection.recv()
                if size != self.ranks:
                    raise EngineError(
                        f"{_mpiexec()} started HOOMD-blue as {size} rank(s), not {self.ranks}; "
                        "expected the mpiexec of the MPI library that HOOMD-blue was built with - put it first on PATH."
                    )
                found[rank] = connection
        self._connections = [found[rank] for rank in sorted(found)]

    def _accept(self, listener: socket.socket) -> Connection[Any, Any]:
        while True:
            try:
                return Connection(listener.accept()[0].detach())
            except TimeoutError:
                if self._process is not None and self._process.poll() is not None:
                    raise EngineError(f"HOOMD-blue did not start on {self.ranks} ranks: {self._last_words()}") from None

    def _ask(self, what: str, *arguments: Any) -> Any:
        """Let every rank do the same and return what the first one answers."""
        if not self._connections:
            raise EngineError("HOOMD-blue has ended; start the run again to continue from its checkpoint.")
        try:
            for connection in self._connections:
                connection.send((what, arguments))
            answers: dict[int, Any] = {}
            while len(answers) < self.ranks:
                # The first to fail is heard at once: the others may hang in a communication with it.
                ready = wait([c for rank, c in enumerate(self._connections) if rank not in answers])
                for rank, connection in enumerate(self._connections):
                    if connection in ready:
                        failed, answers[rank] = connection.recv()
                        if failed:
                            raise EngineError(answers[rank])
        except (EOFError, ConnectionError) as error:
            words = self._last_words()
            self._abandon()
            raise EngineError(f"HOOMD-blue lost one of {self.ranks} ranks: {words}") from error
        except EngineError:
            self._abandon()
            raise
        return answers[0]

    def _last_words(self) -> str:
        lines = self._errors.read_text(errors="replace").strip().splitlines() if self._errors.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it left no message (was it killed?)")

    def advance(self, steps: int, schedule: Schedule) -> None:
        """See :meth:`Engine.advance`."""
        self._ask("advance", steps, schedule)

    def state(self) -> State:
        """See :meth:`Engine.state`."""
        found: State = self._ask("state")
        return found

    def measure(self) -> Thermo:
        """See :meth:`Engine.measure`."""
        found: Thermo = self._ask("measure")
        return found

    def forces(self) -> tuple[FloatArray, FloatArray]:
        """Not on several ranks; a single point needs one."""
        raise EngineError("forces are read on one rank; set ranks: 1.")

    def close(self) -> None:
        """See :meth:`Engine.close`."""
        if self._process is None:
            return
        with contextlib.suppress(EngineError, subprocess.TimeoutExpired):
            self._ask("close")
            self._process.wait(_PATIENCE)
        self._abandon()

    def _abandon(self) -> None:
        """End what is left of the ranks."""
        for connection in self._connections:
            connection.close()
        self._connections = []
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()  # mpiexec takes its ranks with it
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
            self._process.kill()
            self._process.wait()
        self._process = None
        self._folder.cleanup()


def _mpiexec() -> str:
    # The one beside this Python belongs to the MPI library that HOOMD was built with, in conda and in a venv.
    beside = Path(sys.prefix) / "bin" / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise EngineError("several ranks need mpiexec, which is not on the PATH; install the MPI of your HOOMD-blue.")
    return found


def _plain_environment() -> dict[str, str]:
    # Under a scheduler's own launcher these would make the new ranks join the old ones.
    foreign = ("PMI_", "PMIX_", "OMPI_", "MPI_LOCAL", "HYDI_", "MV2_", "JSM_", "SLURM_LOCALID")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)}


def serve(address: str) -> None:
    """One rank: do what is asked until the connection ends."""
    hoomd = load()
    world = hoomd.communicator.Communicator()
    rank = int(world.rank)
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        connection: Connection[Any, Any] = Connection(line.detach())
    connection.send((rank, int(world.num_ranks)))
    _obey(connection, rank)


def _obey(connection: Connection[Any, Any], rank: int) -> None:
    engine: HoomdEngine | None = None
    while True:
        try:
            what, arguments = connection.recv()
        except EOFError:
            os._exit(1)  # the job's process is gone; the other ranks find out for themselves
        try:
            if what == "start":
                engine = HoomdEngine(*arguments)
                answer: Any = {"version": engine.version, "device": engine.device, "settings": engine.settings}
            else:
                answer = getattr(engine, what)(*arguments)
        except EngineError as error:
            connection.send((True, str(error)))
            continue
        connection.send((False, answer if rank == 0 else None))
        if what == "close":
            return


if __name__ == "__main__":
    serve(sys.argv[1])
