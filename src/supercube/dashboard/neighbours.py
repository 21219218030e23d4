"""Jobs that differ from one in a single parameter: what the navigator walks along."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .documents import STATE_POINT
from .entries import Entry
from .readable import shown

#: Keys that belong together: a crystal of another structure also has other numbers of particles.
_START = ("n_cubes", "n_spheres", "initial", "expansion")
_AXES: dict[str, tuple[str, ...]] = {
    "size ratio γ": ("size_ratio",),
    "ligand length λ": ("ligand_length",),
    "Péclet number Pe": ("evaporation_rate",),
    "target φ": ("target_packing_fraction",),
    "pressure P": ("pressure",),
    "attraction": ("attraction",),
    "composition and start": _START,
    "geometry": ("geometry",),
    "roughness": ("roughness",),
    "size dispersity": ("size_dispersity",),
    "replicate": ("replicate",),
}


def neighbours(entry: Entry, others: Iterable[Entry]) -> dict[str, list[tuple[str, Entry]]]:
    """For each parameter along which there are other jobs: all values along it, this job's among them, sorted.

    Args:
        entry: where one is.
        others: all jobs; this one may be among them.
    """
    along: dict[str, list[Entry]] = {}
    mine = {axis: _values(entry, keys) for axis, keys in _AXES.items()}
    for other in others:
        if other.id == entry.id:
            continue
        differing = [axis for axis, keys in _AXES.items() if _values(other, keys) != mine[axis]]
        if len(differing) == 1:
            along.setdefault(differing[0], []).append(other)
    return {axis: _sorted(axis, [entry, *along[axis]]) for axis in _AXES if axis in along}


def _values(entry: Entry, keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(entry.state_point[key] for key in keys)


def _sorted(axis: str, entries: list[Entry]) -> list[tuple[str, Entry]]:
    keys = _AXES[axis]
    if keys == _START:
        entries = sorted(entries, key=lambda one: (str(one.state_point["initial"]), one.order))
        return [(_start(one), one) for one in entries]
    return [(shown(one.state_point[keys[0]]), one) for one in sorted(entries, key=lambda one: _values(one, keys))]


def _start(entry: Entry) -> str:
    point = entry.state_point
    counts = [f"{point[key]} {STATE_POINT[key][0]}" for key in ("n_cubes", "n_spheres") if point[key]]
    start = "file" if point["initial"].startswith("file:") else point["initial"]
    stretch = f" × {point['expansion']:g}" if point["expansion"] != 1 else ""
    return f"{start}{stretch}, {' + '.join(counts)}"
