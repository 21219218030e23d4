"""``supercube scatter``: S(q), I(q), Bragg reflections and a pattern of frames of a file, in 1/nm where e is known."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .configuration import Configuration
from .errors import InputError
from .files import write_whole
from .model.ligands import Quantity, find_ligand
from .model.nanocrystals import CORE_ERROR, EffectiveSizes, Nanocrystal, Preset, effective_sizes, find_preset
from .model.units import Units
from .observe._scatter_amplitudes import cube_sizes
from .observe._scatter_lattice import sizes_in
from .observe.scattering import Cores, Powder, Reflection, Scattering
from .order import Order
from .order.neighbours import neighbours_by_species
from .preset import DEFAULT_SHELL, PRESET_LIGANDS

#: Electrons per nm^3 of the materials of the presets: Z of the formula units in a unit cell over its volume. CsPbBr3:
#: 4 x 242 in 0.8207 x 0.8255 x 1.1759 nm^3 (Stoumpos et al., Cryst. Growth Des. 13, 2722, 2013); Fe3O4: 8 x 110 in
#: (0.8396 nm)^3.
ELECTRON_DENSITIES = {
    "CsPbBr3": 4 * 242 / (0.8207 * 0.8255 * 1.1759),
    "Fe3O4": 8 * 110 / 0.8396**3,
}
#: Electrons per nm^3 of ligands: CH2 (8 electrons, 14.027 g/mol) at 0.85 g/cm^3, as of liquid alkanes with long chains.
LIGAND_DENSITY = 0.85 * 602.214076 / 14.027 * 8
#: Nearest neighbours are at this many contact distances: compressed soft shells reach 0.9, a fluid of 2 % 2.
FITTING = 0.7, 2.0
#: Sizes that are given and that the file has are the same within this share.
SAME = 1e-6
#: Columns of the table of curves.
COLUMNS = ("q", "S", "S_cube", "S_sphere", "I", "P")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What scatters, and how long the unit of the file is.

    Attributes:
        cores: in the unit of the file.
        edge: effective edge of a cube, likewise.
        diameter: effective diameter of a sphere, likewise; 0 without spheres.
        unit: of length of the answer, nm or e.
        scale: how many of it are one unit of the file.
        notes: what was assumed.
    """

    cores: Cores
    edge: float
    diameter: float
    unit: str
    scale: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``supercube scatter`` takes beside a file; None where nothing was said.

    Attributes:
        zone: [uvw].
        q_max: largest q, in 1/nm where the cube edge is known.
        resolution: FWHM of a powder line, likewise.
        ligand_length: lambda, for files without shapes of cubes.
        size_ratio: gamma, for files without the diameter of the spheres.
        cube_edge: effective edge in the unit of the file, for files without shapes of cubes; 1 if left out.
        cube_edge_nm: effective edge in nm.
        preset: name of nanocrystals, instead.
        contrast_cube, contrast_sphere: electron densities over that of the ligands, any unit.
    """

    zone: Sequence[int] = (0, 0, 1)
    q_max: float | None = None
    resolution: float | None = None
    ligand_length: float | None = None
    size_ratio: float | None = None
    cube_edge: float | None = None
    cube_edge_nm: float | None = None
    preset: str | None = None
    contrast_cube: float | None = None
    contrast_sphere: float | None = None


def sizes_of(configuration: Configuration, request: Request) -> Sizes:
    """Cores and units by the shapes in a file, or by the request where the file has none.

    Raises:
        InputError: a size is missing, given twice or impossible, or the preset is unknown or has no such particles.
    """
    _check(configuration, request)
    found = (_by_file if request.preset is None else _by_preset)(configuration, request)
    notes = list(found.notes)
    if not configuration.oriented:
        notes.append(
            "Orientations are unknown: I is the mean over all of them, each cube turned at random; S needs none."
        )
    return replace(found, notes=(*notes, *_misfit(configuration, found)))


def _check(configuration: Configuration, request: Request) -> None:
    """Refuse impossible values, and sizes that are given twice."""
    for name in ("contrast_cube", "contrast_sphere", "size_ratio", "cube_edge"):
        value, positive = getattr(request, name), name in ("size_ratio", "cube_edge")
        if value is not None and not (math.isfinite(value) and (value > 0 or not positive)):
            expected = "a finite number above 0" if positive else "a finite number"
            raise InputError(f"--{name.replace('_', '-')} is {value:g}; expected {expected}.")
    if request.contrast_cube == 0 and request.contrast_sphere == 0:
        raise InputError("--contrast-cube and --contrast-sphere are both 0; expected something that scatters.")
    if request.size_ratio is not None and not configuration.count("sphere"):
        raise InputError(f"--size-ratio is {request.size_ratio:g}, but the file holds no spheres; leave it out.")
    if request.preset is not None:
        for name in ("cube_edge_nm", "ligand_length", "size_ratio"):
            if getattr(request, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"--preset and {option} both give sizes of the particles; expected one of them.")


def _misfit(configuration: Configuration, sizes: Sizes) -> list[str]:
    """Whether neighbours are where particles of these sizes can be, by the median over the particles."""
    apart = _contacts(configuration, sizes)
    if FITTING[0] <= apart <= FITTING[1]:
        return []
    dilute = ", unless it is so dilute" if apart > FITTING[1] else ""
    return [
        f"Sizes and distances of this file do not fit{dilute}: nearest neighbours are {apart:.3g} contact distances "
        f"apart, with cube edges of {sizes.edge:.4g} in its unit of length (--cube-edge)."
    ]


def _contacts(configuration: Configuration, sizes: Sizes) -> float:
    """Median over the particles of the distance to the nearest one over half the sum of their sizes."""
    is_cube = configuration.is_species("cube")
    found = neighbours_by_species(configuration.positions, configuration.box, is_cube)
    own = np.where(is_cube, sizes.edge, sizes.diameter)
    # A lone species has no other: its distance is infinite.
    ratios = [
        found.unit * np.sqrt(found[k].squares[:, 0].astype(float)) / ((own + size) / 2)
        for k, size in enumerate((sizes.edge, sizes.diameter))
    ]
    return float(np.median(np.minimum(*ratios)))


def _by_file(configuration: Configuration, request: Request) -> Sizes:
    edge = _edge_of(configuration, request)
    shell = _shell_of(configuration, request, edge)
    diameter = _diameter_of(configuration, request, edge) if configuration.count("sphere") else 0.0
    contrasts = (request.contrast_cube, request.contrast_sphere)
    real = None if request.cube_edge_nm is None else Units(request.cube_edge_nm).length_to_nm(1.0)
    mixed = bool(configuration.count("cube") and configuration.count("sphere"))
    notes = ("Equal electron densities of both cores are assumed (--contrast-cube, --contrast-sphere or --preset).",)
    return Sizes(
        cores=_cores(
            configuration,
            edge - 2 * shell,
            diameter - 2 * shell,
            *(1.0 if value is None else value for value in contrasts),
        ),
        edge=edge,
        diameter=diameter,
        unit="e" if real is None else "nm",
        scale=(1.0 if real is None else real) / edge,
        notes=notes if mixed and contrasts == (None, None) else (),
    )


def _cube_in(configuration: Configuration) -> tuple[float, float] | None:
    """Edge of a cube's core and its shell by the shapes in the file."""
    return cube_sizes(dict(zip(configuration.species, configuration.shapes, strict=True)).get("cube", {}))


