"""The structures, as data: to add one, add one entry to ``STRUCTURES``.

Sites are fractional coordinates of the conventional cell (edges a, b = a, c; angle 120 degrees between a and b if
hexagonal) and may depend on free parameters: c/a, a coordinate, the angle of a cube. Where closest packing has closed
formulas they stand here too, in cube edges; otherwise ``packing`` finds the parameters by minimising the volume.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from ..errors import InputError

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
Parameters = Mapping[str, float]

#: Name of the free parameter that every cell but a cubic one may have.
C_OVER_A = "c_over_a"
#: Angle by which O cubes are turned about their B-O axis, in degrees.
O_SITE_ANGLE = "o_site_angle_deg"
#: Angle by which parallel cubes are turned about an axis of the cell, in degrees.
CUBE_ANGLE = "cube_angle_deg"

UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)
#: Turn by 45 degrees about z.
EIGHTH_Z: Quaternion = (math.cos(math.pi / 8), 0.0, 0.0, math.sin(math.pi / 8))


def _standing_on_a_corner() -> Quaternion:
    """Turn of a cube's [111] to z and its [11-2] to x, from the rotation matrix with these rows."""
    r2, r3, r6 = math.sqrt(2), math.sqrt(3), math.sqrt(6)
    rows = ((1 / r6, 1 / r6, -2 / r6), (-1 / r2, 1 / r2, 0.0), (1 / r3, 1 / r3, 1 / r3))
    w = math.sqrt(1 + rows[0][0] + rows[1][1] + rows[2][2]) / 2
    x, y, z = ((rows[k - 1][k - 2] - rows[k - 2][k - 1]) / (4 * w) for k in (0, 1, 2))
    return w, x, y, z


#: A cube whose [111] stands along c and whose [11-2] lies along a.
ON_CORNER: Quaternion = _standing_on_a_corner()


@dataclass(frozen=True)
class Parameter:
    """A free parameter of a structure.

    Attributes:
        name: ``C_OVER_A``, ``O_SITE_ANGLE``, or the name of a coordinate or angle that sites refer to.
        low: least value that is searched.
        high: largest value that is searched.
    """

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Site:
    """One particle of the conventional cell.

    Attributes:
        name: name of the crystallographic site (A, B, O), the same for equivalent particles.
        species: ``cube``, ``sphere`` or ``second_cube``.
        position: fractional coordinates, in [0, 1) where no parameter moves them.
        orientation: unit quaternion, scalar first; turns body axes into cell axes (x along a, z along c).
        slide: name of a parameter and the vector by which it moves the site: position + value * vector.
        turn: name of a parameter and the cell axis about which it turns the body, in degrees, after ``orientation``.
    """

    name: str
    species: str
    position: Vector
    orientation: Quaternion = UPRIGHT
    slide: tuple[str, Vector] | None = None
    turn: tuple[str, Vector] | None = None


@dataclass(frozen=True)
class Sizes:
    """Sizes of the particles in cube edges.

    Attributes:
        diameter: of a sphere, D = 1/gamma.
        rounding: lambda, the rounding radius of all cubes.
        second_edge: edge of the second species of cubes; 1 where there is none.
    """

    diameter: float
    rounding: float
    second_edge: float = 1.0


#: (sizes, parameters that are held) -> (a, all parameters) at closest packing; None where there is no closed form.
ClosedForm = Callable[[Sizes, Parameters], "tuple[float, dict[str, float]] | None"]


