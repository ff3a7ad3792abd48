"""All pairings of a study side by side: one cube of key figures, one table, one verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from results.kpis import faults
from results.kpis.table import KPIS, Kpi, known_or_computed
from results.runfile import Run
from sims.core.errors import GridseamError

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

ARCHITECTURES = ("local", "centralized", "distributed")
HEADLINES = (
    "voltage_violation_bus_h", "line_overload_h", "trafo_overload_h", "curtailed_mwh", "ev_unmet_mwh",
    "losses_distribution_mwh", "saidi_min", "ens_mwh", "frequency_lowest_hz", "frequency_highest_hz",
    "interface_q_rmse_mvar", "interface_compliant_share", "cell_tie_error_mwh", "tap_operations", "messages",
    "latency_p95_ms", "acts_refused", "decisions_rejected",
)  # fmt: skip
"""What the terminal shows."""

SECURITY = (
    "voltage_violation_bus_h", "line_overload_h", "trafo_overload_h", "frequency_outside_200mhz_s",
)  # fmt: skip
"""What the verdict goes by: every one of them is zero in a secure system."""

Pairing = tuple[str, int]
Key = tuple[str, int] | tuple[str, int, int]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """The key figures of every pairing.

    Parameters
    ----------
    cube : mapping of KPI name to float array, shape (architecture, stage, seed)
        NaN where a pairing was not run or a run does not hold what the figure needs.
    missing : mapping of pairing to str
        Runs that did not end well, and how.
    degenerate : mapping of pairing to str
        Pairings whose controllers decide nothing that another's would not, and why.
    faulty : mapping of pairing to str
        Runs that went on without what controllers did wrong: how often, and the first.
    """

    architectures: tuple[str, ...]
    stages: tuple[int, ...]
    seeds: tuple[int, ...]
    kpis: tuple[Kpi, ...]
    cube: Mapping[str, Floats]
    missing: Mapping[str, str] = field(default_factory=dict)
    degenerate: Mapping[Pairing, str] = field(default_factory=dict)
    faulty: Mapping[str, str] = field(default_factory=dict)

    @property
    def pairings(self) -> list[Pairing]:
        """Return the pairings that hold any number, architecture by architecture."""
        some = np.any([np.isfinite(v).any(axis=2) for v in self.cube.values()], axis=0)
        return [
            (a, s)
            for i, a in enumerate(self.architectures)
            for j, s in enumerate(self.stages)
            if bool(some[i, j])
        ]

    def value(self, kpi: str, pairing: Pairing) -> float:
        """Return a figure of a pairing, the mean over the seeds that have it."""
        at = self.cube[kpi][self.architectures.index(pairing[0]), self.stages.index(pairing[1])]
        known = at[~np.isnan(at)]
        return float(known.mean()) if known.size else np.nan

    def matrix(self, kpi: str) -> Floats:
        """Return a figure by architecture and stage, the mean over seeds."""
        return np.array([[self.value(kpi, (a, s)) for s in self.stages] for a in self.architectures])

    def dataset(self) -> xr.Dataset:
        """Return one variable a KPI over architecture, stage and seed."""
        import xarray as xr

        dims = ("architecture", "stage", "seed")
        data = {
            k.name: (dims, self.cube[k.name], {
                "units": k.unit, "long_name": k.label, "comment": k.definition, "better": k.better,
            })
            for k in self.kpis
        }  # fmt: skip
        coords = dict(zip(dims, map(list, (self.architectures, self.stages, self.seeds)), strict=True))
        return xr.Dataset(data, coords, {"Conventions": "CF-1.11", "title": "gridseam comparison"})


def _order(names: set[str]) -> tuple[str, ...]:
    return (*(a for a in ARCHITECTURES if a in names), *sorted(names - set(ARCHITECTURES)))


def compare(runs: Mapping[Any, str | Path], kpis: Sequence[Kpi] = KPIS) -> Comparison:
    """Compute the key figures of every run and put them side by side.

    Parameters
    ----------
    runs : mapping of (architecture, stage) or (architecture, stage, seed) to path
        The run files.

    Raises
    ------
    GridseamError
        There are no runs, or one cannot be read.
    """
    if not runs:
        raise GridseamError("nothing to compare: no run files were given")
    keys = {tuple(k) if len(k) == 3 else (*k, 0): path for k, path in runs.items()}
    architectures = _order({k[0] for k in keys})
    stages, seeds = (tuple(sorted({k[n] for k in keys})) for n in (1, 2))
    cube = {k.name: np.full((len(architectures), len(stages), len(seeds)), np.nan) for k in kpis}
    missing: dict[str, str] = {}
    degenerate: dict[Pairing, str] = {}
    faulty: dict[str, str] = {}
    for (architecture, stage, seed), path in keys.items():
        at = (architectures.index(architecture), stages.index(stage), seeds.index(seed))
        with Run(path) as run:
            if run.status != "complete":
                missing[f"{architecture}, stage {stage}"] = run.status
            if told := faults.words(run):
                faulty[f"{architecture}, stage {stage}"] = told
            if why := run.attrs.get("degenerate"):
                degenerate[architecture, stage] = str(why)
            for name, value in known_or_computed(run, kpis).items():
                cube[name][at] = value
    return Comparison(architectures, stages, seeds, tuple(kpis), cube, missing, degenerate, faulty)


def number(value: float, unit: str = "") -> str:
    """Return a number in as few characters as it takes to tell it from its neighbours."""
    if np.isnan(value):
        return "-"
    if np.isinf(value):
        return "never"
    size = abs(value)
    if size == 0:
        return "0"
    if unit in ("Hz", "pu") and size >= 0.5:
        return f"{value:.3f}"
    if size >= 10_000:
        return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    if size >= 100 or (size >= 1 and float(value).is_integer()):
        return f"{value:.0f}"
    if size >= 1:
        return f"{value:.3g}"
    return f"{value:.3f}" if size >= 0.001 else f"{value:.0e}"


def best(comparison: Comparison, kpi: Kpi) -> set[Pairing]:
    """Return the pairings that share the best value of a figure; empty where all are alike."""
    values = {p: comparison.value(kpi.name, p) for p in comparison.pairings}
    known = {p: v for p, v in values.items() if not np.isnan(v)}
    if kpi.better == "none" or len({number(v, kpi.unit) for v in known.values()}) < 2:
        return set()
    top = (min if kpi.better == "lower" else max)(known.values())
    return {p for p, v in known.items() if number(v, kpi.unit) == number(top, kpi.unit)}


def verdict(comparison: Comparison) -> str:
    """Return the verdict line: what `security` says, which runs did not come to their end, which had faults."""
    said = security(comparison)
    for what, runs in (("Not finished", comparison.missing), ("Faults of controllers", comparison.faulty)):
        said += f" {what}: {', '.join(f'{pairing} ({how})' for pairing, how in runs.items())}." if runs else ""
    return said


def security(comparison: Comparison) -> str:
    """Say which pairings kept the system secure, or which came nearest; then who paid least for it.

    Secure means that every figure of `SECURITY` that is known is zero. Nearest is who is best in most of
    them. Price is curtailed energy, then energy not supplied.
    """
    kpis = [k for k in comparison.kpis if k.name in SECURITY]
    judged = {p: [comparison.value(k.name, p) for k in kpis] for p in comparison.pairings}
    judged = {p: v for p, v in judged.items() if not np.isnan(v).all()}
    if not judged:
        return "No verdict: no run holds any of the figures that tell whether the system was secure."
    secure = [p for p, v in judged.items() if np.nan_to_num(v, nan=0.0).max() <= 0]
    if not secure:
        table = np.array(list(judged.values()))
        table = np.where(np.isnan(table), np.inf, table)
        first = list(judged)[int((table == table.min(axis=0)).sum(axis=1).argmax())]
        rest = [
            f"{k.label.lower()} {number(v, k.unit)} {k.unit}"
            for k, v in zip(kpis, judged[first], strict=True)
            if v > 0
        ]
        return (
            f"None of {len(judged)} pairings kept the system secure; {join([first])} came nearest "
            f"({', '.join(rest)})."
        )
    text = f"{len(secure)} of {len(judged)} pairings kept the system secure: {join(secure)}."
    for name, phrase in (("curtailed_mwh", "curtailed least"), ("ens_mwh", "left least unsupplied")):
        known = {p: comparison.value(name, p) for p in secure} if name in comparison.cube else {}
        known = {p: v for p, v in known.items() if not np.isnan(v)}
        if known and number(max(known.values())) != number(min(known.values())):
            least = min(known.values())
            who = [p for p, v in known.items() if number(v) == number(least)]
            text += f" Of these, {join(who)} {phrase} ({number(least)} MWh)."
    return text


def join(pairings: Sequence[Pairing]) -> str:
    """Return pairings as text, neighbouring stages drawn together: ``local 2-4, distributed 4``."""
    parts: list[str] = []
    for architecture in dict.fromkeys(a for a, _ in pairings):
        stages = sorted(s for a, s in pairings if a == architecture)
        runs = np.split(stages, np.flatnonzero(np.diff(stages) != 1) + 1)
        spans = [f"{r[0]}-{r[-1]}" if len(r) > 1 else f"{r[0]}" for r in runs]
        parts.append(f"{architecture} {', '.join(spans)}")
    return "; ".join(parts)


def degenerate(comparison: Comparison) -> list[str]:
    """Return what to know of pairings that decide little themselves, one sentence a reason."""
    by_reason: dict[str, list[Pairing]] = {}
    for pairing in comparison.pairings:
        if why := comparison.degenerate.get(pairing):
            by_reason.setdefault(why, []).append(pairing)
    return [f"{', '.join(f'{a} {s}' for a, s in alike)}: {why}" for why, alike in by_reason.items()]


def terminal_table(comparison: Comparison, headlines: Sequence[str] = HEADLINES) -> Table:
    """Return the headline figures, one row each, pairings as columns; the best of a row stands out."""
    from rich.table import Table
    from rich.text import Text

    pairings = comparison.pairings
    caption = "\n".join([verdict(comparison), *(f"* {text}" for text in degenerate(comparison))])
    table = Table(title="Key figures by architecture and stage", caption=caption, pad_edge=False)
    table.add_column("KPI", no_wrap=True)
    table.add_column("unit", style="dim", no_wrap=True)
    short = {"local": "loc", "centralized": "cen", "distributed": "dis"}
    for architecture, stage in pairings:
        name = short.get(architecture, architecture[:5])
        mark = "*" if (architecture, stage) in comparison.degenerate else ""
        table.add_column(f"{name} {stage}{mark}", justify="right", no_wrap=True)
    for kpi in comparison.kpis:
        values = [comparison.value(kpi.name, p) for p in pairings]
        if (kpi.name not in headlines and kpi.topic != "Own") or np.isnan(values).all():
            continue
        leaders = best(comparison, kpi)
        cells = [
            Text(number(v, kpi.unit), style="bold green" if p in leaders else "")
            for p, v in zip(pairings, values, strict=True)
        ]
        table.add_row(Text(kpi.label), Text("" if kpi.unit == "1" else kpi.unit), *cells)
    return table
