"""The highest and lowest voltage of an area, from its own meter and its substations' frames."""

from __future__ import annotations

import math

from controllers.distributed.area import Area, column, number
from controllers.distributed.paths import fed_by
from sims.core.message import Message


class Extremes:
    """What an agent knows of its area's voltages between two frames.

    The own substation is metered each minute, the others report each quarter-hour: their difference to the own
    voltage, taken when the frame arrives, is carried along. The leading agent's own are the busbars, as the primary
    substation reports them, each for what is fed from it: taps move them one by one. What is dark (below 0.2 pu, or
    silent for more than two and a half minutes) counts not.
    """

    DARK_PU = 0.2
    SILENT_S = 150.0

    def __init__(self, area: Area) -> None:
        self.at_busbar = area.at_root
        self.primary_name = area.feeder.name
        self.fed = fed_by(area.feeder.grid).tolist() if self.at_busbar else []
        self.own_pu: list[float] = []
        self.own_s = -math.inf
        self.offset_pu: dict[tuple[str, int], float] = {}
        self.above_pu: list[float] = []
        self.below_pu: list[float] = []
        self.fresh = False

    def own(self, message: Message) -> None:
        """Take the own substation's measurement."""
        if self.at_busbar:
            return
        sent_s, v_pu = message.sent_ms / 1000, message.values["v_pu"]
        if sent_s > self.own_s:
            self.own_pu, self.own_s = [v_pu if type(v_pu) is float else number(v_pu)], sent_s

    def primary(self, message: Message) -> None:
        """Take the busbar voltages, one a transformer; where all are dark the last ones stand until they are old."""
        if self.at_busbar and message.sent_ms / 1000 > self.own_s:
            v_pu = column(message.values["v_pu"])
            if max(v_pu, default=0.0) > self.DARK_PU:
                self.own_pu, self.own_s = v_pu, message.sent_ms / 1000

    def frame(self, sender: str, node: int, v_pu: float) -> None:
        """Take what a secondary substation tells: of its own node, or of one in the low-voltage grid below.

        That of a busbar is left out, whose voltage comes each minute.
        """
        if sender == self.primary_name:
            return
        k = self._source(node)
        if v_pu < self.DARK_PU or k >= len(self.own_pu) or not self.own_pu[k] > self.DARK_PU:
            self.offset_pu.pop((sender, node), None)
        else:
            self.offset_pu[sender, node] = v_pu - self.own_pu[k]
        self.fresh = False

    def _source(self, node: int) -> int:
        """Return which of the own voltages a node's is held against; grids without transformers have one busbar."""
        return max(self.fed[node], 0) if self.fed else 0

    def expire(self, now_s: float) -> None:
        """Forget an own measurement that is too old to stand for now."""
        if now_s - self.own_s > self.SILENT_S:
            self.own_pu = []

    @property
    def dark(self) -> bool:
        """The own substation is without supply, or has not been metered lately."""
        return not any(v_pu > self.DARK_PU for v_pu in self.own_pu)

    def range_pu(self) -> tuple[float, float]:
        """Return the lowest and the highest voltage of the area, NaN while dark."""
        if not self.fresh or len(self.above_pu) != len(self.own_pu):
            self._sort()
        each = zip(self.own_pu, self.below_pu, self.above_pu, strict=True)
        live = [(v_pu + below_pu, v_pu + above_pu) for v_pu, below_pu, above_pu in each if v_pu > self.DARK_PU]
        if len(live) < 2:
            return live[0] if live else (math.nan, math.nan)
        return min(low for low, _ in live), max(high for _, high in live)

    def highest_at(self, k: int) -> float:
        """Return the highest voltage that goes with one of the own ones, NaN while that is dark."""
        if not self.fresh or len(self.above_pu) != len(self.own_pu):
            self._sort()
        live = k < len(self.own_pu) and self.own_pu[k] > self.DARK_PU
        return self.own_pu[k] + self.above_pu[k] if live else math.nan

    def _sort(self) -> None:
        """Find the extreme differences to each of the own voltages, the own one's included."""
        count = len(self.own_pu)
        self.above_pu, self.below_pu = [0.0] * count, [0.0] * count
        for (_, node), offset in self.offset_pu.items():
            k = self._source(node)
            if k < count:
                self.above_pu[k] = max(self.above_pu[k], offset)
                self.below_pu[k] = min(self.below_pu[k], offset)
        self.fresh = True

    @property
    def highest_pu(self) -> float:
        """Highest voltage of the area, NaN while dark."""
        return self.range_pu()[1]

    @property
    def lowest_pu(self) -> float:
        """Lowest voltage of the area, NaN while dark."""
        return self.range_pu()[0]