@dataclass(frozen=True)
class Structure:
    """A crystal structure of cubes and spheres.

    Attributes:
        name: the label used everywhere (state point, classification, figures).
        sites: all particles of the conventional cell.
        space_group: number of the space group of the sites without orientations, which may lower it.
        references: where the structure and its packing come from.
        system: ``cubic``, ``tetragonal`` or ``hexagonal``.
        c_over_a: of the cell where it is not free.
        parameters: what closest packing may choose.
        start: values of parameters that a crystal start holds instead of optimising them.
        closed_form: formulas of closest packing.
        arrangements: the same sites with other orientations, by name, where one or another packs closer; the
            first is that of ``sites``.
        least_cells: fewest cells along the edges of a rectangular box (see :attr:`cells_per_box_cell`).
    """

    name: str
    sites: tuple[Site, ...]
    space_group: int
    references: tuple[str, ...]
    system: str = "cubic"
    c_over_a: float = 1.0
    parameters: tuple[Parameter, ...] = ()
    start: Parameters = field(default_factory=dict)
    closed_form: ClosedForm = lambda sizes, held: None
    least_cells: tuple[int, int, int] = (2, 2, 2)
    arrangements: Mapping[str, tuple[Site, ...]] = field(default_factory=dict)

    def arranged(self, name: str) -> Structure:
        """The structure in one of its arrangements; itself for an empty name."""
        return replace(self, sites=self.arrangements[name]) if name else self

    def count(self, species: str) -> int:
        """Number of particles of a species in the conventional cell."""
        return sum(site.species == species for site in self.sites)

    @property
    def species(self) -> frozenset[str]:
        """The species that the structure needs."""
        return frozenset(site.species for site in self.sites)

    @property
    def stoichiometry(self) -> tuple[int, int]:
        """Cubes and spheres per formula unit, in lowest terms; second cubes are not counted."""
        cubes, spheres = self.count("cube"), self.count("sphere")
        common = math.gcd(cubes, spheres) or 1
        return cubes // common, spheres // common

    @property
    def cells_per_box_cell(self) -> int:
        """Conventional cells in the smallest rectangular cell: 2 if hexagonal (a, sqrt3 a, c), else 1."""
        return 2 if self.system == "hexagonal" else 1


# --- closed forms of closest packing, in cube edges -------------------------------------------------------------------


def _sc(sizes: Sizes, held: Parameters) -> tuple[float, dict[str, float]]:
    """Formula a = e: faces of neighbours touch, however round the edges are."""
    return 1.0, {}


def _bct(sizes: Sizes, held: Parameters) -> tuple[float, dict[str, float]] | None:
    """Formula a = e, c = 2 max[s, s + sqrt(4 lambda^2 - 2 (1/2 - s)^2)] with s = 1 - 2 lambda the core edge.

    Square layers of touching cubes, each cube over the hole of the layer below: as dense as SC up to lambda = 1/4 (s =
    1/2, where faces still lie on faces), denser beyond, and fcc of spheres at lambda = 1/2. No other c/a is denser (the
    minimiser finds this one).
    """
    if C_OVER_A in held:
        return None
    s = 1 - 2 * sizes.rounding
    height = 1.0 if s >= 0.5 else s + math.sqrt(4 * sizes.rounding**2 - 2 * (0.5 - s) ** 2)
    return 1.0, {C_OVER_A: 2 * height}


def _nacl(sizes: Sizes, held: Parameters) -> tuple[float, dict[str, float]]:
    """Formula a = max[sqrt2 D, D + e, 2 e - (4 - 2 sqrt2) lambda e]: sphere|sphere, sphere|face, edge|edge contact."""
    return max(math.sqrt(2) * sizes.diameter, sizes.diameter + 1, 2 - (4 - 2 * math.sqrt(2)) * sizes.rounding), {}


def _abo3(sizes: Sizes, held: Parameters) -> tuple[float, dict[str, float]] | None:
    """Formulas for O cubes at two angles, where the contacts are A|A, A|O, B|O faces, and O|O edges.

    45 degrees: a = max[D, (D + e)/sqrt2, 2 e, (1 + sqrt2) e - 2 lambda e]; at 0 the sphere meets the O cube's edge and
    the O cubes meet edge to edge: a = max[D, e + D/sqrt2 - (2 - sqrt2) lambda e, 2 e].
    """
    diameter, rounding = sizes.diameter, sizes.rounding
    angle = held.get(O_SITE_ANGLE)
    if angle == 45.0:
        a = max(diameter, (diameter + 1) / math.sqrt(2), 2.0, 1 + math.sqrt(2) - 2 * rounding)
    elif angle == 0.0:
        a = max(diameter, 1 + diameter / math.sqrt(2) - (2 - math.sqrt(2)) * rounding, 2.0)
    else:
        return None
    return a, {O_SITE_ANGLE: angle}


