"""Support of the TSO's voltage without a centre: the interface agrees, the areas deliver."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from controllers.contract import Site
from controllers.distributed.admm import Agreement, DistributionSide
from controllers.distributed.area import Area, number
from controllers.distributed.book import OrderBook, shared
from controllers.distributed.order_kernels import filled
from controllers.distributed.picture import picture_of
from controllers.distributed.reactive_lookout import ReactiveLookout
from controllers.distributed.sharing import Shares, ShareTree, by_grain, shared_out
from controllers.distributed.voltage import at_medium_voltage, reactive_book
from controllers.logbook import goal
from sims.core.message import Message

DUTY = "support_tso_voltage"


class AdmmInterface:
    """Negotiates the reactive exchange of one interface with the TSO and has the feeders deliver it.

    The TSO opens a negotiation with its first wish; both sides exchange wishes until they agree to 1e-4 pu
    (see `admm.Agreement`), or until the rounds that the TSO gives are used up: then the own last wish counts,
    which is what can be delivered. The logbook is told what it came to, with rounds and residuals. From then on the
    interface's Q is steered to that value: what is missing is added to the amount shared out to the leading agents of
    the feeders, to the same part of the capacity they told, to within one `step`: a small correction is one feeder's.

    Settings
    --------
    weight_q : float
        What the DSO's reserve of Q costs against the TSO's deviation of 0.01 pu (0.05).
    correction : float
        Share of the remaining deviation that is corrected each period (0.3; what is asked for shows at the
        interface two periods later, and the loop is stable below 0.62, see `consensus.integrator_bound`).
    agreement_s : float
        How long an agreement holds (2700).
    step : float
        Of `sharing.stepped` (0.1).
    """

    urgent = frozenset({"admm"})
    reads = frozenset({"interface", "capacity/q", "admm"})

    def __init__(self, site: Site) -> None:
        self.site = site
        self.belief = next(i for i in site.grid.interfaces if i.name == site.name)
        s = site.settings
        self.weight_q = float(s.get("weight_q", 0.05))
        self.rounds = 0
        self.correction = float(s.get("correction", 0.3))
        self.agreement_s = float(s.get("agreement_s", 2700.0))
        self.tso = str(s.get("tso", "tso"))
        self.capacity: dict[str, float] = {}
        self.orders: dict[str, int] = {}
        self.p_mw = self.q_mvar = math.nan
        self.agreement: Agreement | None = None
        self.session = -1.0
        self.side: DistributionSide | None = None
        self.target_mvar = math.nan
        self.target_s = -math.inf
        self.amount_mvar = 0.0
        self.sent_mvar = 0.0
        self.step = float(s.get("step", 0.1))
        self.shares = Shares("share/q")

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
                self.orders[message.sender] = int(message.values.get("orders", 1))
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
            self.session, self.rounds = session, int(number(values.get("rounds", 200)))
            # Where the last negotiation ended this one begins.
            multiplier = np.array(values.get("multiplier", np.zeros(3)), dtype=float)
            self.agreement = Agreement(np.array(values["answer"], dtype=float), number(values["rho"]), multiplier)
            natural = self.q_mvar - self.amount_mvar
            self.side = DistributionSide(self.p_mw / rating, natural / rating, self.reach_mvar / rating, self.weight_q)
        agreement, side = self.agreement, self.side
        if agreement is None or side is None or session != self.session or turn != agreement.rounds + 1:
            return []
        asked = np.asarray(values["x"], dtype=float)
        wish = side.wish(agreement, asked)
        agreement.advance(asked, wish)
        told = {"session": session, "round": turn, "x": wish}
        out = [Message(self.site.name, self.tso, "admm", told, size_bytes=40 + 5 * 8)]
        if agreement.reached or agreement.rounds >= self.rounds:
            settled = agreement.z if agreement.reached else wish
            self.target_mvar, self.target_s = float(settled[1]) * rating, now_s
            self.agreement = None
            out.append(goal(self.site, DUTY, {"interface": self.site.name}, q_ref_mvar=self.target_mvar,
                            rounds=agreement.rounds, primal_pu=agreement.primal, dual_pu=agreement.dual))
        return out

    def _steer(self, now_s: float, measured: bool) -> list[Message]:
        """Share out what brings the interface to the agreed Q; let go when the agreement has run out."""
        if now_s - self.target_s > self.agreement_s:
            self.target_mvar = math.nan
            self.amount_mvar = 0.0
        elif measured:
            amount = self.amount_mvar + self.correction * (self.target_mvar - self.q_mvar)
            self.amount_mvar = min(max(amount, -self.reach_mvar), self.reach_mvar)
        moved = abs(self.amount_mvar - self.sent_mvar) > 0.01 * max(self.reach_mvar, 1e-9)
        ended = self.amount_mvar == 0 != self.sent_mvar
        if not (moved or ended or now_s >= self.shares.due_s) or not self.capacity:
            return []
        self.sent_mvar = self.amount_mvar
        sizes = by_grain(self.capacity, self.orders)
        return self.shares.letters(self.site.name, now_s, shared_out(self.amount_mvar, sizes, self.step), sizes)


class ShareReactive:
    """An area's part in the support of the TSO's voltage: tells its Q upwards, delivers its share.

    While the feeder's own voltage is at its guarded limit, or the neighbours are agreeing on one, that comes
    first: the share is passed on, what is delivered here stands, and the neighbours' ratio adds to it. Nothing
    is withdrawn at one stroke, which would throw the voltage to the other limit.

    Settings
    --------
    guard_pu : float
        (0.008)
    ttl_s : float
        Life of a set-point; renewed when a quarter of it is left (3600).
    step : float
        Of `sharing.stepped` (0.1).
    """

    urgent = frozenset({"share/q", "capacity/q"})
    reads = frozenset({"consensus/q"})
    bench = ReactiveLookout
    BUSY_S, LOOK_S = 240.0, 600.0

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        s = site.settings
        guard_pu = float(s.get("guard_pu", 0.008))
        self.low_pu, self.high_pu = site.grid.v_min_pu + guard_pu, site.grid.v_max_pu - guard_pu
        self.book: OrderBook = shared(site, "q", lambda: reactive_book(site, self.area))
        # In low-voltage grids, whose voltages are heard of each quarter-hour only, nothing is moved for others.
        self.q_max_mvar = at_medium_voltage(self.area, self.book)
        self.whole_mvar = float(self.q_max_mvar.sum())
        orders = len(self.book.fleet.gateways)
        self.tree = ShareTree(self.area, "q", orders=orders, step=float(s.get("step", 0.1)))
        self.tree.own = [self.whole_mvar]
        self.board = picture_of(site, self.area)
        self.volts = self.board.volts
        self.busy, self.busy_s = False, -math.inf
        self.settled = False
        self.ttl_s = float(s.get("ttl_s", 3600.0))
        self.delivered_mvar = 0.0
        self.due_s = self.look_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Keep the sums, split a share that has come, and deliver the own part."""
        act = now_s >= self.look_s
        self.board.look(inbox)
        for message in inbox:
            topic = message.topic
            if topic == "consensus/q":
                if int(message.values["hold"]) > 0:
                    self.busy_s = now_s
            elif topic == "capacity/q":
                self.tree.hear(message)
                self.look_s, self.settled = min(self.look_s, now_s + 1.0), False
            elif topic == "share/q":
                act = self.tree.take(message) or act
        if not act:
            self.due_s = self.look_s  # the children's sums come one by one: told at the next round, all at once
            return []
        self.look_s = self.due_s = now_s + self.LOOK_S
        self.settled = True
        self.busy = busy = self._own_voltage_first(now_s)
        # What is not on offer is not told, or the interface would count on it and take it for its own nature.
        self.tree.own = [abs(self.delivered_mvar) if busy else self.whole_mvar]
        out = self.tree.announce(self.site.name, now_s)
        mine, letters = self.tree.split(self.site.name, now_s)
        return out + letters + self._deliver(self.delivered_mvar if busy else mine, now_s)

    @property
    def quiet_s(self) -> float:
        """Until when a look finds nothing to do, as long as nothing comes and the own voltages stay as they are [s]."""
        renew_s = self.book.due_s if self.delivered_mvar else math.inf
        return min(self.tree.quiet_s, renew_s) if renew_s < math.inf or not self.delivered_mvar else -math.inf

    def _deliver(self, mvar: float, now_s: float) -> list[Message]:
        """Give the own part with one substation after the other, so that few orders move it."""
        if mvar == 0.0 == self.delivered_mvar:
            return []
        moved = abs(mvar - self.delivered_mvar) > 0.02 * self.whole_mvar or mvar == 0.0
        if not moved and now_s < self.book.due_s:
            return []
        if moved:
            self.delivered_mvar = mvar
            self.book.wish(DUTY, filled(self.q_max_mvar, mvar) if mvar else None)
        return self.book.letters(DUTY, now_s, self.ttl_s)

    def _own_voltage_first(self, now_s: float) -> bool:
        if now_s - self.busy_s < self.BUSY_S:
            return True
        return self.volts.highest_pu > self.high_pu or self.volts.lowest_pu < self.low_pu
