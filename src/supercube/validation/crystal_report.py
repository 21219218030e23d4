"""What the report says about pressed crystals beside their checks: table, figure, and why some fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..crystals.enthalpy import ground_state
from ..crystals.library import structure
from ..theory import ranking
from .crystals import FEWEST_PRESSURES, HELD, TOLERANCE, Kind, Pressed, crystal_checks, extrapolation_check, held_check

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What competes with a crystal of both species where it does not hold.
RIVALS = ("SC", "fcc", "NaCl", "ABO3")
_HEAD = ("crystal", "P", "a measured", "a_0 (least enthalpy)", "a_s (faces slide)", "a_d (packing at d(P))", "O angle")
_HEAD_END = ("its theory", "in the crystal")


def explanations(crystals: Sequence[Pressed]) -> dict[str, str]:
    """Name of a check that fails -> why, where that is known."""
    found: dict[str, str] = {}
    for crystal in crystals:
        held, line = held_check(crystal), extrapolation_check(crystal)
        if not held.passed:
            found[held.name] = _lost(crystal)
        if crystal.held and crystal.line is None:
            found[line.name] = _too_few(crystal)
        elif crystal.held and not line.passed and crystal.expected == "a_s":
            found[line.name] = _sheared(crystal)
        elif crystal.held and not line.passed and not held.passed:
            found[line.name] = "It did not hold at all pressures, and was on its way at those that are left."
        if crystal.kind.structure == "ABO3" and crystal.kind.size_ratio > 0.47:
            failed = [check.name for check in crystal_checks([crystal]) if not check.passed]
            found |= {name: _TILTS for name in failed if "a_0/a_d" in name}
    return found


_TILTS = (
    "The packing of the library holds the spin axes of the O cubes along B-O. Above a size ratio of about 0.47 and "
    "with short ligands a denser packing tilts them by about 10 degrees; the least enthalpy finds it, and hard "
    "bodies without overlap confirm it. The formula, not the model, is too large here."
)


def _lost(crystal: Pressed) -> str:
    lost = ", ".join(f"{p.pressure:g}" for p in crystal.points if p.held < HELD)
    return f"It melted or transformed at P = {lost}; no lattice constant or angle is taken from there. " + _rivals(
        crystal.kind
    )


def _rivals(kind: Kind) -> str:
    """What closest packing says about a crystal of both species: P times its excess volume drives it apart."""
    entry = structure(kind.structure)
    if len(entry.species) == 1:
        return "It has no rival of another composition."
    names = tuple(dict.fromkeys((*RIVALS, kind.structure)))
    cubes = entry.count("cube") / entry.count("sphere")
    answer = ranking(kind.size_ratio, kind.ligand_length, cubes, structures=names)
    excess = next(row["excess_volume"] for row in answer["candidates"] if row["phases"] == kind.structure)
    if excess < 1e-9:
        return "It is the closest packing of these bodies, so volume does not explain it."
    leave = " The cubes leave their places while the lattice of spheres stays."
    return (
        f"At closest packing it takes {100 * excess:.1f} % more volume than {answer['winner']}, and P times that "
        f"volume drives it apart.{leave if kind.structure == 'ABO3' else ''}"
    )


def _too_few(crystal: Pressed) -> str:
    held, lost = ({p.pressure for p in crystal.points if (p.held >= HELD) == kept} for kept in (True, False))
    text = (
        f"It held at {len(held)} of the pressures finished, expected {FEWEST_PRESSURES} or more for a straight line; "
    )
    if lost:
        return text + f"it was lost at P = {', '.join(f'{p:g}' for p in sorted(lost))}."
    return text + "finish the other jobs of this crystal."


def _sheared(crystal: Pressed) -> str:
    """SC of rounded cubes is no minimum: what the least enthalpy gains where cells may shear."""
    last, kind, model = crystal.points[-1], crystal.kind, crystal.kind.model
    sizes = (kind.size_ratio, kind.ligand_length, last.pressure)
    free = ground_state("SC", model, *sizes, freedom="all")
    return (
        f"Rows of cubes slide: bead on bead (a_0 {last.theory.minimum:.4f} at P = {last.pressure:g}) is the top of "
        "what faces go through. Pressure then shears rounded cubes towards a rhombic lattice: the least enthalpy found "
        f"with free shear has a = {free.lattice_constant:.4f} there, measured is {last.lattice_constant:.4f}."
    )


def crystal_table(crystals: Sequence[Pressed]) -> str:
    """Markdown: every crystal at every pressure."""
    head = [*_HEAD, *_HEAD_END]
    rows = [head, ["---"] * len(head)]
    for crystal in crystals:
        for p in crystal.points:
            held = p.held >= HELD
            rows.append(
                [
                    str(crystal),
                    f"{p.pressure:g}",
                    f"{p.lattice_constant:.4f} ± {p.error:.4f}" if held else "lost",
                    f"{p.theory.minimum:.4f}",
                    "" if p.theory.sliding is None else f"{p.theory.sliding:.4f}",
                    f"{p.theory.packing:.4f}",
                    f"{p.angle:.1f} (spread {p.spread:.1f})" if held and p.angle is not None else "",
                    "" if p.theory.angle is None else f"{p.theory.angle:.1f}",
                    f"{p.held:.2f}",
                ]
            )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def crystal_figure(path: Path, crystals: Sequence[Pressed]) -> None:
    """Swelling a/a_0 - 1 against 1/P with the straight lines, a panel for each structure."""
    from ..observe._figure import new_figure, save_png

    names = list(dict.fromkeys(crystal.kind.structure for crystal in crystals))
    figure = new_figure(3.3 * len(names) + 0.4, 3.6)
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for ax, name in zip(axes, names, strict=True):
        own = [crystal for crystal in crystals if crystal.kind.structure == name]
        _draw_panel(ax, own)
        symbol = {"a_0": "a₀", "a_s": "aₛ"}[own[0].expected]
        ax.set(xlabel="1/P  (e³/kT)", title=name, xlim=(0, None), ylabel=f"a/{symbol} − 1  (%)")
    figure.tight_layout()
    save_png(figure, path)


def _draw_panel(ax: Axes, own: Sequence[Pressed]) -> None:
    for k, crystal in enumerate(own):
        colour, mark = _COLOURS[k % len(_COLOURS)], _MARKS[k % len(_MARKS)]
        label = str(crystal).partition("(")[2].rstrip(")").replace("gamma", "γ").replace("lambda", "λ")
        lost = len(crystal.points) - len(crystal.held)
        label += f": lost at {lost} of {len(crystal.points)}" if lost else ""
        inverse, swelling, error = crystal.swelling
        ax.errorbar(inverse, 100 * swelling, 100 * error, fmt=mark, ms=4, color=colour, label=label)
        if crystal.line is not None:
            value, _, slope = crystal.line
            ends = np.array([0.0, inverse.max()])
            ax.plot(ends, 100 * (value - 1 + slope * ends), "-", lw=1, color=colour)
    ax.axhspan(-100 * TOLERANCE, 100 * TOLERANCE, color="#EEEEEE", zorder=0)
    ax.axhline(0, color="#999999", lw=0.8)
    ax.legend(frameon=False, fontsize=6.5, loc="upper left")


_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C510A", "#777777")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
