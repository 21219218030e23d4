"""Where the phase map puts jobs at pressures; what else it draws is tested with the other plots."""

import re

import numpy as np
import pytest

from supercube.errors import InputError
from supercube.observe import PHASE_MAP_COLUMNS, _phase_map, palette, plot_phase_map


def row(**changes):
    values = (0.48, 0.14, 0.0, 0.0, 108, 27, "ABO3", 1.05, "ABO3", 1.0)
    return dict(zip(PHASE_MAP_COLUMNS, values, strict=True)) | changes


def cubes(**changes):
    return row(**{"size_ratio": 1.0, "n_spheres": 0, "initial": "SC", "structure": "SC"} | changes)


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, instead of files."""
    drawn = []
    monkeypatch.setattr(_phase_map, "save_png", lambda figure, path: drawn.append(figure))
    return drawn


def panels(figure):
    """Title -> (K, 2) places of the markers of its panel."""
    found = {}
    for ax in figure.axes:
        marks = [line for line in ax.lines if line.get_linestyle() == "None" and line.get_zorder() == 3]
        found[ax.get_title()] = np.array([line.get_xydata()[0] for line in marks])
    return found


def texts(figure):
    return " | ".join(text.get_text() for ax in figure.axes for text in ax.texts)


def test_mixtures_at_two_pressures_stand_in_two_panels_at_their_true_places(figures):
    plot_phase_map([row(pressure=40.0), row(pressure=120.0)], "map.png")
    found = panels(figures[0])
    assert list(found) == [f"cubes and spheres, P = {p} kT/e$^3$" for p in (40, 120)]
    for places in found.values():
        np.testing.assert_allclose(places, [[0.48, 0.14]])
    assert "from ABO$_3$, P = 40" in texts(figures[0]) or "from ABO₃, P = 40" in texts(figures[0])
    assert "no drying" not in texts(figures[0])
    assert "P 40 to 120" in figures[0].texts[-1].get_text()
    assert "Pe" not in figures[0].texts[-1].get_text()


def test_cubes_stand_at_their_pressure(figures):
    rows = [cubes(pressure=p, ligand_length=x) for p in (30.0, 240.0) for x in (0.1, 0.2)]
    plot_phase_map(rows, "map.png")
    (ax,) = figures[0].axes
    assert ax.get_xlabel().startswith("pressure P")
    np.testing.assert_allclose(panels(figures[0])["cubes only"], [(r["pressure"], r["ligand_length"]) for r in rows])
    np.testing.assert_allclose(ax.get_xticks(), [30, 240])


def test_drying_jobs_keep_their_axes_beside_jobs_at_pressure(figures):
    rows = [
        row(evaporation_rate=2.4, initial="fluid"),
        row(),
        row(pressure=40.0, size_ratio=0.42),
        cubes(evaporation_rate=80.0),
        cubes(pressure=40.0),
    ]
    plot_phase_map(rows, "map.png")
    labels = [ax.get_xlabel().split()[0] for ax in figures[0].axes]
    assert labels == ["size", "size", "Péclet", "pressure"]
    for word in ("from fluid, Pe 2.4", "no drying", "P = 40", "Pe 80"):
        assert word in texts(figures[0])
    dried, pressed = figures[0].axes[:2]
    assert dried.get_xlim() == pressed.get_xlim()  # to be compared
    caption = figures[0].texts[-1].get_text()
    assert "Pe 0 to 80; P 40." in caption


def test_jobs_of_one_place_are_drawn_apart_and_the_map_says_so(figures):
    plot_phase_map([row(pressure=40.0), row(pressure=40.0, initial="NaCl", structure="NaCl")], "map.png")
    (places,) = panels(figures[0]).values()
    assert np.linalg.norm(places[0] - places[1]) > 1e-3
    assert "pushed apart" in figures[0].texts[-1].get_text()


@pytest.mark.parametrize("number", range(1, 8))
def test_every_panel_has_its_axes_and_no_other(figures, number):
    plot_phase_map([row(pressure=10.0 * (k + 1)) for k in range(number)], "map.png")
    assert len(figures[0].axes) == number
    boxes = [ax.get_tightbbox() for ax in figures[0].axes]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


def test_a_negative_pressure_is_refused():
    with pytest.raises(InputError, match=r"Row 1 .* negative pressure, -1.0; expected 0 or more"):
        plot_phase_map([row(), row(pressure=-1.0)], "map.png")


def boxes_of(figure, ax):
    """What is drawn in a panel, in pixels: (text, box), (colour, centre, radius) of markers, lines of texts."""
    renderer = figure.canvas.get_renderer()
    texts = [(text.get_text(), text.get_window_extent(renderer).get_points()) for text in ax.texts]
    marks, lines = [], []
    for line in ax.lines:
        where = ax.transData.transform(line.get_xydata())
        if line.get_zorder() == 3:
            marks.append((line.get_markerfacecolor(), where[0], line.get_markersize() / 2 * figure.dpi / 72))
        elif line.get_zorder() == 2:
            lines.append(where)
    return texts, marks, lines


def rims(box, marks):
    return np.array([np.linalg.norm(place - np.clip(place, *box)) - radius for _, place, radius in marks])


@pytest.mark.parametrize("seed", range(5))
def test_no_text_of_a_crowded_map_is_read_as_that_of_another_marker(figures, seed):
    """Each point has a structure of its own, so that colour and text say by themselves what belongs together."""
    rng = np.random.default_rng(seed)
    labels = [label for label in palette.STYLES if label != "disordered"]
    rows = [
        row(evaporation_rate=float(pe), initial="fluid", structure=label, size_ratio=0.48 + 0.004 * (k % 3))
        for k, (label, pe) in enumerate(zip(rng.permutation(labels)[:12], range(1, 13), strict=True))
        for _ in range(2)
    ]
    plot_phase_map(rows, "map.png")
    (figure,) = figures
    texts, marks, lines = boxes_of(figure, figure.axes[0])
    left_out = int((re.findall(r"(\d+) texts found no room", figure.texts[-1].get_text()) or ["0"])[0])
    assert len(texts) + left_out == 12
    assert len(texts) >= 6
    for text, box in texts:
        name = text.rsplit("2 of 2 ", maxsplit=1)[1].removesuffix(", 100 %")
        colour = next(look.colour for look in palette.STYLES.values() if look.name == name)
        own = np.array([mark[0] == colour for mark in marks])
        assert own.sum() == 2
        distances = rims(box, marks)
        # Around the letters there is a margin of 1.5 points: 4.4 pixels at a corner.
        ends = [line for line in lines if np.linalg.norm(line[0] - np.clip(line[0], *box)) < 6.0]
        led = [
            # Markers with corners are drawn a fifth smaller than the discs that lines end at, up to 3 pixels.
            any(np.linalg.norm(line[1] - place) < radius + 4 for line in ends)
            for (_, place, radius), mine in zip(marks, own, strict=True)
            if mine
        ]
        assert any(led) or distances[own].min() + 8 < distances[~own].min()


def test_texts_beside_replicates_at_rising_speeds_are_their_own(figures):
    """One crystal at rest and replicates at two speeds: the texts once stood above each other's markers."""
    rows = [cubes(structure="SC", ligand_length=0.2)]
    rows += [cubes(initial="fluid", evaporation_rate=pe, ligand_length=0.2) for pe in (100.0, 400.0) for _ in range(2)]
    plot_phase_map(rows, "map.png")
    (figure,) = figures
    (ax,) = figure.axes
    texts, marks, lines = boxes_of(figure, ax)
    assert sorted(text for text, _ in texts) == [
        "from SC, no drying\n100 %", "from fluid, Pe 100\n2 of 2 SC, 100 %", "from fluid, Pe 400\n2 of 2 SC, 100 %",
    ]  # fmt: skip
    homes = ax.transData.transform([(pe, 0.2) for pe in (0.0, 100.0, 400.0)])
    for (text, box), home in zip(sorted(texts), homes, strict=True):
        ends = [line[1] for line in lines if np.linalg.norm(line[0] - np.clip(line[0], *box)) < 6.0]
        nearest = marks[int(rims(box, marks).argmin())][1] if not ends else ends[0]
        assert abs(nearest[0] - home[0]) < 30, text


