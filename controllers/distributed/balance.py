"""Balance of a cell without a centre: interface agents share the demand and net it with other cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

from controllers.contract import Site
from controllers.distributed.area import number
from controllers.distributed.consensus import own_weight
from controllers.distributed.dispatch import TOP, Dispatch
from controllers.distributed.feeders import Feeders
from controllers.distributed.netting import Ledger
from controllers.logbook import goal
from controllers.restoration_law import beyond_mw, cell_error
from controllers.stations import Stations
from sims.core.message import Message

DUTY = "balance_cell"
PRICE = "consensus/price"
DROOP_DEADBAND_HZ = 0.01


class CellAgents:
    """One interface's part in restoring the balance of its cell.

    Every agent forms the control error CE = (P_tie - P_sched) + B df from the tie measurement it gets and
    moves its view of the demand by -(k_p dCE + CE dt / T_i); consensus with the other agents of the cell
    keeps the views equal (an agent that missed a measurement is carried along). A view is told when it has
    moved by more than `tell_mw`, or after `BEAT_S`; what was heard holds for two such beats. The demand is
    limited to what can be there by the next round, so nothing winds up. B counts the droop that the cell's
    devices owe as well: what they give to contain a disturbance elsewhere is no error.

    The demand is called from the contracted reserve of the cell's power stations, which the agents have dealt out
    among themselves. Until it has come the feeders fill in at the least cost: storage, then vehicles, downwards CHP
    and at last PV and wind, by consensus on the incremental cost (see `dispatch.Dispatch`), and behind each agent in
    steps, so that a small change is one feeder's; they are let go as the reserve comes. What is demanded beyond the
    reserve stays with them. Feeders are told once the agents agree, at the latest with the next measurement.

    The cell's first agent nets the imbalance with those of other cells whose demand has the other sign:
    request -> offer (kept back) -> accept -> confirm, within the tie capacity left on both sides; a deal moves
    both schedules to the end of the quarter-hour. It asks once the cell has used up `net_from` of its own means:
    what these cover they restore, so that the exchange comes back to the schedule it was planned with.

    Settings
    --------
    k_p, t_i_s : float
        (0.1, 120)
    deadband_mw : float
        Errors below this move nothing (2).
    fill_share : float
        What the stations lack is filled in once it is more than this share of what the feeders can give (0.02).
    droop_mw_per_hz : float
        What the DSO's side of the cell owes (a tenth of the cell's bias).
    reserve_deadband_mw, reserve_ttl_s : float
        Of `Stations`.
    net_mw : float
        Least imbalance for which other cells are asked; 0 asks never (20).
    net_from : float
        Share of the own capacity in use from which others are asked (0.8).
    tell_mw : float
        Dead-band of what the mates are told (1).
    step : float
        Of `sharing.stepped` (0.25).
    deal_s : float
        (900)
    ask_s : float
        Least time before a cell that had nothing to give is asked again (300).
    peers : mapping of cell name to address
        Agents that speak for the other cells; by default the first interface of each known cell.
    """

    urgent = frozenset({"tie", PRICE, "net/request", "net/offer", "net/accept", "net/confirm"})
    reads = frozenset({"capacity/p", "capacity/cut", "consensus/balance"})
    BEAT_S = 300.0

    def __init__(self, site: Site) -> None:
        self.site = site
        s = site.settings
        self.cell = next(c for c in site.grid.cells if site.name in c.interfaces)
        self.f_nominal_hz = site.grid.f_nominal_hz
        self.k_p, self.t_i_s = float(s.get("k_p", 0.1)), float(s.get("t_i_s", 120.0))
        self.deadband_mw = float(s.get("deadband_mw", 2.0))
        self.net_from = float(s.get("net_from", 0.8))
        self.net_mw, self.deal_s = float(s.get("net_mw", 20.0)), float(s.get("deal_s", 900.0))
        self.mates = tuple(n for n in self.cell.interfaces if n != site.name)
        self.speaks = site.name == self.cell.interfaces[0]
        others = {c.name: c.interfaces[0] for c in site.grid.cells if c is not self.cell and c.interfaces}
        self.peers = tuple(dict(s.get("peers", others)).values())
        stations = [g for g in site.grid.generators if g.cell == self.cell.cell]
        place = self.cell.interfaces.index(site.name)
        self.stations = Stations(site, stations[place :: len(self.cell.interfaces)], stations)
        self.fill_share = float(s.get("fill_share", 0.02))
        self.droop = float(s.get("droop_mw_per_hz", 0.1 * self.cell.bias_mw_per_hz))
        self.weight = own_weight(len(self.mates), len(self.mates))
        self.demand_mw = 0.0
        self.error_mw = 0.0
        self.tie_mw = self.sched_mw = math.nan
        self.tie_s = -math.inf
        self.shift_mw = 0.0
        self.heard: dict[str, tuple[float, float]] = {}
        self.mate_capacity: dict[str, list[float]] = {}
        self.ledger = Ledger()
        self.asked: dict[str, tuple[str, float, float]] = {}
        self.tell_mw = float(s.get("tell_mw", 1.0))
        self.feeders = Feeders(float(s.get("step", 0.25)))
        self.ask_s = float(s.get("ask_s", 300.0))
        self.told: tuple[float, ...] = (0.0,) * 5
        self.told_s = -math.inf
        self.refused_s: dict[str, float] = {}
        self.dispatch = Dispatch(
            dict.fromkeys(self.mates, len(self.mates)), price=0.0, most=TOP / 8, limit=TOP,
            least_slope=self.deadband_mw / TOP, gain=0.25, dead_mw=self.tell_mw / 4,
        )
        self.need_mw = self.amount_mw = 0.0
        self.active = self.seeking = False
        self.round_s = site.period_ms / 1000
        self.next_s, self.agreed_s = 0.0, -math.inf
        self.count = 0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take measurements and letters; with each measurement, or once a period, agree, net, and share out."""
        out: list[Message] = []
        tie, asked = None, False
        for message in inbox:
            topic = message.topic
            if topic == "tie":
                tie = message
            elif topic in ("capacity/p", "capacity/cut"):
                self.feeders.hear(message)
            elif topic == "consensus/balance" and message.sender in self.mates:
                self._mate(message)
            elif topic == PRICE:
                self.dispatch.hear(message)
                asked = True
            elif topic.startswith("net/"):
                out += self._net(message, now_s)
        if tie is not None:
            self._error(tie)
        if now_s < self.next_s and tie is None:
            return out + self._seek(now_s) if asked else out
        self.next_s = now_s + self.round_s
        self.stations.advance(now_s)
        self._agree(now_s)
        if self.speaks:
            self.ledger.expire(now_s)
            self._shift(self.ledger.shift_mw())
            out += self._ask(now_s)
        if self._quiet():
            return out
        return out + self._tell(now_s) + self._share(now_s) + [goal(
            self.site, DUTY, {"interface": self.site.name}, error_mw=self.error_mw, asked_mw=self.demand_mw,
            stations_mw=self.stations.called_mw, filled_in_mw=self.feeders.sent_mw,
        )]

    def _tell(self, now_s: float) -> list[Message]:
        """Tell the mates the own view where it is news to them."""
        view, told = (self.demand_mw, self.shift_mw, *self.feeders.able_mw()), self.told
        if now_s - self.told_s < self.BEAT_S:
            dead = (self.tell_mw, 1e-9, *(0.05 * mw + 1e-9 for mw in told[2:]))
            if all(abs(new - old) <= most for new, old, most in zip(view, told, dead, strict=True)):
                return []
        self.told, self.told_s = view, now_s
        values = dict(zip(("demand_mw", "shift_mw", "up_mw", "down_mw", "cut_mw"), view, strict=True))
        return [Message(self.site.name, m, "consensus/balance", values, size_bytes=80) for m in self.mates]

    def _quiet(self) -> bool:
        still = abs(self.error_mw) <= self.deadband_mw and abs(self.demand_mw) < 0.1 and not self.active
        still = still and abs(self.stations.called_mw) < 0.1
        return still and all(abs(d) < 0.1 for d, _ in self.heard.values()) and self.shift_mw == 0.0

    def _mate(self, message: Message) -> None:
        values = message.values
        heard_s = message.sent_ms / 1000
        if heard_s < self.heard.get(message.sender, (0.0, -math.inf))[1]:
            return  # a newer letter has overtaken this one
        self.heard[message.sender] = (float(values["demand_mw"]), heard_s)
        self.mate_capacity[message.sender] = [float(values[k]) for k in ("up_mw", "down_mw", "cut_mw")]
        if message.sender == self.cell.interfaces[0]:
            self._shift(float(values["shift_mw"]))

    def _shift(self, shift_mw: float) -> None:
        """Take a changed schedule: what the other cell now covers is no longer asked for here."""
        change = shift_mw - self.shift_mw
        self.shift_mw = shift_mw
        self.demand_mw += change
        self.error_mw -= change

    def _error(self, tie: Message) -> None:
        """Move the demand by what the newest measurement says."""
        values = tie.values
        self.tie_mw, self.sched_mw = number(values["p_tie_mw"]), number(values["p_sched_mw"])
        f_hz, f0_hz = number(values["f_hz"]), self.f_nominal_hz
        error = cell_error(self.tie_mw, self.sched_mw + self.shift_mw, f_hz, f0_hz, self.cell.bias_mw_per_hz)
        error += beyond_mw(f_hz - f0_hz, DROOP_DEADBAND_HZ, self.droop)
        error = 0.0 if abs(error) <= self.deadband_mw else error
        now_s = tie.sent_ms / 1000
        dt_s = min(max(now_s - self.tie_s, 0.0), 2 * self.round_s) if math.isfinite(self.tie_s) else self.round_s
        self.demand_mw -= self.k_p * (error - self.error_mw) + error * dt_s / self.t_i_s
        self.error_mw, self.tie_s = error, now_s

    def _agree(self, now_s: float) -> None:
        view, said = self.demand_mw, self.told[0]
        for name, (other, heard_s) in list(self.heard.items()):
            if now_s - heard_s > 2.5 * self.BEAT_S:
                del self.heard[name]
                continue
            # Told against told: what neither has told yet is not pulled back, so the integral is not held up.
            view += self.weight * (other - said)
        up, down, cut = self._capacity()
        low, high = self.stations.reach_mw(min(now_s - self.agreed_s, self.round_s))
        self.agreed_s = now_s
        last = cut if low <= -self.stations.reserve_mw else 0.0
        self.demand_mw = min(max(view, low - down - last), high + up)

    def _capacity(self) -> tuple[float, float, float]:
        """Return what the cell's feeders can give up and down, and what they can hold back [MW]."""
        up = down = cut = 0.0
        for theirs in self.mate_capacity.values():
            up, down, cut = up + theirs[0], down + theirs[1], cut + theirs[2]
        own = self.feeders.able_mw()
        return own[0] + up, own[1] + down, own[2] + cut

    def _share(self, now_s: float) -> list[Message]:
        """Call the stations, and have what they lack dispatched among the cell's feeders."""
        out = self.stations.call(DUTY, self.demand_mw, now_s)
        up, down, cut = self._capacity()
        lack = self.demand_mw - self.stations.after(self.round_s)
        if self.stations.reserve_mw and abs(lack) <= max(self.deadband_mw, self.fill_share * (up + down)):
            lack = 0.0
        self.need_mw = min(max(lack, -down - cut), up) / len(self.cell.interfaces)
        if self.seeking:  # no agreement since the last measurement: what there is, is better than nothing
            out += self._tell_feeders(now_s)
        return out + self._seek(now_s, again=True) if self.need_mw or self.active else out

    def _seek(self, now_s: float, *, again: bool = False) -> list[Message]:
        """Go one round towards the cheapest dispatch; once there is no news, tell the feeders."""
        dispatch = self.dispatch
        self.amount_mw = dispatch.step(self.need_mw, self.feeders.sources())
        self.active = self.need_mw != 0.0 or abs(dispatch.average[0]) >= self.tell_mw
        if not self.active:
            self.amount_mw = 0.0
            dispatch.rest()
        news = dispatch.news and bool(self.mates)
        self.seeking = news and self.active
        out = dispatch.letters(self.site.name, PRICE) if news or (again and self.active) else []
        return out if self.seeking else out + self._tell_feeders(now_s)

    def _tell_feeders(self, now_s: float) -> list[Message]:
        return self.feeders.letters(self.site.name, self.amount_mw, now_s)

    def _ask(self, now_s: float) -> list[Message]:
        """Ask the other cells to take the own imbalance; repeat an acceptance that was not confirmed."""
        self.asked = {n: a for n, a in self.asked.items() if a[2] > now_s}
        accepts = [
            self._reply(partner, "net/accept", n, mw, until_s)
            for n, (partner, mw, until_s) in self.asked.items() if n not in self.ledger.purchases and mw
        ]
        waiting = any(n not in self.ledger.purchases for n in self.asked)
        if not self.net_mw or abs(self.demand_mw) < self.net_mw or math.isnan(self.tie_mw) or waiting:
            return accepts
        want = self.demand_mw
        up, down, cut = self._capacity()
        if abs(want) < self.net_from * (self.stations.reserve_mw + (up if want >= 0 else down + cut)):
            return accepts
        if self._room(-want) < self.net_mw:
            return accepts
        for peer in self.peers:
            if now_s - self.refused_s.get(peer, -math.inf) < self.ask_s:
                continue
            self.count += 1
            deal = f"{self.site.name}:{self.count}"
            self.asked[deal] = (peer, 0.0, now_s + 2 * self.round_s)
            accepts.append(self._reply(peer, "net/request", deal, want, now_s + 2 * self.round_s))
        return accepts

    def _room(self, shift_mw: float) -> float:
        """Return how much further the tie may be loaded in the direction of a change of schedule [MW]."""
        planned = self.sched_mw + self.shift_mw
        towards = planned if shift_mw > 0 else -planned
        return self.cell.tie_capacity_mw - max(towards, 0.0) - self._bound_mw()

    def _net(self, message: Message, now_s: float) -> list[Message]:
        values, partner = message.values, message.sender
        if not self.speaks or partner not in self.peers:
            return []
        deal = str(values["deal"])
        if message.topic == "net/request":
            want = float(values["mw"])
            # Only what this cell needs the other way is given: nothing is activated for a neighbour.
            opposite = want * self.demand_mw < 0 and abs(self.demand_mw) >= self.net_mw
            # Two cells that ask each other at once would sell the same MW twice: the first name goes first.
            asking = any(p == partner for p, _, _ in self.asked.values()) and self.site.name < partner
            free = abs(self.demand_mw) - self._bound_mw() if opposite and not asking else 0.0
            free = min(free, self._room(want)) if not math.isnan(self.tie_mw) else 0.0
            offered = self.ledger.reserve(deal, partner, want, free, now_s + 3 * self.round_s)
            return [self._reply(partner, "net/offer", deal, offered, now_s)]
        if message.topic == "net/offer":
            return self._take(deal, partner, float(values["mw"]), now_s)
        if message.topic == "net/accept":
            sold = self.ledger.sell(deal, partner, float(values["mw"]), float(values["until_s"]))
            return [self._reply(partner, "net/confirm", deal, sold or 0.0, float(values["until_s"]))]
        if message.topic == "net/confirm" and deal in self.asked and deal not in self.ledger.purchases:
            if float(values["mw"]):
                self.ledger.buy(deal, partner, -float(values["mw"]), self.asked[deal][2])
            else:
                del self.asked[deal]
        return []

    def _bound_mw(self) -> float:
        """Return what of the demand is promised in deals that have not moved the schedule yet [MW]."""
        fresh = self.ledger.shift_mw() - self.shift_mw
        reserved = sum(abs(d.mw) for d in self.ledger.sales.values() if not d.sold)
        accepted = sum(abs(mw) for n, (_, mw, _) in self.asked.items() if n not in self.ledger.purchases)
        return abs(fresh) + reserved + accepted

    def _take(self, deal: str, partner: str, offered: float, now_s: float) -> list[Message]:
        """Accept an offer up to what is still needed."""
        known = self.asked.get(deal)
        if known is None or known[0] != partner or known[1]:
            return []
        need = min(abs(self.demand_mw) - self._bound_mw(), self._room(-self.demand_mw))
        size = min(abs(offered), max(need, 0.0)) if offered * self.demand_mw > 0 else 0.0
        if offered == 0:
            self.refused_s[partner] = now_s
        if size <= 0:
            del self.asked[deal]
            return []
        # Deals end on common quarter-hours: one that undoes another then ends with it, and not after.
        mw, until_s = math.copysign(size, offered), (now_s // self.deal_s + 1) * self.deal_s
        self.asked[deal] = (partner, mw, until_s)
        return [self._reply(partner, "net/accept", deal, mw, until_s)]

    def _reply(self, partner: str, topic: str, deal: str, mw: float, until_s: float) -> Message:
        return Message(self.site.name, partner, topic, {"deal": deal, "mw": mw, "until_s": until_s}, size_bytes=72)
