"""What holds for the whole suite: the same examples everywhere; published nets and empty tables are built once."""

import copy
import functools
import inspect

import pandapower.networks as pn
import pandas as pd
from hypothesis import settings
from pandapower.auxiliary import pandapowerNet

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

_EMPTY = {}


def _empty_tables(data):
    """Return `data` with a table for each description of one: pandapower takes 0.2 s a net to build the same anew."""
    for name, described in data.items():
        if isinstance(described, dict):
            asked = repr(described)
            if asked not in _EMPTY:
                _EMPTY[asked] = pd.DataFrame(columns=list(described), index=pd.Index([], dtype="int64"))
                _EMPTY[asked] = _EMPTY[asked].astype(described)
            data[name] = _EMPTY[asked].copy()
    return data


pandapowerNet.create_dataframes = staticmethod(_empty_tables)


def pytest_collection_modifyitems(items):
    """Put the longest single tests first: what begins last would leave the other worker idle."""
    items.sort(key=lambda item: item.path.name != "test_lint.py")
