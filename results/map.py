"""Where voltages left the operating band: the buses on a map, a panel per pairing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results.drawing import FAINT, colour, pairing_panels, style, svg
from results.runfile import Floats, Run

Pairing = tuple[str, int]
HIGH, LOW = "#D55E00", "#0072B2"
_VECTOR_LIMIT = 1500
"""More buses than that over all panels are drawn as an image, which keeps the page small."""


def hours_outside(run: Run) -> tuple[Floats, Floats]:
    """Return, per bus, the hours above and the hours below the operating band [h]."""
    band = run.group_attrs("bus")
    spans_h = run.spans_s("bus") / 3600.0
    above, below = (np.zeros(len(run.labels("bus"))) for _ in range(2))
    for rows, vm in run.blocks("bus", "vm_pu"):
        above += spans_h[rows] @ (vm > band["v_max_pu"])
        below += spans_h[rows] @ (vm < band["v_min_pu"])
    return above, below


def _places(run: Run) -> tuple[Floats, Floats] | None:
    if not run.has("bus", "vm_pu", "lon", "lat") or not {"v_min_pu", "v_max_pu"} <= set(run.group_attrs("bus")):
        return None
    lon, lat = run.static("bus", "lon").astype(float), run.static("bus", "lat").astype(float)
    return (lon, lat) if np.isfinite(lon).any() and np.ptp(lon[np.isfinite(lon)]) > 0 else None


def bus_map(runs: Mapping[Pairing, Run]) -> str | None:
    """Return the buses where they stand, marked where and how long they left the band; None without places."""
    having = {p: r for p, r in runs.items() if _places(r) is not None}
    if not having:
        return None
    outside = {p: hours_outside(r) for p, r in having.items()}
    most_h = max(max(float(x.max()) for x in pair) for pair in outside.values())
    as_image = sum(len(r.labels("bus")) for r in having.values()) > _VECTOR_LIMIT

    def size(hours: Floats) -> NDArray[Any]:
        return 3.0 + 45.0 * hours / most_h

    def draw(ax: Any, architecture: str, stage: int) -> bool:
        ax.set_xticks([])
        ax.set_yticks([])
        for side in ax.spines.values():
            side.set_visible(False)
        run = having.get((architecture, stage))
        places = _places(run) if run is not None else None
        if places is None:
            return False
        lon, lat = places
        ax.set_aspect(1 / max(np.cos(np.radians(np.nanmean(lat))), 0.1), adjustable="box")
        above, below = outside[architecture, stage]
        ax.scatter(lon, lat, s=2.5, c=FAINT, linewidths=0, alpha=0.7, rasterized=as_image)
        for hours, shade in ((below, LOW), (above, HIGH)):
            at = hours > 0
            if at.any():
                ax.scatter(
                    lon[at], lat[at], s=size(hours[at]), c=shade, linewidths=0, alpha=0.55, rasterized=as_image
                )
        said = f"{np.count_nonzero(above + below)} of {len(lon)} outside"
        ax.text(1, 1.02, said, transform=ax.transAxes, ha="right", va="bottom", fontsize=7, color=colour(architecture))
        return True

    architectures, stages = list(dict.fromkeys(a for a, _ in runs)), sorted({s for _, s in runs})
    with style():
        return svg(pairing_panels(architectures, stages, draw, "", None, panel=(2.35, 1.7), left=0.08), "Map of buses")
