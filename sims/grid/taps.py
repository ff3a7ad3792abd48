"""Automatic voltage regulation of on-load tap changers: discrete steps, deadband, delay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TapData:
    """Tap changers as arrays: limits, step [%] of the rated ratio, side (+1 raises v_lv as pos falls)."""

    pos_min: Ints
    pos_max: Ints
    step_percent: Floats
    hv_side: NDArray[np.bool_]


class Avr:
    """Regulators of many tap changers, one element each.

    A regulator acts once its voltage has been outside the deadband for `delay_ms`, then moves as many
    positions as bring it back, at most one per `motor_ms` that has passed. Between two power flows the
    positions stand still.

    Parameters
    ----------
    taps : TapData
    v_set_pu : float array
        Set-points [pu].
    deadband_pu : float
        Half width of the deadband [pu]; at least 0.6 of the largest step, or it would hunt.
    delay_ms, motor_ms : int
    """

    def __init__(
        self, taps: TapData, v_set_pu: Floats, pos: Ints, *,
        deadband_pu: float = 0.01, delay_ms: int = 60_000, motor_ms: int = 10_000,
    ) -> None:
        self.taps = taps
        self.v_set_pu = np.array(v_set_pu, float)
        self.pos = np.array(pos, np.int64)
        least = 0.6 * float(np.max(taps.step_percent, initial=0.0)) / 100
        self.deadband_pu = max(deadband_pu, least)
        self.delay_ms, self.motor_ms = delay_ms, motor_ms
        self._outside_ms = np.zeros(self.pos.size, np.int64)
        self.operations = np.zeros(self.pos.size, np.int64)

    def settle(self, v_pu: Floats) -> bool:
        """Move taps at once as far as the voltages `v_pu` ask; tell whether any moved.

        For the start of a run: tap changers stand where the hours before have left them, and that takes no
        operation.
        """
        count, waited = self.operations.copy(), self._outside_ms
        self._outside_ms = np.full(self.pos.size, self.delay_ms)
        moved = self.act(v_pu, 100 * self.motor_ms)
        self.operations, self._outside_ms = count, waited
        return bool(moved.any())

    def act(self, v_pu: Floats, elapsed_ms: int) -> NDArray[np.bool_]:
        """Move taps after `elapsed_ms` at the voltages `v_pu`; return which ones moved.

        A dead busbar (NaN or 0) leaves its tap where it is.
        """
        alive = np.isfinite(v_pu) & (v_pu > 0.1)
        error = np.where(alive, v_pu - self.v_set_pu, 0.0)
        outside: NDArray[np.bool_] = np.abs(error) > self.deadband_pu
        if not outside.any():
            self._outside_ms = np.zeros(self.pos.size, np.int64)
            return outside
        self._outside_ms = np.where(outside, self._outside_ms + elapsed_ms, 0)
        ready = outside & (self._outside_ms >= self.delay_ms) & (self.taps.step_percent > 0)
        step_pu = np.where(self.taps.step_percent > 0, self.taps.step_percent, 1.0) / 100
        wanted = np.rint(error / step_pu).astype(np.int64)
        wanted = np.where(wanted == 0, np.sign(error).astype(np.int64), wanted)
        most = max(1, elapsed_ms // self.motor_ms)
        moves = np.clip(wanted, -most, most) * np.where(self.taps.hv_side, 1, -1)
        target = np.clip(self.pos + np.where(ready, moves, 0), self.taps.pos_min, self.taps.pos_max)
        moved: NDArray[np.bool_] = target != self.pos
        self.operations += np.abs(target - self.pos)
        self.pos = target
        self._outside_ms = np.where(moved, 0, self._outside_ms)
        return moved

    def hold(self, i: int, pos: int) -> None:
        """Put tap changer `i` to `pos` by command, within its limits."""
        target = int(np.clip(pos, self.taps.pos_min[i], self.taps.pos_max[i]))
        self.operations[i] += abs(target - int(self.pos[i]))
        self.pos[i] = target

    def get_state(self) -> dict[str, object]:
        """Return positions, set-points and timers."""
        return {
            "pos": self.pos.copy(), "v_set_pu": self.v_set_pu.copy(),
            "outside_ms": self._outside_ms.copy(), "operations": self.operations.copy(),
        }

    def set_state(self, state: dict[str, object]) -> None:
        """Continue from `get_state`."""
        self.pos, self.v_set_pu = np.array(state["pos"]), np.array(state["v_set_pu"])
        self._outside_ms, self.operations = np.array(state["outside_ms"]), np.array(state["operations"])
