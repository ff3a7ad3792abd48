"""Who decides what: contract, responsibility, three architectures, DMS functions."""
