"""What control rooms knew of storage, vehicles and agents, read from a run: facts and rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from controllers.distributed.supervision import BEAT_S, LOOK_S
from controllers.dms.charging import EV_WEIGHT
from controllers.dms.storage_monitor import Fleet, StorageMonitor
from controllers.dms.supervision import Supervisor
from controllers.dms.v2g import believed_reserve
from results.runfile import Run
from sims.core.errors import GridError
from sims.core.message import Message

Told = tuple[dict[str, Any], list[dict[str, Any]]]
STATE = ("ratio_p", "ratio_q", "mismatch_pu", "v_low_pu", "v_high_pu")
PATIENCE_MS = round(1000 * (2 * BEAT_S + LOOK_S))


def stored(path: Path, at_h: float | None) -> Told:
    """Return where the storage of every feeder stands.

    A run holds what storage did, not its nameplate: the largest power and energy seen count as what it can do.

    Raises
    ------
    GridError
        The run holds no storage, or the time lies outside it.
    """
    with Run(path) as run:
        _check(run, "feeder", "storage_mw", "storage_soc_mwh")
        now, hours = _moment(run, "feeder", at_h)
        power, energy = (run.values("feeder", k).astype(float) for k in ("storage_mw", "storage_soc_mwh"))
        names, cells = tuple(run.labels("feeder")), run.static("feeder", "cell")
        own = np.flatnonzero(energy.max(axis=0) > 1e-9)
        alarms = _alarms(run, "storage", hours)
    if not len(own):
        raise GridError(f"{path}: no feeder has storage")
    most, whole = np.abs(power).max(axis=0)[own], energy.max(axis=0)[own]
    nothing, now_ms = np.zeros(len(own)), round(hours * 3_600_000)
    number = np.array([int(str(cell).rpartition("_")[2]) for cell in cells])[own]
    fleet = Fleet(tuple(names[k] for k in own), number, own, nothing, nothing, most, whole, nothing, 0.0, 1.0)
    monitor = StorageMonitor(fleet, np.full((len(own), 1), np.nan), np.zeros(1), daily=True)
    monitor.take(now_ms, np.arange(len(own)), power[now, own], energy[now, own] / whole)
    report = monitor.report(now_ms)
    rows = [
        {"feeder": fleet.name[k], "cell": int(fleet.cell[k]), "stored_mwh": float(energy[now, own[k]]),
         "full": float(report.soc[k]), "power_mw": float(report.actual_mw[k]),
         "can_charge_mw": float(report.charge_mw[k]), "can_discharge_mw": float(report.discharge_mw[k]),
         "alarms": sum(text.startswith(f"{fleet.name[k]}:") for text in alarms)}
        for k in range(len(own))
    ]
    facts = {
        "run": path.name, "time_h": hours, "stored_mwh": float(energy[now, own].sum()),
        "lendable_mw": [f"cell {c}: {mw:.1f}" for c, mw in monitor.lendable_by_cell(report).items()],
        "assumed": "the largest power and energy seen are what storage can do; no reserve is promised",
    }
    return facts, rows


def reserved(path: Path, at_h: float | None) -> Told:
    """Return what the vehicles at every feeder can give, reckoned as the control room does from what they draw.

    Raises
    ------
    GridError
        The run holds no vehicles, or the time lies outside it.
    """
    with Run(path) as run:
        _check(run, "feeder", "ev_mw")
        now, hours = _moment(run, "feeder", at_h)
        drawn = np.maximum(-run.values("feeder", "ev_mw").astype(float), 0.0)
        names, given = run.labels("feeder"), _scenario(run)["der"]["ev"]
    if not drawn.any():
        raise GridError(f"{path}: no feeder has vehicles that charge")
    settings = {"v2g_share": given["v2g_share"], "vehicle_h": given["battery_kwh"] / given["plug_kw"]}
    found = believed_reserve(drawn.max(axis=0) / EV_WEIGHT, drawn[now], settings)
    rows = [
        {"feeder": name, "charging_mw": float(d), "plugged_mw": float(plugs), "up_mw": float(up),
         "down_mw": float(down), "both_ways_mw": float(both)}
        for name, d, plugs, up, down, both in zip(names, drawn[now], found.plugged_mw, found.up_mw, found.down_mw,
                                                  found.symmetric_mw, strict=True) if plugs > 0
    ]
    facts = {
        "run": path.name, "time_h": hours, "participating_share": found.share, "feeding_back_share": given["v2g_share"],
        "reserve_up_mw": float(found.up_mw.sum()), "reserve_down_mw": float(found.down_mw.sum()),
        "hold_h": found.hold_h,
        "assumed": f"the largest charging seen is {EV_WEIGHT:.0%} of the plugs; of these a fifth is in use",
    }
    return facts, rows


def supervised(path: Path, at_h: float | None) -> Told:
    """Return what agents told their control rooms last, and who needs a look.

    Raises
    ------
    GridError
        No agents reported in this run, or the time lies outside it.
    """
    with Run(path) as run:
        hours = _moment(run, "feeder", at_h)[1]
        quantity = run.texts("goals", "quantity").astype(str)
        mine = np.isin(quantity, STATE) & (run.column("goals", "t_ms") <= hours * 3_600_000)
        t_ms = run.column("goals", "t_ms")[mine].tolist()
        agent, told = run.texts("goals", "about")[mine].tolist(), run.column("goals", "value")[mine].tolist()
    if not t_ms:
        raise GridError(f"{path}: no agents told how they stand; only distributed control has agents")
    letters: dict[tuple[int, str], dict[str, Any]] = {}
    for when, name, what, value in zip(t_ms, agent, quantity[mine].tolist(), told, strict=True):
        letters.setdefault((when, name), {})[what] = value
    watch = Supervisor(sorted(set(agent)), PATIENCE_MS, "mismatch_pu", PATIENCE_MS)
    watch.take(Message(name, "", "state", values, sent_ms=when) for (when, name), values in letters.items())
    concerns = {c.agent: c.why for c in watch.concerns(round(hours * 3_600_000))}
    rows = [
        {"agent": name, "told_h": record.seen_ms / 3.6e6, **{k: float(record.state.get(k, np.nan)) for k in STATE},
         "concern": concerns.get(name, "none")}
        for name, record in watch.records.items()
    ]
    return {"run": path.name, "time_h": hours, "agents": len(rows), "need_a_look": sorted(concerns)}, rows


def _check(run: Run, kind: str, *quantities: str) -> None:
    if not run.has(kind, *quantities):
        raise GridError(f"{run.path}: was recorded without {kind} {', '.join(quantities)}")


def _moment(run: Run, kind: str, at_h: float | None) -> tuple[int, float]:
    """Return the row and the hours after the start that are meant."""
    t_h = run.seconds(kind) / 3600.0
    if at_h is None:
        return len(t_h) - 1, float(t_h[-1])
    if not t_h[0] - 1e-9 <= at_h <= t_h[-1] + 1e-9:
        raise GridError(f"{run.path}: covers {t_h[0]:.2f} h to {t_h[-1]:.2f} h, not {at_h:g} h")
    row = int(np.abs(t_h - at_h).argmin())
    return row, float(t_h[row])


def _alarms(run: Run, kind: str, until_h: float) -> list[str]:
    """Return what was told by alarms of a kind up to then."""
    mine = run.is_one_of("alarms", "kind", kind) & (run.column("alarms", "t_ms") <= until_h * 3_600_000)
    return [str(text) for text in run.texts("alarms", "text")[mine]]


def _scenario(run: Run) -> dict[str, Any]:
    text = run.attrs.get("scenario_json") or run.provenance.get("scenario_json")
    if not text:
        raise GridError(f"{run.path}: does not say which scenario it was made from")
    found: dict[str, Any] = json.loads(text)
    return found
