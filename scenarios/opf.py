"""The TSO's day-ahead set-points by optimal power flow: the cheapest outputs that lines, ramps and reserves allow."""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ScenarioError
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.sensitivities import sensitivities

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Complexes = NDArray[np.complex128]

ROUNDS = 4
"""Programmes solved at most, each about the power flows of the one before."""

MOST_LOW = 0.9
"""Most of the demand that lower limits may ask for: at night machines keep less than all of their band downwards."""

STILL_MW = 0.5
"""Change of the set-points below which no further round is worth it."""


@dataclass(frozen=True)
class Units:
    """What the machines may give and cost: `square` P^2 + `linear` P an hour.

    Parameters
    ----------
    node : int array [machine]
    slack : int
        The machine whose output the balance decides.
    low_mw, high_mw : array [machine]
        Limits less what is kept for containment and restoration; where the demand is less than the lower limits
        ask for, all of them go down by one factor (see `MOST_LOW`).
    ramp_mw : array [machine]
        Greatest change from one interval to the next.
    square, linear : array [machine]
        In the unit of the table per MW^2 h and MWh.
    """

    node: Index
    slack: int
    low_mw: Floats
    high_mw: Floats
    ramp_mw: Floats
    square: Floats
    linear: Floats

    def cost(self, p_mw: Floats) -> Floats:
        """Return what outputs cost an hour, [...] for [..., machine]."""
        total: Floats = (self.square * p_mw**2 + self.linear * p_mw).sum(axis=-1)
        return total


@dataclass(frozen=True)
class Market:
    """What the cheapest plan is sought with.

    Parameters
    ----------
    units : Units
    limit_mva : array [branch]
        Rating of each branch of the compiled grid, infinite where it has none; kept as active power.
    """

    units: Units
    limit_mva: Floats


@dataclass(frozen=True)
class Flows:
    """The solved power flows of all intervals.

    Parameters
    ----------
    p_mw : array [interval, machine]
        Outputs, the slack's as the balance has it.
    branch_mw : array [interval, branch]
        Active power into each limited branch at its from end.
    v : complex array [interval, node]
    """

    p_mw: Floats
    branch_mw: Floats
    v: Complexes


def optimum(engine: MeshedPowerFlow, drawn: Complexes, start_mw: Floats, market: Market) -> Flows:
    """Return the power flows at the cheapest set-points of all intervals.

    A quadratic programme over all intervals at once, in increments about a solved AC power flow: its first-order
    losses and flows from the derivatives of that power flow, then the flows of the result anew (successive
    programming, Alsac, Bright, Prais and Stott, IEEE Trans. Power Systems 5(3), 1990). Only rows that would be
    violated enter. Voltages are those that the engine's generators hold.

    Parameters
    ----------
    engine : MeshedPowerFlow
        Of the transmission grid; left at the last interval.
    drawn : complex array [interval, node]
        Expected demand [MVA].
    start_mw : array [interval, machine]
        Any set-points whose sum is near the demand.
    market : Market

    Raises
    ------
    ScenarioError
        No set-points meet the demand within the machines' limits, bands and ramps.
    """
    grid, machines, limit_mva = engine.compiled, market.units, market.limit_mva
    limited = np.flatnonzero(np.isfinite(limit_mva))
    flows = _solved(engine, drawn, start_mw, machines, limited)
    total = drawn.real.sum(axis=1)
    low = np.minimum(MOST_LOW * total / max(machines.low_mw.sum(), 1e-9), 1.0)[:, None] * machines.low_mw
    for _ in range(ROUNDS):
        # Derivatives where most is carried stand for all intervals.
        at = int(np.argmax(total))
        effect = sensitivities(grid, flows.v[at], held=machines.node).dp_dp
        towards = np.flatnonzero(grid.branch_to == machines.node[machines.slack])
        away = np.flatnonzero(grid.branch_from == machines.node[machines.slack])
        answer = effect[away].sum(axis=0) - effect[towards].sum(axis=0)
        worth = -answer[machines.node]
        worth[machines.slack] = 1.0
        found = _programme(machines, flows, low, effect[limited][:, machines.node], worth, limit_mva[limited])
        moved = float(np.abs(found - flows.p_mw).max())
        flows = _solved(engine, drawn, found, machines, limited)
        if moved < STILL_MW:
            break
    return flows


