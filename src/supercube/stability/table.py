"""The stability map as a table: one line a point, with every measured number and both answers."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

from ..crystals.library import STRUCTURES
from ..errors import FileFormatError, InputError
from ..files import write_whole
from .phases import PurePhase, StabilityPoint, Verdict, stability_point

_POINT = ("size_ratio", "ligand_length", "pressure", "attraction", "stoichiometry")
_VERDICT = ("winner", "runner_up", "margin", "margin_error", "undecided")
#: Columns of one crystal, per formula unit: those that are read again, and those that follow from them.
_MEASURED = ("V", "V_error", "U", "U_error", "H", "H_error", "S", "S_error")
_MISMATCH = ("mismatch", "mismatch_error", "mismatch_largest")
_DERIVED = ("allowance", "G", "G_error")
_WORDS = ("lost", "note")


def save_csv(points: Sequence[StabilityPoint], path: str | os.PathLike[str]) -> None:
    """Write the table: e^3 for V, kT for U, H, G and margins, k for S, kT/e^3 for the pressure.

    V to G stand under the name of the crystal (``ABO3_G``), per formula unit; margins are for one sphere and its cubes.
    The error of S is statistical; those of G and of margins by G hold the uncertainty of the Gaussian (``allowance``)
    as well. ``mismatch`` is G less G at the next lower pressure less int V dP, ``mismatch_largest`` what errors do not
    explain between any two pressures; ``missing`` names the competitors that were not run.
    """
    found = {phase.name for point in points for phase in point.phases}
    names = [name for name in STRUCTURES if name in found]
    heads = [*_POINT, *(f"{key}_by_{by}" for by in ("enthalpy", "gibbs") for key in _VERDICT)]
    heads += ["reason", "missing"]
    heads += [f"{name}_{key}" for name in names for key in (*_MEASURED, *_MISMATCH, *_DERIVED, *_WORDS)]
    text = StringIO()
    writer = csv.DictWriter(text, heads, lineterminator="\n", restval="")
    writer.writeheader()
    for point in points:
        writer.writerow(_row(point))
    write_whole(path, text.getvalue().encode())


def _row(point: StabilityPoint) -> dict[str, str]:
    row = {key: repr(float(getattr(point, key))) for key in _POINT}
    row |= _verdict(point.by_enthalpy, "enthalpy") | _verdict(point.by_gibbs, "gibbs")
    row |= {"reason": point.by_gibbs.reason, "missing": " ".join(point.missing)}
    for phase in point.phases:
        row |= {f"{phase.name}_{key}": value for key, value in _numbers(phase).items()}
        row |= {f"{phase.name}_lost": phase.lost, f"{phase.name}_note": phase.note}
    return row


def _verdict(verdict: Verdict, by: str) -> dict[str, str]:
    margin, error = (_short(value) if verdict.runner_up else "" for value in (verdict.margin, verdict.error))
    values = (verdict.winner, verdict.runner_up, margin, error, "yes" if verdict.undecided else "no")
    return {f"{key}_by_{by}": value for key, value in zip(_VERDICT, values, strict=True)}


def _numbers(phase: PurePhase) -> dict[str, str]:
    entropy = (phase.entropy, phase.entropy_error) if phase.entropy is not None else (None, None)
    measured = (phase.volume, phase.volume_error, phase.energy, phase.energy_error)
    enthalpy = (phase.enthalpy, phase.enthalpy_error)
    mismatch = (phase.mismatch, phase.mismatch_error) if phase.mismatch is not None else (None, None)
    derived = (phase.mismatch_largest, phase.allowance, *(phase.gibbs or (None, None)))
    values = (*measured, *enthalpy, *entropy, *mismatch, *derived)
    return {key: _short(value) for key, value in zip((*_MEASURED, *_MISMATCH, *_DERIVED), values, strict=True)}


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def load_csv(path: str | os.PathLike[str]) -> list[StabilityPoint]:
    """Read what :func:`save_csv` wrote; the winners are found anew.

    Raises:
        FileFormatError: the file is missing, or no such table.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path} does not exist; expected a table of the stability map.")
    rows = list(csv.DictReader(StringIO(path.read_text(encoding="utf-8-sig"))))
    try:
        return [_point(row) for row in rows]
    except (KeyError, TypeError, ValueError, InputError) as error:
        raise FileFormatError(
            f"{path} is no table of the stability map ({' '.join(str(error).split())}); expected what it wrote."
        ) from error


def _point(row: Mapping[str, str]) -> StabilityPoint:
    values = {key: float(row[key]) for key in _POINT}
    phases = [_phase(row, name) for name in STRUCTURES if row.get(f"{name}_V")]
    return stability_point(**values, phases=phases)


def _phase(row: Mapping[str, str], name: str) -> PurePhase:
    cubes, spheres = STRUCTURES[name].stoichiometry
    number = {key: float(cell) if (cell := row[f"{name}_{key}"]) else None for key in (*_MEASURED, *_MISMATCH)}
    always = {key: float(row[f"{name}_{key}"]) for key in (*_MEASURED[:6], "mismatch_largest")}
    return PurePhase(
        name,
        cubes,
        spheres,
        volume=always["V"],
        volume_error=always["V_error"],
        energy=always["U"],
        energy_error=always["U_error"],
        enthalpy=always["H"],
        enthalpy_error=always["H_error"],
        entropy=number["S"],
        entropy_error=number["S_error"] or 0.0,
        lost=row[f"{name}_lost"],
        note=row[f"{name}_note"],
        mismatch=number["mismatch"],
        mismatch_error=number["mismatch_error"] or 0.0,
        mismatch_largest=always["mismatch_largest"],
    )
