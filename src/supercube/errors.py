"""Every error this package raises on purpose.

One base class, :class:`SupercubeError`; each subclass is also the built-in that a Python user would expect, so
``except ValueError`` keeps working. The text of an error is one sentence: what came, what was expected, where.
"""

from __future__ import annotations


class SupercubeError(Exception):
    """Base of all errors raised by supercube."""

    exit_code = 1


class InputError(SupercubeError, ValueError):
    """Something a user wrote (a space file, an option, a number) cannot be used."""

    exit_code = 2


class FileFormatError(InputError):
    """A file that was read is not what this package reads."""


class EngineError(SupercubeError, RuntimeError):
    """An MD engine is missing or failed."""


class LockedError(EngineError):
    """Another process runs this job; nothing is wrong with the job."""


class CheckpointError(EngineError):
    """A checkpoint does not belong to the run that wants to continue from it."""


class IncompleteError(SupercubeError, RuntimeError):
    """A run stopped early on request, checkpointed, and can be continued."""

    exit_code = 75  # EX_TEMPFAIL: try again

    def __init__(self, message: str, *, by_signal: bool = False) -> None:
        super().__init__(message)
        self.by_signal = by_signal
