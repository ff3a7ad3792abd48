"""The restoration reserve that power stations hold under contract, as far as it has been called and has come."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_S

Floats = NDArray[np.float64]
FOREVER_MS = 1 << 62


class CalledReserve:
    """What each machine gives beside its schedule, by order of whoever balances its cell.

    An order is followed as far as the contract goes, at the speed at which all of it is there after `full_s`, and
    until it expires; then the machine goes back to its schedule at the same speed. The European standard product
    for automatic restoration is fully activated after 5 min (Regulation (EU) 2017/2195, article 21 and ACER
    decision 02/2020).

    Parameters
    ----------
    contracted_mw : array [machine]
        Both ways.
    full_s : float
        Full activation time.
    """

    def __init__(self, contracted_mw: Floats, full_s: float) -> None:
        self._most_mw = contracted_mw
        self._mw_per_s = contracted_mw / full_s
        n = len(contracted_mw)
        self.p_mw: Floats = np.zeros(n)
        self._ordered_mw: Floats = np.zeros(n)
        self._until_ms = np.full(n, FOREVER_MS, np.int64)
        self._at_ms = 0

    def order(self, machine: int, p_mw: float, sent_ms: int, ttl_ms: int = 0) -> None:
        """Take an order to one machine [MW], in force for `ttl_ms` after `sent_ms`; 0 without limit."""
        most = float(self._most_mw[machine])
        self._ordered_mw[machine] = min(max(p_mw, -most), most)
        self._until_ms[machine] = sent_ms + ttl_ms if ttl_ms > 0 else FOREVER_MS

    def advance(self, now_ms: int) -> None:
        """Let the machines move to `now_ms` towards what is in force; a time gone by moves nothing."""
        if now_ms <= self._at_ms:
            return
        self._ordered_mw[self._until_ms <= now_ms] = 0.0
        reach = self._mw_per_s * ((now_ms - self._at_ms) / MS_PER_S)
        self.p_mw = self.p_mw + np.clip(self._ordered_mw - self.p_mw, -reach, reach)
        self._at_ms = now_ms

    def get_state(self) -> dict[str, Any]:
        """Return what is given and what is ordered."""
        return {
            "p_mw": self.p_mw.copy(), "ordered_mw": self._ordered_mw.copy(), "until_ms": self._until_ms.copy(),
            "at_ms": self._at_ms,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.p_mw, self._ordered_mw = np.array(state["p_mw"]), np.array(state["ordered_mw"])
        self._until_ms, self._at_ms = np.array(state["until_ms"]), state["at_ms"]
