"""The infinite-pressure phase diagram over size ratio and ligand length, as a table that can be kept and reused."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from io import StringIO
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError, FileFormatError, InputError
from ..files import write_whole
from ..model.shapes import body_volume, packing_fraction
from .library import STRUCTURES, Parameters
from .phases import BINARY, Mixture, Phase, check_holds, densest, distinct, pure_phases

FloatArray = NDArray[np.float64]

#: Significant digits of the table's numbers: so many that structures which pack alike still do so when it is read again
#: (``phases.distinct`` calls 1e-9 equal).
_DIGITS = 11
_AXES = ("size_ratio", "ligand_length")


@dataclass(frozen=True)
class PackingTable:
    """Packing fraction of every structure over a grid: all that a phase diagram of any stoichiometry needs.

    Attributes:
        size_ratios: (G,) gamma, ascending.
        ligand_lengths: (L,) lambda, ascending.
        structures: (S,) names.
        fractions: (S, L, G) packing fraction at closest packing.
    """

    size_ratios: FloatArray
    ligand_lengths: FloatArray
    structures: tuple[str, ...]
    fractions: FloatArray

    def phases(self, row: int, column: int) -> list[Phase]:
        """The pure phases at ligand_lengths[row] and size_ratios[column]."""
        gamma, lam = float(self.size_ratios[column]), float(self.ligand_lengths[row])
        phases = []
        for name, fraction in zip(self.structures, self.fractions[:, row, column], strict=True):
            cubes, spheres = (STRUCTURES[name].count(kind) for kind in ("cube", "sphere"))
            phases.append(
                Phase(name, cubes, spheres, packing_fraction(cubes, spheres, gamma, lam, 1.0) / float(fraction))
            )
        return phases


@dataclass(frozen=True)
class Diagram:
    """The winner at every point of a grid, for one stoichiometry.

    Attributes:
        stoichiometry: cubes per sphere.
        size_ratios: (G,) gamma.
        ligand_lengths: (L,) lambda.
        labels: (L, G) the phases of least volume, such as ``ABO3`` or ``SC + NaCl``.
        fractions: (L, G) packing fraction of the whole.
        advantage: (L, G) 1 - V / V of separation into spheres and cubes alone; 0 where that wins.
        runners_up: (L, G) the phases of least volume without the structures of both species that win.
        margins: (L, G) V of the runner-up / V - 1.
    """

    stoichiometry: float
    size_ratios: FloatArray
    ligand_lengths: FloatArray
    labels: NDArray[np.str_]
    fractions: FloatArray
    advantage: FloatArray
    runners_up: NDArray[np.str_]
    margins: FloatArray


def packing_table(
    size_ratios: Sequence[float],
    ligand_lengths: Sequence[float],
    structures: Sequence[str] = BINARY,
    held: dict[str, Parameters] | None = None,
    *,
    workers: int = 1,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> PackingTable:
    """Packing fractions of the structures over a grid.

    Args:
        size_ratios: gamma.
        ligand_lengths: lambda.
        structures: names of one species of cubes and spheres.
        held: structure -> free parameters that keep a value.
        workers: processes that share the grid.
        tell: called with the numbers of finished and of all points.

    Raises:
        InputError: as :func:`.phases.pure_phases`.
    """
    gammas, lams = _axis("size_ratio", size_ratios), _axis("ligand_length", ligand_lengths)
    names = tuple(name for name in STRUCTURES if name in set(structures)) or tuple(structures)
    points = [(float(gamma), float(lam)) for lam in lams for gamma in gammas]
    # Refused in this process and before anything is computed: names, and sizes at the ends of the axes.
    pure_phases(*points[0], structures, held)
    pure_phases(*points[-1], ("SC",))
    column = partial(_fractions, names=names, held=held)
    rows = []
    for fractions in _mapped(column, points, workers):
        rows.append(fractions)
        tell(len(rows), len(points))
    table = np.array(rows).reshape(len(lams), len(gammas), len(names))
    return PackingTable(gammas, lams, names, np.moveaxis(table, 2, 0))


def _axis(name: str, values: Sequence[float]) -> FloatArray:
    axis = np.unique(np.asarray(values, dtype=np.float64))
    if not len(axis) or not np.isfinite(axis).all():
        raise InputError(f"the phase diagram has no usable values of {name}; expected finite numbers.")
    return axis


def _fractions(point: tuple[float, float], names: tuple[str, ...], held: dict[str, Parameters] | None) -> list[float]:
    gamma, lam = point
    phases = pure_phases(gamma, lam, names, held)
    return [packing_fraction(phase.cubes, phase.spheres, gamma, lam, phase.volume) for phase in phases]


def _mapped(
    function: Callable[[tuple[float, float]], list[float]], points: list[tuple[float, float]], workers: int
) -> Iterable[list[float]]:
    if workers == 1:
        yield from map(function, points)
        return
    # Spawned, since forking a process that may hold threads (BLAS, MPI) can hang.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_watch, initargs=(os.getpid(),))
    try:
        yield from pool.map(function, points, chunksize=4)
    except BrokenProcessPool as error:
        raise EngineError(
            "a worker process ended before its work; expected a script with an if __name__ == '__main__' guard and "
            "enough memory - or use one worker."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _watch(parent: int) -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def refine(table: PackingTable, times: int) -> PackingTable:
    """The table on a grid ``times`` finer, by linear interpolation of packing fractions between its points.

    Each structure's packing fraction is smooth but for a few kinks, so lines between winners, where two of them are
    equal, become smooth as well; the points of the table stay what they are.
    """

    def finer(axis: FloatArray) -> FloatArray:
        steps = np.arange(times * (len(axis) - 1) + 1) / times
        return np.interp(steps, np.arange(len(axis)), axis)

    gammas, lams = finer(table.size_ratios), finer(table.ligand_lengths)
    along = np.array([[np.interp(gammas, table.size_ratios, row) for row in one] for one in table.fractions])
    columns = np.moveaxis(along, 1, 2)
    fractions = np.array([[np.interp(lams, table.ligand_lengths, column) for column in one] for one in columns])
    return PackingTable(gammas, lams, table.structures, np.moveaxis(fractions, 2, 1))


def check_stoichiometry(stoichiometry: float) -> None:
    """Refuse what is no composition.

    Raises:
        InputError: not between 1e-6 and 1e6 cubes per sphere.
    """
    if not 1e-6 <= stoichiometry <= 1e6:  # also refuses nan
        raise InputError(
            f"stoichiometry is {stoichiometry:g}; expected a positive number of cubes per sphere, 1e-6 to 1e6."
        )


def diagram(table: PackingTable, stoichiometry: float, structures: Sequence[str] | None = None) -> Diagram:
    """The winners at a stoichiometry.

    Args:
        table: packing fractions.
        stoichiometry: cubes per sphere, positive.
        structures: those that compete; all of the table if left out.

    Raises:
        InputError: a stoichiometry that is not positive, structures that the table lacks, or no phase of spheres or of
            cubes alone among them.
    """
    check_stoichiometry(stoichiometry)
    chosen = set(table.structures if structures is None else structures)
    missing = sorted(chosen - set(table.structures))
    if missing:
        raise InputError(f"the table lacks {', '.join(missing)}; it holds {', '.join(table.structures)}.")
    both = {name for name in chosen if len(STRUCTURES[name].species) > 1}
    check_holds([phase for phase in table.phases(0, 0) if phase.name in chosen], stoichiometry, 1)
    shape = (len(table.ligand_lengths), len(table.size_ratios))
    winners, separated, seconds = (np.empty(shape, dtype=object) for _ in range(3))
    for index in np.ndindex(shape):
        phases = distinct(phase for phase in table.phases(*index) if phase.name in chosen)
        winners[index], separated[index], seconds[index] = _ranked(phases, both, stoichiometry)
    volume = _volumes(winners)
    bodies = [[body_volume(stoichiometry, 1, g, lam) for g in table.size_ratios] for lam in table.ligand_lengths]
    return Diagram(
        stoichiometry=float(stoichiometry),
        size_ratios=table.size_ratios,
        ligand_lengths=table.ligand_lengths,
        labels=_labels(winners),
        fractions=np.array(bodies) / volume,
        advantage=1 - volume / _volumes(separated),
        runners_up=_labels(seconds),
        margins=_volumes(seconds) / volume - 1,
    )


def _ranked(phases: list[Phase], both: set[str], stoichiometry: float) -> tuple[Mixture, Mixture, Mixture]:
    """The winner, separation into pure species, and the runner-up without the winner's structures of both species."""
    winner = densest(phases, stoichiometry, 1)
    alone = [phase for phase in phases if phase.name not in both]
    separated = densest(alone, stoichiometry, 1)
    if both.isdisjoint(winner.names):
        # The best of each structure of both species with what is left over beside it.
        rivals = [
            densest([phase, *alone], stoichiometry, 1, holding=phase.name) for phase in phases if phase.name in both
        ]
        second = min(rivals, key=lambda mixture: mixture.volume, default=winner)
    else:
        second = densest([phase for phase in phases if phase.name not in both & set(winner.names)], stoichiometry, 1)
    return winner, separated, second


