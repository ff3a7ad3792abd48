"""On-line power flow: solved on period, on change and on request, and kept until one of them calls again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms.network import Bools, Complexes, Floats, Network
from sims.core.errors import GridError

CAUSES = ("period", "change", "request")


@dataclass(frozen=True, eq=False)
class Solution:
    """A power flow of the believed grid.

    Parameters
    ----------
    at_ms : int
    cause : str
        Why it was solved, one of `CAUSES`.
    v : complex array [node]
        Voltage [pu], 0 in the dark.
    loading_percent : array [branch]
    losses_mw : float
    """

    at_ms: int
    cause: str
    v: Complexes
    loading_percent: Floats
    losses_mw: float


class OnlinePowerFlow:
    """Decides when the power flow of one feeder is solved anew.

    Parameters
    ----------
    net : Network
    period_ms : int
        A solution older than that is made anew.
    change_pu : float
        A load that moved by more than that since the last solution is a change [pu of the grid's base].
    """

    def __init__(self, net: Network, period_ms: int = 60_000, change_pu: float = 0.01) -> None:
        if period_ms <= 0:
            raise GridError(f"net {net.grid.name}: a power flow every {period_ms} ms; the period is above 0")
        self.net, self.period_ms, self.change_pu = net, period_ms, change_pu
        self.last: Solution | None = None
        self.solved = 0
        self._s: Complexes = np.zeros(net.grid.n_nodes, dtype=complex)
        self._closed: Bools = net.normal.copy()
        self._v_anchor: Complexes = np.ones(len(net.anchor), dtype=complex)

    def cause(self, now_ms: int, closed: Bools, s: Complexes, v_anchor: Complexes | Floats) -> str:
        """Return why the power flow is due now, or an empty text."""
        if self.last is None or now_ms - self.last.at_ms >= self.period_ms:
            return "period"
        moved = float(np.abs(s - self._s).max(initial=0.0)) > self.change_pu
        shifted = float(np.abs(np.asarray(v_anchor) - self._v_anchor).max(initial=0.0)) > self.change_pu
        return "change" if moved or shifted or not np.array_equal(closed, self._closed) else ""

    def at(
        self, now_ms: int, closed: Bools, s: Complexes, v_anchor: Complexes | Floats, request: bool = False
    ) -> Solution:
        """Return the solution in force at `now_ms`, solved now where it is due or asked for.

        Parameters
        ----------
        closed, s, v_anchor : arrays
            Believed switch states [branch], injections [node] and busbar voltages [anchor].

        Raises
        ------
        GridError
            There is no solution.
        """
        cause = "request" if request else self.cause(now_ms, closed, s, v_anchor)
        if not cause and self.last is not None:
            return self.last
        topology = self.net.topology(closed)
        supplied = np.where(topology.live, s, 0.0)
        start = self.last.v if self.last is not None and np.array_equal(closed, self._closed) else None
        v = topology.flow(supplied, v_anchor, start)
        if not np.isfinite(v).all():
            raise GridError(f"net {self.net.grid.name}: the power flow at {now_ms / 1000:.0f} s has no solution")
        losses = topology.losses(v, supplied) * self.net.grid.base_mva
        self.last = Solution(now_ms, cause, v, topology.loading(v), losses)
        self._s, self._closed, self._v_anchor = s.copy(), closed.copy(), np.array(v_anchor, dtype=complex)
        self.solved += 1
        return self.last
