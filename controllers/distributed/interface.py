"""Support of the TSO's voltage without a centre: the interface agrees, the areas deliver."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from controllers.contract import Site
from controllers.distributed.admm import Agreement, DistributionSide
from controllers.distributed.area import Area, number
from controllers.distributed.extremes import Extremes
from controllers.distributed.sharing import ShareTree, split_pro_rata
from sims.core.message import Message

DUTY = "support_tso_voltage"


class AdmmInterface:
    """Negotiates the reactive exchange of one interface with the TSO and has the feeders deliver it.

    The TSO opens a negotiation with its first wish; both sides exchange wishes until they agree to 1e-4 pu
    (see `admm.Agreement`). From then on the interface's Q is steered to the agreed value: what is missing is
    added to the amount shared out to the leading agents of the feeders, pro rata of the capacity they told.

    Settings
    --------
    weight_q : float
        What the DSO's reserve of Q costs against the TSO's deviation of 0.01 pu (0.05).
    rounds : int
        After which a negotiation is broken off (200).
    correction : float
        Share of the remaining deviation that is corrected each period (0.3; what is asked for shows at the
        interface two periods later, and the loop is stable below 0.62, see `consensus.integrator_bound`).
    agreement_s : float
        How long an agreement holds (1800).
    """

    urgent = frozenset({"admm"})

    def __init__(self, site: Site) -> None:
        self.site = site
        self.belief = next(i for i in site.grid.interfaces if i.name == site.name)
        s = site.settings
        self.weight_q = float(s.get("weight_q", 0.05))
        self.rounds = int(s.get("rounds", 200))
        self.correction = float(s.get("correction", 0.3))
        self.agreement_s = float(s.get("agreement_s", 1800.0))
        self.tso = str(s.get("tso", "tso"))
        self.capacity: dict[str, float] = {}
        self.p_mw = self.q_mvar = math.nan
        self.agreement: Agreement | None = None
        self.session = -1.0
        self.side: DistributionSide | None = None
        self.target_mvar = math.nan
        self.target_s = -math.inf
        self.amount_mvar = 0.0
        self.sent_mvar = 0.0
        self.sent_s = -math.inf

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Answer the TSO's wishes, then steer the interface to what was agreed."""
        out: list[Message] = []
        measured = False
        for message in inbox:
            topic = message.topic
            if topic == "interface":
                self.p_mw, self.q_mvar = number(message.values["p_mw"]), number(message.values["q_mvar"])
                measured = True
            elif topic == "capacity/q":
                self.capacity[message.sender] = float(np.ravel(message.values["capacity"])[0])
            elif topic == "admm":
                out += self._negotiate(message, now_s)
        return out + self._steer(now_s, measured)

    @property
    def reach_mvar(self) -> float:
        """What the feeders can add either way [Mvar], never more than was registered."""
        return min(sum(self.capacity.values()), self.belief.q_range_mvar)

    def _negotiate(self, message: Message, now_s: float) -> list[Message]:
        values = message.values
        session, turn = number(values["session"]), int(number(values["round"]))
        if math.isnan(self.q_mvar):
            return []
        rating = self.belief.sn_mva
        if turn == 1 and session > self.session:
            self.session = session
            self.agreement = Agreement(np.array(values["z"], dtype=float), number(values["rho"]))
            natural = self.q_mvar - self.amount_mvar
            self.side = DistributionSide(self.p_mw / rating, natural / rating, self.reach_mvar / rating, self.weight_q)
        agreement, side = self.agreement, self.side
        if agreement is None or side is None or session != self.session or turn != agreement.rounds + 1:
            return []
        wish = side.wish(agreement)
        agreement.advance(wish, np.asarray(values["x"], dtype=float))
        if agreement.reached:
            self.target_mvar, self.target_s = float(agreement.z[1]) * rating, now_s
        if agreement.rounds >= self.rounds:
            self.agreement = None
        told = {"session": session, "round": turn, "x": wish}
        return [Message(self.site.name, self.tso, "admm", told, size_bytes=40 + 5 * 8)]

    def _steer(self, now_s: float, measured: bool) -> list[Message]:
        """Share out what brings the interface to the agreed Q; let go when the agreement has run out."""
        if now_s - self.target_s > self.agreement_s:
            self.target_mvar = math.nan
            self.amount_mvar = 0.0
        elif measured:
            amount = self.amount_mvar + self.correction * (self.target_mvar - self.q_mvar)
            self.amount_mvar = min(max(amount, -self.reach_mvar), self.reach_mvar)
        moved = abs(self.amount_mvar - self.sent_mvar) > 0.01 * max(self.reach_mvar, 1e-9)
        stale = self.amount_mvar != 0 and now_s - self.sent_s >= 450.0
        if not (moved or stale) or not self.capacity:
            return []
        self.sent_mvar, self.sent_s = self.amount_mvar, now_s
        names = sorted(self.capacity)
        parts = split_pro_rata(self.amount_mvar, [self.capacity[n] for n in names])
        return [
            Message(self.site.name, name, "share/q", {"amount": part}, size_bytes=48)
            for name, part in zip(names, parts, strict=True)
        ]


