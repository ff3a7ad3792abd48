"""The voltage at the busbars: what the leading agent tells the tap changers' regulators."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from controllers.contract import Site, command
from controllers.distributed.area import Area, column
from controllers.distributed.extremes import Extremes
from controllers.distributed.paths import fed_by, source_transformers
from controllers.distributed.picture import Frame
from sims.core.message import Message

NOBODY_LOW, NOBODY_HIGH = 9.0, 0.0
"""Lowest and highest voltage behind a transformer of which nobody has told [pu]."""


class Span:
    """The lowest and highest voltage behind each HV/MV transformer, gathered up the tree of areas.

    An agent knows its own area's and what its children told of everything below them. Both travel with the
    letters of a call; at rest they are told where they have moved by more than `NEWS_PU`, and after `BEAT_S`.
    A child's word holds for two such beats.
    """

    NEWS_PU, BEAT_S = 0.006, 3600.0
    HOLDS_S = 2.1 * BEAT_S

    def __init__(self, area: Area) -> None:
        grid = area.feeder.grid
        self.fed: list[int] = fed_by(grid).tolist()
        self.count = len(source_transformers(grid))
        self.area = area
        self.mine = self.fed[area.own_node]
        self.busbar_pu = [math.nan] * self.count
        self.offset_pu: dict[tuple[str, int], float] = {}
        self.span_pu: dict[int, tuple[float, float]] | None = None
        self.told: dict[str, tuple[list[float], list[float], float]] = {}
        self.said = [0.0] * (2 * self.count)
        self.said_s = -math.inf

    def primary(self, message: Message) -> None:
        """Take the busbar voltages."""
        self.busbar_pu = column(message.values["v_pu"])

    def frame(self, frame: Frame) -> None:
        """Take a frame of the leading agent's own area, as a difference to the busbar that feeds it."""
        if frame.sender == self.area.feeder.name:
            return
        fed = self.fed[frame.node] if frame.node >= 0 else -1
        if 0 <= fed < len(self.busbar_pu) and frame.v_pu > Extremes.DARK_PU:
            self.offset_pu[frame.sender, frame.node] = frame.v_pu - self.busbar_pu[fed]
            self.span_pu = None

    def hear(self, message: Message, now_s: float) -> None:
        """Take what a child knows of everything below it."""
        if message.sender in self.area.children and "low" in message.values:
            low, high = (column(message.values[key]) for key in ("low", "high"))
            self.told[message.sender] = low, high, now_s

    def known(self, volts: Extremes, now_s: float) -> tuple[list[float], list[float]]:
        """Return lowest and highest voltage of the own area and below it [transformer] [pu]."""
        low, high = [NOBODY_LOW] * self.count, [NOBODY_HIGH] * self.count
        if self.area.leads:
            for k, v_pu in enumerate(self.busbar_pu[: self.count]):
                if v_pu > Extremes.DARK_PU:
                    low[k] = high[k] = v_pu
            for k, (below, above) in self.offsets().items():
                v_pu = self.busbar_pu[k]
                if v_pu > Extremes.DARK_PU:
                    low[k], high[k] = min(low[k], v_pu + below), max(high[k], v_pu + above)
        elif self.mine >= 0 and not volts.dark:
            low[self.mine], high[self.mine] = volts.range_pu()
        for lowest, highest, heard_s in self.told.values():
            if now_s - heard_s <= self.HOLDS_S:
                low, high = list(map(min, low, lowest)), list(map(max, high, highest))
        return low, high

    def offsets(self) -> dict[int, tuple[float, float]]:
        """Return the lowest and highest difference to its busbar among the frames, by transformer."""
        if self.span_pu is None:
            known = [(self.fed[node], offset) for (_, node), offset in self.offset_pu.items() if offset == offset]
            self.span_pu = {
                k: (min(o for at, o in known if at == k), max(o for at, o in known if at == k))
                for k in dict.fromkeys(at for at, _ in known)
            }
        return self.span_pu

    def letter(self, volts: Extremes, now_s: float) -> dict[str, Any]:
        """Return what the parent is told."""
        low, high = self.known(volts, now_s)
        self.said, self.said_s = low + high, now_s
        return {"low": np.array(low), "high": np.array(high)}

    def news(self, volts: Extremes, now_s: float) -> bool:
        """Tell whether the parent's picture is no longer true."""
        if volts.dark:
            return False
        if now_s - self.said_s >= self.BEAT_S:
            return True
        low, high = self.known(volts, now_s)
        return any(abs(new - old) > self.NEWS_PU for new, old in zip(low + high, self.said, strict=True))


