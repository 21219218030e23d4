"""``supercube bench limits``: what each limit between crystal and disorder costs, on generated samples.

Each limit (:class:`.order.limits.Limits`) is moved alone, all others at their values. At every setting, on the same
samples: the share of the crystals' particles that lose their label (false negatives), the share of the particles of
each kind of disorder that get one (false positives), and the error of the crystal fraction of two-phase boxes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .bench_classify import Task, every, generate, tasks
from .errors import InputError
from .order.limits import LIMITS, Limits
from .order.melts import NEGATIVES
from .order.recognise import recognise
from .order.samples import DISORDERED, FIRST, SECOND

#: Configurations of each class.
SAMPLES = 10
#: Values that are tried beside those of :data:`.LIMITS`.
TRIED: Mapping[str, tuple[float, ...]] = {
    "begin": (0.4, 0.8),
    "grow": (0.2, 0.3, 0.5, 0.6),
    "strangers": (0.2, 0.5, 1.0),
    "stiffness": (0.7, 0.85, 1.2, 1.5),
    "agreement": (0.35, 0.65, 0.8),
    "spheres": (0.4, 0.5, 0.7),
}


@dataclass(frozen=True)
class Count:
    """What became of a sample at one setting.

    Attributes:
        lost: scored particles of a crystal whose label is not their truth.
        called: particles of no crystal that were called one.
        counted: how many could be lost or called.
        error: labelled less true share of the crystal.
    """

    lost: int
    called: int
    counted: int
    error: float


def settings() -> list[tuple[str, Limits]]:
    """Name of the limit that is moved (none for the first) and all limits."""
    moved = [(name, replace(LIMITS, **{name: value})) for name, values in TRIED.items() for value in values]
    return [("", LIMITS), *moved]


def measure(task: Task) -> list[Count]:
    """One sample at every setting."""
    sample = generate(task)
    result = []
    for _, limits in settings():
        labels = recognise([sample.configuration], limits=limits).labels
        crystal = sample.truth == sample.structure if sample.structure != DISORDERED else np.zeros(len(labels), bool)
        scored = sample.scored & (crystal | (sample.structure == DISORDERED))
        wrong = int((labels != sample.truth)[scored].sum())
        called = wrong if sample.structure == DISORDERED else 0
        error = float((labels == task.name).mean()) - sample.crystal_fraction
        result.append(Count(wrong - called, called, int(scored.sum()), error))
    return result


def rates(todo: Sequence[Task], counts: Sequence[Sequence[Count]], setting: int) -> dict[str, float]:
    """All rates at one setting: lost, called of each kind of disorder, and the two-phase errors."""
    of_kind: dict[str, list[Count]] = {}
    for task, of_task in zip(todo, counts, strict=True):
        name = task.name if task.kind == "negative" else task.kind
        of_kind.setdefault(name, []).append(of_task[setting])
    result = {}
    for name, found in of_kind.items():
        if name == "two-phase":
            result["two_phase_mean"] = float(np.mean([c.error for c in found]))
            result["two_phase_95"] = float(np.quantile(np.abs([c.error for c in found]), 0.95))
            continue
        total = sum(c.counted for c in found)
        if name == "crystal":
            result["lost"] = sum(c.lost for c in found) / total
        else:
            result[name] = sum(c.called for c in found) / total
    return result


def answer(samples: int = SAMPLES, seed: int = 1, workers: int = 0) -> dict[str, Any]:
    """All rates as plain types.

    Args:
        samples: configurations of each class; a fifth as many two-phase boxes.
        seed: another one gives other samples.
        workers: processes; 0 means one a core.

    Raises:
        InputError: an option out of range.
    """
    for name, value, least in (("samples", samples, 1), ("seed", seed, 0), ("workers", workers, 0)):
        if value < least:
            raise InputError(f"--{name} is {value}; expected at least {least}.")
    todo = tasks((*FIRST, *SECOND, *NEGATIVES), samples, seed)
    counts = every(measure, todo, workers or os.cpu_count() or 1)
    rows = []
    for number, (name, limits) in enumerate(settings()):
        moved = {"limit": name or None, "value": getattr(limits, name) if name else None}
        rows.append(moved | rates(todo, counts, number))
    return {"samples": samples, "seed": seed, "chosen": asdict(LIMITS), "rows": rows}


def text(found: dict[str, Any]) -> str:
    """The answer as a Markdown table; shares in %."""
    kinds = [name for name in NEGATIVES if name in found["rows"][0]]
    head = ["limit", "value", "crystal lost", *kinds, "two-phase: mean", "95 %"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name in found["chosen"]:
        chosen = found["rows"][0] | {"value": found["chosen"][name]}
        rows = sorted([chosen, *(r for r in found["rows"] if r["limit"] == name)], key=lambda row: row["value"])
        for row in rows:
            value = f"**{row['value']:g}**" if row is chosen else f"{row['value']:g}"
            shares = [f"{100 * row[key]:.2f}" for key in ("lost", *kinds)]
            errors = [f"{100 * row[key]:+.1f}" for key in ("two_phase_mean",)] + [f"{100 * row['two_phase_95']:.1f}"]
            lines.append("| " + " | ".join([name, value, *shares, *errors]) + " |")
    return "\n".join(lines)
