"""The meters of one DSO read all at once: what each place measures is a view into one array."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.distribution.meter_plan import MeterPlan, head_lines

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class PrimaryStations:
    """The primary substations that report, in the order of the plan.

    Attributes
    ----------
    name : list of str
    to : list of tuple of str
        Receivers of each one's frames.
    values : list of int
        How many values a frame carries.
    transformers : int
        Transformers of all feeders of the DSO, [transformer]; the width of the noise.
    """

    def __init__(self, plan: MeterPlan) -> None:
        feeders = plan.feeders
        points = [point for point in plan.points if point.primary_to]
        self._v_class, self._p_class = plan.v_class_percent, plan.p_class_percent
        self.to = [point.primary_to for point in points]
        self.name = [feeders.feeders[point.feeder].name for point in points]
        self.transformers = int(feeders.tap_start[-1])
        node, row, tap, head, self._line = [], [], [], [], []
        for point in points:
            f = point.feeder
            grid, first = feeders.feeders[f].grid, int(feeders.branch_start[f])
            trafo = np.array([int(grid.taps[t].branches[0]) for t in feeders.regulated[f]], np.int64)
            lines = head_lines(grid)
            node.append(int(feeders.node_start[f]) + grid.branch_to[trafo])
            row.append(first + trafo)
            tap.append(np.arange(int(feeders.tap_start[f]), int(feeders.tap_start[f + 1])))
            head.append(first + lines.row)
            self._line.append(lines.line)
        self._node, self._row, self._tap, self._head = (_joined(part) for part in (node, row, tap, head))
        self._own, self._heads = _slices(row), _slices(head)
        self.values = [6 * len(r) + 2 * len(h) for r, h in zip(row, head, strict=True)]

    def read(self, state: Mapping[str, Any], noise: Floats) -> Iterator[dict[str, Any]]:
        """Give the content of each station's frame, with `noise` [3, transformer] in shares of the class."""
        own = noise[:, self._tap]
        row = self._row
        v = _or_zero(state["v_pu"][self._node]) * (1 + self._v_class * own[0])
        p = state["flow_p_mw"][row] * (1 + self._p_class * own[1])
        q = state["flow_q_mvar"][row] * (1 + self._p_class * own[2])
        position = state["tap_pos"][self._tap].astype(float)
        wanted, loading = state["v_set_pu"][self._tap], state["loading_percent"][row]
        heads = _or_zero(state["loading_percent"][self._head])
        for k, line in enumerate(self._line):
            a = self._own[k]
            yield {
                "v_pu": v[a], "p_mw": p[a], "q_mvar": q[a], "tap_pos": position[a], "v_set_pu": wanted[a],
                "loading_percent": loading[a], "head_line": line, "line_loading_percent": heads[self._heads[k]],
            }


class SecondaryStations:
    """The nodes for which a secondary substation reports, in the order of the plan."""

    def __init__(self, plan: MeterPlan) -> None:
        self._v_class, self._p_class = plan.v_class_percent, plan.p_class_percent
        here = [
            (int(plan.feeders.node_start[point.feeder]) + node, node, sender, to)
            for point in plan.points
            for node, (sender, to) in enumerate(zip(point.gateways, point.secondary_to, strict=True)) if to
        ]
        self._at = np.array([at for at, *_ in here], np.int64)
        self._place = [(node, sender, to) for _, node, sender, to in here]

    def read(self, state: Mapping[str, Any], noise: Floats) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Give sender, receiver and content of the frames of all lit nodes; `noise` [3, node] in class shares."""
        at = self._at
        v = state["v_pu"][at] * (1 + self._v_class * noise[0, at])
        p = state["p_node_mw"][at] * (1 + self._p_class * noise[1, at])
        q = state["q_node_mvar"][at] * (1 + self._p_class * noise[2, at])
        measured = (v, p, q, state["der_avail_mw"][at], state["der_mw"][at], np.isfinite(v))
        for (node, sender, to), v_pu, p_mw, q_mvar, avail_mw, der_mw, lit in zip(
            self._place, *(column.tolist() for column in measured), strict=True
        ):
            if lit:
                yield sender, to, {
                    "node": node, "v_pu": v_pu, "p_mw": p_mw, "q_mvar": q_mvar, "der_avail_mw": avail_mw,
                    "der_mw": der_mw,
                }


SECONDARY_VALUES = 6
"""How many values a secondary substation reports for a node."""


class AreaStations:
    """The nodes at which area agents stand, and the lines to neighbouring areas, in the order of the plan.

    Attributes
    ----------
    agent : list of str
    values : list of int
        How many values each measures.
    """

    def __init__(self, plan: MeterPlan) -> None:
        feeders = plan.feeders
        areas = [(point.feeder, area) for point in plan.points for area in point.areas]
        self._v_class, self._p_class = plan.v_class_percent, plan.p_class_percent
        self.agent = [area.agent for _, area in areas]
        self._local = [area.node for _, area in areas]
        self._line = [area.line for _, area in areas]
        self._neighbour = [area.neighbour for _, area in areas]
        self.values = [4 + area.line.size + area.neighbour.size + 2 * area.row.size for _, area in areas]
        self._node = np.array([int(feeders.node_start[f]) + area.node for f, area in areas], np.int64)
        rows = [int(feeders.branch_start[f]) + area.row for f, area in areas]
        self._row, self._at = _joined(rows), _slices(rows)
        self._sign = np.concatenate([np.zeros(0), *(area.sign for _, area in areas)])

    def read(self, state: Mapping[str, Any], noise: Floats) -> Iterator[dict[str, Any] | None]:
        """Give what each agent measures, None where its node is dark; `noise` [3, agent] in shares of the class."""
        v = state["v_pu"][self._node] * (1 + self._v_class * noise[0])
        p = state["p_node_mw"][self._node] * (1 + self._p_class * noise[1])
        q = state["q_node_mvar"][self._node] * (1 + self._p_class * noise[2])
        flow_p, flow_q = (state[name][self._row] * self._sign for name in ("flow_p_mw", "flow_q_mvar"))
        lit = np.isfinite(v).tolist()
        v_pu, p_mw, q_mvar = v.tolist(), p.tolist(), q.tolist()
        for k, at in enumerate(self._at):
            yield {
                "node": self._local[k], "v_pu": v_pu[k], "p_mw": p_mw[k], "q_mvar": q_mvar[k],
                "boundary_line": self._line[k], "neighbour_area": self._neighbour[k],
                "boundary_p_mw": flow_p[at], "boundary_q_mvar": flow_q[at],
            } if lit[k] else None


def _joined(parts: list[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _or_zero(values: Floats) -> Floats:
    """Return 0 where there is no value: nothing is live there."""
    return np.where(np.isnan(values), 0.0, values)


def _slices(parts: list[Ints]) -> list[slice]:
    """Return where each of `parts` stands in the array they make together."""
    ends = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(ends)]
