"""Made-up runs of crystals under pressure, whose answer is known."""

from dataclasses import replace

from supercube.statepoint import StatePoint
from supercube.validation.crystals import Kind, Point, Pressed, Theory, theory_of

PRESSURES = (60.0, 120.0, 240.0)


class Job:
    """What the validation reads of a signac job."""

    def __init__(self, values, document):
        self.cached_statepoint, self._document = values, document

    def doc(self):
        return self._document


def jobs(swelling, error=2e-4, held=1.0, pressures=PRESSURES, **changes):
    """SC whose lattice constant is a_s (1 + swelling(P)); ``held`` is one share, or one for each pressure."""
    made = []
    shares = held if isinstance(held, tuple) else (held,) * len(pressures)
    for pressure, share in zip(pressures, shares, strict=True):
        values = {"n_cubes": 64, "ligand_length": 0.2, "initial": "SC", "pressure": pressure, **changes}
        point = StatePoint.parse(values, "a test").to_dict()
        document = {
            "structure": "SC",
            "fractions": {"SC": share},
            "lattice_constant": theory_of(Kind.of(point), pressure).sliding * (1 + swelling(pressure)),
            "lattice_constant_sem": error,
            "pressure": pressure,
            "pressure_sem": 0.3,
            "o_site_angle_deg": None,
            "o_site_angle_sem": None,
            "o_site_angle_spread_deg": None,
            "engine": "lammps",
            "engine_version": "1",
            "protocol": {"initial_pressure": 10.0},
        }
        made.append(Job(point, document))
    return made


def abo3(size_ratio=0.46, ligand_length=0.2, held=(1.0, 1.0, 1.0), swelling=1e-3, **angles):
    """ABO3 with a theory that is made up too: a_0 = a_d = 2 and 45 degrees."""
    theory = Theory(packing=2.0, minimum=2.0, sliding=None, angle=45.0)
    angles = {"angle": 44.0, "angle_error": 0.1, "spread": 0.8} | angles
    points = [
        Point(p, p, 0.001 * p, 2.0 * (1 + 240 / p * swelling), 1e-4, theory, held=share, **angles)
        for p, share in zip(PRESSURES, held, strict=True)
    ]
    return Pressed(Kind("ABO3", size_ratio, ligand_length), "lammps 1", tuple(points))


def with_theory(crystal, **changes):
    """The crystal with another theory at all pressures."""
    points = (replace(point, theory=replace(point.theory, **changes)) for point in crystal.points)
    return replace(crystal, points=tuple(points))
