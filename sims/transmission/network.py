"""The network seen from the machines: nodal equations, islands, and what is left after reduction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from sims.transmission.case import MachineCase

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


def branch_admittances(case: MachineCase) -> tuple[Complex, Complex, Complex, Complex]:
    """Return (yff, yft, ytf, ytt) [pu] of every branch as a pi circuit with the tap at the from end."""
    b = case.branch
    series = 1.0 / (b["r_pu"] + 1j * b["x_pu"])
    half = 0.5j * b["b_pu"]
    tap = b["tap"] * np.exp(1j * np.radians(b["shift_deg"]))
    ytt = np.asarray(series + half, np.complex128)
    return ytt / b["tap"] ** 2, np.asarray(-series / np.conj(tap)), np.asarray(-series / tap), ytt


def admittance(case: MachineCase, closed: Mask, extra: Complex | None = None) -> csc_array:
    """Return the bus admittance matrix [pu] with the `closed` branches, shunts and `extra` [bus]."""
    n = case.n_bus
    f, t = case.branch_from[closed], case.branch_to[closed]
    yff, yft, ytf, ytt = (y[closed] for y in branch_admittances(case))
    every = np.arange(n)
    ground = case.shunt_pu if extra is None else case.shunt_pu + extra
    rows = np.concatenate([f, f, t, t, every])
    cols = np.concatenate([f, t, f, t, every])
    return csc_array(coo_array((np.concatenate([yff, yft, ytf, ytt, ground]), (rows, cols)), shape=(n, n)))


def islands(case: MachineCase, closed: Mask, online: Mask) -> tuple[Index, int]:
    """Give every island that has a machine running a number; buses of all others get -1.

    Returns
    -------
    island : array of int [bus]
    count : int
    """
    f, t = case.branch_from[closed], case.branch_to[closed]
    n = case.n_bus
    graph = coo_array((np.ones(len(f)), (f, t)), shape=(n, n))
    _, part = connected_components(graph, directed=False)
    fed = np.unique(part[case.machines.bus[online]])
    island = np.full(n, -1, np.int64)
    for k, p in enumerate(fed):
        island[part == p] = k
    return island, len(fed)


def source_admittance(case: MachineCase, online: Mask) -> Complex:
    """Return 1/(ra + jx) of every machine [pu on the system base]; 0 where it is off."""
    m = case.machines
    z = (m["ra"] + 1j * m.reactance) * case.base_mva / m["sn_mva"]
    return np.asarray(np.where(online, 1.0 / z, 0.0), np.complex128)


@dataclass(frozen=True)
class Reduced:
    """Bus voltages as a linear function of what drives them: V = a E + z I.

    Parameters
    ----------
    a : complex array [bus, machine]
        Response to the machines' internal voltages E.
    z : complex array [bus, slot]
        Response to currents injected at the slots (buses with loads that are not an impedance).
    y : complex array [machine]
        Internal admittance, so that a machine's current is y (E - V).
    divider : array [bus, machine]
        Bus frequency as a weighted mean of rotor speeds.
    island : array of int [bus]
        Island of each bus, -1 where it is dead.
    """

    a: Complex
    z: Complex
    y: Complex
    divider: Array
    island: Index
    count: int


def reduce(case: MachineCase, closed: Mask, online: Mask, slots: Index, extra: Complex) -> Reduced:
    """Factor the network once and keep what machines and slots see.

    Buses without loads vanish exactly (Kron); dead islands have voltage zero. The frequency divider is
    that of Milano and Ortega, "Frequency divider", IEEE Trans. Power Systems 32(2), 2017: series
    susceptances only, so that each row sums to one.

    Parameters
    ----------
    slots : array of int
        Buses at which currents are injected.
    extra : complex array [bus]
        Constant-impedance loads as admittances [pu].
    """
    island, count = islands(case, closed, online)
    live = np.flatnonzero(island >= 0)
    place = np.full(case.n_bus, -1, np.int64)
    place[live] = np.arange(len(live))
    y = source_admittance(case, online)
    bus = case.machines.bus
    added = extra.copy()
    np.add.at(added, bus, y)
    lu = splu(csc_array(admittance(case, closed, added)[live][:, live]))

    def columns(at: Index, scale: Complex) -> Complex:
        rhs = np.zeros((len(live), len(at)), np.complex128)
        ok = place[at] >= 0
        rhs[place[at[ok]], np.flatnonzero(ok)] = scale[ok]
        out = np.zeros((case.n_bus, len(at)), np.complex128)
        out[live] = lu.solve(rhs)
        return out

    a = columns(bus, y)
    z = columns(slots, np.ones(len(slots), np.complex128))
    return Reduced(a, z, y, _divider(case, closed, online, live, place), island, count)


def _divider(case: MachineCase, closed: Mask, online: Mask, live: Index, place: Index) -> Array:
    f, t = place[case.branch_from[closed]], place[case.branch_to[closed]]
    inside = (f >= 0) & (t >= 0)
    f, t = f[inside], t[inside]
    b = -np.imag(1.0 / (case.branch["r_pu"] + 1j * case.branch["x_pu"]))[closed][inside]
    m = case.machines
    b_gen = np.where(online, m["sn_mva"] / (m.reactance * case.base_mva), 0.0)
    n, at = len(live), place[m.bus]
    on = np.flatnonzero(online)
    rows = np.concatenate([f, t, f, t, at[on]])
    cols = np.concatenate([f, t, t, f, at[on]])
    data = np.concatenate([b, b, -b, -b, b_gen[on]])
    rhs = np.zeros((n, len(m)))
    rhs[at[on], on] = b_gen[on]
    out = np.zeros((case.n_bus, len(m)))
    out[live] = splu(csc_array(coo_array((data, (rows, cols)), shape=(n, n)))).solve(rhs)
    return out


def initial(
    case: MachineCase, v_complex: Complex, boundary_mva: Complex | None = None, *,
    closed: Mask | None = None, online: Mask | None = None,
) -> tuple[Complex, Complex]:
    """Return what the machines deliver, and what is left over elsewhere, at a solved voltage.

    Parameters
    ----------
    v_complex : complex array [bus]
        Solved bus voltages [pu].
    boundary_mva : complex array [bus], optional
        Power that comes into the grid at interfaces, positive into the grid.
    closed, online : arrays of bool [branch], [machine], optional
        What is in service; all, if not given.

    Returns
    -------
    s_gen : complex array [machine]
        Power of each machine [MVA]; machines at one bus share it by rating.
    mismatch : complex array [bus]
        Power balance error at buses without a running machine [MVA].
    """
    m = case.machines
    closed = np.ones(len(case.branch_from), np.bool_) if closed is None else closed
    on = np.ones(len(m), np.bool_) if online is None else online
    injected = v_complex * np.conj(admittance(case, closed) @ v_complex) * case.base_mva
    np.add.at(injected, case.load_bus, case.load_mva)
    if boundary_mva is not None:
        injected = injected - boundary_mva
    rating = np.where(on, m["sn_mva"], 0.0)
    total = np.zeros(case.n_bus)
    np.add.at(total, m.bus, rating)
    share = rating / np.where(total > 0, total, 1.0)[m.bus]
    return np.asarray(injected[m.bus] * share, np.complex128), np.where(total > 0, 0.0, injected)
