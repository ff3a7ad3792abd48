"""What control cost in communication: messages, bytes, latency, losses, age of what was known."""

from __future__ import annotations

import numpy as np

from results.runfile import Floats, Run

_ARRIVED = ("delivered", "duplicate", "replayed")
_EXTRA = ("duplicate", "replayed")
_OPEN = ("in flight", "in_flight")


def messages(run: Run) -> float:
    """Return the messages sent [1]; copies and replays are no messages of their own."""
    return float((~run.is_one_of("messages", "fate", *_EXTRA)).sum()) if "messages" in run.tables else np.nan


def megabytes(run: Run) -> float:
    """Return the bytes put on the network [MB], copies and replays included."""
    return float(run.column("messages", "size_bytes").sum()) / 1e6 if "messages" in run.tables else np.nan


def latencies_ms(run: Run) -> Floats:
    """Return the time on the way of every message that arrived [ms]."""
    if "messages" not in run.tables:
        return np.zeros(0)
    arrived = run.is_one_of("messages", "fate", "delivered")
    way: Floats = (run.column("messages", "arrived_ms") - run.column("messages", "sent_ms"))[arrived]
    return way


def median_latency_ms(run: Run) -> float:
    """Return the latency that half of the messages stay below [ms]."""
    way = latencies_ms(run)
    return float(np.median(way)) if way.size else np.nan


def p95_latency_ms(run: Run) -> float:
    """Return the latency that 95 % of the messages stay below [ms]."""
    way = latencies_ms(run)
    return float(np.quantile(way, 0.95)) if way.size else np.nan


def lost(run: Run) -> float:
    """Return the messages that never arrived, whatever the cause [1]; those on their way do not count."""
    if "messages" not in run.tables:
        return np.nan
    return float((~run.is_one_of("messages", "fate", *_ARRIVED, *_OPEN)).sum())


def lost_share(run: Run) -> float:
    """Return the lost part of the messages sent [1]; NaN where none was sent."""
    sent = messages(run)
    return lost(run) / sent if sent > 0 else np.nan


def mean_age_s(run: Run) -> float:
    """Return the mean age of the measurements that the operators' picture of the grid rests on [s]."""
    if not run.has("estimate", "age_s"):
        return np.nan
    age = run.values("estimate", "age_s").astype(float)
    weight = np.where(np.isnan(age), 0.0, run.spans_s("estimate")[:, None])
    return float((np.nan_to_num(age) * weight).sum() / weight.sum()) if weight.any() else np.nan


def worst_estimate_pu(run: Run) -> float:
    """Return the largest error of an estimated voltage [pu]."""
    if not run.has("estimate", "v_max_err_pu"):
        return np.nan
    error = run.values("estimate", "v_max_err_pu")
    return np.nan if np.isnan(error).all() else float(np.nanmax(error))
