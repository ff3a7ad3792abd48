"""Control voltage: set-points of the tap changers' regulators, and reactive power of DER."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site, command
from controllers.dms.feeder_file import FeederFile, Picture
from controllers.dms.network import Complexes, Network
from controllers.dms.set_points import Floats, Ints
from controllers.dms.volt_var import Band, Sources, best_q, best_steps, settled
from controllers.local.qu import prescribed_q
from sims.core.message import Message
from sims.core.ports import frozen

DUTY = "control_voltage"
SOURCES = ("pv", "wind", "storage", "chp", "svc", "statcom", "capacitor")
LOW_VOLTAGE_KV = 1.0
SIGMAS = 2.0
WIDEST_MARGIN_PU = 0.015


class ControlVoltage:
    """Volt/VAr optimisation of each feeder, on top of the inverters' own Q(U).

    The AVR of a transformer keeps regulating; it is told another set-point. What taps cannot hold, inverters
    at medium voltage are told to hold by reactive power in place of their Q(U), and the order is taken back
    once they would hold it by themselves. Inverters at low voltage stay with Q(U): a frame from there is up
    to 15 min old, and the voltage behind a small transformer moves faster.

    Between estimates the metered flow into a feeder is watched: once it has moved by more than `moved_share`
    of what is connected, the orders to its inverters are taken back, as the state they were made for is gone.

    Limits are approached by a margin that grows with what a voltage may have drifted since it was metered.

    Settings: `cycle_ms` (300 000), `deadband_pu` (0.005, by which the limits must be held without an order
    before it is taken back), `band_pu` (0.02, half width aimed at around the middle of the limits),
    `margin_pu` (0.005 inside the limits), `margin_percent` (4, of branch loading), `hold_ms` (600 000 between
    two changes of one set-point), `moved_share` (0.15). Where this site also supports the TSO's voltage, the
    band is as wide as the limits, so that the two duties do not pull at the same inverters.
    """

    urgent = frozenset({"primary"})

    def __init__(self, site: Site) -> None:
        settings, grid = site.settings, site.grid
        self._site, self._desk = site, Desk(site)
        self._margin = float(settings.get("margin_pu", 0.005))
        self._halves = float(settings.get("band_pu", 0.02)), (grid.v_max_pu - grid.v_min_pu) / 2
        self._loading_max = grid.loading_max_percent - float(settings.get("margin_percent", 4.0))
        self._deadband = float(settings.get("deadband_pu", 0.005))
        self._hold_ms = int(settings.get("hold_ms", 600_000))
        self._moved_share = float(settings.get("moved_share", 0.15))
        self._aim(0)
        self._seen: dict[str, int] = {}
        self._flow_mva: dict[str, Complexes] = {}
        self._moved_ms: dict[tuple[str, int], int] = {}
        register = self._desk.register
        at_medium = register.vn_kv > LOW_VOLTAGE_KV
        self._rows = [rows[at_medium[rows]] for rows in (
            register.of(*SOURCES, feeder=number) for number in range(len(register.feeders)))]

    @property
    def reads(self) -> frozenset[str]:
        """Topics that the host hands over."""
        return self._desk.mail("primary")

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return new set-points of regulators and inverters."""
        desk = self._desk
        now_ms = desk.read(now_s, inbox)
        self._aim(now_ms)
        out: list[Message] = []
        acted = False
        asked = desk.points.steers(DUTY, "q_set_mvar")
        for number, (feeder, picture) in enumerate(
            zip(desk.register.feeders, desk.state.pictures(now_ms), strict=True)
        ):
            seen = self._seen.get(feeder.name, -(10**9))
            if picture is None or picture.at_ms == seen or now_ms - seen < desk.cycle_ms // 2:
                acted |= bool(asked[number]) and self._gone(number)
                continue
            self._seen[feeder.name] = picture.at_ms
            acted = True
            if len(picture.topology.free):
                out += self._look(number, picture, bool(asked[number]), now_ms)
        if acted:
            out += desk.points.orders(DUTY, "q_set_mvar", now_ms, desk.cycle_ms + self._site.period_ms // 5)
        return out

    def _aim(self, now_ms: int) -> None:
        """Choose the band: all that the limits allow while this site supports the TSO's voltage, else a narrow one."""
        self._half = self._halves[self._desk.supports_tso(now_ms)]
        self._narrowest = self._band(WIDEST_MARGIN_PU)

    def _gone(self, number: int) -> bool:
        """Take the orders of a feeder back where its flow has left the state they were made for."""
        desk, rows = self._desk, self._rows[number]
        file = desk.state.files[desk.register.feeders[number].name]
        then = self._flow_mva.get(file.belief.name)
        if then is None:
            return False
        connected = float((file.load_pu + file.der_pu).sum()) * file.belief.grid.base_mva
        if np.abs(_metered(file) - then).sum() <= self._moved_share * connected:
            return False
        desk.points.wish(DUTY, "q_set_mvar", rows, np.full(len(rows), np.nan))
        return True

    def _look(self, number: int, picture: Picture, asked: bool, now_ms: int) -> list[Message]:
        """Move taps where that helps, and inverters where limits are still not held."""
        topology, rows = picture.topology, self._rows[number]
        low, high = picture.extremes_pu
        if not asked and self._narrowest.low <= low and high <= self._narrowest.high:
            return []
        size = np.abs(picture.v[topology.free])
        name = self._desk.register.feeders[number].name
        margin = np.clip(SIGMAS * picture.v_sigma, self._margin, WIDEST_MARGIN_PU)
        band = self._band(margin)
        out, rise = self._taps(name, picture, band, now_ms)
        if asked or (len(rows) and (band.outside(size + topology.share @ rise) > 0).any()):
            self._inverters(number, picture, band, rise, now_ms)
        return out

    def _band(self, margin: Floats | float) -> Band:
        """Return the band aimed at, within limits drawn in by `margin`, for all nodes or by node [free] [pu]."""
        grid = self._site.grid
        middle, low, high = (grid.v_min_pu + grid.v_max_pu) / 2, grid.v_min_pu + margin, grid.v_max_pu - margin
        return Band(np.maximum(low, middle - self._half), np.minimum(high, middle + self._half), low, high)

    def _inverters(self, number: int, picture: Picture, band: Band, rise: Floats, now_ms: int) -> None:
        """Wish for the reactive power that holds the limits, or let the inverters' own law do it."""
        desk, topology, rows = self._desk, picture.topology, self._rows[number]
        points, name, base = desk.points, desk.register.feeders[number].name, topology.net.grid.base_mva
        node = desk.register.node[rows]
        mine, total = points.wished(DUTY, "q_set_mvar")[rows], points.total("q_set_mvar")[rows]
        others = np.where(np.isnan(total), np.nan, total - np.nan_to_num(mine))
        v, s, alone = self._unasked(picture, rows, total, np.where(others == 0.0, np.nan, others))
        if not np.isfinite(v).all():
            return
        inner = Band(band.low, band.high, band.v_min + self._deadband, band.v_max - self._deadband)
        at_rest = np.abs(v[topology.free]) + topology.share @ rise
        wish = np.full(len(rows), np.nan)
        held = inner if np.isfinite(mine).any() else band
        if (held.outside(at_rest) > 0).any():
            lower, upper = self._reach(rows)
            found = best_q(topology, v, s, Sources(node, alone, np.minimum(lower, alone), np.maximum(upper, alone)),
                           held, rise, self._loading_max)
            if found is not None:
                away = np.abs(found - alone) > 1e-6
                wish = np.where(away, found - np.nan_to_num(others), np.nan)
        points.wish(DUTY, "q_set_mvar", rows, wish)
        self._flow_mva[name] = _metered(desk.state.files[name])
        after = points.total("q_set_mvar")[rows]
        change = np.where(np.isnan(after), alone, after) - np.where(np.isnan(total), alone, total)
        if np.abs(change).max(initial=0.0) * 1e3 > base:
            desk.state.expect(desk.register.place[rows], np.zeros(len(rows)), change)

    def _unasked(
        self, picture: Picture, rows: Ints, total: Floats, others: Floats
    ) -> tuple[Complexes, Complexes, Floats]:
        """Return voltages and injections [node] [pu] if this duty asked for nothing, and the devices' Q [Mvar]."""
        topology, register = picture.topology, self._desk.register
        node, base = register.node[rows], topology.net.grid.base_mva
        lawful = np.where(register.feeds_in[rows], register.p_rated_mw[rows], 0.0)  # these follow Q(U)
        v, s = picture.v, picture.s
        law = prescribed_q(lawful, np.abs(v[node]))
        now = np.where(np.isnan(total), law, total)
        freed = np.isfinite(total) & np.isnan(others)
        q: Floats = np.where(freed, law, np.where(np.isnan(others), now, others))
        for _ in range(3):
            if not (q != now).any():
                break
            there = (1j * np.bincount(node, q - now, len(v)) / base).astype(np.complex128)
            v, s = settled(topology, picture.v, picture.s, there), picture.s + there
            # Half a step each time: Q(U) answers to the voltage that it changes.
            q = np.where(freed, (q + prescribed_q(lawful, np.abs(v[node]))) / 2, q)
        return v, s, q

    def _reach(self, rows: Ints) -> tuple[Floats, Floats]:
        """Return lowest and highest Q that inverters can give beside their active power [Mvar]."""
        reach = self._desk.reach(rows)
        kind = self._desk.register.kind[rows]
        return np.where(kind == "capacitor", 0.0, -reach), reach  # capacitors cannot draw any

    def _taps(self, name: str, picture: Picture, band: Band, now_ms: int) -> tuple[list[Message], Floats]:
        """Return orders to regulators, and the rise they will bring to each busbar [pu]."""
        net, topology, grid = picture.topology.net, picture.topology, self._site.grid
        rise = np.zeros(len(net.anchor))
        step, room = _tap_data(net, picture.taps)
        for a in range(len(net.anchor)):
            if now_ms - self._moved_ms.get((name, a), -(10**9)) < self._hold_ms:
                step[a] = 0.0
        steps = best_steps(topology, picture.v, step, band, room)
        rise = steps * step
        moved = np.flatnonzero(steps[net.feed_anchor] != 0)
        if not len(moved):
            return [], rise
        anchor = net.feed_anchor[moved]
        target = np.abs(picture.v[net.anchor[anchor]]) + rise[anchor]
        target = np.clip(target, grid.v_min_pu + self._margin, grid.v_max_pu - self._margin)
        for a in np.unique(anchor):
            self._moved_ms[name, int(a)] = now_ms
        return [command(self._site, name, DUTY, 900.0, trafo=frozen(net.feed_trafo[moved]),
                        v_set_pu=frozen(target))], rise


def _metered(file: FeederFile) -> Complexes:
    """Return the power that enters through each transformer [MVA]."""
    out: Complexes = np.asarray(file.primary["p_mw"]) + 1j * np.asarray(file.primary["q_mvar"])
    return out


def _tap_data(net: Network, taps: Ints) -> tuple[Floats, Ints]:
    """Return rise per step [anchor] and steps left down and up [2, anchor] at positions `taps` [feed]."""
    step = np.zeros(len(net.anchor))
    room = np.full((2, len(net.anchor)), 99, dtype=np.int64)
    movable = np.flatnonzero(net.feed_step)
    rise, (low, high) = net.feed_step[movable], net.feed_range[:, movable]
    anchor, below, above = net.feed_anchor[movable], taps[movable] - low, high - taps[movable]
    step[anchor] = np.abs(rise)
    np.minimum.at(room[0], anchor, np.where(rise > 0, below, above))
    np.minimum.at(room[1], anchor, np.where(rise > 0, above, below))
    return step, room
