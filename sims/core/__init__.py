"""Clock, array ports, the bridge from a plain model to mosaik, errors."""
