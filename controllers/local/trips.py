"""Trips with timers, momentary cessation and return to service after IEEE 1547-2018 (6.4, 6.5.1 and 4.10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.local.memoryless import Memoryless
from controllers.local.terminal import Array, Terminal

Stage = tuple[float, float]
"""Threshold [pu or Hz] and clearing time [s]."""


@dataclass(frozen=True)
class TripSettings:
    """Thresholds with their clearing times, and what has to hold before a unit returns.

    Defaults are those of abnormal operating performance category III, and of a system of 60 Hz. `delay_s` is how long
    voltage and frequency have to be inside `enter_v_pu` and `enter_f_hz`, `ramp_s` the time from nothing to rated
    power thereafter. Outside `cease_v_pu` a unit stops feeding within `cease_s` without tripping, and goes on
    `restore_s` after voltage is back: the momentary cessation of category III (6.4.2.7.3); None leaves it out.
    """

    under_v: tuple[Stage, ...] = ((0.88, 21.0), (0.5, 2.0))
    over_v: tuple[Stage, ...] = ((1.1, 13.0), (1.2, 0.16))
    under_f: tuple[Stage, ...] = ((58.5, 300.0), (56.5, 0.16))
    over_f: tuple[Stage, ...] = ((61.2, 300.0), (62.0, 0.16))
    enter_v_pu: tuple[float, float] = (0.917, 1.05)
    enter_f_hz: tuple[float, float] = (59.5, 60.1)
    delay_s: float = 300.0
    ramp_s: float = 300.0
    cease_v_pu: tuple[float, float] | None = None
    cease_s: float = 0.083
    restore_s: float = 0.4


class Trips(Memoryless):
    """Takes units off the grid when a threshold has been crossed for its clearing time, and brings them back.

    A tripped unit feeds neither active nor reactive power, whatever its other laws ask for; after `delay_s` of good
    voltage and frequency active power rises at rated power over `ramp_s`. In a step that is longer than a clearing
    time, what held at the step's end counts for the whole of it.

    Attributes
    ----------
    off : ndarray of bool, [device]
        Feeds nothing: out of service, or ceasing for the moment.
    """

    duty, acts_on, quantity = "contain_frequency", "terminal", "p_mw"

    def __init__(self, count: int, settings: TripSettings | None = None, name: str = "trips") -> None:
        self.settings, self.name = settings or TripSettings(), name
        s = self.settings
        self._low_v, self._low_s = _split((*s.under_v, *s.under_f))
        self._high_v, self._high_s = _split((*s.over_v, *s.over_f))
        self._of_v = len(s.under_v), len(s.over_v)
        self._low_for, self._high_for = np.zeros((len(self._low_s), count)), np.zeros((len(self._high_s), count))
        self._good_s, self._ceiling = np.zeros(count), np.full(count, np.inf)
        self._cease = s.cease_v_pu or (-np.inf, np.inf)
        self._out_s, self._in_s = np.zeros(count), np.zeros(count)
        self._tripped, self._ceased, self.off = (np.zeros(count, dtype=bool) for _ in range(3))
        self._at_rest = True

    def respond(self, terminal: Terminal, dt_s: float) -> tuple[Array, Array]:
        """Return both powers, 0 where the unit is off, active power under its ceiling while it returns [MW, Mvar]."""
        p, q, v, f = terminal.p_mw, terminal.q_mvar, terminal.v_pu, terminal.f_hz
        if len(p) == 0 or (self._at_rest and self._calm(v, f)):
            return p, q
        s = self.settings
        a, b = self._of_v
        low = np.concatenate([v < self._low_v[:a, None], f < self._low_v[a:, None]])
        high = np.concatenate([v > self._high_v[:b, None], f > self._high_v[b:, None]])
        self._low_for = np.where(low, self._low_for + dt_s, 0.0)
        self._high_for = np.where(high, self._high_for + dt_s, 0.0)
        trip = (low & _reached(self._low_for, self._low_s)).any(axis=0)
        trip |= (high & _reached(self._high_for, self._high_s)).any(axis=0)
        good = (v >= s.enter_v_pu[0]) & (v <= s.enter_v_pu[1]) & (f >= s.enter_f_hz[0]) & (f <= s.enter_f_hz[1])
        self._good_s = np.where(good & self._tripped, self._good_s + dt_s, 0.0)
        back = self._tripped & good & (self._good_s >= s.delay_s - 1e-9) & ~trip
        rises = np.where(back, np.clip(self._good_s - s.delay_s, 0.0, dt_s), dt_s)
        ceiling = np.where(self._tripped, 0.0, self._ceiling) + (rises / s.ramp_s if s.ramp_s > 0 else np.inf)
        self._tripped = (self._tripped & ~back) | trip
        self._ceiling = np.where(self._tripped, 0.0, np.where(ceiling > 1.1, np.inf, ceiling))
        self.off = self._tripped | self._ceasing(v, dt_s)
        moving = self._low_for.any() or self._high_for.any() or self.off.any() or self._out_s.any()
        self._at_rest = not (moving or np.isfinite(self._ceiling).any())
        p = np.minimum(p, np.where(np.isfinite(self._ceiling), self._ceiling * terminal.p_rated_mw, np.inf))
        return np.where(self.off, 0.0, p), np.where(self.off, 0.0, q)

    def _ceasing(self, v: Array, dt_s: float) -> NDArray[np.bool_]:
        """Return who stops feeding for the moment, [device], `dt_s` later."""
        s = self.settings
        outside = (v < self._cease[0]) | (v > self._cease[1])
        self._out_s = np.where(outside, self._out_s + dt_s, 0.0)
        self._in_s = np.where(self._ceased & ~outside, self._in_s + dt_s, 0.0)
        begins, ends = outside & (self._out_s >= s.cease_s - 1e-9), self._in_s >= s.restore_s - 1e-9
        self._ceased = begins | (self._ceased & ~(ends & ~outside))
        return self._ceased

    def _calm(self, v: Array, f: Array) -> bool:
        """Tell whether no threshold is crossed anywhere: the common case, worth a short cut."""
        a, b = self._of_v
        low, high = self._low_v, self._high_v
        return bool(
            v.min() >= low[:a].max(initial=self._cease[0]) and v.max() <= high[:b].min(initial=self._cease[1])
            and f.min() >= low[a:].max(initial=-np.inf) and f.max() <= high[b:].min(initial=np.inf)
        )

    def get_state(self) -> dict[str, Any]:
        """Return timers, who is off, and the ceilings of those that return."""
        names = (
            "_low_for", "_high_for", "_good_s", "_ceiling", "_out_s", "_in_s", "_tripped", "_ceased", "off",
        )
        return {**{name: getattr(self, name).copy() for name in names}, "_at_rest": self._at_rest}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        for key, value in state.items():
            setattr(self, key, np.copy(value) if isinstance(value, np.ndarray) else value)


def _split(stages: tuple[Stage, ...]) -> tuple[Array, Array]:
    return np.array([level for level, _ in stages]), np.array([time for _, time in stages])


def _reached(timer_s: Array, clearing_s: Array) -> NDArray[np.bool_]:
    """Tell which timers have run out; sums of steps of 20 ms are not exact."""
    out: NDArray[np.bool_] = timer_s >= clearing_s[:, None] - 1e-9
    return out
