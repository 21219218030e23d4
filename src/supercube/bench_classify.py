"""``supercube bench classify``: how often the classifier is right on generated samples, and how fast it is.

The samples (:mod:`.order.samples`) have known truth and fixed seeds. A crystal is right if its global label is its
structure, a particle if its label is its truth (scored particles only). Beside each number stands what was wanted.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .bench_classify_speed import processes, speed
from .errors import InputError, SupercubeError
from .order import classify
from .order.melts import NEGATIVES, negative_sample, two_phase_sample
from .order.samples import DISORDERED, FIRST, SECOND, Sample, crystal_sample

#: Noise levels of crystals; those of two-phase boxes are the first four.
NOISES = (0.01, 0.02, 0.03, 0.04, 0.05)
#: Wanted, from the issue: structure labels up to 4 % noise and at 5 %, particle labels at 3 %, error of a two-phase
#: box, share of what is no crystal but called one, confusions of the three with an almost simple-cubic sphere lattice.
LABEL, LABEL_AT_5, PARTICLES, TWO_PHASE, FALSE, CONFUSED = 0.995, 0.97, 0.97, 0.05, 0.005, 0.005
ALIKE = ("CsCl", "CuAu", "ABO3")
#: Wanted particles/s on one core, and the largest peak memory in MB at 100,000 particles.
SPEED, MEMORY = 20_000.0, 1000.0
#: Two-phase boxes over crystals of a structure.
_TWO_PHASE_SHARE = 0.2
#: Share of two-phase boxes that have to be within ``TWO_PHASE``.
_QUANTILE = 0.95
#: Answer that stands for a refusal with an error.
REFUSED = "refused"
Result = TypeVar("Result")
_KINDS: dict[str, Callable[[str, float, int], Sample]] = {
    "crystal": crystal_sample,
    "two-phase": two_phase_sample,
    "negative": lambda name, noise, seed: negative_sample(name, seed),
}


@dataclass(frozen=True)
class Task:
    """One sample to classify: ``crystal``, ``two-phase`` or ``negative``, its name, noise and seed."""

    kind: str
    name: str
    noise: float
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What the classifier made of a sample.

    Attributes:
        task: the sample.
        structure: the global label, or ``refused``.
        labels: labels of the scored particles whose truth is the sample's structure -> how many.
        right: scored particles whose label is their truth.
        scored: scored particles.
        error: share of all particles labelled as the crystal, minus the true share.
    """

    task: Task
    structure: str
    labels: dict[str, int]
    right: int
    scored: int
    error: float


def tasks(names: Sequence[str], samples: int, seed: int) -> list[Task]:
    """``samples`` of each class, spread evenly over the noise levels; a fifth as many two-phase boxes, at least one."""
    result = []
    for name in names:
        seeds = range(seed * 1_000_000, seed * 1_000_000 + samples)
        if name in NEGATIVES:
            result += [Task("negative", name, 0.0, s) for s in seeds]
            continue
        result += [Task("crystal", name, NOISES[k % len(NOISES)], s) for k, s in enumerate(seeds)]
        boxes = max(1, round(samples * _TWO_PHASE_SHARE))
        result += [Task("two-phase", name, NOISES[k % 4], s) for k, s in enumerate(seeds[:boxes])]
    return result


def generate(task: Task) -> Sample:
    """The sample of a task."""
    return _KINDS[task.kind](task.name, task.noise, task.seed)


def measure(task: Task) -> Outcome:
    """Generate one sample and classify it; what the classifier refuses counts as wrong."""
    sample = generate(task)
    scored = int(sample.scored.sum())
    try:
        order = classify(sample.configuration)
    except SupercubeError:
        return Outcome(task, REFUSED, {REFUSED: scored}, 0, scored, -sample.crystal_fraction)
    labels = np.asarray(order.labels)
    counted = sample.scored & (sample.truth == sample.structure)
    return Outcome(
        task=task,
        structure=str(order.structure),
        labels={str(label): int(n) for label, n in Counter(labels[counted].tolist()).items()},
        right=int((labels == sample.truth)[sample.scored].sum()),
        scored=scored,
        error=float((labels == task.name).mean()) - sample.crystal_fraction,
    )


