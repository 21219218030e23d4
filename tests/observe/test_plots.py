"""Figures and the phase map's table."""

import csv

import numpy as np
import pytest
from matplotlib.image import imread

from supercube.errors import InputError
from supercube.observe import PHASE_MAP_COLUMNS, palette, plot_order, plot_phase_map, plots, write_phase_map_csv
from supercube.observe._phase_map import _padded, spread
from supercube.observe.plots import _drying


def row(**changes):
    values = (0.49, 0.18, 2.4, 0.0, 108, 27, "fluid", 1.0, "ABO3", 0.9)
    return dict(zip(PHASE_MAP_COLUMNS, values, strict=True)) | changes


def order_series(frames=30, **changes):
    time = np.linspace(0.0, 100.0, frames)
    return {
        "time": time,
        "packing_fraction": np.minimum(0.2 + time / 150, 0.7),
        "cubatic_order": np.linspace(0.0, 1.0, frames),
        "fraction_SC": np.linspace(0.0, 0.9, frames),
        "fraction_NaCl": np.full(frames, 0.005),
        "fraction_disordered": 1 - np.linspace(0.0, 0.9, frames),
    } | changes


def has_colour(path, colour):
    """Whether the pure colour is in the picture (lines are wide enough to have pixels without smoothing)."""
    return bool((np.abs(imread(path)[..., :3] - palette.rgb(colour)).max(axis=-1) < 0.02).any())


def test_order_draws_labels_that_occur_and_only_those(tmp_path):
    plot_order(order_series(), tmp_path / "order.png", title="a run")
    assert has_colour(tmp_path / "order.png", palette.STYLES["SC"].colour)
    assert has_colour(tmp_path / "order.png", palette.STYLES["disordered"].colour)
    assert not has_colour(tmp_path / "order.png", palette.STYLES["NaCl"].colour)  # never above 1 %


@pytest.mark.parametrize("frames", [1, 2, 30])
def test_order_without_cubes_or_drying(tmp_path, frames):
    series = order_series(frames, cubatic_order=np.full(frames, np.nan), packing_fraction=np.full(frames, 0.5))
    plot_order(series, tmp_path / "order.png")
    wide = tmp_path / "wide.png"
    plot_order(order_series(), wide)
    # One column where nothing dries, two where something does.
    assert imread(tmp_path / "order.png").shape[1] < imread(wide).shape[1]


def test_drying_ends_when_the_largest_packing_is_reached():
    assert _drying(np.array([0.1, 0.3, 0.5, 0.5, 0.5])) == slice(0, 3)
    assert _drying(np.full(5, 0.5)) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time": np.zeros(3)}, "one length"),
        ({"packing_fraction": np.full(30, np.nan)}, "packing_fraction hold NaN"),
        ({"fraction_SC": np.full(30, np.inf)}, "fraction_SC hold NaN or infinite"),
    ],
)
def test_bad_series_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        plot_order(order_series(**changes), tmp_path / "order.png")


def test_incomplete_series_are_refused(tmp_path):
    series = order_series()
    del series["time"]
    with pytest.raises(InputError, match="lack time"):
        plot_order(series, tmp_path / "order.png")
    with pytest.raises(InputError, match="not empty"):
        plot_order({key: value[:0] for key, value in order_series().items()}, tmp_path / "order.png")


DEMO = [
    row(size_ratio=1.0, ligand_length=0.1, n_cubes=64, n_spheres=0, structure="SC"),
    row(size_ratio=1.0, ligand_length=0.1, n_cubes=64, n_spheres=0, evaporation_rate=80.0, structure="disordered"),
    row(size_ratio=0.40, ligand_length=0.1, evaporation_rate=0.0, initial="NaCl", structure="NaCl"),
    row(evaporation_rate=0.0, initial="ABO3"),
    row(),
    row(structure=None, structure_fraction=None),
    row(n_cubes=0, structure="fcc"),
    row(initial="file:0123abcd", structure="Laves"),
]


