"""The tables of a run's page: who held and acted, cells, storage, communication, alarms, goals, refused acts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from results.compare import number
from results.kpis.responsibility import by_role_and_duty
from results.runfile import Run

MOST = 60
"""Most rows of a list of events; the run file has them all."""
_ARRIVED = ("delivered", "duplicate", "replayed", "in flight", "in_flight")


@dataclass(frozen=True)
class PageTable:
    """A table of texts: the first `names` columns are words, the rest numbers.

    Parameters
    ----------
    note : str
        What stands below it.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    names: int = 1
    note: str = ""


def clock(t_ms: float) -> str:
    """Return a time since the start as hours, minutes and seconds."""
    s = int(t_ms // 1000)
    return f"{s // 3600}:{s % 3600 // 60:02d}:{s % 60:02d}"


def holders(run: Run, duties: Sequence[str]) -> PageTable | None:
    """Return who holds each duty in this pairing, and who acted under it."""
    try:
        held: dict[str, list[str]] = json.loads(str(run.attrs.get("duties", "{}")))
    except ValueError:
        held = {}
    acted = by_role_and_duty(run)
    named = [d for d in (*duties, *sorted({d for _, d in acted} - set(duties))) if d]
    named = [d for d in named if held.get(d) or any(key[1] == d for key in acted)]
    rows = []
    for duty in named:
        done = [f"{role} {good}" for (role, d), (good, _) in acted.items() if d == duty and good]
        refused = sum(bad for (_, d), (_, bad) in acted.items() if d == duty)
        rows.append((duty.replace("_", " "), ", ".join(held.get(duty, [])), ", ".join(done), str(refused or "")))
    return PageTable(("duty", "held by", "acts carried out", "refused"), tuple(rows), 3) if rows else None


def cells(run: Run) -> PageTable | None:
    """Return frequency and exchange of each cell."""
    if not run.has("cell", "f_hz"):
        return None
    span, f_hz = run.spans_s("cell"), run.values("cell", "f_hz").astype(float)
    nominal = float(run.group_attrs("cell").get("f_nominal_hz", 50.0))
    tie = None
    if run.has("cell", "p_tie_mw", "p_sched_mw"):
        tie = run.values("cell", "p_tie_mw").astype(float) - run.values("cell", "p_sched_mw")
    rows = []
    for k, name in enumerate(run.labels("cell")):
        off = np.abs(f_hz[:, k] - nominal)
        rows.append((
            name, number(float(np.nanmin(f_hz[:, k])), "Hz"), number(float(np.nanmax(f_hz[:, k])), "Hz"),
            number(float(span @ (off > 0.05))), number(float(span @ (off > 0.2))),
            number(float(np.nanmax(np.abs(tie[:, k]))) if tie is not None else np.nan),
            number(float(span @ np.nan_to_num(np.abs(tie[:, k]))) / 3600 if tie is not None else np.nan),
        ))  # fmt: skip
    head = ("cell", "lowest (Hz)", "highest (Hz)", "beyond 50 mHz (s)", "beyond 200 mHz (s)",
            "largest tie error (MW)", "tie error (MWh)")  # fmt: skip
    return PageTable(head, tuple(rows))


def machines(run: Run) -> PageTable | None:
    """Return what each machine of the transmission grid gave: the inertia and reserve that stayed connected."""
    if not run.has("gen", "p_mw"):
        return None
    p_mw, span = run.values("gen", "p_mw").astype(float), run.spans_s("gen")
    connected = np.abs(p_mw) > 0
    rows = [
        (name, number(float(p_mw[0, k])), number(float(p_mw[-1, k])), number(float(np.nanmin(p_mw[:, k]))),
         number(float(np.nanmax(p_mw[:, k]))), number(float(span @ connected[:, k]) / 3600))
        for k, name in enumerate(run.labels("gen"))
    ]  # fmt: skip
    return PageTable(
        ("machine", "at the start (MW)", "at the end (MW)", "least (MW)", "most (MW)", "turning with load (h)"),
        tuple(rows),
    )


def storage(run: Run) -> PageTable | None:
    """Return energy moved by storage and vehicles, by DSO."""
    if not run.has("feeder", "storage_mw", "dso"):
        return None
    of, span_h = run.static("feeder", "dso").astype(str), run.spans_s("feeder") / 3600

    def energy(quantity: str, sign: float, mine: Any) -> float:
        if not run.has("feeder", quantity):
            return np.nan
        moved = sign * np.nan_to_num(run.values("feeder", quantity)[:, mine])
        return float(span_h @ np.clip(moved, 0, None).sum(axis=1))

    def level(row: int, mine: Any) -> float:
        if not run.has("feeder", "storage_soc_mwh"):
            return np.nan
        return float(np.nansum(run.values("feeder", "storage_soc_mwh")[row, mine]))

    rows = []
    for dso in dict.fromkeys(of.tolist()):
        mine = np.flatnonzero(of == dso)
        unmet = np.nan
        if run.has("feeder", "ev_unmet_mwh"):
            unmet = float(np.nansum(run.values("feeder", "ev_unmet_mwh")[-1, mine]))
        values = (energy("storage_mw", -1, mine), energy("storage_mw", 1, mine), level(0, mine), level(-1, mine),
                  energy("ev_mw", -1, mine), energy("ev_mw", 1, mine), unmet)  # fmt: skip
        rows.append((dso, *map(number, values)))
    head = ("DSO", "storage charged (MWh)", "discharged (MWh)", "stored at the start (MWh)", "at the end (MWh)",
            "vehicles charged (MWh)", "given back (MWh)", "not charged (MWh)")  # fmt: skip
    return PageTable(head, tuple(rows))


def communication(run: Run) -> PageTable | None:
    """Return messages, latency and losses by topic."""
    if not run.has("messages", "topic", "fate"):
        return None
    topics, topic = run.numbered("messages", "topic")
    came, gone = (run.is_one_of("messages", "fate", "delivered"), ~run.is_one_of("messages", "fate", *_ARRIVED))
    way = run.column("messages", "arrived_ms") - run.column("messages", "sent_ms")
    size_bytes = run.column("messages", "size_bytes")
    rows = []
    for k, name in enumerate(topics):
        mine = np.flatnonzero(topic == k)
        arrived, lost = way[mine][came[mine]], int(gone[mine].sum())
        half, most = np.quantile(arrived, (0.5, 0.95)).tolist() if arrived.size else (np.nan, np.nan)
        size = size_bytes[mine].sum() / 1e3
        rows.append((name, str(mine.size), number(float(size)), number(half), number(most), str(lost or "")))
    return PageTable(
        ("topic", "messages", "kB", "latency, median (ms)", "latency, 95 % (ms)", "lost"), tuple(rows)
    )


def ages(run: Run) -> PageTable | None:
    """Return how old and how good the operators' picture was, over all feeders."""
    if not run.has("estimate", "age_s"):
        return None
    age = run.values("estimate", "age_s").astype(float)
    known = age[np.isfinite(age)]
    if not known.size:
        return None
    columns = [number(float(np.quantile(known, q))) for q in (0.5, 0.95, 1.0)]
    error = run.values("estimate", "v_rmse_pu").astype(float) if run.has("estimate", "v_rmse_pu") else np.zeros(0)
    error = error[np.isfinite(error)]
    rmse = [number(float(np.quantile(error, q)) * 1000) if error.size else "-" for q in (0.5, 0.95)]
    head = ("information on feeders", "age, median (s)", "age, 95 % (s)", "oldest (s)", "voltage error, median (mpu)",
            "voltage error, 95 % (mpu)")  # fmt: skip
    return PageTable(head, (("in use by the operators", *columns, *rmse),))


def _listed(run: Run, table: str, mine: Any, columns: Sequence[tuple[str, str]], names: int) -> PageTable | None:
    if not len(mine):
        return None
    texts = {c: run.texts(table, c) if run.is_coded(table, c) else run.column(table, c) for c, _ in columns}
    rows = [
        tuple(
            clock(texts[c][k]) if c == "t_ms" else number(float(texts[c][k])) if texts[c].dtype.kind == "f"
            else str(texts[c][k]).replace("_", " ")
            for c, _ in columns
        )
        for k in mine[:MOST]
    ]  # fmt: skip
    note = f"The first {MOST} of {len(mine)}." if len(mine) > MOST else ""
    return PageTable(tuple(h for _, h in columns), tuple(rows), names, note)


def alarms(run: Run) -> PageTable | None:
    """Return the alarms in order."""
    if not run.has("alarms", "t_ms"):
        return None
    mine = np.arange(len(run.column("alarms", "t_ms")))
    columns = (("t_ms", "after"), ("source", "from"), ("kind", "what"), ("text", ""), ("value", "value"))
    return _listed(run, "alarms", mine, columns, 4)


def goals(run: Run) -> PageTable | None:
    """Return what each site last told of its goals, and how often it told it."""
    if not run.has("goals", "t_ms") or not len(run.column("goals", "t_ms")):
        return None
    texts = [run.texts("goals", c) for c in ("duty", "source", "about", "quantity")]
    t_ms, value = run.column("goals", "t_ms"), run.column("goals", "value")
    last: dict[tuple[str, ...], list[float]] = {}
    for key, t, v in zip(zip(*texts, strict=True), t_ms.tolist(), value.tolist(), strict=True):
        known = last.setdefault(key, [0, t, v])
        last[key] = [known[0] + 1, t, v]
    rows = [
        (*(part.replace("_", " ") if k in (0, 3) else part for k, part in enumerate(key)), str(int(n)), clock(t),
         number(v))
        for key, (n, t, v) in sorted(last.items())
    ]  # fmt: skip
    note = f"The first {MOST} of {len(rows)}." if len(rows) > MOST else ""
    head = ("duty", "who", "about", "what", "times told", "last after", "last value")
    return PageTable(head, tuple(rows[:MOST]), 4, note)


def refused(run: Run) -> PageTable | None:
    """Return the acts that were refused, in order."""
    if not run.has("actions", "t_ms"):
        return None
    mine = np.flatnonzero(~run.is_one_of("actions", "refused", ""))
    columns = (("t_ms", "after"), ("actor", "who"), ("duty", "duty"), ("asset", "on what"), ("quantity", "what"),
               ("refused", "why refused"), ("value", "value"))  # fmt: skip
    return _listed(run, "actions", mine, columns, 6)


def events(run: Run) -> list[tuple[int, str]]:
    """Return (time [ms], text) of the disturbances that the scenario plans."""
    try:
        listed = json.loads(str(run.attrs.get("events_json", "[]")))
        return sorted((int(e["t_ms"]), str(e["text"])) for e in listed)
    except (ValueError, TypeError, KeyError):
        return []
