"""An agent's own area: its nodes, its devices, its place in the tree of areas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.belief import FeederBelief
from controllers.contract import Site
from controllers.distributed.paths import line_mva, root_impedance

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LOW_VOLTAGE_KV = 1.0


@dataclass(frozen=True)
class Fleet:
    """Devices of one area that take commands, substation by substation.

    Parameters
    ----------
    device : ndarray of int [device]
        System-wide numbers, as a command carries them.
    node : ndarray of int [device]
    p_rated_mw, s_rated_mva, energy_mwh : ndarray [device]
    kind : ndarray of str [device]
    gateways : tuple of (str, slice)
        Address of each secondary substation and its run of devices.
    """

    device: Ints
    node: Ints
    p_rated_mw: Floats
    s_rated_mva: Floats
    energy_mwh: Floats
    kind: NDArray[np.str_]
    gateways: tuple[tuple[str, slice], ...]

    def __len__(self) -> int:
        return len(self.device)

    @property
    def q_max_mvar(self) -> Floats:
        """Reactive power a device gives beside its full active power, at most 0.33 P (VDE-AR-N 4110)."""
        return q_beside_p(self.p_rated_mw, self.s_rated_mva)


class Area:
    """What an agent knows: the register and the map of its own area, and who its neighbours are.

    Areas form a tree as the feeder is normally switched; `parent` is the agent on the way to the primary
    substation (None for the leading agent), `children` the agents fed through this area.
    """

    def __init__(self, site: Site) -> None:
        belief = site.grid
        self.feeder: FeederBelief = belief.feeders[0]
        self.number = belief.area if belief.area >= 0 else self.feeder.agents.index(site.name)
        feeder, mine = self.feeder, self.number
        self.leads = mine == 0
        self.count = len(feeder.agents)
        self.nodes: Ints = np.flatnonzero(feeder.area == mine)
        self.own_node = int(feeder.agent_node[mine])
        self.at_root = bool(np.isin(self.own_node, feeder.grid.roots))
        """The agent's substation is the grid's source, whose own meter is on the high-voltage side."""
        self.neighbours = {a: feeder.agents[a] for a in feeder.area_neighbours[mine]}
        self.degrees = {feeder.agents[a]: len(feeder.area_neighbours[a]) for a in self.neighbours}
        up = upstream_areas(feeder)
        self.parent_number = up[mine]
        self.parent = None if up[mine] < 0 else feeder.agents[up[mine]]
        self.children = tuple(feeder.agents[a] for a in range(self.count) if up[a] == mine)
        self.lead = feeder.agents[0]
        self._ratings: dict[int, float] = {}

    def routes(self) -> dict[int, str]:
        """Return for every other area the neighbour through which mail reaches it, along the tree."""
        up = upstream_areas(self.feeder)
        ways: dict[int, str] = {}
        for target in range(self.count):
            at, last = target, -1
            while at >= 0 and at != self.number:
                at, last = up[at], at
            if target != self.number:
                ways[target] = self.feeder.agents[last] if at == self.number else str(self.parent)
        return ways

    @property
    def source_impedance(self) -> complex:
        """Largest impedance from a node of the area to the source [pu / MVA]."""
        z = root_impedance(self.feeder.grid)[self.nodes]
        return complex(z.real.max(initial=0.0), z.imag.max(initial=0.0))

    @property
    def medium_impedance(self) -> complex:
        """The same of the nodes at medium voltage, which what is fed in there moves as much as itself."""
        medium = self.nodes[self.feeder.grid.vn_kv[self.nodes] > LOW_VOLTAGE_KV]
        z = root_impedance(self.feeder.grid)[medium]
        return complex(z.real.max(initial=0.0), z.imag.max(initial=0.0))

    def feeder_q_mvar(self, *kinds: str) -> float:
        """Return the reactive power that the whole feeder's register holds [Mvar]."""
        devices = self.feeder.devices
        rows = devices.of(*(kinds or ("pv", "wind", "storage", "chp", "svc", "statcom")))
        return float(q_beside_p(devices.p_rated_mw[rows], devices.s_rated_mva[rows]).sum())

    def fleet(self, *kinds: str) -> Fleet:
        """Return the area's controllable devices of these kinds that a substation can reach.

        Substations with the largest total come first: taken one after the other, they need the fewest orders.
        """
        devices = self.feeder.devices
        rows = devices.of(*kinds)
        rows = rows[self.feeder.area[devices.node[rows]] == self.number]
        # What is connected to the busbars is reached at the primary substation, where the leading agent stands.
        names = np.array([self.feeder.gateways[n] or self.feeder.name for n in devices.node[rows]], dtype=str)
        places, place = np.unique(names, return_inverse=True)
        size = np.round(np.bincount(place, devices.p_rated_mw[rows], minlength=len(places)), 9)
        order = np.lexsort((rows, devices.node[rows], place, -size[place]))
        rows, place = rows[order], place[order]
        starts = np.flatnonzero(np.diff(place, prepend=-1))
        ends = np.append(starts[1:], len(rows))[: len(starts)]
        runs = tuple((str(places[place[a]]), slice(int(a), int(b))) for a, b in zip(starts, ends, strict=True))
        return Fleet(
            devices.index[rows], devices.node[rows], devices.p_rated_mw[rows], devices.s_rated_mva[rows],
            devices.energy_mwh[rows], devices.kind[rows], runs,
        )

    def export_excess_mva(self, values: Mapping[str, Any], max_percent: float) -> float:
        """Return by how much the worst boundary line that carries power towards the source is overloaded.

        Parameters
        ----------
        values : mapping
            Of an `own` measurement: ``boundary_line``, ``boundary_p_mw``, ``boundary_q_mvar`` (out of the
            area), ``neighbour_area``.
        max_percent : float
            Loading that counts as full [%].

        Returns
        -------
        float
            Apparent power beyond the limit [MVA]; negative where there is room; -inf without such a line.
        """
        worst = -math.inf
        flows = np.ravel(values["boundary_p_mw"]).tolist(), np.ravel(values["boundary_q_mvar"]).tolist()
        most = max(max(map(abs, flows[0]), default=0.0), max(map(abs, flows[1]), default=0.0))
        if most < 0.5 * self.least_mva * max_percent / 100:
            return worst  # no line is even near its limit, as almost always
        columns = np.ravel(values["boundary_line"]).tolist(), *flows, np.ravel(values["neighbour_area"]).tolist()
        for line, p_mw, q_mvar, other in zip(*columns, strict=True):
            limit = self.rating_mva(line) * max_percent / 100
            towards_source = p_mw > 0 if other == self.parent_number else p_mw < 0
            if towards_source:
                worst = max(worst, math.hypot(p_mw, q_mvar) - limit)
        return worst

    @property
    def least_mva(self) -> float:
        """Least rating among the lines asked for so far [MVA], 0 before."""
        return min(self._ratings.values(), default=0.0)

    def rating_mva(self, line: int) -> float:
        """Return the rating of a line by its pandapower index [MVA]."""
        if line not in self._ratings:
            self._ratings[line] = line_mva(self.feeder.grid, line)
        return self._ratings[line]


