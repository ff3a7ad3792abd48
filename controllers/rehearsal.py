"""An hour of mail for one site of the specimen system: quiet, over-voltage, a fault, silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.responsibility import FROM_STAGE
from controllers.specimen import FEEDER, small_belief
from sims.core.message import Message
from sims.core.ports import frozen

PERIOD_MS = 60_000
Post = tuple[int, list[Message]]
"""Time of a decision [ms] and the mail that has come by then."""

FAULT_MINUTE = 40


def stand_ins() -> list[Site]:
    """Return a control room, an area agent, an interface agent and the TSO, each holding every duty."""
    places = (("dso_1.dms", "dms", -1), (f"{FEEDER}.a0", "agent", 0), ("dso_1.i4", "agent", -1), ("tso", "tso", -1))
    mates = {"dso_1.dms": ("tso", "dso_1.crew"), f"{FEEDER}.a0": (f"{FEEDER}.a1", f"{FEEDER}.a3", "dso_1.i4"),
             "dso_1.i4": ("tso", "dso_1.i8", f"{FEEDER}.a0"), "tso": ("dso_1.dms", "dso_1.i4", "dso_1.i8")}
    return [
        Site(name, actor, frozenset(FROM_STAGE), small_belief(area), mates[name], PERIOD_MS,
             np.random.default_rng([2015, k]))
        for k, (name, actor, area) in enumerate(places)
    ]


def day_at(site: Site, minutes: int = 60) -> list[Post]:
    """Return what arrives at `site` minute by minute; the same for the same site.

    Every topic that a site of its role can hear comes up: frames of the specimen's substations, interface and
    ties, letters of its neighbours, an outage from minute 40, and five minutes without any mail.
    """
    rng = np.random.default_rng(20150901)
    mail: list[Post] = []
    for minute in range(minutes):
        now_ms = minute * PERIOD_MS
        level = 1.0 + 0.07 * np.clip((minute - 10) / 10, 0, 1) * (minute < 30)
        box = _frames(site, now_ms, float(level), rng)
        if minute == FAULT_MINUTE:
            box += _fault(site, now_ms)
        if FAULT_MINUTE < minute <= FAULT_MINUTE + 5:
            box.clear()
        mail.append((now_ms, box))
    return mail


def _frames(site: Site, now_ms: int, level: float, rng: np.random.Generator) -> list[Message]:
    def wave(count: int) -> NDArray[np.float64]:
        return level * (1 + 0.002 * rng.standard_normal(count))

    me = site.name
    box: list[Message] = []
    zero, pair = np.zeros(2), np.array([0, 3])
    box.append(_mail(FEEDER, me, "primary", now_ms, v_pu=wave(1), p_mw=-3 * wave(1), q_mvar=0.2 * wave(1),
                     tap_pos=np.zeros(1), loading_percent=12 * wave(1), v_set_pu=np.ones(1), head_line=pair,
                     line_loading_percent=20 * wave(2)))
    if site.actor != "tso" and now_ms % (15 * PERIOD_MS) == 0:
        areas = site.grid.feeders[0].area if site.grid.feeders else np.zeros(8, int)
        box += [
            _mail(f"{FEEDER}.s{node}", me, "secondary", now_ms, node=node, v_pu=float(wave(1)[0]),
                  p_mw=0.5, q_mvar=-0.2, der_avail_mw=1.3, der_mw=1.3)
            for node in range(2, 8) if site.grid.area in (-1, areas[node])
        ]
    if site.actor == "agent":
        box.append(_mail(me, me, "own", now_ms, node=0, v_pu=float(wave(1)[0]), p_mw=0.0, q_mvar=0.0,
                         boundary_line=pair, boundary_p_mw=-1.5 * wave(2), boundary_q_mvar=zero,
                         neighbour_area=np.array([1, 3])))
        if site.grid.area == 0 and now_ms % (5 * PERIOD_MS) == 0:
            box += [_mail(f"{FEEDER}.a{a}", me, "consensus/p", now_ms, ratio=0.9, hold=3) for a in (1, 3)]
            box += [_mail(f"{FEEDER}.a{a}", me, "capacity/q", now_ms, capacity=np.array([1.6])) for a in (1, 3)]
    box.append(_mail("dso_1.i4", me, "interface", now_ms, v_pu=float(wave(1)[0]), v_set_pu=1.0, p_mw=-3.0,
                     q_mvar=-1.0 - 0.1 * level, tap_pos=0.0, loading_percent=30.0))
    cells = {"cell": np.arange(2), "f_hz": 50 + 0.01 * rng.standard_normal(2),
             "p_tie_mw": np.array([40.0, -60.0]) * wave(2), "p_sched_mw": np.array([100.0, -100.0]),
             "inertia_mws": np.array([9000.0, 7000.0]), "largest_mw": np.array([300.0, 400.0])}
    tie: Mapping[str, Any] = cells if site.actor == "tso" else {k: v[0].item() for k, v in cells.items()}
    box.append(_mail("tso", me, "tie", now_ms, **tie))
    if site.actor != "tso" and now_ms % (15 * PERIOD_MS) == 0:
        box.append(_mail("tso", me, "u_set", now_ms, interface="dso_1.i4", v_set_pu=1.01))
    return box


def _fault(site: Site, now_ms: int) -> list[Message]:
    me = site.name
    if site.actor == "tso":
        return []
    return [
        _mail(FEEDER, me, "fault", now_ms, tripped_line=0),
        *(_mail(f"{FEEDER}.s2", me, "fault_indicator", now_ms, line=line, passed=True) for line in (0, 1)),
        _mail(FEEDER, me, "outage_call", now_ms, feeder=FEEDER),
    ]


def _mail(sender: str, receiver: str, topic: str, now_ms: int, **values: Any) -> Message:
    held = {k: frozen(v) if isinstance(v, np.ndarray) else v for k, v in values.items()}
    return Message(sender, receiver, topic, held, sent_ms=now_ms, arrived_ms=float(now_ms))
