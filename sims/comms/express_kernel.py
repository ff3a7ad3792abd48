"""The compiled way of plain packets: the wires, queues and order of events of `Transit`, without an object each."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sims.comms import ledger as fate
from sims.comms.link import BIT_NS
from sims.comms.wires import (
    BYTES,
    CONSTANT,
    CUT,
    FREE,
    HEAD,
    IN_ORDER,
    LAST,
    LEFT,
    LIMIT,
    LOSSY,
    PACKETS,
    RATE,
    TAIL,
    UNTIL_LOSS,
    WAITING,
    WAKING,
)

Ints = NDArray[np.int64]

(
    SRC, DST, AT, END, THERE, SENT, SIZE, PRIORITY, EXPIRES, WIRE, ENTERED, HOPS, NEXT, CONCERNS, TOPIC, BUNDLE, ROW,
) = COLUMNS = range(17)  # fmt: skip
"""Columns of the packets: from and to, where in `steps` the rest of its way begins and ends and whether it ends at the
receiver, sent [ns], bytes, rank, expiry [ns] (0: never), the wire it is on, since when [ns], wires passed, who waits
behind it, whether somebody acts at once when it arrives (-1: not asked yet), number of its topic, number of its bundle
and its place there (-1: none)."""

OF_WAY = slice(SRC, THERE + 1)
"""What a packet has of its way: the first columns of `sims.comms.ways`."""

SERIAL, EVENTS, POSTED, ENDED = range(4)
"""Counters: number of the next event, length of the heap, posts and ended packets so far."""

LOOK_ROUND = -1
"""Fate of a packet that stands where its way ends short of the receiver."""

_DELIVERED, _LOST, _QUEUE_FULL = fate.DELIVERED, fate.LOST, fate.QUEUE_FULL
_LINK_DOWN, _EXPIRED = fate.LINK_DOWN, fate.EXPIRED


@njit(cache=True)
def push(heap, counters, at, serial, what):  # type: ignore[no-untyped-def]
    """Put an event on the heap: a packet's arrival, or the waking of wire -1 - `what`."""
    place = counters[EVENTS]
    counters[EVENTS] += 1
    while place > 0:
        above = (place - 1) >> 1
        if heap[above, 0] < at or (heap[above, 0] == at and heap[above, 1] < serial):
            break
        heap[place, 0], heap[place, 1], heap[place, 2] = heap[above, 0], heap[above, 1], heap[above, 2]
        place = above
    heap[place, 0], heap[place, 1], heap[place, 2] = at, serial, what


@njit(cache=True)
def _pop(heap, counters):  # type: ignore[no-untyped-def]
    """Take the first event off the heap."""
    counters[EVENTS] -= 1
    count = counters[EVENTS]
    at, serial, what = heap[count, 0], heap[count, 1], heap[count, 2]
    place = 0
    while True:
        below = 2 * place + 1
        if below >= count:
            break
        other = below + 1
        if other < count and (
            heap[other, 0] < heap[below, 0]
            or (heap[other, 0] == heap[below, 0] and heap[other, 1] < heap[below, 1])
        ):
            below = other
        if at < heap[below, 0] or (at == heap[below, 0] and serial < heap[below, 1]):
            break
        heap[place, 0], heap[place, 1], heap[place, 2] = heap[below, 0], heap[below, 1], heap[below, 2]
        place = below
    heap[place, 0], heap[place, 1], heap[place, 2] = at, serial, what


@njit(cache=True)
def _finish(ended, counters, packet, now, code):  # type: ignore[no-untyped-def]
    row = counters[ENDED]
    counters[ENDED] += 1
    ended[row, 0], ended[row, 1], ended[row, 2] = packet, now, code


