"""The cheapest dispatch found among neighbours: they agree on the incremental cost, each knows its own costs only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.distributed.consensus import own_weight
from controllers.distributed.frequency import FlowAverage
from sims.core.message import Message

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sources:
    """What one agent can give, and at what cost: b P + c P^2 for each source, between its limits.

    Attributes
    ----------
    b : array [source]
        Incremental cost of the first MW.
    mw_per_cost : array [source]
        1 / (2 c): by how much the source moves per unit of incremental cost; 0 where there is nothing.
    low_mw, high_mw : array [source]
    """

    b: Floats
    mw_per_cost: Floats
    low_mw: Floats
    high_mw: Floats

    def at(self, price: float) -> tuple[float, float]:
        """Return the output that is cheapest at an incremental cost [MW], and how it moves with it."""
        free = (price - self.b) * self.mw_per_cost
        output = np.clip(free, self.low_mw, self.high_mw)
        return float(output.sum()), float(self.mw_per_cost[free == output].sum())


COSTS = {"storage": 0.0, "ev": 0.3, "chp": 0.6, "feed_in": 1.0}
"""Incremental cost of the first MW that a cell asks of each; it rises with use to that of the next."""

TOP = 1.4
"""Incremental cost once everything is in use."""


def priced(discharge_mw: float, charge_mw: float, ev_mw: float, chp_mw: float, feed_in_mw: float) -> Sources:
    """Return what a cell's feeders can give as sources with a cost: storage, then vehicles; downwards CHP, PV and wind.

    All in magnitude. Of each kind the cheapest dispatch uses the same part everywhere, and nothing of the dearer
    kinds before the cheaper ones are used up in the whole cell: the order in which the centralized duty fills in.
    """
    storage, ev, chp, feed_in = COSTS.values()
    most = np.array([discharge_mw, charge_mw, ev_mw, chp_mw, feed_in_mw])
    rise = np.array([ev - storage, ev - storage, chp - ev, feed_in - chp, TOP - feed_in])
    up = np.array([1.0, 0.0, 1.0, 0.0, 0.0])
    return Sources(np.array([storage, -storage, ev, -chp, -feed_in]), most / rise, (up - 1.0) * most, up * most)


class Dispatch:
    """One agent's part in meeting an order at the least cost, by consensus on the incremental cost.

    lambda_i(k+1) = sum_j w_ij lambda_j(k) + gain (mean lack) / (mean slope): where all incremental costs are equal
    and the order is met, no dispatch is cheaper (Zhang and Chow, IEEE Trans. Power Systems 27(4), 2012; without a
    leader as by Yang, Tan and Xu, 28(4), 2013). Each agent brings in its own part of the order, its own output and
    by how much that moves with lambda; neighbours average the three. The gain is so a share of Newton's step and
    needs no tuning to the costs, and a lost letter is mended by the next one (see `FlowAverage`).

    Parameters
    ----------
    degrees : mapping of str to int
        Each neighbour's address and its number of neighbours.
    price : float
        Incremental cost to begin with.
    most : float
        Greatest step of lambda in a round.
    limit : float
        Of the magnitude of lambda, beyond which nobody can give more.
    least_slope : float
        Taken where hardly any source moves with lambda [MW per unit of incremental cost].
    gain : float
        Share of Newton's step (0.2, with which agents on a ring agree; more where averages lag behind overshoots).
    dead_price, dead_mw : float
        Changes that are worth a letter (0.003, 0.25).
    """

    def __init__(
        self, degrees: Mapping[str, int], *, price: float, most: float, limit: float, least_slope: float,
        gain: float = 0.2, dead_price: float = 0.003, dead_mw: float = 0.25,
    ) -> None:
        self.weights = {name: own_weight(len(degrees), degree) for name, degree in degrees.items()}
        self.first, self.most, self.limit, self.least_slope, self.gain = price, most, limit, least_slope, gain
        self.dead = np.array([dead_price, dead_mw, dead_mw])
        self.said = np.array([price, 0.0, 0.0])
        self.rest()

    def rest(self) -> None:
        """Begin anew: nothing is ordered of anybody, which is news to whom more was said."""
        self.price = self.first
        self.sums = FlowAverage(np.zeros(3), tuple(self.weights))
        self.average = self.sums.value
        self.heard: dict[str, float] = {}

    def hear(self, message: Message) -> None:
        """Take a neighbour's letter."""
        if message.sender in self.weights:
            self.heard[message.sender] = float(message.values["price"])
            flow, average = np.asarray(message.values["flow"]), np.asarray(message.values["average"])
            self.sums.hear(message.sender, flow, average)

    def step(self, need_mw: float, sources: Sources) -> float:
        """Advance one round with the own part of the order; return what to give [MW].

        That is the output at the present lambda and the own part of what all outputs lack of the order, so that
        the order is met while the agents still seek how to meet it at the least cost.
        """
        output, slope = sources.at(self.price)
        self.sums.value = np.array([need_mw, output, slope])
        self.average = self.sums.step()
        need, given, slope = self.average.tolist()
        lack = need - given
        newton = self.gain * lack / max(slope, self.least_slope)
        pulled = sum(self.weights[name] * (price - self.price) for name, price in self.heard.items())
        price = self.price + pulled + min(max(newton, -self.most), self.most)
        self.price = min(max(price, -self.limit), self.limit)
        low, high = float(sources.low_mw.sum()), float(sources.high_mw.sum())
        return min(max(output + float(lack), low), high)

    @property
    def news(self) -> bool:
        """Tell whether the neighbours have something to hear."""
        return bool((np.abs(self._view() - self.said) > self.dead).any())

    def letters(self, sender: str, topic: str) -> list[Message]:
        """Return the letters to the neighbours."""
        self.said = self._view()
        common = {"price": self.price, "average": self.average}
        return [
            Message(sender, name, topic, {**common, "flow": flow}, size_bytes=104)
            for name, flow in self.sums.flow.items()
        ]

    def _view(self) -> Floats:
        return np.array([self.price, *self.average[:2]])
