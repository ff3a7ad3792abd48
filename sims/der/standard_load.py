"""BDEW's standard load profiles through demandlib, where only a yearly energy is known; and heat with its COP."""

from __future__ import annotations

import datetime as dt
import warnings
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ScenarioError, nearest
from sims.der.weather import library

Array = NDArray[np.float64]
SHAPES = ("h0", "h0_dyn", "g0", "g1", "g2", "g3", "g4", "g5", "g6", "l0", "l1", "l2")
_QUARTER_S = 900


def standard_share(
    shape: str, start: dt.datetime, at_ms: NDArray[np.int64], timezone: str = "Europe/Berlin"
) -> Array:
    """Return demand over the year's highest demand [1], [instant].

    The shapes are in local time, a quarter-hour holds until the next; on days of 23 and 25 hours an hour is left
    out and one stands twice, as clocks have it.

    Parameters
    ----------
    shape : str
        One of `SHAPES`; ``h0_dyn`` is the household with its course over the year.
    start : datetime
    at_ms : ndarray of int
        [ms after start]

    Raises
    ------
    ScenarioError
        No such shape, or demandlib is not installed.
    """
    zone = ZoneInfo(timezone)
    local = [
        dt.datetime.fromtimestamp(start.timestamp() + ms / 1000, zone).replace(tzinfo=None) for ms in at_ms.tolist()
    ]
    out = np.empty(len(local))
    for year in sorted({stamp.year for stamp in local}):
        values = _year(year, shape)
        rows = [k for k, stamp in enumerate(local) if stamp.year == year]
        first = dt.datetime(year, 1, 1)
        out[rows] = values[[int((local[k] - first).total_seconds() // _QUARTER_S) for k in rows]]
    return out


def full_load_hours(shape: str, year: int) -> float:
    """Return yearly energy over the year's highest demand [h]: what turns a yearly energy into a peak."""
    return float(_year(year, shape).sum() / 4)


@lru_cache(maxsize=32)
def _year(year: int, shape: str) -> Array:
    if shape not in SHAPES:
        raise ScenarioError(f"standard load '{shape}' is not one of {' | '.join(SHAPES)}{nearest(shape, SHAPES)}")
    values = np.asarray(_frame(year)[shape], dtype=np.float64)
    return values / float(values.max())


@lru_cache(maxsize=4)
def _frame(year: int) -> Any:
    bdew = library("demandlib.bdew", "weather")
    with warnings.catch_warnings():  # demandlib turns warnings into errors for everybody
        return bdew.ElecSlp(year).get_profiles()


def heat_share(temp_air_c: Array, limit_c: float = 15.0, design_c: float = -12.0) -> Array:
    """Return heat demand over that at the design temperature [1]: linear below the heating limit."""
    return np.clip((limit_c - temp_air_c) / (limit_c - design_c), 0.0, 1.2)


def cop(temp_source_c: Array, sink_c: float = 40.0, source: str = "air") -> Array:
    """Return the coefficient of performance [1] of a heat pump, from the temperature lift.

    Quadratic fits to manufacturers' data for air and ground source pumps, times 0.85 for operation in the field
    (O. Ruhnau, L. Hirth, A. Praktiknjo, Scientific Data 6, 189, 2019).
    """
    lift = np.maximum(sink_c - temp_source_c, 15.0)
    a, b, c = {"air": (6.08, -0.09, 0.0005), "ground": (10.29, -0.21, 0.0012)}[source]
    return np.maximum(0.85 * (a + b * lift + c * lift**2), 1.0)
