"""The report of a validation: ``report.md`` for readers, ``checks.json`` and ``checks.csv`` for programs."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import __version__
from ..engines.base import INSTALL, present
from ..errors import InputError
from ..files import write_whole
from .results import ENGINE_NAMES, N_ERRORS, Check

#: Files of the report.
REPORT, CHECKS_JSON, CHECKS_CSV = "report.md", "checks.json", "checks.csv"
_COLUMNS = ("what", "engine", "measured", "target", "off by", "allowed", "source of the target", "")
#: Names of the engines as their authors write them.


@dataclass(frozen=True)
class Section:
    """One heading of the report.

    Attributes:
        title: heading, the ``group`` of its checks.
        text: one paragraph: what is measured, how, and why it should be the target.
        checks: the numbers, in the order of the table.
        tables: more Markdown below the table.
        figures: name of a PNG file -> its bytes; shown at the end.
        explanations: name of a check -> why it fails, if that is known.
    """

    title: str
    text: str
    checks: Sequence[Check]
    tables: str = ""
    figures: Mapping[str, bytes] = field(default_factory=dict)
    explanations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """When and where it ran.

    Attributes:
        date: as text.
        versions: name of a program -> its version, or why it is not there.
        machine: the CPU.
        minutes: the run took, wall clock.
        note: one more sentence for the top of the report, such as that it was a quick run.
    """

    date: str
    versions: Mapping[str, str]
    machine: str
    minutes: float
    note: str = ""


def setting(engines: Mapping[str, str], minutes: float, note: str = "") -> Setting:
    """The setting of here and now.

    Args:
        engines: name of an engine that ran -> its version.
        minutes: the run took.
        note: for the top of the report.
    """
    versions = {"supercube": __version__, "Python": platform.python_version()}
    for name in INSTALL:
        absent = "not run" if name in present() else "absent, so none of this is checked with it"
        versions[ENGINE_NAMES[name]] = engines.get(name, absent)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Setting(now, versions, cpu(), minutes, note)


def cpu() -> str:
    """Model name of the CPU, and how many cores there are."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


# --- writing ---------------------------------------------------------------------------------------------------------


