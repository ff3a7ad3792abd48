"""Where voltages left the operating band: bus-hours by feeder, a panel per pairing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from results.drawing import pairing_panels, style, svg
from results.runfile import Floats, Run

Pairing = tuple[str, int]
HIGH, LOW = "#D55E00", "#0072B2"
_NAMED = 8
"""Up to so many feeders are named under their bars; more are numbered in the order of the run file."""


def hours_outside(run: Run) -> tuple[list[str], Floats, Floats] | None:
    """Return (feeders, bus-hours above the band, bus-hours below it), both shape (feeders,) [h].

    None where the run holds no bus voltages, no band or no feeders of the buses.
    """
    if not run.has("bus", "vm_pu", "feeder") or not {"v_min_pu", "v_max_pu"} <= set(run.group_attrs("bus")):
        return None
    band, spans_h = run.group_attrs("bus"), run.spans_s("bus") / 3600.0
    of_bus = [str(f) for f in run.static("bus", "feeder")]
    feeders = list(dict.fromkeys(of_bus))
    number = {feeder: k for k, feeder in enumerate(feeders)}
    index = np.array([number[f] for f in of_bus])
    above, below = (np.zeros(len(of_bus)) for _ in range(2))
    for rows, vm in run.blocks("bus", "vm_pu"):
        above += spans_h[rows] @ (vm > band["v_max_pu"])
        below += spans_h[rows] @ (vm < band["v_min_pu"])
    high, low = (np.bincount(index, hours, len(feeders)).astype(float) for hours in (above, below))
    return feeders, high, low


def by_feeder(runs: Mapping[Pairing, Run]) -> str | None:
    """Return the bus-hours outside the band by feeder, above it upwards, below it downwards."""
    found = {p: hours for p, run in runs.items() if (hours := hours_outside(run)) is not None}
    if not found:
        return None
    most_h = max(float(max(high.max(), low.max())) for _, high, low in found.values()) or 1.0

    def draw(ax: Any, architecture: str, stage: int) -> bool:
        hours = found.get((architecture, stage))
        ax.axhline(0, color="#7d8590", linewidth=0.6)
        if hours is None:
            return False
        feeders, high, low = hours
        at = np.arange(1, len(feeders) + 1)
        edges = np.append(at, len(feeders) + 1) - 0.5
        ax.stairs(high, edges, fill=True, color=HIGH)  # one shape, where bars were one each
        ax.stairs(-low, edges, fill=True, color=LOW)
        ax.set_xlim(0.3, len(feeders) + 0.7)
        if len(feeders) <= _NAMED:
            ax.set_xticks(at, feeders)
        ax.grid(axis="x", visible=False)
        return True

    def frame(ax: Any) -> None:
        ax.set_ylim(-1.05 * most_h, 1.05 * most_h)
        ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")

    architectures, stages = list(dict.fromkeys(a for a, _ in runs)), sorted({s for _, s in runs})
    with style():
        fig = pairing_panels(architectures, stages, draw, "bus-hours", None, frame=frame)
        return svg(fig, "Voltage violations by feeder")
