"""One table of colours, markers, line styles and hatches for structure labels; every figure takes them from here.

Colours are Okabe-Ito's (colour-blind safe by design) and two dark ones of Paul Tol's *muted* set for the common
labels, light grey for disorder, and for the rarer structures colours found by search: far from all others for normal
sight and for both kinds of red-green blindness. Markers, line styles and hatches double the colour, so that a figure
also reads in black-and-white print. Spheres of a label are drawn in a lighter tint of the label's colour.
"""

from __future__ import annotations

from dataclasses import dataclass

#: A colour as red, green, blue in 0..1 (sRGB).
RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Style:
    """How one label is drawn.

    Attributes:
        colour: sRGB hexadecimal colour.
        marker: matplotlib marker.
        dashes: matplotlib line style, as a name or (offset, on-off lengths in points).
        name: text for figures, in matplotlib's mathtext.
        scale: marker size that looks as large as a circle of size 1.
        hatch: matplotlib hatch of areas where a structure of both species shares the particles with another phase;
            empty for structures of one species.
    """

    colour: str
    marker: str
    dashes: str | tuple[float, tuple[float, ...]]
    name: str
    scale: float = 1.0
    hatch: str = ""


@dataclass(frozen=True)
class Fill:
    """How an area of a phase diagram is drawn.

    Attributes:
        colour: of the area, light enough for black text.
        hatch: matplotlib hatch, empty for none.
        hatch_colour: of the hatch and of what else has to stand out from the area.
        name: text for figures, in matplotlib's mathtext.
    """

    colour: str
    hatch: str
    hatch_colour: str
    name: str


#: Structure label -> style; the order is the order in legends.
STYLES: dict[str, Style] = {
    "SC": Style("#0072B2", "s", "-", "SC", 0.9),
    "bct": Style("#0A0AE0", "$L$", (0.0, (12.0, 2.0)), "bct"),
    "NaCl": Style("#E69F00", "D", "--", "NaCl", 0.8, hatch="//"),
    "ABO3": Style("#009E73", "o", "-.", "ABO$_3$", hatch=".."),
    "AlB2": Style("#CC79A7", "h", (0.0, (1.0, 1.0)), "AlB$_2$", hatch="\\\\"),
    "CsCl": Style("#D55E00", "^", (0.0, (5.0, 1.0)), "CsCl", hatch="||"),
    "CuAu": Style("#F0E442", "v", (0.0, (3.0, 1.0, 1.0, 1.0, 1.0, 1.0)), "CuAu", hatch="--"),
    "CaB6": Style("#7260FF", "<", (0.0, (4.0, 1.5)), "CaB$_6$", hatch="xx"),
    "ABO6": Style("#8FA653", ">", (0.0, (7.0, 1.5, 1.0, 1.5)), "ABO$_6$", hatch="++"),
    "ReO3": Style("#E8175D", "d", (0.0, (1.5, 1.5)), "ReO$_3$", hatch="oo"),
    "MgZn2": Style("#1D7F80", "H", (0.0, (9.0, 2.0)), "MgZn$_2$", hatch="*"),
    "ABO3-ternary": Style("#BBE58E", "$T$", (0.0, (3.0, 2.0)), "ABO$_3$ (ternary)", hatch="OO"),
    "ABO6-cubes": Style("#FCC4A7", "$C$", (0.0, (10.0, 1.0, 1.0, 1.0)), "ABO$_6$ (cubes)", hatch="+x"),
    "fcc": Style("#56B4E9", "P", (0.0, (8.0, 2.0, 2.0, 2.0)), "fcc", 1.05),
    "hcp": Style("#332288", "p", (0.0, (2.0, 2.0)), "hcp"),
    "bcc": Style("#882255", "*", (0.0, (6.0, 3.0)), "bcc", 1.3),
    "hexagonal": Style("#A5E6FF", "8", (0.0, (1.0, 2.0)), "hexagonal"),
    "disordered": Style("#BBBBBB", "X", ":", "disordered"),
}
#: Any label that is not in the table: dark brown, so that it stands out as one we do not know.
UNKNOWN = Style("#6F4518", "$?$", (0.0, (1.0, 3.0)), "unknown")
#: Species -> colour where no labels are given; on purpose none of the structure colours.
SPECIES_COLOURS: dict[str, str] = {"cube": "#5B7A99", "sphere": "#C8A882"}
#: Areas without any structure of both species: the rest of a map stands out against it.
UNMIXED_COLOUR = "#EDEDED"
#: How far the fill of a pure structure, and of one beside another phase, is moved towards white.
PURE_TINT, MIXTURE_TINT = 0.5, 0.72
#: How far the colour of a sphere is moved towards white: 0 would be the cube's colour, 1 white.
SPHERE_TINT = 0.45


def style(label: str) -> Style:
    """Style of a structure label; ``UNKNOWN``'s look under the label's own name if the table lacks it."""
    if label in STYLES:
        return STYLES[label]
    return Style(UNKNOWN.colour, UNKNOWN.marker, UNKNOWN.dashes, label.replace("$", r"\$") or UNKNOWN.name)


def rgb(colour: str) -> RGB:
    """Red, green and blue in 0..1 of a colour written #RRGGBB."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def tint(colour: str, amount: float = SPHERE_TINT) -> str:
    """The colour #RRGGBB moved towards white by ``amount`` (0..1)."""
    return "#" + "".join(f"{round(255 * (c + (1 - c) * amount)):02X}" for c in rgb(colour))


def body_colour(label: str, species: str) -> str:
    """Colour of one body: the label's colour, lighter for a sphere."""
    colour = style(label).colour
    return tint(colour) if species == "sphere" else colour


def species_colour(species: str) -> str:
    """Colour of a species where bodies are not labelled; ``UNKNOWN``'s for a species the table lacks."""
    return SPECIES_COLOURS.get(species, UNKNOWN.colour)


def shade(colour: str, amount: float) -> str:
    """The colour #RRGGBB moved towards black by ``amount`` (0..1)."""
    return "#" + "".join(f"{round(255 * c * (1 - amount)):02X}" for c in rgb(colour))


def fill(label: str) -> Fill:
    """How the area of coexisting phases is drawn, such as ``ABO3`` or ``SC + NaCl``.

    A pure structure of both species is filled; beside another phase it is paler and hatched. Two structures of both
    species have the fill of the first and the hatch of the second. Separation is a plain light grey.
    """
    parts = label.split(" + ")
    name = " + ".join(style(part).name for part in parts)
    mixed = [style(part) for part in parts if style(part).hatch or part not in STYLES]
    if not mixed:
        return Fill(UNMIXED_COLOUR, "", "#777777", name)
    first, last = mixed[0], mixed[-1]
    pure = len(parts) == 1
    return Fill(
        colour=tint(first.colour, PURE_TINT if pure else MIXTURE_TINT),
        hatch="" if pure else last.hatch,
        hatch_colour=shade(tint(last.colour, 0.25), 0.1),
        name=name,
    )


def legend_order(labels: set[str]) -> list[str]:
    """Labels in the order of the table, unknown ones after it in alphabetical order."""
    return [label for label in STYLES if label in labels] + sorted(labels - set(STYLES))
