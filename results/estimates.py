"""How far the operator's belief is from the truth: estimates held against what the grid did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sims.core.message import Message

Floats = NDArray[np.float64]
DARK_PU = 0.2
"""Voltage below which a node counts as without supply."""


@njit(cache=True)  # type: ignore[untyped-decorator]
def _compare(
    estimate: Floats, truth: Floats, start: NDArray[np.int64], size: NDArray[np.int64], rmse: Floats, largest: Floats
) -> None:
    """Write root mean square and largest error of each feeder's nodes that are alive in truth and in belief."""
    for feeder in range(len(start)):
        total, most, count = 0.0, 0.0, 0
        for node in range(start[feeder], start[feeder] + size[feeder]):
            error = estimate[node] - truth[node]
            if truth[node] > DARK_PU and np.isfinite(error):
                total += error * error
                most = max(most, abs(error))
                count += 1
        if count:
            rmse[feeder], largest[feeder] = math.sqrt(total / count), most


class Assessor:
    """Compares reported voltage estimates with the voltages of the instant they were reported for.

    A node that is dark, in truth or in belief, does not count: whether the operator knows of an outage is
    seen in how long it lasts.

    Parameters
    ----------
    nodes : mapping of str to (str, slice)
        Feeder -> distribution simulator and the place of the feeder's nodes in its arrays.
    """

    def __init__(self, nodes: Mapping[str, tuple[str, slice]]) -> None:
        self._row = {name: i for i, name in enumerate(nodes)}
        self._size = np.array([place.stop - place.start for _, place in nodes.values()], np.int64)
        self._start = np.cumsum(self._size) - self._size
        self._all = [np.arange(size) for size in self._size]
        self._estimate, self._now = (np.full(self._size.sum(), np.nan) for _ in range(2))
        self._truth: list[tuple[str, slice, slice]] = []
        for (source, place), start in zip(nodes.values(), self._start.tolist(), strict=True):
            here = slice(start, start + place.stop - place.start)
            if self._truth and self._truth[-1][0] == source and self._truth[-1][2].stop == place.start:
                _, before, there = self._truth.pop()  # one copy for feeders that lie side by side
                here, place = slice(before.start, here.stop), slice(there.start, place.stop)
            self._truth.append((source, here, place))
        self._taken_ms = np.full(len(nodes), -1, np.int64)

    def hear(self, reports: Sequence[Message], now_ms: int) -> None:
        """Take the estimates of feeders known here among `reports`, the later ones over the earlier ones.

        An estimate of some nodes (`node`) only, or NaN elsewhere, leaves the rest of the feeder as it was.
        """
        rows, nodes, given = [], [], []
        for report in reports:
            values = report.values
            if report.topic == "estimate" and (row := self._row.get(str(values.get("feeder")))) is not None:
                rows.append(row)
                given.append(values["v_pu"])
                nodes.append(values["node"] if "node" in values else self._all[row])
        if not rows:
            return
        counts = [len(node) for node in nodes]
        at, v_pu, node = np.repeat(rows, counts), np.concatenate(given), np.concatenate(nodes)
        if len(v_pu) != len(at) or ((node < 0) | (node >= self._size[at])).any():
            raise ValueError("an estimate has other voltages than nodes, or nodes that its feeder has not")
        told = np.isfinite(v_pu)
        # Where the operator believes the node dark there is no voltage to be right or wrong about.
        known = np.where(v_pu > DARK_PU, v_pu, np.nan)
        self._estimate[(self._start[at] + node)[told]] = known[told]
        self._taken_ms[rows] = now_ms

    def errors(self, now_ms: int, bus: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
        """Return error and age of the estimates in force, by feeder; `bus` is the truth by simulator."""
        count = len(self._size)
        rmse, largest, age = (np.full(count, np.nan) for _ in range(3))
        heard = self._taken_ms >= 0
        if heard.any():
            for source, here, nodes in self._truth:
                self._now[here] = bus[source]["vm_pu"][nodes]
            _compare(self._estimate, self._now, self._start, self._size, rmse, largest)
            age[heard] = (now_ms - self._taken_ms[heard]) / 1000
        return {"v_rmse_pu": rmse, "v_max_err_pu": largest, "age_s": age}

    def get_state(self) -> dict[str, Any]:
        """Return the estimates in force."""
        return {"estimate": self._estimate.copy(), "taken_ms": self._taken_ms.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._estimate[:] = state["estimate"]
        self._taken_ms[:] = state["taken_ms"]
