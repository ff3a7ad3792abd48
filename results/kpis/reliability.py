"""How often and how long customers were without supply (indices of IEEE Std 1366-2012)."""

from __future__ import annotations

import numpy as np

from results.runfile import Floats, Run

LONG_S = 180.0
"""An interruption is long beyond 3 min (EN 50160)."""


def _out(run: Run) -> tuple[Floats, float] | None:
    if not run.has("feeder", "customers", "customers_out"):
        return None
    served = run.part("feeder", "customers", slice(0, 1)).astype(float)
    total = float(np.nansum(served))
    out = np.nan_to_num(run.values("feeder", "customers_out").astype(float))
    return (out, total) if total > 0 else None


def _interruptions(out: Floats) -> float:
    """Return customer interruptions: every rise of the number of customers out, feeder by feeder."""
    return float(np.maximum(np.diff(out, axis=0, prepend=0.0), 0.0).sum())


def saidi_min(run: Run) -> float:
    """Return the customer minutes of interruption per customer served [min]."""
    found = _out(run)
    if found is None:
        return np.nan
    out, total = found
    return float(run.spans_s("feeder") @ out.sum(axis=1)) / 60.0 / total


def saifi(run: Run) -> float:
    """Return the interruptions per customer served, of any length [1].

    Counted from the rises of each feeder's number of customers out: customers who lose supply in the very
    step in which as many others on the same feeder regain it are not seen.
    """
    found = _out(run)
    return np.nan if found is None else _interruptions(found[0]) / found[1]


def saifi_long(run: Run) -> float:
    """Return the interruptions per customer served that lasted longer than 3 min [1].

    Of each feeder, as many customers as stayed out at every row of such a window. Exact as long as a
    feeder has one outage at a time; what is still out at the end of the run counts as long.
    """
    found = _out(run)
    if found is None:
        return np.nan
    out, total = found
    t_s, lasting = run.seconds("feeder"), out.copy()
    end_s = t_s + LONG_S
    for ahead in range(1, len(t_s)):
        inside = t_s[ahead:] <= end_s[:-ahead] + 1e-6
        if not inside.any():
            break
        rows = np.flatnonzero(inside)
        lasting[rows] = np.minimum(lasting[rows], out[rows + ahead])
    return _interruptions(lasting) / total


def caidi_min(run: Run) -> float:
    """Return the mean length of an interruption [min]; NaN where there was none."""
    often = saifi(run)
    return saidi_min(run) / often if often > 0 else np.nan


def ens_mwh(run: Run) -> float:
    """Return the energy not supplied [MWh]."""
    if not run.has("feeder", "unserved_mw"):
        return np.nan
    unserved_mw = np.nan_to_num(run.values("feeder", "unserved_mw").astype(float))
    return float(run.spans_s("feeder") @ unserved_mw.sum(axis=1)) / 3600.0