def _solved(
    engine: MeshedPowerFlow, drawn: Complexes, p_mw: Floats, machines: Units, limited: Index
) -> Flows:
    """Return the power flows with the slack's output as the balance has it."""
    grid, p_mw = engine.compiled, p_mw.copy()
    f, t = grid.branch_from[limited], grid.branch_to[limited]
    v = np.zeros((len(drawn), grid.n_nodes), np.complex128)
    for k, row in enumerate(drawn):
        engine.set_injection(-row.real, -row.imag)
        engine.set("gen", "p_mw", np.delete(p_mw[k], machines.slack))
        engine.solve()
        p_mw[k, machines.slack], v[k] = float(engine.slack_p_mw), engine.v
    current = grid.y_ff[limited] * v[:, f] + grid.y_ft[limited] * v[:, t]
    return Flows(p_mw, (v[:, f] * current.conj()).real * grid.base_mva, v)


def _programme(
    machines: Units, at: Flows, low_mw: Floats, effect: Floats, worth: Floats, limit_mw: Floats
) -> Floats:
    """Return the cheapest outputs about the flows `at`; rows for ramps and branches enter once they are violated."""
    count, n = at.p_mw.shape
    rows = _Rows(n)
    for k in range(count):
        balance = float(worth @ at.p_mw[k])
        rows.add(k * n + np.arange(n), worth, balance, balance)
    entered: set[tuple[str, int, int]] = set()
    while True:
        found = rows.cheapest(machines, low_mw)
        news = 0
        change = np.diff(found, axis=0)
        for k, g in np.argwhere(np.abs(change) > machines.ramp_mw + 1e-3).tolist():
            if ("ramp", k, g) not in entered:
                entered.add(("ramp", k, g))
                rows.add(np.array([k * n + g, (k + 1) * n + g]), np.array([-1.0, 1.0]),
                         -float(machines.ramp_mw[g]), float(machines.ramp_mw[g]))
                news += 1
        carried = at.branch_mw + (found - at.p_mw) @ effect.T
        for k, b in np.argwhere(np.abs(carried) > limit_mw + 1e-3).tolist():
            if ("branch", k, b) not in entered:
                entered.add(("branch", k, b))
                rest = float(at.branch_mw[k, b] - at.p_mw[k] @ effect[b])
                rows.add(k * n + np.arange(n), effect[b], -float(limit_mw[b]) - rest, float(limit_mw[b]) - rest)
                news += 1
        if not news:
            return found


class _Rows:
    """The rows of the programme so far, over the outputs interval by interval."""

    def __init__(self, machines: int) -> None:
        self._machines = machines
        self._start, self._index, self._value = [0], list[int](), list[float]()
        self._lower, self._upper = list[float](), list[float]()

    def add(self, columns: Index, values: Floats, lower: float, upper: float) -> None:
        """Add lower <= values x <= upper."""
        self._index += columns.tolist()
        self._value += values.tolist()
        self._start.append(len(self._index))
        self._lower.append(lower)
        self._upper.append(upper)

    def cheapest(self, machines: Units, low_mw: Floats) -> Floats:
        """Return the outputs of least cost not below `low_mw`, both [interval, machine]."""
        count, n = len(low_mw), low_mw.size
        model = highspy.HighsModel()
        lp, hessian = model.lp_, model.hessian_
        lp.num_col_, lp.num_row_ = n, len(self._lower)
        lp.col_cost_ = np.tile(machines.linear, count)
        lp.col_lower_, lp.col_upper_ = low_mw.ravel(), np.tile(machines.high_mw, count)
        lp.row_lower_, lp.row_upper_ = np.array(self._lower), np.array(self._upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.array(self._start, np.int32)
        lp.a_matrix_.index_ = np.array(self._index, np.int32)
        lp.a_matrix_.value_ = np.array(self._value)
        hessian.dim_, hessian.format_ = n, highspy.HessianFormat.kTriangular
        hessian.start_, hessian.index_ = np.arange(n + 1, dtype=np.int32), np.arange(n, dtype=np.int32)
        hessian.value_ = np.tile(2.0 * machines.square, count)
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        solver.passModel(model)
        solver.run()
        if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            raise ScenarioError(
                "transmission.schedule.method: no set-points meet the expected demand within the machines' limits, "
                "the reserves they keep, ramps and line ratings; less transmission.reserves or another method helps"
            )
        found = np.array(solver.getSolution().col_value, np.float64).reshape(count, self._machines)
        return np.clip(found, low_mw, machines.high_mw)
