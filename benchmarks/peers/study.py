"""The study that gridseam and its peers all do: case118 with 97 CIGRE MV grids over a day of 96 quarter hours.

Each of the 97 largest loads of case118 gives way to one CIGRE MV grid that stands for as many equal ones as make that
load; equal grids in parallel are one with their impedances divided and their ratings multiplied.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks as pn
from numpy.typing import NDArray

from sims.grid.compiled import CompiledNet
from sims.grid.fleet import FleetPowerFlow
from sims.grid.meshed import MeshedPowerFlow

STEPS, GRIDS = 96, 97
WITHIN_PU, WITHIN_MVA = 1e-6, 1e-4
"""What may be left at a boundary."""
AS_FAST = {"calculate_voltage_angles": True, "init": "results", "tolerance_mva": 1e-7, "numba": True}
"""How pandapower solves one of these nets fastest, from its last results."""

ABOVE = {"recycle": {"bus_pq": True, "gen": False, "trafo": False}}
BELOW = {"recycle": {"bus_pq": True, "gen": True, "trafo": False}}
"""What it need not build anew where loads change, and where the voltage of the infeed does as well."""


def factors() -> NDArray[np.float64]:
    """Return the load factor at 96 quarter hours: low at night, two peaks."""
    h = np.arange(STEPS) / 4
    return 0.7 + 0.15 * np.exp(-(((h - 12) / 3.5) ** 2)) + 0.2 * np.exp(-(((h - 19) / 2.0) ** 2))


def many(net: Any, count: float) -> Any:
    """Return `count` equal distribution grids in parallel as one net; `net` stays as it is."""
    out = pp.pandapowerNet(net)
    for column in ("p_mw", "q_mvar"):
        out.load[column] *= count
    for column, power in (("r_ohm_per_km", -1), ("x_ohm_per_km", -1), ("c_nf_per_km", 1), ("max_i_ka", 1)):
        out.line[column] *= count**power
    out.trafo["sn_mva"] *= count
    return out


@functools.cache
def parts() -> tuple[Any, list[int], list[Any]]:
    """Return case118 without the loads that give way, their buses, and the nets that take their places."""
    upper, one = pn.case118(), pn.create_cigre_network_mv()
    one.trafo["tap_changer_type"] = "Ratio"
    pp.runpp(one, calculate_voltage_angles=True)
    largest = upper.load.sort_values("p_mw", ascending=False, kind="stable").index[:GRIDS]
    buses, wanted = upper.load.bus[largest].tolist(), upper.load.p_mw[largest].to_numpy()
    upper.load.drop(largest, inplace=True)
    return upper, buses, [many(one, mw / one.res_ext_grid.p_mw.sum()) for mw in wanted]


class Upper:
    """The transmission grid by pandapower: what the grids below draw becomes loads."""

    def __init__(self) -> None:
        net, buses, _ = parts()
        self.net, self.buses = pp.pandapowerNet(net), buses
        self.rows = pp.create_loads(self.net, buses, 0.0)
        pp.runpp(self.net, **AS_FAST | {"init": "dc"})

    def answer(self, s_mva: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Return the boundary voltages where the grids draw `s_mva`."""
        self.net.load.loc[self.rows, "p_mw"] = s_mva.real
        self.net.load.loc[self.rows, "q_mvar"] = s_mva.imag
        pp.runpp(self.net, **AS_FAST, **ABOVE)
        found = self.net.res_bus.loc[self.buses]
        return np.asarray(found.vm_pu * np.exp(1j * np.radians(found.va_degree)), np.complex128)


class Lower:
    """One distribution grid by pandapower."""

    def __init__(self, number: int) -> None:
        self.net = pp.pandapowerNet(parts()[2][number])
        self.p0, self.q0 = self.net.load.p_mw.to_numpy(), self.net.load.q_mvar.to_numpy()
        pp.runpp(self.net, **AS_FAST | {"init": "dc"})

    def load(self, factor: float) -> None:
        """Set the loads of a quarter hour."""
        self.net.load["p_mw"], self.net.load["q_mvar"] = factor * self.p0, factor * self.q0

    def answer(self, v_pu: complex) -> complex:
        """Return what the grid draws [MVA] at this boundary voltage; its angle turns all others alike."""
        self.net.ext_grid["vm_pu"] = abs(v_pu)
        pp.runpp(self.net, **AS_FAST, **BELOW)
        drawn = self.net.res_ext_grid
        return complex(drawn.p_mw.iat[0], drawn.q_mvar.iat[0])


class OwnUpper:
    """The transmission grid by gridseam's engine."""

    def __init__(self) -> None:
        net, buses, _ = parts()
        grid = CompiledNet.from_net(net)
        self.engine = MeshedPowerFlow(grid)
        self.node = np.array([grid.node(bus) for bus in buses])
        self.own = np.add(*np.multiply(grid.nominal(), np.array([[1.0], [1.0j]])))
        made = grid.elements["gen"]  # the engine adds these itself
        np.subtract.at(self.own, made.node, made.p_mw)

    def answer(self, s_mva: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """Return the boundary voltages where the grids draw `s_mva`."""
        total = self.own.copy()
        np.subtract.at(total, self.node, s_mva)
        self.engine.set_injection(total.real, total.imag)
        assert self.engine.solve()
        return np.asarray(self.engine.v[self.node])


class OwnLower:
    """One distribution grid by gridseam's engine."""

    def __init__(self, number: int) -> None:
        grid = CompiledNet.from_net(parts()[2][number])
        self.fleet, self.s0 = FleetPowerFlow(grid, 1), grid.nominal()

    def load(self, factor: float) -> None:
        """Set the loads of a quarter hour."""
        p, q = self.s0
        self.fleet.set_injection(factor * p[:, None], factor * q[:, None])

    def answer(self, v_pu: complex) -> complex:
        """Return what the grid draws [MVA] at this boundary voltage."""
        self.fleet.set_slack(np.array([abs(v_pu)], np.complex128))
        assert self.fleet.solve().all()
        p, q = self.fleet.slack_pq()
        return complex(p[0], q[0])
