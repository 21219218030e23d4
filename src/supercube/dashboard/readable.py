"""Numbers, times and values of documents as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: A space that neither breaks nor looks like a gap.
_THIN = "\u202f"
#: What an empty mapping or list reads as.
_NOTHING = "none"


def number(value: float, digits: int = 4) -> str:
    """A number with so many significant digits; whole numbers in full, in groups of three."""
    if isinstance(value, int) or (math.isfinite(value) and value == round(value) and abs(value) < 1e15):
        return f"{round(value):,}".replace(",", _THIN)
    return f"{value:.{digits}g}"


def with_error(value: float, error: float) -> str:
    """``41.84 ± 0.69``: the error with two significant digits, the value as far as it goes."""
    if not (math.isfinite(error) and error > 0):
        return number(value)
    places = 1 - math.floor(math.log10(error))
    # Rounding 0.0996 gives a digit more than its logarithm says.
    places = 1 - math.floor(math.log10(round(error, places)))
    shown = max(places, 0)
    return f"{round(value, places):.{shown}f} ± {round(error, places):.{shown}f}"


def percent(fraction: float, error: float | None = None) -> str:
    """A fraction in percent, rounded to whole ones except near 0 and 1, where the difference tells."""
    if error:
        return f"{with_error(100 * fraction, 100 * error)} %"
    value = 100 * fraction
    exact = 0 < value < 1 or 99 < value < 100
    return f"{value:.1f} %" if exact else f"{value:.0f} %"


def size(n_bytes: int) -> str:
    """Size of a file, in decimal units."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


def shown(value: Any, unit: str = "") -> str:
    """Any JSON value as text: numbers rounded, mappings and lists in words."""
    if value is None or isinstance(value, str | bool):
        return "–" if value is None else value if isinstance(value, str) else "yes" if value else "no"
    text = _plain(value)
    return f"{text} {unit}" if unit and text != _NOTHING else text


def _plain(value: Any) -> str:
    match value:
        case int() | float():
            return number(value)
        case Mapping():
            return (
                ", ".join(f"{words(key)} {shown(item)}" for key, item in value.items() if item is not None) or _NOTHING
            )
        case list() | tuple():
            separator = "; " if any(isinstance(item, Mapping) for item in value) else ", "
            return separator.join(shown(item) for item in value) or _NOTHING
        case _:
            return str(value)


def words(key: object) -> str:
    """The key of a mapping as words."""
    return str(key).replace("_", " ")
