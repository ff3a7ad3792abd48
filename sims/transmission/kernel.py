"""The compiled right-hand side and its Runge-Kutta integration: plain loops over plain arrays.

Every island turns with the inertia-weighted mean angle of its own machines, so that angles and voltages
stand almost still from step to step and the load iteration starts next to its solution. Rotor angles
themselves are kept against nominal frequency.
"""

# mypy: disable-error-code="untyped-decorator, no-any-return"
from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

# numba's cache watches this file only: after a change in currents.py, clear __pycache__
from sims.transmission.currents import TOL, accumulate, load_current, newton

Array = NDArray[np.float64]
Index = NDArray[np.int64]

# rows of the state; GOV0.. mean valve and lead-lag (steam), or error, desired gate, gate, flow (hydro)
DELTA, OMEGA, E1Q, E1D, E2D, E2Q, LEAD, EFD, GOV0, GOV1, GOV2, GOV3 = range(12)
N_STATE = 12

# rows of the machine parameters
(
    INV_2H, DAMP, RA, X, IT_D1, IT_Q1, IT_D2, IT_Q2, XD_DIFF, XQ_DIFF, G_D1, G_Q1, XD1_XL, XQ1_XL,
    LEAD_RATIO, IT_B, GAIN, IT_E, E_MIN, E_MAX, DROOP_GAIN, IT_1, LEAD_LAG, IT_3, DT, V_MIN, V_MAX,
    SCALE, R_PERM, R_TEMP, IT_R, IT_F, IT_G, VELM, IT_W, TURBINE, DTURB, Q_NL, WEIGHT,
) = range(39)
N_PAR = 39

# rows of the references
P_REF, P_AUX, V_REF = range(3)

# rows of the outputs of one evaluation
O_TE, O_PM, O_VT = range(3)

DONE, BLEW_UP, NO_VOLTAGE = range(3)
N_WORK = 7
# rows of the work space that hold what a reader may want: internal voltages, slot currents, angles of the islands
W_E, W_CURRENT, W_FRAME = 0, 2, 5
MAX_ITER = 12
SPEED_LIMIT = 0.2  # pu: 10 Hz at 50 Hz, far beyond any machine's protection


