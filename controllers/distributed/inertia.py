"""Inertia without a centre: agents of a cell share what is missing among its batteries, cells trade what is over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed.area import Fleet
from controllers.distributed.frequency import DroopAgents, ShareDroop
from controllers.dms.inertia import Reference, needed_mws
from controllers.dms.inertia_ledger import DUTY, NEWS, TOPIC, InertiaLedger
from sims.core.message import Message


class InertiaAgents(DroopAgents):
    """One interface's part in the inertia that its cell lacks, shared out as droop is: by average consensus.

    The TSO tells with the ties what kinetic energy runs in the cell and how large its largest machine is; what is
    missing to f0 dP / (2 RoCoF_max) is asked of the batteries, never more than the machines' own. The first interface
    of each cell keeps the account: it tells those of the other cells how its own stands, and all come to the same
    trade (see `InertiaLedger`).

    Settings
    --------
    rocof_max_hz_s : float
        (1)
    look_s : float
        Time between accounts while nothing moves (900).
    tolerance : float
        As of `DroopAgents`.
    """

    WHAT = "inertia"
    reads = frozenset({"capacity/inertia", "consensus/inertia", "tie", TOPIC})

    def __init__(self, site: Site) -> None:
        self.missing_mws = 0.0
        slope = float(site.settings.get("rocof_max_hz_s", 1.0))
        self.reference = Reference(site.grid.f_nominal_hz, slope, slope)
        super().__init__(site)
        self.look_s = float(site.settings.get("look_s", 900.0))
        self.account_s = -np.inf
        self.seen: NDArray[np.float64] = np.zeros(2)
        self.leads = self.cell.interfaces[0] == site.name
        self.ledger = InertiaLedger(self.cell, self.reference)
        firsts = [c.interfaces[0] for c in site.grid.cells if c.interfaces]
        self.others = tuple(name for name in firsts if name != site.name)

    def target(self) -> float:
        """Return the gain that the cell's batteries are to give in all [MW s/Hz]."""
        return self.missing_mws * 2 / self.reference.f0_hz

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take ties and the other cells' letters; agree and share out; keep the account."""
        out: list[Message] = []
        for message in inbox:
            if message.topic == TOPIC:
                self.ledger.hear(message)
            elif message.topic == "tie":
                out += self._see(message, now_s)
        return out + super().decide(now_s, inbox)

    def _see(self, tie: Message, now_s: float) -> list[Message]:
        """Ask for what is missing now; where this agent keeps the account, tell it."""
        seen = np.array([float(tie.values["inertia_mws"]), float(tie.values["largest_mw"])])
        if now_s - self.account_s < self.look_s and (np.abs(seen - self.seen) <= NEWS * self.seen).all():
            return []
        self.seen, self.account_s = seen, now_s
        machines, largest = seen.tolist()
        self.missing_mws = min(max(needed_mws(largest, self.reference) - machines, 0.0), machines)
        part = self.target() / len(self.cell.interfaces)
        if part != self.sums.value[0]:
            self.sums.value, self.calm = np.array([part, self.sums.value[1]]), 0
        if not self.leads:
            return []
        # What the batteries can give in all is known by the average; before there is one, nothing is counted on.
        able_mws = float(self.average[1]) * len(self.cell.interfaces) * self.reference.f0_hz / 2
        assigned = min(self.missing_mws, able_mws)
        self.ledger.note(machines + assigned, largest, float(tie.values["p_tie_mw"]), now_s)
        return self.ledger.letters(self.site.name, self.others) + self.ledger.account(self.site, assigned, now_s)


class ShareInertia(ShareDroop):
    """An area's part in the inertia of its cell: tells what gain its batteries can give, sets its share.

    A battery gives at most `headroom_share` (0.5) of its rating at the steepest slope, the rest is for other duties.

    Settings
    --------
    headroom_share, rocof_max_hz_s : float
        (0.5, 1)
    """

    WHAT, DUTY, QUANTITY = "inertia", DUTY, "inertia_mw_s_per_hz"
    urgent = frozenset({"share/inertia", "capacity/inertia"})

    def able(self) -> tuple[Fleet, NDArray[np.float64]]:
        """Return the batteries of the area, and the most gain of each [MW s/Hz]."""
        s, fleet = self.site.settings, self.area.fleet("storage")
        share = float(s.get("headroom_share", 0.5)) / float(s.get("rocof_max_hz_s", 1.0))
        return fleet, share * fleet.p_rated_mw
