"""Voltage without a centre: the agents of a feeder agree on one ratio of reactive power."""

from __future__ import annotations

import math
from collections.abc import Sequence

from controllers.contract import Site
from controllers.distributed.area import Area
from controllers.distributed.extremes import Extremes
from controllers.distributed.ratio import SharedRatio
from sims.core.message import Message

DUTY = "control_voltage"


class ConsensusVoltVar:
    """Holds voltages by a common ratio q = Q / Q_max of all inverters on the feeder, -1 to 1.

    The agent with the worst voltage pushes, consensus spreads it. It acts `guard_pu` inside the limits, so
    that reactive power is spent before active power is curtailed. The push is the voltage's distance over
    what the ratio moves there (nameplate: reactance to the source times Q_max of the feeder), times
    `loop_gain`; with a delay of d rounds the loop is stable while loop_gain < 2 cos(d pi / (2 d + 1)).
    Agents at rest send nothing, and their devices follow their own law.

    Settings
    --------
    round_s : float
        Time between rounds while something is wrong (60).
    loop_gain : float
        (0.3)
    guard_pu : float
        (0.008)
    margin_v_pu : float
        Distance to the guarded limit below which nothing is released (0.004).
    release_per_round : float
        (0.05)
    ttl_s : float
        Life of a set-point; renewed at half of it (900).
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area = Area(site)
        s = site.settings
        self.round_s = float(s.get("round_s", 60.0))
        self.ttl_s = float(s.get("ttl_s", 900.0))
        self.margin_v_pu = float(s.get("margin_v_pu", 0.004))
        guard_pu = float(s.get("guard_pu", 0.008))
        self.low_pu, self.high_pu = site.grid.v_min_pu + guard_pu, site.grid.v_max_pu - guard_pu
        self.fleet = self.area.fleet("pv", "wind", "storage", "chp")
        self.q_max_mvar = self.fleet.q_max_mvar
        rise_pu = self.area.source_impedance.imag * self.area.feeder_q_mvar()
        self.per_pu = float(s.get("loop_gain", 0.3)) * self.area.count / rise_pu if rise_pu > 0 else 0.0
        self.ratio = SharedRatio(
            "consensus/q", self.area.degrees, rest=0.0, low=-1.0, high=1.0,
            reach=2 * self.area.count, release=float(s.get("release_per_round", 0.05)),
        )
        self.volts = Extremes(self.area)
        self.next_s = 0.0
        self.sent_ratio = 0.0
        self.sent_s = -math.inf

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take measurements and neighbours' ratios; once a round, advance and act."""
        for message in inbox:
            topic = message.topic
            if topic == "own":
                self.volts.own(message)
            elif topic == "secondary":
                self.volts.frame(message)
            elif topic == "primary":
                self.volts.primary(message)
            elif topic == "consensus/q":
                self.ratio.hear(message)
        if now_s < self.next_s:
            return []
        self.next_s = now_s + self.round_s
        self.volts.expire(now_s)
        push, needed = self._push()
        if not (self.ratio.awake or push):
            return []
        self.ratio.step(push, needed)
        return self.ratio.mail(self.site.name) + self._set_points(now_s)

    def _push(self) -> tuple[float, bool]:
        """Return this round's push and whether the ratio must be held."""
        if self.volts.dark or not self.per_pu:
            return 0.0, False
        over = self.volts.highest_pu - self.high_pu
        under = self.low_pu - self.volts.lowest_pu
        if over > 0 and under > 0:
            return 0.0, True  # one ratio cannot cure both; leave it where it is
        limit = 0.25 * self.area.count
        if over > 0 or under > 0:
            return min(max(self.per_pu * (max(under, 0.0) - max(over, 0.0)), -limit), limit), True
        ratio = self.ratio.value
        # Held while letting go would bring the voltage that the ratio cures back to its limit.
        close = (ratio < 0 and over > -self.margin_v_pu) or (ratio > 0 and under > -self.margin_v_pu)
        return 0.0, close

    def _set_points(self, now_s: float) -> list[Message]:
        ratio = self.ratio.value
        changed = abs(ratio - self.sent_ratio) > 0.025 or (ratio == 0.0) != (self.sent_ratio == 0.0)
        if not changed and (ratio == 0.0 or now_s - self.sent_s < self.ttl_s / 2):
            return []
        self.sent_ratio, self.sent_s = ratio, now_s
        # At rest the last set-point is replaced by one that expires soon: back to the own law. One or two rounds
        # would be over before the devices take orders at their next step.
        ttl_s = self.ttl_s if ratio else 5 * self.round_s
        return self.fleet.orders(self.site, DUTY, ttl_s, "q_set_mvar", ratio * self.q_max_mvar)
