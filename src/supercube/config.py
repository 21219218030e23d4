"""Resources: which engine runs where and how often it writes. Nothing here changes the physical answer.

Also the one place that reads YAML, because config and space files deserve the same care.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from .errors import InputError
from .statepoint import NotNegative, Positive, StrictModel

Whole = Annotated[int, Field(ge=1)]


#: One line: of the script's head, or of the shell. A line break would smuggle in a second one.
Line = Annotated[str, Field(min_length=1, pattern=r"^[^\n]+$")]


class Nodes(StrictModel):
    """What one kind of submission asks of the scheduler."""

    partition: Line | None = None
    walltime_hours: Positive = 1.0
    memory_gb: Positive | None = None
    options: list[Line] = Field(default_factory=list)


class SimulationNodes(Nodes):
    """The same for ``build``, ``equilibrate`` and ``evaporate``."""

    walltime_hours: Positive = 12.0
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    jobs_per_gpu: Whole = 1


class Cluster(StrictModel):
    """How ``python workflow.py submit`` asks for nodes."""

    scheduler: Literal["auto", "slurm", "pbs"] = "auto"
    account: Line | None = None
    simulation: SimulationNodes = SimulationNodes()
    analysis: Nodes = Nodes()
    setup: list[Line] = Field(default_factory=list)
    python: Line | None = None


class Config(StrictModel):
    """What ``project/config.yaml`` may say; the file in the repository documents every key."""

    engine: Literal["auto", "hoomd", "lammps"] = "auto"
    device: Literal["auto", "cpu", "gpu"] = "auto"
    ranks: Whole = 1
    log_period: Whole = 2000
    frames: Whole = 100
    checkpoint_seconds: Positive = 60.0
    walltime_minutes: Positive | None = None
    walltime_margin_minutes: NotNegative = 2.0
    cluster: Cluster = Cluster()

    @field_validator("cluster", mode="before")
    @classmethod
    def _empty_section(cls, value: object) -> object:
        # A section whose lines are all commented out reads as None, which is what its author means by empty.
        return {} if value is None else value

    @model_validator(mode="after")
    def _check_gpus(self) -> Self:
        nodes = self.cluster.simulation
        if nodes.gpus and (self.engine == "lammps" or self.device != "gpu"):
            found = "engine is lammps" if self.engine == "lammps" else f"device is {self.device}"
            raise ValueError(
                f"cluster.simulation.gpus is {nodes.gpus}, but {found}, which may leave it idle; expected device: gpu "
                "and engine: hoomd or auto, or gpus: 0."
            )
        if self.engine == "lammps" and self.ranks > 1:
            raise ValueError(f"ranks is {self.ranks}, but engine is lammps, which runs on one; expected ranks: 1.")
        if nodes.jobs_per_gpu > 1 and not nodes.gpus:
            raise ValueError(
                f"cluster.simulation.jobs_per_gpu is {nodes.jobs_per_gpu}, but gpus is 0; expected gpus: 1, or "
                "jobs_per_gpu: 1."
            )
        if nodes.gpus and self.ranks > 1:
            raise ValueError(
                f"ranks is {self.ranks} and cluster.simulation.gpus {nodes.gpus}; expected ranks: 1, for one job uses "
                "one GPU or the ranks of a machine."
            )
        return self

    @model_validator(mode="after")
    def _check_walltime(self) -> Self:
        if self.walltime_minutes is not None and self.walltime_minutes <= self.walltime_margin_minutes:
            raise ValueError(
                f"walltime_minutes is {self.walltime_minutes:g}, which the walltime_margin_minutes of "
                f"{self.walltime_margin_minutes:g} uses up; expected more."
            )
        for name, nodes in (("simulation", self.cluster.simulation), ("analysis", self.cluster.analysis)):
            if 60.0 * nodes.walltime_hours <= self.walltime_margin_minutes:
                raise ValueError(
                    f"cluster.{name}.walltime_hours is {nodes.walltime_hours:g}, which the walltime_margin_minutes of "
                    f"{self.walltime_margin_minutes:g} uses up; expected more."
                )
        return self


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read ``config.yaml``; a missing or empty file means the defaults.

    Raises:
        InputError: an unknown key, a wrong value, or no YAML at all.
    """
    path = Path(path)
    if not path.exists():
        return Config()
    found = read_yaml(path)
    return Config() if found is None else Config.parse(found, str(path))


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """Content of a YAML file, ``None`` if it holds nothing but comments.

    Numbers follow YAML 1.2, so 1e-3 is a number, 1:4 is not the sexagesimal 64, and 010 is ten; a key that is given
    twice in one mapping is refused instead of the last one winning.

    Raises:
        InputError: the file is missing, unreadable, or no YAML; the message says the line.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist; expected a YAML file.")
    try:
        with open(path, encoding="utf-8") as handle:
            return yaml.load(handle, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise InputError(f"{place}: {error.problem or error.context}; expected valid YAML.") from error
    except (yaml.YAMLError, OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read ({' '.join(str(error).split())}); expected a YAML text file."
        ) from error


# The C loader is six times faster, which a space of ten thousand listed jobs notices; PyYAML may be built without it.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"


class _Loader(_Base):
    """Safe YAML with the numbers of YAML 1.2 and without repeated keys."""

    # A copy, without PyYAML's numbers, which are those of YAML 1.1.
    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own attribute, and its type
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Refuse a repeated key, then do as usual. A key may still override one that ``<<`` merges in."""
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else []:
            if key.value in seen and isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} is given twice", problem_mark=key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _float(loader: Any, node: Any) -> float:
    return float(loader.construct_scalar(node).replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan)$"),
    list("-+.0123456789"),
)
_Loader.add_constructor(_INT, lambda loader, node: int(loader.construct_scalar(node)))
_Loader.add_constructor(_FLOAT, _float)
