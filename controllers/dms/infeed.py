"""What the transformers at busbars carry by their own meters, and what reactive power takes off them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controllers.dms.feeder_file import Picture
from controllers.dms.network import Floats, Ints

LEAST_PERCENT = 1.0
"""A loading below that says little about the rating."""


@dataclass(frozen=True, eq=False)
class Infeed:
    """Powers drawn through each busbar's transformers, and what these may carry, arrays [anchor] [MW, Mvar, MVA]."""

    p_mw: Floats
    q_mvar: Floats
    most_mva: Floats

    def at(self, busbars: slice) -> Infeed:
        """Return that of some of the busbars."""
        return Infeed(self.p_mw[busbars], self.q_mvar[busbars], self.most_mva[busbars])

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
    """How fast what busbars draw moves by itself, apart from what is done about it; half new, half as it was.

    Parameters
    ----------
    busbars : int
        Of all feeders together; `at` says below which of them a look was taken.
    """

    def __init__(self, busbars: int) -> None:
        self._idle_mw, self._mw_per_ms, self._given_mw = np.zeros((3, busbars))
        self._free_share = np.ones(busbars)
        self._at_ms = np.full(busbars, -(10**9))

    def rest(self, at: Ints | slice) -> None:
        """Note that nothing is done."""
        self._given_mw[at], self._free_share[at] = 0.0, 1.0

    def act(self, at: Ints | slice, below: Floats, p_mw: Floats, natural_mw: Floats) -> None:
        """Note what levers are moved to, and would inject by themselves; `below` [at, lever] sees each."""
        moved, size = p_mw - natural_mw, np.abs(natural_mw)
        self._given_mw[at] = below @ moved
        self._free_share[at] = (below @ np.where(np.abs(moved) < 1e-6, size, 0.0) + 1e-9) / (below @ size + 1e-9)

    def ahead(self, at: Ints | slice, drawn_mw: Floats, now_ms: Ints | int, ahead_ms: int) -> Floats:
        """Take what is drawn [at] by meters read at `now_ms`; return by how much that moves in `ahead_ms` [MW].

        What is held stands still, the rest goes on as all would have moved unheld. A look that was missed, or more
        than one, breaks the row: then nothing is known of the pace.
        """
        passed_ms, idle_mw, pace = now_ms - self._at_ms[at], drawn_mw + self._given_mw[at], self._mw_per_ms[at]
        going_on = (passed_ms > 0) & (passed_ms < 2 * ahead_ms)
        newer = (pace + (idle_mw - self._idle_mw[at]) / np.where(going_on, passed_ms, 1)) / 2
        pace = np.where(going_on, newer, np.where(passed_ms == 0, pace, 0.0))
        self._mw_per_ms[at], self._idle_mw[at], self._at_ms[at] = pace, idle_mw, now_ms
        moves: Floats = pace * ahead_ms * self._free_share[at]
        return moves


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
