"""What control cost in wear: tap and switch operations, movement of set-points, storage throughput."""

from __future__ import annotations

import numpy as np

from results.runfile import Run


def tap_operations(run: Run) -> float:
    """Return the tap steps of all transformers, those at the interfaces included [1]."""
    found = [run.values(k, "tap_pos") for k in ("trafo", "interface") if run.has(k, "tap_pos")]
    if not found:
        return np.nan
    return float(sum(np.nansum(np.abs(np.diff(tap, axis=0)), dtype=float) for tap in found))


def switch_operations(run: Run) -> float:
    """Return the switches opened or closed by order [1]."""
    if "actions" not in run.tables:
        return np.nan
    moved = run.is_one_of("actions", "quantity", "closed") & run.is_one_of("actions", "refused", "")
    return float(run.column("actions", "count")[moved].sum())


def setpoint_effort(run: Run) -> float:
    """Return sum of du^2 over all set-points in MW or Mvar that were carried out [MW2].

    du is the step between two orders of one actor for one asset and quantity; the first has none.
    """
    if "actions" not in run.tables:
        return np.nan
    (_, actor), (assets, asset), (quantities, quantity) = (
        run.numbered("actions", c) for c in ("actor", "asset", "quantity")
    )
    moves = np.array([q.endswith(("_mw", "_mvar")) for q in quantities], dtype=bool)
    if not moves.any():
        return 0.0
    kept = np.flatnonzero(moves[quantity] & run.is_one_of("actions", "refused", ""))
    group = ((actor * len(assets) + asset) * len(quantities) + quantity)[kept]
    order = np.lexsort((run.column("actions", "t_ms")[kept], group))
    group, value = group[order], run.column("actions", "value")[kept][order]
    same = np.diff(group) == 0
    return float((np.diff(value)[same] ** 2).sum())


def storage_throughput_mwh(run: Run) -> float:
    """Return the energy that went through storage, charged and discharged added up [MWh]."""
    if not run.has("feeder", "storage_mw"):
        return np.nan
    p_mw = np.abs(np.nan_to_num(run.values("feeder", "storage_mw").astype(float)))
    return float(run.spans_s("feeder") @ p_mw.sum(axis=1)) / 3600.0
