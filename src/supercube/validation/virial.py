"""Second virial coefficients of the bead model: does the thermal spherocube predict what two bead cubes do?

Edge and rounding come from cube-sphere B2 alone (``model.thermal``); the exact B2 of two such spherocubes is then a
prediction, and the Monte Carlo B2 of two bead cubes the test.

What sets the default roughness of 0.02: to there the prediction holds within 0.5 % for every lambda, with 45 to 70 %
of the beads of 0.01; at 0.04 it is 2 % off for lambda 0.1, because dents as deep as the shell are no spherocube's. The
fit needs its growth term: with one size for spheres of all radii, the prediction is 1 to 3 % too large for every cube,
however smooth.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..model.particles import Body, Model, cube_body, sphere_body
from ..model.shapes import Spherocube
from ..model.thermal import CubeFit, fit_cube
from ..model.virial import Estimate, convex_b2, cube_sphere_b2, monte_carlo_b2, sphere_sphere_b2
from ..observe import palette
from ..observe._figure import new_figure, save_png
from .results import Check

GROUP = "Second virial coefficients"
#: Values of lambda that are tested, those of real shells and of the window of ABO3.
LIGAND_LENGTHS = (0.10, 0.15, 0.20)
#: Roughnesses that have to pass, the last of them the default of a state point; and coarser ones that show why (not
#: checked: 0.04 fails at lambda 0.1).
ROUGHNESSES, COARSER = (0.005, 0.01, 0.02), (0.03, 0.04)
#: What cube-cube B2 may differ from its prediction (relative).
TOLERANCE = 0.01
#: Largest relative standard error of a Monte Carlo value.
LARGEST_ERROR = 0.002
#: Largest relative residual of the fit to cube-sphere B2.
LARGEST_RESIDUAL = 5e-4
#: Sobol points of a scramble, and scrambles, for cube-cube B2.
POINTS, SCRAMBLES = 8192, 24
_EXACT = "exact: (V1+V2)/2 + (S1 M2 + S2 M1)/(8 pi)"


@dataclass(frozen=True)
class VirialRow:
    """One bead cube.

    Attributes:
        ligand_length: lambda.
        roughness: asked for; a state point's key.
        beads: of one cube.
        measured_roughness, dent: of the cube that was found (see ``model.beads``), nominal edges.
        fit: the thermal spherocube.
        plain: the same fit without growth.
        measured: Monte Carlo B2 of two cubes, e^3.
    """

    ligand_length: float
    roughness: float
    beads: int
    measured_roughness: float
    dent: float
    fit: CubeFit
    plain: CubeFit
    measured: Estimate

    @property
    def predicted(self) -> float:
        """B2 of two thermal spherocubes, e^3."""
        return convex_b2(self.fit.shape, self.fit.shape)

    @property
    def predicted_without_growth(self) -> float:
        """The same with one size for spheres of all radii, e^3."""
        return convex_b2(self.plain.shape, self.plain.shape)

    @property
    def nominal(self) -> float:
        """B2 of two spherocubes of edge 1 and rounding lambda, e^3."""
        return nominal_b2(self.ligand_length)

    def deviation(self, reference: float) -> float:
        """Measured over a reference B2, minus 1."""
        return self.measured.value / reference - 1.0

    @property
    def relative_error(self) -> float:
        """Standard error of every :meth:`deviation` (that of references within 1e-4)."""
        return self.measured.error / self.measured.value


def nominal_b2(ligand_length: float) -> float:
    """B2 of two nominal spherocubes, e^3."""
    nominal = Spherocube(rounding=ligand_length)
    return convex_b2(nominal, nominal)


def virial_table(
    ligand_lengths: Sequence[float] = LIGAND_LENGTHS,
    roughnesses: Iterable[float] = (*ROUGHNESSES, *COARSER),
    *,
    points: int = POINTS,
    scrambles: int = SCRAMBLES,
) -> list[VirialRow]:
    """Thermal sizes and cube-cube B2 of bead cubes, by lambda and then from fine to coarse (4 to 15 s a row).

    Args:
        ligand_lengths: values of lambda.
        roughnesses: largest allowed ones.
        points: Sobol points of a scramble.
        scrambles: independent repeats.
    """
    rows = []
    for ligand_length in ligand_lengths:
        for roughness in roughnesses:
            model, cube, smoothness, dent = _cube_model(ligand_length, roughness)
            measured = monte_carlo_b2(model, cube, cube, points=points, scrambles=scrambles)
            fits = fit_cube(cube, model.sigma), fit_cube(cube, model.sigma, growing=False)
            rows.append(VirialRow(ligand_length, roughness, cube.n_beads, smoothness, dent, *fits, measured))
    return rows


def virial_checks(quick: bool = False, rows: Sequence[VirialRow] | None = None) -> list[Check]:
    """B2 of the three kinds of pairs against what they should be.

    Args:
        quick: only the default roughness.
        rows: a table that is at hand; those coarser than the default are not checked.
    """
    asked = ROUGHNESSES[-1:] if quick else ROUGHNESSES
    table = virial_table(roughnesses=asked) if rows is None else [row for row in rows if row.roughness in asked]
    checks = _integral_checks()
    for row in table:
        checks += _cube_checks(row)
    return checks


def _integral_checks() -> list[Check]:
    # Both ways to integrate, for lambda 0.1 and a sphere of D = 2: they share the potential only.
    model, cube, _, _ = _cube_model(LIGAND_LENGTHS[0], ROUGHNESSES[-1])
    sphere = sphere_body(0.5, LIGAND_LENGTHS[0])
    radius = float(sphere.radii[0])
    pairs = {
        "sphere-sphere": (sphere, sphere_sphere_b2(radius, radius, model.sigma)),
        "cube-sphere": (cube, cube_sphere_b2(cube.positions, cube.radii, radius, model.sigma)),
    }
    checks = []
    for name, (first, target) in pairs.items():
        measured = monte_carlo_b2(model, first, sphere, points=4096, scrambles=16)
        checks.append(
            Check(
                group=GROUP,
                name=f"B2 {name}, Monte Carlo, lambda 0.1, gamma 0.5",
                engine="formula",
                value=measured.value,
                error=measured.error,
                target=target,
                source="quadrature",
                tolerance=1e-5 * target,
                why="the quadrature is good to 1e-5",
                largest_error=LARGEST_ERROR * target,
            )
        )
    return checks


def _cube_checks(row: VirialRow) -> list[Check]:
    name = f"lambda {row.ligand_length:g}, roughness {row.roughness:g} ({row.beads} beads)"
    return [
        Check(
            group=GROUP,
            name=f"B2 cube-cube, Monte Carlo, {name}",
            engine="formula",
            value=row.measured.value,
            error=row.measured.error,
            target=row.predicted,
            source=f"{_EXACT}, thermal spherocube fitted to cube-sphere B2",
            tolerance=TOLERANCE * row.predicted,
            why="a real cube of beads is no convex body; 1 % of B2 is 0.3 % of a length",
            largest_error=LARGEST_ERROR * row.predicted,
        ),
        Check(
            group=GROUP,
            name=f"largest relative residual of the fit to cube-sphere B2, {name}",
            engine="formula",
            value=row.fit.residual,
            error=0.0,
            target=0.0,
            source="one edge, rounding and growth for all spheres",
            tolerance=LARGEST_RESIDUAL,
            why="5e-4 of B2 is 2e-4 of a length, below anything that is reported",
        ),
    ]


def _cube_model(ligand_length: float, roughness: float) -> tuple[Model, Body, float, float]:
    cube, measured, dent, bead_hash = cube_body(ligand_length, roughness)
    return Model((cube,), 2.0 * ligand_length, measured, dent, bead_hash), cube, measured, dent


def table_markdown(rows: Sequence[VirialRow]) -> str:
    """The rows as a Markdown table; deviations of the measured B2 in per cent, with their standard error."""
    head = (
        "| lambda | roughness | beads | dent | e_th | rho_th | growth | residual | B2 measured | B2 predicted "
        "| off predicted, % | off without growth, % | off nominal, % |"
    )
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    for row in rows:
        off = [row.deviation(b2) for b2 in (row.predicted, row.predicted_without_growth, row.nominal)]
        error = 100 * row.relative_error
        cells = [
            f"{row.ligand_length:.2f}",
            f"{row.roughness:g}",
            f"{row.beads}",
            f"{row.dent:.3f}",
            f"{row.fit.edge:.4f}",
            f"{row.fit.rounding:.4f}",
            f"{row.fit.growth:.4f}",
            f"{row.fit.residual:.0e}",
            f"{row.measured.value:.4f} ± {row.measured.error:.4f}",
            f"{row.predicted:.4f}",
            f"{100 * off[0]:+.2f} ± {error:.2f}",
            *(f"{100 * value:+.2f}" for value in off[1:]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def figure(path: str | os.PathLike[str], rows: Sequence[VirialRow]) -> None:
    """Deviation of cube-cube B2 from the thermal and from the nominal spherocube against the number of beads.

    Args:
        path: PNG file to write (overwritten).
        rows: of :func:`virial_table`.
    """
    drawn = new_figure(7.2, 3.4, dpi=100)
    axes = drawn.subplots(1, 2, sharey=True)
    panels = {
        "from the thermal spherocube": [row.deviation(row.predicted) for row in rows],
        "from the nominal spherocube": [row.deviation(row.nominal) for row in rows],
    }
    looks = [palette.style(label) for label in ("SC", "CsCl", "ABO3")]
    values = sorted({row.ligand_length for row in rows})
    for panel, (title, deviations) in zip(axes, panels.items(), strict=True):
        panel.axhspan(-100 * TOLERANCE, 100 * TOLERANCE, color="#EEEEEE", zorder=0)
        panel.axhline(0.0, color="#999999", linewidth=0.8, zorder=1)
        for value, look in zip(values, looks * len(values), strict=False):
            own = sorted(
                (row.beads, off, row.relative_error)
                for row, off in zip(rows, deviations, strict=True)
                if row.ligand_length == value
            )
            panel.errorbar(
                [beads for beads, _, _ in own],
                [100 * off for _, off, _ in own],
                yerr=[100 * error for _, _, error in own],
                color=look.colour,
                marker=look.marker,
                markersize=4,
                linewidth=1.2,
                capsize=2,
                label=rf"$\lambda$ = {value:.2f}",
            )
        panel.set_xscale("log")
        ticks = [20, 50, 100, 200]
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.set_xticks([], minor=True)
        panel.set(xlabel="beads of a cube", title=title)
        panel.title.set_fontsize(10)
    axes[0].set_ylabel("deviation of cube-cube $B_2$ (%)")
    axes[1].legend(frameon=False, fontsize=9)
    drawn.tight_layout()
    save_png(drawn, path)
