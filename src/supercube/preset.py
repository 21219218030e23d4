"""``supercube preset``: real nanocrystals and their ligands as a state point, with every number on the way to it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from .errors import InputError
from .model.ligands import CIS_ERROR, DENSE_GRAFTING, LIGANDS, SHELL_MODELS, Ligand, Quantity, find_ligand
from .model.nanocrystals import (
    CORE_ERROR,
    CUBE_GRAFTING,
    MEASURED_RANGE,
    OPM_LIMIT,
    SHELL_ERROR,
    SPHERE_GRAFTING,
    Coated,
    EffectiveSizes,
    Nanocrystal,
    Preset,
    effective_sizes,
    find_preset,
    presets,
)
from .model.units import Units
from .statepoint import StatePoint
from .theory import ranking, ranking_text

#: Shell model without --shell and without measured shells. Superlattices have six or more neighbours around a particle,
#: which is what OPM describes; OCM is for a pair, and the facet shell has no curvature. Measured shells go first.
DEFAULT_SHELL = "opm"
#: What covers the nanocrystals of a preset if the user does not say: assumed, for it decides lambda.
PRESET_LIGANDS = {"cube": "ddab", "sphere": "oleic-acid"}
#: Numbers of cubes and spheres to start a mixture with: 27 cells of the structure that formed, or else of ABO3.
COUNTS = {"ABO3": (108, 27), "NaCl": (108, 108)}
#: Number of cubes to start with where there are no spheres: 6^3.
CUBES_ALONE = 216
#: Shell that experiments with CsPbBr3 and Fe3O4 are usually read with, nm: a row to compare the models with.
USUAL_SHELL = 1.0
#: Structures among which the comparison of the shell models looks for the closest packing: those that win somewhere.
COMPARED = ("SC", "bct", "NaCl", "ABO3", "AlB2", "fcc")
#: Decimals of gamma and lambda in the state point, a hundredth of their usual uncertainty.
_DECIMALS = 4


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``supercube preset`` takes, in nm and chains per nm^2; None where nothing was said.

    Attributes:
        name: a preset; or else ``cube`` (edge), and ``sphere`` (diameter) if there are spheres: core sizes.
        ligand: of both species, where ``cube_ligand`` and ``sphere_ligand`` do not say otherwise.
        shell: opm, ocm, facet or measured.
        cube_shell, sphere_shell: measured thickness.
        cube_grafting, sphere_grafting: chains, not molecules.
        cube_error, sphere_error, grafting_error, shell_error: standard uncertainties; by default 1 % of a core,
            0.8 nm^-2 (half of a density below 1.6) and 0.2 nm (half of a shell below 0.4 nm), see
            ``model/nanocrystals.py``.
    """

    name: str | None = None
    cube: float | None = None
    sphere: float | None = None
    ligand: str | None = None
    cube_ligand: str | None = None
    sphere_ligand: str | None = None
    shell: str | None = None
    cube_shell: float | None = None
    sphere_shell: float | None = None
    cube_grafting: float | None = None
    sphere_grafting: float | None = None
    cube_error: float | None = None
    sphere_error: float | None = None
    grafting_error: float | None = None
    shell_error: float | None = None

    @property
    def given(self) -> list[str]:
        """The options that were given, as they are written on the command line."""
        return ["--" + one.name.replace("_", "-") for one in fields(self) if getattr(self, one.name) is not None]


def preset_answer(request: Request) -> dict[str, Any]:
    """The state point of some nanocrystals and every number on the way to it, as plain types.

    Args:
        request: a preset or core sizes, and what is known of the shells.

    Returns:
        dict: ``name``, ``experiment``, ``shell_model``, ``cube`` and ``sphere`` (core, ligand, grafting, shell and
        effective size in nm; ``sphere`` is None without spheres), ``core_ratio``, ``size_ratio``, ``ligand_length``,
        ``correlation`` of the last two, ``models`` (what the others say, and what packs closest at their sizes),
        ``packing`` (:func:`.theory.ranking` at these sizes and the state point's composition, None without spheres),
        ``units``, ``state_point`` and ``notes``. ``*_error`` are standard uncertainties.

    Raises:
        InputError: a name is unknown, a value impossible, options contradict each other, or a model is out of range.
    """
    preset = find_preset(request.name) if request.name else None
    _refuse_contradictions(request, preset)
    cube, sphere = _nanocrystals(request, preset)
    sizes = effective_sizes(cube, sphere, _shell_model(request))
    answer: dict[str, Any] = {
        "name": preset.name if preset else None,
        "experiment": {"structure": preset.structure, "source": preset.source} if preset else None,
        "shell_model": sizes.model,
        "cube": _species(cube, sizes.cube, preset.cube if preset else None),
        "sphere": None,
    }
    if sphere and sizes.sphere:
        answer["sphere"] = _species(sphere, sizes.sphere, preset.sphere if preset else None)
    answer |= _quantity("core_ratio", sizes.core_ratio) | _quantity("size_ratio", sizes.size_ratio)
    answer |= _quantity("ligand_length", sizes.ligand_length)
    answer["correlation"] = sizes.correlation
    answer["units"] = _units(sizes.cube.size.value)
    answer["state_point"] = point = _state_point(sizes, preset)
    stoichiometry = point["n_cubes"] / point["n_spheres"] if sphere else None
    answer["models"] = _compare(cube, sphere, stoichiometry)
    answer["packing"] = _packing(sizes, stoichiometry)
    answer["notes"] = list(_notes(cube, sphere, sizes, request))
    return answer


