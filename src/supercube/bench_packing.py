"""``supercube bench packing``: what a closest packing costs, beside the time it may take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import product

import numpy as np

from .crystals.diagram import packing_table
from .crystals.library import O_SITE_ANGLE, STRUCTURES
from .crystals.packing import close_packing, forget
from .crystals.phases import QUICK

#: Seconds that one call may take where there are closed formulas, and where the minimiser works.
FORMULA_SECONDS, SEARCH_SECONDS = 0.05, 2.0
#: Seconds that a map of 60 x 40 points of the closed formulas may take.
MAP_SECONDS = 60.0
#: Size ratios and ligand lengths of the calls: the region where cubes and spheres are mixed.
_GAMMAS, _LAMBDAS = (0.35, 0.42, 0.49, 0.56, 0.63), (0.0, 0.1, 0.2)


def print_table(tell: Callable[[str], None]) -> None:
    """One row a structure: median and longest time of a call, and the share of the allowed time that the longest is."""
    tell(f"{'structure':<14}{'how':<10}{'median ms':>10}{'longest ms':>12}{'of allowed':>12}")
    for name, entry in STRUCTURES.items():
        second = 2.5 if "second_cube" in entry.species else None
        times = []
        exact = True
        for gamma, lam in product(_GAMMAS, _LAMBDAS):
            forget()
            began = time.perf_counter()
            exact = close_packing(name, gamma, lam, second_edge=second).exact
            times.append(time.perf_counter() - began)
        allowed = FORMULA_SECONDS if exact else SEARCH_SECONDS
        how = "formula" if exact else "search"
        middle, longest = 1e3 * statistics.median(times), 1e3 * max(times)
        tell(f"{name:<14}{how:<10}{middle:>10.2f}{longest:>12.2f}{max(times) / allowed:>12.4f}")
    forget()
    began = time.perf_counter()
    table = packing_table(
        np.linspace(0.3, 0.7, 60).tolist(),
        np.linspace(0.0, 0.25, 40).tolist(),
        (*QUICK, "ABO3"),
        {"ABO3": {O_SITE_ANGLE: 45.0}},
    )
    seconds = time.perf_counter() - began
    tell(f"map of {table.fractions[0].size} points, {len(table.structures)} closed formulas: {seconds:.2f} s")
    tell(f"  of the allowed {MAP_SECONDS:g} s: {seconds / MAP_SECONDS:.4f}")
