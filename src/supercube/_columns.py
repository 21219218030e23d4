"""The columns of :func:`supercube.load`: where each value is, what kind it is, its unit and what it means.

Units are those of the package: ``e`` is the effective edge of a cube, ``kT`` the energy, ``e^2/D0`` the time, ``1`` is
a number without unit and ``text`` no number at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .statepoint import ProtocolSettings, StatePoint

#: Kinds of columns; ``whole`` and ``flag`` have room for missing values, ``count`` is never missing.
FLOAT, WHOLE, COUNT, FLAG, CATEGORY, TEXT = "float", "whole", "count", "flag", "category", "text"


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        name: of the column.
        path: keys that lead to the value, the first one being ``state_point`` or ``document``.
        kind: one of the kinds above.
        unit: of the values.
        description: what they are.
    """

    name: str
    path: tuple[str | int, ...]
    kind: str
    unit: str
    description: str

    def value(self, content: Mapping[str, Any]) -> Any:
        """The value of one job, None where its document has none."""
        found: Any = content
        for key in self.path:
            # A document of another version may hold something else in this place; then there is no value.
            if isinstance(key, str) and isinstance(found, Mapping):
                found = found.get(key)
            elif isinstance(key, int) and isinstance(found, list) and key < len(found):
                found = found[key]
            else:
                return None
        return found


#: Units of the state point's keys; the descriptions are those of the state point itself.
_STATE_POINT = {
    "size_ratio": (FLOAT, "1"),
    "ligand_length": (FLOAT, "e"),
    "evaporation_rate": (FLOAT, "1"),
    "n_cubes": (COUNT, "1"),
    "n_spheres": (COUNT, "1"),
    "attraction": (FLOAT, "kT"),
    "initial": (CATEGORY, "text"),
    "expansion": (FLOAT, "1"),
    "geometry": (CATEGORY, "text"),
    "target_packing_fraction": (FLOAT, "1"),
    "pressure": (FLOAT, "kT/e^3"),
    "roughness": (FLOAT, "e"),
    "size_dispersity": (FLOAT, "1"),
    "replicate": (COUNT, "1"),
}
_PROTOCOL = {
    "initial_packing_fraction": (FLOAT, "1"),
    "equilibration_time": (FLOAT, "e^2/D0"),
    "hold_time": (FLOAT, "e^2/D0"),
    "initial_pressure": (FLOAT, "kT/e^3"),
    "ramp_time": (FLOAT, "e^2/D0"),
    "box": (CATEGORY, "text"),
}
#: Said better than by the state point, whose words are made for its error messages.
_WORDS = {
    "size_ratio": "gamma = cube edge / sphere diameter, 1 without spheres",
    "ligand_length": "lambda: thickness of the ligand shell = rounding radius of the effective cube",
}
#: Key of the document, or path within it written with dots -> kind, unit, description.
_DOCUMENT = {
    "engine": (CATEGORY, "text", "MD engine that ran the job"),
    "engine_version": (CATEGORY, "text", "its version"),
    "device": (CATEGORY, "text", "cpu or gpu"),
    "steps_done": (WHOLE, "1", "time steps done"),
    "total_steps": (WHOLE, "1", "time steps of the whole run"),
    "wall_seconds": (FLOAT, "s", "wall-clock time of the simulation"),
    "steps_per_second": (FLOAT, "1/s", "time steps per second of wall-clock time"),
    "model.beads": (WHOLE, "1", "beads of a cube"),
    "model.sigma": (FLOAT, "e", "contact distance of two beads, 2 lambda"),
    "model.bead_spacing": (FLOAT, "e", "distance of neighbouring beads along an edge"),
    "model.roughness": (FLOAT, "e", "measured roughness of a face: range of the contact distance of two aligned faces"),
    "model.dent": (FLOAT, "e", "deepest place of a face below its plane"),
    "model.time_step": (FLOAT, "e^2/D0", "time step"),
    "model.stiffest_contact": (CATEGORY, "text", "pair of species that limits the time step"),
    "structure": (CATEGORY, "text", "label that at least half of all particles carry, else disordered"),
    "structure_fraction": (FLOAT, "1", "share of all particles under that label"),
    "packing_fraction": (FLOAT, "1", "volume of the nominal bodies / volume of the box, mean of the hold"),
    "thermal.cube_edge": (FLOAT, "e", "edge of a cube at kT (Barker-Henderson)"),
    "thermal.rounding": (FLOAT, "e", "rounding radius of a cube at kT"),
    "thermal.sphere_diameter": (FLOAT, "e", "diameter of a sphere at kT"),
    "thermal.size_ratio": (FLOAT, "1", "gamma of the sizes at kT"),
    "thermal.ligand_length": (FLOAT, "1", "lambda of the sizes at kT: rounding / cube edge, both at kT"),
    "thermal.packing_fraction": (FLOAT, "1", "packing fraction of the bodies at kT"),
    "cubatic_order": (FLOAT, "1", "cubatic order of all cubes: 1 if their axes are parallel, about 0 at random"),
    "lattice_constant": (FLOAT, "e", "lattice constant a of the structure, mean over the grains"),
    "c_over_a": (FLOAT, "1", "axial ratio, missing if the cell is cubic"),
    "n_grains": (WHOLE, "1", "grains of all structures"),
    "displacement_rms": (FLOAT, "a", "rms displacement from the sites, per component, in lattice constants"),
    "vacancy_fraction": (FLOAT, "1", "share of the crystal's sites that are empty"),
    "substituted_fraction": (FLOAT, "1", "share of the crystal's sites with a particle of the other species"),
    "orientation_fwhm_deg": (FLOAT, "deg", "full width at half maximum of the cubes' angles about each axis"),
    "orientation_coherence": (FLOAT, "1", "1 if all cubes are turned alike to the lattice, about 0 at random"),
    "o_site_angle_deg": (FLOAT, "deg", "mean angle of the O cubes of ABO3 about their B-O axis, folded to 0..45"),
    "o_site_angle_spread_deg": (FLOAT, "deg", "standard deviation of that angle"),
    "mobile_fraction": (FLOAT, "1", "share of particles that left their places over the classified frames"),
    "lindemann.cube": (FLOAT, "1", "rms displacement of the cubes / distance of neighbours"),
    "lindemann.sphere": (FLOAT, "1", "rms displacement of the spheres / distance of neighbours"),
    "molten.cube": (FLAG, "1", "whether the cubes left their sites"),
    "molten.sphere": (FLAG, "1", "whether the spheres left their sites"),
    "frames": (WHOLE, "1", "frames that were classified together"),
    "potential_energy": (FLOAT, "kT", "potential energy of the whole box, mean of the hold"),
    "volume": (FLOAT, "e^3", "volume of the box, mean of the hold"),
    "enthalpy": (FLOAT, "kT", "U + P V of the whole box at the pressure of the state point, mean of the hold"),
}
#: Those that have a standard error beside them, and where its name is not the name with ``_sem``.
_WITH_ERROR = {
    "packing_fraction": "packing_fraction_sem",
    "lattice_constant": "lattice_constant_sem",
    "c_over_a": "c_over_a_sem",
    "vacancy_fraction": "vacancy_fraction_sem",
    "orientation_fwhm_deg": "orientation_fwhm_sem",
    "o_site_angle_deg": "o_site_angle_sem",
    "potential_energy": "potential_energy_sem",
    "volume": "volume_sem",
    "enthalpy": "enthalpy_sem",
}
#: Results that stay in the document alone: lists of any length, and numbers the state point has already.
LEFT_OUT = ("grains", "o_site_angle_histogram", "n_cubes", "n_spheres")
#: What a sublattice has to say.
_SUBLATTICE = {
    "particles": (WHOLE, "1", "particles on these sites"),
    "lindemann": (FLOAT, "1", "rms displacement / distance of neighbours on these sites"),
    "orientation_fwhm_deg": (FLOAT, "deg", "full width at half maximum of the cubes' angles on these sites"),
    "coherence": (FLOAT, "1", "1 if all cubes on these sites are turned alike"),
}


