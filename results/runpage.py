"""The operator's page of one run: its grids over time, and everything that happened; works without a network."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from results import charts, pagetables
from results.compare import SECURITY, number
from results.drawing import INK, colour, figure, style, svg
from results.feederdata import feeder_data
from results.kpis.responsibility import roles as roles_of
from results.kpis.table import KPIS, known_or_computed
from results.report import DUTIES, facts_of
from results.runfile import Floats, Run
from results.sheet import PAGE, write_sheet

BEFORE_S, AFTER_S = 60.0, 900.0
"""What is shown around an event."""


def write_page(run: Run | str | Path, path: str | Path | None = None, back: str = "") -> Path:
    """Write the page of a run as one HTML file that loads nothing from anywhere; return its path.

    Parameters
    ----------
    path : path, optional
        ``<run>.html`` beside the run where it is not given.
    back : str
        Relative address of the comparison it belongs to.

    Raises
    ------
    GridseamError
        The run cannot be read, or the file cannot be written.
    """
    if not isinstance(run, Run):
        with Run(run) as opened:
            return write_page(opened, path, back)
    out = Path(path) if path is not None else run.path.with_suffix(".html")
    grids = feeder_data(run)
    scripts = [_script("vendor/leaflet.js"), _script("map.js")] if grids else []
    found = known_or_computed(run)
    pairing = (str(run.attrs.get("architecture", "")), int(run.attrs.get("stage", 0)))
    alone = {pairing: run}
    acted = set(run.numbered("actions", "duty")[0]) - {""} if run.has("actions", "t_ms") else set()
    duties = [d for d in (*DUTIES, *sorted(acted - set(DUTIES))) if d in acted]
    roles = charts.role_order(roles_of(run)[0]) if run.has("actions", "t_ms") else []
    return write_sheet(
        "page", "run.html", out, run=run, title=str(run.attrs.get("title", "gridseam")), pairing=pairing,
        verdict=run_verdict(run, found),
        secure=not _insecure(found), shade=colour(pairing[0]), back=back, grids=grids,
        data=_data(grids), scripts=scripts, policy=" ".join(f"'sha256-{_hash(s)}'" for s in scripts),
        tables={name: getattr(pagetables, name)(run) for name in (
            "cells", "machines", "storage", "communication", "ages", "alarms", "goals", "refused")},
        holders=pagetables.holders(run, DUTIES), events=[(pagetables.clock(t), e) for t, e in pagetables.events(run)],
        roles=[(r, charts.role_colour(r)) for r in roles],
        pictures={
            "responsibility": charts.responsibility(alone, duties), "exchange": charts.exchange(alone),
            "frequency": charts.frequency(alone), "events": around_events(run),
            "voltage": charts.envelopes(alone, "bus", "vm_pu", "voltage (pu)", "Spread of bus voltages"),
            "line": charts.envelopes(alone, "line", "loading_percent", "loading (%)", "Spread of line loadings"),
        },
        kpis=[(k, number(found[k.name], k.unit)) for k in KPIS if not np.isnan(found[k.name])],
        facts=facts_of({pairing: run}),
    )  # fmt: skip


def _script(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _data(grids: dict[str, Any] | None) -> str:
    """Return JSON that cannot end the element it stands in."""
    return json.dumps(grids, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")


def _insecure(found: dict[str, float]) -> list[str]:
    units = {k.name: k for k in KPIS}
    return [
        f"{units[name].label.lower()} {number(found[name], units[name].unit)} {units[name].unit}"
        for name in SECURITY
        if found[name] > 0
    ]


def run_verdict(run: Run, found: dict[str, float]) -> str:
    """Return in a sentence whether the run stayed secure and what it cost."""
    if all(np.isnan(found[name]) for name in SECURITY):
        text = "No verdict: the run holds none of the figures that tell whether the system was secure."
    else:
        faults = _insecure(found)
        text = f"Not secure: {'; '.join(faults)}." if faults else "The system stayed secure."
    costs = [
        f"{number(found[name], 'MWh')} MWh {words}"
        for name, words in (("curtailed_mwh", "curtailed"), ("ens_mwh", "not supplied"))
        if not np.isnan(found[name])
    ]
    text += f" {' and '.join(costs)}." if costs else ""
    return text if run.status == "complete" else f"{text} The run is {run.status}: it ended before its time."


def around_events(run: Run) -> str | None:
    """Return the frequency of all cells around each planned event, a panel each; None without any."""
    listed = pagetables.events(run)[:6]
    if not listed or not run.has("cell", "f_hz"):
        return None
    t_s, f_hz = _frequency(run)
    nominal = float(run.group_attrs("cell").get("f_nominal_hz", 50.0))
    with style():
        fig, axes = figure(1, len(listed), 1.6, left=0.55, sharey=True)
        for ax, (t_ms, text) in zip(axes[0], listed, strict=True):
            at = t_ms / 1000
            mine = (t_s >= at - BEFORE_S) & (t_s <= at + AFTER_S)
            for k, name in enumerate(run.labels("cell")):
                ax.plot((t_s[mine] - at) / 60, (f_hz[mine, k] - nominal) * 1000, label=name, linewidth=0.9)
            ax.axvline(0, color=INK, linewidth=0.7, linestyle=(0, (2, 2)))
            ax.set_xlim(-BEFORE_S / 60, AFTER_S / 60)
            ax.set_title(text if len(text) <= 30 else f"{text[:28]}…")
            ax.set_xlabel("minutes after the event")
        axes[0, 0].set_ylabel("f - f nominal (mHz)")
        axes[0, -1].legend(loc="best", ncols=1)
        return svg(fig, "Frequency around events")


def _frequency(run: Run) -> tuple[Floats, Floats]:
    """Return times [s] and frequency of each cell [Hz]: the grid's rows, and those between them while machines move."""
    kinds = [kind for kind in ("cell", "cell_fine") if run.has(kind, "f_hz")]
    t_s = np.concatenate([run.seconds(kind) for kind in kinds])
    f_hz = np.concatenate([run.values(kind, "f_hz").astype(float) for kind in kinds])
    order = np.argsort(t_s, kind="stable")
    return t_s[order], f_hz[order]
