"""The entropy of a job's hold: which of its frames count, and the file in which the answer is kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import read_gsd
from ..engines.segments import read_trajectory
from ..errors import InputError
from ..files import write_whole
from .entropy import Entropy, Refusal, quasi_harmonic_entropy

ENTROPY = "entropy.json"
#: Whatever changes the entropy of given frames must raise it, so that kept results are computed again.
VERSION = 2
#: Two spacings of frames have a common multiple within so many frames, or one of them is given up.
_APART = 12


def entropy_of(job: Any) -> Entropy | Refusal:
    """The entropy of a job's hold, kept in its folder as ``entropy.json`` until the job runs on.

    Frames that cannot be used (files removed to save space, one frame alone, a start that is no perfect crystal) are a
    refusal: the enthalpy is still good.
    """
    path, mark = Path(job.fn(ENTROPY)), {"version": VERSION, "total_steps": int(job.doc["total_steps"])}
    kept = _kept(path, mark)
    if kept is not None:
        return kept
    hold = float(job.doc["protocol"]["hold_time"]) / float(job.doc["model"]["time_step"])
    try:
        frames = [frame for frame in read_trajectory(Path(job.path)) if frame.step >= mark["total_steps"] - hold]
        chosen = equally_spaced([frame.step for frame in frames])
        found = quasi_harmonic_entropy([frames[i] for i in chosen], read_gsd(job.fn("initial.gsd")))
    except InputError as error:
        return Refusal(str(error))
    name = "refusal" if isinstance(found, Refusal) else "entropy"
    write_whole(path, json.dumps(mark | {name: dataclasses.asdict(found)}, indent=1).encode())
    return found


def _kept(path: Path, mark: dict[str, int]) -> Entropy | Refusal | None:
    """What the file holds under this mark; None if there is no such file, or it is damaged."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if {key: kept[key] for key in mark} != mark:
            return None
        return Refusal(**kept["refusal"]) if "refusal" in kept else Entropy(**kept["entropy"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def equally_spaced(steps: Sequence[int]) -> NDArray[np.intp]:
    """Rows of the frames at equal spacing s, s + d, s + 2 d ..., with the largest product of frames and time.

    A run that was stopped and continued has a frame where it went on, and a hold that was made longer has other
    spacings than before. Where one spacing divides the other the coarser one is taken over both; where they have no
    common multiple that leaves enough frames, the better part of the run.

    Args:
        steps: ascending.
    """
    where = {step: row for row, step in enumerate(steps)}
    later = [np.subtract(steps[ahead:], steps[:-ahead]) for ahead in range(1, min(_APART, len(steps) - 1) + 1)]
    best: list[int] = list(steps[:1])
    for spacing in np.unique(np.concatenate(later)).tolist() if later else []:
        length: dict[int, int] = {}
        for step in steps:
            length[step] = length.get(step - spacing, 0) + 1
        last = max(length, key=lambda step: length[step])
        number = length[last]
        if number * (number - 1) * spacing > len(best) * (best[-1] - best[0]):
            best = [last - spacing * back for back in range(number)][::-1]
    return np.array([where[step] for step in best], dtype=np.intp)
