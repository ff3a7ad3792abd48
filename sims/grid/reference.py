"""pandapower's own power flow: the oracle of every other engine, and the last resort of one feeder."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandapower as pp
from numpy.typing import ArrayLike
from pandapower.auxiliary import LoadflowNotConverged

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.parts import BoolArray, ComplexArray, FloatArray


def export(
    compiled: CompiledNet, p_mw: FloatArray, q_mvar: FloatArray, slack_v: ComplexArray, taps: dict[int, int]
) -> Any:
    """Return a pandapower net of `compiled` with these injections [node], roots [root] and tap positions.

    Loads, generation and storage become one sgen a node, named after it, with what is injected there; motors, wards
    and asymmetric elements are counted in it.
    """
    net = copy.deepcopy(compiled.net)
    for table in ("load", "sgen", "storage", "motor", "asymmetric_load", "asymmetric_sgen"):
        net[table] = net[table].iloc[0:0]
    if len(net.ward):
        net.ward[["ps_mw", "qs_mvar"]] = 0.0
    net.switch["closed"] = compiled.switch_closed
    own = np.isin(compiled.branch_kind, ("line", "trafo", "trafo3w", "impedance")) & (compiled.branch_side == 0)
    for kind in ("line", "trafo", "trafo3w", "impedance"):
        rows = np.nonzero(own & (compiled.branch_kind == kind))[0]
        net[kind].loc[compiled.branch_element[rows], "in_service"] = compiled.branch_in_service[rows]
    for i, position in taps.items():
        net[compiled.taps[i].kind].loc[compiled.taps[i].element, "tap_pos"] = position
    by_node = dict(zip(compiled.roots.tolist(), slack_v, strict=True))
    for table in ("ext_grid", "gen"):
        for index in net[table].index:
            node = compiled.bus_node[int(net[table].at[index, "bus"])]
            if node in by_node and net[table].at[index, "in_service"]:
                net[table].loc[index, "vm_pu"] = abs(by_node[node])
                if table == "ext_grid":
                    net[table].loc[index, "va_degree"] = np.rad2deg(np.angle(by_node[node]))
    nodes = np.nonzero((compiled.node_bus >= 0) & ((p_mw != 0) | (q_mvar != 0)))[0]
    pp.create_sgens(net, compiled.node_bus[nodes], p_mw=p_mw[nodes], q_mvar=q_mvar[nodes],
                    name=[f"node {k}" for k in nodes])
    return net


def solved_voltages(compiled: CompiledNet, net: Any, tolerance_mva: float = 1e-9) -> ComplexArray | None:
    """Return pandapower's voltages [node] of `net`, an export of `compiled`, 0 on dark nodes; None if it fails."""
    try:
        run(net, tolerance_mva)
    except GridError:
        return None
    return voltages(compiled, net)


def run(net: Any, tolerance_mva: float = 1e-9) -> None:
    """Run pandapower's Newton-Raphson with voltage angles.

    Raises
    ------
    GridError
        It did not converge.
    """
    try:
        pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=tolerance_mva, max_iteration=40)
    except LoadflowNotConverged as err:
        raise GridError(f"net {net.get('name') or '?'}: pandapower's power flow did not converge") from err


def voltages(compiled: CompiledNet, net: Any) -> ComplexArray:
    """Read the solved net's voltages in the node order of `compiled`; 0 on dark nodes."""
    v = np.zeros(compiled.n_nodes, dtype=np.complex128)
    table = net.res_bus.vm_pu * np.exp(1j * np.deg2rad(net.res_bus.va_degree))
    known = compiled.node_bus >= 0
    v[known] = table.loc[compiled.node_bus[known]].to_numpy()
    if not known.all():
        stars = np.unique(compiled.branch_to[(compiled.branch_kind == "trafo3w") & (compiled.branch_side == 0)])
        res = net.res_trafo3w
        v[stars] = (res.vm_internal_pu * np.exp(1j * np.deg2rad(res.va_internal_degree))).to_numpy()
    return np.where(compiled.live & np.isfinite(v), v, 0.0)


class ReferencePowerFlow:
    """One grid solved by `pandapower.runpp`: slow, complete, and the measure of the fast engines.

    Takes and gives arrays [node, 1], so that it stands in wherever a `PowerFlow` does.
    """

    def __init__(self, compiled: CompiledNet, *, tolerance_mva: float = 1e-9) -> None:
        self.compiled = compiled
        self._net = copy.deepcopy(compiled.net)
        self._net.switch["closed"] = compiled.switch_closed
        self._tolerance_mva = tolerance_mva
        self._ok = False

    def set(self, kind: str, field: str, values: ArrayLike) -> None:
        """Write a column of an element table, in pandapower's units and signs."""
        table = self._net.get(kind)
        if table is None or field not in table:
            raise GridError(f"net {self.compiled.name}: {kind} has no field {field}")
        table[field] = np.asarray(values, dtype=float).reshape(len(table))

    def set_slack(self, v: ArrayLike) -> None:
        """Hold all ext_grids at the complex voltage `v` [pu]."""
        value = complex(np.asarray(v).reshape(-1)[0])
        self._net.ext_grid["vm_pu"] = abs(value)
        self._net.ext_grid["va_degree"] = np.rad2deg(np.angle(value))

    def set_tap(self, trafo: int, position: ArrayLike) -> None:
        """Put transformer number `trafo` on `position`."""
        table = self.compiled.taps[trafo]
        table.slot(position, self.compiled.name)
        self._net[table.kind].loc[table.element, "tap_pos"] = float(np.asarray(position).reshape(-1)[0])

    def solve(self) -> BoolArray:
        """Solve; returns converged[1]."""
        try:
            run(self._net, self._tolerance_mva)
            self._ok = True
        except GridError:
            self._ok = False
        return np.array([self._ok])

    @property
    def v(self) -> ComplexArray:
        """Complex voltage [node, 1] [pu]; NaN if diverged."""
        if not self._ok:
            return np.full((self.compiled.n_nodes, 1), complex(np.nan, np.nan))
        return voltages(self.compiled, self._net)[:, None]

    @property
    def vm(self) -> FloatArray:
        """Voltage magnitude [node, 1] [pu]."""
        return np.abs(self.v)

    @property
    def va(self) -> FloatArray:
        """Voltage angle [node, 1] [rad]."""
        return np.angle(self.v)

    @property
    def loading_percent(self) -> FloatArray:
        """Loading [branch, 1] [%]; a three-winding transformer's on each of its rows."""
        net = self.compiled
        out = np.full((net.n_branches, 1), np.nan)
        for kind in ("line", "trafo", "trafo3w"):
            rows = np.nonzero(net.branch_kind == kind)[0]
            if self._ok and len(rows):
                out[rows, 0] = self._net[f"res_{kind}"].loading_percent.fillna(0.0).loc[net.branch_element[rows]]
        return out

    @property
    def slack_p_mw(self) -> FloatArray:
        """Active power drawn from the roots [1] [MW]."""
        return np.array([self._net.res_ext_grid.p_mw.sum() if self._ok else np.nan])

    @property
    def slack_q_mvar(self) -> FloatArray:
        """Reactive power drawn from the roots [1] [Mvar]."""
        return np.array([self._net.res_ext_grid.q_mvar.sum() if self._ok else np.nan])

    def export(self, feeder: int = 0) -> Any:
        """Return a copy of the net in its present state."""
        del feeder
        return copy.deepcopy(self._net)
