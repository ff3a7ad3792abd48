"""From a solved voltage to machines at rest: initial states, references, and whether the rest is stable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ModelError
from sims.transmission import kernel as k
from sims.transmission.case import MachineCase
from sims.transmission.machines import MODELS
from sims.transmission.network import initial

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Index = NDArray[np.int64]

STABILITY_LIMIT = 2.7
"""Largest step over time constant at which the fourth-order Runge-Kutta rule stays stable (2.785 exactly)."""

MISMATCH = 1e-3
"""Power [pu on the system base] that a solved power flow may leave over at a bus."""
REST_LIMIT = 0.01
"""Largest rate of any state at the start [pu/s]; what a mismatch just allowed leaves is smaller."""
GROWTH_LIMIT = 1e-3
"""Real part [1/s] above which a mode counts as growing: it doubles within some 700 s."""


def start_power(
    case: MachineCase, v0: Complex, s_gen_mva: Complex | None, boundary_mva: Complex,
    closed: NDArray[np.bool_], online: NDArray[np.bool_], now_ms: int,
) -> Complex:
    """Return the power of the machines [MVA] at solved voltages; raises ModelError if `v0` does not solve the case.

    Parameters
    ----------
    s_gen_mva : complex array [machine] or None
        As given; None takes what `v0` says.
    boundary_mva : complex array [bus]
        What comes in at interfaces.
    """
    found, mismatch = initial(case, v0, boundary_mva, closed=closed, online=online)
    if s_gen_mva is not None:
        np.add.at(mismatch, case.machines.bus, s_gen_mva - found)
        found = np.asarray(s_gen_mva, np.complex128)
    worst = int(np.argmax(np.abs(mismatch)))
    if abs(mismatch[worst]) > MISMATCH * case.base_mva:
        raise ModelError(
            "transmission", now_ms,
            f"v0 is not a solved power flow: {abs(mismatch[worst]):.3f} MVA are left over at bus "
            f"{case.bus_ids[worst]}; solve the case with the same loads and boundary powers first")
    return found


def parameters(case: MachineCase, dt_s: float) -> tuple[Array, Index]:
    """Return the machine parameters on the system base as the kernel reads them, and the kinds.

    Raises
    ------
    ModelError
        A time constant is too short for the step; says which, and the step that would do.
    """
    m = case.machines
    n, base = len(m), case.base_mva
    scale = m["sn_mva"] / base
    genrou = m.model == MODELS.index("genrou")
    par = np.zeros((k.N_PAR, n))

    def inverse(values: Array, on: NDArray[np.bool_]) -> Array:
        use = on & (np.nan_to_num(values) > 0)
        return np.where(use, 1.0 / np.where(use, values, 1.0), 0.0)

    par[k.INV_2H] = 1.0 / (2.0 * m["h_s"] * scale)
    par[k.WEIGHT] = m.stored_mws
    par[k.DAMP] = m["d_pu"] * scale
    par[k.RA], par[k.X] = m["ra"] / scale, m.reactance / scale
    for row, field in ((k.IT_D1, "td10_s"), (k.IT_Q1, "tq10_s"), (k.IT_D2, "td20_s"), (k.IT_Q2, "tq20_s")):
        par[row] = inverse(m[field], genrou)
    with np.errstate(invalid="ignore"):
        par[k.XD_DIFF] = np.where(genrou, (m["xd"] - m["xd1"]) / scale, 0.0)
        par[k.XQ_DIFF] = np.where(genrou, (m["xq"] - m["xq1"]) / scale, 0.0)
        par[k.G_D1] = np.where(genrou, (m["xd2"] - m["xl"]) / (m["xd1"] - m["xl"]), 1.0)
        par[k.G_Q1] = np.where(genrou, (m["xd2"] - m["xl"]) / (m["xq1"] - m["xl"]), 1.0)
        par[k.XD1_XL] = np.where(genrou, (m["xd1"] - m["xl"]) / scale, 1.0)
        par[k.XQ1_XL] = np.where(genrou, (m["xq1"] - m["xl"]) / scale, 1.0)

    e, g = m.exciter_values, m.governor_values
    sexs, steam, hydro = m.exciter == 1, m.governor == 1, m.governor == 2
    par[k.IT_B], par[k.IT_E] = inverse(e["tb_s"], sexs), inverse(e["te_s"], sexs)
    par[k.LEAD_RATIO] = np.where(par[k.IT_B] > 0, e["ta_s"] * par[k.IT_B], 1.0)
    par[k.GAIN], par[k.E_MIN], par[k.E_MAX] = e["k"], e["e_min"], e["e_max"]
    par[k.DROOP_GAIN] = scale / g["r"]
    par[k.IT_1], par[k.IT_3] = inverse(g["t1_s"], steam), inverse(g["t3_s"], steam)
    par[k.LEAD_LAG], par[k.DT] = g["t2_s"] * par[k.IT_3], g["dt"] * scale
    par[k.V_MIN] = np.where(hydro, g["g_min"], g["v_min"] * scale)
    par[k.V_MAX] = np.where(hydro, g["g_max"], g["v_max"] * scale)
    par[k.SCALE], par[k.R_PERM], par[k.R_TEMP] = scale, g["r"], g["r_temp"]
    for row, field in ((k.IT_R, "tr_s"), (k.IT_F, "tf_s"), (k.IT_G, "tg_s"), (k.IT_W, "tw_s")):
        par[row] = inverse(g[field], hydro)
    par[k.VELM], par[k.TURBINE], par[k.DTURB], par[k.Q_NL] = g["velm"], g["at"], g["dturb"], g["q_nl"]

    rows = {
        k.IT_D1: "Td0'", k.IT_Q1: "Tq0'", k.IT_D2: "Td0''", k.IT_Q2: "Tq0''", k.IT_E: "TE", k.IT_B: "TB",
        k.IT_1: "T1", k.IT_3: "T3", k.IT_F: "Tf", k.IT_G: "Tg", k.IT_W: "Tw",
    }
    for row, label in rows.items():
        for i in np.flatnonzero(par[row] * dt_s > STABILITY_LIMIT):
            most = int(STABILITY_LIMIT * 1000 / par[row, i])
            remedy = f"set dt_ms to at most {most}" if most else "lengthen it"
            if row in (k.IT_1, k.IT_3, k.IT_B):
                remedy += ", or set the constant to 0"
            raise ModelError(
                m.names[i], 0,
                f"{label} = {1.0 / par[row, i]:g} s is too short for a step of {dt_s * 1000:g} ms; {remedy}")
    return par, np.ascontiguousarray(np.stack([m.exciter, m.governor]), np.int64)


def at_rest(
    case: MachineCase, par: Array, v: Complex, s_gen_mva: Complex, w0: float = 0.0,
) -> tuple[Array, Array]:
    """Return the states and references at which the machines deliver `s_gen_mva` at a constant speed.

    Parameters
    ----------
    v : complex array [bus]
        Solved voltages [pu].
    s_gen_mva : complex array [machine]
        Power of the machines, positive into the grid.
    w0 : float
        Common speed deviation [pu]; references are such that governors hold it.

    Raises
    ------
    ModelError
        A machine would have to stand outside a limit of its exciter or governor; says which.
    """
    m = case.machines
    n, base, genrou = len(m), case.base_mva, m.model == MODELS.index("genrou")
    scale = m["sn_mva"] / base
    x, ref = np.zeros((k.N_STATE, n)), np.zeros((3, n))
    vt = v[m.bus]
    current = np.conj(s_gen_mva / base / vt)
    xq = np.where(genrou, m["xq"], m["xd1"]) / scale
    x[k.DELTA] = np.angle(vt + (par[k.RA] + 1j * xq) * current)
    turn = np.exp(1j * (np.pi / 2 - x[k.DELTA]))
    i_dq = current * turn
    e_dq = vt * turn + (par[k.RA] + 1j * par[k.X]) * i_dq
    i_d, i_q = i_dq.real, i_dq.imag
    x[k.E1Q] = e_dq.imag + (1 - par[k.G_D1]) * par[k.XD1_XL] * i_d
    x[k.E2D] = x[k.E1Q] - np.where(genrou, par[k.XD1_XL] * i_d, 0.0)
    x[k.E1D] = np.where(genrou, par[k.XQ_DIFF] * i_q, 0.0)
    x[k.E2Q] = x[k.E1D] + np.where(genrou, par[k.XQ1_XL] * i_q, 0.0)
    x[k.EFD] = x[k.E1Q] + par[k.XD_DIFF] * i_d
    sexs = m.exciter == 1
    x[k.LEAD] = np.where(sexs, x[k.EFD] / par[k.GAIN], 0.0)
    ref[k.V_REF] = np.abs(vt) + x[k.LEAD]
    x[k.OMEGA] = w0
    power = e_dq.real * i_d + e_dq.imag * i_q + par[k.DAMP] * w0

    def within(value: Array, low: Array, high: Array, on: NDArray[np.bool_], what: str) -> None:
        for i in np.flatnonzero(on & ((value < low) | (value > high))):
            raise ModelError(
                m.names[i], 0,
                f"cannot be initialised: {what} {value[i]:.4f} pu is outside its limits {low[i]:g}..{high[i]:g}; "
                "change the dispatch, the voltage set-point or the limit")

    within(x[k.EFD], par[k.E_MIN], par[k.E_MAX], sexs, "field voltage")
    steam, hydro = m.governor == 1, m.governor == 2
    g = m.governor_values
    valve = power + par[k.DT] * w0
    within(valve / scale, g["v_min"], g["v_max"], steam, "valve position")
    x[k.GOV0] = np.where(steam & (par[k.IT_1] > 0), valve, 0.0)
    gate = (power / scale + g["at"] * g["q_nl"]) / (g["at"] - g["dturb"] * w0)
    within(gate, g["g_min"], g["g_max"], hydro, "gate opening")
    x[k.GOV1] = np.where(hydro, gate, np.where(steam & (par[k.IT_3] > 0), valve, 0.0))
    x[k.GOV2] = x[k.GOV3] = np.where(hydro, gate, 0.0)
    held = np.where(steam, valve + par[k.DROOP_GAIN] * w0, power)
    ref[k.P_REF] = np.where(hydro, par[k.R_PERM] * gate + w0, held)
    return x, ref


def growing_modes(rates: Callable[[Array], Array], x: Array, omega0: float) -> list[tuple[complex, int]]:
    """Return the eigenvalues [1/s] with positive real part, each with the machine that takes most part.

    Parameters
    ----------
    rates : callable
        State [state, machine] -> derivative; the Jacobian is taken by central differences.
    """
    n = x.size
    jac = np.empty((n, n))
    for j in range(n):
        step = np.zeros(n)
        step[j] = 1e-5 if j // x.shape[1] != k.OMEGA else 1e-7
        ahead, back = (rates(x + s * step.reshape(x.shape)).ravel() for s in (1.0, -1.0))
        jac[:, j] = (ahead - back) / (2 * step[j])
    jac.reshape(*x.shape, n)[k.DELTA] *= omega0
    moving = np.flatnonzero(np.any(jac != 0, axis=1))
    values, right = np.linalg.eig(jac[np.ix_(moving, moving)])
    if not (values.real > 1e-6).any():
        return []
    left = np.linalg.pinv(right)
    share = np.abs(right.T * left)
    found = [(complex(values[i]), int(moving[share[i].argmax()] % x.shape[1])) for i in np.flatnonzero(values.real > 0)]
    return sorted(found, key=lambda mode: -mode[0].real)


def refuse_unstable(
    names: tuple[str, ...], rates: Callable[[Array], Array], x: Array, omega0: float, now_ms: int,
) -> None:
    """Raise ModelError if the machines do not rest at `x`, or if a disturbance would grow from there."""
    rest = np.abs(rates(x) - np.where(np.arange(len(x))[:, None] == k.DELTA, x[k.OMEGA], 0.0))
    if (worst := float(rest.max())) > REST_LIMIT:
        at = np.unravel_index(int(rest.argmax()), rest.shape)[1]
        raise ModelError(names[at], now_ms, f"does not start at rest (rate {worst:.2g} pu/s)")
    for value, machine in growing_modes(rates, x, omega0)[:1]:
        if value.real > GROWTH_LIMIT:
            raise ModelError(
                names[machine], now_ms,
                f"unstable start: a mode of {abs(value.imag) / 2 / np.pi:.2f} Hz grows by a factor e every "
                f"{1 / value.real:.1f} s, mostly in this machine; look at its exciter and damping data and at "
                "the loading of its lines, or pass check=False")