def fixed_columns() -> list[Column]:
    """The columns that every table has, whatever its jobs hold."""
    return [*_state_point(), *_protocol(), *_results()]


def _state_point() -> Iterable[Column]:
    for name, field in StatePoint.model_fields.items():
        kind, unit = _STATE_POINT[name]
        yield Column(name, ("state_point", name), kind, unit, _WORDS.get(name, field.description or name))


def _protocol() -> Iterable[Column]:
    for name, field in ProtocolSettings.model_fields.items():
        kind, unit = _PROTOCOL[name]
        yield Column(f"protocol.{name}", ("document", "protocol", name), kind, unit, field.description or name)


def _results() -> Iterable[Column]:
    for name, (kind, unit, words) in _DOCUMENT.items():
        yield Column(name, ("document", *name.split(".")), kind, unit, words)
        if name in _WITH_ERROR:
            sem = _WITH_ERROR[name]
            yield Column(sem, ("document", sem), FLOAT, unit, f"standard error of {name}")
    for place, edge in enumerate("abc"):
        words = f"edge {edge} of the conventional cell of the largest grain"
        yield Column(f"cell_lengths.{edge}", ("document", "cell_lengths", place), FLOAT, "e", words)
    for place, angle in enumerate(("alpha", "beta", "gamma")):
        words = f"angle {angle} of that cell"
        yield Column(f"cell_angles_deg.{angle}", ("document", "cell_angles_deg", place), FLOAT, "deg", words)
    # The state point's pressure is what was asked for, and has the short name.
    words = "pressure of the log, mean of the hold"
    yield Column("measured_pressure", ("document", "pressure"), FLOAT, "kT/e^3", words)
    words = "standard error of measured_pressure"
    yield Column("measured_pressure_sem", ("document", "pressure_sem"), FLOAT, "kT/e^3", words)


def found_columns(documents: Iterable[Mapping[str, Any]], order: Iterable[str]) -> list[Column]:
    """Columns that depend on what was found: shares of the labels, and sites of the structures.

    Args:
        documents: of all jobs.
        order: labels in the order in which their columns come; others follow.
    """
    labels: dict[str, None] = {}
    sites: dict[str, None] = {}
    for document in documents:
        fractions = document.get("fractions")
        labels |= dict.fromkeys(map(str, fractions)) if isinstance(fractions, Mapping) else {}
        sites |= dict.fromkeys(by_site(document))
    known = [label for label in order if label in labels]
    columns = [
        Column(
            f"fractions.{label}", ("document", "fractions", label), FLOAT, "1", f"share of particles labelled {label}"
        )
        for label in [*known, *sorted(set(labels) - set(known))]
    ]
    for site in sorted(sites):
        for key, (kind, unit, words) in _SUBLATTICE.items():
            name = f"sublattices.{site}.{key}"
            columns.append(Column(name, ("sites", site, key), kind, unit, f"{words} ({site})"))
    return columns


def by_site(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The sublattices of a document by their site; where two have one name (B of MgZn2) their multiplicity joins it."""
    rows = document.get("sublattices")
    rows = [row for row in rows if isinstance(row, Mapping) and "site" in row] if isinstance(rows, list) else []
    names = [str(row["site"]) for row in rows]
    return {
        name if names.count(name) == 1 else f"{name}{row.get('multiplicity')}": row
        for name, row in zip(names, rows, strict=True)
    }
