"""A picture of a configuration: cubes that look like cubes, spheres like spheres, coloured by local order.

This is a small ray caster of our own, on the CPU and in numpy, because the libraries that could do it (VTK, OVITO)
need the system's OpenGL, which clusters and containers lack, or (fresnel) are not on PyPI.

The picture does not mislead about sizes: the projection is parallel, so equal bodies look equal wherever they are; the
rounding of cubes is exact; and spheres are opaque at their full diameter, which shows the cubes on the faces of the
box as a microscope would. To look inside, shrink the spheres or make them glass; the legend then says so.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..configuration import Configuration
from ..errors import InputError
from . import palette
from ._figure import new_figure, save_png
from ._light import Image, blend_spheres, draw_lines, light_scene, shade
from ._scene import box_corners, box_edges, check, cut_at_gaps, solids_of
from ._trace import Array, Camera, Solids, look_from, trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The picture is computed at this multiple of its size and averaged down, against jagged edges.
SUPERSAMPLE = 2
#: Degrees: a lattice whose axes are the box's is seen from a corner, a little from above.
VIEW = (28.0, 20.0)
MARGIN = 0.02  #: of the picture's shorter side
SMALLEST_SIZE = 32  #: pixels
DPI = 100


def render(
    configuration: Configuration,
    path: str | os.PathLike[str],
    labels: Sequence[str] | None = None,
    *,
    size: tuple[int, int] = (900, 900),
    title: str | None = None,
    view: tuple[float, float] = VIEW,
    sphere_scale: float = 1.0,
    sphere_opacity: float = 1.0,
) -> None:
    """Draw all bodies in the periodic box as a PNG.

    Bodies keep the shape in ``configuration.shapes``. Where that is empty, a cube has edge 1 (the distance to its
    neighbours, if that tells another unit of length) and a rounding of a tenth, spheres have the smallest distance of
    two of them as diameter (1 if there is one), and the legend says so. The box may be drawn from another (arbitrary)
    periodic origin so that its faces cut few bodies; each body is drawn once.

    Args:
        configuration: what to draw.
        path: PNG file to write (overwritten).
        labels: a structure label for each body, in file order; None colours by species.
        size: width and height in pixels.
        title: a line of text above the picture.
        view: azimuth and elevation of the viewer in degrees; (0, 0) looks along +y with z upwards.
        sphere_scale: draw spheres at this multiple of their diameter; the legend says so if it is not 1.
        sphere_opacity: of a sphere seen through its middle: 1 is opaque, 0.4 reads well as glass, 0 leaves the rim.

    Raises:
        InputError: nothing to draw, NaNs, a wrong number of labels, a shape that is neither a sphere nor a box, or a
            size, scale or opacity out of range.
    """
    check(configuration)
    names = _checked_labels(configuration, labels)
    _check_options(size, sphere_scale, sphere_opacity)
    solids, notes = solids_of(configuration, sphere_scale)
    solids = cut_at_gaps(solids, configuration.box, look_from(*view)[2])
    if sphere_opacity < 1.0 and solids.is_sphere.any():
        notes.insert(0, "spheres drawn as glass to show what is behind")
    if not configuration.oriented:
        notes.append("orientations unknown, cubes drawn along the box")
    legend = _legend_entries(configuration, names)
    band = _Bands.of(size, len(legend), title is not None, notes)
    picture = draw(solids, _colours(configuration, names), configuration.box, band.picture(size), view, sphere_opacity)
    save_png(_compose(picture, size, band, legend, title, notes), path)


def draw(
    solids: Solids, colours: Image, box: Array, size: tuple[int, int], view: tuple[float, float], opacity: float
) -> Image:
    """The picture without title and legend.

    Args:
        solids: all bodies.
        colours: (N, 3), 0..1.
        box: (6,) periodic box, whose edges are drawn.
        size: width and height in pixels.
        view: azimuth and elevation in degrees.
        opacity: of spheres.

    Returns:
        (height, width, 3) float32, 0..1.
    """
    camera = frame_scene(solids, box, (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE), view)
    glass = solids.is_sphere & (opacity < 1.0)
    opaque = solids.take(~glass)
    buffers = trace(opaque, camera)
    draw_lines(buffers, camera, *box_edges(box), width=max(min(size) * SUPERSAMPLE / 600, 1.0))
    lights = light_scene(opaque, camera.rotation) if len(opaque) else None
    image = shade(buffers, colours[~glass], camera, lights)
    blend_spheres(image, buffers.depth, solids.take(glass), colours[glass], camera, opacity)
    height, width = size[1], size[0]
    return np.asarray(image.reshape(height, SUPERSAMPLE, width, SUPERSAMPLE, 3).mean(axis=(1, 3)), dtype=np.float32)


def frame_scene(solids: Solids, box: Array, size: tuple[int, int], view: tuple[float, float]) -> Camera:
    """The camera that shows the whole box and all bodies as large as ``size`` allows."""
    rotation = look_from(*view)
    reach = solids.extent(rotation[:2])
    bodies, corners = solids.centres @ rotation[:2].T, box_corners(box) @ rotation[:2].T
    low = np.minimum((bodies - reach).min(axis=0), corners.min(axis=0))
    high = np.maximum((bodies + reach).max(axis=0), corners.max(axis=0))
    room = np.array(size) - 2 * MARGIN * min(size)
    centre = (low + high) / 2 @ rotation[:2]
    return Camera(rotation, centre, float((room / (high - low)).min()), size[0], size[1])


def _checked_labels(configuration: Configuration, labels: Sequence[str] | None) -> list[str] | None:
    if labels is None:
        return None
    names = [str(label) for label in labels]
    if len(names) != len(configuration):
        raise InputError(f"There are {len(names)} labels for {len(configuration)} bodies; expected one for each body.")
    return names


def _check_options(size: tuple[int, int], sphere_scale: float, sphere_opacity: float) -> None:
    if min(size) < SMALLEST_SIZE:
        raise InputError(f"A picture of {size[0]} x {size[1]} pixels is too small; expected at least {SMALLEST_SIZE}.")
    if not 0.0 < sphere_scale <= 1.0:
        raise InputError(f"sphere_scale is {sphere_scale}; expected a number above 0 and at most 1.")
    if not 0.0 <= sphere_opacity <= 1.0:
        raise InputError(f"sphere_opacity is {sphere_opacity}; expected a number from 0 to 1.")


def _colours(configuration: Configuration, names: list[str] | None) -> Image:
    kinds = [configuration.species[i] for i in configuration.typeid]
    if names is None:
        colours = [palette.species_colour(kind) for kind in kinds]
    else:
        colours = [palette.body_colour(name, kind) for name, kind in zip(names, kinds, strict=True)]
    return np.array([palette.rgb(colour) for colour in colours], dtype=np.float32)


#: One legend entry: text, and (marker, colour) of each species that carries it.
Entry = tuple[str, list[tuple[str, str]]]


def _legend_entries(configuration: Configuration, names: list[str] | None) -> list[Entry]:
    kinds = [configuration.species[i] for i in configuration.typeid]
    total = len(kinds)
    if names is None:
        counts = Counter(kinds)
        return [
            (f"{kind}s  {counts[kind]}", [(_marker(kind), palette.species_colour(kind))])
            for kind in configuration.species
            if counts[kind]
        ]
    entries: list[Entry] = []
    for label in palette.legend_order(set(names)):
        members = Counter(kind for kind, name in zip(kinds, names, strict=True) if name == label)
        swatches = [(_marker(k), palette.body_colour(label, k)) for k in configuration.species if members[k]]
        count = members.total()
        entries.append((f"{palette.style(label).name}  {percent(count, total)}  ({count})", swatches))
    return entries


def _marker(species: str) -> str:
    return "o" if species == "sphere" else "s"


def percent(part: int, whole: int) -> str:
    """A share in whole percent that never rounds something to nothing, or nearly all to all."""
    value = 100 * part / whole
    if part > 0 and value < 1:
        return "<1 %"
    if part < whole and value > 99:
        return ">99 %"
    return f"{value:.0f} %"


class _Bands:
    """Heights in pixels of the strips above and below the picture, and the font size in points."""

    def __init__(self, top: int, bottom: int, font: float, columns: int) -> None:
        self.top, self.bottom, self.font, self.columns = top, bottom, font, columns

    @classmethod
    def of(cls, size: tuple[int, int], entries: int, has_title: bool, notes: list[str]) -> _Bands:
        font = float(np.clip(min(size) / 60, 4.0, 12.0))
        line = int(np.ceil(font * DPI / 72 * 1.75))
        columns = min(max(int(size[0] / (font * DPI / 72 * 13)), 1), entries)
        lines = -(-entries // columns) + (1 if notes else 0)
        # A very flat picture keeps at least half of its height for the bodies.
        return cls(int(line * 1.3) if has_title else 0, min(lines * line + line // 2, size[1] // 2), font, columns)

    def picture(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0], size[1] - self.top - self.bottom


def _compose(
    picture: Image, size: tuple[int, int], band: _Bands, legend: list[Entry], title: str | None, notes: list[str]
) -> Figure:
    from matplotlib.legend_handler import HandlerTuple

    # A quarter of a pixel keeps the division by the resolution from rounding down to one pixel less.
    figure = new_figure((size[0] + 0.25) / DPI, (size[1] + 0.25) / DPI, DPI)
    figure.figimage(picture, 0, band.bottom, origin="upper", resize=False)
    if title is not None:
        figure.text(0.5, 1 - band.top / 2 / size[1], title, ha="center", va="center", fontsize=band.font * 1.15)
    handles: list[Any] = [tuple(_swatch(m, c, band.font) for m, c in swatches) for _, swatches in legend]
    note_height = band.font * 2.2 if notes else 0.0  # in pixels at 100 dpi
    figure.legend(
        handles,
        [text for text, _ in legend],
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0.4)},
        loc="lower center",
        bbox_to_anchor=(0.5, note_height / size[1]),
        ncols=band.columns,
        frameon=False,
        fontsize=band.font,
        borderaxespad=0.2,
        handlelength=2.0,
        columnspacing=1.8,
    )
    if notes:
        figure.text(
            0.5,
            0.3 * note_height / size[1],
            "; ".join(notes),
            ha="center",
            va="bottom",
            fontsize=band.font * 0.8,
            color="#555555",
            style="italic",
        )
    return figure


def _swatch(marker: str, colour: str, font: float) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(
        [],
        [],
        linestyle="none",
        marker=marker,
        markersize=font * 0.85,
        markerfacecolor=colour,
        markeredgecolor="#333333",
        markeredgewidth=0.6,
    )
