"""A small believed system to try a controller on: one feeder, two interfaces, two cells."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from controllers.belief import Belief, CellBelief, DeviceBelief, FeederBelief, GeneratorBelief, InterfaceBelief
from sims.grid.compiled import CompiledNet

FEEDER = "dso_1.f03"
TIE_LINE = 6
"""pandapower index of the normally open line."""


@lru_cache(maxsize=1)
def small_grid() -> CompiledNet:
    """Return a 20 kV grid of two branches with a tie between their ends, behind a 25 MVA transformer.

    Nodes: 0 HV, 1 busbar, 2-3-4 one branch (lines 0, 1, 2), 5-6-7 the other (lines 3, 4, 5), tie 4-7
    (line 6, open). Line 5 km NA2XS2Y 1x240 each.
    """
    import pandapower as pp

    net = pp.create_empty_network(name="specimen")
    pp.create_bus(net, 110.0)
    for _ in range(7):
        pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, 0, vm_pu=1.0)
    pp.create_transformer(net, 0, 1, "25 MVA 110/20 kV")
    for a, b in ((1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (4, 7)):
        pp.create_line(net, a, b, 5.0, "NA2XS2Y 1x240 RM/25 12/20 kV")
    for bus in (4, 7):
        pp.create_switch(net, bus, TIE_LINE, et="l", closed=False, type="LBS")
    for bus in range(2, 8):
        pp.create_load(net, bus, p_mw=0.8, q_mvar=0.2)
    return CompiledNet.from_net(net, "specimen")


@lru_cache(maxsize=1)
def small_feeder() -> FeederBelief:
    """Return the belief over `small_grid`: four areas, and PV, storage, EV and a load at nodes 2 to 7."""
    nodes = np.repeat(np.arange(2, 8), 4)
    kind = np.tile(np.array(["load", "pv", "storage", "ev"]), 6)
    rated = np.tile(np.array([0.8, 2.0, 0.5, 0.25]), 6)
    return FeederBelief(
        name=FEEDER,
        interface="dso_1.i4",
        grid=small_grid(),
        devices=DeviceBelief(
            index=np.arange(100, 124), kind=kind, node=nodes, p_rated_mw=rated, s_rated_mva=1.1 * rated,
            energy_mwh=np.tile(np.array([0.0, 0.0, 1.0, 0.5]), 6), controllable=kind != "load",
        ),
        gateways=("", "", *(f"{FEEDER}.s{n}" for n in range(2, 8))),
        area=np.array([0, 0, 1, 1, 2, 3, 3, 3]),
        agents=tuple(f"{FEEDER}.a{k}" for k in range(4)),
        agent_node=np.array([0, 2, 4, 5]),
        area_neighbours=((1, 3), (0, 2), (1, 3), (0, 2)),
        load_mw=np.array([0, 0, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8]),
        load_mvar=np.array([0, 0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]),
        customers=np.array([0, 0, 100, 100, 100, 100, 100, 100]),
    )


def small_belief(area: int = -1) -> Belief:
    """Return a belief with that feeder, two interfaces of one DSO in cell 1, a second cell, a power station."""
    return Belief(
        feeders=(small_feeder(),),
        interfaces=(
            InterfaceBelief("dso_1.i4", "dso_1", 1, 4, 40.0, 14.0, (FEEDER,), 12.0, 30.0),
            InterfaceBelief("dso_1.i8", "dso_1", 1, 8, 40.0, 14.0, (), 12.0, 30.0),
        ),
        cells=(
            CellBelief("cell_1", 1, np.full(96, 100.0), 900_000, 700.0, 300.0, ("dso_1.i4", "dso_1.i8")),
            CellBelief("cell_2", 2, np.full(96, -100.0), 900_000, 700.0, 300.0, ("dso_2.i15",)),
        ),
        generators=(
            GeneratorBelief("GENROU_1", "gen.GENROU_1", 1, 300.0),
            GeneratorBelief("GENROU_2", "gen.GENROU_2", 1, 100.0),
            GeneratorBelief("GENROU_3", "gen.GENROU_3", 2, 500.0),
        ),
        area=area,
    )
