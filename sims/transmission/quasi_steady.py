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
        droop = np.clip(-self.k_mw_per_hz * df_hz, -self.fcr_mw, self.fcr_mw)
        return np.where(running, np.clip(p_set_mw + droop, 0.0, self.p_max_mw), 0.0)

    def slope(self, p_set_mw: Floats, df_hz: float, running: NDArray[np.bool_]) -> float:
        """Return the machines' part of the system's stiffness at `df_hz` [MW/Hz]."""
        h = 1e-6
        return float(
            (self.power(p_set_mw, df_hz - h, running) - self.power(p_set_mw, df_hz + h, running)).sum() / (2 * h)
        )


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

    def trip(self, machine: int) -> None:
        """Take a machine off: no power, no voltage support."""
        self.running[machine] = False
        self.engine.set_generator(machine_row(machine, self.slack), in_service=False)

    @property
    def v_interface(self) -> NDArray[np.complex128]:
        """Voltages of the interfaces' busbars at the last solution [pu]."""
        return self.engine.v[self.interface_node]

    def solve(
        self, now_ms: int, p_set_mw: Floats, load_mva: NDArray[np.complex128],
        drawn: Callable[[Floats, float], NDArray[np.complex128]],
    ) -> None:
        """Find frequency and voltages for set-points, static loads and what the interfaces draw.

        Parameters
        ----------
        drawn : callable
            (voltage magnitude of each interface [pu], frequency deviation [Hz]) -> what each draws [MVA].

        Raises
        ------
        ModelError
            No power flow or no balance exists: reserves are exhausted.
        """
        h = 1e-4
        v_pu = np.abs(self.v_interface)
        for k in range(self.most_steps):
            boundary = drawn(v_pu, self.df_hz)
            self.load_mva = load_mva * (1 + self.self_regulation * self.df_hz)
            p = self.governors.power(p_set_mw, self.df_hz, self.running)
            self._power_flow(now_ms, p, boundary)
            excess = float(self.engine.slack_p_mw) - float(p[self.slack])
            self.p_gen_mw, self.boundary_mva = p, boundary
            if k < self.follow_steps:  # an expectation too steep to settle is held; the next exchange corrects it
                v_pu = np.abs(self.v_interface)
            moved = np.abs(drawn(v_pu, self.df_hz) - boundary).max(initial=0.0)
            if abs(excess) < self.tolerance_mw and moved < self.tolerance_mw:
                self.p_gen_mw[self.slack] += excess
                return
            droop = (drawn(v_pu, self.df_hz + h) - drawn(v_pu, self.df_hz - h)).real.sum() / (2 * h)
            stiffness = self.governors.slope(p_set_mw, self.df_hz, self.running) + float(droop)
            stiffness += self.self_regulation * float(load_mva.real.sum())
            self.df_hz -= excess / max(stiffness, 1.0)
            if abs(self.df_hz) > 5.0:
                break
        raise ModelError(
            "transmission", now_ms,
            f"generation cannot meet demand: {excess:+.1f} MW are missing at {self.df_hz:+.2f} Hz with all "
            "primary reserve in use; state larger reserves in transmission.reserves",
        )

    def _power_flow(self, now_ms: int, p_gen_mw: Floats, boundary_mva: NDArray[np.complex128]) -> None:
        drawn = np.zeros(self.engine.n_nodes, np.complex128)
        np.add.at(drawn, self.load_node, self.load_mva)
        np.add.at(drawn, self.interface_node, boundary_mva)
        self.engine.set_injection(-drawn.real, -drawn.imag)
        self.engine.set("gen", "p_mw", np.delete(p_gen_mw, self.slack))
        if not self.engine.solve():
            raise ModelError("transmission", now_ms, "the power flow of the transmission grid has no solution")

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
