"""What an operator knows of its feeders at this moment: the newest telemetry and the estimate made of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import gammaincinv

from controllers.contract import Site
from controllers.dms import kernels
from controllers.dms.feeder_file import FeederFile, Picture, blank
from controllers.dms.load_estimation import allocate, supplied_by
from controllers.dms.network import Bools, Complexes, Floats, Ints, Network, Topology
from controllers.dms.quick_estimation import IGNORED_PU2, Feed, Gain, estimate
from controllers.dms.readings import PSEUDO_SHARE, Board, Readings
from controllers.dms.transformers import Transformers
from sims.core.message import Message

AGES_MIN = (2.5, 7.5, 12.5, 30.0)
EDGES_MS = np.array([round(60_000 * age) for age in AGES_MIN])
STALE_SHARE = (0.0, 0.05, 0.10, 0.20, 0.40)
"""What a frame of that age may be wrong by, of the node's nameplate, besides the meter's own error."""
COMMON_SHARE = (0.02, 0.15, 0.25, 0.40, 0.40)
"""What all PV and wind, or all load, of a feeder may have moved together since a frame of that age."""
FLOW_SHARE = 0.2
"""Error of a transformer's meter per error of a substation's, of the sum of nameplates below it."""
VOLTAGE_AGES = 2
MOVED_MVA = 0.05
"""Change by orders to one feeder from which on its earlier voltages are taken for outdated."""
UNMETERED_SHARE = 0.05
"""Part of a feeder's nameplates that must be unmetered for what its busbars give to tell of them."""
SUSPECT = 4.0
"""Normalised residual beyond which a voltage is left out; above the usual 3, as hundreds are tested."""


