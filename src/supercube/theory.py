"""``supercube packing`` and ``supercube phases``: what packs closest, as plain types and as text."""

from __future__ import annotations

import math
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .crystals.diagram import check_stoichiometry, diagram, load_csv, packing_table, refine, save_csv
from .crystals.library import O_SITE_ANGLE, STRUCTURES, Parameters, structure
from .crystals.packing import close_packing
from .crystals.phases import BINARY, Mixture, check_holds, densest, distinct, pure_phases
from .errors import InputError
from .model.shapes import body_volume
from .statepoint import StatePoint

#: No nanocrystal is larger, nm.
LARGEST_NM = 1e6
#: Names of what ``supercube packing`` prints beside the numbers, in the order of the lines.
_LINES = (
    ("lattice constant a", "lattice_constant", "cube edges"),
    ("c/a", "c_over_a", ""),
    ("volume of the cell", "cell_volume", "cube edges^3"),
    ("packing fraction", "packing_fraction", ""),
    ("O site angle", "o_site_angle_deg", "degrees about the B-O axis"),
)


def held_angle(text: str) -> dict[str, float]:
    """What ``--o-site-angle`` holds: nothing for ``free``, else the angle in degrees.

    Raises:
        InputError: neither ``free`` nor a number.
    """
    if text == "free":
        return {}
    try:
        return {O_SITE_ANGLE: float(text)}
    except ValueError:
        raise InputError(f"--o-site-angle is {text!r}; expected free or an angle in degrees, such as 45.") from None


def packing_answer(
    name: str,
    *,
    size_ratio: float | None,
    ligand_length: float,
    model: str = "hard",
    o_site_angle: str | None = None,
    second_edge: float | None = None,
    cube_edge_nm: float | None = None,
) -> dict[str, Any]:
    """The closest packing of one structure; lengths in cube edges, and in nm if the size of the cubes is given.

    Args:
        name: a structure.
        size_ratio: gamma; needed where there are spheres and cubes.
        ligand_length: lambda.
        model: ``hard`` or ``otm``.
        o_site_angle: ``free`` or degrees, for structures with O sites; None leaves it free.
        second_edge: edge of the second species of cubes over that of the first.
        cube_edge_nm: effective edge of a cube.

    Raises:
        InputError: as :func:`.crystals.packing.close_packing`; the message names the option.
    """
    entry = structure(name)
    if size_ratio is None and entry.species > {"sphere"}:
        raise InputError(
            f"--size-ratio is missing, but {name} holds cubes and spheres; expected the cube edge over the sphere "
            "diameter, such as --size-ratio 0.49."
        )
    packing = close_packing(
        name,
        1.0 if size_ratio is None else size_ratio,
        ligand_length,
        model=model,
        held=held_angle(o_site_angle) if o_site_angle else None,
        second_edge=second_edge,
    )
    answer = packing.document()
    if cube_edge_nm is not None:
        edge = _edge_nm(cube_edge_nm)
        answer |= {"cube_edge_nm": edge, "lattice_constant_nm": packing.lattice_constant * edge}
    return answer


def _edge_nm(edge: float) -> float:
    if not 0 < edge <= LARGEST_NM:
        raise InputError(
            f"--cube-edge-nm is {edge:g}; expected the effective edge of a cube (core and ligands), up to "
            f"{LARGEST_NM:g} nm."
        )
    return edge


def library_answer() -> dict[str, Any]:
    """Every structure of the library, as plain types."""
    return {
        "structures": [
            {
                "name": entry.name,
                "contents": {kind: entry.count(kind) for kind in sorted(entry.species)},
                "system": entry.system,
                "space_group": entry.space_group,
                "free_parameters": [parameter.name for parameter in entry.parameters],
                "start": entry.name in BINARY,
                "references": list(entry.references),
            }
            for entry in STRUCTURES.values()
        ]
    }


def library_text(answer: Mapping[str, Any]) -> str:
    """:func:`library_answer` as an aligned table."""
    lines = [f"{'structure':<14}{'particles a cell':<36}{'space group':<13}{'start':<7}free parameters"]
    for entry in answer["structures"]:
        contents = _contents(entry["contents"])
        start, free = "yes" if entry["start"] else "no", ", ".join(entry["free_parameters"]) or "-"
        lines.append(f"{entry['name']:<14}{contents:<36}{entry['space_group']:<13}{start:<7}{free}")
        lines += [f"{'':<14}{reference}" for reference in entry["references"]]
    return "\n".join(lines)


def _contents(numbers: Mapping[str, int]) -> str:
    return " + ".join(f"{n} {kind.replace('_', ' ')}{'' if n == 1 else 's'}" for kind, n in numbers.items())


