"""The meters of one DSO read all at once: what each place measures is a view into one array."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.bundle import Addresses
from sims.distribution.meter_plan import LOW_VOLTAGE_KV, Bands, MeterPlan, head_lines

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Told:
    """What stations told last: voltage, active and reactive power, and what else counts, [quantity, point]."""

    def __init__(self, bands: Bands, points: int, quantities: int = 3) -> None:
        band = [bands.v_pu, bands.power_mva, bands.power_mva, 0.0][:quantities]
        self._band = np.array(band)[:, None]
        self.last = np.full((quantities, points), np.nan)

    def moved(self, measured: Floats) -> NDArray[np.bool_]:
        """Return which points have left their band, or were never told."""
        near: NDArray[np.bool_] = (np.abs(measured - self.last) <= self._band).all(axis=0)
        return ~near

    def tell(self, measured: Floats, which: NDArray[np.bool_]) -> None:
        """Note what is told now."""
        self.last[:, which] = measured[:, which]


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
        self._v_step, self._power_step = plan.v_step_pu, plan.power_step_mva
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
        self.told = Told(plan.bands, self._tap.size, 4) if plan.bands else None

    def read(
        self, state: Mapping[str, Any], noise: Floats, *, by_exception: bool = False
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Give number and content of each station's frame; `noise` [3, transformer] is in shares of the class.

        By exception only those speak of which a transformer has left its band or moved its tap; none does of
        whose feeder nothing is known.
        """
        own = noise[:, self._tap]
        row = self._row
        v = _or_zero(state["v_pu"][self._node]) * (1 + self._v_class * own[0])
        p = state["flow_p_mw"][row] * (1 + self._p_class * own[1])
        q = state["flow_q_mvar"][row] * (1 + self._p_class * own[2])
        v, p, q = _whole(v, self._v_step), _whole(p, self._power_step), _whole(q, self._power_step)
        position = state["tap_pos"][self._tap].astype(float)
        known = np.isfinite(p)
        speaks = np.array([bool(known[a].all()) for a in self._own], bool)
        if self.told is not None:
            measured = np.array([v, p, q, position])
            moved = self.told.moved(measured)
            if by_exception:
                speaks &= np.array([bool(moved[a].any()) for a in self._own], bool)
            self.told.tell(measured, np.repeat(speaks, [a.stop - a.start for a in self._own]))
        wanted, loading = state["v_set_pu"][self._tap], state["loading_percent"][row]
        heads = _or_zero(state["loading_percent"][self._head])
        for k, line in enumerate(self._line):
            if not speaks[k]:
                continue
            a = self._own[k]
            yield k, {
                "v_pu": v[a], "p_mw": p[a], "q_mvar": q[a], "tap_pos": position[a], "v_set_pu": wanted[a],
                "loading_percent": loading[a], "head_line": line, "line_loading_percent": heads[self._heads[k]],
            }


class SecondaryStations:
    """The nodes for which a secondary substation reports, in the order of the plan.

    Where the meters in low-voltage grids have a period or class of their own, `smart` ones are those of
    low-voltage nodes and the others those of the medium voltage; else one set is all of them.

    Attributes
    ----------
    addresses : Addresses
        Sender and receiver of each one's frames.
    """

    def __init__(self, plan: MeterPlan, *, smart: bool = False) -> None:
        own_class = plan.smart_class_percent if smart else None
        self._v_class, self._p_class = plan.v_class_percent, plan.p_class_percent if own_class is None else own_class
        self._v_step, self._power_step = plan.v_step_pu, plan.power_step_mva
        low = [plan.feeders.feeders[point.feeder].grid.vn_kv <= LOW_VOLTAGE_KV for point in plan.points]
        here = [
            (int(plan.feeders.node_start[point.feeder]) + node, node, sender, to)
            for k, point in enumerate(plan.points)
            for node, (sender, to) in enumerate(zip(point.gateways, point.secondary_to, strict=True))
            if to and (not plan.smart or bool(low[k][node]) is smart)
        ]
        self._at = np.array([at for at, *_ in here], np.int64)
        self._node = np.array([node for _, node, *_ in here], np.int64)
        self.addresses = Addresses(tuple(sender for *_, sender, _ in here), tuple(to for *_, to in here))
        self.told = Told(plan.bands, self._at.size) if plan.bands else None

    def read(
        self, state: Mapping[str, Any], noise: Floats, *, by_exception: bool = False
    ) -> tuple[Ints, dict[str, NDArray[Any]]]:
        """Return which of the addresses speak, those of all lit nodes, and what; `noise` [3, node] in class shares.

        By exception only those nodes that have left their band since they were last told of.
        """
        at = self._at
        v = state["v_pu"][at] * (1 + self._v_class * noise[0, at])
        p = state["p_node_mw"][at] * (1 + self._p_class * noise[1, at])
        q = state["q_node_mvar"][at] * (1 + self._p_class * noise[2, at])
        v, p, q = _whole(v, self._v_step), _whole(p, self._power_step), _whole(q, self._power_step)
        speaks = np.isfinite(v)
        if self.told is not None:
            read = np.array([v, p, q])
            if by_exception:
                speaks &= self.told.moved(read)
            self.told.tell(read, speaks)
        rows = np.flatnonzero(speaks)
        told = {
            "node": self._node, "v_pu": v, "p_mw": p, "q_mvar": q, "der_avail_mw": state["der_avail_mw"][at],
            "der_mw": state["der_mw"][at],
        }  # fmt: skip
        return rows, {name: column[rows] for name, column in told.items()}


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
        self._v_step, self._power_step = plan.v_step_pu, plan.power_step_mva
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
        v, p, q = _whole(v, self._v_step), _whole(p, self._power_step), _whole(q, self._power_step)
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


def _whole(values: Floats, step: float) -> Floats:
    """Return `values` as whole multiples of `step`; as they are where that is 0."""
    return np.round(values / step) * step if step else values


def _or_zero(values: Floats) -> Floats:
    """Return 0 where there is no value: nothing is live there."""
    return np.where(np.isnan(values), 0.0, values)


def _slices(parts: list[Ints]) -> list[slice]:
    """Return where each of `parts` stands in the array they make together."""
    ends = np.cumsum([0, *(len(part) for part in parts)]).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(ends)]
