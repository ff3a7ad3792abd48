"""A control centre or an agent falls silent: orders run out, devices follow their own laws, and the run tells when."""

import numpy as np
import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.run import run_pairing

MINUTE_MS = 60_000
SILENT, BACK = 30, 50
LIFE, AGENTS_LIFE = 15, 30
"""Minutes that an order for active power lives: the control centre's, an agent's."""


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    """Run a noon with the network of one place down for a while, each once."""
    kept, folder = {}, tmp_path_factory.mktemp("silence")

    def go(architecture, node, until=BACK):
        if (architecture, node) not in kept:
            outage = {"at": f"{SILENT} min", "kind": "comms_outage", "duration": f"{until - SILENT} min", "node": node}
            scenario = load("comms_outage", None, {"time.duration": f"{until + 5} min", "disturbances": [outage]})
            kept[architecture, node] = Run(run_pairing(scenario, architecture, 2, folder / f"{architecture}_{node}"))
        return kept[architecture, node]

    yield go
    for run in kept.values():
        run.close()


def ran_out(run):
    """Return (minute, feeder, words) of each alarm that somebody's last orders in a feeder have run out."""
    told = run.alarms
    mine = told.kind.values == "expired"
    minutes = (told.t_ms.values[mine] / MINUTE_MS).tolist()
    found = list(zip(minutes, told.source.values[mine].tolist(), told.text.values[mine].tolist(), strict=True))
    assert all("own laws" in text for _, _, text in found)
    return found


def curtailed_mw(run):
    return run.values("feeder", "pv_avail_mw") - run.values("feeder", "pv_mw")


def test_orders_of_a_silent_control_centre_run_out_and_the_run_tells_when(hour):
    run = hour("centralized", "dso_1.dms")
    found = ran_out(run)
    assert {feeder for _, feeder, _ in found} == {"dso_1.f01", "dso_1.f02"}, "the other operators' hold"
    assert all(SILENT < minute <= SILENT + LIFE for minute, _, _ in found)
    assert all(text.startswith("dso_1.dms's orders") for _, _, text in found)
    told = run.alarms
    silent = told.t_ms.values[told.kind.values == "telemetry"] / MINUTE_MS
    assert SILENT < silent.min() < min(minute for minute, _, _ in found), "the room itself misses its meters before"


def test_what_was_held_back_is_fed_in_again_from_then_on_until_the_centre_is_back(hour):
    run = hour("centralized", "dso_1.dms")
    lost, last = curtailed_mw(run), int(max(minute for minute, _, _ in ran_out(run)))
    mine = [k for k, name in enumerate(run.labels("feeder")) if name.startswith("dso_1.")]
    assert lost[SILENT - 1, mine].sum() > 1.0, "orders are in force when it falls silent"
    np.testing.assert_allclose(lost[last + 1 : BACK - 1, mine], 0.0, atol=0.01)
    assert lost[BACK + 3, mine].sum() > 1.0


def test_orders_of_a_silent_agent_run_out_in_its_area_and_its_neighbours_hold(hour):
    run = hour("distributed", "dso_1.f02.a1", until=65)
    (told,) = ran_out(run)
    minute, feeder, text = told
    assert feeder == "dso_1.f02"
    assert text.startswith("dso_1.f02.a1's orders of p_max_mw")
    acts = run.actions
    at_min, actor = acts.t_ms.values / MINUTE_MS, acts.actor.values
    mine = at_min[(actor == "dso_1.f02.a1") & (acts.quantity.values == "p_max_mw")]
    told_min = mine[mine < SILENT].max()
    assert -2 <= minute - (told_min + AGENTS_LIFE) <= 0, "life counts from when its last word was sent"
    assert not ((mine > SILENT + 1) & (mine < 65)).any()
    away = (at_min > SILENT + 1) & (at_min < 65)
    assert set(actor[away].tolist()) >= {"dso_1.f02.a0", "dso_1.f02.a2"}


def test_agents_do_not_need_the_centre(hour):
    assert not ran_out(hour("distributed", "dso_1.dms"))


def test_where_nobody_gives_orders_none_run_out(hour):
    assert not ran_out(hour("local", "dso_1.dms"))
