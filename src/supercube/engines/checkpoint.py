"""Checkpoints that survive a crash at any instant, and the lock that keeps a job to one process.

``checkpoint/`` holds two slots, ``a.npz`` and ``b.npz``, and ``manifest.json``. A checkpoint goes to the older slot:
temporary file, fsync, rename, fsync of the folder; then the manifest, written the same way and last, says step,
sha256, particle count, model hash, engine and versions, and what of each trajectory segment it vouches for. On start
the newest slot whose sha256 verifies is taken.

A slot holds bodies in double precision and no beads, with whatever else the engine needs to go on. A continued HOOMD
run on one CPU core follows the same trajectory bit for bit; a LAMMPS run the same statistics only, because its fix
langevin does not give its random state away.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..configuration import Configuration
from ..errors import CheckpointError, LockedError
from ..files import write_whole
from .base import State

_SLOTS = ("a.npz", "b.npz")
_MANIFEST = "manifest.json"
#: The lock of a job, in its folder.
LOCK = "lock.json"
#: Seconds without a sign of life after which a lock is taken over: more than the longest chunk of any run that is worth
#: its electricity.
FORSAKEN = 4 * 3600.0
#: Locks that this process holds.
_HELD: set[Path] = set()
#: Prefix of the arrays that only the engine which wrote them reads.
_PRIVATE = "private_"


def pack(state: State) -> bytes:
    """A state as the bytes of an npz file."""
    configuration = state.configuration
    buffer = io.BytesIO()
    private: dict[str, Any] = {_PRIVATE + name: array for name, array in state.private.items()}
    np.savez(
        buffer,
        box=configuration.box,
        positions=configuration.positions,
        orientations=configuration.orientations,
        typeid=configuration.typeid,
        images=configuration.images,
        species=np.array(configuration.species),
        shapes=np.array(json.dumps(configuration.shapes)),
        step=np.int64(configuration.step),
        velocities=state.velocities,
        angular_momenta=state.angular_momenta,
        **private,
    )
    return buffer.getvalue()


def unpack(data: bytes) -> State:
    """The state that :func:`pack` made these bytes of."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        configuration = Configuration(
            box=arrays["box"],
            positions=arrays["positions"],
            orientations=arrays["orientations"],
            species=tuple(str(name) for name in arrays["species"]),
            typeid=arrays["typeid"],
            images=arrays["images"],
            shapes=tuple(json.loads(str(arrays["shapes"]))),
            step=int(arrays["step"]),
        )
        private = {name.removeprefix(_PRIVATE): np.array(arrays[name]) for name in arrays if name.startswith(_PRIVATE)}
        return State(configuration, np.array(arrays["velocities"]), np.array(arrays["angular_momenta"]), private)


class Checkpoint:
    """The checkpoint folder of one job.

    Args:
        folder: ``checkpoint/`` of the job; made on the first save.
        identity: what a state must share with the run that continues it (model hash, particle counts, engine).
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self.identity = identity

    def save(self, state: State, record: dict[str, Any]) -> None:
        """Write the state to the older slot and then the manifest.

        Args:
            state: bodies at a step.
            record: anything the next run should know (segments, versions, rates), plain JSON types.
        """
        self.folder.mkdir(exist_ok=True)
        manifest = self._manifest()
        # A damaged slot counts as the oldest: the good one must survive until the new one is complete.
        entries = {e["slot"]: e for e in manifest.get("slots", []) if self._verified(e) is not None}
        slot = min(_SLOTS, key=lambda name: entries[name]["step"] if name in entries else -1)
        data = pack(state)
        write_whole(self.folder / slot, data, durable=True)
        entries[slot] = {
            "slot": slot,
            "step": state.configuration.step,
            "sha256": hashlib.sha256(data).hexdigest(),
            "n": len(state.configuration),
            "record": record,
        }
        text = json.dumps({"identity": self.identity, "slots": list(entries.values())}, indent=1)
        write_whole(self.folder / _MANIFEST, text.encode(), durable=True)

    def load(self) -> tuple[State, dict[str, Any]] | None:
        """The newest state that verifies, with its record; None if nothing was ever saved.

        Raises:
            CheckpointError: the checkpoint is of another run (model, counts or engine differ), or no slot verifies.
        """
        manifest = self._manifest()
        if not manifest:
            return None
        self._check_identity(manifest["identity"])
        for entry in sorted(manifest["slots"], key=lambda e: -int(e["step"])):
            data = self._verified(entry)
            if data is not None:
                return unpack(data), entry["record"]
        raise CheckpointError(
            f"{self.folder}: neither slot matches the sha256 in its manifest, so there is nothing safe to continue "
            f"from; delete the folder to start this job again."
        )

    def _verified(self, entry: dict[str, Any]) -> bytes | None:
        """The bytes of a slot if they are those its manifest entry describes."""
        path = self.folder / entry["slot"]
        data = path.read_bytes() if path.exists() else b""
        return data if hashlib.sha256(data).hexdigest() == entry["sha256"] else None

    def _check_identity(self, found: dict[str, Any]) -> None:
        for key, expected in self.identity.items():
            if found.get(key) != expected:
                raise CheckpointError(
                    f"{self.folder} was written with {key} {found.get(key)!r}, but this run has {expected!r}; "
                    f"continue with the former, or delete the folder to start the job again."
                )

    def _manifest(self) -> dict[str, Any]:
        return read_manifest(self.folder)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint folder, {} if there is none.

    Raises:
        CheckpointError: it is not JSON (it is replaced atomically, so something else damaged it).
    """
    path = folder / _MANIFEST
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
        if not isinstance(found, dict):
            raise ValueError(f"it holds {type(found).__name__}, not a mapping")
        return found
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete {folder} to start this job again.") from error


