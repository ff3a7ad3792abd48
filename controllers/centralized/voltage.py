"""Control voltage: set-points of the tap changers' regulators, and reactive power of DER."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.contract import Site, command
from controllers.dms.feeder_file import Picture
from controllers.dms.network import Network
from controllers.dms.set_points import Floats, Ints
from controllers.dms.volt_var import Band, Sources, best_q, best_steps
from sims.core.message import Message
from sims.core.ports import frozen

DUTY = "control_voltage"
SOURCES = ("pv", "wind", "storage", "chp")


class ControlVoltage:
    """Volt/VAr optimisation of each feeder.

    The AVR of a transformer keeps regulating; it is told another set-point. Inverters are told a reactive
    power. A feeder is looked at again once its voltages moved by more than the dead-band.

    Settings: `cycle_ms` (300 000), `deadband_pu` (0.005), `band_pu` (0.02, half width aimed at around the
    middle of the limits), `margin_pu` (0.005 inside the limits), `hold_ms` (600 000 between two changes of
    one set-point). Where this site also supports the TSO's voltage, the band is as wide as the limits, so
    that the two duties do not pull at the same inverters.
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        settings, grid = site.settings, site.grid
        self._site, self._desk = site, Desk(site)
        margin = float(settings.get("margin_pu", 0.005))
        low, high = grid.v_min_pu + margin, grid.v_max_pu - margin
        middle = (grid.v_min_pu + grid.v_max_pu) / 2
        half = float(settings.get("band_pu", 0.02))
        if "support_tso_voltage" in site.duties:
            half = (high - low) / 2
        self._band = Band(max(low, middle - half), min(high, middle + half), low, high)
        self._deadband = float(settings.get("deadband_pu", 0.005))
        self._hold_ms = int(settings.get("hold_ms", 600_000))
        self._seen: dict[str, int] = {}
        self._last_v: dict[str, Floats] = {}
        self._moved_ms: dict[tuple[str, int], int] = {}

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Return new set-points of regulators and inverters."""
        desk = self._desk
        now_ms = desk.read(now_s, inbox)
        out: list[Message] = []
        acted = False
        for number, feeder in enumerate(desk.register.feeders):
            picture = desk.state.picture(feeder.name, now_ms)
            seen = self._seen.get(feeder.name, -(10**9))
            if picture is None or picture.at_ms == seen or now_ms - seen < desk.cycle_ms // 2:
                continue
            self._seen[feeder.name] = picture.at_ms
            acted = True
            rows = desk.register.of(*SOURCES, feeder=number)
            if self._called_for(feeder.name, picture, rows):
                out += self._optimise(number, picture, rows, now_ms)
        if acted:
            out += desk.points.orders(DUTY, "q_set_mvar", now_ms, desk.cycle_ms + self._site.period_ms // 5)
        return out

    def _called_for(self, name: str, picture: Picture, rows: Ints) -> bool:
        """Tell whether the voltages moved, or are outside the band with something left to do."""
        size = np.abs(picture.v[picture.topology.free])
        if not len(size):
            return False
        last = self._last_v.get(name)
        moved = last is None or last.shape != size.shape or float(np.abs(size - last).max()) > self._deadband
        if moved:
            self._last_v[name] = size
        active = bool(np.isfinite(self._desk.points.wished(DUTY, "q_set_mvar")[rows]).any())
        outside = bool((self._band.outside(size) > 0).any())
        return outside or (moved and (active or bool((self._band.beyond(size) > 0).any())))

    def _optimise(self, number: int, picture: Picture, rows: Ints, now_ms: int) -> list[Message]:
        name, topology = self._desk.register.feeders[number].name, picture.topology
        out, rise = self._taps(name, picture, now_ms)
        sources = self._sources(number, rows, now_ms)
        points, base = self._desk.points, topology.net.grid.base_mva
        size = np.abs(picture.v[topology.free]) + topology.share @ rise
        mine = np.nan_to_num(points.wished(DUTY, "q_set_mvar")[rows])
        # What the voltages would be if this duty asked for nothing: then it lets go.
        given = np.bincount(sources.node, mine, len(picture.v)) / base
        unit = np.conj(picture.v[topology.free] / np.abs(picture.v[topology.free]))
        effect = (unit * topology.response(picture.v, (1j * given).astype(np.complex128))).real
        inner = Band(self._band.low, self._band.high, self._band.v_min + self._deadband,
                     self._band.v_max - self._deadband)
        idle = size - effect
        if not (inner.beyond(idle) + inner.outside(idle) > 0).any():
            wish = np.full(len(rows), np.nan)
        else:
            wish = best_q(topology, picture.v, picture.s, sources, self._band, rise)
        points.wish(DUTY, "q_set_mvar", rows, wish)
        change = np.nan_to_num(wish) - mine
        self._desk.state.expect(name, sources.node, np.zeros(len(rows)), change)
        return out

    def _taps(self, name: str, picture: Picture, now_ms: int) -> tuple[list[Message], Floats]:
        """Return orders to regulators, and the rise they will bring to each busbar [pu]."""
        net, topology = picture.topology.net, picture.topology
        rise = np.zeros(len(net.anchor))
        step, room = _tap_data(net, picture.taps)
        for a in range(len(net.anchor)):
            if now_ms - self._moved_ms.get((name, a), -(10**9)) < self._hold_ms:
                step[a] = 0.0
        steps = best_steps(topology, picture.v, step, self._band, room)
        rise = steps * step
        moved = np.flatnonzero(steps[net.feed_anchor] != 0)
        if not len(moved):
            return [], rise
        anchor = net.feed_anchor[moved]
        target = np.abs(picture.v[net.anchor[anchor]]) + rise[anchor]
        target = np.clip(target, self._band.v_min, self._band.v_max)
        for a in np.unique(anchor):
            self._moved_ms[name, int(a)] = now_ms
        return [command(self._site, name, DUTY, 900.0, trafo=frozen(net.feed_trafo[moved]),
                        v_set_pu=frozen(target))], rise

    def _sources(self, number: int, rows: Ints, now_ms: int) -> Sources:
        """Return what each inverter can give beside its active power and what other duties asked for."""
        desk, register = self._desk, self._desk.register
        p = np.abs(np.nan_to_num(desk.points.total("p_set_mw")[rows]))
        feeding = np.isin(register.kind[rows], ("pv", "wind"))
        _, available = desk.feed_in(number, rows, now_ms)
        p = np.where(feeding, available, p)
        reach = np.sqrt(np.maximum(register.s_rated_mva[rows] ** 2 - p**2, 0.0))
        mine = np.nan_to_num(desk.points.wished(DUTY, "q_set_mvar")[rows])
        others = np.nan_to_num(desk.points.total("q_set_mvar")[rows]) - mine
        return Sources(register.node[rows], mine, np.minimum(-reach - others, 0.0),
                       np.maximum(reach - others, 0.0))


def _tap_data(net: Network, taps: Ints) -> tuple[Floats, Ints]:
    """Return rise per step [anchor] and steps left down and up [2, anchor] at positions `taps` [feed]."""
    tables = {t.element: t for t in net.grid.taps if t.kind == "trafo"}
    step = np.zeros(len(net.anchor))
    room = np.full((2, len(net.anchor)), 99, dtype=np.int64)
    for i, trafo in enumerate(net.feed_trafo):
        table, a = tables[int(trafo)], net.feed_anchor[i]
        if len(table.positions) < 2:
            continue
        step[a] = table.step_percent / 100.0
        below, above = int(taps[i] - table.positions[0]), int(table.positions[-1] - taps[i])
        # A tap changer at the high-voltage side raises the busbar by going down.
        down, up = (above, below) if table.side == "hv" else (below, above)
        room[:, a] = np.minimum(room[:, a], (down, up))
    return step, room
