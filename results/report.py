"""The report: one page that tells who kept the system secure, how well, and at what cost; needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from results import charts
from results.compare import Comparison, Pairing, best, degenerate, number, verdict
from results.drawing import colour, stage_style
from results.kpis.kpi import Kpi
from results.kpis.responsibility import by_role_and_duty
from results.paired import Differences
from results.runfile import Run
from results.sheet import write_sheet
from results.whereabouts import by_feeder
from sims.core.errors import GridseamError

HEAT = (
    "voltage_violation_bus_h", "line_overload_h", "trafo_overload_h", "curtailed_mwh", "losses_distribution_mwh",
    "saidi_min", "ens_mwh", "ev_unmet_mwh", "frequency_outside_50mhz_s", "interface_q_rmse_mvar",
    "interface_compliant_share", "cell_tie_error_mwh", "tap_operations", "messages", "information_age_s",
)  # fmt: skip
"""Key figures shown as a matrix of architecture and stage."""

DUTIES = (
    "observe", "contain_frequency", "manage_congestion", "control_voltage", "restore_supply",
    "support_tso_voltage", "balance_cell", "provide_inertia",
)  # fmt: skip
"""Order of the duties; others that occur come after them."""

_WORST_RGB, _NEUTRAL_RGB = (222, 143, 75), (122, 160, 190)
_HIDDEN = {"Conventions", "NX_class", "cell", "default",
           "degenerate", "digest", "events_json", "format", "format_version",
           "history"}  # fmt: skip
_TELLS_APART = {"architecture", "stage", "title"}
_LONG = 400


def _shade(share: float, kpi: Kpi) -> str:
    """Return a background: white is the better end; a figure that is neither good nor bad is blue."""
    end = _NEUTRAL_RGB if kpi.better == "none" else _WORST_RGB
    r, g, b = (round(255 + (c - 255) * share * 0.85) for c in end)
    return f"rgb({r},{g},{b})"


def _heat(comparison: Comparison, kpi: Kpi) -> dict[str, Any] | None:
    """Return the matrix of one figure with a colour to each cell; None where nothing is known."""
    values = comparison.matrix(kpi.name)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    low, high = float(finite.min()), float(finite.max())
    leaders = best(comparison, kpi)
    rows = []
    for i, architecture in enumerate(comparison.architectures):
        cells = []
        for j, stage in enumerate(comparison.stages):
            value = float(values[i, j])
            share = (min(value, high) - low) / (high - low) if high > low and not np.isnan(value) else 0.0
            share = 1.0 if np.isposinf(value) else share
            worse = 1.0 - share if kpi.better == "higher" and high > low else share
            blank = np.isnan(value)
            cells.append({
                "text": number(value, kpi.unit), "best": (architecture, stage) in leaders,
                "shade": "" if blank else _shade(worse, kpi),
                "degenerate": not blank and (architecture, stage) in comparison.degenerate,
            })  # fmt: skip
        rows.append({"architecture": architecture, "cells": cells})
    return {"kpi": kpi, "rows": rows}


def _table(comparison: Comparison) -> list[dict[str, Any]]:
    """Return every figure that any run has, by topic."""
    topics: dict[str, list[dict[str, Any]]] = {}
    for kpi in comparison.kpis:
        values = [comparison.value(kpi.name, p) for p in comparison.pairings]
        if np.isnan(values).all():
            continue
        leaders = best(comparison, kpi)
        cells = [
            {"text": number(v, kpi.unit), "best": p in leaders}
            for p, v in zip(comparison.pairings, values, strict=True)
        ]
        topics.setdefault(kpi.topic, []).append({"kpi": kpi, "cells": cells})
    return [{"topic": topic, "rows": rows} for topic, rows in topics.items()]


def _apart(differences: Differences | None) -> dict[str, Any] | None:
    """Return the differences to the baseline as texts; figures that never differ are left out."""
    if differences is None:
        return None
    comparison = differences.comparison
    pairings = [p for p in comparison.pairings if p != differences.baseline]
    rows = []
    for kpi in comparison.kpis:
        mean = differences.by_kpi[kpi.name].mean
        if np.nansum(np.abs(mean)) > 0:
            texts = [differences.text(kpi.name, p, kpi.unit) for p in pairings]
            rows.append({"kpi": kpi, "cells": [(t.rstrip("*"), t.endswith("*")) for t in texts]})
    return {"baseline": differences.baseline, "pairings": pairings, "rows": rows, "seeds": len(comparison.seeds)}


def _acts(runs: Mapping[Pairing, Run]) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Return (duties, roles, a row per duty and role with the acts of each pairing)."""
    counts = {p: by_role_and_duty(r) for p, r in runs.items()}
    seen = {key for found in counts.values() for key in found}
    duties = [*DUTIES, *sorted({d for _, d in seen} - set(DUTIES))]
    duties = [d for d in duties if d and any(key[1] == d for key in seen)]
    roles = charts.role_order([r for r, _ in seen])
    rows = []
    for duty in duties:
        for role in roles:
            if (role, duty) in seen:
                cells = [found.get((role, duty), (0, 0)) for found in counts.values()]
                rows.append({"duty": duty.replace("_", " "), "role": role, "cells": cells})
    return duties, roles, rows


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]} … ({len(text)} characters in the run file)"


