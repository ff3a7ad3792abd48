"""What the meters of all transformers of a control desk told last, as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from controllers.dms.infeed import LEAST_PERCENT, Infeed
from controllers.dms.network import Bools, Ints, Network


class Transformers:
    """A row a transformer at a busbar, counted through the feeders in their order; so are the busbars.

    Parameters
    ----------
    nets : sequence of Network
        One a feeder.

    Attributes
    ----------
    p_mw, q_mvar, loading_percent : array [transformer]
        0 where nothing was told.
    told_ms : int array [feeder]
        When the newest frame left, -1 for never.
    metered : bool array [feeder]
        Has transformers, and its newest frame tells of all of them.
    of : int array [busbar]
        The feeder of each busbar.
    own : tuple of slice
        The busbars of each feeder.
    """

    def __init__(self, nets: Sequence[Network]) -> None:
        sizes = zip(*((len(net.feed), len(net.anchor)) for net in nets), strict=True) if nets else ((), ())
        feeds, anchors = (np.cumsum((0, *size)).tolist() for size in sizes)
        self.own = tuple(slice(a, b) for a, b in pairwise(anchors))
        self._here = tuple(slice(a, b) for a, b in pairwise(feeds))
        self._busbars = int(anchors[-1])
        self.of: Ints = np.repeat(np.arange(len(nets)), np.diff(anchors))
        empty = np.zeros(0, dtype=np.int64)
        self._busbar: Ints = np.concatenate(
            [empty, *(net.feed_anchor + first for net, first in zip(nets, anchors, strict=False))]
        )
        self.p_mw, self.q_mvar, self.loading_percent = np.zeros((3, feeds[-1]))
        self.told_ms: Ints = np.full(len(nets), -1, dtype=np.int64)
        self.metered: Bools = np.zeros(len(nets), dtype=bool)

    def note(self, feeder: int, sent_ms: int, frame: Mapping[str, Any]) -> None:
        """Keep what a primary substation tells in its frame."""
        here, loading = self._here[feeder], frame.get("loading_percent")
        count = here.stop - here.start
        self.told_ms[feeder] = sent_ms
        self.metered[feeder] = told = count > 0 and loading is not None and len(loading) >= count
        columns = (self.p_mw, "p_mw"), (self.q_mvar, "q_mvar"), (self.loading_percent, "loading_percent")
        for column, name in columns:
            column[here] = frame[name][:count] if told else 0.0

    def overloaded(self, percent: float) -> Bools:
        """Return of which feeders a transformer is loaded beyond `percent` [feeder]."""
        out: Bools = np.zeros(len(self.own), dtype=bool)
        out[self.of[self._busbar[self.loading_percent > percent]]] = True
        return out

    def infeed(self, loading_max_percent: float) -> Infeed:
        """Return what passes through the transformers of each busbar, and what may; without limit where none told."""
        p, q = (np.bincount(self._busbar, told, self._busbars) for told in (self.p_mw, self.q_mvar))
        worst = np.zeros(self._busbars)
        np.maximum.at(worst, self._busbar, self.loading_percent)
        most = np.hypot(p, q) * loading_max_percent / np.maximum(worst, 1e-9)
        return Infeed(p.astype(np.float64), q.astype(np.float64), np.where(worst > LEAST_PERCENT, most, np.inf))
