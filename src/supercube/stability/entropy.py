"""Configurational entropy of a crystal from the covariance of its fluctuations.

Formula: S/k = 1/2 ln det(2 pi e C), the entropy of a Gaussian with the covariance C of all displacements (three a body)
and rotation vectors (three a cube). Of all distributions with this covariance the Gaussian has the largest entropy, so
S is an upper bound. Translations of the crystal make C block-diagonal in wave vectors: with the unitary amplitudes
X_s(k) = T^(-1/2) sum_t x_(s,t) exp(-i k.t) of the m coordinates s of a primitive cell, C(k) = <X X^+> is m x m, and

    S/k = sum over all T wave vectors of 1/2 ln det(2 pi e C(k)),

for the 2 m real coordinates (sqrt2 Re X, sqrt2 Im X) of a pair +-k have the covariance [[Re C, -Im C], [Im C, Re C]],
whose determinant is |det C(k)|^2, and those with k = -k are real. Lengths are in cube edges, angles in radians;
momenta, the N! labels, and the 24 equivalent orientations of a cube add the same to every crystal of the same bodies.

The three uniform translations are left out (the drift is taken off). In a large crystal they are three of infinitely
many acoustic modes, not none; :attr:`Entropy.uniform` estimates what they would have there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..configuration import Configuration
from .fluctuations import Fluctuations, fluctuations
from .lattice import Lattice, lattice_of

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

#: Blocks of frames that are left out in turn for the standard error.
BLOCKS = 10
#: Independent frames for each coordinate of a block, at least: half of them have to give a covariance as well.
FRAMES_PER_COORDINATE = 3.0
#: ln of a Gaussian's entropy per coordinate: S/k = 1/2 ln(2 pi e C).
_GAUSS = math.log(2 * math.pi * math.e)
#: Mean of ln(6 - 2 cos x - 2 cos y - 2 cos z) over the Brillouin zone (ln of the spanning trees per site of the simple
#: cubic lattice, Rosengren, J. Phys. A 20, L923, 1987).
_SPRINGS = 1.6733893029


@dataclass(frozen=True)
class Entropy:
    """Entropy of all bodies of a crystal in units of k; differences between crystals of equal bodies have a meaning.

    Attributes:
        many_body: 1/2 ln det(2 pi e C) of all coordinates but the three uniform translations.
        uniform: what three more acoustic modes have in a large crystal.
        cell: of independent bodies, sum of 1/2 ln det(2 pi e C_i) over bodies with 3 x 3 or 6 x 6 covariances: an upper
            bound of ``total`` that knows no correlations.
        sem: standard error of ``many_body`` from leaving out blocks of frames.
        bias: |S(all frames) - mean S(first, second half)|: the error that is left by too few frames.
        frames: number of frames.
        independent: frames that count as independent, in the wave vector that has fewest.
        coordinates: in the block of one wave vector, m.
        note: a sentence on what makes the number doubtful; may be empty.
    """

    many_body: float
    uniform: float
    cell: float
    sem: float
    bias: float
    frames: int
    independent: float
    coordinates: int
    note: str = ""

    @property
    def total(self) -> float:
        """Best estimate for a large crystal, ``many_body + uniform``."""
        return self.many_body + self.uniform

    @property
    def error(self) -> float:
        """sqrt(sem^2 + bias^2): statistics only, not what the Gaussian gets wrong."""
        return math.hypot(self.sem, self.bias)


@dataclass(frozen=True)
class Refusal:
    """Why there is no entropy; the crystal and its enthalpy may be good all the same.

    Attributes:
        reason: a sentence.
    """

    reason: str


def quasi_harmonic_entropy(frames: Sequence[Configuration], crystal: Configuration) -> Entropy | Refusal:
    """Many-body and single-body entropy from frames of a run at equilibrium.

    Sample covariances of n frames have a determinant that is too small. For n independent Gaussian frames the bias is
    exact (complex Wishart: E ln det W = ln det C + sum_(i<m) psi(n - i); real: psi((n - i)/2) + ln 2; Goodman, Ann.
    Math. Stat. 34, 178, 1963). Correlated frames count as 1 + 2 sum_t |tr R(t)/m|^2 times fewer, with the
    autocorrelation R(t) of the amplitudes scaled to unit covariance: the bias is to leading order that of as many
    independent ones.

    Args:
        frames: at equilibrium, in order of time, equally spaced.
        crystal: the perfect crystal that the run began as (``initial.gsd``), with the same bodies in the same order.

    Raises:
        InputError: as :func:`.fluctuations.fluctuations` and :func:`.lattice.lattice_of`.
    """
    moves, lattice = fluctuations(frames, crystal), lattice_of(crystal)
    reason = moves.refusal()
    if reason:
        return Refusal(reason)
    modes = Modes.of(moves, lattice)
    needed = FRAMES_PER_COORDINATE * modes.coordinates
    # The first test costs nothing, and without it the amplitudes cannot be scaled to unit covariance.
    independent = modes.independent() if len(frames) >= needed else float(len(frames))
    if independent < needed:
        return Refusal(
            f"{len(frames)} frames, {independent:.0f} of them independent, are too few for {modes.coordinates} "
            f"coordinates a wave vector; expected {needed:.0f} independent ones"
        )
    rows = np.arange(len(frames))
    whole, uniform = modes.entropy(rows)
    blocks = np.array_split(rows, BLOCKS)
    without = np.array([modes.entropy(np.setdiff1d(rows, block))[0] for block in blocks])
    halves = [modes.entropy(half)[0] for half in np.array_split(rows, 2)]
    measure = _measure(moves)
    return Entropy(
        many_body=whole + measure,
        uniform=uniform,
        cell=_cell(moves, lattice, float(modes.thinning[:, 0].mean())) + measure,
        sem=float(np.sqrt((BLOCKS - 1) * without.var())),
        bias=abs(whole - float(np.mean(halves))),
        frames=len(frames),
        independent=independent,
        coordinates=modes.coordinates,
        note=moves.note(),
    )


@dataclass(frozen=True)
class Modes:
    """Amplitudes of the wave vectors over the frames.

    Attributes:
        amplitudes: (K, F, m) X(k), one of each +-k; (0, 0, 0) comes first and has only the coordinates without uniform
            translation, the last three columns being zero.
        is_real: (K,) where X is real.
        uniform: (F, A, 3) amplitudes of the uniform translation of a cell in the A shortest waves along the box edges.
        thinning: (K, 2) by how much fewer than the frames count as independent, for mean values and for covariances.
        translations: T, the number of all wave vectors.
    """

    amplitudes: ComplexArray
    is_real: NDArray[np.bool_]
    uniform: ComplexArray
    thinning: FloatArray
    translations: int

    @classmethod
    def of(cls, moves: Fluctuations, lattice: Lattice) -> Modes:
        """Transform displacements and rotations."""
        shifts = moves.displacements[:, lattice.orbits]  # (F, B, T, 3)
        turns = moves.rotations[:, lattice.orbits[lattice.is_cube]]
        columns = np.concatenate([shifts, turns], axis=1)
        transformed = np.einsum("fbtx,kt->kfbx", columns, lattice.phases, optimize=True)
        amplitudes = transformed.reshape(*transformed.shape[:2], -1) / math.sqrt(lattice.n_translations)
        bodies = len(lattice.orbits)
        # Columns of three: e_x, e_y, e_z of every body over sqrt(B).
        pattern = np.zeros((amplitudes.shape[2], 3))
        pattern[: 3 * bodies] = np.tile(np.eye(3), (bodies, 1)) / math.sqrt(bodies)
        along = [int(np.flatnonzero((lattice.wave_vectors == unit).all(axis=1))[0]) for unit in _shortest(lattice)]
        uniform = np.moveaxis(amplitudes[along] @ pattern, 0, 1)
        rest = np.linalg.svd(pattern)[0][:, 3:]
        amplitudes[0] = np.concatenate([amplitudes[0] @ rest, np.zeros((amplitudes.shape[1], 3))], axis=1)
        thinning = np.array([_thinning(amplitudes[k][:, : -3 if k == 0 else None]) for k in range(len(amplitudes))])
        return cls(amplitudes, lattice.is_real, uniform, thinning, lattice.n_translations)

    @property
    def coordinates(self) -> int:
        """Coordinates of a primitive cell, m."""
        return int(self.amplitudes.shape[2])

    def independent(self) -> float:
        """Frames that count as independent for covariances, in the wave vector that has fewest."""
        return float(self.amplitudes.shape[1] / self.thinning[:, 1].max())

    def entropy(self, rows: NDArray[np.intp]) -> tuple[float, float]:
        """``many_body`` without measure, and ``uniform``, from some of the frames."""
        total = 0.0
        for k, x in enumerate(self.amplitudes[:, rows]):
            chosen = x[:, :-3] if k == 0 else x
            if chosen.shape[1]:
                share = 0.5 if self.is_real[k] else 1.0
                total += share * _log_det(chosen, self.thinning[k], real=bool(self.is_real[k]))
        return total, self._missing(rows)

    def _missing(self, rows: NDArray[np.intp]) -> float:
        """Three modes of the strength that makes the sum over wave vectors that of a large crystal.

        In a simple cubic crystal of n^3 bodies on springs, ln C summed over k != 0 differs from n^3 times its mean over
        the Brillouin zone by a known number; here the same number is added to ln C of the shortest waves.
        """
        n = max(2, round(self.translations ** (1 / 3)))
        levels = 2 - 2 * np.cos(2 * np.pi * np.arange(n) / n)
        sums = (levels[:, None, None] + levels[:, None] + levels).ravel()[1:]
        lack = float(np.log(sums).sum() - n**3 * _SPRINGS + math.log(levels[1]))
        if not self.uniform.shape[1]:
            return 0.0
        found = []
        for x in np.moveaxis(self.uniform[rows], 1, 0):
            found.append(np.linalg.slogdet(x.conj().T @ x / len(x))[1])
        return 0.5 * (float(np.mean(found)) + 3 * (_GAUSS + lack))


def _shortest(lattice: Lattice) -> list[NDArray[np.int64]]:
    """Of (1,0,0), (0,1,0), (0,0,1) those that are wave vectors."""
    return [unit for unit in np.eye(3, dtype=np.int64) if (lattice.wave_vectors == unit).all(axis=1).any()]


def _log_det(x: ComplexArray, thinning: FloatArray, *, real: bool) -> float:
    """Value of ln det(2 pi e C) from (n, m) amplitudes, corrected for the mean taken off and the sample's size."""
    from scipy.special import digamma

    n, m = x.shape
    apart = x.real - x.real.mean(axis=0) if real else x - x.mean(axis=0)
    value = float(np.linalg.slogdet(apart.conj().T @ apart / n)[1]) + m * _GAUSS
    of_mean, of_covariance = n / thinning
    degrees = float(of_covariance) - 1
    ranks = degrees - np.arange(m)
    half = 2 if real else 1
    bias = float(np.sum(digamma(ranks / half) - math.log(degrees / half)))
    return float(value - m * math.log1p(-1 / float(of_mean)) - bias)