def facts_of(runs: Mapping[Pairing, Run]) -> list[tuple[str, str]]:
    """Return what the runs have in common, and their provenance, as name and text."""
    all_attrs = [r.attrs for r in runs.values()]
    facts: list[tuple[str, str]] = []
    for name in sorted(set().union(*all_attrs) - _HIDDEN - _TELLS_APART):
        found = {_short(a[name]) for a in all_attrs if name in a}
        facts.append((name.replace("_", " "), "; ".join(sorted(found))))
    first = next(iter(runs.values()))
    facts += [(k.replace("_", " "), _short(v)) for k, v in first.provenance.items()]
    kinds = {k: len(first.labels(k)) for k in first.kinds}
    facts.append(("recorded", ", ".join(f"{n} {k}" for k, n in kinds.items())))
    return facts


def _pictures(runs: Mapping[Pairing, Run], duties: list[str]) -> dict[str, Any]:
    """Return every picture as SVG, None where no run has the data."""
    return {
        "voltage": charts.envelopes(runs, "bus", "vm_pu", "voltage (pu)", "Spread of bus voltages"),
        "by_feeder": by_feeder(runs),
        "line": charts.envelopes(runs, "line", "loading_percent", "loading (%)", "Spread of line loadings"),
        "trafo": charts.envelopes(
            runs, "trafo", "loading_percent", "loading (%)", "Spread of transformer loadings"
        ),
        "exchange": charts.exchange(runs),
        "frequency": charts.frequency(runs),
        "responsibility": charts.responsibility(runs, duties),
    }  # fmt: skip


def _spans(pairings: list[Pairing]) -> list[tuple[str, int]]:
    """Return each architecture in order, with the number of its columns."""
    return [(a, sum(p[0] == a for p in pairings)) for a in dict.fromkeys(a for a, _ in pairings)]


def _dashes(stage: int) -> str:
    pattern = stage_style(stage)
    return "" if pattern == "solid" else " ".join(f"{2 * x:g}" for x in pattern[1])


def write_report(
    comparison: Comparison, runs: Mapping[Pairing, str | Path], path: str | Path, *,
    differences: Differences | None = None, pages: Mapping[Pairing, str] = MappingProxyType({}),
) -> Path:
    """Write the report as one HTML file that loads nothing from anywhere; return its path.

    Parameters
    ----------
    comparison : Comparison
        What `compare` returned for the same runs.
    runs : mapping of (architecture, stage) to path
        The run files whose time series are drawn.
    differences : Differences, optional
        Shown as a table of means and intervals.
    pages : mapping of (architecture, stage) to str
        Relative addresses of the pages of single runs.

    Raises
    ------
    GridseamError
        No runs were given, a run cannot be read, or the file cannot be written.
    """
    if not runs:
        raise GridseamError("nothing to report: no run files were given")
    known = [p for p in comparison.pairings if p in runs]
    opened = {p: Run(runs[p]) for p in [*known, *(p for p in runs if p not in known)]}
    try:
        duties, roles, acts = _acts(opened)
        title = str(next(iter(opened.values())).attrs.get("title", "gridseam"))
        return write_sheet(
            "report", "report.html", Path(path), title=title, policy="", verdict=verdict(comparison),
            degenerate=degenerate(comparison),
            comparison=comparison, pairings=comparison.pairings,
            heats=[h for k in comparison.kpis if k.name in HEAT and (h := _heat(comparison, k)) is not None],
            table=_table(comparison), pictures=_pictures(opened, duties), drawn=list(opened),
            roles=[(r, charts.role_colour(r)) for r in roles], acts=acts, facts=facts_of(opened),
            differences=_apart(differences), pages=dict(pages), spans=_spans,
            colours={a: colour(a) for a in comparison.architectures},
            dashes={s: _dashes(s) for s in comparison.stages},
        )  # fmt: skip
    finally:
        for run in opened.values():
            run.close()
