"""Checks of the physics against theory, literature and the other engine; ``supercube validate`` writes their report."""