def _cscl(sizes: Sizes, held: Parameters) -> tuple[float, dict[str, float]] | None:
    """Formulas for cubes at two angles about c, with s = (1/2 - lambda) e and r = D/2 + lambda e.

    0: a = max[D, e, 2 s + 2 r/sqrt3], sphere on the corner. 45: a = max[D, sqrt8 s + 2 lambda e, 2 x], where x solves
    (sqrt2 x - s)^2 + (x - s)^2 = r^2, sphere on the edge; cubes meet edge to edge.
    """
    s, reach, angle = 0.5 - sizes.rounding, sizes.diameter / 2 + sizes.rounding, held.get(CUBE_ANGLE)
    if angle == 0.0:
        a = max(sizes.diameter, 1.0, 2 * s + 2 * reach / math.sqrt(3))
    elif angle == 45.0:
        middle = (1 + math.sqrt(2)) * s
        # Negative for spheres so small that the cubes' own contact decides.
        on_edge = (middle + math.sqrt(max(middle**2 - 3 * (2 * s**2 - reach**2), 0.0))) / 3
        a = max(sizes.diameter, math.sqrt(8) * s + 2 * sizes.rounding, 2 * on_edge)
    else:
        return None
    return a, {CUBE_ANGLE: angle}


def _cuau(sizes: Sizes, held: Parameters) -> tuple[float, dict[str, float]] | None:
    """Formula for flat cubes at 0: min of 2 x^2 c, with x = a/sqrt2 the distance in the plane, over two cells.

    Like neighbours touch in the plane, x = max(D, e), or along c, c = max(D, e); the other length follows from the
    sphere that touches the cube's corner, 2 (x/2 - s)^2 + (c/2 - s)^2 = (D/2 + lambda e)^2 with s = (1/2 - lambda) e.
    Between the two, c(x) is concave, hence so is log(x^2 c), and nothing there is denser.
    """
    if C_OVER_A in held or held.get(CUBE_ANGLE) != 0.0:
        return None
    s, reach = 0.5 - sizes.rounding, sizes.diameter / 2 + sizes.rounding
    least = max(sizes.diameter, 1.0)
    rest = reach**2 - 2 * (least / 2 - s) ** 2
    in_plane = (least, max(least, 2 * (s + math.sqrt(rest))) if rest > 0 else least)
    rest = (reach**2 - (least / 2 - s) ** 2) / 2
    along_c = (max(least, 2 * (s + math.sqrt(rest))) if rest > 0 else least, least)
    x, c = min(in_plane, along_c, key=lambda cell: cell[0] ** 2 * cell[1])
    return math.sqrt(2) * x, {C_OVER_A: c / (math.sqrt(2) * x), CUBE_ANGLE: 0.0}


def _reo3(sizes: Sizes, held: Parameters) -> tuple[float, dict[str, float]]:
    """Formula a = max[e + D, sqrt2 D]: face|sphere, sphere|sphere."""
    return max(1 + sizes.diameter, math.sqrt(2) * sizes.diameter), {}


def _spheres(edge_over_diameter: float) -> ClosedForm:
    """Formula a = constant x D of a crystal of spheres alone."""
    return lambda sizes, held: (edge_over_diameter * sizes.diameter, {})


# --- the entries ------------------------------------------------------------------------------------------------------

_FCC: tuple[Vector, ...] = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5))
_FCC_SHIFTED: tuple[Vector, ...] = ((0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5), (0.5, 0.5, 0.5))
_CENTRE: Vector = (0.5, 0.5, 0.5)
_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_THIRD, _SIXTH = 1 / 3, 1 / 6

