"""The day-ahead plan: what each machine is to give and each cell to export, by quarter-hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Schedule:
    """Set-points at the start of each interval; between them machines ramp in a straight line.

    Parameters
    ----------
    step_ms : int
    p_mw : float array, shape [interval, machine]
    export_mw : float array, shape [interval, cell]
        Scheduled sum of tie flows out of each cell.
    """

    step_ms: int
    p_mw: Floats
    export_mw: Floats

    def machines(self, now_ms: int) -> Floats:
        """Return the set-point of each machine at `now_ms` [MW]."""
        return _ramp(self.p_mw, now_ms / self.step_ms)

    def exports(self, now_ms: int) -> Floats:
        """Return the scheduled export of each cell at `now_ms` [MW]."""
        return _ramp(self.export_mw, now_ms / self.step_ms)


def _ramp(rows: Floats, at: float) -> Floats:
    last = rows.shape[0] - 1
    i = min(int(at), last)
    part = min(at - i, 1.0)
    out: Floats = rows[i] * (1 - part) + rows[min(i + 1, last)] * part
    return out
