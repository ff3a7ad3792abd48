"""What devices measure of frequency: its mean over a window, and its slope."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class FrequencyMeter:
    """Sliding window over the frequency of each cell.

    Parameters
    ----------
    window_s : float
        Length of the window [s]; 0.1 s is five periods.

    Notes
    -----
    The mean lags by half a window, the slope (last minus first over the window) by as much; both count
    against the delay margin of synthetic inertia.
    """

    def __init__(self, window_s: float = 0.1) -> None:
        self.window_s = window_s
        self._seen: deque[tuple[float, Array]] = deque()

    def measure(self, f_hz: Array, dt_s: float) -> tuple[Array, Array]:
        """Take the frequency that held for `dt_s` [s]; return mean [Hz] and slope [Hz/s] by cell."""
        if not self._seen:
            self._seen.append((0.0, f_hz.copy()))
        self._seen.append((dt_s, f_hz.copy()))
        span = sum([s for s, _ in self._seen][1:])
        while len(self._seen) > 2 and span - self._seen[1][0] >= self.window_s - 1e-9:
            self._seen.popleft()
            span -= self._seen[0][0]
        weights, held = np.array([s for s, _ in self._seen]), np.array([f for _, f in self._seen])
        mean: Array = (weights[1:, None] * held[1:]).sum(axis=0) / span
        return mean, (f_hz - held[0]) / span

    def reset(self) -> None:
        """Forget the window, before frequency begins to move anew."""
        self._seen.clear()

    def get_state(self) -> list[tuple[float, Array]]:
        """Return what stands in the window."""
        return list(self._seen)

    def set_state(self, state: list[tuple[float, Array]]) -> None:
        """Continue from `get_state`."""
        self._seen = deque(state)
