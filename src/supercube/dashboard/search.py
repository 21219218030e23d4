"""What a user types into the search box -> jobs."""

from __future__ import annotations

import difflib
import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import InputError
from ..statepoint import StatePoint
from .documents import SECTIONS, STATE_POINT
from .entries import STATES, Entry

#: What people call a parameter -> key of the state point; its own name is understood too.
_NAMES = {
    "γ": "size_ratio", "gamma": "size_ratio", "λ": "ligand_length", "lambda": "ligand_length",
    "pe": "evaporation_rate", "peclet": "evaporation_rate", "péclet": "evaporation_rate", "p": "pressure",
    "well": "attraction", "cubes": "n_cubes", "spheres": "n_spheres", "repl": "replicate",
}  # fmt: skip
#: Names that follow their number in titles: 27 cubes.
_COUNTED = {"cubes": "n_cubes", "spheres": "n_spheres"}
#: Keys that jobs have only once something has happened, so that asking for them is no mistake.
_LATER = ("error", "notes", "fractions", "protocol", "model", "thermal")
#: Fewer letters of an id than this are no beginning of one, but a word.
_LEAST_ID = 4
#: How alike two keys are (0 to 1) if one is meant by the other.
_ALIKE = 0.75


def search(query: str, entries: Iterable[Entry]) -> tuple[list[Entry], str]:
    """Jobs that match a query, in their order, and how it was understood.

    Three kinds of query: signac's short filters (``doc.structure ABO3``, ``pressure.$gt 10 n_spheres 0``), signac's
    JSON filters (``{"doc.structure": "ABO3"}``), and words: parameters (``Pe 100``, ``γ 0.49``, ``replicate 7``), whole
    words of the title or the state, and beginnings of ids (``ABO3 fluid``).

    Raises:
        InputError: the query is neither, or asks for a key that no job has.
    """
    jobs = list(entries)
    if "$where" in query:
        raise InputError("$where is refused, for it would run code; use $lt, $gt, $in, $regex and the like.")
    wanted = _filter(query)
    if wanted is None:
        return _by_words(query, jobs)
    full = _understood(_in_full, wanted, query)
    _check_keys(full, jobs)
    found = _understood(_matching, full, query, jobs)
    return [job for job in jobs if job.id in found], f"filter {json.dumps(wanted)}"


def _understood(function: Any, wanted: dict[str, Any], query: str, *more: Any) -> Any:
    try:
        return function(wanted, *more)
    except (KeyError, ValueError, TypeError, AttributeError, AssertionError, re.error) as error:
        raise InputError(
            f"{query!r} is no search ({error}); expected a key and a value, such as: doc.structure ABO3"
        ) from error


def _by_words(query: str, jobs: list[Entry]) -> tuple[list[Entry], str]:
    values, words = _parameters(query)
    found = [job for job in jobs if _has_values(job, values) and _has_words(job, words)]
    parts = [f"{STATE_POINT[key][0]} = {value:g}" for key, value in values]
    if words:
        parts.append(f"{' and '.join(words)} as whole words of the title or state, or as the beginning of the id")
    hint = "" if found else _meant(words)
    return found, f"jobs with {', and '.join(parts) or 'any words'}{hint}"


def _parameters(query: str) -> tuple[list[tuple[str, float]], list[str]]:
    """``pe 100``, ``pe = 100``, ``pe=100`` and ``27 cubes`` as keys of the state point with numbers; other words."""
    names = _NAMES | {key: key for key in StatePoint.model_fields}
    tokens = [token for token in re.split(r"[\s=,]+", query.lower()) if re.search(r"\w", token)]
    values: list[tuple[str, float]] = []
    others: list[str] = []
    while tokens:
        first, second = (*tokens, "")[:2]
        before, after = _number(first), _number(second)
        if first in names and after is not None:
            values.append((names[first], after))
        elif second in _COUNTED and before is not None:
            values.append((_COUNTED[second], before))
        else:
            others.append(first)
            tokens = tokens[1:]
            continue
        tokens = tokens[2:]
    return values, others


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _has_values(job: Entry, values: list[tuple[str, float]]) -> bool:
    point = job.state_point
    for key, value in values:
        if key == "size_ratio" and not point["n_spheres"]:  # it has no meaning, and is not shown
            return False
        if key == "evaporation_rate" and point["pressure"]:
            return False
        own = point[key]
        # Equal but for the last digits, in which a number may differ from what was typed.
        if not isinstance(own, int | float) or not math.isclose(own, value, rel_tol=1e-9, abs_tol=1e-12):
            return False
    return True


