"""The DSO of the centralized tests serves the DMS functions too; published nets come from tests/data/dms."""

import importlib.util
import json
import sys
from itertools import pairwise
from pathlib import Path

import pandapower as pp
import pytest

from sims.grid.compiled import CompiledNet

_DATA = Path(__file__).parents[2] / "data" / "dms"
_path = Path(__file__).parents[1] / "centralized" / "conftest.py"
_spec = importlib.util.spec_from_file_location("centralized_kit", _path)
_module = importlib.util.module_from_spec(_spec)
sys.modules["centralized_kit"] = _module
_spec.loader.exec_module(_module)


@pytest.fixture
def kit():
    return _module.Kit


def table_net(name):
    """The net of tests/data/dms/<name>.json as a pandapower net; bus numbers as published."""
    table = json.loads((_DATA / f"{name}.json").read_text())
    net = pp.create_empty_network(name=table["name"])
    for bus in range(1, max(max(b[:2]) for b in table["branch"]) + 1):
        pp.create_bus(net, table["vn_kv"], index=bus)
    for bus in table["roots"]:
        pp.create_ext_grid(net, bus)
    ohm = 1.0 if table["unit"] == "ohm" else table["vn_kv"] ** 2 / 100.0
    for start, end, r, x, on in table["branch"]:
        pp.create_line_from_parameters(net, start, end, 1.0, r * ohm, x * ohm, 0.0, 10.0, in_service=bool(on))
    for bus, (p_kw, q_kvar) in table["load_kw"].items():
        pp.create_load(net, int(bus), p_kw / 1e3, q_kvar / 1e3)
    return net


@pytest.fixture
def published():
    return lambda name: CompiledNet.from_net(table_net(name), name)


def chain_net(loads_mw, rating_ka=1.0, tie=-1, infeeds=2):
    """Infeed A - load 1 - load 2 - ... - infeed B at 20 kV, line `tie` open; or one infeed and no tie."""
    net = pp.create_empty_network(name="chain")
    first = pp.create_bus(net, 20.0, name="infeed A")
    buses = [first, *(pp.create_bus(net, 20.0, name=f"load {k + 1}") for k in range(len(loads_mw)))]
    pp.create_ext_grid(net, first)
    if infeeds == 2:
        buses.append(pp.create_bus(net, 20.0, name="infeed B"))
        pp.create_ext_grid(net, buses[-1])
    for bus, p_mw in zip(buses[1:], loads_mw, strict=False):
        pp.create_load(net, bus, p_mw, 0.2 * p_mw)
    for a, b in pairwise(buses):
        pp.create_line_from_parameters(net, a, b, 2.0, 0.16, 0.12, 0.0, rating_ka)
    if infeeds == 2:
        net.line.loc[net.line.index[tie], "in_service"] = False
    return net


@pytest.fixture
def chain():
    return chain_net
