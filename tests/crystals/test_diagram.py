"""The table of packing fractions and the diagram drawn from it; the file that keeps the table."""

import itertools
import math

import numpy as np
import pytest

from supercube.crystals.diagram import PackingTable, diagram, load_csv, packing_table, refine, save_csv
from supercube.crystals.library import O_SITE_ANGLE
from supercube.crystals.packing import close_packing
from supercube.crystals.phases import densest, distinct, pure_phases
from supercube.errors import FileFormatError, InputError
from supercube.model.shapes import Spherocube

POOL, TURNED = ("SC", "NaCl", "ABO3", "fcc"), {"ABO3": {O_SITE_ANGLE: 45.0}}
GAMMAS, LAMBDAS = (0.42, 0.49, 0.6), (0.0, 0.2)
#: Seven significant digits are kept.
DIGITS = 1e-6


@pytest.fixture(scope="module")
def table():
    return packing_table(GAMMAS, LAMBDAS, POOL, TURNED)


def test_table_holds_the_packing_fractions(table):
    assert table.fractions.shape == (4, 2, 3)
    assert table.structures == POOL
    for (i, name), (row, lam), (column, gamma) in itertools.product(
        enumerate(POOL), enumerate(LAMBDAS), enumerate(GAMMAS)
    ):
        expected = close_packing(name, gamma, lam, held=TURNED.get(name)).packing_fraction
        assert table.fractions[i, row, column] == pytest.approx(expected, rel=1e-12)


def test_axes_are_sorted_and_structures_in_the_order_of_the_library(table):
    shuffled = packing_table((0.6, 0.42, 0.49, 0.42), (0.2, 0.0), ("fcc", "ABO3", "SC", "NaCl"), TURNED)
    assert shuffled.structures == POOL
    assert np.array_equal(shuffled.fractions, table.fractions)
    assert np.array_equal(shuffled.size_ratios, GAMMAS)


