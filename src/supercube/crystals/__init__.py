"""Structure library, closest packing, and whole-cell crystals to start a run from."""
