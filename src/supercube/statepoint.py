"""The state point: everything that changes the physical answer of a job, validated once and for all.

Reduced units: length = effective cube edge e, energy = kT, time = e^2/D0 with D0 the diffusion coefficient of a cube.
Engines, devices and output periods are no part of it (``config.py``); how long a run equilibrates and holds is recorded
beside it (:class:`ProtocolSettings`). Crystal names are checked where crystals are known, by ``init.py``.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .errors import InputError

#: Version of the state point's keys and meanings. Whatever changes a job's id must raise it, and bring a migration.
SCHEMA_VERSION = 1
#: Seeds are positive and below this (LAMMPS requires less than 900,000,000 in several styles).
LARGEST_SEED = 899_999_999
#: Fewer particles have no order to tell: one particle and its six neighbours in a simple cubic crystal.
LEAST_BODIES = 7

_SIGNIFICANT_DIGITS = 12


def _canonical(value: float) -> float:
    # The id is a hash of the decimal text, so 0.1 + 0.2 and 0.3, or 0.0 and -0.0, must become the same text.
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}") + 0.0


Number = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_canonical)]
NotNegative = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
Count = Annotated[int, Field(ge=0, le=10**9)]


def nearest_key(key: str, known: Iterable[str]) -> str:
    """What to try instead of an unknown key: the nearest known one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(key.lower(), names, n=1)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(names)}."


#: What pydantic's error types say in our words; the names in braces are pydantic's.
_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "literal_error": "{expected}",
}


