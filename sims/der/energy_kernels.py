"""Passes over the devices that hold energy, compiled: what they can bear, what they wish, and what they book.

The rules stand in `storage.Storage` and `buffer.Buffered`, which keep the columns.
"""

from __future__ import annotations

from typing import Any

import numba as nb


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def tenable(
    rated: Any, kept: Any, reserve_h: float, e: Any, e_rated: Any, soc_min: float, soc_max: float, eta_c: float,
    eta_d: float, hours: float, low: Any, high: Any,
) -> None:
    """Set the lowest and highest power of batteries over `hours`, beside what is `kept` both ways for `reserve_h`."""
    for k in range(len(rated)):
        p, energy = max(rated[k] - kept[k], 0.0), kept[k] * reserve_h
        above = max(e[k] - soc_min * e_rated[k] - energy / eta_d, 0.0)
        below = max(soc_max * e_rated[k] - energy * eta_c - e[k], 0.0)
        if hours > 0.0:
            low[k], high[k] = -min(p, below / (eta_c * hours)), min(p, above * eta_d / hours)
        else:
            low[k], high[k] = -p if below > 0.0 else 0.0, p if above > 0.0 else 0.0


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def store(
    p: Any, hours: float, rated: Any, e_rated: Any, standby_share: float, eta_c: float, eta_d: float, e: Any,
    discharged: Any,
) -> None:
    """Book the power of batteries over `hours` in their energies, in place."""
    for k in range(len(p)):
        discharged[k] += max(p[k], 0.0) * hours
        stored = -p[k] * eta_c if p[k] < 0.0 else -p[k] / eta_d
        standby = standby_share * rated[k] if e[k] > 0.0 else 0.0
        e[k] = min(max(e[k] + (stored - standby) * hours, 0.0), e_rated[k])


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def steer(
    demand: Any, worth: Any, target: float, recover_h: float, e: Any, e_buffer: Any, rated: Any, wish: Any
) -> None:
    """Set what consumers with a buffer wish to draw."""
    for k in range(len(demand)):
        wanted = (demand[k] + (target * e_buffer[k] - e[k]) / recover_h) / worth[k]
        wish[k] = min(max(wanted, 0.0), rated[k])


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def bear(
    p: Any, demand: Any, worth: Any, hours: float, e: Any, e_buffer: Any, rated: Any, out: Any
) -> None:
    """Set the consumption next to `p` that neither empties nor overfills a buffer within `hours`."""
    for k in range(len(p)):
        least = (demand[k] - e[k] / hours) / worth[k]
        most = max((demand[k] + (e_buffer[k] - e[k]) / hours) / worth[k], least)
        out[k] = min(max(min(max(p[k], least), most), 0.0), rated[k])


@nb.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fill(p: Any, demand: Any, worth: Any, hours: float, e_buffer: Any, e: Any) -> None:
    """Book what was drawn over `hours` in the buffers, in place."""
    for k in range(len(p)):
        e[k] = min(max(e[k] + (p[k] * worth[k] - demand[k]) * hours, 0.0), e_buffer[k])