@njit(cache=True)
def queue_up(table, packets, packet, wire):  # type: ignore[no-untyped-def]
    """Let `packet` wait for `wire`, behind all of its rank."""
    rank = packets[packet, PRIORITY]
    last = table[wire, TAIL]
    table[wire, WAITING] += 1
    packets[packet, WIRE] = wire
    if last < 0 or packets[last, PRIORITY] <= rank:
        packets[packet, NEXT] = -1
        table[wire, TAIL] = packet
        if last < 0:
            table[wire, HEAD] = packet
        else:
            packets[last, NEXT] = packet
        return
    behind, at = -1, table[wire, HEAD]
    while packets[at, PRIORITY] <= rank:
        behind, at = at, packets[at, NEXT]
    packets[packet, NEXT] = at
    if behind < 0:
        table[wire, HEAD] = packet
    else:
        packets[behind, NEXT] = packet


@njit(cache=True)
def _is_full(table, packets, wire, rank):  # type: ignore[no-untyped-def]
    limit = table[wire, LIMIT]
    if table[wire, WAITING] < limit:
        return False
    same, at = 0, table[wire, HEAD]
    while at >= 0 and packets[at, PRIORITY] <= rank:
        same += packets[at, PRIORITY] == rank
        at = packets[at, NEXT]
    return same >= limit


@njit(cache=True)
def _transmit(table, rest, stock, packets, heap, counters, ended, packet, wire, now):  # type: ignore[no-untyped-def]
    """Occupy the wire, take a latency, and arrive or be lost: as `Transit` does."""
    size, rate = packets[packet, SIZE], table[wire, RATE]
    packets[packet, WIRE], packets[packet, ENTERED] = wire, now
    table[wire, PACKETS] += 1
    table[wire, BYTES] += size
    at = now
    if rate > 0:
        at = now + (size * BIT_NS + rate - 1) // rate
        table[wire, FREE] = at
    if table[wire, CONSTANT] >= 0:
        at += table[wire, CONSTANT]
    else:
        table[wire, LEFT] -= 1
        at += stock[wire, table[wire, LEFT]]
    if rest[wire] > 0.0 and rate > 0:
        table[wire, FREE] += np.int64(np.rint((table[wire, FREE] - now) * rest[wire]))
    if table[wire, IN_ORDER]:
        at = max(at, table[wire, LAST])
        table[wire, LAST] = at
    if table[wire, LOSSY]:
        table[wire, UNTIL_LOSS] -= 1
        if table[wire, UNTIL_LOSS] == 0:
            _finish(ended, counters, packet, now, _LOST)
            return
    push(heap, counters, at, counters[SERIAL], packet)
    counters[SERIAL] += 1


@njit(cache=True)
def _reach(table, rest, stock, packets, steps, heap, counters, ended, packet, now):  # type: ignore[no-untyped-def]
    """Hand a packet over where its way ends, or put it on the next wire or in the queue before it."""
    at, expires = packets[packet, AT], packets[packet, EXPIRES]
    if at == packets[packet, END] and not packets[packet, THERE]:
        _finish(ended, counters, packet, now, LOOK_ROUND)
    elif expires > 0 and now > expires:
        _finish(ended, counters, packet, now, _EXPIRED)
    elif at == packets[packet, END]:
        _finish(ended, counters, packet, now, _DELIVERED)
    else:
        wire = steps[at]
        packets[packet, AT] = at + 1
        if table[wire, WAITING] == 0 and table[wire, FREE] <= now:
            _transmit(table, rest, stock, packets, heap, counters, ended, packet, wire, now)
        elif _is_full(table, packets, wire, packets[packet, PRIORITY]):
            _finish(ended, counters, packet, now, _QUEUE_FULL)
        else:
            queue_up(table, packets, packet, wire)
            if not table[wire, WAKING]:
                table[wire, WAKING] = 1
                push(heap, counters, table[wire, FREE], counters[SERIAL], -1 - wire)
                counters[SERIAL] += 1


@njit(cache=True)
def _lacks(table, wire):  # type: ignore[no-untyped-def]
    """Tell whether numbers have to be drawn before `wire` can be used."""
    return (table[wire, CONSTANT] < 0 and table[wire, LEFT] == 0) or (
        table[wire, LOSSY] > 0 and table[wire, UNTIL_LOSS] == 0
    )