class ShareReactive:
    """An area's part in the support of the TSO's voltage: tells its Q upwards, delivers its share.

    While the feeder's own voltage is at its guarded limit, or the neighbours are agreeing on one, that comes
    first: the share is passed on, and not delivered here.

    Settings
    --------
    guard_pu : float
        (0.008)
    ttl_s : float
        Life of a set-point (1800).
    """

    urgent = frozenset({"share/q"})
    BUSY_S = 180.0

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area = Area(site)
        guard_pu = float(site.settings.get("guard_pu", 0.008))
        self.low_pu, self.high_pu = site.grid.v_min_pu + guard_pu, site.grid.v_max_pu - guard_pu
        self.fleet = self.area.fleet("pv", "wind", "storage", "chp")
        self.q_max_mvar = self.fleet.q_max_mvar
        self.tree = ShareTree(self.area, "q")
        self.tree.own = np.array([float(self.q_max_mvar.sum())])
        self.volts = Extremes(self.area)
        self.busy_s = -math.inf
        self.ttl_s = float(site.settings.get("ttl_s", 1800.0))
        self.sent_ratio = math.nan
        self.sent_s = -math.inf
        self.next_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Keep the sums, split a share that has come, and deliver the own part."""
        amount = None
        for message in inbox:
            topic = message.topic
            if topic == "own":
                self.volts.own(message)
            elif topic == "secondary":
                self.volts.frame(message)
            elif topic == "primary":
                self.volts.primary(message)
            elif topic == "consensus/q" and int(message.values["hold"]) > 0:
                if now_s - self.busy_s >= self.BUSY_S:
                    self.next_s = now_s
                self.busy_s = now_s
            elif topic == "capacity/q":
                self.tree.hear(message)
                self.next_s = now_s
            elif topic == "share/q" and message.sender == self.tree.parent:
                amount = float(message.values["amount"])
        if amount is None and now_s < self.next_s:
            return []
        self.next_s = now_s + 300.0
        busy = self._own_voltage_first(now_s)
        # What is not on offer is not told, or the interface would count on it and take it for its own nature.
        self.tree.own = np.array([0.0 if busy else float(self.q_max_mvar.sum())])
        out = self.tree.announce(self.site.name, now_s)
        if amount is None:
            return out
        mine, letters = self.tree.split(self.site.name, amount)
        out += letters
        if busy or not len(self.fleet):
            return out
        ratio = min(max(mine / float(self.tree.own[0]), -1.0), 1.0) if self.tree.own[0] > 0 else 0.0
        # Few letters: a small step waits for the next renewal, half a life before the last one expires.
        if abs(ratio - self.sent_ratio) < 0.02 and ratio != 0 and now_s - self.sent_s < self.ttl_s / 2:
            return out
        self.sent_ratio, self.sent_s = ratio, now_s
        return out + self.fleet.orders(self.site, DUTY, self.ttl_s, "q_set_mvar", ratio * self.q_max_mvar)

    def _own_voltage_first(self, now_s: float) -> bool:
        if now_s - self.busy_s < self.BUSY_S:
            return True
        return self.volts.highest_pu > self.high_pu or self.volts.lowest_pu < self.low_pu
