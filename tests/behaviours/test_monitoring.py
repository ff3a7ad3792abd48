"""What sites watch and aim at reaches the run file: alarms when something begins, goals of whoever holds a duty."""

import pytest

from scenarios.places import places

FAULT_MS = 4 * 60_000


def alarms(run):
    found = run.alarms
    return list(zip(*(found[c].values.tolist() for c in ("t_ms", "source", "kind", "text", "value")), strict=True))


def goals(run):
    found = run.events("goals")
    columns = ("t_ms", "source", "duty", "about", "quantity", "value")
    return list(zip(*(found[c].values.tolist() for c in columns), strict=True))


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_the_control_room_is_told_of_the_trip_once_and_within_a_second(runs, stage):
    trips = [a for a in alarms(runs["centralized", stage]) if a[2] == "trip"]
    assert [(a[1], a[3].partition(":")[0]) for a in trips] == [("dso_1.dms", "dso_1.f01")]
    assert 0 <= trips[0][0] - FAULT_MS < 1000


def test_without_supervision_nobody_raises_an_alarm_but_people(runs):
    assert {a[1].rpartition(".")[2] for a in alarms(runs["local", 4])} <= {"operator"}


def test_every_agent_is_supervised_by_its_control_room(runs, scenario):
    expected = {agent for feeder in places(scenario).feeders for agent in feeder.agents}
    for stage in (1, 2, 3, 4):
        told = [g for g in goals(runs["distributed", stage]) if g[4] == "v_high_pu"]
        assert {g[3] for g in told} == expected
        assert all(source == f"{agent.partition('.')[0]}.dms" for _, source, _, agent, _, _ in told)
        agreed = [g[5] for g in goals(runs["distributed", stage]) if g[4] == "mismatch_pu"]
        assert agreed
        assert sorted(agreed)[len(agreed) // 2] < 1e-3, "most areas agree at their edges"


@pytest.mark.parametrize("architecture", ["centralized", "distributed"])
def test_every_cell_accounts_for_its_inertia_and_cells_come_to_the_same_trade(runs, architecture):
    account = {}
    for t_ms, _, duty, cell, quantity, value in goals(runs[architecture, 4]):
        if duty == "provide_inertia":
            account.setdefault(cell, {})[quantity] = value
            assert t_ms < 20 * 60_000
    assert set(account) == {"cell_1", "cell_2", "cell_3"}
    for told in account.values():
        assert told["own_mws"] > 1000.0
        assert told["needed_mws"] > 0.0
        assert told["lent_mws"] <= told["deliverable_mws"] + 1e-6
        assert told["borrowed_mws"] <= told["receivable_mws"] + 1e-6
        assert min(told["lent_mws"], told["borrowed_mws"]) == 0.0, "nobody does both"
    assert not [g for g in goals(runs[architecture, 3]) if g[2] == "provide_inertia"]


def test_the_control_room_knows_what_its_batteries_hold(runs):
    run = runs["centralized", 2]
    rows = run.values("feeder", "storage_soc_mwh")
    mine = [k for k, name in enumerate(run.labels("feeder")) if name.startswith("dso_2.")]
    told = [(t_ms, value) for t_ms, source, _, _, quantity, value in goals(run)
            if (source, quantity) == ("dso_2.dms", "stored_mwh")]
    assert len(told) >= 2
    for t_ms, value in told:
        # The telegram is of a minute before, and exact to a third of a percent of each battery.
        truth = rows[max(t_ms // 60_000 - 1, 0), mine].sum()
        assert value == pytest.approx(truth, rel=0.02)
