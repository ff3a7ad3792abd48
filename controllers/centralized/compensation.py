"""Reactive power of inverters at the busbars for the sake of the transformers above them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.dms.congestion import Limits
from controllers.dms.feeder_file import Picture
from controllers.dms.infeed import Infeed, extremes
from controllers.dms.set_points import Bools, Floats, Ints
from controllers.responsibility import ALWAYS_MS

INVERTERS = ("pv", "wind", "storage", "statcom")
"""What gives reactive power for transformers: it stands at their busbar, so that no line carries it."""
STEP_PU = 0.01
"""By how much it may move a busbar's voltage in a cycle: tap changers have to follow."""


class Compensation:
    """Lets inverters at busbars carry what would overload the transformers.

    Parameters
    ----------
    desk : Desk
    duty : str
        Under which they are told.
    limits : Limits
        Of the voltages.
    """

    def __init__(self, desk: Desk, duty: str, limits: Limits) -> None:
        self._desk, self._duty, self._limits = desk, duty, limits
        register = desk.register
        mine = () if desk.tso_voltage_ms == ((0, ALWAYS_MS),) else INVERTERS
        rows, busbars = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for number, (feeder, own) in enumerate(zip(register.feeders, desk.state.transformers.own, strict=True)):
            net, here = desk.state.files[feeder.name].net, register.of(*mine, feeder=number)
            here = here[np.isin(register.node[here], net.anchor[np.unique(net.feed_anchor)])]
            here = here[np.argsort(-register.s_rated_mva[here], kind="stable")]
            rows.append(here)
            busbars.append(np.searchsorted(net.anchor, register.node[here]) + own.start)
        # The largest of a feeder come first.
        self._rows: Ints = np.concatenate(rows)
        self._busbar: Ints = np.concatenate(busbars)

    def relieved(self, pictures: Sequence[Picture | None], which: Bools, carried: Infeed, now_ms: int) -> Infeed:
        """Order what is needed in the feeders `which`; return what all transformers carry then.

        While this site supports the TSO's voltage, what was ordered is taken back and reactive power left to that.

        Parameters
        ----------
        pictures : sequence of Picture, [feeder]
        which : bool array [feeder]
        carried : Infeed
            Of the busbars of all feeders.
        """
        if not len(self._rows):
            return carried
        if self._desk.supports_tso(now_ms):
            self._desk.points.wish(self._duty, "q_set_mvar", self._rows, np.full(len(self._rows), np.nan))
            return carried
        table, q_mvar = self._desk.state.transformers, carried.q_mvar.copy()
        wished = self._desk.points.wished(self._duty, "q_set_mvar")[self._rows]
        given: Floats = np.bincount(self._busbar, np.nan_to_num(wished), len(q_mvar)).astype(np.float64)
        wanted = carried.excess_mvar(given)
        here = np.zeros(len(which), dtype=bool)
        here[table.of[self._busbar]] = True
        some = np.zeros(len(which), dtype=bool)
        some[table.of[np.flatnonzero(wanted)]] = True
        some[table.of[self._busbar[np.isfinite(wished)]]] = True
        for number in np.flatnonzero(which & here & some).tolist():
            picture, own = pictures[number], table.own[number]
            if picture is not None:
                q_mvar[own] -= self._changed(picture, own, given[own], wanted[own])
        return Infeed(carried.p_mw, q_mvar, carried.most_mva)

    def _changed(self, picture: Picture, own: slice, given: Floats, wanted: Floats) -> Floats:
        """Tell the inverters of a feeder what they are to give; return by how much more [busbar] [Mvar]."""
        desk, net = self._desk, picture.topology.net
        here = np.flatnonzero((self._busbar >= own.start) & (self._busbar < own.stop))
        rows, anchor = self._rows[here], self._busbar[here] - own.start
        mine = np.nan_to_num(desk.points.wished(self._duty, "q_set_mvar")[rows])
        # A tap changer answers within minutes; until then all voltages below the busbar move, there and back.
        stiff = net.grid.base_mva / np.maximum(np.abs(net.z_feed.imag), 1e-9)
        lowest, highest = extremes(picture)
        # Half of the room is left to the neighbours, who raise the voltage above the transformers with theirs.
        up, down = (np.clip(room / 2, 0.0, STEP_PU) * stiff for room in (
            self._limits.v_max_pu - highest, lowest - self._limits.v_min_pu))
        wanted = np.clip(wanted, given - down, given + up)
        wish, reach = np.zeros(len(rows)), desk.reach(rows)
        for a in np.flatnonzero(wanted):
            # Few give all: whoever is spoken to leaves its Q(U), and many at once would be felt.
            below = np.flatnonzero(anchor == a)
            before = np.cumsum(reach[below]) - reach[below]
            wish[below] = np.sign(wanted[a]) * np.clip(abs(wanted[a]) - before, 0.0, reach[below])
        desk.points.wish(self._duty, "q_set_mvar", rows, np.where(wish != 0.0, wish, np.nan))
        change = wish - mine
        if change.any():
            desk.state.expect(desk.register.place[rows], np.zeros(len(rows)), change)
        more: Floats = np.bincount(anchor, wish, len(given)) - given
        return more
