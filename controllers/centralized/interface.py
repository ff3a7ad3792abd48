"""Support the TSO's voltage: follow a reactive power at the interface that leans against the deviation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.belief import InterfaceBelief
from controllers.centralized.desk import Desk
from controllers.centralized.voltage import LOW_VOLTAGE_KV
from controllers.contract import Site
from controllers.dms import kernels
from controllers.dms.feeder_file import Picture
from controllers.dms.network import Topology
from controllers.dms.set_points import Bools, Floats, Ints
from controllers.local.qu import prescribed_q
from controllers.logbook import LOGBOOK
from sims.core.message import Message

DUTY = "support_tso_voltage"
SOURCES = ("pv", "wind", "storage", "chp", "svc", "statcom")


class SupportTsoVoltage:
    """Makes the feeders below each interface deliver Q_ref = sat(k_p (U_set - U)).

    Positive into transmission, after the Swiss voltage support concept. U_set is what the TSO last wrote (``u_set``);
    until it has, nothing is done. Q_ref is tracked by a PI controller
    over the reactive power of DER; each feeder gives what its voltages leave room for, the largest devices
    first, so that few substations are spoken to. The voltage limits of the own grid come before the wish: what the
    room does not allow stays unmet, as the logbook tells. Inverters at low voltage stay with their Q(U), as in
    `ControlVoltage`; the interface's own tap changer stays with its AVR.

    Settings: `k_p_mvar_per_pu` (4000), `cycle_ms` (60 000), `track_p` (0.1) and `track_t_i_ms` (360 000) of
    the PI (stable with two cycles of delay where all interfaces of a weak grid move at once),
    `deadband_share` (0.02 of the interface's range, below which nothing is sent), `margin_pu` (0.005), `q_ttl_s`
    (1800, the life of orders for reactive power: so long devices hold what they were told if nothing more comes).
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        settings = site.settings
        self._site, self._desk = site, Desk(site, 60_000)
        self._k_p = float(settings.get("k_p_mvar_per_pu", 4000.0))
        self._p = float(settings.get("track_p", 0.1))
        self._t_i_s = float(settings.get("track_t_i_ms", 360_000)) / 1000
        self._deadband = float(settings.get("deadband_share", 0.02))
        self._desk.points.ttl_ms["q_set_mvar"] = int(1000 * float(settings.get("q_ttl_s", 1800.0)))
        self._margin = float(settings.get("margin_pu", 0.005))
        self._of = {i.name: i for i in site.grid.interfaces}
        number = {f.name: k for k, f in enumerate(self._desk.register.feeders)}
        register = self._desk.register
        at_medium = register.vn_kv > LOW_VOLTAGE_KV
        sources = [register.of(*SOURCES, feeder=k) for k in range(len(register.feeders))]
        self._rows = [rows[at_medium[rows]] for rows in sources]
        self._feeders = {i.name: [number[f] for f in i.feeders if f in number] for i in site.grid.interfaces}
        self._integral: dict[str, float] = dict.fromkeys(self._of, 0.0)
        self._asked: dict[str, float] = dict.fromkeys(self._of, 0.0)
        self._wish: dict[str, tuple[int, float]] = {}
        self._read_ms: dict[str, int] = {}
        self._last_ms: dict[str, int] = {}
        self._inner: dict[int, tuple[Topology, Ints]] = {}
        self._rooms: dict[int, tuple[int, Floats, Floats, Floats, Ints]] = {}
        self._joined: dict[str, tuple[Floats, Floats, Floats, Ints]] = {}

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("interface", "u_set")

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return reactive set-points for the DER below each interface that reported."""
        now_ms = self._desk.read(now_s, inbox)
        newest: dict[str, Message] = {}
        for message in inbox:
            if message.topic == "u_set":
                self._hear(message)
            known = message.topic == "interface" and message.sender in self._of
            if known and message.sent_ms > self._read_ms.get(message.sender, -1):
                self._read_ms[message.sender] = message.sent_ms
                newest[message.sender] = message
        out: list[Message] = []
        acted = False
        for name, message in sorted(newest.items()):
            if name not in self._wish or now_ms - self._last_ms.get(name, -(10**9)) < 0.9 * self._desk.cycle_ms:
                continue
            elapsed_s = min(now_ms - self._last_ms.get(name, now_ms - self._desk.cycle_ms), 600_000) / 1000
            self._last_ms[name] = now_ms
            goal = self._track(self._of[name], message, elapsed_s, now_ms)
            acted = True
            if goal is not None:
                out.append(goal)
        if acted:
            again = self._desk.cycle_ms + 2 * self._site.period_ms
            out += self._desk.points.orders(DUTY, "q_set_mvar", now_ms, again)
        return out

    def _hear(self, letter: Message) -> None:
        """Note the voltage that the TSO wishes at an interface, unless it has written a newer one."""
        name, v_pu = str(letter.values["interface"]), float(np.atleast_1d(letter.values["v_set_pu"])[0])
        if np.isfinite(v_pu) and letter.sent_ms >= self._wish.get(name, (letter.sent_ms, 0.0))[0]:
            self._wish[name] = letter.sent_ms, v_pu

    def _track(self, interface: InterfaceBelief, message: Message, elapsed_s: float, now_ms: int) -> Message | None:
        """Advance the PI of one interface and distribute its outcome; return an entry for the logbook."""
        values = {k: float(np.atleast_1d(message.values[k])[0]) for k in ("v_pu", "q_mvar")}
        if not all(np.isfinite(v) for v in values.values()) or values["v_pu"] < 0.1:
            return None
        span = interface.q_range_mvar
        q_ref = float(np.clip(self._k_p * (self._wish[interface.name][1] - values["v_pu"]), -span, span))
        error = q_ref - values["q_mvar"]
        lower, upper, lawful, rows = self._room(interface.name, now_ms)
        most, least = float(upper.sum()), float(lower.sum())
        integral = self._integral[interface.name] + error * elapsed_s / self._t_i_s
        wanted = self._p * error + integral
        given = float(np.clip(wanted, least, most))
        # Anti-windup: the integral keeps only what the devices can give.
        self._integral[interface.name] = float(np.clip(integral, min(least, given), max(most, given)))
        if abs(given - self._asked[interface.name]) > self._deadband * span or given in (least, most):
            self._asked[interface.name] = given
            self._give(rows, lower, upper, lawful, given)
        name = interface.name
        goal = {"duty": DUTY, "interface": name, "q_ref_mvar": q_ref, "q_mvar": values["q_mvar"],
                "q_der_mvar": self._asked[name], "unmet_mvar": wanted - given}
        return Message(self._site.name, LOGBOOK, "goal", goal)

    def _room(self, interface: str, now_ms: int) -> tuple[Floats, Floats, Floats, Ints]:
        """Return lowest and highest Q of the devices below an interface, what their Q(U) gives [Mvar], their rows."""
        state, feeders = self._desk.state, self._desk.register.feeders
        stale: list[tuple[int, Picture]] = []
        for number in self._feeders[interface]:
            picture, known = state.picture(feeders[number].name, now_ms), self._rooms.get(number)
            if picture is not None and (known is None or known[0] != picture.at_ms):
                stale.append((number, picture))
        if stale:
            self._measure(stale)
        if stale or interface not in self._joined:
            none = 0, np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
            rooms = [none, *(self._rooms[n] for n in self._feeders[interface] if n in self._rooms)]
            lower, upper, lawful, rows = (np.concatenate(column) for column in list(zip(*rooms, strict=True))[1:])
            self._joined[interface] = lower, upper, lawful, rows
        return self._joined[interface]

    def _measure(self, pictures: list[tuple[int, Picture]]) -> None:
        """Note the room in each feeder: its inverters' capability, scaled to what its voltages allow.

        An inverter that is spoken to leaves its Q(U). One whose Q(U) works against a voltage is therefore not newly
        asked for the opposite: the voltage would lose what holds it.
        """
        desk, grid = self._desk, self._site.grid
        rows = np.concatenate([self._inside(number, picture.topology) for number, picture in pictures])
        reach = desk.reach(rows)
        mine, total = desk.points.asked(DUTY, "q_set_mvar", rows)
        lower, upper = np.minimum(mine - total - reach, 0.0), np.maximum(mine - total + reach, 0.0)
        node, end = desk.register.node[rows], 0
        size = np.concatenate([np.abs(p.v[desk.register.node[self._inner[number][1]]]) for number, p in pictures])
        lawful = prescribed_q(np.where(desk.register.feeds_in[rows], desk.register.p_rated_mw[rows], 0.0), size)
        free = np.isnan(desk.points.wished(DUTY, "q_set_mvar")[rows])
        lower, upper = np.where(free & (lawful > 0), 0.0, lower), np.where(free & (lawful < 0), 0.0, upper)
        for number, picture in pictures:
            topology, here = picture.topology, slice(end, end + len(self._inner[number][1]))
            base, end = topology.net.grid.base_mva, here.stop
            fall, rise = kernels.room(
                topology.lu, topology.w, topology.net.z_feed, topology.free, topology.anchor, picture.v, node[here],
                mine[here] / base, lower[here] / base, upper[here] / base,
                grid.v_min_pu + self._margin, grid.v_max_pu - self._margin,
            )
            self._rooms[number] = picture.at_ms, lower[here] * fall, upper[here] * rise, lawful[here], rows[here]

    def _inside(self, number: int, topology: Topology) -> Ints:
        """Return the devices of a feeder that its voltages answer to."""
        known = self._inner.get(number)
        if known is None or known[0] is not topology:
            rows = self._rows[number]
            known = self._inner[number] = topology, rows[topology.at[self._desk.register.node[rows]] >= 0]
        return known[1]

    def _give(self, rows: Ints, lower: Floats, upper: Floats, lawful: Floats, total: float) -> None:
        """Fill the devices, largest first, until `total` is reached; the rest is left alone."""
        room = upper if total > 0 else -lower
        # By nameplate: an order by what each can give just now would tell many anew at every cloud.
        order = np.lexsort((rows, -self._desk.register.s_rated_mva[rows]))
        used_up = np.cumsum(room[order]) - room[order]
        share = np.zeros(len(rows))
        share[order] = np.clip(abs(total) - used_up, 0.0, room[order])
        used: Bools = share > 1e-6
        wish = np.where(used, np.sign(total) * share, np.nan)
        points = self._desk.points
        before = points.total("q_set_mvar")[rows]
        points.wish(DUTY, "q_set_mvar", rows, wish)
        after = points.total("q_set_mvar")[rows]
        change = np.where(np.isnan(after), lawful, after) - np.where(np.isnan(before), lawful, before)
        self._desk.state.expect(self._desk.register.place[rows], np.zeros(len(rows)), change)
