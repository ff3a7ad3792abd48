"""Key figures: pure functions of a run."""
