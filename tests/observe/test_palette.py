"""The colour table: complete, and distinguishable by people who lack one kind of cone."""

from itertools import combinations

import numpy as np
import pytest

from supercube.crystals.library import STRUCTURES
from supercube.observe import palette

#: Viénot, Brettel and Mollon (1999): linear RGB as seen without L cones and without M cones.
PROTAN = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
DEUTAN = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])


def lab(colour, matrix):
    """CIE L*a*b* (D65) of a colour after a linear-RGB matrix."""
    rgb = np.array(palette.rgb(colour))
    linear = np.clip(matrix @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ linear / to_xyz.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_every_label_of_the_design_is_there():
    assert set(palette.STYLES) == {*STRUCTURES, "disordered"}
    assert {"SC", "NaCl", "ABO3", "AlB2", "CsCl", "CuAu", "fcc", "hcp", "bcc"} <= set(palette.STYLES)


@pytest.mark.parametrize("matrix", [np.eye(3), PROTAN, DEUTAN], ids=["normal", "protan", "deutan"])
def test_colours_differ_for_the_colour_blind(matrix):
    colours = [style.colour for style in palette.STYLES.values()]
    distances = [np.linalg.norm(lab(a, matrix) - lab(b, matrix)) for a, b in combinations(colours, 2)]
    # A difference of 2.3 is just noticeable (Sharma 2003): four such steps for any pair, eight for the main ones.
    assert min(distances) > 4 * 2.3
    main = [palette.STYLES[name].colour for name in ("SC", "NaCl", "ABO3", "disordered")]
    assert min(np.linalg.norm(lab(a, matrix) - lab(b, matrix)) for a, b in combinations(main, 2)) > 8 * 2.3


def test_markers_double_the_colours():
    markers = [style.marker for style in (*palette.STYLES.values(), palette.UNKNOWN)]
    assert len(set(markers)) == len(markers)


def test_line_styles_and_hatches_double_the_colours():
    dashes = [style.dashes for style in (*palette.STYLES.values(), palette.UNKNOWN)]
    assert len(set(dashes)) == len(dashes)
    hatches = [style.hatch for style in palette.STYLES.values() if style.hatch]
    assert len(set(hatches)) == len(hatches)
    both = {name for name, entry in STRUCTURES.items() if len(entry.species) > 1}
    assert {name for name, style in palette.STYLES.items() if style.hatch} == both


def test_fills_say_which_structure_and_whether_it_is_pure():
    pure, mixture = palette.fill("ABO3"), palette.fill("ABO3 + fcc")
    assert pure.name == "ABO$_3$"
    assert mixture.name == "ABO$_3$ + fcc"
    assert not pure.hatch
    assert mixture.hatch == palette.STYLES["ABO3"].hatch
    assert palette.fill("SC + fcc").colour == palette.fill("hcp").colour == palette.UNMIXED_COLOUR
    two = palette.fill("NaCl + ABO3")  # the fill of one, the hatch of the other
    assert (two.colour, two.hatch) == (palette.fill("SC + NaCl").colour, mixture.hatch)
    assert palette.fill("SC + Laves").name == "SC + Laves"


@pytest.mark.parametrize("label", [*STRUCTURES, *(f"{name} + fcc" for name in STRUCTURES), "SC + fcc", "Laves"])
def test_black_text_is_read_on_every_fill(label):
    # Black on L* 60 has the contrast 7 that WCAG asks for body text (AAA).
    assert lab(palette.fill(label).colour, np.eye(3))[0] > 60


def test_spheres_are_lighter_than_cubes_of_the_label():
    for label in palette.STYLES:
        cube, sphere = (lab(palette.body_colour(label, kind), np.eye(3))[0] for kind in ("cube", "sphere"))
        assert sphere > cube + 2


def test_unknown_label_keeps_its_name_and_gets_the_fallback():
    assert palette.style("Laves").name == "Laves"
    assert palette.style("Laves").colour == palette.UNKNOWN.colour
    assert palette.legend_order({"Laves", "disordered", "SC"}) == ["SC", "disordered", "Laves"]


def test_species_colours_are_no_structure_colours():
    structures = {style.colour for style in palette.STYLES.values()} | {palette.UNKNOWN.colour}
    assert not structures & set(palette.SPECIES_COLOURS.values())


def test_tint_ends():
    assert palette.tint("#204060", 0.0) == "#204060"
    assert palette.tint("#204060", 1.0) == "#FFFFFF"


def test_shade_ends():
    assert palette.shade("#204060", 0.0) == "#204060"
    assert palette.shade("#204060", 1.0) == "#000000"
