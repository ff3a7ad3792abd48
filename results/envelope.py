"""The spread of a quantity over all things of a kind, few enough points to draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from results.runfile import Floats, Run


@dataclass(frozen=True)
class Envelope:
    """Spread over the labels, in `points` stretches of time.

    `lowest` and `highest` miss no row; the quantiles are those of the row in the middle of each stretch.
    """

    t_h: Floats
    lowest: Floats
    low: Floats
    median: Floats
    high: Floats
    highest: Floats


def envelope(run: Run, kind: str, quantity: str, points: int = 240) -> Envelope | None:
    """Return lowest, 5 %, median, 95 % and highest over the labels; None where the run holds no such thing.

    Times are in hours since the start. Dark buses (NaN) are left out.
    """
    if not run.has(kind, quantity):
        return None
    t_s = run.seconds(kind)
    edges = np.unique(np.linspace(0, len(t_s), min(points, len(t_s)) + 1).astype(int))
    starts, ends = edges[:-1], edges[1:]
    out = np.full((5, len(starts)), np.nan)
    lowest, highest = np.full(len(t_s), np.nan), np.full(len(t_s), np.nan)
    middles = (starts + ends) // 2
    for rows, values in run.blocks(kind, quantity):
        lit = ~np.isnan(values).all(axis=1)
        at = np.arange(rows.start, rows.stop)[lit]
        if not at.size:
            continue
        lowest[at], highest[at] = np.nanmin(values[lit], axis=1), np.nanmax(values[lit], axis=1)
        inside = np.flatnonzero((middles >= rows.start) & (middles < rows.stop) & np.isin(middles, at))
        if inside.size:
            out[1:4, inside] = _quantiles(values[middles[inside] - rows.start])
    out[0] = np.fmin.reduceat(lowest, starts)
    out[4] = np.fmax.reduceat(highest, starts)
    return Envelope(t_s[middles] / 3600.0, *out)


def _quantiles(values: Floats) -> Floats:
    """Return 5 %, 50 % and 95 % of each row; rows without gaps go together, several times as fast."""
    out = np.empty((3, len(values)))
    gaps = np.isnan(values).any(axis=1)
    for mine, of in ((~gaps, np.quantile), (gaps, np.nanquantile)):
        if mine.any():
            out[:, mine] = of(values[mine], (0.05, 0.5, 0.95), axis=1)
    return out


@dataclass(frozen=True)
class Line:
    """One signal in few stretches of time: its mean, and the extremes that the mean hides."""

    t_h: Floats
    lowest: Floats
    mean: Floats
    highest: Floats


def line(t_s: Floats, values: Floats, points: int = 240) -> Line:
    """Return a signal, shape (time,), in at most `points` stretches; gaps (NaN) are left out."""
    edges = np.unique(np.linspace(0, len(t_s), min(points, len(t_s)) + 1).astype(int))
    starts = edges[:-1]
    known = ~np.isnan(values)
    total = np.add.reduceat(np.where(known, values, 0.0), starts)
    with np.errstate(invalid="ignore"):
        mean: Floats = total / np.add.reduceat(known.astype(float), starts)
    lowest, highest = np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)
    return Line(t_s[(starts + edges[1:]) // 2] / 3600.0, lowest, mean, highest)
