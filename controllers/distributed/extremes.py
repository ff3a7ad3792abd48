"""The highest and lowest voltage of an area, from its own meter and its substations' frames."""

from __future__ import annotations

import math

import numpy as np

from controllers.distributed.area import Area, number
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
        if not self.at_busbar and message.sent_ms / 1000 > self.own_s:
            self._take(number(message.values["v_pu"]), message)

    def primary(self, message: Message) -> None:
        """Take the busbar voltages, of which the lowest supplied one stands for the leading agent."""
        if self.at_busbar and message.sent_ms / 1000 > self.own_s:
            live = [v_pu for v_pu in np.ravel(message.values["v_pu"]).tolist() if v_pu > self.DARK_PU]
            if live:
                self._take(min(live), message)

    def _take(self, v_pu: float, message: Message) -> None:
        self.own_pu = v_pu
        self.own_s = message.sent_ms / 1000

    def frame(self, message: Message) -> None:
        """Take a secondary substation's frame: of its own node, or of one in the low-voltage grid below.

        That of a busbar is left out, whose voltage comes each minute.
        """
        if message.sender == self.primary_name:
            return
        v_pu = number(message.values["v_pu"])
        place = message.sender, int(number(message.values.get("node", -1)))
        if v_pu < self.DARK_PU or not self.own_pu > self.DARK_PU:
            self.offset_pu.pop(place, None)
        else:
            self.offset_pu[place] = v_pu - self.own_pu
        self.fresh = False

    def _extend(self) -> None:
        """Find the largest offsets either way, once after a batch of frames."""
        self.above_pu = max(self.offset_pu.values(), default=0.0)
        self.below_pu = min(self.offset_pu.values(), default=0.0)
        self.fresh = True

    def expire(self, now_s: float) -> None:
        """Forget an own measurement that is too old to stand for now."""
        if now_s - self.own_s > self.SILENT_S:
            self.own_pu = math.nan

    @property
    def dark(self) -> bool:
        """The own substation is without supply, or has not been metered lately."""
        return not self.own_pu > self.DARK_PU

    @property
    def highest_pu(self) -> float:
        """Highest voltage of the area, NaN while dark."""
        if not self.fresh:
            self._extend()
        return math.nan if self.dark else self.own_pu + max(self.above_pu, 0.0)

    @property
    def lowest_pu(self) -> float:
        """Lowest voltage of the area, NaN while dark."""
        if not self.fresh:
            self._extend()
        return math.nan if self.dark else self.own_pu + min(self.below_pu, 0.0)
