"""The steady frequency at which generation meets demand: droop, self-regulation, reserves.

Between disturbances the system is taken as settled: every machine stands at set-point plus droop, loads
follow the frequency, and the deviation is what closes the balance (Kundur, Power System Stability and
Control, 1994, section 11.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ModelError
from sims.grid.meshed import MeshedPowerFlow

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Draw = Callable[[Floats, float], Complexes]
"""(Voltage magnitude of each interface [pu], frequency deviation [Hz]) -> what each draws [MVA]."""


@dataclass(frozen=True)
class Governors:
    """Machines under droop, one element each.

    Parameters
    ----------
    k_mw_per_hz : float array
        S_n / (R f0).
    fcr_mw : float array
        Most that the droop may add or take.
    p_max_mw : float array
    """

    k_mw_per_hz: Floats
    fcr_mw: Floats
    p_max_mw: Floats

    def power(self, p_set_mw: Floats, df_hz: float, running: NDArray[np.bool_]) -> Floats:
        """Return what each machine gives at the deviation `df_hz` [MW]."""
        droop = np.minimum(np.maximum(-self.k_mw_per_hz * df_hz, -self.fcr_mw), self.fcr_mw)
        out: Floats = np.minimum(np.maximum(p_set_mw + droop, 0.0), self.p_max_mw) * running
        return out

    def slope(self, p_set_mw: Floats, df_hz: float, running: NDArray[np.bool_]) -> float:
        """Return the machines' part of the system's stiffness at `df_hz` [MW/Hz]."""
        h = 1e-6
        return float(
            (self.power(p_set_mw, df_hz - h, running) - self.power(p_set_mw, df_hz + h, running)).sum() / (2 * h)
        )


@dataclass(frozen=True)
class Response:
    """How the grid answers what interfaces draw: arrays [interface, interface] and [interface].

    Voltages [pu] and the excess [MW] by active and reactive power [1/MW, 1/Mvar], voltages by deviation
    [1/Hz]. It steers the search for a solution and is no part of it.
    """

    v_by_p: Floats
    v_by_q: Floats
    v_by_hz: Floats
    excess_by_p: Floats
    excess_by_q: Floats


class QuasiSteady:
    """One synchronous area as a chain of steady states.

    Parameters
    ----------
    engine : MeshedPowerFlow
        Transmission grid; its slack is the machine at `slack`.
    slack : int
        Machine (row) whose power the power flow gives.
    self_regulation : float
        Change of static load with frequency [1/Hz].
    """

    tolerance_mw = 1e-5
    follow_steps, most_steps = 10, 30
    probe_mw, renewed_after = 1.0, 240

    def __init__(
        self, engine: MeshedPowerFlow, governors: Governors, slack: int, load_node: NDArray[np.int64],
        interface_node: NDArray[np.int64], self_regulation: float,
    ) -> None:
        self.engine, self.governors, self.slack = engine, governors, slack
        self.load_node, self.interface_node = load_node, interface_node
        self.self_regulation = self_regulation
        self.running = np.ones(governors.k_mw_per_hz.size, bool)
        self.df_hz = 0.0
        self.p_gen_mw = np.zeros(self.running.size)
        self.load_mva = np.zeros(load_node.size, np.complex128)
        self.boundary_mva = np.zeros(interface_node.size, np.complex128)
        self._p_set_mw, self._static_mva = self.p_gen_mw, self.load_mva
        self._drawn_at = np.concatenate((load_node, interface_node))
        self._stepped = np.zeros(engine.n_nodes, np.complex128)
        self._others = np.flatnonzero(np.arange(self.running.size) != slack)
        self._response: Response | None = None
        self._solves = 0

    def trip(self, machine: int) -> None:
        """Take a machine off: no power, no voltage support."""
        self.running[machine] = False
        self._response = None
        self.engine.set_generator(machine_row(machine, self.slack), in_service=False)

    @property
    def static_mva(self) -> Complexes:
        """Static load by row at nominal frequency [MVA]."""
        return self._static_mva

    def draw(self, drawn_mva: Complexes) -> None:
        """Let `drawn_mva` [node] be consumed beyond loads and interfaces, whatever the frequency."""
        self._stepped = np.array(drawn_mva, np.complex128)

    def switch(self, kind: str, element: int, *, closed: bool) -> None:
        """Open or close a branch."""
        self.engine.set_branch(kind, element, in_service=closed)
        self._response = None

    def hold_voltages(self, v_pu: Floats) -> None:
        """Let the machines hold `v_pu` [machine] at their terminals."""
        self.engine.set("gen", "vm_pu", v_pu[self._others])
        self.engine.set("ext_grid", "vm_pu", v_pu[self.slack])
        self._response = None

    @property
    def v_interface(self) -> NDArray[np.complex128]:
        """Voltages of the interfaces' busbars at the last solution [pu]."""
        return self.engine.v[self.interface_node]

    def solve(
        self, now_ms: int, p_set_mw: Floats, load_mva: NDArray[np.complex128],
        drawn: Draw, tolerance_mw: float | None = None,
    ) -> Complexes:
        """Find frequency and voltages for set-points, static loads and what the interfaces draw.

        Returns the interfaces' voltages [pu].

        Parameters
        ----------
        drawn : callable
            See `Draw`; may only depend on an interface's own voltage.
        tolerance_mw : float, optional
            For a solution that is not the last word: what may be left over before the last step [MW], which
            is then taken on frequency and voltages without another power flow.

        Raises
        ------
        ModelError
            No power flow or no balance exists: reserves are exhausted.
        """
        limit = self.tolerance_mw if tolerance_mw is None else tolerance_mw
        missing = float(load_mva.real.sum() - self._static_mva.real.sum() - p_set_mw.sum() + self._p_set_mw.sum())
        self._p_set_mw, self._static_mva = p_set_mw, load_mva
        if self._solves % self.renewed_after == 0:
            self._response = None
        self._solves += 1
        v_pu = self._foresee(drawn, np.abs(self.v_interface), missing, limit)
        for k in range(self.most_steps):
            boundary = drawn(v_pu, self.df_hz)
            excess = self._power_flow(now_ms, boundary)
            found = np.abs(self.v_interface)
            if k < self.follow_steps:  # an expectation too steep to settle is held; the next exchange corrects it
                moved = np.abs(drawn(found, self.df_hz) - boundary).max(initial=0.0)
            else:
                found, moved = v_pu, 0.0
            if abs(excess) < limit and moved < limit:
                if tolerance_mw is not None and self._response is not None:
                    return self._ahead(self._next(self._response, drawn, v_pu, found, excess, held=False), found)
                self.p_gen_mw[self.slack] += excess
                return self.v_interface
            if self._response is None:
                self._response = self._probe(now_ms, boundary)
            v_pu = self._next(self._response, drawn, v_pu, found, excess, held=k >= self.follow_steps)
            if abs(self.df_hz) > 5.0:
                break
        raise ModelError(
            "transmission", now_ms,
            f"generation cannot meet demand: {excess:+.1f} MW are missing at {self.df_hz:+.2f} Hz with all "
            "primary reserve in use; state larger reserves in transmission.reserves",
        )

    def _foresee(self, drawn: Draw, v_pu: Floats, missing_mw: float, limit_mw: float) -> Floats:
        """Take a first step by what is known to have changed, `missing_mw` and the interfaces', without a solution."""
        r = self._response
        if r is None:
            return v_pu
        change = drawn(v_pu, self.df_hz) - self.boundary_mva
        excess = missing_mw + float(r.excess_by_p @ change.real + r.excess_by_q @ change.imag)
        if abs(excess) < limit_mw and np.abs(change).max(initial=0.0) < limit_mw:
            return v_pu
        return self._next(r, drawn, v_pu, v_pu + r.v_by_p @ change.real + r.v_by_q @ change.imag, excess, held=False)

    def _next(
        self, r: Response, drawn: Draw, v_pu: Floats, found: Floats, excess: float, *, held: bool,
    ) -> Floats:
        """Take one Newton step: move the deviation, return the interfaces' voltages to draw at next.

        The unknowns are those voltages and the deviation; the equations, that the grid gives the voltages at
        which was drawn, and that nothing is left over.
        """
        h, n = 1e-4, v_pu.size
        by_f = (drawn(v_pu, self.df_hz + h) - drawn(v_pu, self.df_hz - h)) / (2 * h)
        stiffness = self.governors.slope(self._p_set_mw, self.df_hz, self.running) + float(by_f.real.sum())
        stiffness = max(stiffness + self.self_regulation * float(self._static_mva.real.sum()), 1.0)
        if held:
            self.df_hz -= excess / stiffness
            return v_pu
        by_v = (drawn(v_pu + h, self.df_hz) - drawn(v_pu - h, self.df_hz)) / (2 * h)
        jac = np.empty((n + 1, n + 1))
        jac[:n, :n] = r.v_by_p * by_v.real + r.v_by_q * by_v.imag - np.eye(n)
        jac[:n, n] = r.v_by_p @ by_f.real + r.v_by_q @ by_f.imag + r.v_by_hz
        jac[n, :n] = r.excess_by_p * by_v.real + r.excess_by_q * by_v.imag
        jac[n, n] = stiffness + float((r.excess_by_p - 1) @ by_f.real + r.excess_by_q @ by_f.imag)
        step = np.linalg.solve(jac, np.append(v_pu - found, -excess))
        self.df_hz += float(step[n])
        return np.asarray(v_pu + step[:n])

    def _ahead(self, v_pu: Floats, found: Floats) -> Complexes:
        out: Complexes = self.v_interface * (v_pu / found)
        return out

    def _probe(self, now_ms: int, boundary: Complexes) -> Response:
        """Find by differences how voltages and excess follow each interface's power, and the deviation."""
        n, size, df = boundary.size, self.probe_mw, self.df_hz
        columns = []
        for shift in (*(size * np.eye(n)), *(1j * size * np.eye(n))):
            excess = self._power_flow(now_ms, boundary + shift)
            columns.append(np.append(np.abs(self.v_interface), excess))
        self.df_hz = df + 1e-3
        self._power_flow(now_ms, boundary)
        by_hz, self.df_hz = np.abs(self.v_interface), df
        excess = self._power_flow(now_ms, boundary)
        base = np.append(np.abs(self.v_interface), excess)
        rise = (np.array(columns).T - base[:, None]) / size
        return Response(rise[:n, :n], rise[:n, n:], (by_hz - base[:n]) / 1e-3, rise[n, :n], rise[n, n:])

    def _power_flow(self, now_ms: int, boundary_mva: Complexes) -> float:
        """Solve at the present deviation; return what the slack machine gives beyond its own [MW]."""
        self.load_mva = self._static_mva * (1 + self.self_regulation * self.df_hz)
        self.p_gen_mw = self.governors.power(self._p_set_mw, self.df_hz, self.running)
        self.boundary_mva = boundary_mva
        drawn = np.concatenate((self.load_mva, boundary_mva))
        p, q = (np.bincount(self._drawn_at, part, self.engine.n_nodes) for part in (drawn.real, drawn.imag))
        self.engine.set_injection(-p - self._stepped.real, -q - self._stepped.imag)
        self.engine.set("gen", "p_mw", self.p_gen_mw[self._others])
        if not self.engine.solve():
            raise ModelError("transmission", now_ms, "the power flow of the transmission grid has no solution")
        return float(self.engine.slack_p_mw) - float(self.p_gen_mw[self.slack])

    def get_state(self) -> dict[str, Any]:
        """Return frequency deviation and which machines run."""
        return {"df_hz": self.df_hz, "running": self.running.copy()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.df_hz = state["df_hz"]
        for machine in np.flatnonzero(~np.asarray(state["running"])):
            self.trip(int(machine))


def machine_row(machine: int, slack: int) -> int:
    """Return the row of a machine among the generators of the net, from which the slack is left out."""
    return machine - (machine > slack)
