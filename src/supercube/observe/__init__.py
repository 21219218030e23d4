"""Pictures of configurations, and figures of runs and studies."""

from ._coverage import coverage_figure
from ._drying import DRYING_COLUMNS, drying_figure
from ._packing_jobs import PACKING_JOBS_COLUMNS, packing_jobs_figure
from ._packing_map import plot_packing_map
from ._scatter_figure import plot_scattering
from ._view3d import view3d
from .palette import STYLES, style
from .plots import PHASE_MAP_COLUMNS, plot_order, plot_phase_map, write_phase_map_csv
from .render import render

__all__ = [
    "DRYING_COLUMNS",
    "PACKING_JOBS_COLUMNS",
    "PHASE_MAP_COLUMNS",
    "STYLES",
    "coverage_figure",
    "drying_figure",
    "packing_jobs_figure",
    "plot_order",
    "plot_packing_map",
    "plot_phase_map",
    "plot_scattering",
    "render",
    "style",
    "view3d",
    "write_phase_map_csv",
]
