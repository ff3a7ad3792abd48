"""The orders in force at the devices of one area: what is wished, what was told, what must be told again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site, command
from controllers.distributed.area import Fleet
from controllers.distributed.order_kernels import news
from sims.core.message import Message

Floats = NDArray[np.float64]


class OrderBook:
    """One quantity of one fleet, with the wishes of all duties that move it.

    An order leaves only where the outcome of the wishes has moved by more than a dead-band since the device
    was told, where nothing is wished any more (the set-point is taken back), or where what was told would
    expire before the next look. Wishes for power add up, of caps the lowest holds.

    Parameters
    ----------
    dead_share, dead_mw : float
        Dead-band: `dead_share` of the rating, or `dead_mw` where that is more, but never above a fifth of the
        rating: a small device may be told more coarsely.
    renew : float
        An order is told again once less than this share of its life is left.
    """

    def __init__(
        self, site: Site, fleet: Fleet, quantity: str, *, dead_share: float = 0.05, dead_mw: float = 0.01,
        renew: float = 0.25,
    ) -> None:
        self.site, self.fleet, self.quantity, self.renew = site, fleet, quantity, renew
        n = len(fleet)
        rated = fleet.s_rated_mva if quantity == "q_set_mvar" else fleet.p_rated_mw
        self.most = fleet.q_max_mvar if quantity == "q_set_mvar" else rated
        self.dead = np.maximum(dead_share * rated, np.minimum(dead_mw, 0.2 * rated))
        self.wishes: dict[str, Floats] = {}
        self.told = np.full(n, np.nan)
        self.holds = False
        self.until_s = np.full(n, -math.inf)
        self.renew_s = np.full(n, math.inf)
        self.run_of = np.repeat(np.arange(len(fleet.gateways)), [r.stop - r.start for _, r in fleet.gateways])

    def wish(self, duty: str, values: Floats | None) -> None:
        """Note what `duty` wishes of the devices (nan: nothing of this one); None takes its wishes back."""
        if values is None:
            self.wishes.pop(duty, None)
        else:
            self.wishes[duty] = values

    @property
    def due_s(self) -> float:
        """When something in force has to be told again."""
        return float(self.renew_s.min(initial=math.inf))

    def total(self) -> Floats:
        """Return the outcome of all wishes [device], nan where nothing is wished."""
        if not self.wishes:
            return np.full(len(self.fleet), np.nan)
        table: Floats = np.array(list(self.wishes.values()))
        if len(table) == 1:
            only: Floats = table[0]
            return only
        nothing = np.isnan(table)
        if self.quantity == "p_max_mw":
            lowest: Floats = np.where(nothing, np.inf, table).min(axis=0)
            return np.where(nothing.all(axis=0), np.nan, lowest)
        added: Floats = np.clip(np.where(nothing, 0.0, table).sum(axis=0), -self.most, self.most)
        return np.where(nothing.all(axis=0), np.nan, added)

    def letters(self, duty: str, now_s: float, ttl_s: float) -> list[Message]:
        """Return the orders that bring the devices to the outcome of the wishes, sent under `duty`."""
        if not self.wishes and not self.holds:
            return []
        want = self.total()
        fresh, both, some = news(want, self.told, self.until_s, self.renew_s, self.dead, now_s)
        if not some:
            return []
        out = []
        wants = np.isfinite(want)
        value = np.where(wants, want, np.inf)
        for number in np.unique(self.run_of[fresh]).tolist():
            gateway, run = self.fleet.gateways[number]
            rows = run.start + np.flatnonzero(both[run])
            out.append(
                command(self.site, gateway, duty, ttl_s, device=self.fleet.device[rows], **{self.quantity: value[rows]})
            )
            kept = wants[rows]
            self.told[rows] = np.where(kept, want[rows], np.nan)
            self.until_s[rows] = np.where(kept, now_s + ttl_s, -math.inf)
            self.renew_s[rows] = np.where(kept, now_s + (1.0 - self.renew) * ttl_s, math.inf)
        self.holds = bool(np.isfinite(self.told).any())
        return out


def shared(site: Site, key: str, made: Callable[[], Any]) -> Any:
    """Return what the duties of one place have in common under `key`, made by the first that asks."""
    desk = site.settings.get("shared")
    if not isinstance(desk, dict):
        return made()
    if key not in desk:
        desk[key] = made()
    return desk[key]
