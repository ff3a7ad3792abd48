"""What holds for the whole suite: the same examples everywhere, and published nets that are read once."""

import copy
import functools
import inspect

import pandapower.networks as pn
from hypothesis import settings

settings.register_profile("same_everywhere", derandomize=True)
settings.load_profile("same_everywhere")


def _read_once(build):
    """Return `build` such that a net it has built before is copied: pandapower takes a second to read case9 anew."""
    built = {}

    @functools.wraps(build)
    def copied(*args, **kwargs):
        asked = repr((args, sorted(kwargs.items())))
        if asked not in built:
            built[asked] = build(*args, **kwargs)
        return copy.deepcopy(built[asked])

    return copied


DRAWN_BY_LOT = "pandapower.networks.kerber_networks", "pandapower.networks.kerber_extreme_networks"
for _name, _build in inspect.getmembers(pn, inspect.isfunction):
    if _build.__module__.startswith("pandapower.networks") and _build.__module__ not in DRAWN_BY_LOT:
        setattr(pn, _name, _read_once(_build))
