"""A fixed point that is sought by what the last rounds have taught (Anderson's mixing)."""

from __future__ import annotations

import numpy as np

from sims.grid.parts import ComplexArray, FloatArray

MEMORY, MOST = 6, 24
"""Rounds looked back on: all directions of a small problem, but at least and at most so many."""
KEPT_PU = 1e-6
"""A round that changed less says nothing about the next solution."""
SURE = 1e-3
"""Directions in which the rounds differ by less than this share of the largest are left out: there it is all noise."""


class Mixing:
    """How y followed x in the last rounds of x -> y(x), and from that the next x.

    After Walker and Ni, SIAM J. Numer. Anal. 49, 2011. What one problem teaches serves the next of its kind.

    Parameters
    ----------
    size : int
        Of x, complex [pu].
    """

    def __init__(self, size: int) -> None:
        self._most = min(max(MEMORY, 2 * size), MOST)
        self._steps: list[tuple[FloatArray, FloatArray]] = []
        self._last: tuple[FloatArray, FloatArray] | None = None

    def begin(self) -> None:
        """Begin anew at other inputs: how y follows x stays about the same, but for what is lost in rounding."""
        self._last = None
        self._steps = [step for step in self._steps if np.abs(step[1]).max(initial=0.0) > KEPT_PU]

    def forget(self) -> bool:
        """Forget all rounds; returns whether there were any."""
        known, self._steps = bool(self._steps), []
        return known

    def next(self, x: ComplexArray, y: ComplexArray) -> ComplexArray:
        """Return where the differences of the last rounds let y(x) = x be expected."""
        flat = np.concatenate((x.real, x.imag))
        f = np.concatenate((y.real, y.imag)) - flat
        if self._last is not None and (f != self._last[1]).any():
            self._steps = [*self._steps, (flat - self._last[0], f - self._last[1])][-self._most:]
        self._last = flat, f
        new = flat + f
        if self._steps:
            dx, df = (np.array(column).T for column in zip(*self._steps, strict=True))
            size = np.linalg.norm(df, axis=0)
            new = new - ((dx + df) / size) @ np.linalg.lstsq(df / size, f, rcond=SURE)[0]
        n = x.size
        return np.asarray(new[:n] + 1j * new[n:])
