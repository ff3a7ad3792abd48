"""Run files made with the real writer: tiny ones with round numbers, and a plausible day for pictures."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from results.kpis.table import kpi_places
from results.layout import EventTable, Kind, Quantity, action_table, alarm_table, goal_table, message_table, unit_of
from results.recorder import RunWriter
from results.runfile import Run
from sims.core.orders import Action

START = "2026-06-21T00:00:00+00:00"
FATES = ("delivered", "duplicate", "replayed", "lost", "link_down")


def _quantity(name: str) -> Quantity:
    return Quantity(name, unit_of(name), name.replace("_", " "), dtype="f8")


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Write kind -> {quantity: array (time, labels)} with a row every `every_s`, and open it."""
    count = iter(range(1000))

    def make(
        kinds: Mapping[str, Mapping[str, Any]],
        *,
        every_s: float = 60.0,
        labels: Mapping[str, Sequence[str]] = {},
        static: Mapping[str, Mapping[str, Any]] = {},
        attrs: Mapping[str, Mapping[str, Any]] = {},
        actions: Sequence[Action] | None = None,
        messages: Mapping[str, Any] | None = None,
        roles: Mapping[str, str] | None = None,
    ) -> Run:
        arrays = {k: {q: np.asarray(v, float) for q, v in qs.items()} for k, qs in kinds.items()}
        arrays = {k: {q: v[:, None] if v.ndim == 1 else v for q, v in qs.items()} for k, qs in arrays.items()}
        declared = []
        for kind, qs in arrays.items():
            n = next(iter(qs.values())).shape[1]
            names = labels.get(kind, [f"{kind}{i}" for i in range(n)])
            declared.append(
                Kind(
                    kind,
                    names,
                    [_quantity(q) for q in qs],
                    static.get(kind, {}),
                    int(every_s * 1000),
                    attrs.get(kind, {}),
                )
            )
        tables: list[EventTable] = []
        if actions is not None:
            actors = sorted({a.actor for a in actions})
            tables.append(action_table({"actor": actors, "duty": sorted({a.duty for a in actions})}, roles))
        if messages is not None:
            tables.append(message_table(["a", "b", "c"], ["t", "secondary", "command/control_voltage"], FATES))
        path = tmp_path / f"run{next(count)}.h5"
        with RunWriter(
            path, attrs={"title": "t"}, start_iso=START, kinds=declared, events=tables, kpis=kpi_places()
        ) as w:
            for kind, qs in arrays.items():
                for row in range(len(next(iter(qs.values())))):
                    w.append(kind, int(row * every_s * 1000), {q: v[row] for q, v in qs.items()})
            if actions:
                columns = [c.name for c in tables[0].columns]
                w.append_events("actions", {c: [getattr(a, c) for a in actions] for c in columns})
            if messages is not None:
                n = len(messages["sent_ms"])
                base = {
                    "sender": np.zeros(n, int),
                    "receiver": np.ones(n, int),
                    "topic": np.zeros(n, int),
                    "hops": np.ones(n, int),
                }
                w.append_events("messages", base | dict(messages))
        return Run(path)

    return make


