"""The laws of all devices at work: in the step, with the power flow, and while frequency moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ScenarioError
from sims.core.orders import Action
from sims.der.dispatch import Dispatch
from sims.der.fleet import DeviceTable
from sims.der.law import Laws, Terminal, View
from sims.der.step_kernels import farthest, within
from sims.der.trace import Trace
from sims.grid.curve import Curve

Array = NDArray[np.float64]
SLOTS = {("voltage", "p_mw"): "pu", ("voltage", "q_mvar"): "qu", ("frequency", "p_mw"): "pf"}
"""What a law acts on and moves -> the slot its characteristic takes with a device, one law a slot."""


class Solved(NamedTuple):
    """A law that is solved with the power flow: its number and slot, whose it is, and where its curve is 0."""

    law: int
    slot: str
    own: Any
    curve: Curve
    idle: tuple[float, float]


class LawBook:
    """Asks the laws in their order and keeps their characteristics, terminals and trace.

    Parameters
    ----------
    table : DeviceTable
    laws : sequence of Bound
    v_pu, f_hz : ndarray, [device]
        Kept up to date by the owner; the laws see these arrays.
    step_s, trace_mw : float

    Attributes
    ----------
    curves : list of Curve
    index : dict of str to ndarray of int
        Slot (``pu``, ``qu``, ``pf``) -> index into `curves` by device, -1 where there is none.
    """

    def __init__(
        self, table: DeviceTable, laws: Laws, v_pu: Array, f_hz: Array, *, step_s: float, trace_mw: float
    ) -> None:
        self.laws = tuple(laws)
        self.trace = Trace(table, self.laws, trace_mw)
        count = len(table)
        zeros = np.zeros(count)
        self.terminal = Terminal(
            v_pu=v_pu, f_hz=f_hz, rocof_hz_s=zeros, p_mw=zeros, q_mvar=zeros, p_avail_mw=zeros,
            p_rated_mw=table.p_rated_mw, s_rated_mva=table.s_rated_mva, soc=zeros, p_up_mw=zeros, p_dn_mw=zeros,
            droop_mw_per_hz=np.full(count, np.nan), inertia_mw_s_per_hz=np.full(count, np.nan),
        )
        self._views = [View(self.terminal, bound.devices) for bound in self.laws]
        self._peak: dict[int, Array] = {}
        self.curves: list[Curve] = []
        self.index = {slot: np.full(count, -1, dtype=np.int64) for slot in SLOTS.values()}
        self._slot: list[str | None] = []
        self._solved: list[Solved] = []
        for k, bound in enumerate(self.laws):
            curve = bound.law.curve(step_s)
            slot = None if curve is None else SLOTS.get((bound.law.acts_on, bound.law.quantity))
            self._slot.append(slot)
            if curve is None or slot is None:
                continue
            taken = self.index[slot][bound.devices] >= 0
            if taken.any():
                device = bound.devices[np.argmax(taken)]
                other = self.curves[self.index[slot][device]].name
                raise ScenarioError(f"device '{table.name[device]}' carries both {other} and {bound.law.name}")
            self.index[slot][bound.devices] = len(self.curves)
            self.curves.append(curve)
            self._solved.append(Solved(k, slot, self._views[k].pick, curve, _idle(curve)))

    def answer(
        self, d: Dispatch, held: Mapping[str, Array], ordered: NDArray[np.bool_] | None, v_pu: Array, dt_s: float,
        now_ms: int,
    ) -> tuple[Array, Array, dict[str, Array], list[Action]]:
        """Return base P and Q, amplitudes by slot, and what laws on power began or ended to move.

        `ordered` marks devices whose reactive power is set from outside; their laws on Q rest. `v_pu` is the
        last known voltage, without gaps.
        """
        p, q, t = d.p_mw.copy(), d.q_mvar.copy(), self.terminal
        t.p_mw, t.q_mvar, t.p_avail_mw, t.soc = p, q, d.p_avail_mw, d.soc
        t.p_up_mw, t.p_dn_mw, t.droop_mw_per_hz = d.p_up_mw, d.p_dn_mw, held["droop_mw_per_hz"]
        t.inertia_mw_s_per_hz = held["inertia_mw_s_per_hz"]
        amplitude = {slot: np.zeros(len(p)) for slot in SLOTS.values()}
        actions: list[Action] = []
        for k, (bound, view, slot) in enumerate(zip(self.laws, self._views, self._slot, strict=True)):
            own = view.pick
            if bound.law.acts_on in ("power", "terminal"):
                p_new, q_new = bound.law.respond(view, dt_s)
                if ordered is not None:
                    q_new = np.where(ordered[own], q[own], q_new)
                moved = p_new - p[own] if bound.law.quantity == "p_mw" else q_new - q[own]
                actions += self.trace.note(k, moved, now_ms)
                p[own], q[own] = p_new, q_new
            elif slot is not None:
                base, swing = bound.law.settle(view, dt_s)
                if slot == "qu" and ordered is not None:
                    base, swing = np.where(ordered[own], q[own], base), np.where(ordered[own], 0.0, swing)
                (q if slot == "qu" else p)[own] = base
                amplitude[slot][own] = swing
        self._trim(p, amplitude, v_pu)
        self._disconnect(p, q, *amplitude.values())
        return p, q, amplitude, actions

    def _disconnect(self, *columns: Array) -> None:
        """Leave nothing of what devices feed that a law has taken off the grid, in place."""
        for bound, view in zip(self.laws, self._views, strict=True):
            off = getattr(bound.law, "off", None)
            if off is not None and off.any():
                for column in columns:
                    column[view.pick] = np.where(off, 0.0, column[view.pick])

    def _trim(self, p: Array, amplitude: dict[str, Array], v_pu: Array) -> None:
        """Keep two reductions of one unit from adding up to more than it feeds in."""
        pu, pf = amplitude["pu"], amplitude["pf"]
        for _, _, own, curve, idle in self._of("pu"):
            pu[own] = np.minimum(pu[own], np.maximum(p[own], 0.0))  # a later law may have left less
            left = p[own] if within(v_pu[own], *idle) else p[own] + pu[own] * curve(v_pu[own])
            pf[own] = np.minimum(pf[own], np.maximum(left, 0.0))

    def moved(self, swing: Mapping[str, Array], v_pu: Array, now_ms: int) -> list[Action]:
        """Return what laws on voltage and frequency began or ended to move in the step that ends now.

        What happened while frequency moved fast counts by its largest response.
        """
        actions: list[Action] = []
        for k, peak in self._peak.items():
            actions += self.trace.note(k, peak, now_ms)
            if self._slot[k] is None:
                actions += self.trace.note(k, np.zeros_like(peak), now_ms)
        self._peak = {}
        for k, slot, own, curve, idle in self._solved:
            at = (self.terminal.f_hz if slot == "pf" else v_pu)[own]
            if self.trace.active[k].any() or not within(at, *idle):
                actions += self.trace.note(k, swing[slot][own] * curve(at), now_ms)
        return actions

    def at_voltage(self, p_mw: Array, swing_mw: Array, v_pu: Array) -> Array:
        """Return what devices feed at a voltage, before any answer to frequency [MW]."""
        p = p_mw.copy()
        for _, _, own, curve, idle in self._of("pu"):
            if not within(v_pu[own], *idle):
                p[own] += swing_mw[own] * curve(v_pu[own])
        return p

    def at_frequency(self, swing_mw: Array, f_hz: Array) -> Array:
        """Return what the characteristics over frequency add at `f_hz` [device], settled [MW]."""
        out = np.zeros_like(swing_mw)
        for _, _, own, curve, _ in self._of("pf"):
            out[own] = swing_mw[own] * curve(f_hz[own])
        return out

    def _of(self, slot: str) -> Iterator[Solved]:
        return (solved for solved in self._solved if solved.slot == slot)

    def follow(self, base_mw: Array, f_hz: Array, rocof_hz_s: Array, dt_s: float) -> Array:
        """Return the power [MW] `dt_s` later under all laws on frequency, from `base_mw` without them."""
        t = self.terminal
        kept = t.f_hz, t.p_mw
        t.f_hz, t.rocof_hz_s, t.p_mw = f_hz, rocof_hz_s, base_mw.copy()
        for k, (bound, view) in enumerate(zip(self.laws, self._views, strict=True)):
            if bound.law.acts_on in ("frequency", "terminal"):
                goes = bound.law.respond(view, dt_s)[0]
                shift = goes - t.p_mw[view.pick]
                t.p_mw[view.pick] = goes
                if k in self._peak:
                    farthest(shift, self._peak[k])
                else:
                    self._peak[k] = shift
        after = t.p_mw
        t.f_hz, t.p_mw = kept
        return after

    def get_state(self) -> dict[str, Any]:
        """Return the memory of every law and of the trace; while frequency moves, also what devices last measured."""
        seen = {name: np.copy(column) for name, column in vars(self.terminal).items()} if self._peak else {}
        return {
            "laws": [bound.law.get_state() for bound in self.laws], "trace": self.trace.get_state(),
            "peak": {k: peak.copy() for k, peak in self._peak.items()}, "seen": seen,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        for bound, memory in zip(self.laws, state["laws"], strict=True):
            bound.law.set_state(memory)
        self.trace.set_state(state["trace"])
        self._peak = {k: peak.copy() for k, peak in state["peak"].items()}
        for name, column in state["seen"].items():
            if name not in ("v_pu", "f_hz"):  # these are the owner's
                setattr(self.terminal, name, column.copy())


def _idle(curve: Curve) -> tuple[float, float]:
    """Return the range around the middle of a characteristic in which it is 0; nothing where it never is."""
    zero = [x for x, y in zip(curve.x, curve.y, strict=True) if y == 0]
    low = -np.inf if curve.y[0] == 0 else min(zero, default=np.inf)
    return low, np.inf if curve.y[-1] == 0 else max(zero, default=-np.inf)
