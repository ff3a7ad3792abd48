"""The devices of one DSO as its grid sees them: sums by node on the way in, figures by device on the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.arrays import summed
from sims.core.ports import given
from sims.distribution import device_kernels as kernels
from sims.distribution.feeders import Feeders
from sims.grid.curve import Curve
from sims.grid.injections import CurveSet

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

KINDS = ("load", "pv", "wind", "storage", "ev", "heatpump", "chp", "flexible", "svc", "statcom", "capacitor")
"""Kinds of devices, in the order of `DeviceMap.kind`."""
GENERATION = ("pv", "wind", "chp")
COMPENSATION = ("svc", "statcom", "capacitor")
"""Kinds that feed reactive power only."""


@dataclass(frozen=True)
class DeviceMap:
    """Where the devices of this DSO stand: index over all devices, flat node, feeder, kind, curves."""

    index: Ints
    node: Ints
    feeder: Ints
    kind: Ints
    curve_pu: Ints
    curve_qu: Ints
    curve_pf: Ints


class Devices:
    """What the devices give: sums by node for the power flow, and after it the figures that it makes of them.

    Parameters
    ----------
    places : DeviceMap
    feeders : Feeders
        They take the sums by node.
    curves : sequence of Curve
        Over voltage or frequency, in the order in which `places` numbers them.
    """

    step_hz = 1e-4

    def __init__(self, places: DeviceMap, feeders: Feeders, curves: Sequence[Curve]) -> None:
        self.places, self._feeders = places, feeders
        self._set = CurveSet.of(curves)
        self._feet = kernels.feet(self._set.x, self._set.slope, self._set.start)
        n, k, d, w = int(feeders.node_start[-1]), len(curves), places.index.size, len(feeders.feeders)
        self._own = np.zeros((6, d))
        self._p, self._q, self._pu, self._qu, self._pf, self._avail = self._own
        self._nodal = (*np.zeros((2, n)), *np.zeros((2, n, k)), np.zeros(n))
        self._p_f = np.zeros(d)
        self._source = np.isin(KINDS, GENERATION)
        self._static = np.flatnonzero(np.isin(KINDS, COMPENSATION)[places.kind])
        self._customers = np.concatenate([f.customers for f in feeders.feeders]).astype(float)
        self._of_feeder = summed(np.repeat(np.arange(w), np.diff(feeders.node_start)), self._customers, w)
        self._value = np.full(k, np.nan)
        self._slope = np.full(k, np.nan)
        self.f_hz = float("nan")
        self._last = np.full((3, d), np.nan)

    def take(self, p: Floats, q: Floats, pu: Floats, qu: Floats, pf: Floats, avail: Floats) -> None:
        """Take power, amplitudes and what is available of all devices [MW, Mvar] for a new instant."""
        kernels.pick(self.places.index, p, q, pu, qu, pf, avail, self._own)
        self._value[:] = np.nan

    def follow(self, f_hz: float) -> float:
        """Hand the nodal sums at this frequency to the power flow; return its change since the last time [Hz]."""
        change = f_hz - self.f_hz if np.isfinite(self.f_hz) else 0.0
        self.f_hz = f_hz
        m, c = self.places, self._set
        if not kernels.at_frequency(c.x, c.slope, self._feet, f_hz, self.step_hz, self._value, self._slope):
            return change
        kernels.to_nodes(
            m.node, m.curve_pu, m.curve_qu, m.curve_pf, self._p, self._q, self._pu, self._qu, self._pf, self._value,
            self._slope, self._p_f, *self._nodal)
        self._feeders.inject(*self._nodal)
        return change

    def figures(self) -> dict[str, Any]:
        """Return what the solved voltages make of devices, nodes and feeders; the feeders' flows are worked out."""
        feeders, m, c = self._feeders, self.places, self._set
        feeders.collect()
        n, w, d = int(feeders.node_start[-1]), len(feeders.feeders), self._p_f.size
        vm = np.where(feeders.live, np.abs(feeders.v), np.nan)
        v_dev, p, q = at_device = np.empty((3, d))
        p_node, q_node, avail_node, der_node = at_node = np.empty((4, n))
        p_kind, avail_kind = np.empty((2, w, len(KINDS)))
        low, high, out, most, dark = np.empty((5, w))
        kernels.at_devices(
            m.node, m.feeder, m.kind, self._source, m.curve_pu, m.curve_qu, self._p_f, self._q, self._pu, self._qu,
            self._avail, c.x, c.slope, self._feet, vm, feeders.live, v_dev, p, q, p_node, q_node, avail_node, der_node,
            p_kind, avail_kind, dark)
        kernels.by_feeder(
            feeders.node_start, feeders.branch_start, vm, feeders.live, self._customers, feeders.loading_percent, low,
            high, out, most)
        of_feeder = {
            "p_mw": feeders.slack_mva.real.copy(), "q_mvar": feeders.slack_mva.imag.copy(),
            "loss_mw": feeders.loss_mw.copy(),
            "load_mw": -p_kind[:, 0], **{
                f"{kind}_mw": p_kind[:, k] for k, kind in enumerate(KINDS) if k and kind not in COMPENSATION
            },
            "compensation_mvar": summed(m.feeder[self._static], q[self._static], w), "customers_out": out,
            "pv_avail_mw": avail_kind[:, KINDS.index("pv")], "wind_avail_mw": avail_kind[:, KINDS.index("wind")],
            "unserved_mw": dark, "vm_min_pu": low, "vm_max_pu": high, "loading_max_percent": most,
        }  # fmt: skip
        if feeders.held.any():
            at_node[:, np.repeat(feeders.held, np.diff(feeders.node_start))] = np.nan
            for values in of_feeder.values():
                values[feeders.held] = np.nan
            held = feeders.held[m.feeder]
            at_device[:, held] = self._last[:, held]
        self._last = at_device
        told = {
            "v_pu": vm, "der_avail_mw": avail_node, "der_mw": der_node, "p_node_mw": p_node, "q_node_mvar": q_node,
            "v_dev_pu": v_dev, "p_real_mw": p, "q_real_mvar": q,
        }  # fmt: skip
        return {name: given(values) for name, values in told.items()} | {
            "feeder": of_feeder | {"customers": self._of_feeder, "converged": feeders.converged.astype(float)},
        }

    def get_state(self) -> dict[str, Any]:
        """Return the frequency of the last solution, and the voltages and powers of the devices at it."""
        return {"f_hz": self.f_hz, "last": self._last.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.f_hz, self._last = state["f_hz"], np.array(state["last"])