def _refuse_contradictions(request: Request, preset: Preset | None) -> None:
    sizes = [key for key in ("--cube", "--sphere") if key in request.given]
    if preset and sizes:
        raise InputError(f"{sizes[0]} and the preset {preset.name} both give sizes; expected one of them.")
    if not preset and request.cube is None:
        raise InputError("the size of the cubes is missing; expected a preset's name, or their edge: --cube 8.6.")
    spheres = [key for key in request.given if key.startswith("--sphere-")]
    if spheres and not (preset.sphere_core if preset else request.sphere):
        raise InputError(f"{spheres[0]} is given, but there are no spheres; expected their size too: --sphere 19.5.")
    model = _shell_model(request)
    useless = ("-grafting", "grafting-error") if model == "measured" else ("-shell", "shell-error")
    for key in request.given:
        if key.endswith(useless) and key != "--shell":
            raise InputError(
                f"{key} does nothing with {model} shells; expected "
                + ("a model: --shell opm." if model == "measured" else "--shell measured, or a grafting density.")
            )


def _shell_model(request: Request) -> str:
    measured = request.cube_shell is not None or request.sphere_shell is not None
    return request.shell or ("measured" if measured else DEFAULT_SHELL)


def _nanocrystals(request: Request, preset: Preset | None) -> tuple[Nanocrystal, Nanocrystal | None]:
    cube_core = preset.cube_core if preset else request.cube
    sphere_core = preset.sphere_core if preset else request.sphere
    if cube_core is None:
        raise InputError("the size of the cubes is missing; expected their edge: --cube 8.6.")

    def name(shape: str, own: str | None) -> str | None:
        return own or request.ligand or (PRESET_LIGANDS[shape] if preset else None)

    cube = _nanocrystal("cube", cube_core, name("cube", request.cube_ligand), request)
    if sphere_core is None:
        return cube, None
    return cube, _nanocrystal("sphere", sphere_core, name("sphere", request.sphere_ligand), request)


def _nanocrystal(shape: str, core: float, ligand: str | None, request: Request) -> Nanocrystal:
    if shape == "cube":
        error, grafting, shell = request.cube_error, request.cube_grafting, request.cube_shell
    else:
        error, grafting, shell = request.sphere_error, request.sphere_grafting, request.sphere_shell
    usual = CUBE_GRAFTING if shape == "cube" else SPHERE_GRAFTING
    chains = usual.value if grafting is None else grafting
    spread = min(usual.error, chains / 2) if request.grafting_error is None else request.grafting_error
    return Nanocrystal(
        shape=shape,
        core=Quantity(core, CORE_ERROR * core if error is None else error),
        ligand=find_ligand(ligand) if ligand else None,
        grafting=Quantity(chains, spread),
        shell=None if shell is None else Quantity(shell, _or(request.shell_error, min(SHELL_ERROR, shell / 2))),
    )


def _or(given: float | None, default: float) -> float:
    return default if given is None else given


def _quantity(key: str, given: Quantity | None) -> dict[str, float | None]:
    return {key: given.value if given else None, f"{key}_error": given.error if given else None}


def _species(one: Nanocrystal, coated: Coated, material: str | None) -> dict[str, Any]:
    ligand = one.ligand
    modelled = coated.coverage is not None
    told: dict[str, Any] = {"material": material, **_quantity("core_nm", one.core)}
    told |= {"ligand": ligand.name if ligand else None, "carbons": ligand.carbons if ligand else None}
    told |= _quantity("length_nm", ligand.length if ligand else None)
    told["length_source"] = ligand.source if ligand else None
    told |= _quantity("grafting_per_nm2", one.chains if modelled else None)
    told |= _quantity("coverage", coated.coverage) | _quantity("shell_nm", coated.shell)
    return told | _quantity("effective_nm", coated.size)