class StrictModel(BaseModel):
    """Base of everything a user writes: unknown keys and almost-right types are refused, in one sentence."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def parse(cls, mapping: object, where: str) -> Self:
        """Validate what came out of a file.

        Args:
            mapping: keys and values of plain Python types.
            where: the place to name in an error, such as ``demo.yaml, jobs[2]``.

        Raises:
            InputError: the first thing that is wrong - which key, what came, and what was expected.
        """
        if not isinstance(mapping, Mapping):
            raise InputError(f"{where}: found {_shown(mapping)}; expected a mapping of keys to values.")
        try:
            return cls.model_validate({str(key): value for key, value in mapping.items()})
        except ValidationError as error:
            raise InputError(f"{where}: {_first_problem(error, cls)}") from None

    def to_dict(self) -> dict[str, Any]:
        """Every key in a fixed order, with values of plain Python types."""
        return self.model_dump()


def _first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    # A misspelt key is also a missing key; the spelling is the thing to tell.
    order = {"extra_forbidden": 0, "missing": 2}
    problem = min(error.errors(include_url=False), key=lambda item: order.get(item["type"], 1))
    names = [str(part) for part in problem["loc"]]
    key = ".".join(names)
    for name in names[:-1]:  # into the section that holds the key
        section = model.model_fields[name].annotation if name in model.model_fields else None
        if isinstance(section, type) and issubclass(section, BaseModel):
            model = section
    if problem["type"] == "extra_forbidden":
        return f"{key} is not a known key; {nearest_key(names[-1], model.model_fields)}"
    if problem["type"] == "missing":
        return f"{key} is missing: {model.model_fields[names[-1]].description}."
    context = problem.get("ctx", {})
    if problem["type"] == "value_error":
        return str(context["error"])
    expected = _EXPECTED.get(problem["type"], problem["msg"])
    return f"{key} is {_shown(problem['input'])}; expected {expected.format(**context)}."


def _shown(value: object, most: int = 60) -> str:
    if value is None:
        return "empty"
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**most else "a huge number"
    return text if len(text) <= most else f"{text[: most - 4]} ..."


class StatePoint(StrictModel):
    """Identity of a job. Every key is always present; equal physics means equal state points, hence equal ids.

    ``size_ratio`` may be left out when there are no spheres; it is 1.0 then, and nothing else.
    """

    # The limits are far outside any nanocrystal; they stop typing errors before a volume overflows.
    size_ratio: Annotated[
        Positive,
        Field(ge=1e-3, le=1e3, description="spheres need a size_ratio, the cube edge over the sphere diameter"),
    ]
    ligand_length: Annotated[
        Number, Field(gt=0, lt=0.5, description="the thickness of the ligand shell in cube edges, between 0 and 0.5")
    ]
    evaporation_rate: Annotated[NotNegative, Field(description="the Peclet number of drying; 0 = no drying")] = 0.0
    n_cubes: Annotated[Count, Field(description="the number of cubes (0 for none)")]
    n_spheres: Annotated[Count, Field(description="the number of spheres")] = 0
    attraction: Annotated[NotNegative, Field(description="the depth of the face-to-face well in kT")] = 0.0
    initial: Annotated[str, Field(description="fluid, a structure's name, or file:SHA256")] = "fluid"
    expansion: Annotated[Positive, Field(description="the lattice constant of a crystal start over close packing")] = (
        1.0
    )
    geometry: Annotated[str, Field(description="bulk")] = "bulk"
    target_packing_fraction: Annotated[Number, Field(ge=0, lt=1, description="where drying stops; 0 = no drying")] = 0.0
    pressure: Annotated[NotNegative, Field(description="the pressure in kT/e^3; 0 = constant volume or drying")] = 0.0
    roughness: Annotated[Positive, Field(description="the allowed roughness of a face in cube edges")] = 0.02
    size_dispersity: Annotated[NotNegative, Field(description="the relative spread of sizes")] = 0.0
    replicate: Annotated[Count, Field(description="the number of the independent repeat")] = 0

    @model_validator(mode="before")
    @classmethod
    def _size_ratio_without_spheres(cls, data: Any) -> Any:
        # Only the plain integer 0: anything odd in n_spheres has to reach its own check.
        if isinstance(data, dict) and "size_ratio" not in data and data.get("n_spheres", 0) == 0:
            return {**data, "size_ratio": 1.0}
        return data

    @field_validator("geometry")
    @classmethod
    def _check_geometry(cls, value: str) -> str:
        if value in ("film", "droplet"):
            raise ValueError(f"geometry {value} is not supported yet: film and droplet come later; expected bulk.")
        if value != "bulk":
            raise ValueError(f"geometry is {_shown(value)}; expected bulk.")
        return value

    @field_validator("initial")
    @classmethod
    def _check_initial(cls, value: str) -> str:
        if value.startswith("file:"):
            if not re.fullmatch(r"file:[0-9a-f]{64}", value):
                raise ValueError(
                    f"initial is {_shown(value)}; expected file: and the 64 hexadecimal digits of a SHA-256 "
                    "(in a space, write the path of the .gsd file instead)."
                )
        elif value.endswith(".gsd"):
            raise ValueError(f"initial is {_shown(value)}; only a space file may give a path; expected file:SHA256.")
        elif not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*", value):
            raise ValueError(f"initial is {_shown(value)}; expected fluid, a structure's name, or file:SHA256.")
        return value

    @model_validator(mode="after")
    def _check_particles(self) -> Self:
        if self.n_bodies == 0:
            raise ValueError("n_cubes and n_spheres are both 0; expected at least one particle.")
        if self.n_spheres == 0 and self.size_ratio != 1:
            raise ValueError(
                f"size_ratio is {self.size_ratio:g} but there are no spheres; expected 1.0 (or leave it out), "
                "so that equal jobs have equal ids."
            )
        if self.n_spheres and self.sphere_diameter <= 2 * self.ligand_length:
            raise ValueError(
                f"size_ratio {self.size_ratio:g} makes spheres of diameter {self.sphere_diameter:.3g}, no more than "
                f"two ligand shells of {self.ligand_length:g}; expected less than {0.5 / self.ligand_length:.3g}."
            )
        return self

    @model_validator(mode="after")
    def _check_start(self) -> Self:
        start = self.initial if self.initial == "fluid" else "file" if self.initial.startswith("file:") else "crystal"
        if start != "crystal" and self.expansion != 1:
            raise ValueError(
                f"expansion is {self.expansion:g} with initial {start}; expected 1.0, for only crystals expand."
            )
        return self

    @model_validator(mode="after")
    def _check_drying(self) -> Self:
        if self.evaporation_rate > 0 and self.target_packing_fraction == 0:
            raise ValueError(
                f"target_packing_fraction is missing or 0, but evaporation_rate is {self.evaporation_rate:g}; "
                "expected the packing fraction at which drying stops, between 0 and 1."
            )
        if self.evaporation_rate == 0 and self.target_packing_fraction != 0:
            raise ValueError(
                f"target_packing_fraction is {self.target_packing_fraction:g}, but evaporation_rate 0 means no drying; "
                "expected 0.0 (or leave it out)."
            )
        return self

    @model_validator(mode="after")
    def _check_supported(self) -> Self:
        if self.size_dispersity > 0:
            raise ValueError(
                f"size_dispersity {self.size_dispersity:g} is not supported yet: all particles of a species have one "
                "size in this version; expected 0."
            )
        return self

    @model_validator(mode="after")
    def _check_pressure(self) -> Self:
        if self.pressure > 0 and self.evaporation_rate > 0:
            raise ValueError(
                f"pressure is {self.pressure:g} and evaporation_rate {self.evaporation_rate:g}; expected one of them "
                "to be 0, for either the pressure sets the volume or drying does."
            )
        return self

    @property
    def sphere_diameter(self) -> float:
        """Effective sphere diameter D = e/gamma, in cube edges."""
        return 1.0 / self.size_ratio

    @property
    def n_bodies(self) -> int:
        """Number of cubes and spheres together."""
        return self.n_cubes + self.n_spheres

    def seed(self, stage: str) -> int:
        """Seed of the random numbers of one stage, from 1 to ``LARGEST_SEED``; the same on every machine.

        Args:
            stage: its name, so that no two stages share a stream.
        """
        text = json.dumps([self.to_dict(), stage], sort_keys=True, separators=(",", ":"))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % LARGEST_SEED + 1


class ProtocolSettings(StrictModel):
    """How a run goes: recorded in the job document as ``protocol``, so that a space cannot change it unnoticed.

    Times are in e^2/D0, the time a cube takes to diffuse its own size.
    """

    initial_packing_fraction: Annotated[
        Number, Field(gt=0, le=0.3, description="the packing fraction of a fluid start")
    ] = 0.15
    equilibration_time: Annotated[NotNegative, Field(description="the time before drying or the pressure ramp")] = 10.0
    hold_time: Annotated[NotNegative, Field(description="the time after drying or the pressure ramp")] = 20.0
    initial_pressure: Annotated[
        NotNegative, Field(description="the pressure before the ramp, kT/e^3; 0 = as in the state point")
    ] = 0.0
    ramp_time: Annotated[NotNegative, Field(description="the time from the initial pressure to the pressure")] = 0.0
    box: Annotated[
        Literal["auto", "isotropic", "lengths", "all"],
        Field(description="what a pressure may change; auto = isotropic for a fluid, else the three lengths"),
    ] = "auto"

    @model_validator(mode="after")
    def _check_ramp(self) -> Self:
        if (self.initial_pressure > 0) != (self.ramp_time > 0):
            raise ValueError(
                f"initial_pressure is {self.initial_pressure:g} and ramp_time {self.ramp_time:g}; expected both above "
                "0, for a ramp from there to the pressure, or neither."
            )
        return self