def _edge_of(configuration: Configuration, request: Request) -> float:
    """Effective edge of a cube in the unit of the file."""
    found, edge = _cube_in(configuration), request.cube_edge
    if found is None:
        return 1.0 if edge is None else edge
    whole = found[0] + 2 * found[1]
    if edge is not None and abs(edge - whole) > SAME * whole:
        raise InputError(
            f"--cube-edge is {edge:g}, but the cubes of the file have an edge of {whole:g} in its unit; leave it out."
        )
    return whole


def _shell_of(configuration: Configuration, request: Request, edge: float) -> float:
    """Thickness of the shell of cubes and spheres in the unit of the file."""
    found, shell = _cube_in(configuration), request.ligand_length
    if found is None and shell is None:
        who = "cubes' sizes are" if configuration.count("cube") else "thickness of the spheres' ligand shell is"
        raise InputError(f"the {who} not in the file; expected --ligand-length, in cube edges (0 for bare cores).")
    if shell is not None and not 0 <= shell < 0.5:
        raise InputError(f"--ligand-length is {shell:g}; expected 0 to below 0.5 cube edges.")
    if found is not None and shell is not None and abs(shell * edge - found[1]) > SAME * edge:
        raise InputError(
            f"--ligand-length is {shell:g}, but the cubes of the file have a shell of {found[1] / edge:g} edges; "
            "leave it out."
        )
    return found[1] if found is not None else (shell or 0.0) * edge


