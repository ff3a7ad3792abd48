"""The highest and lowest voltage of an area, from its own meter and its substations' frames."""

from __future__ import annotations

import math

from controllers.distributed.area import Area, column, number
from sims.core.message import Message


class Extremes:
    """What an agent knows of its area's voltages between two frames.

    The own substation is metered each minute (the leading agent's is the busbar, as the primary substation
    reports it), the others report each quarter-hour: their difference to the own voltage, taken when the
    frame arrives, is carried along. What is dark (below 0.2 pu, or silent for more than two and a half
    minutes) counts not.
    """

    DARK_PU = 0.2
    SILENT_S = 150.0

    def __init__(self, area: Area) -> None:
        self.at_busbar = area.at_root
        self.primary_name = area.feeder.name
        self.own_pu = math.nan
        self.own_s = -math.inf
        self.offset_pu: dict[tuple[str, int], float] = {}
        self.above_pu = 0.0
        self.below_pu = 0.0
        self.fresh = True

    def own(self, message: Message) -> None:
        """Take the own substation's measurement."""
        if self.at_busbar:
            return
        sent_s, v_pu = message.sent_ms / 1000, message.values["v_pu"]
        if sent_s > self.own_s:
            self.own_pu, self.own_s = v_pu if type(v_pu) is float else number(v_pu), sent_s

    def primary(self, message: Message) -> None:
        """Take the busbar voltages, of which the lowest supplied one stands for the leading agent."""
        if self.at_busbar and message.sent_ms / 1000 > self.own_s:
            live = [v_pu for v_pu in column(message.values["v_pu"]) if v_pu > self.DARK_PU]
            if live:
                self.own_pu, self.own_s = min(live), message.sent_ms / 1000

    def frame(self, sender: str, node: int, v_pu: float) -> None:
        """Take what a secondary substation tells: of its own node, or of one in the low-voltage grid below.

        That of a busbar is left out, whose voltage comes each minute.
        """
        if sender == self.primary_name:
            return
        if v_pu < self.DARK_PU or not self.own_pu > self.DARK_PU:
            self.offset_pu.pop((sender, node), None)
        else:
            self.offset_pu[sender, node] = v_pu - self.own_pu
        self.fresh = False

    def expire(self, now_s: float) -> None:
        """Forget an own measurement that is too old to stand for now."""
        if now_s - self.own_s > self.SILENT_S:
            self.own_pu = math.nan

    @property
    def dark(self) -> bool:
        """The own substation is without supply, or has not been metered lately."""
        return not self.own_pu > self.DARK_PU

    def range_pu(self) -> tuple[float, float]:
        """Return the lowest and the highest voltage of the area, NaN while dark."""
        if not self.fresh:
            self.above_pu = max(self.offset_pu.values(), default=0.0)
            self.below_pu = min(self.offset_pu.values(), default=0.0)
            self.fresh = True
        own_pu = self.own_pu
        if not own_pu > self.DARK_PU:
            return math.nan, math.nan
        return own_pu + min(self.below_pu, 0.0), own_pu + max(self.above_pu, 0.0)

    @property
    def highest_pu(self) -> float:
        """Highest voltage of the area, NaN while dark."""
        return self.range_pu()[1]

    @property
    def lowest_pu(self) -> float:
        """Lowest voltage of the area, NaN while dark."""
        return self.range_pu()[0]