def packing_text(answer: Mapping[str, Any]) -> str:
    """:func:`packing_answer` as aligned lines."""
    entry = STRUCTURES[answer["structure"]]
    contents = _contents({kind: entry.count(kind) for kind in sorted(entry.species)})
    how = "closed formulas" if answer["exact"] else "minimised: a lower bound of the packing fraction"
    if answer["model"] == "otm":
        how = "orbifold model: cubes count as spheres of diameter e, at their undeformed volume"
    lines = [f"{answer['structure']}: {contents} a cell, space group {entry.space_group} ({how})"]
    for label, key, unit in _LINES:
        if answer[key] is not None and not (key == "c_over_a" and entry.system == "cubic"):
            lines.append(f"  {label:<20}{answer[key]:<12.6g}{unit}".rstrip())
        if key == "lattice_constant" and "lattice_constant_nm" in answer:
            lines.append(f"  {'':<20}{answer['lattice_constant_nm']:<12.5g}nm")
    lines += [f"  {name:<20}{value:<12.6g}" for name, value in answer["parameters"].items()]
    if answer["arrangement"]:
        lines.append(f"  {'orientation':<20}{answer['arrangement']}")
    return "\n".join(lines)


def ranking(
    size_ratio: float,
    ligand_length: float,
    stoichiometry: float,
    *,
    structures: Sequence[str] | None = None,
    o_site_angle: str = "free",
    cube_edge_nm: float | None = None,
) -> dict[str, Any]:
    """What fills the least volume at one point, and by how much the others miss it.

    Args:
        size_ratio: gamma.
        ligand_length: lambda.
        stoichiometry: cubes per sphere.
        structures: those that compete; all of one species of cubes and spheres if left out.
        o_site_angle: ``free`` or degrees.
        cube_edge_nm: effective edge of a cube, for lattice constants in nm.

    Returns:
        dict: ``size_ratio``, ``ligand_length``, ``stoichiometry``, ``winner``, and ``candidates``, densest first, each
        with ``phases`` (a structure of both species with what is left over beside it, or separation), ``shares`` of all
        particles, ``packing_fraction`` of the whole, ``excess_volume`` over the winner's, and ``lattice_constant``; and
        ``repeated``: structures whose closest packing is that of another one (CuAu with c/a = 1/sqrt2 is CsCl).

    Raises:
        InputError: sizes that no particle has, unknown structures, or a stoichiometry that is not positive.
    """
    check_stoichiometry(stoichiometry)
    names = BINARY if structures is None else structures
    held = _held(names, o_site_angle)
    pure = pure_phases(size_ratio, ligand_length, names, held)
    check_holds(pure, stoichiometry, 1)
    phases = distinct(pure)
    alone = [phase for phase in phases if min(phase.cubes, phase.spheres) == 0]
    both = [phase for phase in phases if phase not in alone]
    found = [densest(phases, stoichiometry, 1), densest(alone, stoichiometry, 1)]
    found += [densest([phase, *alone], stoichiometry, 1, holding=phase.name) for phase in both]
    # The winner may mix two structures of both species; as a rule it is one of the others and stands here once.
    unique = {mixture.label: mixture for mixture in sorted(found, key=lambda mixture: -mixture.volume)}
    candidates = sorted(unique.values(), key=lambda mixture: mixture.volume)
    bodies, edge = body_volume(stoichiometry, 1, size_ratio, ligand_length), cube_edge_nm
    rows = [_candidate(mixture, bodies, found[0].volume, (size_ratio, ligand_length), held) for mixture in candidates]
    if edge is not None:
        rows = [row | {"lattice_constant_nm": _times(row["lattice_constant"], _edge_nm(edge))} for row in rows]
    return {
        "size_ratio": size_ratio,
        "ligand_length": ligand_length,
        "stoichiometry": stoichiometry,
        "winner": found[0].label,
        "candidates": rows,
        "repeated": [phase.name for phase in pure if phase not in phases and phase.cubes and phase.spheres],
    }


def _held(names: Sequence[str], o_site_angle: str) -> dict[str, Parameters]:
    angle = held_angle(o_site_angle)
    turned = [name for name in names if any(one.name == O_SITE_ANGLE for one in structure(name).parameters)]
    return {name: angle for name in turned if angle}


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _candidate(
    mixture: Mixture,
    bodies: float,
    least: float,
    sizes: tuple[float, float],
    held: Mapping[str, Parameters],
) -> dict[str, Any]:
    both = [name for name in mixture.names if len(STRUCTURES[name].species) > 1]
    packing = close_packing(both[0], *sizes, held=held.get(both[0])) if both else None
    return {
        "phases": mixture.label,
        "shares": dict(zip(mixture.names, mixture.shares, strict=True)),
        "packing_fraction": bodies / mixture.volume,
        "excess_volume": max(mixture.volume / least - 1, 0.0),
        "lattice_constant": packing.lattice_constant if packing else None,
        "c_over_a": packing.c_over_a if packing else None,
    }


