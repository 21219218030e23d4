"""Which crystals win at finite pressure: Gibbs free energies from MD of pure crystals, and the map they make."""

from .consistency import Mismatch
from .entropy import Entropy, Refusal, quasi_harmonic_entropy
from .phases import PurePhase, StabilityPoint, stability_point
from .survey import Survey, stability_map, survey_of
from .table import load_csv, save_csv

__all__ = [
    "Entropy",
    "Mismatch",
    "PurePhase",
    "Refusal",
    "StabilityPoint",
    "Survey",
    "load_csv",
    "quasi_harmonic_entropy",
    "save_csv",
    "stability_map",
    "stability_point",
    "survey_of",
]
