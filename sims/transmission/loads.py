"""Loads and interfaces as the reduced network sees them: slots of current, linearised where they stand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sims.core.arrays import summed
from sims.transmission import currents as k
from sims.transmission.case import MachineCase
from sims.transmission.disturbances import Condition
from sims.transmission.network import Reduced

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Index = NDArray[np.int64]


class Slots:
    """Every bus whose load is not a plain impedance, one column each.

    Parameters
    ----------
    v0 : complex array [bus]
        Solved voltages [pu], at which the shares of impedance and current are defined.
    """

    def __init__(self, case: MachineCase, v0: Complex, interface_bus: Index) -> None:
        self.case, self.interface_bus = case, interface_bus
        vm = np.abs(v0)[case.load_bus]
        load, n = case.load_mva / case.base_mva, case.n_bus
        self.admittance = np.zeros(n, np.complex128)
        self._power, self._current = np.zeros(n, np.complex128), np.zeros(n, np.complex128)
        np.add.at(self.admittance, case.load_bus, np.conj(load) * case.load_z / vm**2)
        np.add.at(self._current, case.load_bus, -load * case.load_i / vm)
        np.add.at(self._power, case.load_bus, -load * (1.0 - case.load_z - case.load_i))
        used = (self._power != 0) | (self._current != 0)
        used[interface_bus] = True
        self._place(np.flatnonzero(used))

    def _place(self, bus: Index) -> None:
        self.bus = np.asarray(bus, np.int64)
        at = np.full(self.case.n_bus, -1, np.int64)
        at[self.bus] = np.arange(len(bus))
        self.interface = at[self.interface_bus]
        self._still = np.zeros((k.N_SLOT, len(bus)))
        self._still[k.S_IP], self._still[k.S_IQ] = self._current.real[self.bus], self._current.imag[self.bus]

    def admit(self, bus: list[int]) -> bool:
        """Make slots at further buses; tells whether any was new."""
        both = np.union1d(self.bus, np.array(bus, np.int64))
        new = len(both) > len(self.bus)
        self._place(both)
        return new

    def table(self, condition: Condition, sensitivity: Array) -> Array:
        """Return the slots as the kernel reads them [slot row, slot], on the system base, nothing held at interfaces.

        Parameters
        ----------
        sensitivity : array [3, interface]
            dP/dV and dQ/dV [MW/pu, Mvar/pu] and the voltage [pu] at which the power at the interface holds.
        """
        base, count, at = self.case.base_mva, len(self.bus), self.interface
        out = self._still.copy()
        s = (self._power - condition.drawn_mva / base)[self.bus]
        rate = -condition.ramp_mva_per_s[self.bus] / base
        out[k.S_P], out[k.S_Q] = s.real, s.imag
        out[k.S_DP], out[k.S_DQ] = rate.real, rate.imag
        out[k.S_PV], out[k.S_QV] = (summed(at, row / base, count) for row in sensitivity[:2])
        out[k.S_VH, at] = sensitivity[2]
        return out

    def held(self, table: Array, boundary_mva: Complex) -> Array:
        """Return a `table` with these powers into the grid at the interfaces [MVA]."""
        out, count = table.copy(), len(self.bus)
        pu = boundary_mva / self.case.base_mva
        out[k.S_P] += summed(self.interface, pu.real, count)
        out[k.S_Q] += summed(self.interface, pu.imag, count)
        return out


class Linearised:
    """The matrices of one linearisation, in the transposed real form that the kernel reads.

    With J the slope of the load current over the voltage at the point chosen and r what J misses,
    V = (1 - Z J)^-1 (A E + Z r(V)): r is of second order, so that a few repetitions solve it.
    """

    def __init__(self, net: Reduced, slots: Slots, gen_bus: Index) -> None:
        self._a, self._z = k.real_form(net.a[slots.bus]), k.real_form(net.z[slots.bus])
        self.ge = k.transposed(k.real_form(net.a[gen_bus]))
        self.gi = k.transposed(k.real_form(net.z[gen_bus]))
        self.me = self.cr = self.jac = np.zeros((0, 0))

    def at(self, v: Array, slot: Array, t: float, v_floor: float) -> None:
        """Linearise at the slot voltages `v` [2 slot]; the slope comes from `currents.slope`."""
        m = slot.shape[1]
        jac = k.slope(v, slot, t, v_floor)
        full = np.block([[np.diag(jac[0]), np.diag(jac[1])], [np.diag(jac[2]), np.diag(jac[3])]])
        inverse = np.linalg.inv(np.eye(2 * m) - self._z @ full)
        self.jac = jac
        self.me, self.cr = k.transposed(inverse @ self._a), k.transposed(inverse @ self._z)

    def solve(self, e: Array, v: Array, slot: Array, t: float, v_floor: float) -> Array | None:
        """Return the slot voltages at internal voltages `e` by Newton's method, or None if there are none."""
        cur, v = np.zeros(2 * slot.shape[1]), v.copy()
        for _ in range(30):
            self.at(v, slot, t, v_floor)
            k.load_current(v, slot, t, v_floor, cur)
            m = slot.shape[1]
            linear = np.concatenate([
                self.jac[0] * v[:m] + self.jac[1] * v[m:], self.jac[2] * v[:m] + self.jac[3] * v[m:],
            ])
            new = self.me.T @ e + self.cr.T @ (cur - linear)
            if not np.all(np.isfinite(new)):
                return None
            if np.max(np.abs(new - v), initial=0.0) < 1e-9:
                return np.asarray(new, np.float64)
            v = new
        return None
