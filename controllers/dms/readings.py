"""What substations told last of the nodes of all feeders of a control desk, as one table."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter, itemgetter

import numpy as np

from controllers.belief import FeederBelief
from controllers.dms.network import Complexes, Floats, Ints
from sims.core.message import Message

PSEUDO_SHARE = 0.4
"""Assumed share of the nameplate load, and its standard deviation, where nothing was ever heard."""
FRAME = ("node", "v_pu", "p_mw", "q_mvar", "der_mw", "der_avail_mw")
VALUES, SENT, SENDER = itemgetter(*FRAME), attrgetter("sent_ms"), attrgetter("sender")


class Readings:
    """One row a node, counted through the feeders in their order; before anything is heard the nameplates.

    Attributes
    ----------
    v : array [node]
        Metered voltage [pu]; 0 where none was metered since the last order or tap change.
    s : complex array [node]
        Injection, with what orders will change in it [pu].
    node_ms : int array [node]
        When it was metered, -1 for never.
    der_mw, der_avail_mw : array [node]
        What PV and wind feed in, and could.
    span : dict of str to slice
        The nodes of each feeder.
    """

    def __init__(self, feeders: Sequence[FeederBelief]) -> None:
        ends = np.cumsum([0, *(f.grid.n_nodes for f in feeders)])
        self.span = {f.name: slice(int(a), int(b)) for f, a, b in zip(feeders, ends[:-1], ends[1:], strict=True)}
        nominal = [-PSEUDO_SHARE / f.grid.base_mva * (f.load_mw + 1j * f.load_mvar) for f in feeders]
        self.s: Complexes = np.concatenate([np.zeros(0, dtype=complex), *nominal])
        n = len(self.s)
        self.v: Floats = np.zeros(n)
        self.node_ms: Ints = np.full(n, -1, dtype=np.int64)
        self.der_mw: Floats = np.zeros(n)
        self.der_avail_mw: Floats = np.zeros(n)
        # The last column stands for whoever is none of these feeders: it has no node.
        self._extent = np.stack((ends, np.diff(ends, append=ends[-1])))
        self._base_mva = np.array([*(f.grid.base_mva for f in feeders), 1.0])
        self._number = {f.name: k for k, f in enumerate(feeders)}
        self._known: dict[str, int] = {}

    def keep(self, mail: Sequence[Message]) -> None:
        """Take in substations' frames: what is newer than what is known, of several from one node the newest."""
        mail = sorted(mail, key=SENT)
        known = self._known
        try:
            feeder = np.array([known[sender] for sender in map(SENDER, mail)])
        except KeyError:
            for message in mail:
                # Busbars are reported by the primary substation, which bears the feeder's name.
                sender = message.sender
                of = sender if sender in self._number else sender.rpartition(".")[0]
                known[sender] = self._number.get(of, -1)
            feeder = np.array([known[message.sender] for message in mail])
        try:
            rows = [VALUES(message.values) for message in mail]
        except KeyError:  # what a frame does not tell is none
            rows = [tuple(message.values.get(name, 0.0) for name in FRAME) for message in mail]
        table = np.array(rows, dtype=np.float64)
        first, count = self._extent[:, feeder]
        sound = np.isfinite(table).all(axis=1) & (table[:, 0] >= 0) & (table[:, 0] < count)
        table, node = table[sound], first[sound] + table[sound, 0].astype(np.int64)
        sent_ms = np.array([message.sent_ms for message in mail], dtype=np.int64)[sound]
        new = sent_ms > self.node_ms[node]
        node, table = node[new], table[new]
        self.v[node] = table[:, 1]
        self.s[node] = (table[:, 2] + 1j * table[:, 3]) / self._base_mva[feeder[sound][new]]
        self.der_mw[node], self.der_avail_mw[node] = table[:, 4], table[:, 5]
        self.node_ms[node] = sent_ms[new]