class Busbars:
    """Raises or lowers the set-points of the regulators where that brings voltages back without harm.

    A busbar is moved by whole tap steps, by as many as the worst voltage behind it asks for and the best one
    bears: nobody is brought to the other limit. Between two moves of one busbar lie `HOLD_S`, so that the
    taps have moved and the voltages behind them have been told. Once there is room for it, and `REST_S` after
    the last move, a busbar returns by a step towards the set-point it had: at a voltage raised for nothing
    inverters give less reactive power, and the transformer carries it. For the same reason none is raised while
    its transformer is overloaded: then the inverters' reactive power is what helps both.
    """

    HOLD_S, REST_S, MOST_STEPS = 300.0, 900.0, 2

    def __init__(self, site: Site, area: Area, duty: str) -> None:
        self.site, self.area, self.duty = site, area, duty
        grid = area.feeder.grid
        rows = source_transformers(grid)
        self.trafo = grid.branch_element[rows]
        tables = {t.element: t for t in grid.taps if t.kind == "trafo"}
        self.step_pu = [
            tables[int(t)].step_percent / 100 if int(t) in tables and len(tables[int(t)].positions) > 1 else 0.0
            for t in self.trafo
        ]
        self.moved_s = [-math.inf] * len(rows)
        self.set_pu = [math.nan] * len(rows)
        self.home_pu = [math.nan] * len(rows)
        self.full_percent = site.grid.loading_max_percent
        self.overloaded = [False] * len(rows)

    def primary(self, values: Mapping[str, Any]) -> None:
        """Take the set-points in force and the loadings."""
        self.overloaded = [p >= self.full_percent for p in column(values["loading_percent"])]
        self.set_pu = column(values["v_set_pu"])
        for k, v_pu in enumerate(self.set_pu[: len(self.home_pu)]):
            if math.isnan(self.home_pu[k]):
                self.home_pu[k] = v_pu

    def orders(
        self, low: Sequence[float], high: Sequence[float], low_pu: float, high_pu: float, now_s: float
    ) -> list[Message]:
        """Return the orders that bring voltages from `low` to `high` [transformer] inside the limits given."""
        moved, target = [], []
        for k, step in enumerate(self.step_pu[: len(self.set_pu)]):
            rested_s = now_s - self.moved_s[k]
            if not step or rested_s < self.HOLD_S or not low[k] <= high[k]:
                continue
            steps = wanted(low[k], high[k], low_pu, high_pu, step, self.MOST_STEPS)
            if not steps and rested_s >= self.REST_S:
                steps = self._back(k, low[k] - low_pu, high_pu - high[k])
            if steps > 0 and self.overloaded[k]:
                continue
            wish = min(max(self.set_pu[k] + steps * step, low_pu), high_pu)
            if steps and abs(wish - self.set_pu[k]) > step / 2:
                self.moved_s[k] = now_s
                moved.append(int(self.trafo[k]))
                target.append(wish)
        if not moved:
            return []
        values = {"trafo": np.array(moved, dtype=np.int64), "v_set_pu": np.array(target)}
        return [command(self.site, self.area.feeder.name, self.duty, 900.0, **values)]


    def _back(self, k: int, down_pu: float, up_pu: float) -> int:
        """Return the step towards the set-point of the beginning, 0 where there is no room for it."""
        step, away = self.step_pu[k], self.set_pu[k] - self.home_pu[k]
        needed = step + Span.NEWS_PU
        if away > step / 2:
            return -1 if down_pu > needed else 0
        return 1 if away < -step / 2 and up_pu > needed else 0


def wanted(low: float, high: float, low_pu: float, high_pu: float, step: float, most: int) -> int:
    """Return by how many steps to raise (+) or lower (-) voltages from `low` to `high`, 0 where it would harm."""
    if low < low_pu:
        return max(min(math.ceil((low_pu - low) / step - 1e-9), math.floor((high_pu - high) / step + 1e-9), most), 0)
    if high > high_pu:
        return -max(min(math.ceil((high - high_pu) / step - 1e-9), math.floor((low - low_pu) / step + 1e-9), most), 0)
    return 0
