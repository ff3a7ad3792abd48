"""The feeders of one DSO: one power flow over all of them, and their switch states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.distribution.switching import SwitchState
from sims.grid.compiled import CompiledNet
from sims.grid.curve import Curve
from sims.grid.fleet import FleetPowerFlow
from sims.grid.forest import Forest, starts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Complexes = NDArray[np.complex128]


HIGH_VOLTAGE_KV = 60.0
ASIDE_PU = 1e-4
"""Step by which the response of a feeder that is solved alone is found."""


@dataclass(frozen=True)
class Feeder:
    """One medium-voltage grid: its name, its grid, the interface (0-based in the DSO) it hangs on."""

    name: str
    grid: CompiledNet
    interface: int
    customers: Ints


@dataclass(frozen=True)
class Drawn:
    """What each interface gives [MVA], and how that follows its voltage [1/pu] and the frequency [1/Hz]."""

    s_mva: Complexes
    per_pu: Complexes
    per_hz: Complexes


class Feeders:
    """Power flow of all feeders of a DSO, with their results as flat arrays.

    Nodes, branches and tap changers are numbered feeder by feeder: feeder f's nodes are
    ``node_start[f] : node_start[f + 1]``, and likewise for branches and regulated transformers. Radial
    feeders are solved together; one that switching has meshed, or that is not found so, is solved alone by
    `FleetPowerFlow`, which knows meshed grids and further ways to a solution.

    Parameters
    ----------
    feeders : sequence of Feeder
    curves : sequence of Curve
        Voltage characteristics that devices may follow.
    hold : bool
        A feeder without a solution goes on drawing what it drew when it was last solved, and has no voltages.

    Attributes
    ----------
    held : ndarray of bool [feeder]
        Which feeders do so at this instant; one that has begun to does so until the instant is over, so that the
        boundary can agree.
    """

    def __init__(self, feeders: Sequence[Feeder], curves: Sequence[Curve], *, hold: bool = False) -> None:
        self.feeders = tuple(feeders)
        self.curves = tuple(curves)
        self.interface = np.array([f.interface for f in feeders], np.int64)
        self.forest = Forest([f.grid for f in feeders], curves)
        self.node_start, self.branch_start = self.forest.node_start, self.forest.branch_start
        self.regulated = [regulated_transformers(f.grid) for f in feeders]
        self.tap_start = starts([len(r) for r in self.regulated])
        self.states = [SwitchState(f.grid) for f in feeders]
        self.converged = np.ones(len(feeders), bool)
        self.hold, self.held = hold, np.zeros(len(feeders), bool)
        self._hangs = np.zeros((len(feeders), 0), np.complex128)
        self._last_mva = np.full(len(feeders), np.nan, np.complex128)
        self._alone: dict[int, FleetPowerFlow] = {}
        self._lowest = np.concatenate([
            [int(f.grid.taps[t].positions[0]) for t in own] for f, own in zip(feeders, self.regulated, strict=True)
        ]).astype(np.int64)
        self._pos: Ints | None = None

    @property
    def v(self) -> Complexes:
        """Voltages [flat node, pu], 0 on dark nodes."""
        return self.forest.v

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which nodes are supplied [flat node]."""
        return self.forest.live

    @property
    def slack_mva(self) -> Complexes:
        """What flows into each feeder [MVA]."""
        return self.forest.power_mva

    @property
    def flow_mva(self) -> Complexes:
        """Power at the from end of each branch [flat branch, MVA]; see `collect`."""
        return self.forest.flow_mva

    @property
    def loading_percent(self) -> Floats:
        """Loading of each branch [flat branch]; see `collect`."""
        return self.forest.loading_percent

    @property
    def loss_mw(self) -> Floats:
        """Losses of each feeder [MW]; see `collect`."""
        return self.forest.loss_mw

    def switch(self, feeder: int) -> None:
        """Let the power flow follow the switch state of one feeder."""
        variant = self.states[feeder].variant()
        if variant is not self.forest.nets[feeder]:
            self.forest.set_variant(feeder, variant)
            self._alone.pop(feeder, None)

    def inject(self, p_mw: Floats, q_mvar: Floats, pu_mw: Floats, qu_mvar: Floats, pf_mw_per_hz: Floats) -> None:
        """Set nodal injections, amplitudes that follow the voltage, and the present slope over frequency.

        Parameters
        ----------
        p_mw, q_mvar, pf_mw_per_hz : arrays [flat node]
        pu_mw, qu_mvar : arrays [flat node, curve]
        """
        self.forest.inject(p_mw, q_mvar, pu_mw, qu_mvar, pf_mw_per_hz)

    def set_taps(self, pos: Ints) -> None:
        """Set the positions of all regulated transformers [flat]."""
        if self._pos is not None:
            moved = np.flatnonzero(pos != self._pos)
            if not moved.size:
                return
            feeders = np.unique(np.searchsorted(self.tap_start, moved, side="right") - 1)
        else:
            feeders = np.arange(len(self.feeders))
        self._pos = pos.copy()
        for f in feeders.tolist():
            at = slice(int(self.tap_start[f]), int(self.tap_start[f + 1]))
            slots = self.forest.slots[f].copy()
            slots[self.regulated[f]] = pos[at] - self._lowest[at]
            self.forest.set_taps(f, slots)

    def solve(self, v_interface: Complexes, dhz: float = 0.0) -> Drawn:
        """Solve every feeder at the interfaces' voltages; return what each interface gives.

        `dhz` is the change of frequency since the last solution [Hz], if any is known.
        """
        forest, v = self.forest, v_interface[self.interface]
        self.converged = forest.solve(v, dhz) & ~self.held
        if not self.converged.all():
            for f in np.flatnonzero(~self.converged & ~self.held).tolist():
                self.converged[f] = self._solve_alone(f, complex(v[f]))
            lost = ~self.converged
            self.held = lost & self.hold
            forest.v[np.repeat(lost, np.diff(self.node_start))] = np.nan
        self._last_mva[self.converged] = forest.power_mva[self.converged]
        return self._drawn(v_interface.size)

    def foresee(self, v_interface: Complexes, dhz: float = 0.0) -> Drawn:
        """Return about what each interface will give at these voltages, after one step of the solution."""
        self.forest.foresee(v_interface[self.interface], dhz)
        return self._drawn(v_interface.size)

    def _drawn(self, interfaces: int) -> Drawn:
        if self.held.any():
            self.forest.power_mva[self.held] = self._last_mva[self.held]
            self.forest.root_mva[1:, self.held] = 0.0
        if self._hangs.shape[1] != interfaces:
            self._hangs = (self.interface[:, None] == np.arange(interfaces)).astype(np.complex128)
        return Drawn(*(self.forest.root_mva @ self._hangs))

    def _solve_alone(self, f: int, v: complex) -> bool:
        """Solve one feeder by itself, first a little beside `v` for its response, then at it."""
        forest, at = self.forest, slice(int(self.node_start[f]), int(self.node_start[f + 1]))
        engine = self._alone.get(f)
        if engine is None:
            engine = self._alone[f] = FleetPowerFlow(self.feeders[f].grid)
            engine.set_variant(0, forest.nets[f])
        for row, slot in enumerate(forest.slots[f].tolist()):
            engine.set_tap(row, slot + int(self.feeders[f].grid.taps[row].positions[0]))
        p, q, pu, qu, pf = (values[at] for values in forest.given)
        engine.set_injection(p, q)
        engine.set_curves(self.curves, pu.T[:, :, None], qu.T[:, :, None])
        engine.set_slack(v * (1 + ASIDE_PU / abs(v)))
        engine.solve()
        beside = complex(engine.slack_p_mw[0], engine.slack_q_mvar[0])
        engine.set_slack(v)
        found = bool(engine.solve()[0])
        if found:
            forest.adopt(f, engine.v[:, 0])
        else:
            forest.v[at] = engine.v[:, 0]
        forest.power_mva[f] = complex(engine.slack_p_mw[0], engine.slack_q_mvar[0])
        forest.per_pu_mva[f] = (beside - forest.power_mva[f]) / ASIDE_PU
        forest.per_hz_mva[f] = -pf[forest.live[at]].sum()
        return found

    def forget_alone(self) -> None:
        """Drop the power flows of feeders that are solved by themselves, and with them where they would start."""
        self._alone.clear()

    def get_state(self) -> dict[str, Any]:
        """Return switches, voltages, and what is held or would be."""
        return {
            "switches": [s.get_state() for s in self.states], "forest": self.forest.get_state(),
            "held": self.held.copy(), "last_mva": self._last_mva.copy(),
        }

    def set_state(self, state: dict[str, Any], pos: Ints) -> None:
        """Continue from `get_state`, with the regulated transformers at `pos`."""
        for kept, switch in zip(state["switches"], self.states, strict=True):
            switch.set_state(kept)
        for f in range(len(self.feeders)):
            self.switch(f)
        self.set_taps(pos)
        self.forest.set_state(state["forest"])
        self.held, self._last_mva = np.array(state["held"]), np.array(state["last_mva"])

    def collect(self) -> None:
        """Work out flows, loadings and losses of the last solution."""
        self.forest.read()


def regulated_transformers(grid: CompiledNet) -> Ints:
    """Return the rows in `grid.taps` of the transformers from high voltage, which are regulated on load."""
    high = [
        i for i, tap in enumerate(grid.taps)
        if len(tap.positions) > 1 and grid.vn_kv[tap.hv_node] > HIGH_VOLTAGE_KV
    ]
    return np.array(high, np.int64)