@contextlib.contextmanager
def job_lock(folder: Path) -> Iterator[None]:
    """Hold the job for this process: a file with host and pid.

    A lock of this host whose process is gone is stale and taken over. A process of another host cannot be asked, and a
    number of this host may belong to another process by now; so a lock is stale, too, once it has not been refreshed
    for ``FORSAKEN`` seconds. Who was only suspended for so long finds out by :func:`refresh_lock`.

    Within a process that holds the job it may be taken again, which changes nothing.

    Raises:
        LockedError: another process holds the job.
    """
    path = folder / LOCK
    if path in _HELD:
        yield
        return
    host, pid = socket.gethostname(), os.getpid()
    # A hard link appears whole or not at all, so nobody ever reads a lock without its content.
    mine = folder / f"lock.json.{host}.{pid}"
    mine.write_text(_name())
    try:
        for _ in range(2):
            try:
                os.link(mine, path)
                break
            except FileExistsError:
                _remove_if_stale(path, pid, mine)
        else:
            raise LockedError(f"{folder} was locked by another process just now; try again.")
    finally:
        mine.unlink(missing_ok=True)
    _HELD.add(path)
    try:
        yield
    finally:
        _HELD.discard(path)
        if _is_mine(path):
            path.unlink(missing_ok=True)


def refresh_lock(folder: Path) -> None:
    """Show other processes that the one which holds the job is alive; call it before anything is written.

    Raises:
        LockedError: another process has taken the job over, because this one gave no sign of life for long.
    """
    path = folder / LOCK
    if not _is_mine(path):
        raise LockedError(
            f"{folder} was taken over by another process while this one was suspended; nothing more is written from "
            "here."
        )
    with contextlib.suppress(FileNotFoundError):
        os.utime(path)


def _is_mine(path: Path) -> bool:
    try:
        return path.read_text() == _name()
    except FileNotFoundError:
        return False


def _name() -> str:
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid()})


def _remove_if_stale(path: Path, me: int, mine: Path) -> None:
    try:
        text = path.read_text()
        # Both times are the file server's, so clocks that differ between hosts do not matter.
        silent = mine.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return
    holder, pid = _holder(text)
    if silent > FORSAKEN or _is_gone(holder, pid):
        # Two processes may both have read the stale lock; renaming it away succeeds for one, and what it took away
        # is given back if the other was faster and had put its own there.
        taken = path.with_name(f"lock.json.stale.{me}")
        with contextlib.suppress(FileNotFoundError):
            path.rename(taken)
            if taken.read_text() != text:
                with contextlib.suppress(FileExistsError):
                    os.link(taken, path)
            taken.unlink()
        return
    raise LockedError(
        f"{path.parent} is being run by process {pid} on {holder}, last seen {silent / 60:.0f} minutes "
        f"ago; wait for it, or delete {path} if that process is gone."
    )


def is_stale(path: Path) -> bool:
    """Whether the process of a lock is one of this machine, and gone; False if there is no lock."""
    try:
        return _is_gone(*_holder(path.read_text()))
    except FileNotFoundError:
        return False


def _holder(text: str) -> tuple[str, int]:
    """Host and process of a lock; no process (-1) of this host if it is damaged, for none leaves it so."""
    try:
        holder = json.loads(text)
        return str(holder["host"]), int(holder["pid"])
    except (ValueError, KeyError, TypeError):
        return socket.gethostname(), -1


def _is_gone(host: str, pid: int) -> bool:
    return host == socket.gethostname() and not (pid > 0 and _is_alive(pid))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