def write_day(
    path: Path, architecture: str, stage: int, seed: int = 1, name: str = "", degenerate: str = ""
) -> Path:
    """Write a summer day of two feeders: load, sun, voltages that rise with export, a 30-min outage.

    Later stages curtail what would overload; with more than local control the voltage is held closer.
    """
    rng = np.random.default_rng([seed, 7])
    t_min = np.arange(0, 1440, 5)
    n_bus, n_line = 40, 38
    sun = np.clip(np.sin((t_min - 330) / 900 * np.pi), 0, None) * (t_min < 1230) * (0.9 + 0.1 * rng.random(t_min.size))
    load = 0.45 + 0.25 * np.exp(-(((t_min - 1140) / 150) ** 2)) + 0.15 * np.exp(-(((t_min - 480) / 120) ** 2))
    size = np.array([14.0, 9.0])
    grip = {"local": 0.75, "centralized": 0.45, "distributed": 0.55}[architecture] if stage >= 2 else 1.0
    avail = sun[:, None] * size * 1.6
    cap = np.where(stage >= 2, {"local": 0.7, "centralized": 0.86, "distributed": 0.8}[architecture], 1.0) * size * 1.6
    pv = np.minimum(avail, cap)
    load_mw = -load[:, None] * size
    loss = 0.01 * (pv + load_mw) ** 2 / size
    p_term = pv + load_mw - loss
    out = np.where((t_min >= 600) & (t_min < (690 if stage == 1 or architecture == "local" else 605)), 1.0, 0.0)
    depth = np.linspace(0.1, 1.0, n_bus // 2)
    vm = np.concatenate([1.0 + grip * 0.09 * (p_term[:, [f]] / size[f]) * depth for f in (0, 1)], axis=1)
    vm = vm + 0.001 * rng.standard_normal(vm.shape)
    vm[out > 0, 30:40] = np.nan
    line_feeder = np.arange(n_line) % 2
    loading = np.abs(p_term)[:, line_feeder] / size[line_feeder] * np.linspace(105, 10, n_line)
    seconds = np.arange(0, 86_400, 60)
    hit = np.clip(seconds - 43_200, 0, None)
    shape = np.where(hit > 0, np.exp(-hit / (900 if stage == 4 and architecture != "local" else 4e4)), 0.0)
    tie = np.stack([-300 * shape, 200 * shape, 100 * shape], axis=1) + 2 * rng.standard_normal((seconds.size, 3))
    f_hz = 50 - 0.09 * shape[:, None] + 0.006 * rng.standard_normal((seconds.size, 3))
    q = -0.25 * p_term + 0.3 * rng.standard_normal(p_term.shape)
    q_ref = (
        -2.0 * np.sin(t_min / 1440 * 2 * np.pi)[:, None] * np.ones(2) if stage >= 3 else np.full(p_term.shape, np.nan)
    )
    if stage >= 3 and architecture != "local":
        q = q_ref + 0.2 * rng.standard_normal(q.shape)
    ring = np.arange(n_bus)
    x = name or "feeder"
    five = 300_000

    def quantities(*names: str) -> list[Quantity]:
        return [Quantity(n, unit_of(n), n.replace("_", " ")) for n in names]

    feeders, interfaces = [f"{x} north", f"{x} south"], [f"{name}ptcc 1", f"{name}ptcc 2"]
    kinds = [
        Kind("bus", [f"{x} bus {i}" for i in range(n_bus)], quantities("vm_pu"), {
            "vn_kv": np.full(n_bus, 20.0), "lon": 7 + 0.01 * ring * np.cos(0.9 * ring),
            "lat": 51 + 0.006 * ring * np.sin(0.9 * ring),
            "feeder": [feeders[i // 20] for i in range(n_bus)], "dso": ["dso"] * n_bus,
        }, five, {"v_min_pu": 0.94, "v_max_pu": 1.06}),
        Kind("line", [f"line {i}" for i in range(n_line)], quantities("loading_percent"),
             {"feeder": [feeders[i] for i in line_feeder],
              "from_bus": [f"{x} bus {20 * (i % 2) + i // 2}" for i in range(n_line)],
              "to_bus": [f"{x} bus {20 * (i % 2) + i // 2 + 1}" for i in range(n_line)]}, five),
        Kind("trafo", ["t1", "t2"], quantities("loading_percent", "tap_pos"), {}, five),
        Kind("feeder", feeders, quantities(
            "p_mw", "q_mvar", "loss_mw", "load_mw", "pv_mw", "pv_avail_mw", "storage_mw", "ev_mw", "ev_unmet_mwh",
            "customers", "customers_out", "unserved_mw",
        ), {"dso": ["dso", "dso"], "interface": interfaces}, five),
        Kind("interface", interfaces, quantities("p_mw", "q_mvar", "v_pu", "v_set_pu", "q_ref_mvar", "q_band_mvar"),
             {"vn_kv": np.full(2, 110.0), "dso": ["dso", "dso"]}, five),
        Kind("cell", ["cell 1", "cell 2", "cell 3"], quantities("f_hz", "p_tie_mw", "p_sched_mw"), {}, 60_000),
        Kind("estimate", feeders, quantities("v_rmse_pu", "v_max_err_pu", "age_s"), {}, five),
    ]  # fmt: skip
    actor, role = {
        "local": ("device", "device"), "centralized": (f"{name}dso.dms", "dms"),
        "distributed": (f"{name}dso.a1", "agent"),
    }[architecture]  # fmt: skip
    roles = {actor: role, f"{name}tso": "tso", "crew": "crew"}
    duties = ["observe", "contain_frequency", "manage_congestion", "control_voltage", "restore_supply",
              "support_tso_voltage", "balance_cell", "provide_inertia"]  # fmt: skip
    held = {1: 2, 2: 5, 3: 6, 4: 8}[stage]
    messages = {"local": 0, "centralized": 4000, "distributed": 9000}[architecture]
    events = [
        action_table({"actor": list(roles), "duty": duties}, roles), alarm_table({"source": [f"{name}dso"]}),
        message_table([f"{name}dso", "rtu"], ["measurement", "command"], FATES), goal_table({"duty": duties}),
    ]  # fmt: skip
    attrs = {
        "title": f"{name}summer day", "scenario": f"{name}summer", "architecture": architecture, "stage": stage,
        "seed": seed, "degenerate": degenerate,
        "disturbances": f"{name}12:00 loss of 300 MW in cell 1; 10:00 fault on {x} south",
        "duties": json.dumps({"observe": [role], "balance_cell": [f"{name}tso"]}),
        "events_json": json.dumps([{"t_ms": 43_200_000, "text": f"{name}loss of 300 MW in cell 1"}]),
        "provenance": {"gridseam": "0.1.0", "written": f"{name}2026-06-22"},
    }  # fmt: skip
    with RunWriter(path, attrs=attrs, start_iso=START, kinds=kinds, events=events, kpis=kpi_places()) as w:
        for k, minute in enumerate(t_min):
            t_ms = int(minute) * 60_000
            w.append("bus", t_ms, {"vm_pu": vm[k]})
            w.append("line", t_ms, {"loading_percent": loading[k]})
            w.append("trafo", t_ms, {
                "loading_percent": np.abs(p_term[k]) / size * 95, "tap_pos": np.round(-2 * p_term[k] / size),
            })  # fmt: skip
            w.append("feeder", t_ms, {
                "p_mw": p_term[k], "q_mvar": q[k], "loss_mw": loss[k], "load_mw": load_mw[k], "pv_mw": pv[k],
                "pv_avail_mw": avail[k], "storage_mw": 0.1 * (0.5 - sun[k]) * size, "ev_mw": 0.1 * load_mw[k],
                "ev_unmet_mwh": [0.0, 0.1 * k / 288], "customers": [5000, 3000], "customers_out": [0, 1500 * out[k]],
                "unserved_mw": [0, 2.0 * out[k]],
            })  # fmt: skip
            v_set = np.full(2, 1.02) if stage >= 3 else np.full(2, np.nan)
            w.append("interface", t_ms, {
                "p_mw": p_term[k], "q_mvar": q[k], "v_pu": 1.02 + 0.01 * np.sin(minute / 100), "v_set_pu": v_set,
                "q_ref_mvar": q_ref[k], "q_band_mvar": np.full(2, 5.0),
            })  # fmt: skip
            age = {"local": 900.0, "centralized": 5.0, "distributed": 2.0}[architecture]
            w.append("estimate", t_ms, {"v_rmse_pu": age * 1e-5, "v_max_err_pu": age * 3e-5, "age_s": age})
        for k, second in enumerate(seconds):
            w.append("cell", int(second) * 1000, {"f_hz": f_hz[k], "p_tie_mw": tie[k], "p_sched_mw": np.zeros(3)})
        acts = [
            Action(int(m) * 60_000, actor, duties[d], f"{x} north", "p_max_mw", float(m % 7), 3,
                   "" if (m // 30) % 9 else f"{name}not yours to move")
            for d in range(held) for m in range(60 + 20 * d, 1440, 45 + 15 * d)
        ]  # fmt: skip
        acts += [Action(620 * 60_000, "crew", "restore_supply", f"{x} south", "closed", 1.0)]
        acts += [
            Action(m * 60_000, f"{name}tso", "balance_cell", "gen.1", "p_delta_mw", 5.0) for m in range(720, 900, 20)
        ]
        acts.sort(key=lambda a: a.t_ms)
        w.append_events("actions", {c.name: [getattr(a, c.name) for a in acts] for c in events[0].columns})
        w.append_events("alarms", {
            "t_ms": [600 * 60_000], "source": [f"{name}dso"], "kind": ["outage"],
            "text": [f"{x} south is dark"], "value": [1500.0],
        })  # fmt: skip
        w.append_events("goals", {
            "t_ms": [600_000, 900_000], "source": [actor] * 2, "duty": ["manage_congestion"] * 2,
            "about": [f"{x} south"] * 2, "quantity": ["curtailed_mw"] * 2, "value": [0.5, 0.25],
        })  # fmt: skip
        if messages:
            sent = np.sort(rng.uniform(0, 86_400_000, messages))
            fate = np.where(rng.random(messages) < 0.01, 3, 0)
            way = np.where(fate == 0, rng.lognormal(np.log(25), 0.5, messages), np.nan)
            w.append_events("messages", {
                "sender": np.ones(messages, int), "receiver": np.zeros(messages, int),
                "topic": np.zeros(messages, int),
                "sent_ms": sent, "arrived_ms": sent + way, "size_bytes": np.full(messages, 120),
                "hops": np.full(messages, 2),
                "fate": fate,
            })  # fmt: skip
    return path


@pytest.fixture
def day_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a plausible day for a pairing; returns the path."""

    def make(architecture: str, stage: int, **kwargs: Any) -> Path:
        tag = "x" if kwargs.get("name") else ""
        return write_day(tmp_path / f"{architecture}_{stage}{tag}.h5", architecture, stage, **kwargs)

    return make