def _diameter_of(configuration: Configuration, request: Request, edge: float) -> float:
    """Effective diameter of the spheres in the unit of the file."""
    shapes = dict(zip(configuration.species, configuration.shapes, strict=True))
    ratio, diameter = request.size_ratio, shapes["sphere"].get("diameter")
    if not diameter:
        if ratio is None:
            raise InputError("the diameter of the spheres is not in the file; expected --size-ratio, above 0.")
        return edge / ratio
    if ratio is not None and abs(ratio * diameter - edge) > SAME * edge:
        raise InputError(
            f"--size-ratio is {ratio:g}, but the spheres of the file have a diameter of {diameter:g}, which means "
            f"{edge / diameter:.4g}; leave it out."
        )
    return float(diameter)


def _cores(
    configuration: Configuration, cube: float, sphere: float, cube_contrast: float, sphere_contrast: float
) -> Cores:
    for name, size in (("cube", cube), ("sphere", sphere)):
        if configuration.count(name) and not size > 0:
            raise InputError(f"the cores of the {name}s are {size:.3g} wide; expected ligand shells that leave a core.")
    cores = Cores(cube=cube, sphere=sphere, cube_contrast=cube_contrast, sphere_contrast=sphere_contrast)
    if not np.any(cores.forward(configuration)):
        raise InputError("nothing in the file has a contrast; expected one that is not 0, such as --contrast-cube 1.")
    return cores


def _by_preset(configuration: Configuration, request: Request) -> Sizes:
    preset = find_preset(request.preset or "")
    if configuration.count("sphere") and preset.sphere_core is None:
        raise InputError(f"the file holds spheres, but the preset {preset.name} has none; expected another preset.")
    sizes = effective_sizes(*_nanocrystals(preset), DEFAULT_SHELL)
    edge = _edge_of(configuration, request)
    scale = Units(sizes.cube.size.value).length_to_nm(1.0) / edge
    contrasts = (
        _contrast("cube", preset.cube, request.contrast_cube),
        _contrast("sphere", preset.sphere, request.contrast_sphere) if preset.sphere else 0.0,
    )
    return Sizes(
        cores=_cores(configuration, preset.cube_core / scale, (preset.sphere_core or 0.0) / scale, *contrasts),
        edge=edge,
        diameter=0.0 if sizes.sphere is None else sizes.sphere.size.value / scale,
        unit="nm",
        scale=scale,
        notes=tuple(_disagreement(configuration, sizes)),
    )


def _nanocrystals(preset: Preset) -> tuple[Nanocrystal, Nanocrystal | None]:
    """As ``supercube preset NAME`` takes them, with the usual ligands."""

    def one(shape: str, core: float) -> Nanocrystal:
        return Nanocrystal(
            shape=shape, core=Quantity(core, CORE_ERROR * core), ligand=find_ligand(PRESET_LIGANDS[shape])
        )

    return one("cube", preset.cube_core), one("sphere", preset.sphere_core) if preset.sphere_core else None


