"""What goes on between two grid steps: machines in motion from a disturbance on, and the way back."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.clock import MS_PER_S, next_tick
from sims.core.errors import ModelError
from sims.core.ports import Step
from sims.grid.taps import Avr
from sims.transmission.boundary import Boundary, Held
from sims.transmission.disturbances import Condition, Disturbance, LoadStep
from sims.transmission.machinery import Machinery
from sims.transmission.quasi_steady import QuasiSteady
from sims.transmission.reserve import FOREVER_MS
from sims.transmission.restoring import STEP_MS, Restoring
from sims.transmission.seen import Rows
from sims.transmission.ties import Ties
from sims.transmission.zoom import Zoom

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


class Motion:
    """Follows the machines from a disturbance to their rest (`Zoom`), then the frequency to its rest (`Restoring`).

    Attributes
    ----------
    zoom, restoring : Zoom, Restoring or None
        At most one of them; none while nothing moves.
    condition : Condition
        What is in service in the quasi-steady system.
    events : list of Disturbance
    rows : list of (int, Rows)
        Time and signals of the exchanges since the last grid step.
    """

    def __init__(
        self, machinery: Machinery, system: QuasiSteady, ties: Ties, boundary: Boundary, avr: Avr,
        tap_rows: Sequence[int], events: Sequence[Disturbance],
    ) -> None:
        self.machinery, self.events = machinery, sorted(events, key=lambda e: e.t_ms)
        self._system, self._ties, self._boundary, self._avr, self._tap_rows = system, ties, boundary, avr, tap_rows
        self.condition = Condition.normal(machinery.case)
        self.zoom: Zoom | None = None
        self.restoring: Restoring | None = None
        self.rows: list[tuple[int, Rows]] = []
        self._fed_hz: Floats = np.zeros(0)
        self._told_ms = self._begun_ms = -1
        self._drawn_ms = 0
        self._start: dict[str, Any] = {}

    def strike(self, now_ms: int) -> None:
        """Let the disturbances up to now take effect in the quasi-steady system, without any motion."""
        due = [e for e in self.events if e.t_ms <= now_ms]
        if due:
            self.events = self.events[len(due) :]
            condition = copy.deepcopy(self.condition)
            for event in due:
                condition.drift(event.t_ms - self._drawn_ms)
                self._drawn_ms = event.t_ms
                event.apply(self.machinery.case, condition)
            self._impose(condition)

    def drift(self, now_ms: int) -> None:
        """Let what is drawn beside the loads follow its ramps up to now, while no machine is followed."""
        if self.zoom is None:
            if self.condition.ramp_mva_per_s.any():
                condition = copy.deepcopy(self.condition)
                condition.drift(now_ms - self._drawn_ms)
                self._impose(condition)
            self._drawn_ms = now_ms

    @property
    def under_way(self) -> bool:
        """Whether machines or frequency are followed between two grid steps."""
        return self.zoom is not None or self.restoring is not None

    def due_ms(self, now_ms: int) -> int:
        """Return when the next disturbance is due after `now_ms`, a time far off where none is."""
        return next((e.t_ms for e in self.events if e.t_ms > now_ms), FOREVER_MS)

    def catch_up(self, now_ms: int, answer: Floats | None) -> None:
        """Let the machines move to `now_ms` with what the devices answered to the frequency told last."""
        zoom = self.zoom
        if zoom is None or zoom.now_ms >= now_ms:
            return
        if answer is not None and self._told_ms >= self._begun_ms:
            zoom.held.der_mw = np.array(answer, np.float64)
        zoom.advance(now_ms)
        self.rows.append((now_ms, zoom.signals()))

    def hand_back(self) -> Complexes | None:
        """Go on quasi-steadily from where the machines have come to rest, if they have; return the voltages there."""
        zoom = self.zoom
        if zoom is None or zoom.moving or not zoom.whole:
            return None
        v = zoom.v_interface
        self._impose(zoom.hand_back(self._system))
        self._drawn_ms = zoom.now_ms
        self.zoom, self.restoring = None, self._way_back(zoom.held)
        return v

    def _way_back(self, held: Held) -> Restoring:
        case = self.machinery.case
        return Restoring(self._system, self._ties, self._tap_rows, len(case.cells), case.f0_hz, held)

    def _impose(self, condition: Condition) -> None:
        self.machinery.impose(self._system, self.condition, condition)
        self.condition = condition

    def call(self, now_ms: int, answer: Floats | None, p_set_mw: Floats, static_mva: Complexes) -> Rows:
        """Take new set-points between two grid steps; return the signals of this instant.

        The machines follow them; on the way back the frequency is found that goes with them, with what the devices
        answered to the last one.
        """
        if self.zoom is not None:
            self.zoom.plan(p_set_mw, static_mva)
        elif self.restoring is not None:
            if answer is not None:
                self.restoring.answer(answer)
            self.drift(now_ms)
            self.restoring.solve(now_ms, p_set_mw, static_mva)
            if not self.rows or self.rows[-1][0] < now_ms:  # the instant at which the machines hand over is theirs
                self.rows.append((now_ms, self.restoring.signals()))
        return self.rows[-1][1]

    def solve(self, now_ms: int, p_set_mw: Floats, static_mva: Complexes) -> tuple[Complexes, Complexes]:
        """Take the feeders as they were solved for a grid step; return voltages and what is drawn [interface]."""
        if self._begun_ms == now_ms:  # machines may only start from an instant that all agree on
            self.zoom, self.rows = None, []
        boundary, zoom, nothing = self._boundary, self.zoom, np.zeros(self._system.interface_node.size)
        if zoom is None:
            v = self._system.solve(now_ms, p_set_mw, static_mva, boundary)
            if self.restoring is not None:
                self.restoring.feeders(Held(self._system.boundary_mva, boundary.per_pu.copy(), np.abs(v), nothing))
                self._fed_hz = self.restoring.f_cell_hz
                self.restoring.watch(now_ms)
            return v, self._system.boundary_mva
        zoom.plan(p_set_mw, static_mva)
        v_pu, df_hz = np.abs(zoom.v_interface), zoom.f_cell_hz[zoom.interface_cell] - self.machinery.case.f0_hz
        zoom.feeders(Held(boundary.expected(v_pu, df_hz), boundary.per_pu.copy(), v_pu, nothing))
        self._fed_hz = zoom.f_cell_hz
        return zoom.v_interface, zoom.held.expected(np.abs(zoom.v_interface))

    def follow(self, now_ms: int, following: int, p_set_mw: Floats, outputs: dict[str, Any]) -> Step:
        """Start the machines where a disturbance is due; tell the devices while something moves.

        `p_set_mw` is what the quasi-steady system was last solved with, `following` the next grid step.
        """
        due = [e for e in self.events if e.t_ms >= now_ms]
        if due and due[0].t_ms == now_ms:
            if self.zoom is None:
                self._begin(now_ms, p_set_mw, due)
            else:
                self.zoom.moving = True
        after = min(following, self.due_ms(now_ms))
        if self.restoring is not None and not (self.restoring.moving or self.condition.ramp_mva_per_s.any()):
            self.restoring = None
        stage = self.zoom or self.restoring
        if stage is None:
            return Step(after, outputs)
        after = min(after, next_tick(now_ms, STEP_MS))
        if self.zoom is not None and self.zoom.whole and not self.zoom.moving:
            return Step(after, outputs)
        self._told_ms = now_ms
        after, f_hz = min(after, next_tick(now_ms, stage.step_ms)), stage.f_cell_hz
        told = {"f_hz": f_hz, "fast": [(f_hz, self._fed_hz, (after - now_ms) / MS_PER_S)]}
        return Step(after, outputs | told)

    def told(self, now_ms: int) -> bool:
        """Tell whether the devices have been told of this instant."""
        return self._told_ms == now_ms

    def _begin(self, now_ms: int, p_set_mw: Floats, due: Sequence[Disturbance]) -> None:
        system, boundary = self._system, self._boundary
        if (rho := boundary.contraction(system.response)) >= 1:
            raise ModelError(
                "transmission", now_ms,
                f"the feeders answer voltage as strongly as the grid gives way (contraction {rho:.2f}, must be "
                "below 1): no voltage holds between two solutions of the feeders; relieve the interfaces")
        der_mw = np.zeros(boundary.per_pu.size) if self.restoring is None else self.restoring.held.der_mw
        held = Held(system.boundary_mva + der_mw, boundary.per_pu.copy(), np.abs(system.v_interface), der_mw.copy())
        step_percent = np.array([t.tap_step_percent for t in self.machinery.transformers])
        self._start = {
            "condition": self.condition, "at_ms": now_ms, "p_set_mw": p_set_mw.copy(), "held": copy.deepcopy(held),
            "tap_ratio": 1 + self._avr.pos * step_percent / 100,
        }
        missed = self.condition.ramp_mva_per_s * ((now_ms - self._drawn_ms) / MS_PER_S)
        ids = self.machinery.case.bus_ids
        steps = [LoadStep(now_ms, ids[k], missed[k].real, missed[k].imag) for k in np.flatnonzero(missed)]
        self.zoom = self._started([*steps, *due])
        if self.restoring is None:
            self._fed_hz = self.zoom.f_cell_hz
        self._begun_ms = now_ms
        self.rows.append((now_ms, self.zoom.signals()))

    def _started(self, events: Sequence[Disturbance]) -> Zoom:
        start = copy.deepcopy(self._start)
        return Zoom(self.machinery, self._system, start.pop("condition"), events=events, **start)

    def taken(self) -> tuple[tuple[int, Rows], ...]:
        """Return the rows since the last grid step, and begin anew."""
        rows, self.rows = tuple(self.rows), []
        return rows

    def get_state(self) -> dict[str, Any]:
        """Return what is in service, and where machines or frequency have come to on their way."""
        return copy.deepcopy({
            "condition": self.condition, "rows": self.rows, "fed_hz": self._fed_hz, "told_ms": self._told_ms,
            "begun_ms": self._begun_ms, "drawn_ms": self._drawn_ms, "start": self._start if self.zoom else {},
            "zoom": self.zoom and self.zoom.get_state(), "restoring": self.restoring and self.restoring.get_state(),
        })

    def set_state(self, state: dict[str, Any], solved_ms: int) -> None:
        """Continue from `get_state`, the quasi-steady system being where it was at its last solution, `solved_ms`."""
        state = copy.deepcopy(state)
        self._start, self.rows, self._fed_hz = state["start"], state["rows"], state["fed_hz"]
        self._told_ms, self._begun_ms = state["told_ms"], state["begun_ms"]
        self.condition, self._drawn_ms = state["condition"], state["drawn_ms"]
        self.events = [e for e in self.events if e.t_ms > solved_ms]
        if state["zoom"]:
            self.zoom = self._started([])
            self.zoom.set_state(state["zoom"])
        if state["restoring"]:
            self.restoring = self._way_back(state["restoring"]["held"])
            self.restoring.set_state(state["restoring"])