def write_report(folder: Path, sections: Sequence[Section], where: Setting) -> Path:
    """Write the report, its tables and figures; each file whole or not at all.

    Args:
        folder: made if it is not there; files of an earlier report are replaced.
        sections: in the order of the report.
        where: when and where it ran.

    Returns:
        path of ``report.md``.

    Raises:
        InputError: the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {folder} is a file; expected a folder, or a name that is free.")
    folder.mkdir(parents=True, exist_ok=True)
    for section in sections:
        for name, data in section.figures.items():
            write_whole(folder / name, data)
    checks = [check for section in sections for check in section.checks]
    write_whole(
        folder / CHECKS_JSON, (json.dumps([record(c) for c in checks], indent=1, allow_nan=False) + "\n").encode()
    )
    write_whole(folder / CHECKS_CSV, _csv(checks).encode())
    # The last one: where it is, the others are those that it tells of.
    write_whole(folder / REPORT, report_text(sections, where).encode())
    return folder / REPORT


def record(check: Check) -> dict[str, Any]:
    """A check as plain types, with ``deviation``, ``allowed`` and ``passed``; None for what is not a finite number."""
    values = asdict(check) | {"deviation": check.deviation, "allowed": allowed(check), "passed": check.passed}
    return {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in values.items()}


def _csv(checks: Sequence[Check]) -> str:
    out = io.StringIO()
    rows = [record(check) for check in checks]
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else ["name"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


# --- text ------------------------------------------------------------------------------------------------------------


def report_text(sections: Sequence[Section], where: Setting) -> str:
    """``report.md``: a summary, failures first, then a section for each group."""
    parts = ["# Validation of the physics", _head(sections, where), _failures(sections)]
    parts += [_section_text(section) for section in sections]
    return "\n\n".join(part for part in parts if part) + "\n"


def verdict(sections: Sequence[Section]) -> str:
    """``PASS: all 12 checks passed`` or ``FAIL: 2 of 12 checks failed``."""
    checks = [check for section in sections for check in section.checks]
    failed = sum(not check.passed for check in checks)
    if failed or not checks:
        return f"FAIL: {failed} of {len(checks)} checks failed"
    return f"PASS: all {len(checks)} checks passed"


def failure_lines(sections: Sequence[Section]) -> list[str]:
    """One sentence for every check that failed, with its explanation if there is one."""
    lines = []
    for section in sections:
        for check in section.checks:
            if check.passed:
                continue
            known = section.explanations.get(check.name, "")
            lines.append(
                f"{section.title}: {check.name} ({check.engine}): {_reason(check)}" + (f" {known}" if known else "")
            )
    return lines


def _reason(check: Check) -> str:
    if not math.isfinite(check.deviation):
        return f"no number came out; {check.why}."
    found = f"{measured(check)} instead of {_target(check)}"
    if check.error > check.largest_error:
        return f"{found}, and its error is larger than the {check.largest_error:.2g} that tell anything."
    return f"{found}; off by {check.deviation:.2g} where {allowed(check):.2g} is allowed."


def _head(sections: Sequence[Section], where: Setting) -> str:
    lines = [f"**{verdict(sections)}.** {where.note}".strip(), ""]
    versions = "; ".join(f"{name} {version}" for name, version in where.versions.items())
    lines += [f"{where.date}, {where.minutes:.1f} minutes on {where.machine}.", f"Versions: {versions}.", ""]
    lines += ["| group | passed | failed |", "|---|---|---|"]
    for section in sections:
        passed = sum(check.passed for check in section.checks)
        lines.append(f"| {_cell(section.title)} | {passed} | {len(section.checks) - passed} |")
    lines += [
        "",
        f"A number passes if it is off its target by no more than what is allowed: a tolerance, whose reason is given, "
        f"and {N_ERRORS:g} standard errors. `x ± s` gives the standard error s; numbers without one are exact.",
    ]
    return "\n".join(lines)


def _failures(sections: Sequence[Section]) -> str:
    lines = failure_lines(sections)
    return "\n".join(["## Failures", "", *(f"* **FAIL** {line}" for line in lines)]) if lines else ""


def _section_text(section: Section) -> str:
    parts = [f"## {section.title}", section.text]
    if section.checks:
        rows = [f"| {' | '.join(map(_cell, _row(check)))} |" for check in section.checks]
        # An empty heading is no column to some readers of Markdown.
        head = f"| {' | '.join(name or 'verdict' for name in _COLUMNS)} |"
        parts.append("\n".join([head, "|" + "---|" * len(_COLUMNS), *rows]))
        parts.append(_tolerances(section.checks))
    parts.append(section.tables)
    parts += [f"![{Path(name).stem}]({name})" for name in section.figures]
    return "\n\n".join(part for part in parts if part)


def _row(check: Check) -> list[str]:
    verdict = "PASS" if check.passed else "**FAIL**"
    off = f"{check.deviation:.2g}" if math.isfinite(check.deviation) else "-"
    return [
        check.name,
        check.engine,
        measured(check),
        _target(check),
        off,
        f"{allowed(check):.2g}",
        check.source,
        verdict,
    ]


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


def _tolerances(checks: Sequence[Check]) -> str:
    """Each reason once, with the tolerances it is given for."""
    reasons: dict[str, list[float]] = {}
    for check in checks:
        reasons.setdefault(check.why, []).append(check.tolerance)
    lines = []
    for why, values in reasons.items():
        low, high = f"{min(values):.2g}", f"{max(values):.2g}"
        if max(values) > 0:
            lines.append(f"* {low if low == high else f'{low} to {high}'}: {why}.")
    return "\n".join(["Tolerances beside the standard errors:", "", *lines]) if lines else ""


def allowed(check: Check) -> float:
    """How far the value may be off in all: tolerance and standard errors."""
    return check.tolerance + N_ERRORS * check.error


def measured(check: Check) -> str:
    """Value and standard error, rounded to two digits of the error."""
    if not math.isfinite(check.value):
        return "-"
    if not (math.isfinite(check.error) and check.error > 0):
        return f"{check.value:.2g}" if check.target == 0 else f"{check.value:.5g}"
    places = 1 - math.floor(math.log10(float(f"{check.error:.1e}")))
    if places > 6 or places < -3:
        power = math.floor(math.log10(float(f"{max(check.error, abs(check.value)):.1e}")))
        digits = places + power
        value, error = check.value / 10.0**power, check.error / 10.0**power
        return f"({value:.{digits}f} ± {error:.{digits}f})e{power}"
    rounded = round(check.value, places) + 0.0  # no minus before a zero
    return f"{rounded:.{max(places, 0)}f} ± {round(check.error, places):.{max(places, 0)}f}"


def _target(check: Check) -> str:
    return f"{check.target:.6g}"
