"""What the links remember, as one table: the links and the compiled way both work on it."""

from __future__ import annotations

import numpy as np

BLOCK = 64
"""Latencies of one link that are drawn at once."""

(
    RATE, LIMIT, CONSTANT, LOSSY, IN_ORDER,
    FREE, LAST, CUT, UNTIL_LOSS, LEFT, PACKETS, BYTES, WAITING, WAKING, HEAD, TAIL,
) = range(16)  # fmt: skip
"""Columns of `Wires.table`, all integers; times in ns.

What a link is: bit/s (0: without limit), packets of one priority that may wait, latency (-1: drawn), whether it loses
packets, whether none overtakes another. What it remembers: when it is free, the last arrival, the last cut
(-1: none), packets up to the next loss (0: to be drawn), latencies left of the block, packets and bytes carried,
packets that wait, whether it is to be woken, and, while the compiled way has them, the first and last that wait.
"""


class Wires:
    """The table of `count` links, and beside it the blocks of latencies and how long each rests after a packet."""

    def __init__(self, count: int) -> None:
        self.table = np.zeros((count, 16), dtype=np.int64)
        self.table[:, CUT] = self.table[:, HEAD] = self.table[:, TAIL] = -1
        self.stock = np.zeros((count, BLOCK), dtype=np.int64)
        self.rest = np.zeros(count)
