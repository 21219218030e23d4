"""Where the phase map puts jobs at pressures; what else it draws is tested with the other plots."""

import numpy as np
import pytest

from supercube.errors import InputError
from supercube.observe import PHASE_MAP_COLUMNS, _phase_map, plot_phase_map


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
