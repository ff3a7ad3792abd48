"""What a distribution grid knows of the grid above it: enough to guess voltages and frequency of the next instant."""

from __future__ import annotations

from typing import Any

import numpy as np
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
        v = np.abs(last.v_pu)
        self._turn = last.v_pu / v
        behind = self._behind(last, last)
        drift = behind - self._behind(before, last)
        drift[np.abs(drift) > self.jump_pu] = 0.0
        self._v_behind = behind + drift
        change_hz = last.f_hz - before.f_hz
        return (v + drift) * self._turn, last.f_hz + (change_hz if abs(change_hz) < self.jump_hz else 0.0)

    def answer(self, v_pu: Complexes, drawn: Drawn) -> Complexes:
        """Return the voltages at which what was drawn at `v_pu`, and how that follows them, would be drawn."""
        last, v, s_mva = self._offers[-1], np.abs(v_pu), drawn.s_mva
        jac = last.by_p * drawn.per_pu.real + last.by_q * drawn.per_pu.imag - np.eye(v.size)
        wrong = v - self._v_behind - last.by_p @ s_mva.real - last.by_q @ s_mva.imag
        out: Complexes = (v + np.linalg.solve(jac, wrong)) * self._turn
        return out

    def _behind(self, offer: Offer, by: Offer) -> Floats:
        out: Floats = np.abs(offer.v_pu) - by.by_p @ offer.drawn_mva.real - by.by_q @ offer.drawn_mva.imag
        return out

    def get_state(self) -> dict[str, Any]:
        """Return the offers of the last two instants."""
        return {"offers": list(self._offers), "now_ms": self._now_ms}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._offers, self._now_ms = list(state["offers"]), state["now_ms"]
        self.known = bool(self._offers)