def enthalpy_ranking(
    size_ratio: float,
    ligand_length: float,
    pressure: float,
    *,
    stoichiometry: float = 4.0,
    attraction: float = 0.0,
    roughness: float = 0.02,
    box: str = "lengths",
) -> dict[str, Any]:
    """Which crystals of the model have the least enthalpy U + P V at zero temperature (:mod:`.crystals.enthalpy`).

    Args:
        size_ratio: gamma.
        ligand_length: lambda.
        pressure: P, kT/e^3.
        stoichiometry: cubes per sphere, 4 or more.
        attraction: depth of the face-to-face well, kT.
        roughness: of the cubes, edges.
        box: what of the cells may change: isotropic, lengths or all.

    Returns:
        dict: these values and ``candidates``, lowest first, each with ``phases``, ``enthalpy`` and ``excess`` over the
        lowest, kT for one sphere and its cubes.

    Raises:
        InputError: sizes or cubes that cannot be, or a pressure that is not positive.
    """
    from .crystals.enthalpy import zero_temperature_rivals
    from .model.particles import build_model

    values = {"size_ratio": size_ratio, "ligand_length": ligand_length, "attraction": attraction}
    point = StatePoint.parse(values | {"roughness": roughness, "n_cubes": 4, "n_spheres": 1}, "phases --pressure")
    model = build_model(point)
    found = zero_temperature_rivals(
        model, size_ratio, ligand_length, pressure, stoichiometry=stoichiometry, freedom=box
    )
    least = min(found.values())
    return values | {
        "pressure": pressure,
        "stoichiometry": stoichiometry,
        "roughness": roughness,
        "box": box,
        "candidates": [{"phases": name, "enthalpy": h, "excess": h - least} for name, h in found.items()],
    }


def enthalpy_text(answer: Mapping[str, Any]) -> str:
    """:func:`enthalpy_ranking` as an aligned table."""
    lines = [
        f"least enthalpy of {answer['stoichiometry']:g} cubes per sphere at gamma {answer['size_ratio']:.4g}, lambda "
        f"{answer['ligand_length']:.4g}, P = {answer['pressure']:g} kT/e^3 (bead model at zero temperature, box: "
        f"{answer['box']})",
        f"  {'phases':<16}{'H / kT':>12}{'':>10}",
    ]
    for row in answer["candidates"]:
        excess = f"+{row['excess']:.2f}" if row["excess"] > 0 else "least"
        lines.append(f"  {row['phases']:<16}{row['enthalpy']:>12.2f}{excess:>10}")
    return "\n".join(lines)


def ranking_text(answer: Mapping[str, Any]) -> str:
    """:func:`ranking` as an aligned table."""
    cubes = f"{answer['stoichiometry']:g} cube{'' if answer['stoichiometry'] == 1 else 's'}"
    lines = [
        f"closest packing of {cubes} per sphere at gamma {answer['size_ratio']:.4g}, "
        f"lambda {answer['ligand_length']:.4g} (hard effective shapes at infinite pressure)",
        f"  {'phases':<16}{'packing':>9}{'volume':>9}{'a / e':>9}{'c/a':>7}" + _nm_head(answer),
    ]
    for row in answer["candidates"]:
        a = "-" if row["lattice_constant"] is None else f"{row['lattice_constant']:.4f}"
        ratio = row["c_over_a"]
        shown = "-" if ratio is None else f"{ratio:.3f}"
        volume = f"+{100 * row['excess_volume']:.1f} %" if row["excess_volume"] > 1e-9 else "least"
        nm = row.get("lattice_constant_nm")
        lines.append(
            f"  {row['phases']:<16}{row['packing_fraction']:>9.4f}{volume:>9}{a:>9}{shown:>7}"
            + ("" if "lattice_constant_nm" not in row else f"{'-' if nm is None else f'{nm:.2f}':>8}")
        )
    if answer["repeated"]:
        lines.append(f"  ({', '.join(answer['repeated'])}: packs as another structure above)")
    if len(answer["candidates"][0]["shares"]) > 1:
        lines.append("  (A + B: two phases side by side, since no single one holds this composition so densely)")
    return "\n".join(lines)


def _nm_head(answer: Mapping[str, Any]) -> str:
    return f"{'a / nm':>8}" if "lattice_constant_nm" in answer["candidates"][0] else ""