def _volumes(mixtures: NDArray[np.object_]) -> FloatArray:
    return np.asarray(np.vectorize(lambda mixture: mixture.volume, otypes=[np.float64])(mixtures))


def _labels(mixtures: NDArray[np.object_]) -> NDArray[np.str_]:
    return np.asarray(np.vectorize(lambda mixture: mixture.label, otypes=[np.str_])(mixtures))


def save_csv(table: PackingTable, path: str | os.PathLike[str], drawn: Diagram | None = None) -> None:
    """Write one line a grid point: gamma, lambda, what wins (if a diagram is given), and every packing fraction."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [] if drawn is None else ["stoichiometry", "winner", "packing_fraction", "advantage", "runner_up", "margin"]
    writer.writerow([*_AXES, *heads, *(f"eta_{name}" for name in table.structures)])
    for row, lam in enumerate(table.ligand_lengths):
        for column, gamma in enumerate(table.size_ratios):
            found = (
                []
                if drawn is None
                else [
                    drawn.stoichiometry,
                    drawn.labels[row, column],
                    _short(drawn.fractions[row, column]),
                    _short(drawn.advantage[row, column]),
                    drawn.runners_up[row, column],
                    _short(drawn.margins[row, column]),
                ]
            )
            fractions = map(_short, table.fractions[:, row, column])
            writer.writerow([repr(float(gamma)), repr(float(lam)), *found, *fractions])
    write_whole(path, text.getvalue().encode())


def _short(value: float) -> str:
    return f"{value:.{_DIGITS}g}"


def load_csv(path: str | os.PathLike[str]) -> PackingTable:
    """Read the packing fractions that :func:`save_csv` wrote; winners are computed anew by :func:`diagram`.

    Raises:
        FileFormatError: the file is missing or not such a table.
    """
    path = Path(path)
    if not path.exists():
        raise FileFormatError(f"{path} does not exist; expected a table that supercube phases --csv wrote.")
    if not path.is_file():
        raise FileFormatError(f"{path} is no file; expected a table that supercube phases --csv wrote.")
    try:
        rows = list(csv.reader(StringIO(path.read_text(encoding="utf-8-sig"))))
    except (UnicodeError, csv.Error) as error:
        raise FileFormatError(f"{path} is no table ({error}); expected what supercube phases --csv wrote.") from error
    heads = rows[0] if rows else []
    names = tuple(head.removeprefix("eta_") for head in heads if head.startswith("eta_"))
    columns = [*_AXES, *(f"eta_{name}" for name in names)]
    if not names or set(names) - set(BINARY) or any(heads.count(column) != 1 for column in columns):
        raise FileFormatError(
            f"{path} has the columns {', '.join(heads)[:200] or '(none)'}; expected size_ratio, ligand_length and eta_ "
            "with the name of a structure, each once, as supercube phases --csv writes them."
        )
    places = [heads.index(column) for column in columns]
    try:
        numbers = np.array([[float(row[place]) for place in places] for row in rows[1:]]).reshape(-1, len(places))
    except (IndexError, ValueError) as error:
        raise FileFormatError(f"{path} holds a row without numbers ({str(error)[:100]}).") from error
    return _gridded(numbers, names, path)


def _gridded(rows: FloatArray, names: tuple[str, ...], path: Path) -> PackingTable:
    ordered = rows[np.lexsort((rows[:, 0], rows[:, 1]))]
    gammas, lams = np.unique(rows[:, 0]), np.unique(rows[:, 1])
    points = np.array([(gamma, lam) for lam in lams for gamma in gammas]).reshape(-1, 2)
    if not len(rows) or len(rows) != len(points) or not np.array_equal(ordered[:, :2], points):
        raise FileFormatError(f"{path} has {len(rows)} rows that make no full grid of size ratios and ligand lengths.")
    try:
        for point in (points[0], points[-1]):
            pure_phases(float(point[0]), float(point[1]), ("SC",))
    except InputError as error:
        raise FileFormatError(f"{path}: {error}") from error
    if not ((rows[:, 2:] > 0) & (rows[:, 2:] <= 1 + 1e-6)).all():
        raise FileFormatError(f"{path} holds a packing fraction outside 0 to 1.")
    table = ordered[:, 2:].reshape(len(lams), len(gammas), len(names))
    return PackingTable(gammas, lams, names, np.moveaxis(table, 2, 0))
