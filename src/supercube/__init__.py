"""supercube: which superlattice do these nanocubes form, and how good is it.

``supercube.load(project)`` reads a data space into a pandas table; all else is in the modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .frame import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    # Imported on first use: what only wants a version, or one module, must not wait for signac and pandas.
    if name == "load":
        from .frame import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
