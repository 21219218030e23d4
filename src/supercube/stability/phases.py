"""Gibbs free energies of pure crystals at one pressure, and which of them, or which two side by side, win.

Formula: G = U + P V - T S, in kT per formula unit (the composition in lowest terms: ABO3 is one sphere and four cubes).
Kinetic energies and momenta are those of the bodies and cancel. A mixture of cubes and spheres takes the phases of
least G by the lever rule: the least of x_1 g_1 + x_2 g_2 over amounts that hold all bodies
(:func:`.crystals.phases.densest`, with free energies in place of volumes).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..crystals.library import structure
from ..crystals.phases import Mixture, Phase, check_holds, densest
from ..errors import InputError
from .entropy import Entropy, Refusal

FloatArray = NDArray[np.float64]

#: Structures that compete at every point of the map; a winner is decided only if each was run.
COMPETITORS = ("SC", "NaCl", "ABO3", "fcc")
#: A winner is decided if its margin is at least this many standard errors.
DECIDED = 2.0
#: Uncertainty of an entropy by the Gaussian, in k per coordinate (three a body, three more a cube). In a crystal of
#: hard spheres the Gaussian is too large by a number of order 0.2 per coordinate (0.18 for a coordinate between hard
#: walls), which crystals of the same bodies share. What differs between them is unknown, and is taken for as much as
#: changes along one crystal: 0.05 from 1.03 to 1.08 times close packing of spheres in fcc
#: (``tests/stability/test_hard_spheres.py``); over a doubling of the pressure 0.07 in SC, whose rows slide, and less
#: than 0.03 in NaCl (:mod:`.consistency`). Where runs at several pressures show more, that counts instead.
GAUSSIAN = 0.07
#: Below this share of bodies under its name a phase is noted as damaged: the classifier finds all but a few percent of
#: a vibrating crystal, and ``structure`` names one half of the bodies at least.
WHOLE = 0.9


@dataclass(frozen=True)
class PurePhase:
    """What was measured on one pure crystal at one pressure; energies in kT per formula unit.

    Attributes:
        name: of its structure.
        cubes: per formula unit.
        spheres: per formula unit.
        volume, volume_error: in cube edges cubed.
        energy, energy_error: potential energy U.
        enthalpy, enthalpy_error: H = U + P V; its error is smaller than those of U and P V together, which vary
            against each other.
        entropy, entropy_error: in k, statistical error; None if it could not be measured.
        lost: why this is no candidate (it melted, or became something else); empty if it is one.
        note: why there is no entropy, or what makes it doubtful; may be empty.
        mismatch, mismatch_error: G less G at the next lower pressure less the integral of V dP between them
            (:mod:`.consistency`); 0 but for errors if G is right. None without such a pressure.
        mismatch_largest: between any two pressures of this crystal, what errors do not explain.
    """

    name: str
    cubes: int
    spheres: int
    volume: float
    volume_error: float
    energy: float
    energy_error: float
    enthalpy: float
    enthalpy_error: float
    entropy: float | None = None
    entropy_error: float = 0.0
    lost: str = ""
    note: str = ""
    mismatch: float | None = None
    mismatch_error: float = 0.0
    mismatch_largest: float = 0.0

    @property
    def coordinates(self) -> int:
        """Of a formula unit: three a body and three more a cube."""
        return 3 * self.spheres + 6 * self.cubes

    @property
    def allowance(self) -> float:
        """What the Gaussian may get wrong, k: ``GAUSSIAN`` a coordinate, or ``mismatch_largest`` where it is more.

        Pressures tell how this error changes along one crystal, not what it is; between two crystals it is taken to
        differ by as much.
        """
        return max(GAUSSIAN * self.coordinates, self.mismatch_largest)

    @property
    def gibbs(self) -> tuple[float, float] | None:
        """G = H - T S and its error, which includes ``allowance``; None without entropy."""
        if self.entropy is None:
            return None
        error = math.hypot(self.enthalpy_error, self.entropy_error, self.allowance)
        return self.enthalpy - self.entropy, error


@dataclass(frozen=True)
class Verdict:
    """Which phases win by one measure, for one sphere and its cubes.

    Attributes:
        winner: such as ``ABO3`` or ``SC + NaCl``; empty if nothing can be said.
        runner_up: the best of the others without the winner's structures of both species; empty if there is none.
        margin: of the runner-up over the winner, kT; NaN without runner-up.
        error: standard error of the margin.
        reason: why there is no winner; empty if there is one.
        missing: competitors that were never run, so that they may win.
    """

    winner: str
    runner_up: str
    margin: float
    error: float
    reason: str = ""
    missing: tuple[str, ...] = ()

    @property
    def undecided(self) -> bool:
        """Whether the margin is less than ``DECIDED`` errors, or a competitor missing; also without a runner-up."""
        return bool(self.missing) or not (self.winner and self.margin >= DECIDED * self.error)  # NaN is undecided


@dataclass(frozen=True)
class StabilityPoint:
    """The crystals at one point of the map and what wins there.

    Attributes:
        size_ratio: gamma.
        ligand_length: lambda.
        pressure: kT/e^3.
        stoichiometry: cubes per sphere.
        phases: all that were run.
        attraction: depth of the face-to-face well, kT.
    """

    size_ratio: float
    ligand_length: float
    pressure: float
    stoichiometry: float
    phases: tuple[PurePhase, ...]
    attraction: float = 0.0

    @property
    def candidates(self) -> tuple[PurePhase, ...]:
        """Those that are still what they began as."""
        return tuple(phase for phase in self.phases if not phase.lost)

    @property
    def missing(self) -> tuple[str, ...]:
        """Those of ``COMPETITORS`` that were never run; one that was run and lost is not missing."""
        run = {phase.name for phase in self.phases}
        return tuple(name for name in COMPETITORS if name not in run)

    @cached_property
    def by_enthalpy(self) -> Verdict:
        """The winner at least H, without any entropy."""
        energies = [(phase.enthalpy, phase.enthalpy_error) for phase in self.candidates]
        return _verdict(self.candidates, energies, self)

    @cached_property
    def by_gibbs(self) -> Verdict:
        """The winner at least G; there is none unless every candidate has an entropy."""
        energies = [phase.gibbs for phase in self.candidates]
        known = [energy for energy in energies if energy is not None]
        if len(known) < len(energies):
            lacking = [phase.name for phase in self.candidates if phase.entropy is None]
            reason = f"no entropy of {' and '.join(lacking)}"
            return Verdict("", "", math.nan, math.nan, reason, self.missing)
        return _verdict(self.candidates, known, self)

    @property
    def absent(self) -> tuple[str, ...]:
        """Sentences on competitors that take no part: those never run, and those that did not survive."""
        never = [f"{name} not run" for name in self.missing]
        return (*never, *(f"{phase.name}: {phase.lost}" for phase in self.phases if phase.lost))

    @property
    def notes(self) -> tuple[str, ...]:
        """``absent``, and sentences on phases without entropy or with a doubtful one."""
        doubts = (f"{phase.name}: {phase.note}" for phase in self.phases if phase.note and not phase.lost)
        return (*self.absent, *doubts)


def stability_point(
    size_ratio: float,
    ligand_length: float,
    pressure: float,
    phases: Sequence[PurePhase],
    stoichiometry: float = 4.0,
    attraction: float = 0.0,
) -> StabilityPoint:
    """The point of these pure phases.

    Raises:
        InputError: a pressure or composition that is not positive, one structure twice, or a formula unit other than
            that of the structure.
    """
    if not (pressure > 0 and stoichiometry > 0):
        raise InputError(
            f"pressure is {pressure:g} and stoichiometry {stoichiometry:g}; expected positive numbers, in kT/e^3 and "
            "in cubes per sphere."
        )
    names = [phase.name for phase in phases]
    if len(set(names)) < len(names):
        raise InputError(f"the phases are {', '.join(names)}; expected each structure once (merge repeats first).")
    for phase in phases:
        expected = structure(phase.name).stoichiometry
        if (phase.cubes, phase.spheres) != expected:
            raise InputError(
                f"{phase.name} is given with {phase.cubes} cubes and {phase.spheres} spheres; expected numbers per "
                f"formula unit, {expected[0]} and {expected[1]}."
            )
    return StabilityPoint(size_ratio, ligand_length, pressure, stoichiometry, tuple(phases), attraction)


def pure_phase(name: str, document: Mapping[str, Any], entropy: Entropy | Refusal) -> PurePhase:
    """A pure crystal from the document of its job.

    It is lost if the classifier calls it something else by now or says that a species has left its sites (``molten``).
    A refusal of the entropy loses nothing but the entropy.

    Args:
        name: of the structure that the run began as.
        document: with ``n_cubes``, ``n_spheres``, ``structure``, ``structure_fraction``, and ``volume``,
            ``potential_energy``, ``enthalpy`` and their ``_sem``, of all bodies together, in cube edges cubed and kT.
        entropy: of all bodies together.

    Raises:
        InputError: the bodies are no whole number of formula units.
    """
    cubes, spheres = structure(name).stoichiometry
    units, rest = divmod(int(document["n_cubes"]) + int(document["n_spheres"]), cubes + spheres)
    if rest or units * cubes != document["n_cubes"]:
        raise InputError(
            f"{document['n_cubes']} cubes and {document['n_spheres']} spheres are no whole number of formula units of "
            f"{name}; expected multiples of {cubes} and {spheres}."
        )
    lost = _lost(name, document)
    share = float(document["structure_fraction"])
    notes = [f"{100 * share:.0f} % of the bodies are still {name}"] if share < WHOLE and not lost else []
    notes.append(entropy.note if isinstance(entropy, Entropy) else entropy.reason)
    return PurePhase(
        name=name,
        cubes=cubes,
        spheres=spheres,
        volume=document["volume"] / units,
        volume_error=document["volume_sem"] / units,
        energy=document["potential_energy"] / units,
        energy_error=document["potential_energy_sem"] / units,
        enthalpy=document["enthalpy"] / units,
        enthalpy_error=document["enthalpy_sem"] / units,
        entropy=entropy.total / units if isinstance(entropy, Entropy) and not lost else None,
        entropy_error=entropy.error / units if isinstance(entropy, Entropy) and not lost else 0.0,
        lost=lost,
        note="; ".join(note for note in notes if note),
    )


def _lost(name: str, document: Mapping[str, Any]) -> str:
    """Why a crystal is no candidate any more, by what the classifier says of it; empty if it is one."""
    molten = [kind for kind, is_molten in (document.get("molten") or {}).items() if is_molten]
    if document["structure"] != name:
        return f"became {document['structure']}"
    return f"{' and '.join(f'{kind}s' for kind in molten)} left their sites" if molten else ""


def merged(repeats: Sequence[PurePhase]) -> PurePhase:
    """One record of independent repeats: means of those that survived, errors from their own or their scatter.

    Half or more of them have to survive; else the phase is lost.
    """
    alive = [phase for phase in repeats if not phase.lost]
    if 2 * len(alive) < len(repeats) or len(repeats) == 1:
        return next((phase for phase in repeats if phase.lost), repeats[0])
    count = len(repeats) - len(alive)
    notes = [f"{count} of {len(repeats)} repeats lost ({next(p.lost for p in repeats if p.lost)})"] if count else []
    entropies = [(p.entropy, p.entropy_error) for p in alive if p.entropy is not None]
    volume, volume_error = _mean([(p.volume, p.volume_error) for p in alive])
    energy, energy_error = _mean([(p.energy, p.energy_error) for p in alive])
    enthalpy, enthalpy_error = _mean([(p.enthalpy, p.enthalpy_error) for p in alive])
    entropy, entropy_error = _mean(entropies) if entropies else (None, 0.0)
    return replace(
        alive[0],
        volume=volume,
        volume_error=volume_error,
        energy=energy,
        energy_error=energy_error,
        enthalpy=enthalpy,
        enthalpy_error=enthalpy_error,
        entropy=entropy,
        entropy_error=entropy_error,
        note="; ".join(notes + list(dict.fromkeys(p.note for p in alive if p.note))),
    )


def _mean(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    numbers, errors = np.array(values, dtype=np.float64).T
    scatter = numbers.std(ddof=1) / math.sqrt(len(numbers)) if len(numbers) > 1 else 0.0
    return float(numbers.mean()), float(max(np.sqrt((errors**2).sum()) / len(errors), scatter))


def _verdict(
    candidates: Sequence[PurePhase], energies: Sequence[tuple[float, float]], point: StabilityPoint
) -> Verdict:
    bodies = [phase.cubes + phase.spheres for phase in candidates]
    # densest compares relative volumes, so it wants positive ones; a constant per body changes no comparison.
    lift = 1.0 + max((-energy / n for n, (energy, _) in zip(bodies, energies, strict=True)), default=0.0)
    phases = [
        Phase(phase.name, phase.cubes, phase.spheres, energy + max(lift, 1.0) * n)
        for phase, n, (energy, _) in zip(candidates, bodies, energies, strict=True)
    ]
    if not candidates:
        return Verdict("", "", math.nan, math.nan, "no crystal survived", point.missing)
    try:
        check_holds(phases, point.stoichiometry, 1)
    except InputError as error:
        return Verdict("", "", math.nan, math.nan, str(error).rstrip("."), point.missing)
    winner = densest(phases, point.stoichiometry, 1)
    second = _runner_up(phases, winner, point.stoichiometry)
    if second is None:
        return Verdict(winner.label, "", math.nan, math.nan, missing=point.missing)
    # A phase in both mixtures errs in both alike.
    change = _amounts(phases, second, point.stoichiometry) - _amounts(phases, winner, point.stoichiometry)
    errors = np.array([error for _, error in energies])
    margin = second.volume - winner.volume
    margin_error = float(np.sqrt(((change * errors) ** 2).sum()))
    return Verdict(winner.label, second.label, margin, margin_error, missing=point.missing)


def _runner_up(phases: Sequence[Phase], winner: Mixture, stoichiometry: float) -> Mixture | None:
    """The best mixture without the winner's structures of both species; with any one of them where none won."""
    both = [phase for phase in phases if phase.cubes and phase.spheres]
    won = {phase.name for phase in both} & set(winner.names)
    alone = [phase for phase in phases if phase not in both]
    if won:
        rivals = [([phase for phase in phases if phase.name not in won], "")]
    else:
        rivals = [([phase, *alone], phase.name) for phase in both]
    found = []
    for chosen, holding in rivals:
        with contextlib.suppress(InputError):  # they cannot hold this composition
            found.append(densest(chosen, stoichiometry, 1, holding=holding))
    return min(found, key=lambda mixture: mixture.volume, default=None)


def _amounts(phases: Sequence[Phase], mixture: Mixture, stoichiometry: float) -> FloatArray:
    """Formula units of every phase in a mixture of one sphere and its cubes."""
    shares = dict(zip(mixture.names, mixture.shares, strict=True))
    return np.array([shares.get(p.name, 0.0) * (1 + stoichiometry) / (p.cubes + p.spheres) for p in phases])
