"""supercube: which superlattice do these nanocubes form, and how good is it."""

__version__ = "0.1.0"
