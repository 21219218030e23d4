"""The structures as data: sites against public crystallographic prototypes, fingerprints, names."""

import itertools
import math
from pathlib import Path

import gemmi
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from supercube.crystals.closest import crystals_at
from supercube.crystals.library import C_OVER_A, ON_CORNER, STRUCTURES, Sizes, structure
from supercube.errors import InputError

PROTOTYPES = Path(__file__).parent / "prototypes"
#: Library name -> file, and the site name that each of its elements stands for.
SAME_AS = {
    "SC": ("sc", {"Po": "B"}),
    "NaCl": ("NaCl", {"Cl": "A", "Na": "B"}),
    "ABO3": ("perovskite", {"Ca": "A", "Ti": "B", "O": "O"}),
    "ABO3-ternary": ("perovskite", {"Ca": "A", "Ti": "B", "O": "O"}),
    "AlB2": ("AlB2", {"Al": "A", "B": "B"}),
    "CsCl": ("CsCl", {"Cs": "A", "Cl": "B"}),
    "CuAu": ("AuCu", {"Au": "A", "Cu": "B"}),
    "CaB6": ("CaB6", {"Ca": "A", "B": "B"}),
    "ReO3": ("ReO3", {"Re": "B", "O": "O"}),
    "MgZn2": ("MgZn2", {"Mg": "A", "Zn": "B"}),
    "fcc": ("fcc", None),
    "bcc": ("bcc", None),
    "hcp": ("hcp", None),
    "hexagonal": ("simple_hexagonal", None),
}
#: Six decimals in the files: of three coordinates, in cells of about one length.
FILE_DIGITS = 5e-6


def prototype(name):
    """(lattice, positions, names, space group) of a file; of MgZn2, hcp and hexagonal with the library's ideal ones."""
    crystal = gemmi.read_small_structure(str(PROTOTYPES / f"{SAME_AS[name][0]}.cif"))
    if name == "MgZn2":
        ideal = {("Mg", "f"): (1 / 3, 2 / 3, 1 / 16), ("Zn", "h"): (5 / 6, 2 / 3, 1 / 4), ("Zn", "a"): (0, 0, 0)}
        for site in crystal.sites:
            letter = {4: "f", 2: "a", 6: "h"}[multiplicity(crystal, site)]
            site.fract = gemmi.Fractional(*ideal[site.type_symbol, letter])
    sites = crystal.get_all_unit_cell_sites()
    lattice = np.array(crystal.cell.orth.mat.tolist()).T
    if name in ("hcp", "hexagonal"):  # of these the library's c/a is fixed
        lattice[2] *= structure(name).c_over_a * crystal.cell.a / crystal.cell.c
    positions = np.array([site.fract.tolist() for site in sites]) @ lattice
    names = SAME_AS[name][1]
    return lattice, positions, [names[s.type_symbol] if names else "A" for s in sites], crystal.spacegroup


def multiplicity(crystal, site):
    operations = crystal.spacegroup.operations()
    images = {tuple(np.round(np.mod(op.apply_to_xyz(site.fract.tolist()), 1), 4) % 1) for op in operations}
    return len(images)


def own_parameters(name):
    """The prototype's values of the free lattice parameters, in the library's terms."""
    crystal = gemmi.read_small_structure(str(PROTOTYPES / f"{SAME_AS[name][0]}.cif"))
    c_over_a = crystal.cell.c / crystal.cell.a
    values = {C_OVER_A: c_over_a / math.sqrt(2) if name == "CuAu" else c_over_a}
    if name == "CaB6":
        values["octahedron_x"] = 0.5 - next(s.fract.x for s in crystal.sites if s.type_symbol == "B")
    return values


def library_cell(name, values):
    entry = structure(name)
    filled = {parameter.name: values.get(parameter.name, parameter.low) for parameter in entry.parameters}
    crystal = crystals_at(entry, Sizes(1.0, 0.0), filled)
    return crystal.lattice[0], crystal.positions[0], [site.name for site in entry.sites]


