"""What control cost in communication: messages, bytes, latency, losses, age of what was known."""

from __future__ import annotations

import numpy as np

from results.runfile import Floats, Run

_ARRIVED = ("delivered", "duplicate", "replayed")
_EXTRA = ("duplicate", "replayed")
_OPEN = ("in flight", "in_flight")
_MEASURED = ("primary", "secondary", "der", "interface", "tie")
"""Topics of what meters report again and again."""
_COMMAND = "command/"


def messages(run: Run) -> float:
    """Return the messages sent [1]; copies and replays are no messages of their own."""
    return float((~run.is_one_of("messages", "fate", *_EXTRA)).sum()) if "messages" in run.tables else np.nan


def megabytes(run: Run) -> float:
    """Return the bytes put on the network [MB], copies and replays included."""
    return float(run.column("messages", "size_bytes").sum()) / 1e6 if "messages" in run.tables else np.nan


def latencies_ms(run: Run) -> Floats:
    """Return the time on the way of every message that arrived [ms]."""
    return run.once("latencies", lambda: _latencies_ms(run)) if "messages" in run.tables else np.zeros(0)


def _latencies_ms(run: Run) -> Floats:
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


def decision_ages(run: Run) -> tuple[Floats, Floats, Floats]:
    """Return site, time [s] and age of information [s] of every decision that gave an order; NaN: nothing was known.

    The age of a source is the time since the newest of its telegrams that has arrived was sent; that of a decision
    is the mean over the sources its site has ever heard of. What a site measures where it stands is not counted.
    A site is its number among the senders of the run.
    """
    from results.kpis.ages import add_ages  # the compiler loads as long as all other figures take

    senders, sender = run.numbered("messages", "sender")
    receivers, receiver = run.numbered("messages", "receiver")
    topics, topic = run.numbered("messages", "topic")
    sent, arrived = (run.column("messages", name).astype(float) for name in ("sent_ms", "arrived_ms"))
    orders = np.isin(topic, [k for k, name in enumerate(topics) if name.startswith(_COMMAND)])
    decisions = np.unique(sender[orders] + 1j * sent[orders])  # sorted by site, then by time
    site, decided = decisions.real.astype(np.int64), decisions.imag.copy()
    number = {name: k for k, name in enumerate(senders)}
    to = np.array([number.get(name, -1) for name in receivers], np.int64)[receiver]
    told = run.is_one_of("messages", "topic", *_MEASURED) & run.is_one_of("messages", "fate", "delivered")
    decides = np.zeros(len(senders) + 1, bool)  # the last one stands for whoever sends nothing
    decides[site] = True
    told &= decides[to] & np.isfinite(arrived)
    pair = to[told] * (len(senders) + 1) + sender[told]
    order = np.lexsort((arrived[told], pair))
    pair, came, made = pair[order], arrived[told][order], sent[told][order]
    starts = np.flatnonzero(np.diff(pair, prepend=-1))
    total, sources = np.zeros(len(site)), np.zeros(len(site), np.int64)
    add_ages(
        decided, np.searchsorted(site, np.arange(len(senders) + 1)), pair[starts] // (len(senders) + 1),
        np.append(starts, len(pair)), came, made, total, sources,
    )  # fmt: skip
    with np.errstate(invalid="ignore"):
        return site.astype(float), decided / 1000, total / sources / 1000


def decision_age_s(run: Run) -> float:
    """Return the mean age of information at the decisions that gave orders [s] (see `decision_ages`)."""
    if "messages" not in run.tables or not len(run.column("messages", "sent_ms")):
        return np.nan
    age = decision_ages(run)[2]
    return float(np.nanmean(age)) if np.isfinite(age).any() else np.nan


def worst_estimate_pu(run: Run) -> float:
    """Return the largest error of an estimated voltage [pu]."""
    if not run.has("estimate", "v_max_err_pu"):
        return np.nan
    error = run.values("estimate", "v_max_err_pu")
    return np.nan if np.isnan(error).all() else float(np.nanmax(error))
