"""Power stations that hold restoration reserve under contract, as seen by whoever balances their cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

from controllers.belief import GeneratorBelief
from controllers.contract import Site, command
from sims.core.message import Message


class Stations:
    """Calls the reserve of stations, each in proportion to its own, and reckons how much of it has come.

    Nobody meters the stations for the caller: what has come is reckoned from the contract, by which all of the
    reserve is there `full_s` after the call.

    Parameters
    ----------
    own : sequence of GeneratorBelief
        Those that this site writes to.
    whole : sequence of GeneratorBelief, optional
        Those among which a call is shared, if others call some of them; by default the own ones.

    Settings
    --------
    reserve_deadband_mw : float
        Change of a call below which none is sent (1).
    reserve_ttl_s : float
        Life of a call; renewed at half of it (900).

    Attributes
    ----------
    reserve_mw, called_mw, come_mw : float
        Contract, both ways; what is called, and what has come of it, of all stations.
    """

    def __init__(
        self, site: Site, own: Sequence[GeneratorBelief], whole: Sequence[GeneratorBelief] | None = None
    ) -> None:
        self._site = site
        self._deadband_mw = float(site.settings.get("reserve_deadband_mw", 1.0))
        self._ttl_s = float(site.settings.get("reserve_ttl_s", 900.0))
        every = tuple(g for g in (own if whole is None else whole) if g.reserve_mw > 0)
        self._own = tuple(g for g in own if g.reserve_mw > 0)
        self.reserve_mw = sum(g.reserve_mw for g in every)
        self._mw_per_s = sum(g.reserve_mw / g.full_s for g in every)
        self.forget()

    def forget(self) -> None:
        """Begin anew: nothing is called, what was called runs out by itself."""
        self.called_mw = self.come_mw = self._sent_mw = 0.0
        self._sent_s = self._at_s = -math.inf

    def advance(self, now_s: float) -> None:
        """Reckon what has come by now."""
        if math.isfinite(self._at_s):
            self.come_mw = self.after(now_s - self._at_s)
        self._at_s = now_s

    def after(self, dt_s: float) -> float:
        """Return what will have come of the present call in `dt_s` [MW]."""
        low, high = self.reach_mw(dt_s)
        return min(max(self.called_mw, low), high)

    def reach_mw(self, dt_s: float) -> tuple[float, float]:
        """Return the least and the most that any call can have brought in `dt_s` [MW]."""
        step, most = self._mw_per_s * dt_s, self.reserve_mw
        return max(self.come_mw - step, -most), min(self.come_mw + step, most)

    def call(self, duty: str, p_mw: float, now_s: float) -> list[Message]:
        """Call `p_mw` of all stations, or as much as they hold; return the orders to the own ones."""
        self.called_mw = min(max(p_mw, -self.reserve_mw), self.reserve_mw)
        due = self.called_mw != 0 and now_s - self._sent_s >= self._ttl_s / 2
        if not due and abs(self.called_mw - self._sent_mw) < self._deadband_mw:
            return []
        self._sent_mw, self._sent_s = self.called_mw, now_s
        part = self.called_mw / self.reserve_mw
        return [command(self._site, g.address, duty, self._ttl_s, p_delta_mw=part * g.reserve_mw) for g in self._own]