def environments(lattice, positions, names, nearest=20):
    """For each site name, the distances of the nearest of each name in units of (volume per particle)^(1/3).

    Returns name -> sorted list of (share of particles, rounded distances).
    """
    images = np.array(list(itertools.product(range(-4, 5), repeat=3)))
    everywhere = (positions[:, None] + images @ lattice).reshape(-1, 3)
    labels = np.repeat(names, len(images))
    unit = (abs(np.linalg.det(lattice)) / len(positions)) ** (1 / 3)
    rows = []
    for place, name in zip(positions, names, strict=True):
        others = {other: cKDTree(everywhere[labels == other]) for other in sorted(set(names))}
        distances = [tree.query(place, nearest)[0] / unit for tree in others.values()]
        rows.append((name, np.concatenate(distances)))
    # Conventional and primitive cells hold the same environments in the same shares.
    order = sorted(range(len(rows)), key=lambda i: (rows[i][0], *np.round(rows[i][1], 3)))
    shares = np.array([sum(names[i] == name for i in range(len(names))) / len(names) for name in sorted(set(names))])
    return [rows[i] for i in order], shares


@pytest.mark.parametrize("name", SAME_AS)
def test_sites_are_those_of_the_prototype(name):
    lattice, positions, names, spacegroup = prototype(name)
    ours, our_shares = environments(*library_cell(name, own_parameters(name)))
    theirs, shares = environments(lattice, positions, names)
    assert our_shares == pytest.approx(shares)
    # One cell may be a multiple of the other: compare each of ours with the one at the same quantile of theirs.
    for i, (site, distances) in enumerate(ours):
        other, expected = theirs[(2 * i + 1) * len(theirs) // (2 * len(ours))]
        assert site == other
        assert distances == pytest.approx(expected, abs=FILE_DIGITS)
    assert structure(name).space_group == spacegroup.number


@pytest.mark.parametrize("name", STRUCTURES)
def test_sites_have_the_symmetry_that_the_entry_names(name):
    entry = structure(name)
    lattice, positions, names = library_cell(name, {})
    fractional = positions @ np.linalg.inv(lattice)
    operations = gemmi.find_spacegroup_by_number(entry.space_group).operations()
    assert len(list(operations)) > 1
    for operation in operations:
        moved = np.array([operation.apply_to_xyz(list(place)) for place in fractional])
        apart = moved[:, None] - fractional[None]
        same = np.abs(apart - np.round(apart)).max(axis=2) < 1e-9
        assert (same.sum(axis=1) == 1).all()
        assert [names[i] for i in same.argmax(axis=1)] == names


def test_abo6_is_cab6_around_a_cube():
    for name in ("ABO6", "ABO6-cubes"):
        values = {"octahedron_x": 0.3}
        _, positions, names = library_cell(name, values)
        inner = names.index("B")
        assert positions[inner] == pytest.approx([0.5, 0.5, 0.5])
        without = np.delete(positions, inner, axis=0)
        assert np.sort(without, axis=0) == pytest.approx(np.sort(library_cell("CaB6", values)[1], axis=0))


# --- fingerprints -----------------------------------------------------------------------------------------------------

S2, S3 = math.sqrt(2), math.sqrt(3)
FLAT = 0.9


@pytest.mark.parametrize(
    ("name", "values", "unit", "around", "of", "shells"),
    # unit: the length that distances are given in, over a.
    [
        ("NaCl", {}, 0.5, "A", "A", {S2: 12}),
        ("NaCl", {}, 0.5, "A", "B", {1: 6, S3: 8}),
        ("NaCl", {}, 0.5, "B", "A", {1: 6}),
        ("NaCl", {}, 0.5, "B", "B", {S2: 12}),
        ("ABO3", {}, 1, "A", "A", {1: 6}),
        ("ABO3", {}, 1, "A", "O", {1 / S2: 12}),
        ("ABO3", {}, 1, "A", "B", {S3 / 2: 8}),
        ("ABO3", {}, 1, "O", "A", {1 / S2: 4}),
        ("ABO3", {}, 1, "B", "A", {S3 / 2: 8}),
        ("ABO3", {}, 1, "O", "B", {0.5: 2}),
        ("ABO3", {}, 1, "O", "O", {1 / S2: 8}),
        ("ABO3", {}, 1, "B", "O", {0.5: 6}),
        ("AlB2", {C_OVER_A: 1}, 1, "A", "A", {1: 8}),
        ("AlB2", {C_OVER_A: 1}, 1, "A", "B", {math.sqrt(1 / 3 + 1 / 4): 12}),
        ("AlB2", {C_OVER_A: 1}, 1, "B", "A", {math.sqrt(1 / 3 + 1 / 4): 6}),
        ("AlB2", {C_OVER_A: 1}, 1, "B", "B", {1 / S3: 3, 1: 8}),
        ("CsCl", {}, 1, "A", "A", {1: 6}),
        ("CsCl", {}, 1, "A", "B", {S3 / 2: 8}),
        ("CsCl", {}, 1, "B", "A", {S3 / 2: 8}),
        ("CsCl", {}, 1, "B", "B", {1: 6}),
        ("CuAu", {C_OVER_A: FLAT}, 1 / S2, "A", "A", {1: 4, FLAT * S2: 2}),
        ("CuAu", {C_OVER_A: FLAT}, 1 / S2, "A", "B", {math.sqrt(1 / 2 + FLAT**2 / 2): 8}),
        ("CuAu", {C_OVER_A: FLAT}, 1 / S2, "B", "A", {math.sqrt(1 / 2 + FLAT**2 / 2): 8}),
        ("CuAu", {C_OVER_A: FLAT}, 1 / S2, "B", "B", {1: 4, FLAT * S2: 2}),
        ("SC", {}, 1, "B", "B", {1: 6}),
        # Six cubes on one sphere in twelve: octahedra 2 p apart across, p sqrt2 along an edge, 1 - 2 p to the next.
        ("CaB6", {"octahedron_x": 0.3}, 1, "B", "B", {1 - 0.6: 1, 0.3 * S2: 4, 0.6: 1}),
        ("fcc", {}, 1 / S2, "A", "A", {1: 12}),
        ("bcc", {}, S3 / 2, "A", "A", {1: 8, 2 / S3: 6}),
        ("hcp", {}, 1, "A", "A", {1: 12, S2: 6}),
        ("hexagonal", {}, 1, "A", "A", {1: 8}),
        # Laves phase: 4 A around A, 12 B around A and 6 A and 6 B around B, with B-B = a/2 and A-A = sqrt(3/8) a.
        ("MgZn2", {C_OVER_A: math.sqrt(8 / 3)}, 1, "A", "A", {math.sqrt(3 / 8): 4}),
        ("MgZn2", {C_OVER_A: math.sqrt(8 / 3)}, 1, "B", "B", {1 / 2: 6}),
        ("MgZn2", {C_OVER_A: math.sqrt(8 / 3)}, 1, "A", "B", {math.sqrt(11 / 32): 12}),
        ("MgZn2", {C_OVER_A: math.sqrt(8 / 3)}, 1, "B", "A", {math.sqrt(11 / 32): 6}),
    ],
)
def test_fingerprint(name, values, unit, around, of, shells):
    lattice, positions, names = library_cell(name, values)
    images = np.array(list(itertools.product(range(-2, 3), repeat=3))) @ lattice
    others = np.concatenate([place + images for place, label in zip(positions, names, strict=True) if label == of])
    for place in (place for place, label in zip(positions, names, strict=True) if label == around):
        distances = np.linalg.norm(others - place, axis=1) / unit
        near = np.sort(distances[distances > 1e-9])
        expected = np.sort(np.repeat(list(shells), list(shells.values())))
        assert near[: len(expected)] == pytest.approx(expected, rel=1e-12)
        assert near[len(expected)] > expected[-1] * (1 + 1e-9)  # no further one in the last shell


# --- entries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STRUCTURES)
def test_entries_are_sound(name):
    entry = structure(name)
    assert entry.name == name
    assert entry.references
    assert all(entry.references)
    names = {parameter.name for parameter in entry.parameters}
    assert len(names) == len(entry.parameters)
    assert all(parameter.low < parameter.high for parameter in entry.parameters)
    assert set(entry.start) <= names
    assert len(entry.least_cells) == 3
    assert min(entry.least_cells) >= 1
    assert sum(entry.count(kind) for kind in ("cube", "sphere", "second_cube")) == len(entry.sites)
    for arrangement in entry.arrangements or ("",):
        sites = entry.arranged(arrangement).sites
        # Orientations differ between arrangements, places and species do not.
        assert [(s.name, s.species, s.position, s.slide) for s in sites] == [
            (s.name, s.species, s.position, s.slide) for s in entry.sites
        ]
        for site in sites:
            assert np.linalg.norm(site.orientation) == pytest.approx(1.0, abs=1e-15)
            for reference in filter(None, (site.slide, site.turn)):
                assert reference[0] in names
            if site.turn:
                assert np.linalg.norm(site.turn[1]) == pytest.approx(1.0, abs=1e-15)
            if not site.slide:
                assert all(0 <= coordinate < 1 for coordinate in site.position)
    if entry.arrangements:
        assert entry.arranged(next(iter(entry.arrangements))) == entry


@pytest.mark.parametrize("name", STRUCTURES)
def test_positions_are_distinct(name):
    entry = structure(name)
    for low_or_high in ("low", "high"):
        values = {parameter.name: getattr(parameter, low_or_high) for parameter in entry.parameters}
        lattice, positions, _ = library_cell(name, values)
        apart = (positions[:, None] - positions[None]) @ np.linalg.inv(lattice)
        distances = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=2)
        assert distances[~np.eye(len(positions), dtype=bool)].min(initial=math.inf) > 0.1


