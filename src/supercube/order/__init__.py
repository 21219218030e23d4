"""Order: which crystal each particle belongs to, and how well the cubes are aligned (freud)."""

from .arrays import classify_arrays
from .classify import Order, classify
from .cubatic import cubatic_order
from .references import LABELS
from .series import order_series

__all__ = ["LABELS", "Order", "classify", "classify_arrays", "cubatic_order", "order_series"]
