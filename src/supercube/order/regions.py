"""Crystalline regions: seeds are matched with every template, and what they found grows from neighbour to neighbour.

A fit from nowhere needs many starts and all templates, a fit from a neighbour that is on its site already needs one of
each: its pose follows from the neighbour's. So only *seeds* are matched from nowhere.

Seeds are particles whose neighbour distances are more alike than those of all within some steps from neighbour to
neighbour: a few first, then more among what is not explained yet, by :data:`ROUNDS_OF_SEEDS`. A seed's structure is
the one that explains its neighbourhood best: the sum of the qualities of its own fit and of its neighbours' fits.

Nothing depends on the order of the particles: in a step all fits of one crystal look at the state before it, the best
suggestion wins, and where two regions meet, the better fit keeps the particle. Only where all particles are alike
(polytypes of close-packed planes without any noise) the first by number begin, and layers of equal rank may change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .limits import LIMITS, Limits
from .matching import Match, Pose, match, pose_of, poses, refined, taken
from .neighbours import Surroundings
from .references import CUBE, LABELS, SPHERE, Template, templates
from .symmetry import disorientation

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

#: Quality below which a fit is doubted: noise of 5 % of the nearest distance has 1, of 10 % 0.46.
DOUBT = 0.6
#: Rounds of seeds: steps from neighbour to neighbour within which a seed is the best of those that are open, and the
#: quality below which a particle is open although it belongs to something. A single seed beside two vacancies may
#: take CuAu for CsCl and spread it; that fit is poor (0.4, the right one 0.9), so the second round asks again. The
#: last rounds leave no crystallite of ten connected particles without a seed inside.
ROUNDS_OF_SEEDS = ((3, -np.inf), (2, DOUBT), (2, DOUBT), (1, -np.inf), (1, -np.inf), (1, -np.inf))
#: How many neighbours a step goes to, and how many distances are compared.
_NEAR = 8
#: Share of a seed's neighbours that must fit the same structure.
SHARE = 0.5
#: Neighbours that belong to the same crystal are asked too if their fit is poorer by this much: a Laves phase is
#: nearly the same along other axes, where its quality is 0.5 instead of 0.9 at 5 % noise.
POORER = 0.25
#: A fit replaces another one only if it is better by this much: the same fit from another start differs by rounding,
#: and what follows from it must not.
BETTER = 0.02
#: Times that a particle is tried with one structure, from different neighbours.
TRIES = 6
#: Largest angle of an SC cube to the fitted crystal axes, in degrees. Hard cubes at volume fraction 0.55 vibrate by 7
#: degrees about each axis (FWHM 17; experiment: 9.6), so this is 3.6 sigma; of cubes at random 12 % pass.
SC_TILT = 26.0


@dataclass(frozen=True)
class Regions:
    """What each particle belongs to; rows of particles that belong to nothing are empty.

    Attributes:
        kind: (N,) template number, -1 for none.
        pose: (N,) of the template.
        neighbour: (N, T) who occupies the places, -1 for nobody; T is that of the largest template.
        squared: (N, T) squared distances from the places, in nearest-neighbour distances.
        own: (N,) the same for the particle itself.
        quality: (N,) of the fit.
    """

    kind: IntArray
    pose: Pose
    neighbour: NDArray[np.int32]
    squared: NDArray[np.float32]
    own: FloatArray
    quality: FloatArray

    @staticmethod
    def none(n: int) -> Regions:
        """Before anything is known."""
        places = max(len(t.vectors) for t in templates())
        return Regions(
            kind=np.full(n, -1),
            pose=Pose.none(n),
            neighbour=np.full((n, places), -1, dtype=np.int32),
            squared=np.zeros((n, places), dtype=np.float32),
            own=np.zeros(n),
            quality=np.full(n, -np.inf),
        )

    def drop(self, rows: IntArray) -> None:
        """Particles that belong to nothing any more."""
        self.kind[rows], self.quality[rows], self.neighbour[rows] = -1, -np.inf, -1

    def take(self, site: Template, rows: IntArray, found: Match) -> IntArray:
        """Particles that fit better than what they belonged to; returns them."""
        better = found.fits & (found.quality > self.quality[rows] + BETTER)
        rows, found = rows[better], taken(found, better)
        places = len(site.vectors)
        self.kind[rows] = site.kind
        self.pose.put(rows, found.pose)
        self.neighbour[rows, :places], self.neighbour[rows, places:] = found.neighbour, -1
        self.squared[rows, :places] = found.squared
        self.own[rows], self.quality[rows] = found.own, found.quality
        return rows


@dataclass(frozen=True)
class _Particles:
    """What fits are made to: the neighbours, who may take part, and the cubes' axes if they are known."""

    near: Surroundings
    is_cube: BoolArray
    free: BoolArray
    cubes: FloatArray | None
    limits: Limits

    def sought(self, site: Template, rows: IntArray) -> Match:
        """Fit of a template from nowhere, with all gates that one particle can pass alone."""
        return self._passing(site, rows, match(site, self.near, rows, self.limits))

    def fitted(self, site: Template, rows: IntArray, pose: Pose, share: float) -> Match:
        """The same from an expected pose, with the least share of each shell that must be filled."""
        return self._passing(site, rows, refined(site, self.near, rows, pose, share, self.limits))

    def _passing(self, site: Template, rows: IntArray, found: Match) -> Match:
        found.fits[:] &= self.free[rows] & (found.pose.scale > 0)
        low, high = site.stretch
        if high > low:
            found.fits[:] &= (found.pose.stretch > low) & (found.pose.stretch < high)
        if site.aligned and self.cubes is not None:
            found.fits[:] &= disorientation(found.pose.frame, self.cubes[rows]) < SC_TILT
        if site.empty:
            others = self.near[SPHERE if site.species == CUBE else CUBE].squares[rows]
            found.fits[:] &= (others < ((site.empty * found.pose.scale) ** 2)[:, None]).sum(axis=1) < 4
        return found