def test_names_are_unique_also_without_case():
    assert len({name.lower() for name in STRUCTURES}) == len(STRUCTURES)


@pytest.mark.parametrize(
    ("name", "cubes", "spheres"),
    [
        *(("SC", 1, 0), ("NaCl", 1, 1), ("ABO3", 4, 1), ("ABO3-ternary", 3, 1), ("AlB2", 2, 1), ("CsCl", 1, 1)),
        *(("CuAu", 1, 1), ("CaB6", 6, 1), ("ABO6", 7, 1), ("ABO6-cubes", 1, 0), ("ReO3", 1, 3), ("MgZn2", 2, 1)),
        *(("fcc", 0, 1), ("bcc", 0, 1), ("hcp", 0, 1), ("hexagonal", 0, 1)),
    ],
)
def test_stoichiometry(name, cubes, spheres):
    assert structure(name).stoichiometry == (cubes, spheres)


def test_two_species_of_cubes():
    assert [name for name, entry in STRUCTURES.items() if "second_cube" in entry.species] == [
        "ABO3-ternary",
        "ABO6-cubes",
    ]
    assert structure("ABO6-cubes").count("second_cube") == 1
    assert structure("ABO3-ternary").count("second_cube") == 1


def test_cube_on_its_corner():
    axes = Rotation.from_quat(ON_CORNER, scalar_first=True).as_matrix()
    assert axes @ [1, 1, 1] == pytest.approx([0, 0, math.sqrt(3)], abs=1e-15)  # [111] along c
    assert axes @ [1, 1, -2] == pytest.approx([math.sqrt(6), 0, 0], abs=1e-15)  # [11-2] along a


