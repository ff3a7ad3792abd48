"""What every device would feed in before its laws answer: profile, own behaviour, set-points in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.der import inverter, load, pv, wind
from sims.der.buffer import Buffered
from sims.der.compensation import Capacitors, within_reach
from sims.der.ev import EvFleet
from sims.der.fleet import COMPENSATION, DeviceFleet
from sims.der.heatpump import HeatPumps
from sims.der.step_kernels import added, reach
from sims.der.storage import Storage

Array = NDArray[np.float64]


class Dispatch:
    """Base power of all devices, kind by kind, and the energies behind it.

    Parameters
    ----------
    fleet : DeviceFleet
    storage, ev, heatpumps
        The devices that hold energy, in the order of the fleet's index of their kind.
    ramp_share_per_s : float
        How fast a device follows a set-point, in shares of rated power [1/s].
    """

    def __init__(
        self, fleet: DeviceFleet, storage: Storage, ev: EvFleet, heatpumps: HeatPumps, ramp_share_per_s: float
    ) -> None:
        self.fleet, self.storage, self.ev, self.heatpumps = fleet, storage, ev, heatpumps
        table = fleet.table
        count = len(table)
        k = fleet.index["flexible"]
        self.flexible = Buffered(table.p_rated_mw[k], table.e_rated_mwh[k], table.soc_start[k])
        k = fleet.index["capacitor"]
        self.capacitors = Capacitors(table.s_rated_mva[k], table.steps[k])
        self._static = table.of_kind("svc", "statcom")
        self._compensates = bool(np.isin(table.kind, COMPENSATION).any())
        self.v_pu = np.ones(count)
        self._ramp = ramp_share_per_s * table.p_rated_mw
        self._ramps = fleet.generates | (table.kind == "storage")
        self._held = np.zeros(count, dtype=bool)
        self._holding = False
        self.p_mw, self.q_mvar = np.zeros(count), np.zeros(count)
        self.p_avail_mw, self.p_up_mw, self.p_dn_mw, self.soc = np.zeros((4, count))

    def book(self, p_real_mw: Array, dt_ms: int) -> None:
        """Integrate the energies with the power that was realised over the last `dt_ms`."""
        index = self.fleet.index
        self.storage.advance(p_real_mw[index["storage"]], dt_ms)
        self.ev.advance(-p_real_mw[index["ev"]], dt_ms)
        self.heatpumps.advance(-p_real_mw[index["heatpump"]], dt_ms)
        self.flexible.advance(-p_real_mw[index["flexible"]], dt_ms)

    def plan(
        self, now_ms: int, dt_ms: int, elapsed_ms: int, profile: Array, held: Mapping[str, Array],
        busy: Mapping[str, bool],
    ) -> None:
        """Set the base power for the step of `dt_ms` that begins now.

        Parameters
        ----------
        elapsed_ms : int
            Since the last plan, 0 at the first; what ramps count.
        profile : ndarray
            Value of every series now.
        held : mapping
            Set-points in force by quantity, nan where there is none.
        busy : mapping
            Whether any device has one.
        """
        fleet, table, index, dt_s = self.fleet, self.fleet.table, self.fleet.index, dt_ms / 1000
        share_p, share_q = fleet.shares(profile)
        p, q = np.zeros(len(table)), np.zeros(len(table))
        k = index["load"]
        p[k], q[k] = load.demand(table.p_rated_mw[k], share_p[k], share_q, fleet.tan_phi[k])
        k = index["pv"]
        p[k] = pv.available(table.p_rated_mw[k], share_p[k], table.s_rated_mva[k])
        k = index["wind"]
        p[k] = wind.available(table.p_rated_mw[k], share_p[k])
        k = index["chp"]
        p[k] = np.minimum(np.maximum(table.p_rated_mw[k] * share_p[k], 0.0), table.p_rated_mw[k])
        k = index["heatpump"]
        wish = self.heatpumps.wish(np.maximum(table.p_rated_mw[k] * share_p[k], 0.0), fleet.worth(profile))
        p[k], q[k] = -wish, -wish * fleet.tan_phi[k]
        k = index["flexible"]
        wish = self.flexible.wish(np.maximum(table.p_rated_mw[k] * share_p[k], 0.0))
        p[k], q[k] = -wish, -wish * fleet.tan_phi[k]
        wish, most = self.ev.plan(now_ms, dt_ms)
        p[index["ev"]] = -wish
        self.p_avail_mw = p.copy()  # of generation; of the others what they will feed
        steers = busy["p_set_mw"] or busy["p_max_mw"]
        if steers:
            p = self._steered(p, most, held, dt_s)
        else:
            self._comfort(p, dt_s)
        k = index["storage"]
        net = added(fleet.behind, p, np.zeros(fleet.points))
        low, high = self.storage.free(dt_s)
        p[k] = self.storage.wish(net, now_ms, low, high)
        if steers:
            goal, cap = held["p_set_mw"][k], held["p_max_mw"][k]
            p[k] = inverter.capped(np.clip(np.where(np.isnan(goal), p[k], goal), low, high), _finite(cap))
        if steers or self._holding:
            p = self._ramped(p, held, elapsed_ms / 1000)
            p[k] = np.clip(p[k], low, high)
        if busy["q_set_mvar"]:
            q = np.where(np.isnan(held["q_set_mvar"]), q, held["q_set_mvar"])
        if self._compensates:
            self._compensate(q, held["q_set_mvar"], elapsed_ms / 1000)
        self.p_mw, self.q_mvar = p, q
        self._bounds(*self.storage.limits(dt_s))

    def _comfort(self, p: Array, dt_s: float) -> None:
        """Keep what buffers can bear, in place: nobody is left cold, nothing is put off beyond its buffer."""
        for kind, buffered in (("heatpump", self.heatpumps), ("flexible", self.flexible)):
            k = self.fleet.index[kind]
            p[k] = -buffered.bounded(-p[k], dt_s)

    def _compensate(self, q: Array, ordered: Array, elapsed_s: float) -> None:
        """Set the reactive power of compensation, in place: capacitors by steps, the others within their reach."""
        table = self.fleet.table
        k = self.fleet.index["capacitor"]
        q[k] = self.capacitors.act(ordered[k], self.v_pu[k], elapsed_s)
        k = self._static
        q[k] = within_reach(q[k], table.s_rated_mva[k], self.v_pu[k], table.kind[k] == "statcom")

    def _steered(self, p: Array, most: Array, held: Mapping[str, Array], dt_s: float) -> Array:
        """Return the power of all but storage under the set-points and caps in force.

        What vehicles must draw to be ready when they leave, they draw: no order makes one leave unserved.
        """
        fleet, rated = self.fleet, self.fleet.table.p_rated_mw
        goal, cap = held["p_set_mw"], _finite(held["p_max_mw"])
        wants = ~np.isnan(goal)
        k = fleet.index["ev"]
        p[k] = np.clip(np.where(wants[k], goal[k], p[k]), -most, self.ev.back_mw)
        served = self.ev.back_mw - self.ev.must_mw
        p = np.where(wants & fleet.generates, np.clip(goal, 0.0, self.p_avail_mw), p)
        for kind in ("heatpump", "flexible"):
            k = fleet.index[kind]
            p[k] = np.where(wants[k], np.clip(goal[k], -rated[k], 0.0), p[k])
        p = inverter.capped(p, cap)
        k = fleet.index["ev"]
        p[k] = np.minimum(p[k], served)
        self._comfort(p, dt_s)
        return p

    def _ramped(self, p: Array, held: Mapping[str, Array], elapsed_s: float) -> Array:
        """Let what follows a set-point, or has just been released from one, move at its ramp."""
        steered = ~(np.isnan(held["p_set_mw"]) & np.isnan(held["p_max_mw"])) & self._ramps
        ramping = steered | self._held
        self._held, self._holding = steered, bool(steered.any())
        if elapsed_s > 0:
            p = np.where(ramping, inverter.ramped(self.p_mw, p, self._ramp, elapsed_s), p)
            p = np.where(self.fleet.generates, np.minimum(p, self.p_avail_mw), p)
        return p

    def _bounds(self, low: Array, high: Array) -> None:
        """Set how far each device can still rise and fall, and how full storages are."""
        fleet, p, up, down = self.fleet, self.p_mw, self.p_up_mw, self.p_dn_mw
        reach(p, fleet.generates, self.p_avail_mw, up, down)  # what generates alone has more on offer
        k = fleet.index["storage"]
        up[k], down[k], self.soc[k] = np.maximum(high - p[k], 0.0), np.maximum(p[k] - low, 0.0), self.storage.soc
        k = fleet.index["ev"]
        up[k], down[k] = self.ev.reserve(-p[k])
        for kind in ("heatpump", "flexible"):
            k = fleet.index[kind]
            up[k] = -p[k]

    def get_state(self) -> dict[str, Any]:
        """Return energies and the last base power."""
        return {
            "storage": self.storage.get_state(), "ev": self.ev.get_state(),
            "heatpumps": self.heatpumps.get_state(), "p_mw": self.p_mw.copy(), "held": self._held.copy(),
            "flexible": self.flexible.get_state(), "capacitors": self.capacitors.get_state(),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.storage.set_state(state["storage"])
        self.ev.set_state(state["ev"])
        self.heatpumps.set_state(state["heatpumps"])
        self.flexible.set_state(state["flexible"])
        self.capacitors.set_state(state["capacitors"])
        self.p_mw, self._held = np.array(state["p_mw"]), np.array(state["held"])
        self._holding = bool(self._held.any())


def _finite(cap_mw: Array) -> Array:
    """Return caps with "none" as infinity, which does not limit."""
    return np.where(np.isnan(cap_mw), np.inf, cap_mw)
