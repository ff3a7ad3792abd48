"""How far and how long the frequency left its nominal value."""

from __future__ import annotations

import numpy as np

from results.runfile import Floats, Run

NOMINAL_HZ = 50.0
ROCOF_WINDOW_S = 0.5


def _deviation(run: Run) -> Floats | None:
    """Return the deviation per cell [Hz], shape (time, cells); the cells' ``f_nominal_hz`` or 50 Hz."""
    if not run.has("cell", "f_hz"):
        return None
    nominal_hz = float(run.group_attrs("cell").get("f_nominal_hz", NOMINAL_HZ))
    found: Floats = run.values("cell", "f_hz").astype(float)
    return None if np.isnan(found).all() else found - nominal_hz


def _extremes(run: Run) -> Floats:
    """Return lowest and highest frequency of any cell [Hz], between the grid's steps where machines were followed."""
    found = [run.values("cell", "f_hz").astype(float)]
    if run.has("cell_fine", "f_hz"):
        found.append(run.values("cell_fine", "f_hz").astype(float))
    return np.array([min(np.nanmin(f) for f in found), max(np.nanmax(f) for f in found)])


def lowest_hz(run: Run) -> float:
    """Return the lowest frequency of any cell (nadir) [Hz]."""
    return float(_extremes(run)[0]) if _deviation(run) is not None else np.nan


def highest_hz(run: Run) -> float:
    """Return the highest frequency of any cell [Hz]."""
    return float(_extremes(run)[1]) if _deviation(run) is not None else np.nan


def _seconds_outside(run: Run, band_hz: float) -> float:
    df_hz = _deviation(run)
    if df_hz is None:
        return np.nan
    return float(run.spans_s("cell") @ (np.abs(df_hz) > band_hz).any(axis=1))


def seconds_outside_50_mhz(run: Run) -> float:
    """Return the time with any cell more than 50 mHz off nominal [s]."""
    return _seconds_outside(run, 0.050)


def seconds_outside_200_mhz(run: Run) -> float:
    """Return the time with any cell more than 200 mHz off nominal [s]."""
    return _seconds_outside(run, 0.200)


def integral_abs_error_hz_s(run: Run) -> float:
    """Return the integral of the absolute deviation, of the cell where it is largest [Hz s]."""
    df_hz = _deviation(run)
    return np.nan if df_hz is None else float((run.spans_s("cell") @ np.nan_to_num(np.abs(df_hz))).max())


def rocof_hz_per_s(run: Run) -> float:
    """Return the steepest change of frequency over 500 ms, any cell [Hz/s].

    NaN where rows stand further apart than that: coarser rows cannot show it.
    """
    if _deviation(run) is None:
        return np.nan
    found = [_steepest(run, kind) for kind in ("cell", "cell_fine") if run.has(kind, "f_hz")]
    return float(np.fmax.reduce(found))


def _steepest(run: Run, kind: str) -> float:
    t_s, f_hz = run.seconds(kind), run.values(kind, "f_hz").astype(float)
    later = np.searchsorted(t_s, t_s + ROCOF_WINDOW_S - 1e-6)
    rows = np.flatnonzero(later < len(t_s))
    rows = rows[np.abs(t_s[later[rows]] - t_s[rows] - ROCOF_WINDOW_S) < 1e-3]
    if not rows.size:
        return np.nan
    return float(np.nanmax(np.abs(f_hz[later[rows]] - f_hz[rows])) / ROCOF_WINDOW_S)
