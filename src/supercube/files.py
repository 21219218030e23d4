"""Writing a file whole or not at all, for every room."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: str | os.PathLike[str], content: bytes, *, durable: bool = False) -> None:
    """Write a file through a temporary one beside it that is renamed when it is complete.

    Args:
        path: of the file; one that is there is replaced.
        content: of the file.
        durable: also survive a power cut, which costs the wait for the disk.
    """
    path = Path(path)
    # The process is in the name: two that write the same file must not write into each other's half.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as handle:
            handle.write(content)
            if durable:
                handle.flush()
                os.fsync(handle.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # a rename is on disk only once its folder is
        finally:
            os.close(folder)