def _thinning(x: ComplexArray) -> FloatArray:
    """Frames over independent frames, for the mean and for the covariance of (F, m) amplitudes.

    Formulas: sum_t (1 - |t|/F) rho(t) with rho = Re tr R(t)/m, and the same with rho^2, both up to the first lag at
    which rho is below twice its noise 1/sqrt(F m). R belongs to the amplitudes scaled to unit covariance, in which slow
    and fast coordinates count alike, as they do in a determinant. Each half of the run is scaled by the covariance of
    the other: scaled by its own, noise that lasts looks like strength, and correlations seem shorter by m/F of them.
    """
    n, m = x.shape
    if not m or n < FRAMES_PER_COORDINATE * m:
        return np.ones(2)
    halves = np.array_split(x - x.mean(axis=0), 2)
    inverses = [np.linalg.inv(half.conj().T @ half / len(half)) for half in halves]
    correlation = np.zeros(n // 4)
    for half, inverse in zip(halves, inverses[::-1], strict=True):
        transformed = np.fft.fft(half, 1 << (2 * len(half) - 1).bit_length(), axis=0)
        spectrum = np.einsum("fi,ij,fj->f", transformed.conj(), inverse.T, transformed, optimize=True)
        correlation += np.fft.ifft(spectrum)[: n // 4].real / (len(half) - np.arange(n // 4))
    correlation /= correlation[0]
    below = np.flatnonzero(correlation < 2 / math.sqrt(n * m))
    rho = correlation[1 : below[0] if len(below) else None]
    weights = 1 - np.arange(1, len(rho) + 1) / n
    return np.array([1 + 2 * (weights * rho).sum(), 1 + 2 * (weights * rho**2).sum()])


def _cell(moves: Fluctuations, lattice: Lattice, thinning: float) -> float:
    """Sum of single-body entropies, with one covariance for each orbit."""
    total, of_mean = 0.0, 1 - thinning / len(moves.displacements)
    n = lattice.n_translations
    for orbit, is_cube in zip(lattice.orbits, lattice.is_cube, strict=True):
        parts = [moves.displacements[:, orbit]] + ([moves.rotations[:, orbit]] if is_cube else [])
        x = np.concatenate(parts, axis=2)
        covariance = np.einsum("ftx,fty->xy", x, x) / (x.shape[0] * n * of_mean)
        total += 0.5 * n * (float(np.linalg.slogdet(covariance)[1]) + x.shape[2] * _GAUSS)
    return total


def _measure(moves: Fluctuations) -> float:
    """Sum over cubes of <ln [sin(phi/2)/(phi/2)]^2>: rotations are measured by it, not by their vectors alone."""
    half = np.sqrt((moves.rotations**2).sum(axis=2)) / 2
    return float(2 * np.log(np.sinc(half / np.pi)).mean(axis=0).sum())
