"""What the notebooks in ``analysis/`` need of Jupyter: figures in the page, and errors as one sentence."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any

from .errors import InputError, SupercubeError


def setup(project: str | os.PathLike[str] = "../project", **options: Any) -> Any:
    """Prepare a notebook and read its data space.

    From here on an error of supercube is one sentence, after which the notebook stops; figures of matplotlib appear in
    the page, and those of plotly too, from the JavaScript that JupyterLab has, not from the network. Notes of the table
    (``attrs["notes"]``) are printed.

    Args:
        project: root of the signac project.
        options: further arguments of :func:`supercube.load`.

    Returns:
        pandas.DataFrame: the table of :func:`supercube.load`.

    Raises:
        InputError: as :func:`supercube.load`, or this is no notebook.
    """
    import pandas as pd
    import plotly.io
    from IPython.core.getipython import get_ipython

    from . import load

    shell = get_ipython()
    if shell is None:
        raise InputError("supercube.notebook.setup was called outside of a notebook; expected supercube.load there.")
    shell.set_custom_exc((SupercubeError,), _sentence)
    shell.run_line_magic("matplotlib", "inline")
    plotly.io.renderers.default = "plotly_mimetype"
    pd.set_option(
        "display.max_rows", 120, "display.max_columns", 30, "display.max_colwidth", 120, "display.precision", 4
    )
    frame = load(project, **options)
    for note in frame.attrs["notes"]:
        print(f"Note: {note}")
    return frame


def _sentence(
    shell: Any,
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
    tb_offset: int | None = None,
) -> list[str]:
    # What IPython shows in place of the traceback; the cell still fails, so the cells after it do not run.
    lines = [str(error)]
    shell._showtraceback(kind, error, lines)
    sys.last_value = error  # so that %debug still works
    return lines
