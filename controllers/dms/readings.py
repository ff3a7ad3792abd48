"""What substations told last of the nodes of all feeders of a control desk, as one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter

import numpy as np

from controllers.belief import FeederBelief
from controllers.dms.network import Complexes, Floats, Ints
from sims.core.bundle import Addresses, Bundle
from sims.core.message import Message

PSEUDO_SHARE = 0.4
"""Assumed share of the nameplate load, and its standard deviation, where nothing was ever heard."""
FRAME = ("node", "v_pu", "p_mw", "q_mvar", "der_mw", "der_avail_mw")
VALUES, SENT, SENDER = itemgetter(*FRAME), attrgetter("sent_ms"), attrgetter("sender")


@dataclass(eq=False)
class Board:
    """Where substations' frames are put up until they are filed (see `contract.Controller`)."""

    topics: frozenset[str] = frozenset({"secondary"})
    mail: list[Message] = field(default_factory=list)
    bundles: list[Bundle] = field(default_factory=list)


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
    of : int array [node]
        The feeder of each node.
    base_mva : array [feeder + 1]
    """

    def __init__(self, feeders: Sequence[FeederBelief]) -> None:
        ends = np.cumsum([0, *(f.grid.n_nodes for f in feeders)])
        self.of: Ints = np.repeat(np.arange(len(feeders)), np.diff(ends))
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
        self.base_mva = np.array([*(f.grid.base_mva for f in feeders), 1.0])
        self._number = {f.name: k for k, f in enumerate(feeders)}
        self._known: dict[str, int] = {}
        self._addressed: dict[Addresses, Ints] = {}

    def keep(self, mail: Sequence[Message]) -> None:
        """Take in substations' frames: what is newer than what is known, of several from one node the newest."""
        mail = sorted(mail, key=SENT)
        known = self._known
        try:
            feeder = np.array([known[sender] for sender in map(SENDER, mail)])
        except KeyError:
            known.update((message.sender, self._of(message.sender)) for message in mail)
            feeder = np.array([known[message.sender] for message in mail])
        try:
            rows = [VALUES(message.values) for message in mail]
        except KeyError:  # what a frame does not tell is none
            rows = [tuple(message.values.get(name, 0.0) for name in FRAME) for message in mail]
        self._enter(feeder, np.array(rows, dtype=np.float64), np.array([message.sent_ms for message in mail]))

    def file(self, bundles: Sequence[Bundle]) -> None:
        """Take in substations' frames as they come in bundles, by the same rules."""
        bundles = sorted(bundles, key=SENT)
        for bundle in bundles:
            if bundle.addresses not in self._addressed:
                senders = bundle.addresses.senders
                self._addressed[bundle.addresses] = np.array([self._of(sender) for sender in senders], dtype=np.int64)
        feeder = np.concatenate([self._addressed[bundle.addresses][bundle.rows] for bundle in bundles])
        table = np.zeros((len(feeder), len(FRAME)))
        for k, name in enumerate(FRAME):
            told = [bundle.values[name] if name in bundle.values else np.zeros(len(bundle)) for bundle in bundles]
            np.concatenate(told, out=table[:, k])
        self._enter(feeder, table, np.repeat([bundle.sent_ms for bundle in bundles], [len(b) for b in bundles]))

    def _of(self, sender: str) -> int:
        """Return the number of the feeder that a sender belongs to, -1 for none of these."""
        # Busbars are reported by the primary substation, which bears the feeder's name.
        return self._number.get(sender if sender in self._number else sender.rpartition(".")[0], -1)

    def _enter(self, feeder: Ints, table: Floats, sent_ms: Ints) -> None:
        """Note what a table of frames, the columns as in `FRAME`, tells newer than what is known."""
        first, count = self._extent[:, feeder]
        sound = np.isfinite(table).all(axis=1) & (table[:, 0] >= 0) & (table[:, 0] < count)
        table, node = table[sound], first[sound] + table[sound, 0].astype(np.int64)
        sent_ms = sent_ms[sound]
        new = sent_ms > self.node_ms[node]
        node, table = node[new], table[new]
        self.v[node] = table[:, 1]
        self.s[node] = (table[:, 2] + 1j * table[:, 3]) / self.base_mva[feeder[sound][new]]
        self.der_mw[node], self.der_avail_mw[node] = table[:, 4], table[:, 5]
        self.node_ms[node] = sent_ms[new]