_NATURE = "Cherniukh et al., Nature 593, 535 (2021): perovskite-nanocube superlattices"
_ACS_NANO = "Cherniukh et al., ACS Nano 16, 7210 (2022): AB2, ABO3, ABO6, NaCl, AlB2, CuAu of nanocubes"
_PROTOTYPES = "Mehl et al., Comput. Mater. Sci. 136, S1 (2017): prototype "
_NUMERIC = "closest packing by minimisation: a lower bound"
_ABO6 = "sites inferred from the name and from ABO3 (one cube on B, six around it), not read in a publication"


def _o_cubes(species: str = "cube") -> tuple[Site, ...]:
    """The three O sites; each cube turns about its own B-O axis, all in the same sense about [111]."""
    return tuple(
        Site("O", species, position, turn=(O_SITE_ANGLE, axis))
        for position, axis in (((0.0, 0.5, 0.5), _X), ((0.5, 0.0, 0.5), _Y), ((0.5, 0.5, 0.0), _Z))
    )


def _cubes(places: tuple[Vector, ...], orientation: Quaternion, axis: Vector) -> tuple[Site, ...]:
    """Parallel cubes on B, turned alike about an axis of the cell."""
    return tuple(Site("B", "cube", place, orientation, turn=(CUBE_ANGLE, axis)) for place in places)


def _octahedron(name: str, parameter: str) -> tuple[Site, ...]:
    """Six cubes around the centre of the cell, at 1/2 +- the parameter along each axis."""
    return tuple(
        Site(name, "cube", _CENTRE, slide=(parameter, (sign * x, sign * y, sign * z)))
        for x, y, z in (_X, _Y, _Z)
        for sign in (1.0, -1.0)
    )


_A_CORNER = Site("A", "sphere", (0.0, 0.0, 0.0))
_ALB2_CUBES: tuple[Vector, ...] = ((_THIRD, 2 * _THIRD, 0.5), (2 * _THIRD, _THIRD, 0.5))
_CUAU_SPHERES = (_A_CORNER, Site("A", "sphere", (0.5, 0.5, 0.0)))
_CUAU_CUBES: tuple[Vector, ...] = ((0.5, 0.0, 0.5), (0.0, 0.5, 0.5))
_IN_PLANE: Vector = (math.sqrt(0.5), math.sqrt(0.5), 0.0)