def _packing(
    sizes: EffectiveSizes, stoichiometry: float | None, structures: Sequence[str] | None = None
) -> dict[str, Any] | None:
    if stoichiometry is None or sizes.size_ratio is None:
        return None
    numbers = (sizes.size_ratio.value, sizes.ligand_length.value, stoichiometry)
    return ranking(*numbers, structures=structures, cube_edge_nm=sizes.cube.size.value)


def _compare(cube: Nanocrystal, sphere: Nanocrystal | None, stoichiometry: float | None) -> list[dict[str, Any]]:
    # What each model would say of the same nanocrystals: the spread is the part of the uncertainty nobody propagates.
    usual = Quantity(USUAL_SHELL, SHELL_ERROR)
    reference = [Nanocrystal(shape=one.shape, core=one.core, shell=usual) for one in (cube, sphere) if one]
    trials = [(model, cube, sphere, model) for model in SHELL_MODELS]
    if not (cube.ligand and (sphere is None or sphere.ligand)):
        trials = []
    trials.append((f"measured {USUAL_SHELL:g} nm", reference[0], reference[1] if sphere else None, "measured"))
    return [_row(*trial, stoichiometry) for trial in trials]


def _row(
    label: str, cube: Nanocrystal, sphere: Nanocrystal | None, model: str, stoichiometry: float | None
) -> dict[str, Any]:
    keys = ("cube_shell_nm", "sphere_shell_nm", "size_ratio", "ligand_length", "closest_packing")
    try:
        sizes = effective_sizes(cube, sphere, model)
    except InputError:  # out of its range here: the row stays, without numbers
        return {"shell_model": label, **dict.fromkeys(keys)}
    numbers = (sizes.cube.shell, sizes.sphere.shell if sizes.sphere else None, sizes.size_ratio, sizes.ligand_length)
    values: list[Any] = [number.value if number else None for number in numbers]
    packing = _packing(sizes, stoichiometry, COMPARED)
    return {"shell_model": label} | dict(zip(keys, [*values, packing["winner"] if packing else None], strict=True))


def _units(edge_nm: float) -> dict[str, float]:
    units = Units(edge_nm)
    return {
        "length_nm": units.edge_nm,
        "energy_mev": units.energy_mev,
        "pressure_pa": units.pressure_pascal,
        "time_s": units.time_seconds,
        "temperature_k": units.temperature_kelvin,
        "viscosity_pa_s": units.viscosity_pa_s,
    }


def _state_point(sizes: EffectiveSizes, preset: Preset | None) -> dict[str, Any]:
    point: dict[str, Any] = {"n_cubes": CUBES_ALONE}
    if sizes.size_ratio:
        n_cubes, n_spheres = COUNTS.get(preset.structure if preset else "", COUNTS["ABO3"])
        point = {"n_cubes": n_cubes, "n_spheres": n_spheres}
        point["size_ratio"] = round(sizes.size_ratio.value, _DECIMALS)
    point["ligand_length"] = round(sizes.ligand_length.value, _DECIMALS)
    StatePoint.parse(point, "these nanocrystals")
    return point


def _notes(cube: Nanocrystal, sphere: Nanocrystal | None, sizes: EffectiveSizes, request: Request) -> Iterator[str]:
    if sizes.model == "opm" and sizes.size_ratio:
        gamma = sizes.size_ratio.value
        where = (
            f"and {gamma:.3f} is within"
            if gamma <= OPM_LIMIT
            else f"and {gamma:.3f} is beyond: take the shells as upper bounds"
        )
        yield f"OPM in cube + sphere mixtures is valid up to gamma {OPM_LIMIT:.3f} = sqrt2 - 1, {where}."
    if sizes.sphere and sizes.model != "measured":
        yield (
            "The models disagree (table above): OPM holds for many neighbours and is an upper bound of the distance, "
            "OCM for a pair and is a lower one; measured shells go before all of them."
        )
    low, high = MEASURED_RANGE
    for species, coated in (("cubes", sizes.cube), ("spheres", sizes.sphere)):
        if coated and coated.shell.error > coated.shell.value / 2:
            yield f"The shell of the {species} is uncertain by more than half of it: linear errors are rough there."
        if coated and not low <= coated.shell.value <= high:
            yield (
                f"The shell of the {species}, {coated.shell.value:.2f} nm, is outside {low:g}-{high:g} nm, the range "
                "in use for CsPbBr3 + Fe3O4 superlattices, where chains interdigitate and leave gaps."
            )
    if sizes.model in ("opm", "ocm"):
        yield (
            "Cube faces are flat, so cubes take xi L in every model, the limit of OPM for large R; that of OCM is "
            "(2xi-1)L, from a wedge beside the contact that flat faces do not have."
        )
    if sizes.model == "measured" and sizes.sphere:
        yield (
            "The two measured shells count as independent; if both are one assumed number, they move together, and "
            "gamma is less uncertain than this."
        )
    yield from _estimates(cube, sphere, sizes.model, request)
    yield "A rounded core adds to lambda, which counts the ligands only; errors are of the inputs, not of the model."


