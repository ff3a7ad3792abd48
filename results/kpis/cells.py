"""How the cells of the web of cells kept their exchange, and who restored it."""

from __future__ import annotations

import numpy as np

from results.runfile import Floats, Run

RESTORED_SHARE = 0.05
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
    """Return how long the worst tie error took to stay within 5 % of its peak [s].

    Counted from the peak, in the cell that has the largest one; infinite where the run ends first, and 0
    where no tie error reached 1 MW.
    """
    error = tie_error_mw(run)
    if error is None:
        return np.nan
    size = np.nan_to_num(np.abs(error))
    peak_row, cell = np.unravel_index(int(size.argmax()), size.shape)
    peak = size[peak_row, cell]
    if peak < NOTHING_MW:
        return 0.0
    beyond = np.flatnonzero(size[:, cell] > RESTORED_SHARE * peak)
    t_s = run.seconds("cell")
    last = int(beyond[-1])
    return float(t_s[last + 1] - t_s[peak_row]) if last + 1 < len(t_s) else np.inf


def outside_share(run: Run) -> float:
    """Return the share of the lasting change of generation that fell outside the disturbed cell [1].

    From just before the disturbance to the end of the run, so that restoration counts and droop, which
    answers everywhere and goes back, does not. Needs the cells' ``disturbed_cell`` and ``disturbance_s``.
    """
    about = run.group_attrs("cell") if run.has("cell", "p_gen_mw") else {}
    if not {"disturbed_cell", "disturbance_s"} <= set(about):
        return np.nan
    labels = run.labels("cell")
    before = int(np.searchsorted(run.seconds("cell"), about["disturbance_s"])) - 1
    if before < 0 or str(about["disturbed_cell"]) not in labels:
        return np.nan
    p_mw = run.values("cell", "p_gen_mw").astype(float)
    change = np.abs(p_mw[-1] - p_mw[before])
    own = change[labels.index(str(about["disturbed_cell"]))]
    return float((change.sum() - own) / change.sum()) if change.sum() > 0 else np.nan