@njit(cache=True, nogil=True)
def evaluate(
    x: Array, t: float, par: Array, kind: Index, on: Index, island: Index, n_island: int, ref: Array,
    slot: Array, v_floor: float, me: Array, cr: Array, jac: Array, ge: Array, gi: Array,
    v: Array, work: Array, dx: Array, out: Array,
) -> int:
    """Solve the network at state `x` and write the derivatives `dx` and the outputs `out`.

    Parameters
    ----------
    x, dx : array [state, machine]
    kind : array of int [2, machine]
        Exciter, governor.
    me : array [2 machine, 2 slot]
        Response of the slot voltages to internal voltages, loads linearised (transposed, real form).
    cr : array [2 slot, 2 slot]
        The same to the part of the load current that the linearisation misses.
    jac : array [4, slot]
        Load linearisation dI/dV: re/re, re/im, im/re, im/im.
    ge, gi : arrays [2 machine, 2 machine], [2 slot, 2 machine]
        Response of the terminal voltages to internal voltages and to slot currents.
    v : array [2 slot]
        Slot voltages: a start value, then the solution.
    work : array [N_WORK, at least max(2 machine, 2 slot)]

    Returns
    -------
    iterations : int
        Negative where the load iteration found no voltage.
    """
    n, m = x.shape[1], slot.shape[1]
    e, base, cur, rest, vt, turn = work[W_E], work[1], work[W_CURRENT], work[3], work[4], work[6]
    frame, mass = work[W_FRAME, :n_island], work[W_FRAME, n_island : 2 * n_island]
    for k in range(n_island):
        frame[k] = 0.0
        mass[k] = 0.0
    for i in range(n):
        if on[i]:
            frame[island[i]] += par[WEIGHT, i] * x[DELTA, i]
            mass[island[i]] += par[WEIGHT, i]
    for k in range(n_island):
        frame[k] /= mass[k]

    for i in range(n):
        e[i] = 0.0
        e[n + i] = 0.0
        if on[i]:
            d = x[DELTA, i] - frame[island[i]]
            sin, cos = np.sin(d), np.cos(d)
            turn[i], turn[n + i] = sin, cos
            ed = par[G_Q1, i] * x[E1D, i] + (1.0 - par[G_Q1, i]) * x[E2Q, i]
            eq = par[G_D1, i] * x[E1Q, i] + (1.0 - par[G_D1, i]) * x[E2D, i]
            e[i] = ed * sin + eq * cos
            e[n + i] = eq * sin - ed * cos

    iterations = 0
    if m > 0:
        for j in range(2 * m):
            base[j] = 0.0
        accumulate(me, e, base[: 2 * m])
        while True:
            load_current(v, slot, t, v_floor, cur)
            for j in range(m):
                rest[j] = cur[j] - jac[0, j] * v[j] - jac[1, j] * v[m + j]
                rest[m + j] = cur[m + j] - jac[2, j] * v[j] - jac[3, j] * v[m + j]
            for j in range(2 * m):
                vt[j] = base[j]
            accumulate(cr, rest, vt[: 2 * m])
            change = 0.0
            for j in range(2 * m):
                change = max(change, abs(vt[j] - v[j]))
                v[j] = vt[j]
            iterations += 1
            if change < TOL:
                break
            if iterations >= MAX_ITER or not change < 1.0:
                if not newton(v, base, slot, t, v_floor, cr, jac) < TOL:
                    return -iterations
                break
        load_current(v, slot, t, v_floor, cur)

    for j in range(2 * n):
        vt[j] = 0.0
    accumulate(ge, e, vt[: 2 * n])
    if m > 0:
        accumulate(gi, cur, vt[: 2 * n])
    for i in range(n):
        if not on[i]:
            for r in range(N_STATE):
                dx[r, i] = 0.0
            out[O_TE, i] = 0.0
            out[O_PM, i] = 0.0
            out[O_VT, i] = 0.0
            continue
        sin, cos = turn[i], turn[n + i]
        ur, ui = e[i] - vt[i], e[n + i] - vt[n + i]
        ra, xs = par[RA, i], par[X, i]
        inv = 1.0 / (ra * ra + xs * xs)
        ir = (ra * ur + xs * ui) * inv
        ii = (ra * ui - xs * ur) * inv
        te = e[i] * ir + e[n + i] * ii
        i_d = ir * sin - ii * cos
        i_q = ir * cos + ii * sin
        v_t = np.sqrt(vt[i] * vt[i] + vt[n + i] * vt[n + i])
        w = x[OMEGA, i]

        diff_d = (1.0 - par[G_D1, i]) / par[XD1_XL, i] * (x[E1Q, i] - x[E2D, i]) + par[G_D1, i] * i_d
        dx[E1Q, i] = (x[EFD, i] - x[E1Q, i] - par[XD_DIFF, i] * diff_d) * par[IT_D1, i]
        dx[E2D, i] = (x[E1Q, i] - par[XD1_XL, i] * i_d - x[E2D, i]) * par[IT_D2, i]
        diff_q = (1.0 - par[G_Q1, i]) / par[XQ1_XL, i] * (x[E1D, i] - x[E2Q, i]) - par[G_Q1, i] * i_q
        dx[E1D, i] = -(x[E1D, i] + par[XQ_DIFF, i] * diff_q) * par[IT_Q1, i]
        dx[E2Q, i] = (x[E1D, i] + par[XQ1_XL, i] * i_q - x[E2Q, i]) * par[IT_Q2, i]

        dx[LEAD, i] = 0.0
        dx[EFD, i] = 0.0
        if kind[0, i] == 1:
            error = ref[V_REF, i] - v_t
            dx[LEAD, i] = (error - x[LEAD, i]) * par[IT_B, i]
            lead = x[LEAD, i] + par[LEAD_RATIO, i] * (error - x[LEAD, i])
            rate = (par[GAIN, i] * lead - x[EFD, i]) * par[IT_E, i]
            held = (x[EFD, i] >= par[E_MAX, i] and rate > 0.0) or (x[EFD, i] <= par[E_MIN, i] and rate < 0.0)
            dx[EFD, i] = 0.0 if held else rate

        p_m = _governor(x, i, w, par, kind[1, i], ref, dx)
        dx[DELTA, i] = w  # scaled by the nominal angular speed in the integration
        dx[OMEGA, i] = (p_m - te - par[DAMP, i] * w) * par[INV_2H, i]
        out[O_TE, i] = te
        out[O_PM, i] = p_m
        out[O_VT, i] = v_t
    return iterations