class BelievedState:
    """The operator's picture, fed with mail and estimated once a cycle however many ask.

    Parameters
    ----------
    site : Site
        Settings used: `estimation_ms` (300 000), `estimation_offset_ms` (one minute after the tick where
        the site is called that often, so that frames have arrived), `v_sigma` (0.005), `p_sigma` (0.01).
    """

    def __init__(self, site: Site) -> None:
        settings = site.settings
        self.estimation_ms = int(settings.get("estimation_ms", 300_000))
        offset = 60_000 if site.period_ms <= 60_000 else 0
        self.offset_ms = int(settings.get("estimation_offset_ms", min(offset, self.estimation_ms // 2)))
        self.v_sigma = float(settings.get("v_sigma", 0.005))
        self.p_sigma = float(settings.get("p_sigma", 0.01))
        self.readings = Readings(site.grid.feeders)
        self.board = Board()
        nets: dict[int, Network] = {}
        self.files: dict[str, FeederFile] = {}
        for belief in site.grid.feeders:
            net = nets.setdefault(id(belief.grid), Network(belief.grid))
            self.files[belief.name] = blank(belief, net, self.readings, len(self.files))
        self.transformers = Transformers([file.net for file in self.files.values()])
        self._solutions = 0
        self._pictures: list[Picture | None] = []
        self._cycle: int | None = None

    @property
    def estimations(self) -> int:
        """Number of estimates made so far."""
        return self._solutions

    def take(self, inbox: Sequence[Message]) -> None:
        """Keep what is newer than what is known; mail taken twice or late changes nothing."""
        frames: list[Message] = []
        for message in inbox:
            topic = message.topic
            if topic == "secondary":
                frames.append(message)
            elif topic == "primary":
                file = self.files.get(message.sender)
                if file is not None and message.sent_ms > file.primary_ms:
                    _note(file, message)
                    self.transformers.note(file.number, message.sent_ms, message.values)
            elif topic == "fault":
                self.switch(str(message.sender), message.values.get("tripped_line"), False)
            elif topic == "switched":
                self.switch(str(message.values.get("feeder")), message.values.get("line"),
                            message.values.get("closed"))
        if frames:
            self.readings.keep(frames)

    def collect(self) -> None:
        """File what has been put up on the board."""
        self.take(self.board.mail)
        if self.board.bundles:
            self.readings.file(self.board.bundles)
        self.board.mail.clear()
        self.board.bundles.clear()

    def switch(self, feeder: str, lines: Any, closed: Any) -> None:
        """Believe lines of a feeder to be open or closed."""
        file = self.files.get(feeder)
        if file is None or lines is None:
            return
        rows = [file.net.line(int(line)) for line in np.atleast_1d(lines)]
        state = file.closed.copy()
        state[rows] = np.atleast_1d(closed)
        if (state != file.closed).any():
            file.closed, file.cycle, self._cycle = state, -1, None

    def expect(self, place: Ints, p_mw: Floats, q_mvar: Floats | float = 0.0, der: bool = False) -> None:
        """Change the believed injections by what an order will do, until the next frame tells.

        Places are nodes, counted through those of all feeders. With `der`, `p_mw` is a change of what PV and wind
        feed in. Voltages metered before count no more: an estimate that believed both them and the order would
        answer the same deviation twice.
        """
        readings, of = self.readings, self.readings.of[place]
        moved = np.bincount(of, np.abs(p_mw) + np.abs(q_mvar), len(self.files)) > MOVED_MVA
        for file in (file for file, much in zip(self.files.values(), moved.tolist(), strict=True) if much):
            if file.picture is not None:
                file.v[:] = 0.0
        np.add.at(readings.s, place, (p_mw + 1j * q_mvar) / readings.base_mva[of])
        if der:
            np.add.at(readings.der_mw, place, p_mw)

    def picture(self, feeder: str, now_ms: int) -> Picture | None:
        """Return the estimate of this cycle, made now if nobody asked before; None before any telemetry."""
        file, cycle = self.files[feeder], (now_ms - self.offset_ms) // self.estimation_ms
        if cycle != file.cycle and file.primary_ms >= 0:
            file.picture = self._estimated(file, now_ms)
            file.cycle = cycle
            self._solutions += 1
        return file.picture

    def pictures(self, now_ms: int) -> list[Picture | None]:
        """Return the estimates of this cycle of all feeders, in their order; looked for once a cycle."""
        cycle = (now_ms - self.offset_ms) // self.estimation_ms
        if cycle != self._cycle:
            self._pictures = [self.picture(name, now_ms) for name in self.files]
            self._cycle = cycle if all(file.cycle == cycle for file in self.files.values()) else None
        return self._pictures

    def _estimated(self, file: FeederFile, now_ms: int) -> Picture | None:
        net, belief = file.net, file.belief
        topology = net.topology(file.closed)
        v_mv, p_mw, q_mvar = (np.asarray(file.primary[k], dtype=np.float64) for k in ("v_pu", "p_mw", "q_mvar"))
        feeds, anchors = len(net.feed), len(net.anchor)
        busbar = np.ones(anchors)
        if feeds:
            busbar[net.feed_anchor] = v_mv[:feeds]
        else:
            busbar[:] = v_mv[:anchors]
        if not (busbar > 0.1).all():
            return file.picture
        taps, feed = _feeds(file)
        drawn = np.zeros(anchors, dtype=complex)
        np.add.at(drawn, net.feed_anchor, (p_mw[:feeds] + 1j * q_mvar[:feeds]) / belief.grid.base_mva)
        gain, unheard = self._gain(file, topology, now_ms)
        if feeds and len(unheard):
            drawn_at: Complexes = (p_mw[:feeds] + 1j * q_mvar[:feeds]) / belief.grid.base_mva  # type: ignore[assignment]
            _spread(file, topology, feed.arriving(busbar[net.feed_anchor], drawn_at), busbar, unheard, now_ms)
        flows = drawn[gain.flow_anchor]
        start = file.picture.v if file.picture is not None else None
        metered = file.v[gain.metered]
        left: Ints = np.zeros(0, dtype=np.int64)
        check = len(gain.metered) > 0
        found = estimate(topology, gain, feed, file.s, busbar, metered, flows, start, left, check)
        # One at a time, the largest first: a gross error pulls its neighbours' residuals up with it.
        while check and len(left) < 5 and float(found.normalised_z.max()) > SUSPECT:
            worst = int(found.normalised_z.argmax())
            left = np.append(left, worst)
            found = estimate(topology, gain, feed, file.s, busbar, metered, flows, found.v, left, True)
        if not found.converged and not np.isfinite(found.v).all():
            return file.picture
        v_pu = np.abs(found.v)
        v_pu[net.feed_root] = np.abs(found.v_hv) if len(gain.flow_anchor) else v_pu[net.feed_root]
        threshold = _threshold(gain.counting - len(left)) if check else 0.0
        return Picture(
            found.v, found.s, v_pu, topology, taps, now_ms, found.objective, threshold,
            gain.metered[left[left < len(gain.metered)]], unheard, gain,
        )

    def _gain(self, file: FeederFile, topology: Topology, now_ms: int) -> tuple[Gain, Ints]:
        """Return the factorised gain for this topology and these ages, and the nodes never heard of.

        Frames come together, so one factorisation per common age serves; the few that were lost or are
        late alter it.
        """
        closed, case = file.closed.tobytes(), np.empty(len(file.v), dtype=np.int8)
        kernels.ages(file.node_ms, file.v, now_ms, EDGES_MS, VOLTAGE_AGES, case)
        # Losses never repeat: only whole builds are worth keeping, and the usual one serves for most.
        exact = closed, case.tobytes()
        found = file.gains.get(exact)
        never = case < 0
        if found is None:
            bucket = np.where(never, len(AGES_MIN), case & 15)
            age = int(np.bincount(bucket[~never], minlength=1).argmax())
            usual = np.where(never, bucket, age)
            odd = int((usual != bucket).sum())
            # Where frames are too old for voltages the matrix is small and made at once.
            if age < VOLTAGE_AGES and 0 < 5 * odd < len(topology.free):
                normal = closed, np.where(never, -1, age + 16 * (file.v > 0.5)).astype(np.int8).tobytes()
                base = file.gains.get(normal)
                if base is None:
                    base = file.remember(normal, self._built(file, topology, usual, never))
                found = self._altered(file, topology, base, bucket, never)
            else:
                found = file.remember(exact, self._built(file, topology, bucket, never))
        return found, np.flatnonzero(never & file.connected)

    def _errors(self, file: FeederFile, topology: Topology, bucket: Ints, never: Bools) -> tuple[Floats, Floats]:
        """Return variance [state] and common error [state, cause] of what is known of a feeder [pu]."""
        load, der, q_load = file.load_pu, file.der_pu, file.q_load_pu
        share = np.where(never, PSEUDO_SHARE, np.asarray(STALE_SHARE)[bucket])
        drift = np.asarray(COMMON_SHARE)[bucket]
        free, anchor, na = topology.free, topology.anchor, len(file.net.anchor)
        error2 = share**2 + self.p_sigma**2
        var_p = summed(topology, (load + der) ** 2 * error2)
        var_q = summed(topology, (q_load + 0.2 * der) ** 2 * error2)
        sun, hour, hour_q = (summed(topology, drift * part) for part in (der, load, q_load))
        none, nothing = np.zeros(na), np.zeros(len(free))
        common = np.stack((
            np.concatenate((sun[free], nothing, none, sun[anchor], none)),
            np.concatenate((hour[free], hour_q[free], none, hour[anchor], hour_q[anchor])),
        ), axis=1)
        busbar = np.full(na, self.v_sigma**2)
        return np.concatenate((var_p[free], var_q[free], busbar, var_p[anchor], var_q[anchor])), common

    def _var_v(self, bucket: Ints) -> Floats:
        """Return the variance of voltages of these ages [pu^2]; what is too old counts for nothing."""
        late = np.where(bucket > 0, 4.0, 1.0)
        return np.where(bucket < VOLTAGE_AGES, (self.v_sigma * late) ** 2, IGNORED_PU2)

    def _built(self, file: FeederFile, topology: Topology, bucket: Ints, never: Bools) -> Gain:
        r0, common = self._errors(file, topology, bucket, never)
        free, na = topology.free, len(file.net.anchor)
        metered = free[(bucket[free] < VOLTAGE_AGES) & (file.v[free] > 0.5)]
        feeds = np.unique(file.net.feed_anchor)
        size = float((file.load_pu + file.der_pu).sum()) / max(len(feeds), 1)
        var_p, var_q, var_a, var_pa, var_qa = np.split(r0, np.cumsum((len(free), len(free), na, na)))
        return Gain(
            topology, var_p, var_q, var_a, var_pa, var_qa, metered, self._var_v(bucket[metered]), feeds,
            (FLOW_SHARE * self.p_sigma * max(size, 1e-3)) ** 2, common,
        )

    def _altered(
        self, file: FeederFile, topology: Topology, base: Gain, bucket: Ints, never: Bools
    ) -> Gain:
        r0, common = self._errors(file, topology, bucket, never)
        rows = np.flatnonzero((r0 != base.r0) | (common != base.common).any(axis=1))
        var_v = self._var_v(bucket[base.metered])
        late = np.flatnonzero(var_v != base.r[: len(var_v)])
        return base.altered(rows, r0[rows], common[rows], late, var_v[late])


def _spread(
    file: FeederFile, topology: Topology, arriving: Complexes, busbar: Floats, unheard: Ints, now_ms: int
) -> None:
    """Let nodes of which nothing was ever heard draw what busbars give beyond the metered nodes (load allocation).

    Told while the frames of the others are fresh, and remembered in between as theirs are. Their PV and wind yield
    what the metered yield. Where next to nothing is unmetered, what is left over is the meters' own error.
    """
    net, metered = file.net, file.connected & (file.node_ms >= 0)
    size = file.load_pu + file.der_pu
    if metered.any() and now_ms - np.median(file.node_ms[metered]) > EDGES_MS[0]:
        return
    if size[unheard].sum() < UNMETERED_SHARE * size.sum():
        return
    rated = float(file.der_pu[metered].sum())
    yields = float(file.der_mw[metered].sum()) / (rated * file.belief.grid.base_mva) if rated > 0 else 0.0
    known, green = file.s.copy(), np.zeros(len(file.s))
    known[unheard], green[unheard] = np.nan, yields * file.der_pu[unheard]
    given = np.zeros(len(net.anchor), dtype=complex)
    np.add.at(given, net.feed_anchor, arriving)
    below = supplied_by(topology)
    given += np.bincount(below, green, len(given))
    # What a busbar sends back without anybody metered below it comes from PV and wind.
    weight = np.where((given.real < 0)[below], file.der_pu, file.load_pu)
    there = unheard[topology.live[unheard]]
    if weight[there].any():
        file.s[there] = allocate(topology, given, known, weight, busbar).s[there] + green[there]


def summed(topology: Topology, by_node: Floats) -> Floats:
    """Return values [node] summed onto the nodes that stand for others."""
    if topology.plain:
        return by_node
    total = np.zeros(len(by_node))
    np.add.at(total, topology.rep, by_node)
    return total


@lru_cache(maxsize=1024)
def _threshold(freedom: int) -> float:
    """Return the 95 % quantile of chi-square."""
    return float(2 * gammaincinv(freedom / 2, 0.95))


def shared_state(site: Site) -> BelievedState:
    """Return the one picture of a site: controllers at the same desk look at the same screen."""
    desk = site.settings.get("shared")
    if not isinstance(desk, dict):
        return BelievedState(site)
    if "believed_state" not in desk:
        desk["believed_state"] = BelievedState(site)
    found: BelievedState = desk["believed_state"]
    return found


def _note(file: FeederFile, frame: Message) -> None:
    """Keep the frame of a primary substation; after a tap change the voltages metered before count no more."""
    before = file.told("tap_pos")
    file.primary_ms, file.primary = frame.sent_ms, frame.values
    taps = file.told("tap_pos")
    if before is not None and taps is not None and before.tobytes() != taps.tobytes():
        file.v[file.node_ms < frame.sent_ms] = 0.0


def _feeds(file: FeederFile) -> tuple[Ints, Feed]:
    """Return tap positions as telemetered, and the transformers' admittances there; looked up where known."""
    net, tap_pos = file.net, file.told("tap_pos")
    key = b"" if tap_pos is None else tap_pos.tobytes()
    found = file.feeds.get(key)
    if found is None:
        taps = net.feed_initial.copy()
        if tap_pos is not None:
            low, high = net.feed_range
            known = np.isfinite(tap_pos[: len(taps)]) & (high > low)
            taps[known] = np.clip(np.rint(tap_pos[: len(taps)][known]), low[known], high[known]).astype(np.int64)
        taps.flags.writeable = False
        y = net.feed_admittance(taps)
        size = np.abs(y[1])
        total = np.bincount(net.feed_anchor, size, len(net.anchor))
        found = file.feeds[key] = taps, Feed(net.feed_anchor, size / total[net.feed_anchor], y)
    return found
