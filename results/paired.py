"""What a pairing changes against a baseline, seed by seed, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from results.compare import Comparison, Pairing, number
from sims.core.errors import GridseamError, nearest

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

Floats = NDArray[np.float64]
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """Mean paired difference of one figure, shape (architecture, stage) each.

    Parameters
    ----------
    mean, low, high : float array
        The mean difference and its interval; the interval is NaN where fewer than two seeds are known.
    n : int array
        Seeds that both have.
    """

    mean: Floats
    low: Floats
    high: Floats
    n: NDArray[np.int_]


@dataclass(frozen=True)
class Differences:
    """Every figure against the baseline.

    Parameters
    ----------
    baseline : (str, int)
        The pairing that the others are held against.
    by_kpi : mapping of KPI name to Interval
        Pairing minus baseline.
    """

    comparison: Comparison
    baseline: Pairing
    by_kpi: Mapping[str, Interval]

    def text(self, kpi: str, pairing: Pairing, unit: str = "") -> str:
        """Return ``-1.2 [-1.9, -0.5]``; a star where the interval leaves out zero."""
        one = self.by_kpi[kpi]
        at = (self.comparison.architectures.index(pairing[0]), self.comparison.stages.index(pairing[1]))
        mean, low, high = float(one.mean[at]), float(one.low[at]), float(one.high[at])
        if np.isnan(mean):
            return "-"
        if np.isnan(low):
            return number(mean, _size(unit))
        star = "*" if low > 0 or high < 0 else ""
        return f"{number(mean, _size(unit))} [{number(low, _size(unit))}, {number(high, _size(unit))}]{star}"

    def dataset(self) -> xr.Dataset:
        """Return mean, low, high and n over kpi, architecture and stage."""
        import xarray as xr

        dims = ("kpi", "architecture", "stage")
        long = {
            "mean": "mean paired difference to the baseline", "low": f"lower end of its {LEVEL:.0%} interval",
            "high": f"upper end of its {LEVEL:.0%} interval", "n": "seeds that both have",
        }  # fmt: skip
        data = {
            name: (dims, np.stack([getattr(one, name) for one in self.by_kpi.values()]), {"long_name": text})
            for name, text in long.items()
        }
        units = [k.unit for k in self.comparison.kpis if k.name in self.by_kpi]
        coords = {
            "kpi": list(self.by_kpi), "units": ("kpi", units), "architecture": list(self.comparison.architectures),
            "stage": list(self.comparison.stages),
        }  # fmt: skip
        attrs = {"baseline_architecture": self.baseline[0], "baseline_stage": self.baseline[1], "level": LEVEL}
        return xr.Dataset(data, coords, attrs)


def _size(unit: str) -> str:
    return "" if unit in ("Hz", "pu") else unit  # a difference of hertz needs no three decimals


def paired(comparison: Comparison, baseline: Pairing | None = None, level: float = LEVEL) -> Differences:
    """Hold every pairing against a baseline, seed by seed.

    Both have run on the same weather, devices and disturbances for each seed, so the difference of a seed
    is one observation; the interval is Student's t on the mean of these (ISO 2602). Where all differences
    are equal, the interval is a point.

    Parameters
    ----------
    baseline : (architecture, stage), optional
        The first pairing of the comparison where it is not given.
    level : float
        Confidence.

    Raises
    ------
    GridseamError
        The baseline was not run.
    """
    pairings = comparison.pairings
    if baseline is None:
        if not pairings:
            raise GridseamError("no pairing holds any figure to compare with")
        baseline = pairings[0]
    if baseline not in pairings:
        known = [f"{a},{s}" for a, s in pairings]
        given = f"{baseline[0]},{baseline[1]}"
        raise GridseamError(f"the baseline {given} was not run; there are {' '.join(known)}{nearest(given, known)}")
    at = (comparison.architectures.index(baseline[0]), comparison.stages.index(baseline[1]))
    by_kpi = {name: _interval(cube, at, level) for name, cube in comparison.cube.items()}
    return Differences(comparison, baseline, by_kpi)


def _interval(cube: Floats, at: tuple[int, int], level: float) -> Interval:
    with np.errstate(invalid="ignore"):
        apart = cube - cube[at]
    apart = np.where(np.isfinite(apart), apart, np.nan)  # never against never says nothing about how much
    n = np.isfinite(apart).sum(axis=2)
    known = np.where(n > 0, n, 1)
    mean = np.where(n > 0, np.nansum(apart, axis=2) / known, np.nan)
    square = np.nansum((apart - mean[..., None]) ** 2, axis=2)
    several = n > 1
    error = np.sqrt(square / np.where(several, n - 1, 1) / known)
    half = np.where(several, stdtrit(np.where(several, n - 1, 1), 0.5 + level / 2) * error, np.nan)
    return Interval(mean, mean - half, mean + half, n)


def difference_table(differences: Differences, headlines: tuple[str, ...]) -> Table:
    """Return the headline figures as differences to the baseline, figures as columns of rows for the terminal."""
    from rich.table import Table
    from rich.text import Text

    comparison, base = differences.comparison, differences.baseline
    rest = [p for p in comparison.pairings if p != base]
    most = max((int(one.n.max()) for one in differences.by_kpi.values()), default=0)
    caption = f"mean and {LEVEL:.0%} interval over {most} seeds; * the interval leaves out zero" if most > 1 else ""
    table = Table(title=f"Difference to {base[0]}, stage {base[1]}", caption=caption, pad_edge=False)
    table.add_column("KPI", no_wrap=True)
    table.add_column("unit", style="dim", no_wrap=True)
    for architecture, stage in rest:
        table.add_column(f"{architecture[:3]} {stage}", justify="right")
    for kpi in comparison.kpis:
        one = differences.by_kpi[kpi.name]
        if (kpi.name not in headlines and kpi.topic != "Own") or not np.nansum(np.abs(one.mean)):
            continue
        cells = [Text(differences.text(kpi.name, p, kpi.unit)) for p in rest]
        table.add_row(Text(kpi.label), Text("" if kpi.unit == "1" else kpi.unit), *cells)
    return table