@njit(cache=True, nogil=True)
def _governor(x: Array, i: int, w: float, par: Array, kind: int, ref: Array, dx: Array) -> float:
    """Write the derivatives of one governor and return the mechanical power [pu of the system]."""
    for k in range(GOV0, GOV3 + 1):
        dx[k, i] = 0.0
    if kind == 1:
        low, high = par[V_MIN, i], par[V_MAX, i]
        demand = ref[P_REF, i] + ref[P_AUX, i] - w * par[DROOP_GAIN, i]
        if par[IT_1, i] > 0.0:
            valve = x[GOV0, i]
            rate = (demand - valve) * par[IT_1, i]
            held = (valve >= high and rate > 0.0) or (valve <= low and rate < 0.0)
            dx[GOV0, i] = 0.0 if held else rate
        else:
            valve = min(max(demand, low), high)
        power = valve
        if par[IT_3, i] > 0.0:
            dx[GOV1, i] = (valve - x[GOV1, i]) * par[IT_3, i]
            power = x[GOV1, i] + par[LEAD_LAG, i] * (valve - x[GOV1, i])
        return power - par[DT, i] * w
    if kind == 2:
        err, gate_set, gate, flow = x[GOV0, i], x[GOV1, i], x[GOV2, i], x[GOV3, i]
        droop = par[R_PERM, i]
        demand = ref[P_REF, i] + ref[P_AUX, i] / (par[SCALE, i] * par[TURBINE, i]) * droop - w
        d_err = (demand - droop * gate_set - err) * par[IT_F, i]
        dx[GOV0, i] = d_err
        speed = (err * par[IT_R, i] + d_err) / par[R_TEMP, i]
        speed = min(max(speed, -par[VELM, i]), par[VELM, i])
        held = (gate_set >= par[V_MAX, i] and speed > 0.0) or (gate_set <= par[V_MIN, i] and speed < 0.0)
        dx[GOV1, i] = 0.0 if held else speed
        dx[GOV2, i] = (gate_set - gate) * par[IT_G, i]
        opening = max(gate, 1e-3)
        head = (flow / opening) ** 2
        dx[GOV3, i] = (1.0 - head) * par[IT_W, i]
        return par[SCALE, i] * (par[TURBINE, i] * head * (flow - par[Q_NL, i]) - par[DTURB, i] * gate * w)
    return ref[P_REF, i] + ref[P_AUX, i]


@njit(cache=True, nogil=True)
def integrate(
    x: Array, n_steps: int, h: float, omega0: float, t0: float, par: Array, kind: Index, on: Index, island: Index,
    n_island: int, ref: Array, slot: Array, v_floor: float, me: Array, cr: Array, jac: Array, ge: Array,
    gi: Array, v: Array, speed: Array,
) -> tuple[int, int, int, int]:
    """Advance `x` by `n_steps` of the classical fourth-order Runge-Kutta rule, in place.

    Parameters
    ----------
    h : float
        Step [s]; `t0` is the time since the slots' ramps began [s].
    speed : array [step, machine]
        Receives the speed deviation [pu] after every step.

    Returns
    -------
    code, steps, where, iterations : int
        `steps` completed; on BLEW_UP `where` is the machine. On failure `x` stands at the last whole step.
    """
    n, m = x.shape[1], slot.shape[1]
    width = 2 * max(n, m) + 2
    work = np.empty((N_WORK, width))
    out = np.empty((3, n))
    k = np.empty((4, N_STATE, n))
    y = np.empty((N_STATE, n))
    total = 0
    for step in range(n_steps):
        t = t0 + step * h
        for stage in range(4):
            ahead = 0.0 if stage == 0 else (h if stage == 3 else 0.5 * h)
            before = k[max(stage - 1, 0)]
            for r in range(N_STATE):
                f = ahead * omega0 if r == DELTA else ahead
                for i in range(n):
                    y[r, i] = x[r, i] + f * before[r, i] if stage else x[r, i]
            found = evaluate(
                y, t + ahead, par, kind, on, island, n_island, ref, slot, v_floor, me, cr, jac, ge, gi,
                v, work, k[stage], out,
            )
            if found < 0:
                return NO_VOLTAGE, step, 0, total
            total += found
        worst = -1
        for i in range(n):
            after = x[OMEGA, i] + h / 6.0 * (
                k[0, OMEGA, i] + 2.0 * k[1, OMEGA, i] + 2.0 * k[2, OMEGA, i] + k[3, OMEGA, i]
            )
            if not abs(after) < SPEED_LIMIT:
                worst = i
        if worst >= 0:
            return BLEW_UP, step, worst, total
        for r in range(N_STATE):
            f = h / 6.0 * (omega0 if r == DELTA else 1.0)
            for i in range(n):
                x[r, i] += f * (k[0, r, i] + 2.0 * k[1, r, i] + 2.0 * k[2, r, i] + k[3, r, i])
        for i in range(n):
            if kind[0, i] == 1:
                x[EFD, i] = min(max(x[EFD, i], par[E_MIN, i]), par[E_MAX, i])
            if kind[1, i] == 1:
                x[GOV0, i] = min(max(x[GOV0, i], par[V_MIN, i]), par[V_MAX, i])
            elif kind[1, i] == 2:
                x[GOV1, i] = min(max(x[GOV1, i], par[V_MIN, i]), par[V_MAX, i])
            speed[step, i] = x[OMEGA, i]
    return DONE, n_steps, 0, total
