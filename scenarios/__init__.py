"""A run declared in YAML, checked, assembled into a mosaik world, swept over the matrix."""