_ALL = (
    Structure(
        name="SC",
        sites=(Site("B", "cube", (0.0, 0.0, 0.0)),),
        space_group=221,
        references=(
            _PROTOTYPES + "A_cP1_221_a",
            "Smallenburg et al., PNAS 109, 17886 (2012), arXiv 1111.3466: hard cubes",
        ),
        closed_form=_sc,
        # With two, a cube would meet the same neighbour on both of its sides.
        least_cells=(3, 3, 3),
    ),
    Structure(
        name="bct",
        sites=(Site("B", "cube", (0.0, 0.0, 0.0)), Site("B", "cube", _CENTRE)),
        space_group=139,
        references=(_PROTOTYPES + "A_tI2_139_a", "staggered square layers of round cubes"),
        system="tetragonal",
        parameters=(Parameter(C_OVER_A, 1.0, 2.5),),
        closed_form=_bct,
        least_cells=(3, 3, 2),
    ),
    Structure(
        name="NaCl",
        sites=(
            *(Site("A", "sphere", position) for position in _FCC),
            *(Site("B", "cube", position) for position in _FCC_SHIFTED),
        ),
        space_group=225,
        references=(_PROTOTYPES + "AB_cF8_225_a_b", _NATURE, "contact conditions of aligned cubes, exact"),
        closed_form=_nacl,
    ),
    Structure(
        name="ABO3",
        sites=(_A_CORNER, Site("B", "cube", _CENTRE), *_o_cubes()),
        space_group=221,
        references=(_PROTOTYPES + "AB3C_cP5_221_a_c_b", _NATURE, "contact conditions at 0 and 45 degrees, exact"),
        parameters=(Parameter(O_SITE_ANGLE, 0.0, 45.0),),
        start={O_SITE_ANGLE: 45.0},
        closed_form=_abo3,
    ),
    Structure(
        name="ABO3-ternary",
        sites=(_A_CORNER, Site("B", "second_cube", _CENTRE), *_o_cubes()),
        space_group=221,
        references=(_PROTOTYPES + "AB3C_cP5_221_a_c_b", _NATURE + " (truncated PbS cuboids on B)", _NUMERIC),
        parameters=(Parameter(O_SITE_ANGLE, 0.0, 45.0),),
    ),
    Structure(
        name="AlB2",
        sites=(_A_CORNER, *_cubes(_ALB2_CUBES, ON_CORNER, _Z)),
        space_group=191,
        references=(_PROTOTYPES + "AB2_hP3_191_a_d", _NATURE, _NUMERIC + "; both cubes turned alike"),
        system="hexagonal",
        parameters=(Parameter(C_OVER_A, 0.4, 1.8), Parameter(CUBE_ANGLE, 0.0, 30.0)),
        arrangements={
            "cubes on a corner": (_A_CORNER, *_cubes(_ALB2_CUBES, ON_CORNER, _Z)),
            "cubes on a face": (_A_CORNER, *_cubes(_ALB2_CUBES, UPRIGHT, _Z)),
        },
        least_cells=(2, 1, 2),
    ),
    Structure(
        name="CsCl",
        sites=(_A_CORNER, *_cubes((_CENTRE,), UPRIGHT, _Z)),
        space_group=221,
        references=(_PROTOTYPES + "AB_cP2_221_b_a", "contact conditions at 0 and 45 degrees, exact", _NUMERIC),
        parameters=(Parameter(CUBE_ANGLE, 0.0, 45.0),),
        closed_form=_cscl,
    ),
    Structure(
        name="CuAu",
        # Faces along the rows of cubes in the plane.
        sites=(*_CUAU_SPHERES, *_cubes(_CUAU_CUBES, EIGHTH_Z, _Z)),
        space_group=123,
        references=(_PROTOTYPES + "AB_tP2_123_a_d (cell of four)", _ACS_NANO, _NUMERIC),
        system="tetragonal",
        parameters=(Parameter(C_OVER_A, 0.4, 2.0), Parameter(CUBE_ANGLE, 0.0, 45.0)),
        closed_form=_cuau,
        arrangements={
            "cubes turned about c": (*_CUAU_SPHERES, *_cubes(_CUAU_CUBES, EIGHTH_Z, _Z)),
            "cubes turned about [110]": (*_CUAU_SPHERES, *_cubes(_CUAU_CUBES, EIGHTH_Z, _IN_PLANE)),
        },
    ),
    Structure(
        name="CaB6",
        sites=(_A_CORNER, *_octahedron("B", "octahedron_x")),
        space_group=221,
        references=(_PROTOTYPES + "A6B_cP7_221_f_a", _NUMERIC + "; cubes along the cell"),
        parameters=(Parameter("octahedron_x", 0.1, 0.4),),
    ),
    Structure(
        name="ABO6",
        sites=(_A_CORNER, Site("B", "cube", _CENTRE), *_octahedron("O", "octahedron_x")),
        space_group=221,
        references=(_ACS_NANO, _ABO6, _NUMERIC + "; cubes along the cell"),
        parameters=(Parameter("octahedron_x", 0.15, 0.4),),
    ),
    Structure(
        name="ABO6-cubes",
        sites=(
            Site("A", "second_cube", (0.0, 0.0, 0.0)),
            Site("B", "cube", _CENTRE),
            *_octahedron("O", "octahedron_x"),
        ),
        space_group=221,
        references=("Sekh et al. (2024): large and small CsPbBr3 cubes", _ABO6, _NUMERIC + "; cubes along the cell"),
        parameters=(Parameter("octahedron_x", 0.15, 0.4),),
    ),
    Structure(
        name="ReO3",
        sites=(
            Site("B", "cube", (0.0, 0.0, 0.0)),
            *(Site("O", "sphere", position) for position in ((0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5))),
        ),
        space_group=221,
        references=(
            _PROTOTYPES + "A3B_cP4_221_d_a",
            "cubes on Re, as with disks on O: Cherniukh et al., ACS Nano (2021)",
        ),
        closed_form=_reo3,
    ),
    Structure(
        name="MgZn2",
        sites=(
            *(
                Site("A", "sphere", position)
                for position in (
                    (_THIRD, 2 * _THIRD, 1 / 16),
                    (2 * _THIRD, _THIRD, 9 / 16),
                    (2 * _THIRD, _THIRD, 15 / 16),
                    (_THIRD, 2 * _THIRD, 7 / 16),
                )
            ),
            *_cubes(
                (
                    (0.0, 0.0, 0.0),
                    (0.0, 0.0, 0.5),
                    (5 * _SIXTH, 2 * _THIRD, 0.25),
                    (_THIRD, _SIXTH, 0.25),
                    (5 * _SIXTH, _SIXTH, 0.25),
                    (_SIXTH, _THIRD, 0.75),
                    (2 * _THIRD, 5 * _SIXTH, 0.75),
                    (_SIXTH, 5 * _SIXTH, 0.75),
                ),
                ON_CORNER,
                _Z,
            ),
        ),
        space_group=194,
        references=(_PROTOTYPES + "AB2_hP12_194_f_ah, at its ideal coordinates", _NUMERIC + "; cubes turned alike"),
        system="hexagonal",
        parameters=(Parameter(C_OVER_A, 1.2, 2.2), Parameter(CUBE_ANGLE, 0.0, 60.0)),
        least_cells=(1, 1, 1),
    ),
    Structure(
        name="fcc",
        sites=tuple(Site("A", "sphere", position) for position in _FCC),
        space_group=225,
        references=(_PROTOTYPES + "A_cF4_225_a", "Hales, Ann. Math. 162, 1065 (2005): no denser packing of spheres"),
        closed_form=_spheres(math.sqrt(2)),
    ),
    Structure(
        name="bcc",
        sites=(Site("A", "sphere", (0.0, 0.0, 0.0)), Site("A", "sphere", _CENTRE)),
        space_group=229,
        references=(_PROTOTYPES + "A_cI2_229_a",),
        closed_form=_spheres(2 / math.sqrt(3)),
    ),
    Structure(
        name="hcp",
        sites=(
            Site("A", "sphere", (_THIRD, 2 * _THIRD, 0.25)),
            Site("A", "sphere", (2 * _THIRD, _THIRD, 0.75)),
        ),
        space_group=194,
        references=(_PROTOTYPES + "A_hP2_194_c",),
        system="hexagonal",
        c_over_a=math.sqrt(8 / 3),
        closed_form=_spheres(1.0),
    ),
    Structure(
        name="hexagonal",
        sites=(Site("A", "sphere", (0.0, 0.0, 0.0)),),
        space_group=191,
        references=(_PROTOTYPES + "A_hP1_191_a",),
        system="hexagonal",
        closed_form=_spheres(1.0),
    ),
)

#: Every structure this package knows, by name.
STRUCTURES: dict[str, Structure] = {entry.name: entry for entry in _ALL}


def structure(name: str) -> Structure:
    """The structure of a name.

    Raises:
        InputError: there is none; the message names the nearest one.
    """
    if name in STRUCTURES:
        return STRUCTURES[name]
    if name == "AB2":
        raise InputError(
            "AB2 (cubes with spheres, Cherniukh et al. 2022) is not in the library, since its geometry is not public "
            "enough to check; the AB2 structures that are: MgZn2, AlB2."
        )
    by_lower = {known.lower(): known for known in STRUCTURES}
    # No cut-off: a poor guess beside the full list costs the reader nothing.
    nearest = by_lower[difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.0)[0]]
    raise InputError(f"unknown structure {name!r}; the nearest is {nearest} (known: {', '.join(STRUCTURES)}).")
