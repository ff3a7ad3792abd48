"""How well voltages were kept: hours outside the operating band, EN 50160, the extremes."""

from __future__ import annotations

import numpy as np

from results.runfile import Run

EN50160_TOLERANCE = 0.10
EN50160_INTERVAL_S = 600.0
EN50160_SHARE = 0.95


def band_violation_bus_hours(run: Run) -> float:
    """Return the time that buses spent outside the operating band, summed over buses [h].

    The band is the buses' ``v_min_pu`` and ``v_max_pu``; dark buses count as interrupted, not as low.
    """
    band = run.group_attrs("bus") if run.has("bus", "vm_pu") else {}
    if not {"v_min_pu", "v_max_pu"} <= set(band):
        return np.nan
    spans_s, total_s = run.spans_s("bus"), 0.0
    for rows, vm in run.blocks("bus", "vm_pu"):
        outside = ((vm < band["v_min_pu"]) | (vm > band["v_max_pu"])).sum(axis=1)
        total_s += float(outside @ spans_s[rows])
    return total_s / 3600.0


def en50160_bus_share(run: Run) -> float:
    """Return the share of buses that meet EN 50160 over the length of the run [1].

    A bus meets it where at least 95 % of the 10-min mean rms voltages lie within 10 % of nominal
    (EN 50160:2010, 4.2.2 and 5.2.2, which looks at a week). Intervals without supply are left out.
    """
    if not run.has("bus", "vm_pu"):
        return np.nan
    interval = np.floor(run.seconds("bus") / EN50160_INTERVAL_S)
    starts = np.flatnonzero(np.diff(interval, prepend=-1.0))
    spans_s = run.spans_s("bus")
    n_bus = len(run.labels("bus"))
    lit, good = np.zeros(n_bus), np.zeros(n_bus)
    for first in range(0, len(starts), 128):
        part = starts[first : first + 128]
        end = int(starts[first + 128]) if first + 128 < len(starts) else len(spans_s)
        rows = slice(int(part[0]), end)
        vm = run.part("bus", "vm_pu", rows)
        dark = np.isnan(vm)
        weight = np.where(dark, 0.0, spans_s[rows, None]) if dark.any() else spans_s[rows, None]
        square = np.add.reduceat(np.where(dark, 0.0, vm) ** 2 * weight, part - part[0], axis=0)
        lit_s = np.add.reduceat(weight, part - part[0], axis=0) + np.zeros(n_bus)
        with np.errstate(invalid="ignore"):
            rms = np.sqrt(square / lit_s)
        lit += (lit_s > 0).sum(axis=0)
        good += (np.abs(rms - 1.0) <= EN50160_TOLERANCE + 1e-7).sum(axis=0)
    seen = lit > 0
    return float(np.mean(good[seen] >= EN50160_SHARE * lit[seen])) if seen.any() else np.nan


def _extremes(run: Run) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    if run.has("bus", "vm_pu"):
        for _, vm in run.blocks("bus", "vm_pu"):
            low = min(low, float(np.fmin.reduce(vm, axis=None, initial=np.inf)))
            high = max(high, float(np.fmax.reduce(vm, axis=None, initial=-np.inf)))
    return (low, high) if low <= high else (np.nan, np.nan)


def lowest_pu(run: Run) -> float:
    """Return the lowest voltage at any bus with supply [pu]."""
    return run.once("voltage extremes", lambda: _extremes(run))[0]


def highest_pu(run: Run) -> float:
    """Return the highest voltage at any bus [pu]."""
    return run.once("voltage extremes", lambda: _extremes(run))[1]