def _contrast(shape: str, material: str, given: float | None) -> float:
    if given is not None:
        return given
    if material not in ELECTRON_DENSITIES:
        raise InputError(
            f"the electron density of {material} is not on record (known: {', '.join(ELECTRON_DENSITIES)}); "
            f"expected --contrast-{shape}, in electrons per nm^3 over those of the ligands, {LIGAND_DENSITY:.0f}."
        )
    return ELECTRON_DENSITIES[material] - LIGAND_DENSITY


def _disagreement(configuration: Configuration, sizes: EffectiveSizes) -> list[str]:
    """Sizes in the file that are not the preset's within two standard uncertainties."""
    found = sizes_in(configuration)
    if found is None:
        return []
    pairs = (("gamma", sizes.size_ratio, found[0]), ("lambda", sizes.ligand_length, found[1]))
    return [
        f"The file has {symbol} {value:.3f}, the preset {known.value:.3f} ± {known.error:.3f}: the places are the "
        "file's, the cores the preset's."
        for symbol, known, value in pairs
        if known is not None and abs(value - known.value) > 2 * known.error
    ]


def scattered(frames: Sequence[Configuration], order: Order, sizes: Sizes, request: Request) -> Scattering:
    """Scattering of frames, still in the unit of the file (:func:`.observe.scattering.scatter`)."""
    from .observe.scattering import check_q, scatter

    scale = sizes.scale
    box = np.mean([frame.box for frame in frames], axis=0)
    check_q(box, request.q_max, request.resolution, scale=scale, unit=sizes.unit)
    return scatter(
        frames,
        order.document(),
        sizes.cores,
        q_max=None if request.q_max is None else request.q_max * scale,
        resolution=None if request.resolution is None else request.resolution * scale,
        zone=request.zone,
    )


def curves(powder: Powder, scale: float = 1.0) -> dict[str, Any]:
    """Column of the table -> (Q,) values."""
    values = (powder.q / scale, powder.s, powder.s_cube, powder.s_sphere, powder.intensity, powder.form)
    return dict(zip(COLUMNS, values, strict=True))


