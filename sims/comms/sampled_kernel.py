"""Latencies and losses of many messages over their ways, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit

from sims.comms import ledger as fate
from sims.comms.courses import BEGIN, DST, HOPS, SRC, TOPIC
from sims.comms.link import BIT_NS

_DELIVERED, _LOST, _LINK_DOWN, _EXPIRED = fate.DELIVERED, fate.LOST, fate.LINK_DOWN, fate.EXPIRED


@njit(cache=True)
def sample(  # type: ignore[no-untyped-def]
    course, sent_ns, size_bytes, ttl_ns, table, steps, normal, uniform, mu, sigma, constant, rate, p_down, p_loss
):
    """Return fate and arrival [ns] of each message, as on links that are never congested.

    Parameters
    ----------
    course, sent_ns, size_bytes, ttl_ns : ndarray of int, [message]
        A time to live of 0 is without limit.
    table, steps : ndarray of int
        As in `sims.comms.courses`.
    normal, uniform : ndarray of float, [link passed]
        Draws, in the order of messages and of the links on their ways.
    mu, sigma, constant, rate, p_down, p_loss : ndarray, [link]
        Logarithm of the latency [ns], constant latency [ns] where sigma is 0, bit/s (0: without limit),
        probability of being down, and of losing what it carries while up.
    """
    codes = np.full(len(course), _DELIVERED)
    arrival = np.empty(len(course), dtype=np.int64)
    drawn = 0
    for k in range(len(course)):
        at, code = sent_ns[k], _DELIVERED
        begin = table[course[k], BEGIN]
        for step in range(begin, begin + table[course[k], HOPS]):
            link = steps[step]
            if rate[link] > 0:
                at += (size_bytes[k] * BIT_NS + rate[link] - 1) // rate[link]
            if sigma[link] > 0.0:
                at += np.int64(np.rint(np.exp(mu[link] + sigma[link] * normal[drawn])))
            else:
                at += constant[link]
            if code != _LINK_DOWN:
                if uniform[drawn] < p_down[link]:
                    code = _LINK_DOWN
                elif uniform[drawn] < p_down[link] + (1.0 - p_down[link]) * p_loss[link]:
                    code = _LOST
            drawn += 1
        if code == _DELIVERED and ttl_ns[k] > 0 and at > sent_ns[k] + ttl_ns[k]:
            code = _EXPIRED
        codes[k], arrival[k] = code, at
    return codes, arrival


@njit(cache=True)
def laid_out(order, codes, course, sent_ns, size_bytes, at_ns, table):  # type: ignore[no-untyped-def]
    """Return the messages that `order` names, in that order: course, arrival [ns], and the columns of the log."""
    count = len(order)
    courses, arrivals = np.empty(count, np.int64), np.empty(count, np.int64)
    sender, receiver, topic = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int32)
    sent_ms, arrived_ms = np.empty(count), np.empty(count)
    size, hops, fates = np.empty(count, np.int32), np.empty(count, np.int16), np.empty(count, np.int8)
    for k in range(count):
        at = order[k]
        row = table[course[at]]
        courses[k], arrivals[k] = course[at], at_ns[at]
        sender[k], receiver[k], topic[k], hops[k] = row[SRC], row[DST], row[TOPIC], row[HOPS]
        sent_ms[k], size[k], fates[k] = sent_ns[at] / 1e6, size_bytes[at], codes[at]
        arrived_ms[k] = at_ns[at] / 1e6 if codes[at] == _DELIVERED else np.nan
    return courses, arrivals, (sender, receiver, topic, sent_ms, arrived_ms, size, hops, fates)