@pytest.mark.parametrize("rows", [DEMO, DEMO[:1], DEMO[2:3], DEMO[5:6], DEMO[6:7]], ids=lambda rows: str(len(rows)))
def test_phase_map_shows_the_structures_it_is_given(tmp_path, rows):
    plot_phase_map(rows, tmp_path / "map.png", title="map")
    present = {r["structure"] for r in rows} & set(palette.STYLES)
    for label, look in palette.STYLES.items():
        if label not in {"disordered", "AlB2"}:  # greys occur in the legend anyway
            assert has_colour(tmp_path / "map.png", look.colour) == (label in present)


def test_phase_map_of_hundreds_of_rows(tmp_path):
    rng = np.random.default_rng(0)
    labels = [*palette.STYLES, None]
    rows = [
        row(
            size_ratio=round(rng.uniform(0.3, 0.6), 2),
            ligand_length=round(rng.uniform(0.05, 0.25), 2),
            evaporation_rate=float(rng.choice([0.0, 0.2, 80.0])),
            n_spheres=int(rng.choice([0, 27])),
            structure=labels[rng.integers(len(labels))],
        )
        for _ in range(500)
    ]
    plot_phase_map(rows, tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000


@pytest.mark.parametrize("draw", [plot_phase_map, write_phase_map_csv])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([{"size_ratio": 0.4}], "Row 0 .* lacks ligand_length"),
        ([row(), row(ligand_length=float("nan"))], "Row 1 .* ligand_length = nan"),
        ([row(structure_fraction=1.5)], "expected 0 to 1"),
        ([row(evaporation_rate=-1.0)], "negative"),
    ],
)
def test_bad_rows_are_refused(tmp_path, draw, rows, message):
    with pytest.raises(InputError, match=message):
        draw(rows, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_discs_are_pushed_apart_but_not_far_and_loners_stay():
    homes = np.array([[100.0, 100.0]] * 6 + [[300.0, 300.0]])
    radii = np.array([5.0, 6, 7, 8, 9, 10, 10])
    places = spread(homes, radii, np.array([[0.0, 0.0], [400.0, 400.0]]))
    apart = np.linalg.norm(places[:, None] - places, axis=-1) + 1e9 * np.eye(7)
    assert (apart >= radii[:, None] + radii - 0.02).all()  # stops at an overlap of 0.01 pixel
    np.testing.assert_array_equal(places[-1], homes[-1])
    assert np.linalg.norm(places - homes, axis=1).max() < 3 * radii.max()
    # The true place stays visible.
    assert (np.linalg.norm(places - homes, axis=1)[:6] > radii[:6]).all()


def test_csv_round_trip(tmp_path):
    rows = [row(size_ratio=1 / 3, job="abc"), row(structure=None, structure_fraction=None, n_cubes=np.int64(7))]
    write_phase_map_csv(rows, tmp_path / "map.csv")
    with (tmp_path / "map.csv").open(newline="") as handle:
        back = list(csv.DictReader(handle))
    assert tuple(back[0]) == (*PHASE_MAP_COLUMNS, "job")
    assert float(back[0]["size_ratio"]) == 1 / 3  # full precision
    assert [line["structure"] for line in back] == ["ABO3", ""]
    assert back[1]["n_cubes"] == "7"
    assert back[1]["job"] == ""


def test_padding_has_a_least_width():
    assert _padded(np.array([0.1]), 0.02, 0.3) == pytest.approx((0.08, 0.12))


def test_the_second_column_claims_no_drying_of_a_box_under_pressure(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "save_png", lambda figure, path: drawn.append(figure))
    plot_order(
        order_series(), tmp_path / "order.png"
    )  # a box that shrinks; what makes it shrink, the series do not say
    labels = {ax.get_xlabel() for ax in drawn[0].axes}
    assert r"packing fraction $\phi$ (while it rises)" in labels
    assert not any("drying" in label for label in labels)
