"""Set-points in force at the devices of a site, by duty: who wants what, what was told, what must be told again.

Several duties move the same device. Wishes for active and reactive power add up, caps hold together (the
lowest counts), and one message carries the outcome under the duty that changed its wish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.belief import FeederBelief
from controllers.contract import Site, command
from sims.core.message import Message

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

QUANTITIES = ("p_max_mw", "p_set_mw", "q_set_mvar", "droop_mw_per_hz", "inertia_mw_s_per_hz")
FULL_HZ = 0.2
"""Deviation at which a device's droop has moved all of its rating; the most it can be ordered is its rating over it."""
CHANGE, CHANGE_MW = 0.02, 0.005
"""Changes below this share of the rating, and below this power [MW or Mvar], are not worth a message."""


class Register:
    """All devices of a site's feeders as one table.

    Attributes
    ----------
    index, node, feeder, gateway : int array [device]
        System-wide number, node in its feeder, row of the feeder, row in `addresses`.
    kind : str array [device]
    p_rated_mw, s_rated_mva, energy_mwh, vn_kv : array [device]
    reachable : bool array [device]
        Takes commands and stands behind a gateway.
    rows : tuple of int array
        The devices of each feeder.
    feeds_in : bool array [device]
        PV, wind and CHP.
    place : int array [device]
        Node, counted through the nodes of all feeders.
    share : array [device]
        Part of the rating of its kind (what feeds in, or all else) at its node.
    """

    def __init__(self, feeders: Sequence[FeederBelief]) -> None:
        self.feeders = tuple(feeders)
        tables = [f.devices for f in feeders]
        empty = np.zeros(0, dtype=np.int64)
        self.index: Ints = np.concatenate([empty, *(t.index for t in tables)])
        self.node: Ints = np.concatenate([empty, *(t.node for t in tables)])
        self.feeder: Ints = np.repeat(np.arange(len(tables)), [len(t.index) for t in tables]).astype(np.int64)
        self.kind = np.concatenate([np.zeros(0, dtype="<U8"), *(t.kind for t in tables)])
        zero = np.zeros(0)
        self.p_rated_mw: Floats = np.concatenate([zero, *(t.p_rated_mw for t in tables)])
        self.s_rated_mva: Floats = np.concatenate([zero, *(t.s_rated_mva for t in tables)])
        self.energy_mwh: Floats = np.concatenate([zero, *(t.energy_mwh for t in tables)])
        self.vn_kv: Floats = np.concatenate([zero, *(f.grid.vn_kv[f.devices.node] for f in feeders)])
        steerable = np.concatenate([zero.astype(bool), *(t.controllable for t in tables)])
        # What is connected to the busbars themselves is spoken to through the primary substation.
        names = [f.gateways[n] or f.name for f in feeders for n in f.devices.node]
        self.addresses = tuple(sorted({name for name in names if name}))
        number = {name: i for i, name in enumerate(self.addresses)}
        self.gateway: Ints = np.array([number.get(name, -1) for name in names], dtype=np.int64)
        self.reachable: Bools = steerable & (self.gateway >= 0)
        self.rows = tuple(np.flatnonzero(self.feeder == i) for i in range(len(tables)))
        self.feeds_in: Bools = np.isin(self.kind, ("pv", "wind", "chp"))
        nodes = np.array([f.grid.n_nodes for f in feeders], dtype=np.int64)
        self.place: Ints = (np.cumsum(nodes) - nodes)[self.feeder] + self.node
        kind = 2 * self.place + self.feeds_in
        self.share: Floats = self.p_rated_mw / np.maximum(np.bincount(kind, self.p_rated_mw)[kind], 1e-12)

    def __len__(self) -> int:
        return len(self.index)

    def of(self, *kinds: str, feeder: int | None = None) -> Ints:
        """Return the rows of reachable devices of these kinds, of one feeder or of all."""
        if feeder is None:
            return np.flatnonzero(np.isin(self.kind, kinds) & self.reachable)
        mine = self.rows[feeder]
        return mine[np.isin(self.kind[mine], kinds) & self.reachable[mine]]


