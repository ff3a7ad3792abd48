"""Support the TSO's voltage: follow a reactive power at the interface that leans against the deviation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.belief import InterfaceBelief
from controllers.centralized.desk import Desk
from controllers.centralized.voltage import LOW_VOLTAGE_KV
from controllers.contract import Site
from controllers.dms.feeder_file import Picture
from controllers.dms.network import Complexes
from controllers.dms.set_points import Bools, Floats, Ints
from controllers.host import LOGBOOK
from sims.core.message import Message

DUTY = "support_tso_voltage"
SOURCES = ("pv", "wind", "storage", "chp", "svc", "statcom")


class SupportTsoVoltage:
    """Makes the feeders below each interface deliver Q_ref = sat(k_p (U_set - U)).

    Positive into transmission, after the Swiss voltage support concept. Q_ref is tracked by a PI controller
    over the reactive power of DER; each feeder gives what its voltages leave room for, the largest devices
    first, so that few substations are spoken to. Inverters at low voltage stay with their Q(U), as in
    `ControlVoltage`; the interface's own tap changer stays with its AVR.

    Settings: `k_p_mvar_per_pu` (4000), `cycle_ms` (60 000), `track_p` (0.1) and `track_t_i_ms` (360 000) of
    the PI (stable with two cycles of delay where all interfaces of a weak grid move at once),
    `deadband_share` (0.02 of the interface's range, below which nothing is sent), `margin_pu` (0.005).
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        settings = site.settings
        self._site, self._desk = site, Desk(site, 60_000)
        self._k_p = float(settings.get("k_p_mvar_per_pu", 4000.0))
        self._p = float(settings.get("track_p", 0.1))
        self._t_i_s = float(settings.get("track_t_i_ms", 360_000)) / 1000
        self._deadband = float(settings.get("deadband_share", 0.02))
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
        self._read_ms: dict[str, int] = {}
        self._last_ms: dict[str, int] = {}
        self._rooms: dict[int, tuple[int, Floats, Floats, Ints]] = {}

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("interface")

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return reactive set-points for the DER below each interface that reported."""
        now_ms = self._desk.read(now_s, inbox)
        newest: dict[str, Message] = {}
        for message in inbox:
            known = message.topic == "interface" and message.sender in self._of
            if known and message.sent_ms > self._read_ms.get(message.sender, -1):
                self._read_ms[message.sender] = message.sent_ms
                newest[message.sender] = message
        out: list[Message] = []
        acted = False
        for name, message in sorted(newest.items()):
            if now_ms - self._last_ms.get(name, -(10**9)) < 0.9 * self._desk.cycle_ms:
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

    def _track(self, interface: InterfaceBelief, message: Message, elapsed_s: float, now_ms: int) -> Message | None:
        """Advance the PI of one interface and distribute its outcome; return an entry for the logbook."""
        values = {k: float(np.atleast_1d(message.values[k])[0]) for k in ("v_pu", "v_set_pu", "q_mvar")}
        if not all(np.isfinite(v) for v in values.values()) or values["v_pu"] < 0.1:
            return None
        span = interface.q_range_mvar
        q_ref = float(np.clip(self._k_p * (values["v_set_pu"] - values["v_pu"]), -span, span))
        error = q_ref - values["q_mvar"]
        lower, upper, rows = self._room(interface.name, now_ms)
        most, least = float(upper.sum()), float(lower.sum())
        integral = self._integral[interface.name] + error * elapsed_s / self._t_i_s
        wanted = self._p * error + integral
        given = float(np.clip(wanted, least, most))
        # Anti-windup: the integral keeps only what the devices can give.
        self._integral[interface.name] = float(np.clip(integral, min(least, given), max(most, given)))
        if abs(given - self._asked[interface.name]) > self._deadband * span or given in (least, most):
            self._asked[interface.name] = given
            self._give(rows, lower, upper, given)
        name = interface.name
        goal = {"duty": DUTY, "interface": name, "q_ref_mvar": q_ref, "q_mvar": values["q_mvar"],
                "q_der_mvar": self._asked[name]}
        return Message(self._site.name, LOGBOOK, "goal", goal)

    def _room(self, interface: str, now_ms: int) -> tuple[Floats, Floats, Ints]:
        """Return lowest and highest Q of the devices below an interface [Mvar], and their rows."""
        desk, register = self._desk, self._desk.register
        parts: list[tuple[Floats, Floats, Ints]] = []
        for number in self._feeders[interface]:
            picture = desk.state.picture(register.feeders[number].name, now_ms)
            if picture is None:
                continue
            known = self._rooms.get(number)
            if known is None or known[0] != picture.at_ms:
                known = self._rooms[number] = (picture.at_ms, *self._feeder_room(number, picture))
            parts.append(known[1:])
        if not parts:
            return np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
        lows, highs, every = (np.concatenate(column) for column in zip(*parts, strict=True))
        return lows, highs, every

    def _feeder_room(self, number: int, picture: Picture) -> tuple[Floats, Floats, Ints]:
        """Return the room in one feeder: inverters' capability, scaled to what its voltages allow."""
        desk, register, topology = self._desk, self._desk.register, picture.topology
        rows = self._rows[number]
        rows = rows[topology.at[register.node[rows]] >= 0]
        node = register.node[rows]
        reach = desk.reach(rows)
        mine, total = desk.points.asked(DUTY, "q_set_mvar", rows)
        others = total - mine
        lower, upper = np.minimum(-reach - others, 0.0), np.maximum(reach - others, 0.0)
        size = np.abs(picture.v[topology.free])
        unit: Complexes = np.conj(picture.v[topology.free] / size)

        def effect(q_mvar: Floats) -> Floats:
            at_node = np.bincount(node, q_mvar, len(picture.v)) / topology.net.grid.base_mva
            out: Floats = (unit * topology.response(picture.v, (1j * at_node).astype(np.complex128))).real
            return out

        # Both bounds are seen from what the voltages would be without this duty.
        grid = self._site.grid
        idle = size - effect(mine) if mine.any() else size
        rise = effect(upper)
        fall = -effect(lower) if others.any() else rise  # the same reach, the other way
        up = _scale(rise, grid.v_max_pu - self._margin - idle)
        down = _scale(fall, idle - grid.v_min_pu - self._margin)
        return lower * down, upper * up, rows

    def _give(self, rows: Ints, lower: Floats, upper: Floats, total: float) -> None:
        """Fill the devices, largest first, until `total` is reached; the rest is left alone."""
        room = upper if total > 0 else -lower
        # By nameplate: an order by what each can give just now would tell many anew at every cloud.
        order = np.lexsort((rows, -self._desk.register.s_rated_mva[rows]))
        before = np.cumsum(room[order]) - room[order]
        share = np.zeros(len(rows))
        share[order] = np.clip(abs(total) - before, 0.0, room[order])
        used: Bools = share > 1e-6
        wish = np.where(used, np.sign(total) * share, np.nan)
        points = self._desk.points
        change = np.where(used, wish, 0.0) - points.asked(DUTY, "q_set_mvar", rows)[0]
        points.wish(DUTY, "q_set_mvar", rows, wish)
        register = self._desk.register
        for number in np.unique(register.feeder[rows]):
            here = register.feeder[rows] == number
            self._desk.state.expect(register.feeders[number].name, register.node[rows[here]],
                                    np.zeros(int(here.sum())), change[here])


def _scale(effect: Floats, headroom: Floats) -> float:
    """Return the share of a movement that keeps every node within its headroom."""
    moving = effect > 1e-9
    if not moving.any():
        return 1.0
    return float(np.clip((np.maximum(headroom[moving], 0.0) / effect[moving]).min(), 0.0, 1.0))
