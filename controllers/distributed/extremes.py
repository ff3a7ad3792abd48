"""The highest and lowest voltage of an area, from its own meter and its substations' frames."""

from __future__ import annotations

import math

import numpy as np

from controllers.distributed.area import Area, column, number
from controllers.distributed.paths import fed_by, source_transformers
from sims.core.message import Message


class Extremes:
    """What an agent knows of its area's voltages between two frames.

    The own substation is metered each minute, the others report each quarter-hour: their difference to the own
    voltage, taken when the frame arrives, is carried along. The leading agent's own are the busbars, as the primary
    substation reports them, each for what is fed from it: taps move them one by one. What is dark (below 0.2 pu, or
    silent for more than two and a half minutes) counts not.

    Attributes
    ----------
    own_pu, above_pu, below_pu : ndarray [source]
        The own voltages, NaN where unknown, and the extreme differences to each, its own one (0) included. These and
        `own_s` are parts of the wall's tables where the picture hangs on one (see `wall.Wall`).
    own_s : ndarray [1]
        When they were measured.
    """

    DARK_PU = 0.2
    SILENT_S = 150.0

    def __init__(self, area: Area) -> None:
        self.at_busbar = area.at_root
        self.primary_name = area.feeder.name
        self.fed = fed_by(area.feeder.grid).tolist() if self.at_busbar else []
        busbars = len(source_transformers(area.feeder.grid)) if self.at_busbar else 1
        self.own_pu, self.own_s = np.full(max(busbars, 1), math.nan), np.full(1, -math.inf)
        self.offset_pu: dict[tuple[str, int], float] = {}
        self.above_pu, self.below_pu = np.zeros(len(self.own_pu)), np.zeros(len(self.own_pu))
        self.fresh = True

    def own(self, message: Message) -> None:
        """Take the own substation's measurement."""
        if self.at_busbar:
            return
        sent_s, v_pu = message.sent_ms / 1000, message.values["v_pu"]
        if sent_s > self.own_s.item():
            self.own_pu[0], self.own_s[0] = v_pu if type(v_pu) is float else number(v_pu), sent_s

    def primary(self, message: Message) -> None:
        """Take the busbar voltages, one a transformer; where all are dark the last ones stand until they are old."""
        if self.at_busbar and message.sent_ms / 1000 > self.own_s.item():
            v_pu = column(message.values["v_pu"])[: len(self.own_pu)]
            if max(v_pu, default=0.0) > self.DARK_PU:
                self.own_pu[:] = math.nan
                self.own_pu[: len(v_pu)], self.own_s[0] = v_pu, message.sent_ms / 1000

    def frame(self, sender: str, node: int, v_pu: float) -> None:
        """Take what a secondary substation tells: of its own node, or of one in the low-voltage grid below.

        That of a busbar is left out, whose voltage comes each minute.
        """
        if sender == self.primary_name:
            return
        own_pu = self.own_pu.item(self._source(node))
        if v_pu < self.DARK_PU or not own_pu > self.DARK_PU:
            self.offset_pu.pop((sender, node), None)
        else:
            self.offset_pu[sender, node] = v_pu - own_pu
        self.fresh = False

    def _source(self, node: int) -> int:
        """Return which of the own voltages a node's is held against; grids without transformers have one busbar."""
        return max(self.fed[node], 0) if self.fed else 0

    def expire(self, now_s: float) -> None:
        """Forget an own measurement that is too old to stand for now."""
        if now_s - self.own_s.item() > self.SILENT_S:
            self.own_pu[:] = math.nan

    @property
    def dark(self) -> bool:
        """The own substation is without supply, or has not been metered lately."""
        return not any(v_pu > self.DARK_PU for v_pu in self.own_pu.tolist())

    def range_pu(self) -> tuple[float, float]:
        """Return the lowest and the highest voltage of the area, NaN while dark."""
        self.sort()
        each = zip(self.own_pu.tolist(), self.below_pu.tolist(), self.above_pu.tolist(), strict=True)
        live = [(v_pu + below_pu, v_pu + above_pu) for v_pu, below_pu, above_pu in each if v_pu > self.DARK_PU]
        if len(live) < 2:
            return live[0] if live else (math.nan, math.nan)
        return min(low for low, _ in live), max(high for _, high in live)

    def highest_at(self, k: int) -> float:
        """Return the highest voltage that goes with one of the own ones, NaN while that is dark."""
        self.sort()
        own_pu = self.own_pu.item(k) if k < len(self.own_pu) else math.nan
        return own_pu + self.above_pu.item(k) if own_pu > self.DARK_PU else math.nan

    def sort(self) -> None:
        """Find the extreme differences to each of the own voltages again where frames have moved them."""
        if self.fresh:
            return
        above_pu, below_pu = [0.0] * len(self.own_pu), [0.0] * len(self.own_pu)
        for (_, node), offset in self.offset_pu.items():
            k = self._source(node)
            above_pu[k], below_pu[k] = max(above_pu[k], offset), min(below_pu[k], offset)
        self.above_pu[:], self.below_pu[:] = above_pu, below_pu
        self.fresh = True

    @property
    def highest_pu(self) -> float:
        """Highest voltage of the area, NaN while dark."""
        return self.range_pu()[1]

    @property
    def lowest_pu(self) -> float:
        """Lowest voltage of the area, NaN while dark."""
        return self.range_pu()[0]
