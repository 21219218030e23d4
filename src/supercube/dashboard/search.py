"""What a user types into the search box -> jobs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from typing import Any

from ..errors import InputError
from ..statepoint import StatePoint
from .entries import Entry


def search(query: str, entries: Iterable[Entry]) -> tuple[list[Entry], str]:
    """Jobs that match a query, in their order, and how it was understood.

    Three kinds of query: signac's short filters (``doc.structure ABO3``, ``pressure.$gt 10 n_spheres 0``), signac's
    JSON filters (``{"doc.structure": "ABO3"}``), and words of the title or the beginning of an id (``ABO3 fluid``).

    Raises:
        InputError: the query is neither.
    """
    jobs = list(entries)
    if "$where" in query:
        raise InputError("$where is refused, for it would run code; use $lt, $gt, $in, $regex and the like.")
    wanted = _filter(query)
    if wanted is None:
        words = query.lower().split()
        return [job for job in jobs if _has(job, words)], f"jobs whose title has {' and '.join(words) or 'any words'}"
    try:
        found = _matching(wanted, jobs)
    except (KeyError, ValueError, TypeError, AttributeError, AssertionError, re.error) as error:
        raise InputError(
            f"{query!r} is no search ({error}); expected a key and a value, such as: doc.structure ABO3"
        ) from error
    return [job for job in jobs if job.id in found], f"filter {json.dumps(wanted)}"


def _has(job: Entry, words: list[str]) -> bool:
    text = f"{job.title} {job.state}".lower()
    return all(word in text or job.id.startswith(word) for word in words)


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
    if not words or not _is_key(words[0]):
        return None
    try:
        return dict(parse_simple(words))
    except (ValueError, KeyError) as error:
        raise InputError(f"{query!r} is no search ({error}); expected such as: doc.structure ABO3") from error


def _is_key(word: str) -> bool:
    first = word.split(".", maxsplit=1)[0]
    return first in ("doc", "sp", "$and", "$or", "$not") or first in StatePoint.model_fields


def _matching(wanted: dict[str, Any], jobs: list[Entry]) -> set[str]:
    # signac's own matching, over what is in memory: its public find_jobs opens every document again, one by one, and
    # stops at the first damaged one.
    from signac._search_indexer import _SearchIndexer

    index = _SearchIndexer({job.id: {"sp": job.state_point, "doc": job.document} for job in jobs})
    return set(index.find(_in_full(wanted)))


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
