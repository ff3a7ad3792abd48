"""What is on file of one feeder at a control desk: the newest telemetry, and the picture made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np

from controllers.belief import FeederBelief
from controllers.dms.network import Bools, Complexes, Floats, Ints, Network, Topology
from controllers.dms.quick_estimation import Feed, Gain
from sims.core.message import Message

PSEUDO_SHARE = 0.4
"""Assumed share of the nameplate load, and its standard deviation, where nothing was ever heard."""
GAINS_KEPT = 8
FRAME = ("node", "v_pu", "p_mw", "q_mvar", "der_mw", "der_avail_mw")
VALUES, SENT = itemgetter(*FRAME), attrgetter("sent_ms")


@dataclass(frozen=True, eq=False)
class Picture:
    """The estimated state of one feeder.

    Parameters
    ----------
    v, s : complex array [node]
        Voltage and injection [pu]; 0 in the dark.
    v_pu : array [node]
        Magnitudes, those above the transformers included.
    topology : Topology
    taps : int array [feed]
        Tap positions as telemetered.
    at_ms : int
    objective, threshold : float
        Chi-square test of the estimate; threshold 0 where it was not made.
    left_out : int array
        Nodes whose voltage measurement was found bad.
    unheard : int array
        Nodes with load or devices of which nothing was ever heard: known by nameplate only.
    gain : Gain
        What the estimate was made with.
    """

    v: Complexes
    s: Complexes
    v_pu: Floats
    topology: Topology
    taps: Ints
    at_ms: int
    objective: float
    threshold: float
    left_out: Ints
    unheard: Ints
    gain: Gain

    @cached_property
    def loading(self) -> Floats:
        """Loading of the branches below the busbars [branch] [%]."""
        return self.topology.loading(self.v)

    @cached_property
    def v_sigma(self) -> Floats:
        """Standard deviation of the voltages of the free nodes since they were last heard of [pu]."""
        return self.gain.drift(self.topology)


@dataclass(eq=False)
class FeederFile:
    """Newest telemetry of one feeder; `node_ms` and the like are when it was metered, -1 for never.

    `v` is 0 where no voltage was metered since the last order or tap change.
    """

    belief: FeederBelief
    net: Network
    closed: Bools
    v: Floats
    s: Complexes
    node_ms: Ints
    der_mw: Floats
    der_avail_mw: Floats
    load_pu: Floats
    q_load_pu: Floats
    der_pu: Floats
    primary: dict[str, Floats] = field(default_factory=dict)
    primary_ms: int = -1
    picture: Picture | None = None
    cycle: int = -1
    gains: dict[tuple[Any, ...], Gain] = field(default_factory=dict)
    feeds: dict[bytes, tuple[Ints, Feed]] = field(default_factory=dict)

    def remember(self, key: tuple[Any, ...], gain: Gain) -> Gain:
        """Keep a gain among the last few, and return it."""
        while len(self.gains) >= GAINS_KEPT:
            self.gains.pop(next(iter(self.gains)))
        self.gains[key] = gain
        return gain


def nameplate(belief: FeederBelief) -> tuple[Floats, Floats]:
    """Return the rated load, and the rated power of all flexible devices, by node [MW]."""
    n, devices = belief.grid.n_nodes, belief.devices
    flexible = devices.kind != "load"
    rated: Floats = np.bincount(devices.node[flexible], devices.p_rated_mw[flexible], n).astype(np.float64)
    return belief.load_mw, rated


def blank(belief: FeederBelief, net: Network) -> FeederFile:
    """Return a file in which nothing was ever heard: nameplates only."""
    n, base = belief.grid.n_nodes, belief.grid.base_mva
    load, der = nameplate(belief)
    s: Complexes = -PSEUDO_SHARE / base * (load + 1j * belief.load_mvar).astype(np.complex128)
    q_load = np.maximum(belief.load_mvar, 0.1 * load) / base
    return FeederFile(
        belief, net, net.normal.copy(), np.zeros(n), s, np.full(n, -1, dtype=np.int64), np.zeros(n), np.zeros(n),
        load / base, q_load, der / base,
    )


def keep(file: FeederFile, mail: Sequence[Message]) -> None:
    """Take substations' frames into a feeder's file; of several from one node the newest."""
    mail = sorted(mail, key=SENT)
    sent_ms = np.array([message.sent_ms for message in mail], dtype=np.int64)
    try:
        rows = [VALUES(message.values) for message in mail]
    except KeyError:  # what a frame does not tell is none
        rows = [tuple(message.values.get(name, 0.0) for name in FRAME) for message in mail]
    table = np.array(rows, dtype=np.float64)
    sound = np.isfinite(table).all(axis=1) & (table[:, 0] >= 0) & (table[:, 0] < len(file.v))
    node = np.where(sound, table[:, 0], 0).astype(np.int64)
    new = np.flatnonzero(sound & (sent_ms > file.node_ms[node]))
    node, table = node[new], table[new]
    file.v[node] = table[:, 1]
    file.s[node] = (table[:, 2] + 1j * table[:, 3]) / file.belief.grid.base_mva
    file.der_mw[node], file.der_avail_mw[node] = table[:, 4], table[:, 5]
    file.node_ms[node] = sent_ms[new]
