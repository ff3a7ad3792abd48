"""What is on file of one feeder at a control desk: the newest telemetry, and the picture made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from controllers.belief import FeederBelief
from controllers.dms import kernels
from controllers.dms.network import Bools, Complexes, Floats, Ints, Network, Topology
from controllers.dms.quick_estimation import Feed, Gain
from controllers.dms.readings import Readings

GAINS_KEPT = 8


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
    def fullest_percent(self) -> float:
        """The highest loading below the busbars."""
        return float(self.loading.max(initial=0.0))

    @cached_property
    def extremes_pu(self) -> tuple[float, float]:
        """Lowest and highest voltage of the free nodes."""
        low, high = kernels.extremes(self.v, self.topology.free)
        return float(low), float(high)

    @cached_property
    def v_sigma(self) -> Floats:
        """Standard deviation of the voltages of the free nodes since they were last heard of [pu]."""
        return self.gain.drift(self.topology)


@dataclass(eq=False)
class FeederFile:
    """What is known of one feeder: its rows of the desk's readings, the newest frame of its primary substation."""

    belief: FeederBelief
    net: Network
    readings: Readings
    closed: Bools
    load_pu: Floats
    q_load_pu: Floats
    der_pu: Floats
    number: int = 0
    primary: Mapping[str, Any] = field(default_factory=dict)
    primary_ms: int = -1
    picture: Picture | None = None
    cycle: int = -1
    gains: dict[tuple[Any, ...], Gain] = field(default_factory=dict)
    feeds: dict[bytes, tuple[Ints, Feed]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._span = self.readings.span[self.belief.name]
        self.connected: Bools = self.load_pu + self.der_pu > 0

    @property
    def v(self) -> Floats:
        """Metered voltage [node] [pu]."""
        return self.readings.v[self._span]

    @property
    def s(self) -> Complexes:
        """Believed injection [node] [pu]."""
        return self.readings.s[self._span]

    @property
    def node_ms(self) -> Ints:
        """When each node was metered [node], -1 for never."""
        return self.readings.node_ms[self._span]

    @property
    def der_mw(self) -> Floats:
        """What PV and wind feed in [node]."""
        return self.readings.der_mw[self._span]

    @property
    def der_avail_mw(self) -> Floats:
        """What PV and wind could feed in [node]."""
        return self.readings.der_avail_mw[self._span]

    def told(self, quantity: str) -> Floats | None:
        """Return what the newest frame of the primary substation tells of `quantity`; None where it does not."""
        values = self.primary.get(quantity)
        return None if values is None else np.asarray(values, dtype=np.float64)

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


def blank(belief: FeederBelief, net: Network, readings: Readings | None = None, number: int = 0) -> FeederFile:
    """Return a file in which nothing was ever heard; with readings of its own unless it is given the desk's."""
    base = belief.grid.base_mva
    load, der = nameplate(belief)
    q_load = np.maximum(belief.load_mvar, 0.1 * load) / base
    readings = Readings((belief,)) if readings is None else readings
    return FeederFile(belief, net, readings, net.normal.copy(), load / base, q_load, der / base, number)
