"""What the transformers at a feeder's busbars carry by their own meters, and what reactive power takes off them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms.feeder_file import FeederFile
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


def _leg(hypotenuse: Floats, leg: Floats) -> Floats:
    """Return the other leg of a right-angled triangle, 0 where there is none."""
    out: Floats = np.sqrt(np.maximum(hypotenuse**2 - leg**2, 0.0))
    return out
