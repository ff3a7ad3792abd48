"""What can be read off the running machines: frequency, voltage, ties, power, and rate of change."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from sims.core.arrays import summed
from sims.core.clock import MS_PER_S
from sims.transmission import kernel as k
from sims.transmission.case import MachineCase
from sims.transmission.disturbances import Condition
from sims.transmission.loads import Slots
from sims.transmission.network import Reduced, branch_admittances

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Index = NDArray[np.int64]

HISTORY_MS = 2000


class Readings(ABC):
    """Base of `Dynamics`: everything it shows to the outside, solved when first asked for."""

    case: MachineCase
    now_ms: int
    dt_ms: int
    v_floor_pu: float
    _x: Array
    _par: Array
    _v: Array
    _slot: Array
    _net: Reduced
    _slots: Slots
    _condition: Condition
    _machine_island: Index
    _interface_bus: Index
    _stale: bool

    @abstractmethod
    def _scratch(self) -> Array:
        """Return room for one evaluation."""

    @abstractmethod
    def _evaluate(self, x: Array, v: Array, slot: Array, scratch: Array, dx: Array) -> tuple[Array, int]:
        """Evaluate the model at state `x`, its network equations included."""

    @abstractmethod
    def _relinearise(self) -> None:
        """Reduce the network anew about the voltages now."""

    # frequency

    def _weigh(self) -> None:
        """Set the weights of rotor speeds per cell and per bus, for the machines now running."""
        m, online = self.case.machines, self._condition.online
        inertia = np.where(online, m.stored_mws, 0.0)
        self._total = inertia / inertia.sum()
        member = self.case.bus_cell[m.bus][None, :] == np.arange(len(self.case.cells))[:, None]
        weight = member * inertia
        self._cell_weight = np.full(weight.shape, np.nan)
        for c in range(len(weight)):
            buses = (self.case.bus_cell == c) & (self._net.island >= 0)
            if weight[c].sum() > 0:
                self._cell_weight[c] = weight[c] / weight[c].sum()
            elif buses.any():  # no machine of its own: the cell follows the rotors that its buses see
                self._cell_weight[c] = self._net.divider[buses].mean(axis=0)
        self._bus_weight = np.where((self._net.island >= 0)[:, None], self._net.divider, np.nan)
        self._interface_weight = self._bus_weight[self._interface_bus]
        self._admittances = branch_admittances(self.case)
        a, b = self.case.bus_cell[self.case.branch_from], self.case.bus_cell[self.case.branch_to]
        self._tie = np.flatnonzero(a != b)

    @property
    def f_coi_hz(self) -> float:
        """Mean rotor speed of all machines running, weighted with their kinetic energy."""
        return float(self.case.f0_hz * (1.0 + self._total @ self._x[k.OMEGA]))

    @property
    def f_machine_hz(self) -> Array:
        """Rotor speeds [machine]; not a number where a machine is off."""
        return np.where(self._condition.online, self.case.f0_hz * (1.0 + self._x[k.OMEGA]), np.nan)

    @property
    def f_cell_hz(self) -> Array:
        """Frequency [cell]: rotor speeds of the cell's machines weighted with H·S; not a number in a dead cell."""
        return np.asarray(self.case.f0_hz * (1.0 + self._cell_weight @ self._x[k.OMEGA]), np.float64)

    @property
    def f_bus_hz(self) -> Array:
        """Frequency [bus] after the frequency divider (see `network.reduce`); not a number at a dead bus."""
        return np.asarray(self.case.f0_hz * (1.0 + self._bus_weight @ self._x[k.OMEGA]), np.float64)

    @property
    def f_interface_hz(self) -> Array:
        """Frequency [interface] after the frequency divider: rotor speeds by electrical distance, no d(theta)/dt."""
        return np.asarray(self.case.f0_hz * (1.0 + self._interface_weight @ self._x[k.OMEGA]), np.float64)

    @property
    def interface_cell(self) -> Index:
        """Position of the cell of each interface; devices behind it get `f_cell_hz[interface_cell]`."""
        return self.case.bus_cell[self._interface_bus]

    # history of the cells' frequency

    def _begin_history(self) -> None:
        self._t_hist: list[int] = [self.now_ms]
        self._f_hist: list[Array] = [self.f_cell_hz]

    def _remember(self, speed: Array, step_ms: int) -> None:
        """Keep the cells' frequency after each of the steps that ended now."""
        steps = len(speed)
        if not steps:
            return
        f = self.case.f0_hz * (1.0 + speed @ self._cell_weight.T)
        start = self.now_ms - steps * step_ms
        self._t_hist.extend(range(start + step_ms, self.now_ms + 1, step_ms))
        self._f_hist.extend(f)
        if len(self._t_hist) > 2 * HISTORY_MS // self.dt_ms + 8:
            keep = int(np.searchsorted(self._t_hist, self.now_ms - HISTORY_MS))
            del self._t_hist[:keep], self._f_hist[:keep]

    def f_cell_history(self, window_ms: int) -> tuple[NDArray[np.int64], Array]:
        """Return times [ms] and frequencies [time, cell] of the steps in the last `window_ms` (at most 2 s).

        The first row stands at the beginning of the window, or at the start of the run if that is later.
        """
        if window_ms > HISTORY_MS:
            raise ValueError(f"only {HISTORY_MS} ms are kept, {window_ms} were asked for")
        t, f = np.array(self._t_hist), np.array(self._f_hist)
        begin = max(self.now_ms - window_ms, int(t[0]))
        inside = t > begin
        first = np.array([np.interp(begin, t, column) for column in f.T])
        return np.concatenate([[begin], t[inside]]), np.vstack([first, f[inside]])

    def f_cell_mean_hz(self, window_ms: int = 100) -> Array:
        """Frequency [cell] as a meter with this window sees it: the mean over the last `window_ms`."""
        t, f = self.f_cell_history(window_ms)
        if t[-1] == t[0]:
            return np.asarray(f[-1], np.float64)
        return np.asarray(np.trapezoid(f, t, axis=0) / (t[-1] - t[0]), np.float64)

    def rocof_cell_hz_s(self, window_ms: int = 500) -> Array:
        """Mean slope of the frequency [cell] over the last `window_ms` [Hz/s]; 0 before the run is that old."""
        t, f = self.f_cell_history(window_ms)
        span = t[-1] - t[0]
        return np.zeros(f.shape[1]) if span < window_ms else np.asarray((f[-1] - f[0]) * MS_PER_S / span, np.float64)

    # voltage and power

    def _frames(self) -> Array:
        """Return the mean angle of every island [rad]."""
        on, island = self._condition.online, self._machine_island
        w = np.where(on, self._par[k.WEIGHT], 0.0)
        mass = np.bincount(island, w, self._net.count)
        return np.asarray(np.bincount(island, w * self._x[k.DELTA], self._net.count) / mass, np.float64)

    def _internal_voltages(self) -> Complex:
        """Return the internal voltages [machine] in the frames of their islands."""
        x, p = self._x, self._par
        ed = p[k.G_Q1] * x[k.E1D] + (1 - p[k.G_Q1]) * x[k.E2Q]
        eq = p[k.G_D1] * x[k.E1Q] + (1 - p[k.G_D1]) * x[k.E2D]
        turn = np.exp(1j * (x[k.DELTA] - self._frames()[self._machine_island] - np.pi / 2))
        return np.asarray(np.where(self._condition.online, (ed + 1j * eq) * turn, 0.0), np.complex128)

    def _solved(self) -> None:
        if not self._stale:
            return
        scratch, n, m = self._scratch(), len(self.case.machines), len(self._slots.bus)
        out, found = self._evaluate(self._x, self._v, self._slot, scratch, np.empty_like(self._x))
        if found < 0:
            self._relinearise()
            out, _ = self._evaluate(self._x, self._v, self._slot, scratch, np.empty_like(self._x))
        self._out, self._stale = out, False
        e, current, frame = scratch[k.W_E], scratch[k.W_CURRENT], scratch[k.W_FRAME]
        v = self._net.a @ (e[:n] + 1j * e[n : 2 * n]) + self._net.z @ (current[:m] + 1j * current[m : 2 * m])
        self._solved_v: Complex = v * np.exp(1j * frame[np.maximum(self._net.island, 0)])
        self._flow: tuple[Complex, Complex] | None = None

    @property
    def v_bus(self) -> Complex:
        """Complex bus voltages [bus, pu] against nominal frequency; 0 at a dead bus."""
        self._solved()
        return self._solved_v

    @property
    def v_interface_pu(self) -> Array:
        """Voltage magnitude [interface]."""
        return np.asarray(np.abs(self.v_bus[self._interface_bus]), np.float64)

    @property
    def p_mech_mw(self) -> Array:
        """Mechanical power [machine]; 0 where a machine is off."""
        self._solved()
        return np.asarray(self._out[k.O_PM] * self.case.base_mva, np.float64)

    @property
    def p_elec_mw(self) -> Array:
        """Air-gap power [machine]: what brakes the rotor, that is terminal power and stator losses."""
        self._solved()
        return np.asarray(self._out[k.O_TE] * self.case.base_mva, np.float64)

    @property
    def v_terminal_pu(self) -> Array:
        """Terminal voltage [machine]."""
        self._solved()
        return np.asarray(self._out[k.O_VT], np.float64)

    @property
    def s_branch_mva(self) -> tuple[Complex, Complex]:
        """Power into each branch at its from and its to end [branch]; 0 where it is open."""
        self._solved()
        if self._flow is None:
            v, closed = self._solved_v, self._condition.closed * self.case.base_mva
            yff, yft, ytf, ytt = self._admittances
            vf, vt = v[self.case.branch_from], v[self.case.branch_to]
            self._flow = vf * np.conj(yff * vf + yft * vt) * closed, vt * np.conj(ytf * vf + ytt * vt) * closed
        return self._flow

    @property
    def p_tie_mw(self) -> Array:
        """Power from the lower to the higher cell of each pair of `case.cell_pairs`, at the lower one's end."""
        at_from, at_to = self.s_branch_mva
        a, b = self.case.bus_cell[self.case.branch_from], self.case.bus_cell[self.case.branch_to]
        out = np.zeros(len(self.case.cell_pairs))
        for i, (low, high) in enumerate(self.case.cell_pairs):
            out[i] = at_from.real[(a == low) & (b == high)].sum() + at_to.real[(a == high) & (b == low)].sum()
        return out

    @property
    def p_export_mw(self) -> Array:
        """Power that leaves each cell over its ties [cell], every tie metered at the cell's own end."""
        (at_from, at_to), tie, n = self.s_branch_mva, self._tie, len(self.case.cells)
        cell, a, b = self.case.bus_cell, self.case.branch_from[tie], self.case.branch_to[tie]
        return summed(cell[a], at_from.real[tie], n) + summed(cell[b], at_to.real[tie], n)
