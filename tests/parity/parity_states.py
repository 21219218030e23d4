"""The configurations of the validation, each with its reference, once for all engines."""

from functools import cache

from reference import evaluate

from supercube.validation.dynamics import model_of
from supercube.validation.parity import SYSTEMS, dense


@cache
def system(name, box, attraction):
    """The model, the configuration and its reference of a name in ``SYSTEMS``."""
    model = model_of(*SYSTEMS[name][:-1], attraction)
    configuration = dense(name, box)
    return model, configuration, evaluate(model, configuration)
