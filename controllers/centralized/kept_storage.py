"""Storage at the busbars, kept for a peak to come: filled, or emptied, while its transformers have room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.centralized.desk import Desk
from controllers.dms.congestion import Supply, below_anchors
from controllers.dms.peak_shaving import FILL_SHARE, filling, level, tight
from controllers.dms.set_points import Floats, Ints


class KeptStorage:
    """The storages at busbars with transformers, of all feeders.

    Those at the busbars are the large ones, and one message to the primary substation reaches them all.

    Parameters
    ----------
    desk : Desk
    rows : sequence of int array
        By feeder, the devices that may be moved.

    Attributes
    ----------
    feeder : int array [storage]
    position : int array [storage]
        Among what may be moved in its feeder.
    """

    def __init__(self, desk: Desk, rows: Sequence[Ints]) -> None:
        self._desk, register = desk, desk.register
        none = np.zeros(0, dtype=np.int64)
        positions, busbars, mine, lacks = [none], [none], [none], [np.zeros(0)]
        for feeder, own, here in zip(register.feeders, desk.state.transformers.own, rows, strict=True):
            net = desk.state.files[feeder.name].net
            topology = net.topology(net.normal)
            short = tight(feeder, net, below_anchors(topology, np.arange(feeder.grid.n_nodes)))
            fed = net.anchor[np.unique(net.feed_anchor)]
            at = np.flatnonzero((register.kind[here] == "storage") & np.isin(register.node[here], fed))
            positions.append(at)
            mine.append(here[at])
            busbars.append(np.searchsorted(net.anchor, register.node[here[at]]) + own.start)
            lacks.append(np.where(short, np.inf, 0.0))
        self.position, self._rows, self._busbar = (np.concatenate(part) for part in (positions, mine, busbars))
        self._by_nameplate: Floats = np.concatenate(lacks)
        self.feeder: Ints = register.feeder[self._rows]

    def now(self) -> tuple[Ints, Floats]:
        """Return which storages are kept, and what they are to give to be ready in time [MW]."""
        foreseen, storages = np.concatenate([np.zeros(0), *self._desk.need_mwh]), self._desk.storages
        need = np.where(np.isnan(foreseen) | (foreseen == 0), self._by_nameplate, foreseen)
        kept = np.flatnonzero((need != 0)[self._busbar])
        rows, busbar = self._rows[kept], self._busbar[kept]
        usable = np.bincount(busbar, storages.usable_mwh(rows), len(need)).astype(np.float64)
        full = level(need, usable, storages.efficiency)[busbar]
        toward = storages.toward_mw(rows, full, for_h=0.25)
        # What is there beyond the need stays, and so does room beyond it.
        return kept, np.where(np.sign(need[busbar]) * toward < 0, toward, 0.0)


def scheduled(supply: Supply, now_mw: Floats, wanted_mw: Floats, below: Floats) -> Floats:
    """Return what kept storages do while nothing is overloaded: fill or empty while there is room, else rest.

    Parameters
    ----------
    now_mw, wanted_mw : array [storage]
        What they give, and would have to give to be ready in time.
    below : array [anchor, storage]
    """
    most = np.where(np.isfinite(supply.highest_mw), FILL_SHARE * supply.highest_mw, 0.0)
    drawn = supply.drawn_mw + below @ now_mw
    charging, giving = np.minimum(wanted_mw, 0.0), np.maximum(wanted_mw, 0.0)
    out: Floats = filling(most - drawn, charging, below) - filling(most + drawn, -giving, below)
    return out
