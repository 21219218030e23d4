"""Real nanocrystals as effective cubes and spheres, with uncertainties: cores and ligands in nm, results without unit.

``experiments()`` holds which nanocrystals gave which superlattice, ``presets()`` names those that are cubes and
spheres, and ``effective_sizes`` computes gamma = (cube core + 2 shells) / (sphere core + 2 shells) and lambda = shell
of the cube over its effective edge. Both depend on the cube's shell, so their uncertainties are correlated.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..statepoint import nearest_key
from .ligands import DENSE_GRAFTING, SHELL_MODELS, Ligand, Quantity, coverage, facet_shell, ocm_shell, opm_shell

#: Up to this size ratio, sqrt2 - 1, OPM sizes hold in cube + sphere mixtures. Above it chains can leave the concentric
#: shell and bend into vortices (OTM: Travesset, Soft Matter 13, 147, 2017), and particles come nearer.
OPM_LIMIT = math.sqrt(2) - 1
#: Smaller than one unit cell, or larger than what a ligand matters for: more likely a slip of units, nm.
SMALLEST_CORE, LARGEST_CORE = 0.5, 1000.0
#: Several times the longest chain with a name; room for short polymers, nm.
LARGEST_SHELL = 20.0
#: A CsPbBr3 {100} face has one cation site per a^2, a = 0.584 nm (pseudocubic; Stoumpos et al., Cryst. Growth Des. 13,
#: 2722, 2013): 1/a^2 = 2.9 nm^-2 if each holds one chain. An estimate: acids bind beside amines, sites stay empty,
#: and DDAB brings two chains but is too bulky for each site.
CUBE_GRAFTING = Quantity(2.9, 0.8)
#: Chains per nm^2 of oleate-capped oxide spheres. An estimate, with no number on record: on magnetite the density
#: varies much with size (7 against 19 nm: Zhang, He, Gu, Appl. Surf. Sci. 253, 2611, 2006).
SPHERE_GRAFTING = Quantity(3.5, 0.8)
#: Standard uncertainty of a core size over its value: an estimate, from the scale calibration of a TEM.
CORE_ERROR = 0.01
#: Shells that experiments with CsPbBr3 + Fe3O4 are read with, nm: no single measurement.
MEASURED_RANGE = (0.8, 1.5)
#: Standard uncertainty of a measured shell, nm: an even spread over this range has 0.7/sqrt12 = 0.2.
SHELL_ERROR = 0.2
#: Step of the numerical derivatives over the standard uncertainty: curvature is 1e-6 of the slope then, rounding less.
_STEP = 1e-3


@dataclass(frozen=True, kw_only=True)
class Nanocrystal:
    """A species: its core and either a measured shell or what a model needs for one.

    Attributes:
        shape: ``cube`` or ``sphere``.
        core: edge or diameter of the inorganic core, nm.
        ligand: what covers it; None only with a measured shell.
        grafting: chains (not molecules) per nm^2 of core surface; None takes the default of the shape.
        shell: measured thickness of the shell, nm; None where a model computes it.
    """

    shape: str
    core: Quantity
    ligand: Ligand | None = None
    grafting: Quantity | None = None
    shell: Quantity | None = None

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        if self.shape not in ("cube", "sphere"):
            raise InputError(f"a nanocrystal is a {self.shape!r}; expected cube or sphere.")
        if not SMALLEST_CORE <= self.core.value <= LARGEST_CORE:  # also refuses nan, like the comparisons below
            raise InputError(
                f"the core size of the {self.shape}s is {self.core.value:g} nm; expected {SMALLEST_CORE:g} to "
                f"{LARGEST_CORE:g} nm."
            )
        _check(f"core size of the {self.shape}s", self.core, "nm", LARGEST_CORE)
        if self.shell is not None:
            _check(f"shell of the {self.shape}s", self.shell, "nm", LARGEST_SHELL)
        _check(f"grafting density of the {self.shape}s", self.chains, "chains per nm^2", DENSE_GRAFTING)

    @property
    def chains(self) -> Quantity:
        """Grafting density or its default."""
        if self.grafting is not None:
            return self.grafting
        return CUBE_GRAFTING if self.shape == "cube" else SPHERE_GRAFTING


def _check(what: str, given: Quantity, unit: str, most: float) -> None:
    if not 0 < given.value <= most:
        raise InputError(f"the {what} is {given.value:g} {unit}; expected more than 0 and at most {most:g}.")
    if not 0 <= given.error < given.value:
        raise InputError(
            f"the uncertainty of the {what} is {given.error:g} {unit}; expected 0 or more, and less than the value "
            f"{given.value:g}."
        )


@dataclass(frozen=True, kw_only=True)
class Coated:
    """One species with its shell.

    Attributes:
        coverage: xi; None with a measured shell.
        shell: thickness, nm.
        size: effective edge or diameter, core + 2 shells, nm.
    """

    coverage: Quantity | None
    shell: Quantity
    size: Quantity


@dataclass(frozen=True, kw_only=True)
class EffectiveSizes:
    """What :func:`effective_sizes` finds.

    Attributes:
        model: opm, ocm, facet or measured.
        cube: the cubes.
        sphere: the spheres; None without any, like the two ratios and the correlation.
        core_ratio: core edge of the cube over core diameter of the sphere.
        size_ratio: gamma.
        ligand_length: lambda.
        correlation: coefficient of gamma and lambda; None also if one of them is exact.
    """

    model: str
    cube: Coated
    sphere: Coated | None
    core_ratio: Quantity | None
    size_ratio: Quantity | None
    ligand_length: Quantity
    correlation: float | None


def effective_sizes(cube: Nanocrystal, sphere: Nanocrystal | None = None, model: str = "opm") -> EffectiveSizes:
    """Formulas e = c + 2 t, gamma = e/D, lambda = t/e, with t the shell of the model.

    Spheres: :func:`~supercube.model.ligands.opm_shell`, ``ocm_shell`` or ``facet_shell``. Cubes have flat faces and
    take the facet shell, xi L, in all three models: it is the limit of OPM for large R, while the limit of OCM,
    (2 xi - 1) L, comes from a wedge beside the contact that flat faces do not have.

    Independent inputs are the core sizes, L of each ligand (the same one for both species if they carry the same
    ligand), the grafting densities, and measured shells. Uncertainties are theirs only, not the model's.

    Args:
        cube: the cubes.
        sphere: the spheres, or None.
        model: opm, ocm, facet or measured.

    Raises:
        InputError: a ligand or a measured shell is missing, or the model makes no shell here.
    """
    species = [cube] if sphere is None else [cube, sphere]
    if model not in (*SHELL_MODELS, "measured"):
        raise InputError(f"shell model {model!r} is not known; {nearest_key(model, (*SHELL_MODELS, 'measured'))}")
    for one in species:
        _require(one, model)
    found, errors, correlations = propagate(lambda values: _numbers(species, model, values), _inputs(species, model))
    for one in species:
        if not found[f"{one.shape}_shell"] > 0:
            raise InputError(
                f"{model} finds no shell on the {one.shape}s ({found[f'{one.shape}_shell']:.2f} nm) at a grafting "
                f"density of {one.chains.value:g} nm^-2, which is out of its range; expected more chains, or another "
                "model."
            )

    def pick(name: str) -> Quantity | None:
        return Quantity(found[name], errors[name]) if name in found else None

    def coated(shape: str) -> Coated:
        return Coated(
            coverage=pick(f"{shape}_coverage"),
            shell=Quantity(found[f"{shape}_shell"], errors[f"{shape}_shell"]),
            size=Quantity(found[f"{shape}_size"], errors[f"{shape}_size"]),
        )

    return EffectiveSizes(
        model=model,
        cube=coated("cube"),
        sphere=coated("sphere") if sphere else None,
        core_ratio=pick("core_ratio"),
        size_ratio=pick("size_ratio"),
        ligand_length=Quantity(found["ligand_length"], errors["ligand_length"]),
        correlation=correlations.get(("size_ratio", "ligand_length")),
    )


def _require(one: Nanocrystal, model: str) -> None:
    if model == "measured" and one.shell is None:
        raise InputError(
            f"the {one.shape}s have no measured shell, and none of their ligand is on record; expected its thickness "
            f"in nm, such as --{one.shape}-shell 1.0."
        )
    if model != "measured" and one.ligand is None:
        raise InputError(
            f"the ligand of the {one.shape}s is missing, which {model} needs; expected one, such as "
            f"--{one.shape}-ligand oleic-acid, or a measured shell, such as --{one.shape}-shell 1.0."
        )


def _length_key(ligand: Ligand) -> str:
    return f"length of {ligand.name}"  # by ligand, not by species: a length that both share is one input


def _inputs(species: list[Nanocrystal], model: str) -> dict[str, Quantity]:
    inputs = {}
    for one in species:
        inputs[f"{one.shape}_core"] = one.core
        if model == "measured" and one.shell is not None:
            inputs[f"{one.shape}_shell"] = one.shell
        elif one.ligand is not None:
            inputs[f"{one.shape}_grafting"] = one.chains
            inputs[_length_key(one.ligand)] = one.ligand.length
    return inputs


def _numbers(species: list[Nanocrystal], model: str, values: Mapping[str, float]) -> dict[str, float]:
    found = {}
    for one in species:
        core = values[f"{one.shape}_core"]
        if model == "measured" or one.ligand is None:
            shell = values[f"{one.shape}_shell"]
        else:
            xi = coverage(values[f"{one.shape}_grafting"])
            found[f"{one.shape}_coverage"] = xi
            shell = _shell(model if one.shape == "sphere" else "facet", values[_length_key(one.ligand)], xi, core / 2)
        found[f"{one.shape}_shell"] = shell
        found[f"{one.shape}_size"] = core + 2 * shell
    if len(species) == 2:
        found["core_ratio"] = values["cube_core"] / values["sphere_core"]
        found["size_ratio"] = found["cube_size"] / found["sphere_size"]
    found["ligand_length"] = found["cube_shell"] / found["cube_size"]
    return found


def _shell(model: str, length: float, xi: float, radius: float) -> float:
    match model:
        case "opm":
            return opm_shell(length, xi, radius)
        case "ocm":
            return ocm_shell(length, xi, radius)
        case "facet":
            return facet_shell(length, xi)
        case _:
            raise ValueError(f"no formula for shell model {model!r}")


def propagate(
    function: Callable[[Mapping[str, float]], Mapping[str, float]], inputs: Mapping[str, Quantity]
) -> tuple[dict[str, float], dict[str, float], dict[tuple[str, str], float]]:
    """Covariance J diag(u^2) J^T of the results, J their derivatives by central differences: linear propagation.

    Args:
        function: named results of named numbers.
        inputs: independent numbers with their standard uncertainties u.

    Returns:
        the results, their standard uncertainties, and the correlation coefficients of pairs of results that are both
        uncertain.
    """
    centre = {key: given.value for key, given in inputs.items()}
    found = dict(function(centre))
    names = list(found)
    covariance: NDArray[np.float64] = np.zeros((len(names), len(names)))
    for key, given in inputs.items():
        if given.error == 0:
            continue
        step = _STEP * given.error
        above, below = (function(centre | {key: given.value + way * step}) for way in (1, -1))
        # Derivative times u, with the step a fixed part of u.
        effect = np.array([(above[name] - below[name]) / (2 * _STEP) for name in names])
        covariance += np.outer(effect, effect)
    errors = np.sqrt(np.diag(covariance))
    correlations = {
        (names[i], names[j]): float(covariance[i, j] / (errors[i] * errors[j]))
        for i in range(len(names))
        for j in range(len(names))
        if i != j and errors[i] > 0 and errors[j] > 0
    }
    return found, dict(zip(names, errors.tolist(), strict=True)), correlations


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One row of ``data/experiments.csv``: which nanocrystals gave which superlattice.

    Attributes:
        system: number of the row.
        cube: material of the cubes (or platelets).
        cube_edge: core edge, nm; None where it is not stated, or for platelets.
        partner: material of the second species, empty if there is none.
        partner_shape: its shape in words.
        partner_size: smallest and largest core size, nm; None where not stated.
        structure: what formed.
        note: a remark.
        source: where it is reported.
    """

    system: int
    cube: str
    cube_edge: float | None
    partner: str
    partner_shape: str
    partner_size: tuple[float, float] | None
    structure: str
    note: str
    source: str


