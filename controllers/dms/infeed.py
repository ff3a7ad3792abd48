"""What the transformers at a feeder's busbars carry by their own meters, and what reactive power takes off them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms.feeder_file import FeederFile, Picture
from controllers.dms.network import Floats

LEAST_PERCENT = 1.0
"""A loading below that says little about the rating."""


@dataclass(frozen=True, eq=False)
class Infeed:
    """Powers drawn through each busbar's transformers, and what these may carry, arrays [anchor] [MW, Mvar, MVA]."""

    p_mw: Floats
    q_mvar: Floats
    most_mva: Floats

    def p_most(self, q_mvar: Floats) -> Floats:
        """Return the active power that may pass beside a reactive power, either way [MW]."""
        return _leg(self.most_mva, q_mvar)

    @property
    def q_most(self) -> Floats:
        """Return the reactive power that may pass beside the present active power, either way [Mvar]."""
        return _leg(self.most_mva, self.p_mw)

    def excess_mvar(self, given_mvar: Floats) -> Floats:
        """Return the reactive power to be fed in below each busbar for its transformers' sake [Mvar].

        It is what they would draw (or, negative, pass upwards) beyond what may pass, had `given_mvar` [anchor]
        not been fed in for that.
        """
        idle, most = self.q_mvar + given_mvar, self.q_most
        return np.asarray(idle - np.clip(idle, -most, most), dtype=np.float64)


class Pace:
    """How fast what busbars draw moves by itself, apart from what is done about it; half new, half as it was."""

    def __init__(self) -> None:
        self._idle_mw: Floats = np.zeros(0)
        self._mw_per_ms: Floats = np.zeros(0)
        self._at_ms = -(10**9)
        self.rest()

    def rest(self) -> None:
        """Note that nothing is done."""
        self._given_mw: Floats | float = 0.0
        self._free_share: Floats | float = 1.0

    def act(self, below: Floats, p_mw: Floats, natural_mw: Floats) -> None:
        """Note what levers are moved to, and would inject by themselves; `below` [anchor, lever] sees each."""
        moved, size = p_mw - natural_mw, np.abs(natural_mw)
        self._given_mw = below @ moved
        self._free_share = (below @ np.where(np.abs(moved) < 1e-6, size, 0.0) + 1e-9) / (below @ size + 1e-9)

    def ahead(self, drawn_mw: Floats, now_ms: int, ahead_ms: int) -> Floats:
        """Take what is drawn [anchor]; return by how much that moves in `ahead_ms` [MW].

        What is held stands still, the rest goes on as all would have moved unheld. A look that was missed, or more
        than one, breaks the row: then nothing is known of the pace.
        """
        passed_ms, idle_mw = now_ms - self._at_ms, drawn_mw + self._given_mw
        if 0 < passed_ms < 2 * ahead_ms and len(idle_mw) == len(self._idle_mw):
            self._mw_per_ms = (self._mw_per_ms + (idle_mw - self._idle_mw) / passed_ms) / 2
        elif passed_ms:
            self._mw_per_ms = np.zeros(len(idle_mw))
        self._idle_mw, self._at_ms = idle_mw, now_ms
        moves: Floats = self._mw_per_ms * ahead_ms * self._free_share
        return moves


def infeed(file: FeederFile, loading_max_percent: float) -> Infeed | None:
    """Return what the newest frame of a primary substation tells; None without transformers or their meters."""
    net = file.net
    count, loading = len(net.feed), file.told("loading_percent")
    if not count or loading is None or len(loading) < count:
        return None
    anchors = len(net.anchor)
    p, q = (np.bincount(net.feed_anchor, file.primary[k][:count], anchors) for k in ("p_mw", "q_mvar"))
    worst = np.zeros(anchors)
    np.maximum.at(worst, net.feed_anchor, loading[:count])
    most = np.hypot(p, q) * loading_max_percent / np.maximum(worst, 1e-9)
    return Infeed(p.astype(np.float64), q.astype(np.float64), np.where(worst > LEAST_PERCENT, most, np.inf))


def extremes(picture: Picture) -> tuple[Floats, Floats]:
    """Return the lowest and the highest voltage below each busbar, its own included [anchor] [pu]."""
    topology = picture.topology
    size, own = np.abs(picture.v[topology.free]), np.abs(picture.v[topology.net.anchor])
    mine = topology.share.T > 0.5
    lowest = np.where(mine, size, np.inf).min(axis=1, initial=np.inf)
    highest = np.where(mine, size, 0.0).max(axis=1, initial=0.0)
    return np.minimum(lowest, own), np.maximum(highest, own)


def _leg(hypotenuse: Floats, leg: Floats) -> Floats:
    """Return the other leg of a right-angled triangle, 0 where there is none."""
    out: Floats = np.sqrt(np.maximum(hypotenuse**2 - leg**2, 0.0))
    return out