@dataclass(frozen=True)
class _Proposals:
    """Particles with the template and pose that a neighbour of theirs suggests, and the number of who suggests it."""

    who: IntArray
    kind: IntArray
    pose: Pose
    source: IntArray

    @staticmethod
    def none() -> _Proposals:
        """Of nobody."""
        nobody = np.zeros(0, dtype=np.int64)
        return _Proposals(nobody, nobody, Pose.none(0), nobody)


def grown(
    near: Surroundings,
    is_cube: BoolArray,
    free: BoolArray,
    cubes: FloatArray | None,
    gate: Callable[[Regions], BoolArray],
    limits: Limits = LIMITS,
) -> Regions:
    """All crystalline regions.

    A particle beside vacancies or strangers may fit a wrong crystal better than its own. It then fails the gate, since
    its neighbours do not agree, and those that passed claim it back.

    Args:
        near: neighbours of all particles.
        is_cube: (N,).
        free: (N,) whether a particle may belong to a crystal.
        cubes: (N, 3, 3) axes of the cubes, None if unknown.
        gate: (N,) which particles of some regions keep what they belong to.
        limits: between crystal and disorder.
    """
    particles = _Particles(near, is_cube, free, cubes, limits)
    regions = Regions.none(len(is_cube))
    sites = _possible(is_cube)
    tries = np.zeros((len(is_cube), len(LABELS)), dtype=np.uint8)
    untried = free.copy()
    irregular = _irregularity(near)
    close = near.nearest(_NEAR)[0]
    for steps, doubt in ROUNDS_OF_SEEDS:
        seeds = _seeds(irregular, close, untried & ((regions.kind < 0) | (regions.quality < doubt)), steps)
        if not len(seeds):
            continue
        untried[seeds] = False
        _spread(particles, sites, regions, _planted(particles, sites, regions, seeds), tries)
    if _healed(particles, sites, regions, tries, gate(regions)):
        regions.drop(np.flatnonzero((regions.kind >= 0) & ~gate(regions)))
    return regions


