"""The scales of a panel: grid, ticks and numbers of both axes, drawn as few shapes."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.text import Text

_BELOW = 0.5
"""Place in the order of drawing: below the data, where matplotlib draws its axes."""


def draw_scales(ax: Any) -> None:
    """Draw grid, ticks, numbers and names of both axes as matplotlib would, which takes most of its time for them.

    One line is the whole grid and one the ticks, where matplotlib makes five objects for every tick.
    """
    high, wide = ax.get_xaxis_transform(), ax.get_yaxis_transform()
    _scale(ax, ax.xaxis, "x", high, ax.get_xaxis_text1_transform, TICKDOWN)
    _scale(ax, ax.yaxis, "y", wide, ax.get_yaxis_text1_transform, TICKLEFT)


def _scale(ax: Any, axis: Any, of: str, across: Any, text_place: Any, marker: Any) -> None:
    """Draw one axis; `across` has the axis in its own unit and the other from 0 to 1."""
    shown, look = axis.get_tick_params(), mpl.rcParams
    low, high = sorted(axis.get_view_interval())
    places = np.asarray(axis.get_majorticklocs(), float)
    texts = axis.get_major_formatter().format_ticks(places)
    little = 1e-10 * (high - low)
    seen = np.flatnonzero((places >= low - little) & (places <= high + little))
    ends = np.full(len(seen), np.nan)
    if shown["gridOn"] and seen.size:
        along = np.column_stack([places[seen], places[seen], ends]).ravel()
        over = np.tile([0.0, 1.0, np.nan], len(seen))
        ax.add_artist(Line2D(
            *((along, over) if of == "x" else (over, along)), color=look["grid.color"], zorder=_BELOW,
            linewidth=look["grid.linewidth"], linestyle=look["grid.linestyle"], transform=across,
        ))  # fmt: skip
    if shown["bottom" if of == "x" else "left"] and seen.size:
        none = np.zeros(len(seen))
        ax.add_artist(Line2D(
            *((places[seen], none) if of == "x" else (none, places[seen])), linestyle="none", marker=marker,
            markersize=look[f"{of}tick.major.size"], markeredgewidth=look[f"{of}tick.major.width"],
            color=look[f"{of}tick.color"], transform=across, zorder=_BELOW, clip_on=False,
        ))  # fmt: skip
    if shown["labelbottom" if of == "x" else "labelleft"]:
        place, v_align, h_align = text_place(look[f"{of}tick.major.size"] + look[f"{of}tick.major.pad"])
        for k in seen.tolist():
            x, y = (places[k], 0.0) if of == "x" else (0.0, places[k])
            ax.add_artist(Text(
                x, y, texts[k], transform=place, zorder=_BELOW,
                va=v_align, ha=h_align, size=look[f"{of}tick.labelsize"], color=look[f"{of}tick.labelcolor"],
                clip_on=False,
            ))  # fmt: skip
    if axis.label.get_text():
        axis.label.set_clip_on(False)
        ax.add_artist(axis.label)
    axis.set_visible(False)
