"""The named ligands and the shell they make: chain length, grafting, and three models of the thickness.

Everything here is in nm (grafting in chains per nm^2), for ligands belong to real nanocrystals;
``nanocrystals.effective_sizes`` turns the shells into the dimensionless state point.

All three models fill space with the volume of the chains, xi L per area of core; they differ in where it may go. OPM:
neighbours on all sides, so evenly around the core; an upper bound of the distance. OCM: a single neighbour, so the
chains may bend into the wedge that the curvature opens beside the contact; a lower bound. Facet: no curvature.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass

from ..errors import InputError
from ..statepoint import nearest_key

#: Names of the models that compute a shell; ``measured`` takes the user's number instead.
SHELL_MODELS = ("opm", "ocm", "facet")
#: Chains per nm^2 of a dense shell (xi = 1): about 0.18 nm^2 a chain, as in crystalline alkanes.
DENSE_GRAFTING = 5.5
#: Standard uncertainty of L of a saturated chain, nm. It is what the formulas in use differ by: Tanford's
#: 0.154 + 0.1265 n (J. Phys. Chem. 76, 3020, 1972) is 0.06 nm shorter at C12 and 0.07 nm at C18.
CHAIN_ERROR = 0.05
#: Standard uncertainty of L of a chain with a cis bond, nm: two arms of L/2 that meet at 130 degrees are
#: L (1 - sin 65 deg) = 0.24 nm shorter than the straight C18 chain. An estimate, and one-sided: L is not reduced.
CIS_ERROR = 0.25

_FORMULA = "L = 0.128 n + 0.2 nm, the extended saturated chain"


@dataclass(frozen=True)
class Quantity:
    """A number and its standard uncertainty, in the same unit.

    Attributes:
        value: best estimate.
        error: standard uncertainty (one standard deviation), 0 if it is exact.
    """

    value: float
    error: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Ligand:
    """A ligand by name.

    Attributes:
        name: the name to write, lower case with hyphens.
        aliases: other names that are understood.
        carbons: carbons of one alkyl chain; None where the chain formula does not apply.
        chains: alkyl chains a molecule has; grafting densities count chains, not molecules.
        length: L, nm.
        source: where L comes from; starts with ``estimate`` if nobody measured or derived it.
    """

    name: str
    aliases: tuple[str, ...] = ()
    carbons: int | None
    chains: int = 1
    length: Quantity
    source: str


def chain_length(carbons: int) -> float:
    """L = 0.128 n + 0.2: length of an extended saturated chain (C6 0.968, C12 1.736, C18 2.504).

    The cis bond of oleic acid and oleylamine is not corrected for; it is in their uncertainty (``CIS_ERROR``).

    Args:
        carbons: n, the carbons of the chain with that of the head group.

    Returns:
        nm.

    Raises:
        InputError: fewer than one carbon.
    """
    if carbons < 1:
        raise InputError(f"a chain of {carbons} carbons does not exist; expected 1 or more.")
    return 0.128 * carbons + 0.2


def _chain(name: str, carbons: int, *aliases: str, chains: int = 1, cis: bool = False) -> Ligand:
    length = Quantity(chain_length(carbons), CIS_ERROR if cis else CHAIN_ERROR)
    source = _FORMULA + ("; its cis bond is not corrected for" if cis else "")
    return Ligand(name=name, aliases=aliases, carbons=carbons, chains=chains, length=length, source=source)


#: Every ligand with a name. The two estimates were not found in the literature at hand and are wide on purpose.
LIGANDS = (
    _chain("oleic-acid", 18, "oleate", "oa", cis=True),
    _chain("oleylamine", 18, "oleylammonium", "oam", "ola", cis=True),
    _chain("ddab", 12, "didodecyldimethylammonium-bromide", "dimethyldidodecylammonium", "dmdda", chains=2),
    _chain("didodecylamine", 12, "didodecylammonium", "dda", chains=2),
    _chain("dodecylamine", 12, "dodecylammonium", "c12-amine"),
    _chain("tetradecylamine", 14, "tetradecylammonium", "c14-amine"),
    _chain("hexadecylamine", 16, "hexadecylammonium", "c16-amine"),
    _chain("octadecylamine", 18, "octadecylammonium", "stearylamine", "c18-amine"),
    _chain("dodecanoic-acid", 12, "dodecanoate", "lauric-acid", "laurate", "c12-acid"),
    _chain("tetradecanoic-acid", 14, "tetradecanoate", "myristic-acid", "myristate", "c14-acid"),
    _chain("hexadecanoic-acid", 16, "hexadecanoate", "palmitic-acid", "palmitate", "c16-acid"),
    _chain("octadecanoic-acid", 18, "octadecanoate", "stearic-acid", "stearate", "c18-acid"),
    _chain("octanoic-acid", 8, "octanoate", "caprylic-acid", "c8-acid"),
    _chain("octylamine", 8, "octylammonium", "c8-amine"),
    _chain("hexanoic-acid", 6, "hexanoate", "hexanoic", "caproic-acid", "c6-acid"),
    Ligand(
        name="thiocyanate",
        aliases=("scn", "ammonium-thiocyanate"),
        carbons=None,
        length=Quantity(0.5, 0.15),
        source="estimate: the bonds S-C 0.165 and C-N 0.117 nm and the radius 0.18 nm of S; an ion, not a chain",
    ),
    Ligand(
        name="lecithin",
        aliases=("soy-lecithin", "phosphatidylcholine", "pc"),
        carbons=None,
        chains=2,
        length=Quantity(2.5, 0.5),
        source="estimate: half a fluid phospholipid bilayer is about 2 nm, an extended C18 tail with its head about 3",
    ),
)


def find_ligand(name: str) -> Ligand:
    """The ligand of a name or an alias; capitals, spaces and underscores do not matter.

    Raises:
        InputError: no ligand has this name; the nearest one is suggested.
    """
    key = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    known = {alias: ligand for ligand in LIGANDS for alias in (ligand.name, *ligand.aliases)}
    if key in known:
        return known[key]
    names = list(known) if difflib.get_close_matches(key, known, n=1) else [ligand.name for ligand in LIGANDS]
    raise InputError(f"ligand {name!r} is not known; {nearest_key(key, names)}")


def coverage(grafting: float) -> float:
    """Formula xi = grafting / 5.5 nm^-2: 1 is a dense shell.

    Args:
        grafting: chains per nm^2 of core surface.
    """
    return grafting / DENSE_GRAFTING


def facet_shell(length: float, xi: float) -> float:
    """Shell = xi L on a flat face: chains of volume xi L per area fill the gap of two faces, and nothing else.

    Args:
        length: L, nm.
        xi: coverage, 1 = dense.

    Returns:
        nm.
    """
    return xi * length


def opm_shell(length: float, xi: float, radius: float) -> float:
    """Shell = R [(1 + 3 xi L/R)^(1/3) - 1] by the optimal packing model; xi L as R grows.

    The chains, volume xi L per area of core, fill a concentric shell: right for many neighbours, and an upper bound of
    the distance for few. For mixtures see ``nanocrystals.OPM_LIMIT``.

    Source: Landman, Luedtke, Faraday Discuss. 125, 1 (2004).

    Args:
        length: L, nm.
        xi: coverage, 1 = dense.
        radius: R of the core, nm.

    Returns:
        nm.
    """
    return radius * (math.cbrt(1 + 3 * xi * length / radius) - 1)


def ocm_shell(length: float, xi: float, radius: float) -> float:
    """Shell = R (tau - 1), tau = (1+l)/2 [-1 + sqrt(1 + 8 (1 + 3 l xi)/(1+l)^3)], l = L/R: overlap cone model.

    Two cores: within the cone in which stretched shells would overlap, chains and core fill the cone of height tau R.
    As R grows the shell is (2 xi - 1) L, not xi L: however flat the sphere, half the gap widens from the shell at the
    axis of the cone to L at its rim, and its mean (shell + L)/2 holds the chains, xi L. A flat face has no such rim, so
    this is no model of a face; and where xi is about half or less the cores would touch (result <= 0): out of range.

    Source: Schapotschnikow, Vlugt, J. Chem. Phys. 131, 124705 (2009).

    Args:
        length: L, nm.
        xi: coverage, 1 = dense.
        radius: R of the core, nm.

    Returns:
        nm; not positive outside the range of the model.
    """
    reach = 1 + length / radius
    filled = 1 + 3 * xi * length / radius
    return radius * (reach / 2 * (math.sqrt(1 + 8 * filled / reach**3) - 1) - 1)