@cache
def experiments() -> tuple[Experiment, ...]:
    """The table of experiments that comes with the package."""
    text = (resources.files("supercube") / "data" / "experiments.csv").read_text(encoding="utf-8")
    return tuple(_experiment(row) for row in csv.DictReader(text.splitlines()))


def _experiment(row: Mapping[str, str]) -> Experiment:
    edge, sizes = row["cube_edge_nm"], [float(part) for part in row["partner_size_nm"].split("-") if part]
    return Experiment(
        system=int(row["system"]),
        cube=row["cube"],
        cube_edge=float(edge) if edge and edge != "platelet" else None,
        partner=row["partner"],
        partner_shape=row["partner_shape"],
        partner_size=(sizes[0], sizes[-1]) if sizes else None,
        structure=row["structure"],
        note=row["note"],
        source=row["source"],
    )


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Nanocrystals with a name.

    Attributes:
        name: such as ``cspbbr3-8.6nm+fe3o4-19.5nm``.
        cube: material of the cubes.
        cube_core: edge of their cores, nm.
        sphere: material of the spheres, empty without any.
        sphere_core: diameter of their cores, nm; None without any.
        structure: what formed in the experiment.
        source: where it is reported.
    """

    name: str
    cube: str
    cube_core: float
    sphere: str = ""
    sphere_core: float | None = None
    structure: str
    source: str


@cache
def presets() -> dict[str, Preset]:
    """Experiments with cubes, or cubes and spheres, of stated sizes, by name.

    Disks, platelets, truncated cubes and two sizes of cubes are left out: a state point cannot say them. The cubes
    alone have the size of the mixtures, since the report of their simple cubic order states none that is on record.
    """
    found = {}
    for row in experiments():
        if row.partner_shape == "sphere" and row.cube_edge and row.partner_size:
            size = row.partner_size[0]
            name = f"{row.cube}-{row.cube_edge:g}nm+{row.partner}-{size:g}nm".lower()
            found[name] = Preset(
                name=name,
                cube=row.cube,
                cube_core=row.cube_edge,
                sphere=row.partner,
                sphere_core=size,
                structure=row.structure,
                source=row.source,
            )
    mixture = next(iter(found.values()))
    alone = next(row for row in experiments() if row.structure == "SC" and not row.partner and row.cube == mixture.cube)
    name = f"{alone.cube}-{mixture.cube_core:g}nm".lower()
    source = f"{alone.source}; size as in the mixtures"
    found[name] = Preset(
        name=name, cube=alone.cube, cube_core=mixture.cube_core, structure=alone.structure, source=source
    )
    return found


def find_preset(name: str) -> Preset:
    """The preset of a name; capitals do not matter.

    Raises:
        InputError: no preset has this name; the nearest one is suggested.
    """
    known = presets()
    if name.lower() not in known:
        raise InputError(f"preset {name!r} is not known; {nearest_key(name, known)}")
    return known[name.lower()]
