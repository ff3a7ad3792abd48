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
        self._nodes = dict(nodes)
        self._row = {name: i for i, name in enumerate(self._nodes)}
        self._estimate = {f: np.full(s.stop - s.start, np.nan) for f, (_, s) in self._nodes.items()}
        self._taken_ms = np.full(len(self._nodes), -1, np.int64)

    def hear(self, report: Message, now_ms: int) -> None:
        """Take a report if it is an estimate of a feeder known here."""
        if report.topic == "estimate" and report.values.get("feeder") in self._row:
            self._take(report.values, now_ms)

    def _take(self, values: Mapping[str, Any], now_ms: int) -> None:
        """Keep an estimate; an agent's covers its own area and leaves the rest of the feeder as it was."""
        feeder = values["feeder"]
        given = np.asarray(values["v_pu"], float)
        known = np.isfinite(given)
        # Where the operator believes the node dark there is no voltage to be right or wrong about.
        self._estimate[feeder][known] = np.where(given[known] > DARK_PU, given[known], np.nan)
        self._taken_ms[self._row[feeder]] = now_ms

    def errors(self, now_ms: int, bus: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
        """Return error and age of the estimates in force, by feeder; `bus` is the truth by simulator."""
        count = len(self._nodes)
        rmse, largest = np.full(count, np.nan), np.full(count, np.nan)
        for feeder, (source, nodes) in self._nodes.items():
            i = self._row[feeder]
            truth = np.asarray(bus[source]["vm_pu"])[nodes]
            error = self._estimate[feeder] - np.where(truth > DARK_PU, truth, np.nan)
            known = error[np.isfinite(error)]
            if known.size:
                rmse[i], largest[i] = float(np.sqrt(np.mean(known**2))), float(np.abs(known).max())
        age = np.where(self._taken_ms >= 0, (now_ms - self._taken_ms) / 1000, np.nan)
        return {"v_rmse_pu": rmse, "v_max_err_pu": largest, "age_s": age}

    def get_state(self) -> dict[str, Any]:
        """Return the estimates in force."""
        return {"estimate": {f: v.copy() for f, v in self._estimate.items()}, "taken_ms": self._taken_ms.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self._estimate = {f: np.array(v) for f, v in state["estimate"].items()}
        self._taken_ms = np.array(state["taken_ms"])