def test_workers_share_the_grid():
    said = []
    tables = [
        packing_table(
            (0.45, 0.5), (0.0, 0.1), ("SC", "NaCl", "CsCl", "fcc"), workers=workers, tell=lambda *n: said.append(n)
        )
        for workers in (1, 2)
    ]
    assert np.array_equal(tables[0].fractions, tables[1].fractions)
    assert said == 2 * [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("stoichiometry", [0.4, 1.0, 4.0, 9.0])
def test_diagram_is_the_envelope(table, stoichiometry):
    drawn = diagram(table, stoichiometry)
    for row, column in np.ndindex(2, 3):
        phases = pure_phases(GAMMAS[column], LAMBDAS[row], POOL, TURNED)
        best = densest(phases, stoichiometry, 1)
        assert drawn.labels[row, column] == best.label
        apart = densest([phase for phase in phases if phase.name in ("SC", "fcc")], stoichiometry, 1)
        assert drawn.advantage[row, column] == pytest.approx(1 - best.volume / apart.volume, abs=1e-12)
        bodies = stoichiometry * Spherocube(rounding=LAMBDAS[row]).volume + math.pi / 6 / GAMMAS[column] ** 3
        assert drawn.fractions[row, column] == pytest.approx(bodies / best.volume, rel=1e-12)
        # The runner-up is the best without the winner's structures of both species.
        if best.label == "SC + fcc":
            others = [densest(phases, stoichiometry, 1, holding=name) for name in ("NaCl", "ABO3")]
            second = min(others, key=lambda mixture: mixture.volume)
        else:
            rest = [phase for phase in phases if phase.name in ("SC", "fcc") or phase.name not in best.names]
            second = densest(rest, stoichiometry, 1)
        assert drawn.margins[row, column] == pytest.approx(second.volume / best.volume - 1, abs=1e-12)
        assert drawn.runners_up[row, column] == second.label
    assert (drawn.margins >= 0).all()
    assert (drawn.advantage >= 0).all()


def test_known_corner_of_the_diagram(table):
    drawn = diagram(table, 4.0)
    assert drawn.labels[1, 1] == "ABO3"  # lambda 0.20, gamma 0.49: inside its window
    assert drawn.labels[0, 1] == "SC + fcc"  # sharp, above 0.488
    assert drawn.labels[0, 0] == "SC + NaCl"
    without = diagram(table, 4.0, ("SC", "NaCl", "fcc"))
    assert without.labels[1, 1] == drawn.runners_up[1, 1]


def test_file_keeps_the_table(table, tmp_path):
    for number, drawn in enumerate((None, diagram(table, 4.0))):
        path = tmp_path / f"{number}.csv"
        save_csv(table, path, drawn)
        again = load_csv(path)
        assert again.structures == table.structures
        assert again.size_ratios == pytest.approx(table.size_ratios, rel=DIGITS)
        assert again.ligand_lengths == pytest.approx(table.ligand_lengths, rel=DIGITS)
        assert again.fractions == pytest.approx(table.fractions, rel=DIGITS)
        assert np.array_equal(diagram(again, 4.0).labels, diagram(table, 4.0).labels)
        assert [entry.name for entry in tmp_path.iterdir() if entry.suffix == ".part"] == []
    assert "ABO3" in (tmp_path / "1.csv").read_text()


def test_rows_in_any_order(table, tmp_path):
    save_csv(table, tmp_path / "table.csv")
    head, *lines = (tmp_path / "table.csv").read_text().splitlines()
    (tmp_path / "shuffled.csv").write_text("\n".join([head, *reversed(lines)]) + "\n")
    again, straight = load_csv(tmp_path / "shuffled.csv"), load_csv(tmp_path / "table.csv")
    assert np.array_equal(again.fractions, straight.fractions)


def test_phases_of_a_table_are_the_pure_ones(table):
    for one, other in zip(table.phases(1, 2), pure_phases(0.6, 0.2, POOL, TURNED), strict=True):
        assert (one.name, one.cubes, one.spheres) == (other.name, other.cubes, other.spheres)
        assert one.volume == pytest.approx(other.volume, rel=1e-12)


# --- what is refused --------------------------------------------------------------------------------------------------

HEAD, ROW = "size_ratio,ligand_length,eta_SC,eta_fcc", "0.5,0.1,0.9,0.74"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has the columns \\(none\\); expected size_ratio"),
        (f"{HEAD}\n", "has 0 rows that make no full grid"),
        ("size_ratio,ligand_length\n0.5,0.1\n", "has the columns size_ratio, ligand_length; expected"),
        ("size_ratio,eta_SC\n0.5,0.9\n", "expected size_ratio, ligand_length and eta_"),
        ("size_ratio,ligand_length,eta_XY\n0.5,0.1,0.9\n", "expected size_ratio, ligand_length and eta_"),
        ("size_ratio,ligand_length,eta_ABO3-ternary\n0.5,0.1,0.9\n", "expected size_ratio, ligand_length and eta_"),
        (f"{HEAD}\n0.5,0.1,0.9,high\n", "holds a row without numbers"),
        (f"{HEAD}\n{ROW}\n0.6,0.1,0.9\n", "holds a row without numbers"),
        (f"{HEAD}\n{ROW}\n0.6,0.2,0.9,0.74\n", "has 2 rows that make no full grid"),
        (f"{HEAD}\n{ROW}\n{ROW}\n", "has 2 rows that make no full grid"),
        (f"{HEAD}\nnan,0.1,0.9,0.74\n", "table.csv"),
        (f"{HEAD}\n0.5,0.1,nan,0.74\n", "holds a packing fraction outside 0 to 1"),
        (f"{HEAD}\n0.5,0.1,1.2,0.74\n", "holds a packing fraction outside 0 to 1"),
        (f"{HEAD}\n0.5,0.1,0,0.74\n", "holds a packing fraction outside 0 to 1"),
        (f"{HEAD}\n-0.5,0.1,0.9,0.74\n", "table.csv"),
        (f"{HEAD}\n0.5,0.7,0.9,0.74\n", "table.csv"),
        (f"{HEAD}\ninf,0.1,0.9,0.74\n", "table.csv"),
    ],
)
def test_broken_tables_are_refused(text, message, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message):
        load_csv(path)