def _estimates(cube: Nanocrystal, sphere: Nanocrystal | None, model: str, request: Request) -> Iterator[str]:
    own = {"cube": request.cube_ligand or request.ligand, "sphere": request.sphere_ligand or request.ligand}
    for one in (cube, sphere):
        if one and one.ligand and not own[one.shape]:
            yield f"The ligand of the {one.shape}s was not given; {one.ligand.name} is assumed."
    if model == "measured":
        return
    grafting = {"cube": request.cube_grafting, "sphere": request.sphere_grafting}
    assumed = [f"{one.shape}s" for one in (cube, sphere) if one and grafting[one.shape] is None]
    if assumed:
        yield f"The grafting of the {' and the '.join(assumed)} is an estimate; give it if you know it."
    ligands: dict[str, Ligand] = {one.ligand.name: one.ligand for one in (cube, sphere) if one and one.ligand}
    for ligand in ligands.values():
        if ligand.carbons is None:
            yield f"L of {ligand.name} is an {ligand.source}; these models are made for alkyl chains."
        elif ligand.length.error == CIS_ERROR:
            yield f"L of {ligand.name} is that of the straight chain: its cis bond is in the uncertainty only."
        if ligand.chains > 1:
            yield f"Grafting counts chains, and a molecule of {ligand.name} has {ligand.chains}."


def listing() -> dict[str, Any]:
    """What ``supercube preset`` knows by name, as plain types: ``presets`` and ``ligands``."""
    return {
        "presets": [{"name": one.name, "structure": one.structure, "source": one.source} for one in presets().values()],
        "ligands": [
            {"name": one.name, "aliases": list(one.aliases), **_quantity("length_nm", one.length), "source": one.source}
            for one in LIGANDS
        ],
    }


def listing_text(known: dict[str, Any]) -> str:
    """:func:`listing` as aligned lines."""
    width = max(len(one["name"]) for kind in known.values() for one in kind)
    lines = ["presets (supercube preset NAME [--ligand LIGAND] ...)"]
    lines += [f"  {one['name']:<{width}}  {one['structure']:<5} {one['source']}" for one in known["presets"]]
    lines += ["", "ligands (L in nm)"]
    for one in known["ligands"]:
        also = f"  also {', '.join(one['aliases'])}" if one["aliases"] else ""
        lines.append(f"  {one['name']:<{width}}  {one['length_nm']:.3f} ± {one['length_nm_error']:.2f}{also}")
    return "\n".join([*lines, "", "your own: supercube preset --cube 8.6 --sphere 19.5 --cube-ligand ddab ..."])


#: Label, key of a species, decimals, unit and formula of the rows that both species have.
_ROWS = (
    ("core size", "core_nm", 2, "nm", "edge of cubes, diameter of spheres"),
    ("ligand length L", "length_nm", 3, "nm", "0.128 n + 0.2 for n carbons"),
    ("grafting", "grafting_per_nm2", 2, "nm^-2", "chains on the core"),
    ("coverage xi", "coverage", 3, "", f"grafting / {DENSE_GRAFTING:g} nm^-2"),
    ("shell t", "shell_nm", 3, "nm", ""),
    ("effective size", "effective_nm", 2, "nm", "core + 2 t"),
)
#: Formula of the shell of spheres, in lines; cubes take xi L.
_SPHERE_SHELLS = {
    "opm": ("R [(1 + 3 xi L/R)^(1/3) - 1], R = core/2",),
    "ocm": ("R (tau - 1), R = core/2, l = L/R,", "tau = (1+l)/2 [-1 + sqrt(1 + 8 (1 + 3 l xi)/(1+l)^3)]"),
    "facet": ("xi L",),
}