def write_curves(path: Path, found: Scattering, sizes: Sizes) -> None:
    """Write the curves as CSV; the unit is in the head of the first column, and a species that is absent is empty."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    columns = curves(found.powder, sizes.scale)
    writer.writerow([f"q_1/{sizes.unit}", *COLUMNS[1:]])
    for row in zip(*columns.values(), strict=True):
        writer.writerow(["" if np.isnan(value) else f"{value:.8g}" for value in row])
    write_whole(path, table.getvalue().encode())


def packed(found: Scattering) -> bytes:
    """Curves and reflections as the content of an ``.npz``: ``q``, ``S`` ..., and ``peak_*``, one row a family."""
    rows = found.reflections
    names = ("multiplicity", "q", "q_spread", "d", "s_predicted", "s_measured", "i_predicted", "i_measured")
    peaks = {f"peak_{name}": np.array([getattr(row, name) for row in rows]) for name in names}
    peaks["peak_hkl"] = np.array([row.hkl for row in rows], dtype=np.int64).reshape(-1, 3)
    top = np.array([found.maximum.q, found.maximum.spacing, found.maximum.s])
    arrays: dict[str, Any] = curves(found.powder) | peaks
    content = BytesIO()
    np.savez_compressed(content, maximum=top, resolution=found.powder.resolution, **arrays)
    return content.getvalue()


def scattering_answer(found: Scattering, order: Order, sizes: Sizes) -> dict[str, Any]:
    """The answer as plain types; lengths in nm or e (``unit``), wave vectors in 1 over it; what is missing is None."""
    scale, powder = sizes.scale, found.powder
    return {
        "structure": found.structure,
        "structure_fraction": order.structure_fraction,
        "n_cubes": order.n_cubes,
        "n_spheres": order.n_spheres,
        "frames": order.frames,
        "unit": sizes.unit,
        **_cores_answer(order, sizes),
        "q_max": float(powder.q[-1] / scale),
        "resolution": powder.resolution / scale,
        "box_spacing": powder.spacing / scale,
        "wave_vectors": powder.vectors,
        "fills_box": None if found.lattice is None else found.lattice.indices is not None,
        "maximum": {"q": found.maximum.q / scale, "spacing": found.maximum.spacing * scale, "S": found.maximum.s},
        "peaks": [_peak(row, scale) for row in found.reflections],
        "zone": list(found.pattern.zone),
        "curve": {
            name: None if np.isnan(values).all() else values.tolist() for name, values in curves(powder, scale).items()
        },
        "notes": list(sizes.notes),
    }


def _cores_answer(order: Order, sizes: Sizes) -> dict[str, float | None]:
    cores, cubes, spheres = sizes.cores, order.n_cubes > 0, order.n_spheres > 0
    return {
        "cube_core": cores.cube * sizes.scale if cubes else None,
        "sphere_core": cores.sphere * sizes.scale if spheres else None,
        "contrast_cube": cores.cube_contrast if cubes else None,
        "contrast_sphere": cores.sphere_contrast if spheres else None,
    }


def _peak(row: Reflection, scale: float) -> dict[str, Any]:
    return {
        "hkl": list(row.hkl),
        "multiplicity": row.multiplicity,
        "q": row.q / scale,
        "q_spread": row.q_spread / scale,
        "d": row.d * scale,
        "S_predicted": row.s_predicted,
        "S_measured": None if math.isnan(row.s_measured) else row.s_measured,
        "I_predicted": row.i_predicted,
        "I_measured": None if math.isnan(row.i_measured) else row.i_measured,
    }


def scattering_text(answer: dict[str, Any]) -> str:
    """The answer without its curves, for reading."""
    unit, top = answer["unit"], answer["maximum"]
    maximum = f"S = {top['S']:.3g} at q* = {top['q']:.4g} /{unit}, 2π/q* = {top['spacing']:.4g} {unit}"
    cores = [
        f"{name}s {answer[f'{name}_core']:.4g} {unit} (contrast {answer[f'contrast_{name}']:.4g})"
        for name in ("cube", "sphere")
        if answer[f"{name}_core"] is not None
    ]
    rows = [
        ("structure", f"{answer['structure']} ({100 * answer['structure_fraction']:.1f} %)"),
        ("particles", f"{answer['n_cubes']} cubes, {answer['n_spheres']} spheres, frames: {answer['frames']}"),
        ("cores", ", ".join(cores)),
        ("q up to", f"{answer['q_max']:.4g} /{unit}, {answer['wave_vectors']} wave vectors of the box"),
        ("resolution", f"{answer['resolution']:.3g} /{unit} FWHM; the box: 2π/L = {answer['box_spacing']:.3g} /{unit}"),
        ("main maximum", "" if answer["peaks"] else maximum),
    ]
    lines = [f"{head:18}{text}" for head, text in rows if text]
    if answer["peaks"]:
        lines += ["", *_peak_table(answer["peaks"], unit)]
    return "\n".join([*lines, *(f"{'note':18}{note}" for note in answer["notes"])])


def _peak_table(peaks: list[dict[str, Any]], unit: str) -> list[str]:
    """One line a family; intensities in parts of the forward direction."""
    head = f"{'hkl':>9}{'mult.':>7}{'q (1/' + unit + ')':>11}{'d (' + unit + ')':>10}"
    lines = [head + f"{'S/N ideal':>12}{'S/N':>10}{'I/I0 ideal':>13}{'I/I0':>10}"]
    for row in peaks:
        hkl = " ".join(str(index) for index in row["hkl"])
        s, intensity = _or_dash(row["S_measured"], ".4f"), _or_dash(row["I_measured"], ".2e")
        lines.append(
            f"{hkl:>9}{row['multiplicity']:>7}{row['q']:>11.4f}{row['d']:>10.4f}{row['S_predicted']:>12.4f}"
            f"{s:>10}{row['I_predicted']:>13.2e}{intensity:>10}"
        )
    return lines


def _or_dash(value: float | None, pattern: str) -> str:
    return "-" if value is None else format(value, pattern)