def _spread(
    particles: _Particles, sites: dict[int, Template], regions: Regions, front: IntArray, tries: NDArray[np.uint8]
) -> bool:
    """Growth until nobody joins; whether anybody did."""
    grew = False
    while len(front):
        front = _wave(particles, sites, regions, front, tries)
        grew |= len(front) > 0
    return grew


def _healed(
    particles: _Particles, sites: dict[int, Template], regions: Regions, tries: NDArray[np.uint8], kept: BoolArray
) -> bool:
    """Take particles that failed the gate out and let those that passed grow again; whether anybody joined."""
    failed = np.flatnonzero((regions.kind >= 0) & ~kept)
    open_ = np.flatnonzero(regions.kind < 0)
    tries[open_] = 0
    tries[failed] = 0
    regions.drop(failed)
    return _spread(particles, sites, regions, np.flatnonzero(regions.kind >= 0), tries)


def _label_of() -> IntArray:
    """Number of the label of each template."""
    numbers = {label: k for k, label in enumerate(LABELS)}
    return np.array([numbers[site.label] for site in templates()])


def _possible(is_cube: BoolArray) -> dict[int, Template]:
    """Templates of crystals whose species are there."""
    present = {CUBE if cube else SPHERE for cube in np.unique(is_cube)}
    needed: dict[str, set[int]] = {}
    for site in templates():
        needed.setdefault(site.label, set()).add(site.species)
    return {site.kind: site for site in templates() if needed[site.label] <= present}


# --- seeds ------------------------------------------------------------------------------------------------------------


def _irregularity(near: Surroundings) -> IntArray:
    """(N,) rank of each particle by the relative spread of its six smallest neighbour distances."""
    distances = np.sqrt(near.nearest(6)[1].astype(float))
    with np.errstate(invalid="ignore"):
        spread = distances.std(axis=1) / np.maximum(distances.mean(axis=1), 1e-12)
    rank = np.empty(len(spread), dtype=np.int64)
    # Particles of a perfect crystal are all alike: which of them are seeds makes no difference then.
    rank[np.argsort(np.where(np.isfinite(spread), spread, np.inf), kind="stable")] = np.arange(len(spread))
    return rank


def _seeds(rank: IntArray, close: NDArray[np.int32], eligible: BoolArray, steps: int) -> IntArray:
    """Eligible particles of the lowest rank among all eligible ones within some steps."""
    last = len(rank)
    lowest = np.append(np.where(eligible, rank, last), last)
    own = lowest[:-1]
    for _ in range(steps):
        lowest = np.append(np.minimum(lowest[:-1], lowest[close].min(axis=1)), last)
    return np.flatnonzero(eligible & (own == lowest[:-1]))


def _planted(particles: _Particles, sites: dict[int, Template], regions: Regions, seeds: IntArray) -> IntArray:
    """Match seeds with all templates; those that explain their neighbourhood join the regions and are returned."""
    best = np.full(len(seeds), -np.inf)
    chosen = np.full(len(seeds), -1)
    matches: dict[int, tuple[IntArray, Match]] = {}
    for kind, site in sites.items():
        places = np.flatnonzero(particles.is_cube[seeds] == (site.species == CUBE))
        found = particles.sought(site, seeds[places])
        places, found = places[found.fits], taken(found, found.fits)
        if len(places):
            value = _explained(particles, sites, site, seeds[places], found)
            better = value > best[places]
            best[places[better]], chosen[places[better]] = value[better], kind
            matches[kind] = (places, found)
    front = [np.zeros(0, dtype=np.int64)]
    for kind, (places, found) in matches.items():
        mine = chosen[places] == kind
        front.append(regions.take(sites[kind], seeds[places[mine]], taken(found, mine)))
    return np.concatenate(front)


