"""Resources: which engine runs where and how often it writes. Nothing here changes the physical answer.

Also the one place that reads YAML, because config and space files deserve the same care.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, model_validator

from .errors import InputError
from .statepoint import NotNegative, Positive, StrictModel

Whole = Annotated[int, Field(ge=1)]


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

    @model_validator(mode="after")
    def _check_walltime(self) -> Self:
        if self.walltime_minutes is not None and self.walltime_minutes <= self.walltime_margin_minutes:
            raise ValueError(
                f"walltime_minutes is {self.walltime_minutes:g}, which the walltime_margin_minutes of "
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
