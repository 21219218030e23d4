"""A job document and a state point in words, with units."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..progress import duration
from .readable import number, percent, shown, with_error, words

#: What is known about the keys of a job document: words and unit, by section. ``model.beads`` is a key within a key.
#: Whatever else stands in a document is shown under "Other".
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Result": {
        "structure": ("structure", ""),
        "structure_fraction": ("share of particles", "%"),
        "packing_fraction": ("packing fraction φ", ""),
        "thermal.packing_fraction": ("φ with sizes at kT", ""),
        "cubatic_order": ("cubatic order", ""),
        "lattice_constant": ("lattice constant", "e"),
        "c_over_a": ("c/a", ""),
        "n_grains": ("grains", ""),
        "vacancy_fraction": ("vacancies", "%"),
        "substituted_fraction": ("wrong species on a site", "%"),
        "displacement_rms": ("rms displacement from the sites", "a"),
        "orientation_fwhm_deg": ("orientation spread (FWHM)", "°"),
        "o_site_angle_deg": ("turn of the O cubes", "°"),
        "mobile_fraction": ("mobile particles", "%"),
        "pressure": ("pressure", "kT/e³"),
        "molten": ("molten", ""),
    },
    "Hold": {
        "potential_energy": ("potential energy", "kT"),
        "enthalpy": ("enthalpy U + PV", "kT"),
        "volume": ("volume", "e³"),
        "frames": ("frames classified", ""),
    },
    "Crystal": {
        "cell_lengths": ("cell lengths", "e"),
        "cell_angles_deg": ("cell angles", "°"),
        "grains": ("grains", ""),
        "sublattices": ("sublattices", ""),
        "lindemann": ("Lindemann ratio", ""),
        "orientation_coherence": ("orientation coherence", ""),
        "o_site_angle_spread_deg": ("spread of the O cubes' turn", "°"),
        "thermal": ("sizes at kT", ""),
        "n_cubes": ("cubes", ""),
        "n_spheres": ("spheres", ""),
    },
    "Run": {
        "engine": ("engine", ""),
        "engine_version": ("engine version", ""),
        "device": ("device", ""),
        "engine_settings": ("engine settings", ""),
        "steps_done": ("steps done", ""),
        "total_steps": ("steps in all", ""),
        "steps_per_second": ("speed", "steps/s"),
        "wall_seconds": ("wall-clock time", "time"),
        "schema_version": ("schema version", ""),
        "continued_from": ("continued from job", ""),
        "space_hold_time": ("hold as the space says", "e²/D₀"),
    },
    "Protocol": {
        "protocol.initial_packing_fraction": ("packing fraction of a fluid start", ""),
        "protocol.equilibration_time": ("equilibration", "e²/D₀"),
        "protocol.hold_time": ("hold", "e²/D₀"),
        "protocol.initial_pressure": ("pressure before the ramp", "kT/e³"),
        "protocol.ramp_time": ("ramp", "e²/D₀"),
        "protocol.box": ("what the pressure changes", ""),
    },
    "Model": {
        "model.beads": ("beads per cube", ""),
        "model.bead_radii": ("bead radii", "e"),
        "model.bead_spacing": ("bead spacing", "e"),
        "model.sigma": ("range of the repulsion σ", "e"),
        "model.wells": ("wells (cube-cube, cube-sphere, sphere-sphere)", "kT"),
        "model.roughness": ("roughness", "e"),
        "model.dent": ("deepest dent", "e"),
        "model.time_step": ("time step", "e²/D₀"),
        "model.stiffest_contact": ("stiffest contact", ""),
        "model.body_hash": ("hash of the body", ""),
    },
}
#: Keys with a place of their own on the page, or too long to read.
_ELSEWHERE = {"error", "notes", "fractions", "o_site_angle_histogram"}

#: Words and units of the state point.
STATE_POINT: dict[str, tuple[str, str]] = {
    "size_ratio": ("size ratio γ", ""),
    "ligand_length": ("ligand length λ", "e"),
    "evaporation_rate": ("Péclet number Pe", ""),
    "n_cubes": ("cubes", ""),
    "n_spheres": ("spheres", ""),
    "attraction": ("attraction", "kT"),
    "initial": ("start", ""),
    "expansion": ("expansion of the start", ""),
    "geometry": ("geometry", ""),
    "target_packing_fraction": ("target packing fraction", ""),
    "pressure": ("pressure", "kT/e³"),
    "roughness": ("allowed roughness", "e"),
    "size_dispersity": ("size dispersity", ""),
    "replicate": ("replicate", ""),
}

#: One line of a section: words, value.
Line = tuple[str, str]


def sections(document: Mapping[str, Any]) -> dict[str, list[Line]]:
    """A job document in sections of lines; values that are not defined are left out, nothing else is.

    A key and its ``_sem`` become one line with an error.
    """
    flat = _flat(document)
    found: dict[str, list[Line]] = {}
    used = set(_ELSEWHERE)
    for name, fields in SECTIONS.items():
        keys = [key for key in fields if flat.get(key) is not None]
        found[name] = [(fields[key][0], _line(key, flat[key], flat.get(_error(key)), fields[key][1])) for key in keys]
        used |= {*fields, *map(_error, fields)}
    # A mapping is shown by its own key or by those within it, never twice.
    known = used | {key.split(".")[0] for key in used}
    found["Other"] = [(key, shown(value)) for key, value in _others(flat, document, known, used) if value is not None]
    return {name: lines for name, lines in found.items() if lines}


def _error(key: str) -> str:
    """Key of the standard error: of ``orientation_fwhm_deg`` it is ``orientation_fwhm_sem``."""
    return key.removesuffix("_deg") + "_sem"


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    flat = dict(document)
    for key, value in document.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": item for inner, item in value.items()}
    return flat


def _others(
    flat: Mapping[str, Any], document: Mapping[str, Any], known: set[str], used: set[str]
) -> Iterable[tuple[str, Any]]:
    for key, value in document.items():
        if key not in known:
            yield words(key), value
        elif key not in used:  # shown key by key: what is new in it
            if isinstance(value, Mapping):
                inner = [f"{key}.{name}" for name in value]
                yield from ((words(name.replace(".", ": ")), flat[name]) for name in inner if name not in used)
            else:
                yield words(key), value


def _line(key: str, value: Any, error: Any, unit: str) -> str:
    if key in _LISTS and isinstance(value, list):
        # Anybody may write into a document; what does not look as expected is shown as it is.
        with contextlib.suppress(AttributeError, TypeError, ValueError):
            return "; ".join(_LISTS[key](item) for item in value) or "none"
    return _with_unit(value, error, unit)


def _grain(grain: Mapping[str, Any]) -> str:
    text = f"{grain.get('structure')}, {grain.get('particles')} particles"
    if grain.get("lattice_constant"):
        text += f", a = {number(grain['lattice_constant'])} e"
    return text + (f", turned by {grain['misorientation_deg']:.1f}°" if grain.get("misorientation_deg") else "")


def _sublattice(found: Mapping[str, Any]) -> str:
    spread = f", spread {found['orientation_fwhm_deg']:.3g}°" if found.get("orientation_fwhm_deg") else ""
    lindemann = f", Lindemann {number(found['lindemann'], 2)}" if found.get("lindemann") is not None else ""
    return f"{found.get('site')}: {found.get('particles')} {found.get('species')}s{lindemann}{spread}"


#: Keys whose value is a list of mappings, and an item of it in words.
_LISTS = {"grains": _grain, "sublattices": _sublattice}


def _with_unit(value: Any, error: Any, unit: str) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number:
        return shown(value) + unit if unit == "°" else shown(value, unit if unit not in ("%", "time") else "")
    if unit == "time":
        return duration(value)
    error = float(error) if isinstance(error, int | float) else None
    if unit == "%":
        return percent(value, error)
    text = with_error(value, error) if error else number(value)
    return text + (unit if unit == "°" else f" {unit}" if unit else "")
