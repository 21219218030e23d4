"""The figure of the stability map: what a point shows, panels, experiments and the theory's areas."""

import math
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from supercube.crystals.diagram import Diagram
from supercube.errors import InputError
from supercube.model.nanocrystals import experiments
from supercube.observe import palette
from supercube.observe._packing_map import experiment_bars
from supercube.observe._stability_map import axis_limits, plot_stability_map, stability_map_figure

GREEN, ORANGE = (palette.style(name).colour.lower() for name in ("ABO3", "NaCl"))


@dataclass(frozen=True)
class Answer:
    winner: str = "ABO3"
    runner_up: str = "SC + NaCl"
    margin: float = 5.0
    error: float = 0.5
    undecided: bool = False


@dataclass(frozen=True)
class Point:
    size_ratio: float = 0.5
    ligand_length: float = 0.15
    pressure: float = 20.0
    attraction: float = 0.0
    stoichiometry: float = 4.0
    by_enthalpy: Answer = Answer()
    by_gibbs: Answer = Answer()
    absent: tuple[str, ...] = ()


UNKNOWN = Answer("", "", math.nan, math.nan, True)


def packing():
    labels = np.array([["SC + NaCl", "SC + fcc"], ["SC + NaCl", "ABO3"]])
    same = np.full((2, 2), 0.05)
    return Diagram(4.0, np.array([0.4, 0.6]), np.array([0.05, 0.25]), labels, same, same, np.roll(labels, 1, 1), same)


def at_point(point):
    """Lines at the point of a figure with this point alone, larger ones first, and its text."""
    ax = stability_map_figure([point]).axes[0]
    lines = [line for line in ax.lines if list(line.get_xdata()) == [point.size_ratio]]
    words = [text.get_text() for text in ax.texts]
    return sorted(lines, key=lambda line: -line.get_markersize()), words


def face(line):
    return to_hex(line.get_markerfacecolor())


def test_a_decided_point_has_the_colour_of_the_winner():
    lines, words = at_point(Point())
    assert [face(line) for line in lines] == [GREEN]
    assert lines[0].get_fillstyle() == "full"
    assert words == ["5.0±0.5"]
    assert at_point(Point(by_gibbs=Answer(margin=123.7, error=0.2)))[1] == ["123.7±0.2"]
    assert at_point(Point(by_gibbs=Answer(margin=123.7, error=4.2)))[1] == ["124±4"]


def test_an_undecided_point_is_half_the_runner_up():
    lines, words = at_point(Point(by_gibbs=Answer(margin=0.4, undecided=True)))
    assert (lines[0].get_fillstyle(), face(lines[0])) == ("left", GREEN)
    assert to_hex(lines[0].get_markerfacecoloralt()) == ORANGE
    assert words == ["0.4±0.5"]


def test_a_dot_shows_where_enthalpy_says_otherwise():
    other = Answer(winner="SC + NaCl", runner_up="ABO3")
    lines, _ = at_point(Point(by_enthalpy=other))
    assert [face(line) for line in lines] == [GREEN, ORANGE]
    assert lines[1].get_markersize() < lines[0].get_markersize() / 2


def test_a_ring_is_enthalpy_alone():
    lines, words = at_point(Point(by_gibbs=UNKNOWN))
    assert (face(lines[0]), to_hex(lines[0].get_markeredgecolor())) == ("#ffffff", GREEN)
    assert words == ["5.0±0.5"]
    thin, _ = at_point(Point(by_gibbs=UNKNOWN, by_enthalpy=Answer(undecided=True)))
    assert thin[0].get_markeredgewidth() < lines[0].get_markeredgewidth() / 2
    assert at_point(Point(by_gibbs=UNKNOWN, by_enthalpy=UNKNOWN))[1] == ["?"]
    assert at_point(Point(by_gibbs=replace(UNKNOWN, winner="ABO3")))[1] == ["alone"]