def test_no_table(tmp_path):
    with pytest.raises(FileFormatError, match=r"nothing\.csv does not exist; expected a table"):
        load_csv(tmp_path / "nothing.csv")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(FileFormatError, match=r"picture\.csv"):
        load_csv(tmp_path / "picture.csv")


@pytest.mark.parametrize("stoichiometry", [0.0, -1.0, math.nan, math.inf])
def test_impossible_stoichiometries_are_refused(table, stoichiometry):
    with pytest.raises(InputError, match="expected a positive number of cubes per sphere"):
        diagram(table, stoichiometry)


def test_structures_that_the_table_lacks_are_refused(table):
    with pytest.raises(InputError, match="the table lacks AlB2, CsCl; it holds SC, NaCl, ABO3, fcc"):
        diagram(table, 1.0, ("SC", "fcc", "CsCl", "AlB2"))
    with pytest.raises(InputError, match="cannot hold 1 cubes and 1 spheres"):
        diagram(table, 1.0, ("NaCl", "SC"))


@pytest.mark.parametrize(
    ("gammas", "lams", "names", "message"),
    [
        ((), (0.1,), POOL, "no usable values of size_ratio"),
        ((0.5, math.nan), (0.1,), POOL, "no usable values of size_ratio"),
        ((0.5,), (math.inf,), POOL, "no usable values of ligand_length"),
        ((0.5, -1.0), (0.1,), POOL, "size_ratio must be positive"),
        ((0.5,), (0.1, 0.6), POOL, "ligand_length is 0.6; expected"),
        ((0.5,), (0.1,), ("SC", "NaCI"), "unknown structure 'NaCI'; the nearest is NaCl"),
        ((0.5,), (0.1,), ("SC", "ABO6-cubes"), "ABO6-cubes needs cubes of two sizes"),
    ],
)
def test_impossible_tables_are_refused(gammas, lams, names, message):
    with pytest.raises(InputError, match=message):
        packing_table(gammas, lams, names)


def test_finer_tables_interpolate():
    gammas, lams = np.array([0.4, 0.5, 0.6]), np.array([0.1, 0.2])
    # A plane, which linear interpolation keeps.
    plane = 0.3 + 0.2 * gammas[None, None, :] + np.array([0.5, -0.4])[:, None, None] * lams[None, :, None]
    fine = refine(PackingTable(gammas, lams, ("SC", "fcc"), plane), 4)
    assert fine.size_ratios == pytest.approx(np.linspace(0.4, 0.6, 9))
    assert fine.ligand_lengths == pytest.approx(np.linspace(0.1, 0.2, 5))
    expected = 0.3 + 0.2 * fine.size_ratios + np.array([0.5, -0.4])[:, None, None] * fine.ligand_lengths[:, None]
    assert fine.fractions == pytest.approx(expected)
    assert fine.fractions[:, ::4, ::4] == pytest.approx(plane)


def test_structures_that_pack_alike_still_do_so_when_read_again(tmp_path):
    # CuAu with c/a = 1/sqrt2 is CsCl: two searches of it differ by 1e-12, which a file must not round up to a margin.
    axis = np.array([0.44, 0.47])
    fractions = np.full((3, 2, 2), 0.7)
    fractions[1], fractions[2] = 0.61234565 - 1e-12, 0.61234565 + 1e-12
    save_csv(PackingTable(axis, axis / 4, ("fcc", "CsCl", "CuAu"), fractions), tmp_path / "map.csv")
    again = load_csv(tmp_path / "map.csv")
    assert [phase.name for phase in distinct(again.phases(0, 0))] == ["fcc", "CsCl"]