@njit(cache=True)
def carry(  # type: ignore[no-untyped-def]
    table, rest, stock, packets, steps, heap, counters, ended, posts, bound_at, bound_serial,
):  # fmt: skip
    """Run all that comes before the event (`bound_at`, `bound_serial`), and send the `posts` before that time.

    Parameters
    ----------
    posts : ndarray of int, [post, (sent at [ns], packet)]
        In the order of time; what happens at the time of a post comes before it.

    Returns
    -------
    int
        Wire for which numbers have to be drawn before the call is made again, -1 when all is done.
    """
    while True:
        events = counters[EVENTS]
        at, serial, what = bound_at, bound_serial, 0
        if events > 0:
            at, serial, what = heap[0, 0], heap[0, 1], heap[0, 2]
        post = counters[POSTED]
        if post < len(posts) and posts[post, 0] < bound_at and (events == 0 or posts[post, 0] < at):
            now, packet = posts[post, 0], posts[post, 1]
            first = packets[packet, AT]
            if first < packets[packet, END] and _lacks(table, steps[first]):
                return steps[first]
            counters[POSTED] += 1
            _reach(table, rest, stock, packets, steps, heap, counters, ended, packet, now)
        elif events == 0 or at > bound_at or (at == bound_at and serial >= bound_serial):
            return -1
        elif what >= 0:
            wire, first = packets[what, WIRE], packets[what, AT]
            cut = packets[what, ENTERED] <= table[wire, CUT]
            if not cut and first < packets[what, END] and _lacks(table, steps[first]):
                return steps[first]
            _pop(heap, counters)
            if cut:
                _finish(ended, counters, what, at, _LINK_DOWN)
            else:
                packets[what, HOPS] += 1
                _reach(table, rest, stock, packets, steps, heap, counters, ended, what, at)
        else:
            wire = -1 - what
            while table[wire, WAITING] > 0 and table[wire, FREE] <= at:
                if _lacks(table, wire):
                    return wire
                packet = table[wire, HEAD]
                table[wire, HEAD] = packets[packet, NEXT]
                table[wire, WAITING] -= 1
                if table[wire, WAITING] == 0:
                    table[wire, TAIL] = -1
                if packets[packet, EXPIRES] > 0 and at > packets[packet, EXPIRES]:
                    _finish(ended, counters, packet, at, _EXPIRED)
                else:
                    _transmit(table, rest, stock, packets, heap, counters, ended, packet, wire, at)
            _pop(heap, counters)
            table[wire, WAKING] = 0
            if table[wire, WAITING] > 0:
                table[wire, WAKING] = 1
                push(heap, counters, table[wire, FREE], counters[SERIAL], what)
                counters[SERIAL] += 1


@njit(cache=True)
def unasked(table, packets, heap, counters):  # type: ignore[no-untyped-def]
    """Return the packets under way of which nobody has asked yet whether they concern someone."""
    found = np.empty(len(packets), dtype=np.int64)
    count = 0
    for event in range(counters[EVENTS]):
        what = heap[event, 2]
        packet = what if what >= 0 else table[-1 - what, HEAD]
        while packet >= 0:
            if packets[packet, CONCERNS] < 0:
                found[count] = packet
                count += 1
            packet = -1 if what >= 0 else packets[packet, NEXT]
    return found[:count]


@njit(cache=True)
def first_of_concern(table, packets, heap, counters):  # type: ignore[no-untyped-def]
    """Return when something first happens to a packet that concerns someone [ns], or -1."""
    first = -1
    for event in range(counters[EVENTS]):
        what = heap[event, 2]
        packet = what if what >= 0 else table[-1 - what, HEAD]
        while packet >= 0 and (first < 0 or heap[event, 0] < first):
            if packets[packet, CONCERNS] > 0:
                first = heap[event, 0]
            packet = -1 if what >= 0 else packets[packet, NEXT]
    return first
