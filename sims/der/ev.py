"""Electric vehicles: thousands of batteries behind charging clusters, each with its own stay and need."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_H
from sims.core.errors import ScenarioError
from sims.der import ev_kernel
from sims.der.fleet import STRATEGIES
from sims.der.sessions import NEVER_MS, Sessions

Array = NDArray[np.float64]
_LEAD_H = 48
_STATE = (
    "_vehicles", "_departure", "_stay", "_wakes", "_busy", "_vehicle_mw", "_cluster_mw", "unmet_mwh", "served_mwh",
)
_NUMBERS = ("_busy_count", "_from_ms", "_to_ms", "_leaves_ms")


@dataclass(frozen=True)
class EvSettings:
    """Efficiencies, fill wanted at departure, floor and ceiling for feeding back, price by local hour."""

    eta_charge: float = 0.92
    eta_discharge: float = 0.92
    soc_departure: float = 0.9
    v2g_floor: float = 0.3
    v2g_ceiling: float = 0.98
    tariff: tuple[float, ...] = (
        22, 21, 20, 20, 21, 24, 29, 33, 32, 28, 24, 21, 19, 19, 21, 25, 30, 36, 40, 41, 37, 32, 28, 25,
    )


class EvFleet:
    """All vehicles of all clusters as arrays.

    Parameters
    ----------
    sessions : Sessions
    plug_mw : ndarray, [cluster]
    strategy : ndarray of str, [cluster]
        ``uncontrolled``: full power from arrival; ``price``: the cheapest hours that suffice; ``controlled``:
        spread over the stay. Whatever the strategy, a vehicle charges when it could not catch up later.
    start : datetime
        Start of the run, in the zone whose local hours the tariff means.
    settings : EvSettings

    Notes
    -----
    Power within a step is the mean over it: a vehicle that stays for a part of the step counts for that part,
    so that energies are exact at any step length.
    """

    def __init__(
        self, sessions: Sessions, plug_mw: Array, strategy: NDArray[np.str_], start: dt.datetime,
        settings: EvSettings | None = None,
    ) -> None:
        self.settings = settings or EvSettings()
        if len(self.settings.tariff) != 24:
            raise ScenarioError(f"ev tariff has {len(self.settings.tariff)} prices, needs one for each hour (24)")
        self.sessions, self.clusters = sessions, len(plug_mw)
        self._at = sessions.cluster
        count = len(self._at)
        self._vehicles = vehicles = np.zeros(count, dtype=ev_kernel.VEHICLE)
        self.remaining_mwh, self.e_mwh = vehicles["remaining_mwh"], vehicles["e_mwh"]
        vehicles["plug_mw"], vehicles["battery_mwh"] = plug_mw[self._at], sessions.battery_mwh
        vehicles["cluster"], vehicles["v2g"] = self._at, sessions.v2g
        vehicles["mode"] = np.array([STRATEGIES.index(name) for name in strategy], dtype=np.int8)[self._at]
        self._by_price = vehicles["mode"] == 1
        real = sessions.departure_ms[sessions.departure_ms < NEVER_MS]
        hours = int(real.max(initial=0) // MS_PER_H) + 2 * _LEAD_H
        stamps = [start.timestamp() + 3600.0 * (k - _LEAD_H) for k in range(hours + _LEAD_H)]
        tariff = self.settings.tariff
        self._price = np.array([tariff[dt.datetime.fromtimestamp(s, start.tzinfo).hour] for s in stamps])
        self._stay = np.zeros(count, dtype=np.int64)
        self.unmet_mwh = np.zeros(self.clusters)
        self.served_mwh = np.zeros(self.clusters)
        self._arrival = vehicles["arrival_ms"]
        self._departure = np.zeros(count, dtype=np.int64)  # once more by itself: whoever leaves is sought in all
        self._wakes = np.full(count, NEVER_MS, dtype=np.int64)
        self._busy, self._busy_count = np.zeros(count, dtype=np.int64), 0
        self._resting = ev_kernel.Resting.of(count)
        self._vehicle_mw: Array = np.zeros((count, 5))
        self._from_ms = self._to_ms = 0
        self._cluster_mw: Array = np.zeros((6, self.clusters))
        self._leaves_ms = 0
        self._load(np.arange(count))
        self._before_start()

    def _load(self, who: NDArray[np.int64]) -> None:
        """Take over the present stay of the vehicles `who`: need, battery, dearest hour still needed."""
        s, stay = self.sessions, self._stay[who]
        arrival, departure = s.arrival_ms[stay, who], s.departure_ms[stay, who]
        self._arrival[who], self._departure[who] = arrival, departure
        self._vehicles["departure_ms"][who] = departure
        need = s.energy_mwh[stay, who]
        self.remaining_mwh[who] = need
        idle = (departure <= arrival) | ((need <= 0) & ~s.v2g[who])
        self._wakes[who] = np.where(idle, NEVER_MS, arrival)
        self.e_mwh[who] = np.maximum(self.settings.soc_departure * s.battery_mwh[who] - need, 0.0)
        payers = np.flatnonzero(self._by_price[who] & (arrival < NEVER_MS))
        if len(payers) == 0:
            return
        first = np.maximum(arrival[payers] // MS_PER_H + _LEAD_H, 0)
        slots = first[:, None] + np.arange(_LEAD_H)
        ends = departure[payers, None] // MS_PER_H + _LEAD_H
        prices = np.where(slots < ends, self._price[np.minimum(slots, len(self._price) - 1)], np.inf)
        prices.sort(axis=1)
        rate = self.settings.eta_charge * self._vehicles["plug_mw"][who[payers]]
        hours = np.clip(np.ceil(need[payers] / rate).astype(np.int64), 1, _LEAD_H)
        self._vehicles["limit_price"][who[payers]] = np.take_along_axis(prices, hours[:, None] - 1, axis=1)[:, 0]

    def _before_start(self) -> None:
        """Leave the stays that ended before time 0; those under way have charged at full power so far."""
        self._depart(0, count_unmet=False)
        here_h = np.clip(-self._arrival, 0, None) / MS_PER_H
        gained = np.minimum(self.remaining_mwh, self._vehicles["plug_mw"] * here_h * self.settings.eta_charge)
        self.remaining_mwh -= gained
        self.e_mwh += gained

    def _depart(self, now_ms: int, *, count_unmet: bool = True) -> None:
        if now_ms < self._leaves_ms:
            return
        while len(gone := np.flatnonzero(self._departure <= now_ms)):
            if count_unmet:
                missing = self.remaining_mwh[gone]
                wanted = self.sessions.energy_mwh[self._stay[gone], gone]
                self.unmet_mwh += np.bincount(self._at[gone], weights=missing, minlength=self.clusters)
                self.served_mwh += np.bincount(self._at[gone], weights=wanted - missing, minlength=self.clusters)
            self._stay[gone] += 1
            self._load(gone)
        self._leaves_ms = int(self._departure.min(initial=NEVER_MS))

    def plan(self, now_ms: int, dt_ms: int) -> tuple[Array, Array]:
        """Prepare the step from `now_ms` on; return what the clusters wish and could draw at most [MW].

        Both are consumption, positive, shape [cluster].
        """
        self._depart(now_ms)
        s, wakes, resting = self.settings, self._wakes, self._resting
        if dt_ms != self._to_ms - self._from_ms:
            ev_kernel.rouse(NEVER_MS, wakes, resting)  # what they offer holds for one length of step
        hour = min(max(now_ms // MS_PER_H + _LEAD_H, 0), len(self._price) - 1)
        self._busy_count = ev_kernel.plan(
            now_ms, dt_ms, self._price[hour], wakes, self._vehicles, s.eta_charge, s.eta_discharge, s.v2g_floor,
            s.v2g_ceiling, self._busy, self._vehicle_mw, self._cluster_mw, resting,
        )
        self._from_ms, self._to_ms = now_ms, now_ms + dt_ms
        return self._cluster_mw[ev_kernel.WISH], self._cluster_mw[ev_kernel.LIMIT]

    def price_at(self, hour: int) -> float:
        """Return the tariff in the `hour`-th hour of the run."""
        return float(self._price[min(hour + _LEAD_H, len(self._price) - 1)])

    @property
    def busy(self) -> int:
        """How many vehicles have something to do in the present step: plugged in, and to charge or to feed back."""
        return self._busy_count + int(self._resting.number[0])

    @property
    def back_mw(self) -> Array:
        """Power the clusters can feed back in the present step [MW], [cluster]."""
        back: Array = self._cluster_mw[ev_kernel.BACK]
        return back

    @property
    def must_mw(self) -> Array:
        """Power that vehicles of the clusters cannot put off beyond the present step [MW], [cluster]."""
        must: Array = self._cluster_mw[ev_kernel.MUST]
        return must

    def reserve(self, drawn_mw: Array) -> tuple[Array, Array]:
        """Return how far the clusters can reduce and raise what they draw, `drawn_mw` [MW], [cluster].

        At most what V2G vehicles can give both ways, sum min(up, down); less where a cluster is held off its
        wish.
        """
        up, down = np.empty(self.clusters), np.empty(self.clusters)
        ev_kernel.reserve(drawn_mw, self._cluster_mw, up, down)
        return up, down

    def stored(self) -> Array:
        """Return the energy in the batteries of the plugged-in vehicles [MWh], [cluster]."""
        stay_ms = np.minimum(self._departure, self._to_ms) - np.maximum(self._arrival, self._from_ms)
        here: Array = np.bincount(self._at, weights=self.e_mwh * (stay_ms > 0), minlength=self.clusters).astype(float)
        return here

    def advance(self, p_mw: Array, dt_ms: int) -> None:
        """Book what the clusters really drew (consumption positive, feeding back negative) over `dt_ms`.

        Vehicles that must charge are served first, then wishes, then whoever needs more, then V2G batteries
        beyond their need; feeding back is shared by what each V2G vehicle can give.
        """
        if dt_ms > 0:
            s = self.settings
            ev_kernel.book(
                np.ascontiguousarray(p_mw), dt_ms / MS_PER_H, self._busy[: self._busy_count], self._vehicle_mw,
                self._cluster_mw, self._vehicles, s.eta_charge, s.eta_discharge, self._wakes, NEVER_MS,
                self._resting,
            )

    def get_state(self) -> dict[str, Any]:
        """Return stays, energies and the plan in force."""
        state: dict[str, Any] = {name: np.copy(getattr(self, name)) for name in _STATE}
        state |= {name: getattr(self, name) for name in _NUMBERS}
        return state | {"resting": [np.copy(column) for column in self._resting]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        for name in _STATE:
            getattr(self, name)[...] = state[name]
        for name in _NUMBERS:
            setattr(self, name, state[name])
        self._resting = ev_kernel.Resting(*(np.array(column) for column in state["resting"]))
