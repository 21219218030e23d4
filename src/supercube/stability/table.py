"""The stability map as a table: one line a point, with every measured number and both answers."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

from ..crystals.library import STRUCTURES
from ..errors import FileFormatError, InputError
from .phases import PurePhase, StabilityPoint, Verdict, stability_point

_POINT = ("size_ratio", "ligand_length", "pressure", "attraction", "stoichiometry")
_VERDICT = ("winner", "runner_up", "margin", "margin_error", "undecided")
#: Columns of one crystal, per formula unit: those that are read again, and those that follow from them.
_MEASURED = ("V", "V_error", "U", "U_error", "S", "S_error")
_DERIVED = ("H", "H_error", "G", "G_error")
_WORDS = ("lost", "note")


def save_csv(points: Sequence[StabilityPoint], path: str | os.PathLike[str]) -> None:
    """Write the table: e^3 for V, kT for U, H, G and margins, k for S, kT/e^3 for the pressure.

    V to G stand under the name of the crystal (``ABO3_G``), per formula unit; margins are for one sphere and its cubes.
    The error of S is statistical; those of G and of margins by G hold the uncertainty of the Gaussian as well.
    """
    found = {phase.name for point in points for phase in point.phases}
    names = [name for name in STRUCTURES if name in found]
    heads = [*_POINT, *(f"{key}_by_{by}" for by in ("enthalpy", "gibbs") for key in _VERDICT), "reason"]
    heads += [f"{name}_{key}" for name in names for key in (*_MEASURED, *_DERIVED, *_WORDS)]
    text = StringIO()
    writer = csv.DictWriter(text, heads, lineterminator="\n", restval="")
    writer.writeheader()
    for point in points:
        writer.writerow(_row(point))
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(path)


def _row(point: StabilityPoint) -> dict[str, str]:
    row = {key: repr(float(getattr(point, key))) for key in _POINT}
    row |= _verdict(point.by_enthalpy, "enthalpy") | _verdict(point.by_gibbs, "gibbs")
    row["reason"] = point.by_gibbs.reason
    for phase in point.phases:
        row |= {f"{phase.name}_{key}": value for key, value in _numbers(phase, point.pressure).items()}
        row |= {f"{phase.name}_lost": phase.lost, f"{phase.name}_note": phase.note}
    return row


def _verdict(verdict: Verdict, by: str) -> dict[str, str]:
    margin, error = (_short(value) if verdict.runner_up else "" for value in (verdict.margin, verdict.error))
    values = (verdict.winner, verdict.runner_up, margin, error, "yes" if verdict.undecided else "no")
    return {f"{key}_by_{by}": value for key, value in zip(_VERDICT, values, strict=True)}


def _numbers(phase: PurePhase, pressure: float) -> dict[str, str]:
    entropy = (phase.entropy, phase.entropy_error) if phase.entropy is not None else (None, None)
    measured = (phase.volume, phase.volume_error, phase.energy, phase.energy_error, *entropy)
    derived = (*phase.enthalpy(pressure), *(phase.gibbs(pressure) or (None, None)))
    return {key: _short(value) for key, value in zip((*_MEASURED, *_DERIVED), (*measured, *derived), strict=True)}


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
    volume, volume_error, energy, energy_error = (float(row[f"{name}_{key}"]) for key in _MEASURED[:4])
    entropy, entropy_error = row[f"{name}_S"], row[f"{name}_S_error"]
    return PurePhase(
        name,
        cubes,
        spheres,
        volume,
        volume_error,
        energy,
        energy_error,
        float(entropy) if entropy else None,
        float(entropy_error) if entropy else 0.0,
        row[f"{name}_lost"],
        row[f"{name}_note"],
    )