#: Axes of the map: lowest, highest value and number of points. Cubes of the experiments with spheres lie in the middle;
#: beyond lambda = 1/4 simple cubic is no longer the densest packing of cubes alone.
SIZE_RATIOS, LIGAND_LENGTHS = (0.3, 0.7, 60), (0.0, 0.25, 40)
#: The picture interpolates between the points of the table, this many times finer.
DRAWN_FINER = 3
#: More points than this along one axis are no map but a mistake.
MOST_POINTS = 1000


@dataclass(frozen=True, kw_only=True)
class MapRequest:
    """What ``supercube phases`` takes for a map.

    Attributes:
        stoichiometry: cubes per sphere.
        output: PNG to draw.
        csv: table to write.
        source: table of before to draw from, instead of computing one.
        size_ratios: lowest, highest and number of gammas; None takes ``SIZE_RATIOS``.
        ligand_lengths: the same of lambda; None takes ``LIGAND_LENGTHS``.
        structures: those that compete; None takes all.
        o_site_angle: ``free`` or degrees.
        workers: processes; 0 takes one a core.
    """

    stoichiometry: float = 4.0
    output: Path | None = None
    csv: Path | None = None
    source: Path | None = None
    size_ratios: Sequence[float] | None = None
    ligand_lengths: Sequence[float] | None = None
    structures: Sequence[str] | None = None
    o_site_angle: str = "free"
    workers: int = 0


def draw_map(request: MapRequest, tell: Callable[[str], None] | None = None) -> str:
    """Compute or read the table, write the files that are asked for, and say which phases win on which share.

    Args:
        request: what to draw.
        tell: takes a line of progress now and then; None writes them to stderr.

    Raises:
        InputError: nothing to write, axes that make no grid, or as :func:`.crystals.diagram.diagram`.
    """
    if request.output is None and request.csv is None:
        raise InputError("nothing to write; expected -o MAP.png, --csv MAP.csv, or a point (--size-ratio ...).")
    _check_files(request)
    check_stoichiometry(request.stoichiometry)
    if request.source is not None:
        if request.size_ratios or request.ligand_lengths or request.o_site_angle != "free":
            raise InputError(f"{request.source} fixes the axes and the O angle; leave them out with --from.")
        table = load_csv(request.source)
    else:
        names = BINARY if request.structures is None else request.structures
        table = packing_table(
            _points("--size-ratios", request.size_ratios or SIZE_RATIOS),
            _points("--ligand-lengths", request.ligand_lengths or LIGAND_LENGTHS),
            names,
            _held(names, request.o_site_angle),
            workers=_workers(request.workers),
            tell=_progress(tell or _to_stderr),
        )
    drawn = diagram(table, request.stoichiometry, request.structures)
    if request.output is not None:
        from .observe import plot_packing_map

        fine = diagram(refine(table, DRAWN_FINER), request.stoichiometry, request.structures)
        plot_packing_map(
            fine,
            request.output,
            structures=request.structures or table.structures,
            computed=(len(table.size_ratios), len(table.ligand_lengths)),
        )
    if request.csv is not None:
        save_csv(table, request.csv, drawn)
    shares = Counter(drawn.labels.ravel().tolist())
    words = ", ".join(f"{label} {100 * count / drawn.labels.size:.1f} %" for label, count in shares.most_common())
    return f"share of the map at {request.stoichiometry:g} cubes per sphere: {words}"


def _check_files(request: MapRequest) -> None:
    if request.output is not None and request.output.suffix.lower() != ".png":
        raise InputError(f"-o is {request.output}; the map is drawn as PNG, so expected a name ending in .png.")
    for name, other in (("--csv", request.csv), ("--from", request.source)):
        if request.output and other and request.output.resolve() == other.resolve():
            raise InputError(f"-o and {name} are both {other}; expected two files.")


def _points(option: str, axis: Sequence[float]) -> list[float]:
    low, high, number = axis
    grows = math.isfinite(low) and math.isfinite(high) and low < high
    if not (grows and 2 <= number <= MOST_POINTS and number % 1 == 0):
        raise InputError(
            f"{option} is {low:g} {high:g} {number:g}; expected the lowest, a higher value, and 2 to {MOST_POINTS} "
            "points."
        )
    return [float(value) for value in np.linspace(low, high, int(number))]


def _workers(asked: int) -> int:
    if asked < 0:
        raise InputError(f"--workers is {asked}; expected a number of processes, or 0 for one a core.")
    return asked or len(os.sched_getaffinity(0))


def _progress(tell: Callable[[str], None]) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done * 10 // total > (done - 1) * 10 // total:  # each tenth
            tell(f"{done} of {total} points")

    return report


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
