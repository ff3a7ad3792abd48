"""Provide inertia: the DMS accounts what its cell owns and needs, and has batteries make up for what is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site
from controllers.dms.inertia import Reference, assigned_gains, needed_mws
from controllers.dms.inertia_ledger import DUTY, NEWS, TOPIC, InertiaLedger
from controllers.dms.set_points import FULL_HZ, Floats
from sims.core.message import Message


class ProvideInertia:
    """Keeps the cell's inertia at what the loss of its largest machine asks for.

    The TSO tells with the ties what kinetic energy is running in the cell and how large its largest machine is.
    What is missing to f0 dP / (2 RoCoF_max) is assigned to batteries in proportion to the headroom and energy that
    other duties leave; never more than the machines' own, beyond which the delay of the measurement would count.
    Cells tell each other how they stand, and every one comes to the same trade of surplus for want. What is still
    missing then is an alarm.

    Settings: `rocof_max_hz_s` (1), `df_max_hz` (0.8), `look_s` (900), `inertia_ttl_s` (43 200).
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        settings = site.settings
        self._site, self._desk = site, Desk(site)
        slope = float(settings.get("rocof_max_hz_s", 1.0))
        self._ref = Reference(site.grid.f_nominal_hz, slope, slope, float(settings.get("df_max_hz", 0.8)))
        # Of several DSOs in a cell the first keeps the account.
        mine = f"{site.name.partition('.')[0]}."
        cell = next((c for c in site.grid.cells if c.interfaces and c.interfaces[0].startswith(mine)), None)
        self._ledger = InertiaLedger(cell, self._ref) if cell is not None else None
        self._look_s = float(settings.get("look_s", 900.0))
        self._desk.points.ttl_ms["inertia_mw_s_per_hz"] = int(1000 * float(settings.get("inertia_ttl_s", 43_200.0)))
        self._rows = self._desk.register.of("storage")
        self._others = tuple(name for name in site.neighbours if name.endswith(".dms"))
        self._next_s = -math.inf
        self._seen = np.zeros(2)

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("tie", TOPIC)

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return letters to other cells, gains that changed or would run out, and the account for the logbook."""
        now_ms = self._desk.read(now_s, inbox)
        newest, ledger = None, self._ledger
        for message in inbox:
            if message.topic == TOPIC and ledger is not None:
                ledger.hear(message)
            elif message.topic == "tie":
                newest = message
        if newest is None or ledger is None:
            return []
        seen = np.array([float(newest.values["inertia_mws"]), float(newest.values["largest_mw"])])
        if now_s < self._next_s and (np.abs(seen - self._seen) <= NEWS * self._seen).all():
            return []
        self._seen, self._next_s = seen, now_s + self._look_s
        self._desk.book_storages(now_ms)
        machines, largest = seen.tolist()
        assigned, out = self._assign(needed_mws(largest, self._ref) - machines, machines, now_s)
        ledger.note(machines + assigned, largest, float(newest.values["p_tie_mw"]), now_s)
        return [*out, *ledger.letters(self._site.name, self._others), *ledger.account(self._site, assigned, now_s)]

    def _assign(self, missing: float, machines: float, now_s: float) -> tuple[float, list[Message]]:
        """Give batteries gains for what is missing; return what they stand for [MWs], and the orders."""
        gains = assigned_gains(min(missing, machines), *self._left(), self._ref)
        points = self._desk.points
        points.wish(DUTY, "inertia_mw_s_per_hz", self._rows, np.where(gains > 1e-6, gains, np.nan))
        again_ms = int(1000 * self._look_s) + 2 * self._site.period_ms
        orders = points.orders(DUTY, "inertia_mw_s_per_hz", round(1000 * now_s), again_ms)
        return float(gains.sum()) * self._ref.f0_hz / 2, orders

    def _left(self) -> tuple[Floats, Floats]:
        """Return headroom [MW] and energy [MWs] either way that other duties leave each battery."""
        desk, rows = self._desk, self._rows
        rated = desk.register.p_rated_mw[rows]
        used = np.abs(np.nan_to_num(desk.points.total("p_set_mw")[rows]))
        headroom = np.maximum(rated - used - desk.droop_mw_per_hz[rows] * FULL_HZ, 0.0)
        charge, discharge = desk.storages.range_mw(rows, for_h=1.0 / 60)
        lasting_mwh = np.minimum(-charge, discharge) / 60
        return headroom, 3600.0 * lasting_mwh