def _explained(
    particles: _Particles, sites: dict[int, Template], site: Template, rows: IntArray, found: Match
) -> FloatArray:
    """Mean quality of each particle's fit and of its neighbours' fits of the same crystal; -inf if too few fit."""
    proposals = _proposed(site, np.arange(len(rows)), found.pose, found.neighbour)
    good = np.zeros(len(rows))
    total = found.quality.copy()
    for kind in np.unique(proposals.kind):
        of_kind = np.flatnonzero(proposals.kind == kind)
        pose = pose_of(proposals.pose, of_kind)
        fit = particles.fitted(sites[int(kind)], proposals.who[of_kind], pose, particles.limits.grow)
        source = proposals.source[of_kind]
        good += np.bincount(source, fit.fits, minlength=len(rows))
        total += np.bincount(source, np.where(fit.fits, fit.quality, 0.0), minlength=len(rows))
    places = (found.neighbour >= 0).sum(axis=1)
    return np.where(good >= SHARE * places, total / (1 + len(site.vectors)), -np.inf)


# --- growth -----------------------------------------------------------------------------------------------------------


def _proposed(site: Template, source: IntArray, pose: Pose, neighbour: NDArray[np.int32]) -> _Proposals:
    """What particles on a site suggest for all who occupy their places.

    The neighbour's own site is o + a R S v from here; its origin, seen from itself, is unknown by its displacement,
    which the fit finds, so it starts at zero.
    """
    row, place = np.nonzero(neighbour >= 0)
    return _Proposals(
        who=neighbour[row, place].astype(np.int64),
        kind=site.neighbour_kind[place],
        pose=Pose(
            pose.scale[row],
            pose.stretch[row],
            pose.slide[row],
            pose.frame[row] @ site.neighbour_turn[place],
            np.zeros((len(row), 3)),
        ),
        source=source[row],
    )


def _by_kind(kind: IntArray, sites: dict[int, Template]) -> Iterator[tuple[Template, IntArray]]:
    for number in np.unique(kind):
        yield sites[int(number)], np.flatnonzero(kind == number)


def _wave(
    particles: _Particles, sites: dict[int, Template], regions: Regions, front: IntArray, tries: NDArray[np.uint8]
) -> IntArray:
    """One step of growth from the particles that joined last; returns those that join now."""
    joined = [np.zeros(0, dtype=np.int64)]
    label_of = _label_of()
    for label in np.unique(label_of[regions.kind[front]]):
        mine = front[label_of[regions.kind[front]] == label]  # another crystal may just have taken some
        proposals = _outward(particles, sites, regions, mine, int(label), tries)
        tries[proposals.who, label] += 1
        for site, rows in _by_kind(proposals.kind, sites):
            who = proposals.who[rows]
            found = particles.fitted(site, who, pose_of(proposals.pose, rows), particles.limits.grow)
            joined.append(regions.take(site, who, found))
    return np.unique(np.concatenate(joined))


def _outward(
    particles: _Particles,
    sites: dict[int, Template],
    regions: Regions,
    front: IntArray,
    label: int,
    tries: NDArray[np.uint8],
) -> _Proposals:
    """What particles of one crystal suggest for neighbours that do not belong to it, or badly: the best for each."""
    label_of = np.append(_label_of(), -1)
    parts = [_Proposals.none()]
    for site, rows in _by_kind(regions.kind[front], sites):
        who = front[rows]
        neighbour = regions.neighbour[who, : len(site.vectors)]
        poorer = regions.quality[neighbour] < regions.quality[who][:, None] - POORER
        open_ = (neighbour >= 0) & (poorer | (label_of[regions.kind[neighbour]] != label))
        open_ &= particles.free[neighbour] & (tries[neighbour, label] < TRIES)
        some = open_.any(axis=1)
        who, neighbour = who[some], np.where(open_, neighbour, -1)[some]
        parts.append(_proposed(site, who, pose_of(regions.pose, who), neighbour))
    who = np.concatenate([part.who for part in parts])
    kind = np.concatenate([part.kind for part in parts])
    source = np.concatenate([part.source for part in parts])
    # The suggestion of the neighbour that fits best; of equally good fits (1 is the best there is) the nearest to its
    # own site, never the first by number.
    order = np.lexsort((regions.own[source], -regions.quality[source], who))
    first = order[np.unique(who[order], return_index=True)[1]]
    return _Proposals(who[first], kind[first], pose_of(poses([part.pose for part in parts]), first), source[first])