def test_axes_end_soon_after_the_values_and_are_marked_where_there_are_some(figures):
    plot_phase_map([cubes(evaporation_rate=pe, ligand_length=0.2) for pe in (0.0, 100.0, 400.0)], "map.png")
    (ax,) = figures[0].axes
    assert ax.get_xlim()[1] < 1000
    np.testing.assert_allclose(ax.get_xticks(), [0, 100, 400])
    np.testing.assert_allclose(ax.get_ylim(), [0.19, 0.21])
    np.testing.assert_allclose(ax.get_yticks(), [0.2])


def test_values_too_close_for_two_ticks_have_one(figures):
    plot_phase_map([row(size_ratio=x) for x in (0.30, 0.301, 0.5)], "map.png")
    np.testing.assert_allclose(figures[0].axes[0].get_xticks(), [0.30, 0.5])


def test_replicates_that_end_differently_are_counted(figures):
    found = ["SC", "disordered", "SC", None]
    rows = [
        cubes(initial="fluid", evaporation_rate=100.0, structure=label, structure_fraction=label and 0.9)
        for label in found
    ]
    plot_phase_map(rows, "map.png")
    assert texts(figures[0]) == "from fluid, Pe 100\n2 of 4 SC"


def test_a_start_from_a_file_is_not_called_a_crystal(figures):
    plot_phase_map([row(initial="file:0123abcd"), row(initial="ABO3", size_ratio=0.4), row(initial="fluid")], "map.png")
    legend = {text.get_text() for text in figures[0].legends[0].get_texts()}
    assert {"from file", "from crystal", "from fluid"} <= legend
    marks = [line for line in figures[0].axes[0].lines if line.get_zorder() == 3]
    edges = {line.get_markeredgecolor() for line in marks}
    assert len(edges) == 3
    assert [line.get_markeredgecolor() for line in marks].count("black") == 1
    assert "from file 0123" in texts(figures[0])