class SetPoints:
    """The orders of one site to its devices.

    Parameters
    ----------
    site : Site
        Settings used: `ttl_s` (900).
    register : Register

    Attributes
    ----------
    ttl_ms : dict of str to int
        Life of an order by quantity.
    """

    def __init__(self, site: Site, register: Register) -> None:
        self._site, self.register = site, register
        self.ttl_ms = dict.fromkeys(QUANTITIES, int(1000 * float(site.settings.get("ttl_s", 900.0))))
        self._wishes: dict[str, dict[str, Floats]] = {q: {} for q in QUANTITIES}
        self._totals: dict[str, Floats] = {}
        n = len(register)
        self._told = {q: np.full(n, np.nan) for q in QUANTITIES}
        self._sent_ms = {q: np.full(n, -1, dtype=np.int64) for q in QUANTITIES}
        # Of most devices nothing is ever wanted: the others are looked at alone.
        self._wanted = {q: np.zeros(n, dtype=bool) for q in QUANTITIES}
        self._rows: dict[str, Ints] = dict.fromkeys(QUANTITIES, np.zeros(0, dtype=np.int64))

    def wish(self, duty: str, quantity: str, rows: Ints, values: Floats) -> None:
        """Note what `duty` wants of devices `rows`; nan takes its wish back."""
        store = self._wishes[quantity].setdefault(duty, np.full(len(self.register), np.nan))
        store[rows] = values
        self._totals.pop(quantity, None)
        wanted, some = self._wanted[quantity], rows[~np.isnan(values)]
        if not wanted[some].all():
            wanted[some] = True
            self._rows[quantity] = np.flatnonzero(wanted)

    def wished(self, duty: str, quantity: str) -> Floats:
        """Return what `duty` wants of every device, nan where nothing."""
        store = self._wishes[quantity].get(duty)
        return np.full(len(self.register), np.nan) if store is None else store

    def steers(self, duty: str, quantity: str) -> Bools:
        """Return of which feeders `duty` wants something of a device [feeder]."""
        store, rows = self._wishes[quantity].get(duty), self._rows[quantity]
        out = np.zeros(len(self.register.feeders), dtype=bool)
        if store is not None:
            out[self.register.feeder[rows[~np.isnan(store[rows])]]] = True
        return out

    def asked(self, duty: str, quantity: str, rows: Ints) -> tuple[Floats, Floats]:
        """Return what `duty` wants of devices `rows`, and the outcome of all wishes; 0 where nothing."""
        store, total = self._wishes[quantity].get(duty), self.total(quantity)[rows]
        total = np.where(np.isnan(total), 0.0, total)
        if store is None:
            return np.zeros(len(rows)), total
        mine = store[rows]
        mine = np.where(np.isnan(mine), 0.0, mine)
        return mine, total

    def total(self, quantity: str) -> Floats:
        """Return the outcome of all wishes [device], nan where nobody wants anything; not to be written to."""
        found = self._totals.get(quantity)
        if found is None:
            found = self._totals[quantity] = self._summed(quantity)
        return found

    def _summed(self, quantity: str) -> Floats:
        out, rows = np.full(len(self.register), np.nan), self._rows[quantity]
        if not len(rows):
            return out
        table = np.array([wish[rows] for wish in self._wishes[quantity].values()])
        idle = np.isnan(table)
        nobody = idle.all(axis=0)
        if quantity == "p_max_mw":
            table[idle] = np.inf
            out[rows] = np.where(nobody, np.nan, np.maximum(table.min(axis=0), 0.0))
        else:
            table[idle] = 0.0
            rated = self._rated(quantity)[rows]
            out[rows] = np.where(nobody, np.nan, np.clip(table.sum(axis=0), -rated, rated))
        return out

    def in_force(self, quantity: str, now_ms: int) -> Floats:
        """Return what was told and has not expired [device], nan where the local law holds."""
        out, rows = np.full(len(self.register), np.nan), self._rows[quantity]
        out[rows] = self._alive(quantity, rows, now_ms)
        return out

    def _alive(self, quantity: str, rows: Ints, now_ms: int) -> Floats:
        """Return what devices `rows` were told and has not expired, nan where there is nothing."""
        sent_ms = self._sent_ms[quantity][rows]
        alive = (sent_ms >= 0) & (now_ms < sent_ms + self.ttl_ms[quantity])
        return np.where(alive, self._told[quantity][rows], np.nan)

    def orders(self, duty: str, quantity: str, now_ms: int, again_ms: int) -> list[Message]:
        """Return the messages that bring the devices of `duty` to the outcome of all wishes.

        Only what changed by more than the dead-band (`CHANGE`, `CHANGE_MW`), what would expire within `again_ms`, and
        what nobody wants any more is told; the last is taken back by an infinite value, so that the device's
        own law holds again at once.
        """
        store, rows = self._wishes[quantity].get(duty), self._rows[quantity]
        if store is None or not len(rows):
            return []
        want, mine, told = self.total(quantity)[rows], store[rows], self._alive(quantity, rows, now_ms)
        rated, ttl_ms = self._rated(quantity)[rows], self.ttl_ms[quantity]
        known = np.isfinite(told)
        left_ms = self._sent_ms[quantity][rows] + ttl_ms - now_ms
        ending = known & (left_ms <= again_ms)
        if ending.any():  # renewing together what would end soon keeps the other minutes quiet
            ending = known & (left_ms <= max(again_ms, ttl_ms * 2 // 3))
        # A small device may be told more coarsely, but never less exactly than a tenth of itself.
        dead = np.maximum(CHANGE * rated, np.minimum(CHANGE_MW, 0.1 * rated))
        # A cap at the rating says nothing; any other order replaces what the device's own law would do.
        held = np.where(known, told, rated) if quantity == "p_max_mw" else told
        with np.errstate(invalid="ignore"):
            changed = ~(np.abs(want - held) <= dead)
        send = np.isfinite(want) & (changed | ending) & (np.isfinite(mine) | changed)
        release = np.isnan(want) & known
        value = np.where(release, np.inf, want)
        which = (send | release) & self.register.reachable[rows]
        return self._messages(duty, quantity, rows[which], value[which], now_ms)

    def _rated(self, quantity: str) -> Floats:
        """Return the most that each device can be ordered, either way."""
        if quantity == "q_set_mvar":
            return self.register.s_rated_mva
        # Against a slope of 1 Hz/s a device gives all of its rating.
        return self.register.p_rated_mw / FULL_HZ if quantity == "droop_mw_per_hz" else self.register.p_rated_mw

    def _messages(self, duty: str, quantity: str, rows: Ints, value: Floats, now_ms: int) -> list[Message]:
        if not len(rows):
            return []
        self._told[quantity][rows] = np.where(np.isfinite(value), value, np.nan)
        self._sent_ms[quantity][rows] = now_ms
        order = np.argsort(self.register.gateway[rows], kind="stable")
        rows, value = rows[order], value[order]
        gateway = self.register.gateway[rows]
        starts = [0, *(np.flatnonzero(np.diff(gateway)) + 1).tolist(), len(rows)]
        device, value = _fixed(self.register.index[rows]), _fixed(value)
        site, addresses, ttl_s = self._site, self.register.addresses, self.ttl_ms[quantity] / 1000.0
        return [
            command(site, addresses[to], duty, ttl_s, **{"device": device[a:b], quantity: value[a:b]})
            for to, a, b in zip(gateway[starts[:-1]].tolist(), starts[:-1], starts[1:], strict=True)
        ]


def shared_set_points(site: Site) -> SetPoints:
    """Return the one book of orders of a site, so that duties add up instead of overwriting each other."""
    desk = site.settings.get("shared")
    if not isinstance(desk, dict):
        return SetPoints(site, Register(site.grid.feeders))
    if "set_points" not in desk:
        desk["set_points"] = SetPoints(site, Register(site.grid.feeders))
    found: SetPoints = desk["set_points"]
    return found


def _fixed(values: NDArray[Any]) -> NDArray[Any]:
    values.flags.writeable = False
    return values
