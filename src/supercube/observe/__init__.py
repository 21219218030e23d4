"""Pictures of configurations, and figures of runs and studies."""

from ._packing_map import plot_packing_map
from .palette import STYLES, style
from .plots import PHASE_MAP_COLUMNS, plot_order, plot_phase_map, write_phase_map_csv
from .render import render

__all__ = [
    "PHASE_MAP_COLUMNS",
    "STYLES",
    "plot_order",
    "plot_packing_map",
    "plot_phase_map",
    "render",
    "style",
    "write_phase_map_csv",
]
