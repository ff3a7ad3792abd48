"""Forecasts of a series against the simplest ones, behind ``gridseam dms forecast``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from controllers.dms.forecast import Floats, Forecaster, backtest, persistence, regression, seasonal_naive, skill
from gridseam.dms_flow import profile
from sims.core.errors import GridError

FIRST_DAYS = 2
"""Days of history before the first forecast: what the regression needs."""
DAY_MS = 86_400_000
Drawn = dict[str, tuple[Floats, dict[str, Floats]]]


def compared(
    profiles: str, names: Sequence[str], horizon_h: float
) -> tuple[dict[str, Any], list[dict[str, Any]], Drawn]:
    """Return facts, a row for each series and forecaster, and what was forecast, for a picture."""
    rows, drawn = [], Drawn()
    for name in names:
        table, column = profile(profiles, name)
        series, season = table.values[:, column : column + 1], DAY_MS // table.spacing_ms
        horizon, first = round(horizon_h * 3_600_000 / table.spacing_ms), FIRST_DAYS * season
        if horizon < 1 or len(series) < first + horizon:
            raise GridError(f"{len(series)} values of '{name}' leave no room for a forecast of {horizon_h:g} h after "
                            f"{FIRST_DAYS} days of history")
        ways: dict[str, Forecaster] = {
            "persistence": persistence,
            "the day before": partial(seasonal_naive, season=season),
            "regression": partial(regression, season=season),
        }
        found = {way: backtest(series, how, first, horizon) for way, how in ways.items()}
        actual = found["persistence"][0]
        for way, (_, told) in found.items():
            rows.append({
                "series": name, "forecast": way, "rmse": float(np.sqrt(((actual - told) ** 2).mean())),
                "skill_over_persistence": float(skill(actual, told, found["persistence"][1])[0]),
                "skill_over_day_before": float(skill(actual, told, found["the day before"][1])[0]),
            })
        drawn[name] = actual[:, 0], {way: told[:, 0] for way, (_, told) in found.items()}
    return {"profiles": profiles, "horizon_h": horizon_h, "history_days": FIRST_DAYS}, rows, drawn


def draw(path: Path, drawn: Drawn) -> None:
    """Write a picture: what came, and what was forecast of it."""
    from matplotlib.figure import Figure

    from results.drawing import INK, OTHER, PAGE_WIDTH, style

    with style():
        figure = Figure(figsize=(PAGE_WIDTH, 2.4 * len(drawn)))
        for axes, (name, (actual, told)) in zip(figure.subplots(len(drawn), 1, squeeze=False)[:, 0], drawn.items(),
                                               strict=True):
            day = FIRST_DAYS + np.arange(len(actual)) / 96
            axes.plot(day, actual, color=INK, lw=1.4, label="came")
            for (way, values), colour in zip(told.items(), OTHER, strict=False):
                axes.plot(day, values, color=colour, lw=0.8, label=way)
            axes.set_title(name)
            axes.set_xlabel("day")
        figure.axes[0].legend(loc="upper right", ncols=4)
        figure.tight_layout()
        figure.savefig(path, dpi=150)