def test_a_star_where_a_competitor_takes_no_part_and_below_which():
    absent = "NaCl not run", "fcc: became disordered"
    assert at_point(Point(absent=absent))[1] == ["5.0±0.5*"]
    assert at_point(Point(absent=absent, by_gibbs=UNKNOWN, by_enthalpy=UNKNOWN))[1] == ["?*"]
    points = [Point(pressure=pressure, absent=absent[:1]) for pressure in (20.0, 40.0, 60.0, 80.0)]
    points.append(Point(size_ratio=0.46, absent=absent[1:]))
    figure = stability_map_figure(points)
    note = " ".join(next(text.get_text() for text in figure.texts if "Star" in text.get_text()).split())
    assert "Star: NaCl not run (4 points); fcc: became disordered (γ 0.46 λ 0.15 P 20)." in note
    assert not [text for text in stability_map_figure([Point()]).texts if "Star" in text.get_text()]


def test_panels_are_pressures_and_attractions():
    figure = stability_map_figure([Point(), Point(pressure=60.0), Point(pressure=60.0, attraction=2.0)])
    assert [ax.get_title() for ax in figure.axes] == [
        "P = 20 kT/e³",
        "P = 60 kT/e³",
        "P = 60 kT/e³, attraction 2 kT",
    ]
    for ax in figure.axes:
        assert len([line for line in ax.lines if str(line.get_gid()).startswith("point:")]) == 1


def test_experiments_lie_within_the_panel():
    points = [Point(), Point(ligand_length=0.2)]
    ax = stability_map_figure(points).axes[0]
    bars = experiment_bars(experiments())
    drawn = [line for line in ax.lines if str(line.get_gid()).startswith("experiment:")]
    assert len(drawn) == len(bars) > 0
    for line, bar in zip(drawn, bars, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([bar.size_ratios, bar.ligand_lengths], axis=1))
        (left, right), (low, high) = axis_limits(points, bars)
        assert (ax.get_xlim(), ax.get_ylim()) == ((left, right), (low, high))
        assert left < bar.size_ratios.min()
        assert high > 0.2
        assert low < bar.ligand_lengths.min()
    assert not [line for line in stability_map_figure(points, rows=[]).axes[0].lines if line.get_gid() is None]


def test_areas_of_the_theory_are_drawn_and_named():
    figure = stability_map_figure([Point()], packing())
    areas = {patch.get_gid() for patch in figure.axes[0].patches}
    assert areas == {"theory:ABO3", "theory:SC + NaCl", "theory:SC + fcc"}
    words = {text.get_text() for text in figure.findobj(Text)}
    assert {"theory: ABO$_3$", "ABO$_3$", "experiment: NaCl"} <= words
    assert any("infinite pressure" in text for text in words)
    assert not stability_map_figure([Point()]).axes[0].patches


@pytest.mark.parametrize("absent", [(), ("NaCl not run",)])
def test_margins_of_neighbours_do_not_meet(absent):
    answer = Answer(margin=19.4, error=11.6)
    points = [Point(size_ratio=gamma, by_gibbs=answer, absent=absent) for gamma in np.linspace(0.42, 0.56, 8)]
    figure = stability_map_figure(points)
    figure.savefig(BytesIO())
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 8
    for left, right in pairwise(boxes):
        assert left.x1 < right.x0


def test_the_file_is_small(tmp_path):
    points = [
        Point(size_ratio=gamma, ligand_length=lam, pressure=pressure)
        for gamma in np.linspace(0.42, 0.56, 8)
        for lam in np.linspace(0.1, 0.2, 6)
        for pressure in (20.0, 60.0)
    ]
    plot_stability_map(points, tmp_path / "map.png", packing())
    content = (tmp_path / "map.png").read_bytes()
    assert content[:4] == b"\x89PNG"
    assert len(content) < 120_000
    with pytest.raises(InputError, match="no points"):
        plot_stability_map([], tmp_path / "map.png")
