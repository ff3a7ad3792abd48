"""The time around a disturbance: machines in motion between two quasi-steady instants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.transmission.boundary import Held
from sims.transmission.disturbances import Condition, Disturbance
from sims.transmission.dynamics import Dynamics
from sims.transmission.machinery import Machinery
from sims.transmission.quasi_steady import QuasiSteady
from sims.transmission.seen import Rows, Seen

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

SETTLED_HZ = 1e-3
"""Most that any cell's frequency may have moved within `SETTLED_MS` to count as settled, whatever its offset."""
SETTLED_MS = 2000
RESTING_MS = 500
"""Interval of exchange while separate islands stand settled; there is no quasi-steady state to hand back to."""


class Zoom:
    """`Dynamics` started from a quasi-steady solution, with distribution grids and devices at its interfaces.

    What an interface draws is what its feeders were last solved for, moved along their slope over voltage, less
    what the devices have answered to frequency since. Static loads follow frequency as in the quasi-steady
    system, in steps of the coupling interval. Governors stay within the primary reserve of their machine.

    Parameters
    ----------
    condition : Condition
        Switches, machines and steps of load contained in the solution of `system`.
    held : Held
        What the interfaces draw in that solution, and how it follows voltage.
    tap_ratio : float array [interface]
    events : sequence of Disturbance
        What happens from `at_ms` on.

    Raises
    ------
    ModelError
        A machine cannot be initialised (says which limit), or the start is unstable.
    """

    def __init__(
        self, machinery: Machinery, system: QuasiSteady, condition: Condition, *, at_ms: int, p_set_mw: Floats,
        held: Held, tap_ratio: Floats, events: Sequence[Disturbance],
    ) -> None:
        own, self.machinery, self._governors = machinery.case, machinery, system.governors
        case, busbars = machinery.with_interfaces(tap_ratio)
        at = np.append(machinery.bus_node, system.interface_node)
        loads = [own.bus_ids[bus] for bus in own.load_bus]
        self._count, self._case_load = len(busbars), system.load_mva.copy()
        drawn = held.expected(np.abs(system.v_interface))
        self.dynamics = Dynamics(
            replace(case, load_mva=self._case_load), system.engine.v[at], interfaces=(*busbars, *loads),
            condition=machinery.begun(condition), df0_hz=system.df_hz,
            boundary_mva=np.append(-drawn, np.zeros(len(loads))), start_ms=at_ms)
        for event in events:
            self.dynamics.schedule(event)
        self._regulation, self._n_buses = system.self_regulation, own.n_bus
        self._p_start_mw, self._lost_mw = p_set_mw.copy(), self._losses(system)
        self._rated = np.array([t.sn_mva for t in machinery.transformers])
        self.moving, self.last_event_ms = True, at_ms
        self.held = held
        self.plan(p_set_mw, system.static_mva)
        self.feeders(held)

    def _losses(self, system: QuasiSteady) -> Floats:
        """Return what each machine's turbine gives beyond its terminals and its set-point under droop [MW]."""
        return np.where(system.running, self.dynamics.p_mech_mw - system.p_gen_mw, 0.0)

    @property
    def now_ms(self) -> int:
        """Time reached."""
        return self.dynamics.now_ms

    @property
    def whole(self) -> bool:
        """Whether one synchronous area with its slack machine stands, as the quasi-steady system needs it."""
        d = self.dynamics
        return d.islands == 1 and bool(d.online[self.machinery.case.slack])

    @property
    def step_ms(self) -> int:
        """Interval of exchange with the devices now."""
        return self.machinery.coupling_ms if self.moving else RESTING_MS

    def plan(self, p_set_mw: Floats, static_mva: Complexes) -> None:
        """Take the machines' set-points and the static loads of a new instant."""
        g = self._governors
        self.dynamics.set_p_ref(p_set_mw - self._p_start_mw)
        self.dynamics.set_valve_range(
            np.maximum(p_set_mw - g.fcr_mw, 0.0) + self._lost_mw,
            np.minimum(p_set_mw + g.fcr_mw, g.p_max_mw) + self._lost_mw)
        self._p_set, self._static = p_set_mw.copy(), static_mva.copy()

    def feeders(self, held: Held) -> None:
        """Take what the feeders draw at the present voltages and frequency, solved anew."""
        self.held = held
        none = np.zeros(self._case_load.size)
        self.dynamics.set_boundary_sensitivity(
            np.append(-held.per_pu.real, none), np.append(-held.per_pu.imag, none), np.append(held.v_pu, none))
        self._hold()

    def _hold(self) -> None:
        """Hold the powers at the interfaces, and the static loads at the frequency of their bus."""
        df = self.dynamics.f_interface_hz[self._count :] - self.machinery.case.f0_hz
        self.load_mva = self._static * (1 + self._regulation * np.where(np.isnan(df), 0.0, df))
        held, own = self.held, self._case_load - self.load_mva
        self.dynamics.set_boundary(
            np.concatenate((held.der_mw - held.drawn_mva.real, own.real)),
            np.concatenate((-held.drawn_mva.imag, own.imag)))

    def advance(self, until_ms: int) -> None:
        """Integrate to `until_ms`, the loads following frequency every coupling interval; see `Dynamics.advance`."""
        d, coupling = self.dynamics, self.machinery.coupling_ms
        while d.now_ms < until_ms:
            self._hold()
            d.advance(min(until_ms, (d.now_ms // coupling + 1) * coupling))
        if d.log and d.log[-1][0] > self.last_event_ms:
            self.last_event_ms = d.log[-1][0]
        if d.now_ms - self.last_event_ms < SETTLED_MS:
            self.moving = True
        elif d.now_ms % 100 == 0:
            _, f = d.f_cell_history(SETTLED_MS)
            swing = float(np.nan_to_num(f.max(axis=0) - f.min(axis=0)).max())
            self.moving = swing > (SETTLED_HZ if self.moving else 5 * SETTLED_HZ)

    @property
    def f_cell_hz(self) -> Floats:
        """Frequency [cell]; a dead cell is told the nominal one."""
        f = self.dynamics.f_cell_hz
        return np.where(np.isnan(f), self.machinery.case.f0_hz, f)

    @property
    def df_hz(self) -> float:
        """Deviation of all machines running, weighted with their kinetic energy [Hz]."""
        return self.dynamics.f_coi_hz - self.machinery.case.f0_hz

    @property
    def interface_cell(self) -> NDArray[np.int64]:
        """Cell of each interface."""
        return self.dynamics.interface_cell[: self._count]

    @property
    def v_interface(self) -> Complexes:
        """Voltages of the interfaces' busbars [pu]."""
        v: Complexes = self.dynamics.v_bus[self._n_buses :]
        return v

    def signals(self) -> Rows:
        """Return what is recorded at each exchange, by kind of thing."""
        d, n = self.dynamics, self._count
        flow = d.s_branch_mva[0][-n:]
        return {
            "cell_fine": {"f_hz": d.f_cell_hz, "p_tie_mw": d.p_export_mw},
            "interface_fine": {
                "f_hz": d.f_interface_hz[:n], "v_pu": np.abs(self.v_interface), "p_mw": -flow.real,
                "q_mvar": -flow.imag, "der_mw": self.held.der_mw,
            },
            "gen_fine": {"f_hz": d.f_machine_hz, "p_mech_mw": d.p_mech_mw, "p_elec_mw": d.p_elec_mw},
        }

    def instant(self) -> Seen:
        """Return voltages, flows and powers of the present instant as the quasi-steady system would show them."""
        d, n = self.dynamics, self._count
        case, condition = d.case, d.condition
        at_from, at_to = d.s_branch_mva
        v, high = d.v_bus, case.branch_from[-n:]
        out = -condition.drawn_mva.copy()
        np.add.at(out, case.load_bus, -self.load_mva)
        sent = np.conj(case.shunt_pu) * np.abs(v) ** 2 * case.base_mva
        np.add.at(sent, case.branch_from, at_from)
        np.add.at(sent, case.branch_to, at_to)
        share = condition.online / np.maximum(np.bincount(case.machines.bus, condition.online, case.n_bus), 1)[
            case.machines.bus]
        made = (sent - out).real[case.machines.bus] * share
        s = at_from[-n:]
        v_high = np.abs(v[high])
        drawn = condition.drawn_mva
        at_busbar = d.s_branch_mva[1][-n:].real.sum()  # into the transformers from below: minus what the feeders draw
        loss_mw = float(made.sum() - self.load_mva.real.sum() - drawn.real.sum() + at_busbar)
        return Seen(
            v_high, -s, np.abs(s) / np.maximum(v_high, 0.1) / self._rated * 100, made, d.p_export_mw,
            drawn[: self._n_buses], loss_mw)

    def hand_back(self, system: QuasiSteady) -> Condition:
        """Set `system` to where the machines have come to rest; return what is in service now.

        Frequency and the machines' terminal voltages are taken over, and machines that are off are tripped.
        """
        d = self.dynamics
        system.df_hz = self.df_hz
        system.hold_voltages(np.where(d.online, d.v_terminal_pu, 1.0))
        return self.machinery.kept(d.condition)

    def get_state(self) -> dict[str, Any]:
        """Return where the machines have come to; a zoom that starts alike goes on from there."""
        return {
            "dynamics": self.dynamics.get_state(), "held": self.held, "p_set": self._p_set, "static": self._static,
            "load": self.load_mva, "moving": self.moving, "last_event_ms": self.last_event_ms,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.plan(state["p_set"], state["static"])
        self.held, self.load_mva = state["held"], state["load"]
        self.moving, self.last_event_ms = state["moving"], state["last_event_ms"]
        self.dynamics.set_state(state["dynamics"])