def every(function: Callable[[Task], Result], todo: Sequence[Task], workers: int) -> list[Result]:
    """What a function makes of all tasks, in their order, by ``workers`` processes (1: this one)."""
    from tqdm import tqdm

    def shown(results: Iterable[Result]) -> list[Result]:
        return list(tqdm(results, total=len(todo), unit=" samples", disable=None, file=sys.stderr))

    if workers == 1:
        return shown(map(function, todo))
    with processes(workers) as pool:
        return shown(pool.map(function, todo, chunksize=8))


# --- what was found ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A number beside what was wanted.

    Attributes:
        name: class, or pair of classes.
        what: which number.
        value: measured; None where there was no sample.
        wanted: its bound.
        at_least: whether ``wanted`` is the smallest or the largest value that passes.
        samples: configurations it comes from.
    """

    name: str
    what: str
    value: float | None
    wanted: float
    at_least: bool
    samples: int

    @property
    def passed(self) -> bool | None:
        """Whether the bound is kept; None where there was no sample."""
        if self.value is None:
            return None
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted

    def document(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return vars(self) | {"passed": self.passed}


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """Every wanted number of the samples."""
    result = []
    for name in _names(outcomes, "crystal"):
        of_name = _of(outcomes, "crystal", name)
        easy, hard = [o for o in of_name if o.task.noise < 0.045], [o for o in of_name if o.task.noise > 0.045]
        middle = [o for o in of_name if o.task.noise == NOISES[2]]
        result += [
            Row(name, "structure label to 4 % noise", _share_named(easy), LABEL, True, len(easy)),
            Row(name, "structure label at 5 % noise", _share_named(hard), LABEL_AT_5, True, len(hard)),
            Row(name, "particle labels at 3 % noise", _share_right(middle), PARTICLES, True, len(middle)),
        ]
        errors = [abs(o.error) for o in _of(outcomes, "two-phase", name)]
        value = float(np.quantile(errors, _QUANTILE)) if errors else None
        result.append(Row(name, "two-phase error, 95 % of boxes below", value, TWO_PHASE, False, len(errors)))
    for name in _names(outcomes, "negative"):
        of_name = _of(outcomes, "negative", name)
        called = sum(o.structure not in (DISORDERED, REFUSED) for o in of_name) / len(of_name)
        particles = 1 - sum(o.labels.get(DISORDERED, 0) for o in of_name) / sum(o.scored for o in of_name)
        result += [
            Row(name, "configurations called a crystal", called, FALSE, False, len(of_name)),
            Row(name, "particles called a crystal", particles, FALSE, False, len(of_name)),
        ]
    return result + _confusions(outcomes)


def _confusions(outcomes: Sequence[Outcome]) -> list[Row]:
    result = []
    for one in ALIKE:
        of_one = _of(outcomes, "crystal", one)
        counted = sum(sum(o.labels.values()) for o in of_one)
        for other in ALIKE:
            if one == other or not of_one:
                continue
            whole = sum(o.structure == other for o in of_one) / len(of_one)
            single = sum(o.labels.get(other, 0) for o in of_one) / max(counted, 1)
            pair = f"{one} as {other}"
            result += [
                Row(pair, "configurations", whole, CONFUSED, False, len(of_one)),
                Row(pair, "particles", single, CONFUSED, False, len(of_one)),
            ]
    return result


def _names(outcomes: Sequence[Outcome], kind: str) -> list[str]:
    return list(dict.fromkeys(o.task.name for o in outcomes if o.task.kind == kind))


def _of(outcomes: Sequence[Outcome], kind: str, name: str) -> list[Outcome]:
    return [o for o in outcomes if o.task.kind == kind and o.task.name == name]


def _share_named(outcomes: Sequence[Outcome]) -> float | None:
    return sum(o.structure == o.task.name for o in outcomes) / len(outcomes) if outcomes else None


def _share_right(outcomes: Sequence[Outcome]) -> float | None:
    scored = sum(o.scored for o in outcomes)
    return sum(o.right for o in outcomes) / scored if scored else None


def speed_wanted(found: Sequence[dict[str, float]]) -> list[Row]:
    """The wanted speed at every size, and the wanted memory at the largest."""
    result = []
    for row in found:
        name = f"{row['particles']:,.0f} particles"
        result.append(Row(name, "particles/s on one core", row["particles_per_second"], SPEED, True, 1))
    largest = max(found, key=lambda row: row["particles"])
    name = f"{largest['particles']:,.0f} particles"
    return [*result, Row(name, "peak memory in MB", largest["peak_mb"], MEMORY, False, 1)]


def confusion(outcomes: Sequence[Outcome], *, particles: bool) -> dict[str, dict[str, float]]:
    """Class -> answer -> share, of configurations or of scored particles that belong to the class; no two-phase."""
    table: dict[str, dict[str, float]] = {}
    for kind in ("crystal", "negative"):
        for name in _names(outcomes, kind):
            counts: Counter[str] = Counter()
            for outcome in _of(outcomes, kind, name):
                counts.update(outcome.labels if particles else [outcome.structure])
            table[name] = {answer: count / counts.total() for answer, count in counts.items()}
    return table


def levels(outcomes: Sequence[Outcome]) -> dict[str, dict[str, list[float | None]]]:
    """Class -> share of right structure labels, and of right particle labels, at each noise level."""
    table = {}
    for name in _names(outcomes, "crystal"):
        at = [[o for o in _of(outcomes, "crystal", name) if o.task.noise == noise] for noise in NOISES]
        table[name] = {"structure": [_share_named(o) for o in at], "particles": [_share_right(o) for o in at]}
    return table


def two_phase(outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
    """Class -> mean, mean absolute and largest absolute error of the crystal fraction."""
    table = {}
    for name in _names(outcomes, "two-phase"):
        errors = np.array([o.error for o in _of(outcomes, "two-phase", name)])
        table[name] = {
            "mean": float(errors.mean()),
            "mean_absolute": float(np.abs(errors).mean()),
            "largest": float(np.abs(errors).max()),
        }
    return table


# --- real frames ------------------------------------------------------------------------------------------------------


def real_frames(path: Path) -> list[dict[str, Any]]:
    """The last frame of every finished job of a data space, alone; nothing is scored.

    Returns:
        one row a job: its start, the structure in its document (from several frames, by the classifier of its time),
        and the structure and fractions found now.

    Raises:
        InputError: there is no data space.
    """
    import signac

    from .engines.segments import read_trajectory
    from .operations import EVAPORATED

    if not (path / ".signac").is_dir():
        raise InputError(f"--project: {path} holds no data space; expected a signac project.")
    result = []
    for job in signac.get_project(path=str(path)):
        frames = deque(read_trajectory(Path(job.path)), maxlen=1) if job.isfile(EVAPORATED) else deque()
        for frame in frames:
            order = classify(frame)
            row = {"job": job.id, "start": str(job.cached_statepoint["initial"]), "recorded": job.doc.get("structure")}
            result.append(row | {"structure": order.structure, "fractions": order.fractions})
    return sorted(result, key=lambda row: (row["start"], row["job"]))


# --- the command ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Request:
    """Options of the command.

    Attributes:
        samples: configurations of each class.
        structures: names of structures and of kinds of disorder; empty means all.
        seed: a different one gives other samples.
        workers: processes; 0 means one a core.
        speed: whether rates and memory are measured too.
        project: data space whose last frames are labelled too.
    """

    samples: int = 200
    structures: Sequence[str] = ()
    seed: int = 1
    workers: int = 0
    speed: bool = True
    project: Path | None = None


#: Names of the options.
OPTIONS = tuple(option.name for option in fields(Request))


def answer(request: Request) -> dict[str, Any]:
    """All numbers as plain types.

    Raises:
        InputError: options out of range, an unknown class, or no data space where one was named.
    """
    known = (*FIRST, *SECOND, *NEGATIVES)
    unknown = [name for name in request.structures if name not in known]
    if unknown:
        raise InputError(f"--structures holds {unknown[0]!r}; expected names among {', '.join(known)}.")
    for name, least in (("samples", 1), ("seed", 0), ("workers", 0)):
        if getattr(request, name) < least:
            raise InputError(f"--{name} is {getattr(request, name)}; expected at least {least}.")
    real = real_frames(request.project) if request.project else []
    chosen = tuple(dict.fromkeys(request.structures)) or known
    began = time.perf_counter()
    outcomes = every(measure, tasks(chosen, request.samples, request.seed), request.workers or os.cpu_count() or 1)
    seconds = time.perf_counter() - began
    rates = speed() if request.speed else []
    wanted = rows(outcomes) + (speed_wanted(rates) if rates else [])
    return {
        "samples": request.samples,
        "seed": request.seed,
        "configurations": len(outcomes),
        "seconds": seconds,
        "noise_levels": list(NOISES),
        "levels": levels(outcomes),
        "two_phase": two_phase(outcomes),
        "wanted": [row.document() for row in wanted],
        "confusion": confusion(outcomes, particles=False),
        "confusion_of_particles": confusion(outcomes, particles=True),
        "speed": rates,
        "real_frames": real,
    }


def text(found: dict[str, Any]) -> str:
    """The answer as Markdown tables."""
    parts = [
        f"{found['configurations']} configurations ({found['samples']} a class, seed {found['seed']}) "
        f"in {found['seconds']:.0f} s",
        _levels_text(found),
        _wanted_text(found["wanted"]),
        _confusion_text("Configurations (rows: truth, in %)", found["confusion"]),
        _confusion_text("Scored particles (rows: truth, in %)", found["confusion_of_particles"]),
    ]
    if found["speed"]:
        heads = ["particles", "classifier, particles/s", "freud q6, particles/s", "peak memory, MB"]
        lines = [[f"{value:,.0f}" for value in row.values()] for row in found["speed"]]
        parts.append(_table(heads, lines))
    if found["real_frames"]:
        lines = [
            [row["job"][:8], row["start"][:12], row["recorded"] or "-", row["structure"], _shares(row["fractions"])]
            for row in found["real_frames"]
        ]
        parts.append(_table(["job", "start", "recorded", "last frame", "fractions"], lines))
    return "\n\n".join(part for part in parts if part)


def _levels_text(found: dict[str, Any]) -> str:
    """Structure labels / particle labels right, in %, by noise, and errors of two-phase boxes."""
    if not found["levels"]:
        return ""
    heads = ["right in %: structure / particles", *(f"noise {100 * n:.0f} %" for n in found["noise_levels"])]
    lines = []
    for name, level in found["levels"].items():
        cells = [
            f"{_percent(one)} / {_percent(other)}"
            for one, other in zip(level["structure"], level["particles"], strict=True)
        ]
        error = found["two_phase"][name]
        lines.append([name, *cells, *(f"{error[key]:.3f}" for key in ("mean", "mean_absolute", "largest"))])
    return _table([*heads, "two-phase error: mean", "mean absolute", "largest"], lines)


def _wanted_text(wanted: Sequence[dict[str, Any]]) -> str:
    lines = []
    for row in wanted:
        shown = _amount if row["wanted"] > 1 else _percent
        if row["what"].startswith("two-phase"):
            shown = _plain
        bound = f"{'>=' if row['at_least'] else '<='} {shown(row['wanted'])}"
        verdict = {True: "PASS", False: "FAIL", None: "-"}[row["passed"]]
        lines.append([row["name"], row["what"], shown(row["value"]), bound, str(row["samples"]), verdict])
    return _table(["class", "number (shares in %)", "found", "wanted", "samples", ""], lines)


def _confusion_text(title: str, table: dict[str, dict[str, float]]) -> str:
    found = {answer for row in table.values() for answer in row}
    answers = [name for name in (*FIRST, *SECOND) if name in found or name in table]
    answers += sorted(found - set(answers) - {DISORDERED, REFUSED})
    answers += [name for name in (DISORDERED, REFUSED) if name in found]
    lines = [[name, *(_percent(row[a]) if a in row else "." for a in answers)] for name, row in table.items()]
    return _table([title, *answers], lines)


def _shares(fractions: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.3f}" for name, share in fractions.items() if share > 0)


def _percent(share: float | None) -> str:
    # No rounding to 100 or 0 of what is not: a wrong particle in a million shows.
    if share is None:
        return "-"
    digits = f"{100 * share:.1f}"
    if (digits == "100.0" and share < 1) or (digits == "0.0" and share > 0):
        return ">99.9" if share > 0.5 else "<0.1"
    return digits


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _amount(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table with padded columns."""
    widths = [max(len(line[k]) for line in [heads, *lines]) for k in range(len(heads))]
    body = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in [heads, *lines]]
    body.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(body)
