"""What became of the energy: curtailed, lost, served to vehicles; and whether the books balance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from results.runfile import Floats, Run

SOURCES = ("pv", "wind")
INJECTED = ("pv_mw", "wind_mw", "chp_mw", "storage_mw", "ev_mw", "heatpump_mw", "flexible_mw")
"""What devices of a feeder give, negative where they draw."""


def power(run: Run, kind: str, quantity: str) -> Floats | None:
    """Return a power [MW], shape (time, labels), gaps as 0; None where the run does not hold it."""
    return np.nan_to_num(run.values(kind, quantity).astype(float)) if run.has(kind, quantity) else None


def integral_h(run: Run, kind: str, values: NDArray[np.float64]) -> float:
    """Return the integral over time of `values`, shape (time, labels), summed over labels [times h]."""
    return float(run.spans_s(kind) @ values.sum(axis=1)) / 3600.0


def _curtailed_and_available(run: Run) -> tuple[float, float]:
    curtailed = available = 0.0
    found = False
    for source in SOURCES:
        p_mw = power(run, "feeder", f"{source}_mw")
        avail_mw = power(run, "feeder", f"{source}_avail_mw")
        if p_mw is not None and avail_mw is not None:
            found = True
            curtailed += integral_h(run, "feeder", np.maximum(avail_mw - p_mw, 0.0))
            available += integral_h(run, "feeder", avail_mw)
    return (curtailed, available) if found else (np.nan, np.nan)


def curtailed_mwh(run: Run) -> float:
    """Return the energy of sun and wind that was available and not fed in [MWh]."""
    return _curtailed_and_available(run)[0]


def curtailed_share(run: Run) -> float:
    """Return the curtailed part of the available energy [1]; NaN where none was available."""
    curtailed, available = _curtailed_and_available(run)
    return curtailed / available if available > 0 else np.nan


def _system_mwh(run: Run, quantity: str) -> float:
    p_mw = power(run, "system", quantity)
    return np.nan if p_mw is None else integral_h(run, "system", p_mw)


def distribution_losses_mwh(run: Run) -> float:
    """Return the losses in the distribution grids [MWh]."""
    loss_mw = power(run, "feeder", "loss_mw")
    if loss_mw is None:
        return _system_mwh(run, "loss_distribution_mw")
    return integral_h(run, "feeder", loss_mw)


def transmission_losses_mwh(run: Run) -> float:
    """Return the losses in the transmission grid [MWh]."""
    return _system_mwh(run, "loss_transmission_mw")


def ev_served_mwh(run: Run) -> float:
    """Return the energy charged into vehicles, less what they gave back [MWh]."""
    ev_mw = power(run, "feeder", "ev_mw")
    return np.nan if ev_mw is None else -integral_h(run, "feeder", ev_mw)


def ev_unmet_mwh(run: Run) -> float:
    """Return the energy that drivers asked for and did not have when they left [MWh]."""
    unmet_mwh = power(run, "feeder", "ev_unmet_mwh")
    return np.nan if unmet_mwh is None else round(float(unmet_mwh.max(axis=0).sum()), 12)  # the rest is rounding


def worst_balance_mw(run: Run) -> float:
    """Return the largest amount by which generation, load and losses did not add up over the whole system [MW].

    Infeed of machines and devices, less the load of transmission buses and feeders, less losses in lines and
    transformers; NaN where feeders and transmission are not recorded at the same instants.
    """
    named = {
        "system": {"gen_mw": 1.0, "static_load_mw": -1.0, "loss_transmission_mw": -1.0},
        "feeder": {"load_mw": -1.0, "loss_mw": -1.0, **dict.fromkeys(INJECTED, 1.0)},
    }
    if not all(run.has(kind, *signs) for kind, signs in named.items()):
        return np.nan
    if not np.array_equal(run.seconds("system"), run.seconds("feeder")):
        return np.nan
    residual_mw = sum(
        sign * run.values(kind, quantity).sum(axis=1, dtype=float)
        for kind, signs in named.items() for quantity, sign in signs.items()
    )  # fmt: skip
    known = residual_mw[np.isfinite(residual_mw)]
    return float(np.abs(known).max()) if known.size else np.nan


def diverged_feeder_steps(run: Run) -> float:
    """Return how many rows of feeders have no solution of the power flow behind them [1]."""
    if not run.has("feeder", "converged"):
        return np.nan
    return float(np.count_nonzero(run.values("feeder", "converged") == 0))


def worst_residual_v_pu(run: Run) -> float:
    """Return the largest disagreement on a boundary voltage that was left after coupling [pu]."""
    residual_pu = power(run, "interface", "residual_v_pu")
    return np.nan if residual_pu is None else float(np.abs(residual_pu).max())
