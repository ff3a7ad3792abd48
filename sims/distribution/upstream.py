"""What a distribution grid knows of the grid above it: enough to guess voltages and frequency of the next instant."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sims.distribution.feeders import Drawn
from sims.grid.exchange import Offer

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class Upstream:
    """The grid above as voltages behind sensitivities to one's own power, and the frequency, as last offered.

    What the transmission grid and the others do to them goes on as it went from the instant before to the last
    one, unless that was a jump; what one's own power does to the voltages is known. A guess that is off costs
    iterations, never accuracy.
    """

    jump_pu, jump_hz = 1e-3, 1e-2
    near_pu = 1e-5
    """How near a guess has to be to the voltages that its own power leads to."""

    def __init__(self) -> None:
        self.known = False
        self._offers: list[Offer] = []
        self._now_ms = -1

    def hear(self, offer: Offer, now_ms: int) -> None:
        """Take an offer, which replaces any other of the same instant."""
        kept = self._offers[:-1] if now_ms == self._now_ms else self._offers
        self._offers, self._now_ms, self.known = [*kept[-1:], offer], now_ms, True

    def begin(self) -> tuple[Complexes, float]:
        """Return voltages and frequency to begin an instant with: the last ones, moved on."""
        before, last = self._offers[0], self._offers[-1]
        self._v_behind, self._turn, v_pu = moved_on(
            before.v_pu, before.drawn_mva, last.v_pu, last.drawn_mva, last.by_p, last.by_q, self.jump_pu)
        change_hz = last.f_hz - before.f_hz
        return v_pu, last.f_hz + (change_hz if abs(change_hz) < self.jump_hz else 0.0)

    def answer(self, v_pu: Complexes, drawn: Drawn) -> Complexes:
        """Return the voltages at which what was drawn at `v_pu`, and how that follows them, would be drawn."""
        last = self._offers[-1]
        out: Complexes = answered(
            v_pu, drawn.s_mva, drawn.per_pu, self._v_behind, self._turn, last.by_p, last.by_q)
        return out

    def get_state(self) -> dict[str, Any]:
        """Return the offers of the last two instants."""
        return {"offers": list(self._offers), "now_ms": self._now_ms}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._offers, self._now_ms = list(state["offers"]), state["now_ms"]
        self.known = bool(self._offers)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def moved_on(v_before: Any, s_before: Any, v_last: Any, s_last: Any, by_p: Any, by_q: Any, jump_pu: float) -> Any:
    """Return the voltages behind the sensitivities, moved on as they last went, the turns, and voltages with these."""
    behind, turn, v = np.abs(v_last), v_last / np.abs(v_last), np.empty_like(v_last)
    for i in range(v.size):
        was = abs(v_before[i])
        for j in range(v.size):
            behind[i] -= by_p[i, j] * s_last[j].real + by_q[i, j] * s_last[j].imag
            was -= by_p[i, j] * s_before[j].real + by_q[i, j] * s_before[j].imag
        drift = behind[i] - was
        if abs(drift) > jump_pu:
            drift = 0.0
        behind[i] += drift
        v[i] = (abs(v_last[i]) + drift) * turn[i]
    return behind, turn, v


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def answered(v: Any, s: Any, per_pu: Any, behind: Any, turn: Any, by_p: Any, by_q: Any) -> Any:
    """Return the voltages on which what is drawn, a line over their magnitudes, and the sensitivities agree."""
    n, wrong = v.size, np.abs(v) - behind
    jac = -np.eye(n)
    for i in range(n):
        for j in range(n):
            jac[i, j] += by_p[i, j] * per_pu[j].real + by_q[i, j] * per_pu[j].imag
            wrong[i] -= by_p[i, j] * s[j].real + by_q[i, j] * s[j].imag
    return (np.abs(v) + np.linalg.solve(jac, wrong)) * turn
