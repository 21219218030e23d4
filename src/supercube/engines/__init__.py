"""Engines translate the neutral model, run it, and write the files that analysis reads."""
