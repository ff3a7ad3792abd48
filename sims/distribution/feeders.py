"""The feeders of one DSO as a few batches of equal topology, solved together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sims.distribution.switching import SwitchState
from sims.grid.compiled import CompiledNet
from sims.grid.curve import Curve
from sims.grid.fleet import FleetPowerFlow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Complexes = NDArray[np.complex128]


HIGH_VOLTAGE_KV = 60.0


@dataclass(frozen=True)
class Feeder:
    """One medium-voltage grid: its name, its grid, the interface (0-based in the DSO) it hangs on."""

    name: str
    grid: CompiledNet
    interface: int
    customers: Ints


@dataclass(frozen=True)
class _Batch:
    """Feeders of one grid: engine, member feeders, and where their nodes, branches and taps stand."""

    members: Ints
    engine: FleetPowerFlow
    nodes: Ints
    branches: Ints
    taps: Ints


class Feeders:
    """Power flow of all feeders of a DSO, with their results as flat arrays.

    Nodes, branches and tap changers are numbered feeder by feeder: feeder f's nodes are
    ``node_start[f] : node_start[f + 1]``, and likewise for branches and regulated transformers.

    Parameters
    ----------
    feeders : sequence of Feeder
    curves : sequence of Curve
        Voltage characteristics that devices may follow.
    """

    def __init__(self, feeders: Sequence[Feeder], curves: Sequence[Curve]) -> None:
        self.feeders = tuple(feeders)
        self.curves = tuple(curves)
        self.interface = np.array([f.interface for f in feeders], np.int64)
        self.node_start = _starts([f.grid.n_nodes for f in feeders])
        self.branch_start = _starts([f.grid.n_branches for f in feeders])
        self.regulated = [regulated_transformers(f.grid) for f in feeders]
        self.tap_start = _starts([len(r) for r in self.regulated])
        self.states = [SwitchState(f.grid) for f in feeders]
        self.v = np.ones(self.node_start[-1], np.complex128)
        self.live = np.ones(self.node_start[-1], bool)
        self.loading_percent = np.zeros(self.branch_start[-1])
        self.flow_mva = np.zeros(self.branch_start[-1], np.complex128)
        self.slack_mva = np.zeros(len(feeders), np.complex128)
        self.loss_mw = np.zeros(len(feeders))
        self.converged = np.ones(len(feeders), bool)
        by_grid: dict[int, list[int]] = {}
        for f, feeder in enumerate(self.feeders):
            by_grid.setdefault(id(feeder.grid), []).append(f)
        self._batches = [self._batch(np.array(members, np.int64)) for members in by_grid.values()]

    def _batch(self, members: Ints) -> _Batch:
        grid, regulated = self.feeders[members[0]].grid, self.regulated[members[0]]
        return _Batch(
            members, FleetPowerFlow(grid, len(members)),
            self.node_start[members] + np.arange(grid.n_nodes)[:, None],
            self.branch_start[members] + np.arange(grid.n_branches)[:, None],
            self.tap_start[members] + np.arange(len(regulated))[:, None],
        )

    def switch(self, feeder: int) -> None:
        """Let the power flow follow the switch state of one feeder."""
        variant = self.states[feeder].variant()
        for batch in self._batches:
            at = np.flatnonzero(batch.members == feeder)
            if at.size:
                batch.engine.set_variant(int(at[0]), variant)
        self.live[self.node_start[feeder] : self.node_start[feeder + 1]] = variant.live

    def inject(
        self, p_mw: Floats, q_mvar: Floats, pu_mw: Mapping[int, Floats], qu_mvar: Mapping[int, Floats]
    ) -> None:
        """Set nodal injections [flat node], and by curve the amplitudes that follow the voltage."""
        used = sorted({*pu_mw, *qu_mvar})
        none = np.zeros_like(p_mw)
        for batch in self._batches:
            batch.engine.set_injection(p_mw[batch.nodes], q_mvar[batch.nodes])
            shape = (len(used), *batch.nodes.shape)
            amplitudes = [
                np.array([given.get(k, none)[batch.nodes] for k in used]).reshape(shape) for given in (pu_mw, qu_mvar)
            ]
            batch.engine.set_curves([self.curves[k] for k in used], *amplitudes)

    def set_taps(self, pos: Ints) -> None:
        """Set the positions of all regulated transformers [flat]."""
        for batch in self._batches:
            for row, trafo in enumerate(self.regulated[int(batch.members[0])]):
                batch.engine.set_tap(int(trafo), pos[batch.taps[row]])

    def solve(self, v_interface: Complexes) -> Complexes:
        """Solve every feeder at the interfaces' voltages; return what each interface gives [MVA]."""
        for batch in self._batches:
            engine, at = batch.engine, batch.members
            engine.set_slack(v_interface[self.interface[at]])
            self.converged[at] = engine.solve()
            self.v[batch.nodes] = engine.v
            p_mw, q_mvar = engine.slack_pq()
            self.slack_mva[at] = p_mw + 1j * q_mvar
        drawn = np.zeros(v_interface.size, np.complex128)
        np.add.at(drawn, self.interface, self.slack_mva)
        return drawn

    def collect(self) -> None:
        """Work out flows, loadings and losses of the last solution."""
        for batch in self._batches:
            p_mw, q_mvar, loading, loss = batch.engine.readings()
            self.loading_percent[batch.branches] = loading
            self.flow_mva.real[batch.branches] = p_mw
            self.flow_mva.imag[batch.branches] = q_mvar
            self.loss_mw[batch.members] = loss


def regulated_transformers(grid: CompiledNet) -> Ints:
    """Return the rows in `grid.taps` of the transformers from high voltage, which are regulated on load."""
    high = [
        i for i, tap in enumerate(grid.taps)
        if len(tap.positions) > 1 and grid.vn_kv[tap.hv_node] > HIGH_VOLTAGE_KV
    ]
    return np.array(high, np.int64)


def _starts(sizes: Sequence[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))]).astype(np.int64)
