"""A grid as a picture: where it is, what its voltages are, what was switched."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gridseam.dms_grid import DmsGrid
from sims.core.errors import GridError, nearest

Floats = NDArray[np.float64]
FORMATS = (".svg", ".png", ".pdf")
FAULT, OPENED, CLOSED, DARK = "#D55E00", "#E69F00", "#009E73", "#b9bfc7"


def check_format(path: Path) -> Path:
    """Return `path` if a picture can be written there.

    Raises
    ------
    GridError
        Unknown format.
    """
    if path.suffix.lower() not in FORMATS:
        raise GridError(f"{path}: a picture is one of {', '.join(FORMATS)}{nearest(path.suffix, FORMATS)}")
    return path


def layout(grid: DmsGrid) -> Floats:
    """Return where to draw each node, array [node, 2]: positions where the grid has them, else the tree.

    In the tree a node stands as far right as it is branches away from the busbar, and each end has a row.
    """
    g = grid.compiled
    if np.isfinite(g.lon).all() and len(np.unique(np.stack((g.lon, g.lat), axis=1), axis=0)) > 1:
        return np.stack((g.lon, g.lat), axis=1)
    top = grid.net.topology(grid.net.normal)
    place = np.zeros((g.n_nodes, 2))
    children: dict[int, list[int]] = {int(n): [] for n in range(g.n_nodes)}
    for node in top.order:
        if top.parent[node] >= 0:
            children[int(top.parent[node])].append(int(node))
            place[node, 0] = place[top.parent[node], 0] + 1
    row = 0.0
    for node in reversed(_deep(top.order, children)):
        below = children[node]
        place[node, 1] = place[below[0], 1] if below else row
        row += 0.0 if below else 1.0
    return place[top.rep]


def _deep(order: NDArray[np.int64], children: dict[int, list[int]]) -> list[int]:
    """Return the nodes depth first."""
    below = {child for found in children.values() for child in found}
    stack = [int(n) for n in order if int(n) not in below][::-1]
    out = []
    while stack:
        node = stack.pop()
        out.append(node)
        stack += children[node][::-1]
    return out


def draw(
    grid: DmsGrid, path: Path, values: Floats, label: str, title: str, fault: int = -1,
    opened: Iterable[int] = (), closed: Iterable[int] = (),
) -> None:
    """Write a picture of the grid coloured by `values` [node]; nan and 0 are dark.

    Parameters
    ----------
    label : str
        What `values` are, with the unit.
    fault : int
        Branch row drawn as the fault, -1 for none.
    opened, closed : iterable of int
        Branch rows that were switched.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from results.drawing import style

    g, place = grid.compiled, layout(grid)
    state = grid.net.normal.copy()
    state[grid.net.feed] = True
    opened, closed = set(opened), set(closed)
    with style():
        figure = Figure(figsize=(8.5, 5.5))
        axes = figure.add_axes((0.02, 0.04, 0.86, 0.88))
        axes.set_axis_off()
        for row in range(g.n_branches):
            ends = place[[g.branch_from[row], g.branch_to[row]]]
            on = (state[row] or row in closed) and row not in opened
            colour, width = ("#7d8590", 1.0) if on else (DARK, 0.8)
            if row == fault:
                colour, width = FAULT, 2.6
            elif row in closed:
                colour, width = CLOSED, 2.2
            elif row in opened:
                colour, width = OPENED, 2.2
            axes.plot(*ends.T, color=colour, lw=width, ls="-" if on else (0, (2, 2)), zorder=1)
        dark = ~(np.nan_to_num(values) > 0)
        x, y = place.T
        axes.scatter(x[dark], y[dark], s=18, facecolors="white", edgecolors=DARK, linewidths=0.8, zorder=2)
        shown = axes.scatter(x[~dark], y[~dark], c=values[~dark], s=18, cmap="viridis", zorder=3)
        busbar = grid.net.anchor
        axes.scatter(x[busbar], y[busbar], s=46, marker="s", facecolors="none", edgecolors="#2b2f36", zorder=4)
        figure.colorbar(shown, cax=figure.add_axes((0.9, 0.2, 0.015, 0.6)), label=label)
        figure.suptitle(title, x=0.02, ha="left", fontsize=9)
        marks = [("fault", FAULT, fault >= 0), ("opened", OPENED, bool(opened)), ("closed", CLOSED, bool(closed))]
        lines = [Line2D([], [], color=colour, lw=2, label=name) for name, colour, used in marks if used]
        if lines:
            axes.legend(handles=lines, loc="lower left", ncols=3)
        figure.savefig(path, dpi=150)