def summary(answer: dict[str, Any]) -> str:
    """The readable lines of :func:`preset_answer`; the state point comes last, ready to be copied."""
    blocks = [_head(answer), _species_lines(answer), _ratio_lines(answer), _unit_lines(answer)]
    packing = [ranking_text(answer["packing"])] if answer["packing"] else []
    blocks += [_model_lines(answer), packing, _note_lines(answer), _point_lines(answer)]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _head(answer: dict[str, Any]) -> list[str]:
    if not answer["name"]:
        return []
    experiment = answer["experiment"]
    return [f"{answer['name']}: gave {experiment['structure']}", f"  {experiment['source']}"]


def _pm(values: dict[str, Any], key: str, decimals: int) -> str:
    if values[key] is None:
        return "-"
    return f"{values[key]:.{decimals}f} ± {values[f'{key}_error']:.{decimals}f}"


def _line(label: str, *cells: str, formula: str = "") -> str:
    return (f"{label:<24}" + "".join(f"{cell:<18}" for cell in cells) + formula).rstrip()


def _species_lines(answer: dict[str, Any]) -> list[str]:
    columns = [(shape, answer[shape]) for shape in ("cube", "sphere") if answer[shape]]
    lines = [_line("", *(" ".join(filter(None, (one["material"], f"{shape}s"))) for shape, one in columns))]
    for label, key, decimals, unit, formula in _ROWS:
        if key == "length_nm":
            lines.append(_line("ligand", *(one["ligand"] or "-" for _, one in columns)))
        if all(one[key] is None for _, one in columns):
            continue
        cells = [_pm(one, key, decimals) for _, one in columns]
        first, *more = [formula] if formula else _shell_formulas(answer)
        lines.append(_line(f"{label}{f', {unit}' if unit else ''}", *cells, formula=first))
        lines += [_line("", *[""] * len(cells), formula=one) for one in more]
    return lines


def _shell_formulas(answer: dict[str, Any]) -> list[str]:
    model = answer["shell_model"]
    if model == "measured":
        return ["as measured"]
    first, *more = _SPHERE_SHELLS[model]
    both = "xi L" if not answer["sphere"] or first == "xi L" else f"cubes xi L, spheres {first}"
    return [f"by {model}: {both}", *(f"  {one}" for one in more)]


def _ratio_lines(answer: dict[str, Any]) -> list[str]:
    lines = []
    if answer["sphere"]:
        lines.append(_line("core ratio", _pm(answer, "core_ratio", 3), formula="cube core / sphere core"))
        lines.append(_line("gamma, size_ratio", _pm(answer, "size_ratio", 3), formula="effective cube / sphere"))
    lines.append(_line("lambda, ligand_length", _pm(answer, "ligand_length", 3), formula="t of cubes / effective cube"))
    if answer["correlation"] is not None:
        lines.append(_line("correlation", f"{answer['correlation']:+.2f}", formula="of gamma and lambda"))
    return lines


def _unit_lines(answer: dict[str, Any]) -> list[str]:
    units = answer["units"]
    return [
        f"{'one unit of':<24}e = {units['length_nm']:.2f} nm, kT = {units['energy_mev']:.1f} meV, "
        f"kT/e^3 = {units['pressure_pa'] / 1e3:.3g} kPa, e^2/D0 = {units['time_s'] * 1e6:.3g} µs",
        f"{'':<24}at {units['temperature_k']:g} K, in toluene of {units['viscosity_pa_s'] * 1e3:.3f} mPa s",
    ]


def _model_lines(answer: dict[str, Any]) -> list[str]:
    if not answer["sphere"]:  # every model makes the same shell on a cube
        return []

    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    heads = ("t of cubes", "t of spheres", "gamma", "lambda", "packs closest")
    lines = [f"{'the models compared':<24}" + "".join(f"{head:>14}" for head in heads)]
    for row in answer["models"]:
        numbers = [cell(row[key]) for key in ("cube_shell_nm", "sphere_shell_nm", "size_ratio", "ligand_length")]
        numbers.append(row["closest_packing"] or "-")
        lines.append(f"  {row['shell_model']:<22}" + "".join(f"{number:>14}" for number in numbers))
    return lines


def _note_lines(answer: dict[str, Any]) -> list[str]:
    lines = ["notes"]
    for note in answer["notes"]:
        lines += textwrap.wrap(note, width=110, initial_indent="  * ", subsequent_indent="    ", break_on_hyphens=False)
    return lines


def _point_lines(answer: dict[str, Any]) -> list[str]:
    values = ", ".join(f"{key}: {value}" for key, value in answer["state_point"].items())
    return [
        "state point, a line under jobs: in project/spaces/NAME.yaml (the numbers of particles are a suggestion)",
        f"  - {{{values}}}",
    ]
