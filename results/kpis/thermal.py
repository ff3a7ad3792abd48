"""How far lines and transformers were loaded beyond their rating."""

from __future__ import annotations

import numpy as np

from results.runfile import Run

LIMIT_PERCENT = 100.0


def _overload(run: Run, kind: str) -> tuple[float, float]:
    """Return (element-hours above the rating, overload times duration [percent h])."""
    if not run.has(kind, "loading_percent"):
        return np.nan, np.nan
    spans_h = run.spans_s(kind) / 3600.0
    hours = percent_hours = 0.0
    for rows, loading in run.blocks(kind, "loading_percent"):
        above = np.fmax(loading - LIMIT_PERCENT, 0.0)  # fmax takes the 0 where there is no value
        hours += float((above > 0).sum(axis=1) @ spans_h[rows])
        percent_hours += float(above.sum(axis=1, dtype=float) @ spans_h[rows])
    return hours, percent_hours


def _once(run: Run, kind: str) -> tuple[float, float]:
    return run.once(f"overload of {kind}", lambda: _overload(run, kind))


def line_overload_hours(run: Run) -> float:
    """Return the time that lines carried more than their rating, summed over lines [h]."""
    return _once(run, "line")[0]


def line_percent_hours(run: Run) -> float:
    """Return overload times duration, summed over lines [percent of rating times h]."""
    return _once(run, "line")[1]


def trafo_overload_hours(run: Run) -> float:
    """Return the time that transformers carried more than their rating, summed over them [h]."""
    return _once(run, "trafo")[0]


def trafo_percent_hours(run: Run) -> float:
    """Return overload times duration, summed over transformers [percent of rating times h]."""
    return _once(run, "trafo")[1]


def highest_loading_percent(run: Run) -> float:
    """Return the highest loading of any line or transformer [percent]."""
    found = [
        float(np.nanmax(loading))
        for kind in ("line", "trafo")
        if run.has(kind, "loading_percent")
        for _, loading in run.blocks(kind, "loading_percent")
        if not np.isnan(loading).all()
    ]
    return max(found, default=np.nan)