def test_o_cubes_turn_about_the_bond_to_b():
    entry = structure("ABO3")
    crystal = crystals_at(entry, Sizes(1.0, 0.0), {"o_site_angle_deg": 30.0})
    for site, place, axes in zip(entry.sites, crystal.positions[0], crystal.rotations[0], strict=True):
        if site.name != "O":
            assert axes == pytest.approx(np.eye(3))
            continue
        bond = 2 * (np.array([0.5, 0.5, 0.5]) - place)
        assert axes @ abs(bond) == pytest.approx(abs(bond))  # the body axis along the bond stays
        # Trace 1 + 2 cos(angle); the sense is that of a right-handed turn about +x, +y, +z.
        assert axes.trace() == pytest.approx(1 + 2 * math.cos(math.radians(30)))
        assert Rotation.from_matrix(axes).as_rotvec() @ abs(bond) == pytest.approx(math.radians(30))


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("NaCI", "NaCl"), ("abo3", "ABO3"), ("CuAU", "CuAu"), ("cab6", "CaB6"), ("AlB", "AlB2"), ("FCC", "fcc")],
)
def test_unknown_structure_names_the_nearest(wrong, right):
    with pytest.raises(InputError, match=f"^unknown structure '{wrong}'; the nearest is {right} ") as refusal:
        structure(wrong)
    assert all(name in str(refusal.value) for name in STRUCTURES)


@pytest.mark.parametrize("wrong", ["", "?!", "ab2"])
def test_any_unknown_name_is_refused(wrong):
    with pytest.raises(InputError, match="unknown structure"):
        structure(wrong)


def test_ab2_is_refused_with_its_reason():
    with pytest.raises(InputError, match=r"^AB2 .* is not in the library, since .* MgZn2, AlB2\.$"):
        structure("AB2")