def upstream_areas(feeder: FeederBelief) -> list[int]:
    """Return for each area the one that feeds it as the grid is normally switched, -1 for area 0."""
    up = [-1] * len(feeder.agents)
    grid = feeder.grid
    seen = np.zeros(len(up), dtype=bool)
    seen[0] = True
    for node in grid.order:
        area = int(feeder.area[node])
        if area < 0 or seen[area]:
            continue
        seen[area] = True
        above = int(grid.parent[node])
        up[area] = max(int(feeder.area[above]), 0) if above >= 0 else 0
    for stray in np.flatnonzero(~seen).tolist():
        up[stray] = min(feeder.area_neighbours[stray], default=0)
    return up


def q_beside_p(p_rated_mw: Floats, s_rated_mva: Floats) -> Floats:
    """Return the reactive power that inverters give beside their full active power [Mvar].

    At most 0.33 P_inst (VDE-AR-N 4110), and what the apparent power leaves over; where a device is rated
    no higher than its active power it steps back with P, and the 0.33 stand. Compensation gives its rating.
    """
    headroom = np.sqrt(np.maximum(s_rated_mva**2 - p_rated_mw**2, 0.0))
    limited: Floats = np.minimum(np.where(headroom > 0, headroom, np.inf), 0.33 * p_rated_mw)
    return np.where(p_rated_mw > 0, limited, s_rated_mva)


def column(values: Any) -> list[float]:
    """Return measured values, an array of them or anything numpy takes for one, as a list."""
    array = values if isinstance(values, np.ndarray) and values.ndim == 1 else np.ravel(values)
    listed: list[float] = array.tolist()
    return listed


def number(value: Any) -> float:
    """Return a measured value, which may come as a number or as an array of one, as a float."""
    return float(value) if type(value) in _PLAIN else float(np.ravel(value)[0])


_PLAIN = (float, int)
