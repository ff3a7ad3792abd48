"""How pictures look: palette, axes, and a figure as SVG that can stand inside a page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from results.scale import draw_scales

INK, FAINT, GRID = "#2b2f36", "#7d8590", "#e4e7eb"
ARCHITECTURE = {"local": "#0072B2", "centralized": "#D55E00", "distributed": "#009E73"}
"""Okabe and Ito's colours, told apart with any colour vision."""
OTHER = ("#CC79A7", "#56B4E9", "#E69F00", "#000000")
ROLE = {
    "device": "#7d8590", "dms": "#D55E00", "agent": "#009E73", "tso": "#0072B2", "crew": "#CC79A7",
    "operator": "#E69F00",
}  # fmt: skip
STAGE_STYLE: tuple[Any, ...] = ((0, (1, 1.4)), (0, (3, 1.6)), (0, (6, 1.6, 1, 1.6)), "solid")
"""Line of stages 1 to 4: the more is held, the more solid."""

_UNDER = 17 / 72
"""Room for ticks and numbers above the name of a horizontal axis [inch]."""
PAGE_WIDTH = 10.6
"""Width of every picture [inch], so that letters have one size on the page."""
PANEL_HIGH = 1.2
"""Height of a panel of a pairing [inch]."""

_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "gridseam", "text.parse_math": False, "font.size": 8.0,
    "font.family": "sans-serif", "axes.edgecolor": FAINT, "axes.linewidth": 0.6, "axes.labelcolor": INK,
    "text.color": INK, "xtick.color": FAINT, "ytick.color": FAINT, "xtick.labelcolor": INK,
    "ytick.labelcolor": INK, "xtick.labelsize": 7.0, "ytick.labelsize": 7.0, "axes.titlesize": 8.0,
    "axes.titlelocation": "left", "axes.labelsize": 7.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.5, "axes.axisbelow": True,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
    "lines.linewidth": 1.0, "lines.solid_capstyle": "round", "legend.frameon": False, "legend.fontsize": 7.5,
    "axes.formatter.useoffset": False, "path.simplify": True, "axes.titley": 1.0, "axes.titlepad": 3.0,
}  # fmt: skip


@contextmanager
def style() -> Iterator[None]:
    """Draw quietly inside."""
    with mpl.rc_context(_STYLE):
        yield


def colour(architecture: str) -> str:
    """Return the colour of an architecture."""
    return ARCHITECTURE.get(architecture, OTHER[sum(architecture.encode()) % len(OTHER)])


def stage_style(stage: int) -> Any:
    """Return the line style of a stage."""
    return STAGE_STYLE[min(max(stage, 1), 4) - 1]


def figure(
    rows: int, columns: int, high: float, *, left: float = 0.5, gap: float = 0.2, **kwargs: Any
) -> tuple[Figure, Any]:  # fmt: skip
    """Return a figure as wide as the page, of panels `high`, and its axes as an array (rows, columns).

    `left` is the room for the labels of the vertical axes, `gap` the room between columns; all sizes in
    inch. Fixed rooms draw in half the time that fitted ones take.
    """
    width = PAGE_WIDTH
    top, bottom, between = 0.22, 0.42, 0.3
    wide = (width - left - 0.08 - (columns - 1) * gap) / columns
    height = top + rows * high + (rows - 1) * between + bottom
    fig = Figure(figsize=(width, height))
    axes = fig.subplots(
        rows, columns, squeeze=False, **kwargs,
        gridspec_kw={
            "left": left / width, "right": 1 - 0.08 / width, "top": 1 - top / height, "bottom": bottom / height,
            "wspace": gap / wide, "hspace": between / high,
        },
    )  # fmt: skip
    for ax in axes.flat:  # fixed places: looking for them takes most of the drawing
        ax.xaxis.set_label_coords(0.5, -_UNDER / high)
        ax.yaxis.set_label_coords(-0.36 / wide, 0.5)
    return fig, axes


@dataclass(frozen=True)
class TimeAxis:
    """The time axis of all panels of a picture, in the unit that suits its length.

    Parameters
    ----------
    end_h : float
        Length of the longest run [h].
    """

    end_h: float

    @property
    def unit(self) -> str:
        """Return seconds up to 5 min, minutes up to 3 h, else hours."""
        return "s" if self.end_h <= 1 / 12 else "min" if self.end_h <= 3 else "h"

    @property
    def label(self) -> str:
        """Return the text under the axis."""
        return f"time since start ({self.unit})"

    def of(self, t_h: Any) -> Any:
        """Return times [h] in the unit of the axis."""
        return np.asarray(t_h) * {"s": 3600.0, "min": 60.0, "h": 1.0}[self.unit]

    def apply(self, axes: Any) -> None:
        """Set limits and round ticks of panels that share them, (rows, columns), and the label under the last row."""
        end = max(float(self.of(self.end_h)), 1e-3)
        steps = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 60) if self.unit != "h" else (1, 2, 3, 6, 12, 24, 48, 168, 720)
        step = next((s for s in steps if end / s <= 6), steps[-1])
        axes[0, 0].set_xlim(0, end)
        axes[0, 0].set_xticks(np.arange(0, end + step * 1e-6, step))
        for ax in axes[-1]:
            ax.set_xlabel(self.label)


def pairing_panels(
    architectures: Sequence[str], stages: Sequence[int], draw: Callable[[Any, str, int], bool], y_label: str,
    time: TimeAxis | None, *, high: float = PANEL_HIGH, left: float = 0.5, frame: Callable[[Any], None] | None = None,
) -> Figure:  # fmt: skip
    """Return panels, architectures down and stages across; `draw` returns False where there is nothing.

    All panels share their scales; `frame` sets them, on one: each time it costs as much as a panel.
    """
    fig, axes = figure(len(architectures), len(stages), high, left=left, sharex=True, sharey=True)
    if frame is not None:
        frame(axes[0, 0])
    for i, architecture in enumerate(architectures):
        for j, stage in enumerate(stages):
            ax = axes[i, j]
            if not draw(ax, architecture, stage):
                ax.text(0.5, 0.5, "no data", transform=ax.transAxes, ha="center", va="center", color=FAINT)
            ax.set_title(f"{architecture}, stage {stage}", color=colour(architecture))
            if j == 0:
                ax.set_ylabel(y_label)
    if time is not None:
        time.apply(axes)
    return fig


def svg(fig: Figure, title: str) -> str:
    """Return the figure as an `<svg>` element, scalable, with `title` for those who do not see it."""
    for ax in fig.axes:
        draw_scales(ax)
    out = io.StringIO()
    fig.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(width|height|version)="[^"]*"', "", head)
    head = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", head)  # HTML knows both
    rest = rest.replace("xlink:href=", "href=")
    name = title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return f'{head} role="img" aria-label="{name}">{rest}'
