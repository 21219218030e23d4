"""Every engine that is here, one after the other."""

import pytest
from parity_engines import HOOMDS, LAMMPS, MACHINES, need_lammps


@pytest.fixture(params=MACHINES)
def machine(request):
    if request.param == LAMMPS:
        need_lammps()
    return request.param


@pytest.fixture(params=HOOMDS)
def hoomd_machine(request):
    return request.param


@pytest.fixture
def report(capsys):
    """Print a measured number past pytest's capture: the record of what a validation found."""

    def show(machine, quantity, value, error=None):
        spread = "" if error is None else f" +- {error:.2g}"
        with capsys.disabled():
            print(f"\nparity: {machine} {quantity} {value:.6g}{spread}", flush=True)

    return show
