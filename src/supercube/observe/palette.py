"""One table of colours, markers and line styles for structure labels; every picture and figure takes them from here.

Colours are Okabe-Ito's (colour-blind safe by design), with two dark ones of Paul Tol's *muted* set for the two
labels that are left over, and light grey for disorder. Markers and line styles double the colour, so that a figure
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
    """

    colour: str
    marker: str
    dashes: str | tuple[float, tuple[float, ...]]
    name: str
    scale: float = 1.0


#: Structure label -> style; the order is the order in legends.
STYLES: dict[str, Style] = {
    "SC": Style("#0072B2", "s", "-", "SC", 0.9),
    "NaCl": Style("#E69F00", "D", "--", "NaCl", 0.8),
    "ABO3": Style("#009E73", "o", "-.", "ABO$_3$"),
    "AlB2": Style("#CC79A7", "h", (0.0, (1.0, 1.0)), "AlB$_2$"),
    "CsCl": Style("#D55E00", "^", (0.0, (5.0, 1.0)), "CsCl"),
    "CuAu": Style("#F0E442", "v", (0.0, (3.0, 1.0, 1.0, 1.0, 1.0, 1.0)), "CuAu"),
    "fcc": Style("#56B4E9", "P", (0.0, (8.0, 2.0, 2.0, 2.0)), "fcc", 1.05),
    "hcp": Style("#332288", "p", (0.0, (2.0, 2.0)), "hcp"),
    "bcc": Style("#882255", "*", (0.0, (6.0, 3.0)), "bcc", 1.3),
    "disordered": Style("#BBBBBB", "X", ":", "disordered"),
}
#: Any label that is not in the table: dark brown, so that it stands out as one we do not know.
UNKNOWN = Style("#6F4518", "$?$", (0.0, (1.0, 3.0)), "unknown")
#: Species -> colour where no labels are given; on purpose none of the structure colours.
SPECIES_COLOURS: dict[str, str] = {"cube": "#5B7A99", "sphere": "#C8A882"}
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


def legend_order(labels: set[str]) -> list[str]:
    """Labels in the order of the table, unknown ones after it in alphabetical order."""
    return [label for label in STYLES if label in labels] + sorted(labels - set(STYLES))
