"""What the particles are: shapes, beads, interactions, units."""
