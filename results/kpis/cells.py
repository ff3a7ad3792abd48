"""How the cells of the web of cells kept their exchange, and who restored it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from results.runfile import Floats, Run

RESTORED_SHARE = 0.05
SETTLED_S = 900.0
NOTHING_MW = 1.0
"""A tie error that never reached this is no disturbance."""


def tie_error_mw(run: Run) -> Floats | None:
    """Return scheduled exchange missed, P_tie - P_sched [MW], shape (time, cells)."""
    if not run.has("cell", "p_tie_mw", "p_sched_mw"):
        return None
    error: Floats = run.values("cell", "p_tie_mw").astype(float) - run.values("cell", "p_sched_mw")
    return None if np.isnan(error).all() else error


def tie_error_mwh(run: Run) -> float:
    """Return the integral of the absolute tie error, summed over cells [MWh]."""
    error = tie_error_mw(run)
    return np.nan if error is None else float(run.spans_s("cell") @ np.nansum(np.abs(error), axis=1)) / 3600.0


def restoration_s(run: Run) -> float:
    """Return how long the worst tie error took to come within 5 % of its peak and stay there [s].

    Counted from the peak, in the cell that has the largest one, to the beginning of the first quarter-hour without a
    larger one (what comes later is another event), or of the rest of the run where that is shorter; infinite
    where the run ends first, and 0 where no tie error reached 1 MW.
    """
    error = tie_error_mw(run)
    if error is None:
        return np.nan
    size = np.nan_to_num(np.abs(error))
    peak_row, cell = np.unravel_index(int(size.argmax()), size.shape)
    peak = size[peak_row, cell]
    if peak < NOTHING_MW:
        return 0.0
    t_s = run.seconds("cell")
    beyond = peak_row + np.flatnonzero(size[peak_row:, cell] > RESTORED_SHARE * peak)
    back_s = np.append(t_s, np.inf)[beyond + 1]
    again_s = np.append(t_s[beyond[1:]], np.inf)
    return float(back_s[np.argmax(again_s >= back_s + SETTLED_S)] - t_s[peak_row])


def outside_share(run: Run) -> float:
    """Return the share of what a cell has lost that other cells carry in the end [1].

    Its tie error over the last quarter-hour, over the power of the disturbance: droop, which answers everywhere
    and goes back as the cell restores itself, does not count. Needs the cells' ``disturbed_cell`` and
    ``disturbance_s``, and ``disturbed_machine`` or ``disturbance_mw``; NaN without, and where the run ends within
    a quarter-hour of the disturbance.
    """
    error = tie_error_mw(run)
    about = run.group_attrs("cell") if error is not None else {}
    if error is None or not {"disturbed_cell", "disturbance_s"} <= set(about):
        return np.nan
    labels, t_s, lost_mw = run.labels("cell"), run.seconds("cell"), _lost_mw(run, about)
    last = t_s > t_s[-1] - SETTLED_S
    if str(about["disturbed_cell"]) not in labels or t_s[last][0] < about["disturbance_s"] or not lost_mw:
        return np.nan
    return float(abs(np.nanmean(error[last, labels.index(str(about["disturbed_cell"]))])) / lost_mw)


def _lost_mw(run: Run, about: Mapping[str, Any]) -> float:
    """Return the power of the disturbance [MW]; of a machine what it gave just before."""
    if "disturbance_mw" in about:
        return abs(float(about["disturbance_mw"]))
    machine = str(about.get("disturbed_machine", ""))
    if not run.has("gen", "p_mw") or machine not in run.labels("gen"):
        return np.nan
    before = int(np.searchsorted(run.seconds("gen"), about["disturbance_s"])) - 1
    return float(run.values("gen", "p_mw")[before, run.labels("gen").index(machine)]) if before >= 0 else np.nan
