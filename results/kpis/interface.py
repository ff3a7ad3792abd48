"""How the DSO behaved at its interfaces to the transmission grid."""

from __future__ import annotations

import numpy as np

from results.runfile import Floats, Run

SLOT_S = 900.0
COS_PHI_MIN = 0.9


def q_rmse_mvar(run: Run) -> float:
    """Return the root mean square of Q less its reference, over interfaces that have one [Mvar]."""
    if not run.has("interface", "q_mvar", "q_ref_mvar"):
        return np.nan
    error = run.values("interface", "q_mvar").astype(float) - run.values("interface", "q_ref_mvar")
    weight = np.where(np.isnan(error), 0.0, run.spans_s("interface")[:, None])
    if not weight.any():
        return np.nan
    return float(np.sqrt(np.sum(np.nan_to_num(error) ** 2 * weight) / weight.sum()))


def tolerance_kv(run: Run) -> Floats:
    """Return the voltage tolerance of each interface [kV].

    ``v_tol_kv`` of the interfaces where the run states it; else 3 kV from 300 kV on, 2 kV at 220 kV, and
    in proportion below (Swissgrid, rules of active voltage support).
    """
    if "interface/v_tol_kv" in run:
        return run.static("interface", "v_tol_kv").astype(float)
    vn_kv = run.static("interface", "vn_kv").astype(float)
    return np.where(vn_kv >= 300.0, 3.0, np.minimum(2.0, 2.0 * vn_kv / 220.0))


def _slots(run: Run) -> tuple[Floats, Floats] | None:
    """Return (conforms: 1, 0 or NaN; mean Q [Mvar]) per 15-min slot and interface."""
    if not run.has("interface", "v_pu", "v_set_pu", "q_mvar", "vn_kv"):
        return None
    slot = np.floor(run.seconds("interface") / SLOT_S)
    starts = np.flatnonzero(np.diff(slot, prepend=-1.0))
    spans_s = run.spans_s("interface")[:, None]

    def mean(values: Floats) -> Floats:
        weight = np.where(np.isnan(values), 0.0, spans_s)
        total = np.add.reduceat(np.nan_to_num(values) * weight, starts, axis=0)
        with np.errstate(invalid="ignore"):
            out: Floats = total / np.add.reduceat(weight, starts, axis=0)
        return out

    vn_kv = run.static("interface", "vn_kv").astype(float)
    error_pu = run.values("interface", "v_pu").astype(float) - run.values("interface", "v_set_pu")
    error_kv = mean(error_pu) * vn_kv
    q_mvar = mean(run.values("interface", "q_mvar").astype(float))
    conforms = (np.abs(error_kv) <= tolerance_kv(run)) | (error_kv * q_mvar <= 0.0)
    return np.where(np.isnan(error_kv) | np.isnan(q_mvar), np.nan, conforms), q_mvar


def compliant_share(run: Run) -> float:
    """Return the share of 15-min slots that conform [1].

    A slot conforms where its mean voltage is within the tolerance of the set voltage, or the reactive
    exchange helps: (U - U_set) Q <= 0, Q positive into transmission.
    """
    found = _slots(run)
    return np.nan if found is None or np.isnan(found[0]).all() else float(np.nanmean(found[0]))


def noncompliant_mvarh(run: Run) -> float:
    """Return the reactive energy exchanged in slots that do not conform, which is charged [Mvarh]."""
    return _mvarh(run, conforming=False)


def compliant_mvarh(run: Run) -> float:
    """Return the reactive energy exchanged in slots that conform, which is paid for [Mvarh]."""
    return _mvarh(run, conforming=True)


def _mvarh(run: Run, *, conforming: bool) -> float:
    found = _slots(run)
    if found is None or np.isnan(found[0]).all():
        return np.nan
    conforms, q_mvar = found
    return float(np.abs(q_mvar[conforms == conforming]).sum()) * SLOT_S / 3600.0


def q_band_share(run: Run) -> float:
    """Return the share of time inside the reactive band abs(Q) <= ``q_band_mvar`` [1]."""
    if not run.has("interface", "q_mvar", "q_band_mvar"):
        return np.nan
    band = run.values("interface", "q_band_mvar").astype(float)
    inside = np.abs(run.values("interface", "q_mvar")) <= band * (1 + 1e-6)
    weight = np.where(np.isnan(band), 0.0, run.spans_s("interface")[:, None])
    return float((inside * weight).sum() / weight.sum()) if weight.any() else np.nan


def power_factor_share(run: Run) -> float:
    """Return the share of time with a power factor of at least 0.9 at the interface [1]."""
    if not run.has("interface", "p_mw", "q_mvar"):
        return np.nan
    p, q = (run.values("interface", name).astype(float) for name in ("p_mw", "q_mvar"))
    weight = np.where(np.isnan(p) | np.isnan(q), 0.0, run.spans_s("interface")[:, None])
    good = np.abs(p) >= COS_PHI_MIN * np.hypot(p, q) * (1 - 1e-6)
    return float((good * weight).sum() / weight.sum()) if weight.any() else np.nan
