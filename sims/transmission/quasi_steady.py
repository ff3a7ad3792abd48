"""The steady frequency at which generation meets demand: droop, self-regulation, reserves.

Between disturbances the system is taken as settled: every machine stands at set-point plus droop, loads
follow the frequency, and the deviation is what closes the balance (Kundur, Power System Stability and
Control, 1994, section 11.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ModelError
from sims.grid.meshed import MeshedPowerFlow
from sims.transmission import quasi_steady_kernels as kernels

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

class Draw(Protocol):
    """What the interfaces draw: straight lines over their own voltage [MVA/pu] and the deviation [MVA/Hz]."""

    per_pu: Complexes
    per_hz: Complexes

    def expected(self, v_pu: Floats, df_hz: float) -> Complexes:
        """Return what each draws at these voltage magnitudes [pu] and this deviation [Hz], [MVA]."""
        ...


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
        out: Floats = kernels.power(self.k_mw_per_hz, self.fcr_mw, self.p_max_mw, p_set_mw, df_hz, running)
        return out

    def slope(self, p_set_mw: Floats, df_hz: float, running: NDArray[np.bool_]) -> float:
        """Return the machines' part of the system's stiffness at `df_hz` [MW/Hz]."""
        return float(kernels.slope(self.k_mw_per_hz, self.fcr_mw, self.p_max_mw, p_set_mw, df_hz, running))


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

    @property
    def pu_per_mva(self) -> Floats:
        """Most that any interface's voltage moves with what one draws, [interface]."""
        out: Floats = (np.abs(self.v_by_p) + np.abs(self.v_by_q)).max(axis=0)
        return out


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
    most_drift_pu = 1e-4

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
        self._stepped = np.zeros(engine.n_nodes, np.complex128)
        self._others = np.flatnonzero(np.arange(self.running.size) != slack)
        self._response: Response | None = None
        self._held_pu: Floats | None = None
        self._solves, self._solved_ms = 0, -1
        self._unseen = np.zeros(interface_node.size + 1)

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
        root = self.engine.compiled.root_v
        self.engine.set_slack(v_pu[self.slack] * root / np.abs(root))
        self._held_pu, self._response = v_pu, None

    @property
    def v_interface(self) -> NDArray[np.complex128]:
        """Voltages of the interfaces' busbars at the last solution [pu]."""
        return self.engine.v[self.interface_node]

    @property
    def response(self) -> Response:
        """How the grid answers what interfaces draw, about; known from the first solution on."""
        assert self._response is not None, "how voltages follow power is known once there is a solution"
        return self._response

    def solve(self, now_ms: int, p_set_mw: Floats, load_mva: NDArray[np.complex128], drawn: Draw) -> Complexes:
        """Find frequency and voltages for set-points, static loads and what the interfaces draw.

        Returns the interfaces' voltages [pu].

        Raises
        ------
        ModelError
            No power flow or no balance exists: reserves are exhausted.
        """
        limit = self.tolerance_mw
        missing = float(load_mva.real.sum() - self._static_mva.real.sum() - p_set_mw.sum() + self._p_set_mw.sum())
        self._p_set_mw, self._static_mva = p_set_mw, load_mva
        if self._solves % self.renewed_after == 0:
            self._response = None
        self._solves += 1
        new, self._solved_ms = now_ms != self._solved_ms, now_ms
        v_pu = self._foresee(drawn, np.abs(self.v_interface), missing, self._unseen * new)
        for k in range(self.most_steps):
            boundary = drawn.expected(v_pu, self.df_hz)
            excess = self._power_flow(now_ms, boundary)
            if self._response is None:
                self._response = self._probe(now_ms, boundary)
            found = np.abs(self.v_interface)
            if k == 0 and new:
                self._learn(found - v_pu, excess)
            if k < self.follow_steps:  # an expectation too steep to settle is held; the next exchange corrects it
                moved = np.abs(drawn.per_pu * (found - v_pu)).max(initial=0.0)
            else:
                found, moved = v_pu, 0.0
            if abs(excess) < limit and moved < limit:
                self.p_gen_mw[self.slack] += excess
                return self.v_interface
            v_pu = self._next(self._response, drawn, v_pu, found, excess, held=k >= self.follow_steps)
            if abs(self.df_hz) > 5.0:
                break
        raise ModelError(
            "transmission", now_ms,
            f"generation cannot meet demand: {excess:+.1f} MW are missing at {self.df_hz:+.2f} Hz with all "
            "primary reserve in use; state larger reserves in transmission.reserves",
        )

    def _foresee(self, drawn: Draw, v_pu: Floats, missing_mw: float, unseen: Floats) -> Floats:
        """Take a first step by what is known to have changed, `missing_mw` and the interfaces', without a solution.

        `unseen` is what else is expected to have moved the voltages [pu] and, its last element, the excess [MW].
        """
        r = self._response
        if r is None:
            return v_pu
        change = drawn.expected(v_pu, self.df_hz) - self.boundary_mva
        found, excess = kernels.answered(r.v_by_p, r.v_by_q, r.excess_by_p, r.excess_by_q, change, v_pu, unseen)
        return self._next(r, drawn, v_pu, found, missing_mw + excess, held=False)

    def _learn(self, missed_pu: Floats, excess: float) -> None:
        """Remember by how much an instant's first solution was off: loads elsewhere go on as they went."""
        unseen = self._unseen + np.append(missed_pu, excess)
        self._unseen = unseen if np.abs(unseen[:-1]).max(initial=0.0) < self.most_drift_pu else np.zeros(unseen.size)

    def _next(
        self, r: Response, drawn: Draw, v_pu: Floats, found: Floats, excess: float, *, held: bool,
    ) -> Floats:
        """Take one Newton step: move the deviation, return the interfaces' voltages to draw at next.

        The unknowns are those voltages and the deviation; the equations, that the grid gives the voltages at
        which was drawn, and that nothing is left over.
        """
        stiffness = self.governors.slope(self._p_set_mw, self.df_hz, self.running) + float(drawn.per_hz.real.sum())
        stiffness = max(stiffness + self.self_regulation * float(self._static_mva.real.sum()), 1.0)
        if held:
            self.df_hz -= excess / stiffness
            return v_pu
        step: Floats = kernels.newton(
            r.v_by_p, r.v_by_q, r.v_by_hz, r.excess_by_p, r.excess_by_q, drawn.per_pu, drawn.per_hz, stiffness, v_pu,
            found, excess)
        self.df_hz += float(step[-1])
        return v_pu + step[:-1]

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
        parts = rise[:n, :n], rise[:n, n:], (by_hz - base[:n]) / 1e-3, rise[n, :n], rise[n, n:]
        return Response(*map(np.ascontiguousarray, parts))

    def _power_flow(self, now_ms: int, boundary_mva: Complexes) -> float:
        """Solve at the present deviation; return what the slack machine gives beyond its own [MW]."""
        self.load_mva = self._static_mva * (1 + self.self_regulation * self.df_hz)
        self.p_gen_mw = self.governors.power(self._p_set_mw, self.df_hz, self.running)
        self.boundary_mva = boundary_mva
        self.engine.set_injection(*-kernels.consumed(
            self.load_node, self.load_mva, self.interface_node, boundary_mva, self._stepped))
        self.engine.set("gen", "p_mw", self.p_gen_mw[self._others])
        if not self.engine.solve():
            raise ModelError("transmission", now_ms, "the power flow of the transmission grid has no solution")
        return float(self.engine.slack_p_mw) - float(self.p_gen_mw[self.slack])

    def get_state(self) -> dict[str, Any]:
        """Return frequency deviation, which machines run at what voltage, and where the next search starts."""
        return {
            "df_hz": self.df_hz, "running": self.running.copy(), "held_pu": self._held_pu, "v": self.engine.v.copy(),
            "p_set_mw": self._p_set_mw.copy(), "static_mva": self._static_mva.copy(),
            "p_gen_mw": self.p_gen_mw.copy(), "load_mva": self.load_mva.copy(),
            "boundary_mva": self.boundary_mva.copy(), "solves": self._solves, "unseen": self._unseen.copy(),
            "response": None if self._response is None else vars(self._response),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`, with the branches and what is drawn beside as they were."""
        self.df_hz = state["df_hz"]
        for machine in np.flatnonzero(self.running & ~np.asarray(state["running"])):
            self.trip(int(machine))
        if state["held_pu"] is not None:
            self.hold_voltages(np.array(state["held_pu"]))
        self.engine.start_from(np.array(state["v"]))
        self._p_set_mw, self._static_mva = np.array(state["p_set_mw"]), np.array(state["static_mva"])
        self.p_gen_mw, self.load_mva = np.array(state["p_gen_mw"]), np.array(state["load_mva"])
        self.boundary_mva, self._solves = np.array(state["boundary_mva"]), state["solves"]
        self._unseen = np.array(state["unseen"])
        self._response = None if state["response"] is None else Response(**state["response"])


def machine_row(machine: int, slack: int) -> int:
    """Return the row of a machine among the generators of the net, from which the slack is left out."""
    return machine - (machine > slack)