def _has_words(job: Entry, words: list[str]) -> bool:
    # Numbers with a sign or decimals are one word each.
    present = set(re.findall(r"[\w.\-]+", f"{job.title} {job.state}".lower()))
    return all(word in present or (len(word) >= _LEAST_ID and job.id.startswith(word)) for word in words)


def _meant(words: list[str]) -> str:
    """A key of the state point that one of the words looks like."""
    for word in words:
        close = difflib.get_close_matches(word.split(".")[0], StatePoint.model_fields, n=1, cutoff=_ALIKE)
        if close and word not in STATES:
            return f"; did you mean {close[0]}?"
    return ""


def _filter(query: str) -> dict[str, Any] | None:
    """The query as a filter of signac; None if it is words."""
    from signac.filterparse import parse_simple

    if query.lstrip().startswith("{"):
        try:
            return dict(json.loads(query))
        except ValueError as error:
            raise InputError(
                f"{query!r} is no JSON ({error}); expected something like: {json.dumps({'doc.structure': 'ABO3'})}"
            ) from error
    try:
        words = shlex.split(query)
    except ValueError as error:
        raise InputError(f"{query!r} cannot be read ({error}); close the quotation mark.") from error
    if not words or not all(_is_key(word) for word in words[::2]):
        return None
    try:
        return dict(parse_simple(words))
    except (ValueError, KeyError) as error:
        raise InputError(f"{query!r} is no search ({error}); expected such as: doc.structure ABO3") from error


def _is_key(word: str) -> bool:
    first = word.split(".", maxsplit=1)[0]
    return first in ("doc", "sp", "$and", "$or", "$not") or first in StatePoint.model_fields


def _check_keys(full: Mapping[str, Any], jobs: list[Entry]) -> None:
    """Refuse a key that no job has: a misspelt one would find nothing, as if there were nothing.

    Raises:
        InputError: with the key that was probably meant.
    """
    known = {f"sp.{key}" for key in StatePoint.model_fields} | _document_keys(dict.fromkeys(_LATER))
    known |= {f"doc.{key}" for fields in SECTIONS.values() for key in fields}
    asked = [key for key in _keys(full) if key not in known and not key.startswith("doc.fractions.")]
    if asked:
        known = known.union(*(_document_keys(job.document) for job in jobs))
    for key in asked:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=_ALIKE)
            hint = f"did you mean {close[0].removeprefix('sp.')}?" if close else "expected one such as doc.structure."
            raise InputError(f"no job has {key.removeprefix('sp.')}; {hint}")


def _document_keys(content: Mapping[str, Any], prefix: str = "doc") -> set[str]:
    keys: set[str] = set()
    for name, value in content.items():
        keys.add(f"{prefix}.{name}")
        if isinstance(value, Mapping):
            keys |= _document_keys(value, f"{prefix}.{name}")
    return keys


def _keys(full: Mapping[str, Any]) -> Iterable[str]:
    """Keys that a filter asks for, without its operators."""
    for key, value in full.items():
        if key in ("$and", "$or"):
            for part in value:
                yield from _keys(part)
        elif key == "$not":
            yield from _keys(value)
        else:
            inner = [name for name in value if not name.startswith("$")] if isinstance(value, Mapping) else []
            path = ".".join(part for part in key.split(".") if not part.startswith("$"))
            yield from (f"{path}.{name}" for name in inner) if inner else (path,)


def _matching(full: dict[str, Any], jobs: list[Entry]) -> set[str]:
    # signac's own matching, over what is in memory: its public find_jobs opens every document again, one by one, and
    # stops at the first damaged one.
    from signac._search_indexer import _SearchIndexer

    index = _SearchIndexer({job.id: {"sp": job.state_point, "doc": job.document} for job in jobs})
    return set(index.find(full))


def _in_full(wanted: dict[str, Any]) -> dict[str, Any]:
    """The filter with the state point's keys as ``sp.key``."""
    full: dict[str, Any] = {}
    for key, value in wanted.items():
        if key in ("$and", "$or"):
            full[key] = [_in_full(part) for part in value]
        elif key == "$not":
            full[key] = _in_full(value)
        else:
            full[key if key.split(".")[0] in ("sp", "doc") else f"sp.{key}"] = value
    return full
