"""How far the operator's belief is from the truth: estimates held against what the grid did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.message import Message

DARK_PU = 0.2
"""Voltage below which a node counts as without supply."""


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
        sizes = [place.stop - place.start for _, place in nodes.values()]
        self._feeder = np.repeat(np.arange(len(nodes)), sizes)
        ends = np.cumsum(sizes, dtype=np.int64)
        self._estimate = np.full(len(self._feeder), np.nan)
        self._own: dict[str, NDArray[np.float64]] = {}
        self._truth: dict[str, list[tuple[slice, slice]]] = {}
        for (feeder, (source, place)), end, size in zip(nodes.items(), ends.tolist(), sizes, strict=True):
            here = slice(end - size, end)
            self._own[feeder] = self._estimate[here]
            self._truth.setdefault(source, []).append((here, place))
        self._taken_ms = np.full(len(nodes), -1, np.int64)

    def hear(self, report: Message, now_ms: int) -> None:
        """Take a report if it is an estimate of a feeder known here."""
        if report.topic == "estimate" and report.values.get("feeder") in self._row:
            self._take(report.values, now_ms)

    def _take(self, values: Mapping[str, Any], now_ms: int) -> None:
        """Keep an estimate; one of some nodes only, or NaN elsewhere, leaves the rest of the feeder as it was."""
        feeder = values["feeder"]
        given = np.asarray(values["v_pu"], float)
        # Where the operator believes the node dark there is no voltage to be right or wrong about.
        known = np.where(given > DARK_PU, given, np.nan)
        if "node" in values:
            self._own[feeder][values["node"]] = known
        else:
            np.copyto(self._own[feeder], known, where=np.isfinite(given))
        self._taken_ms[self._row[feeder]] = now_ms

    def errors(self, now_ms: int, bus: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
        """Return error and age of the estimates in force, by feeder; `bus` is the truth by simulator."""
        count = len(self._row)
        rmse, largest = np.full(count, np.nan), np.full(count, np.nan)
        if (self._taken_ms >= 0).any():
            truth = np.empty_like(self._estimate)
            for source, places in self._truth.items():
                v_pu = np.asarray(bus[source]["vm_pu"])
                for here, nodes in places:
                    truth[here] = v_pu[nodes]
            error = self._estimate - np.where(truth > DARK_PU, truth, np.nan)
            known = np.flatnonzero(np.isfinite(error))
            error, size = error[known], np.bincount(self._feeder[known], minlength=count)
            there = np.flatnonzero(size)
            if there.size:
                start = (np.cumsum(size) - size)[there]
                # From 0 on, as `mean` of one feeder adds up: the numbers are the same to the last bit.
                total = np.add.reduceat(np.insert(error**2, start, 0.0), start + np.arange(len(start)))
                rmse[there] = np.sqrt(total / size[there])
                largest[there] = np.maximum.reduceat(np.abs(error), start)
        age = np.where(self._taken_ms >= 0, (now_ms - self._taken_ms) / 1000, np.nan)
        return {"v_rmse_pu": rmse, "v_max_err_pu": largest, "age_s": age}

    def get_state(self) -> dict[str, Any]:
        """Return the estimates in force."""
        return {"estimate": self._estimate.copy(), "taken_ms": self._taken_ms.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._estimate[:] = state["estimate"]
        self._taken_ms[:] = state["taken_ms"]
