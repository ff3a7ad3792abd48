"""Every row of the table by hand: who holds which duty from which stage under which architecture."""

import itertools

import pytest

from controllers.responsibility import (
    ALWAYS_MS,
    ARCHITECTURES,
    DEGENERATE,
    FROM_STAGE,
    STAGES,
    Handover,
    Responsibility,
)

DSO_FROM = {
    "observe": 1, "contain_frequency": 1, "manage_congestion": 2, "control_voltage": 2, "restore_supply": 2,
    "support_tso_voltage": 3, "balance_cell": 4, "provide_inertia": 4,
}
DECIDER = {"local": "device", "centralized": "dms", "distributed": "agent"}
EARLIER = {
    "manage_congestion": "operator", "restore_supply": "crew", "support_tso_voltage": "tso", "balance_cell": "tso",
    "provide_inertia": "tso",
}
ROLES = {
    "dso_1.dms": "dms", "dso_1.f03.a0": "agent", "dso_1.f03.a2": "agent", "dso_1.i4": "agent", "tso": "tso",
    "dso_1.crew": "crew", "dso_1.operator": "operator", "device": "device",
}


def table(architecture, stage):
    return Responsibility(architecture, stage, ROLES)


def test_the_table_names_these_duties_and_no_others():
    assert dict(FROM_STAGE) == DSO_FROM
    assert STAGES == (1, 2, 3, 4)
    assert ARCHITECTURES == ("local", "centralized", "distributed")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("duty", DSO_FROM)
def test_each_cell_of_the_table(architecture, stage, duty):
    held = stage >= DSO_FROM[duty]
    rules = table(architecture, stage)
    assert rules.held(duty) == held
    holders = rules.holders(duty)
    if held:
        assert DECIDER[architecture] in holders
        assert "device" in holders, "laws inside the devices are there in every pairing"
        assert "tso" not in holders
        others = set(DECIDER.values()) - {DECIDER[architecture], "device"}
        assert not holders & others
        assert ("crew" in holders) == (duty == "restore_supply"), "a crew may always switch by hand"
        assert ("operator" in holders) == (duty == "manage_congestion"), "and an operator answer a call"
    else:
        assert holders == ({EARLIER[duty]} if duty in EARLIER else set())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_duties_only_grow_with_the_stage(architecture):
    for role in ("dms", "agent", "device", "crew", "operator"):
        duties = [table(architecture, stage).duties_of(role) for stage in STAGES]
        assert all(a <= b for a, b in itertools.pairwise(duties))
    tso = [table(architecture, stage).duties_of("tso") for stage in STAGES]
    assert tso == [
        {"support_tso_voltage", "balance_cell", "provide_inertia"},
        {"support_tso_voltage", "balance_cell", "provide_inertia"},
        {"balance_cell", "provide_inertia"},
        set(),
    ]


def test_the_tsos_secondary_control_ends_where_the_cell_takes_over_also_under_local():
    for architecture in ARCHITECTURES:
        assert table(architecture, 3).authorize("tso", "balance_cell", "gen.GENROU_1", 0) is None
        assert "not by tso" in table(architecture, 4).authorize("tso", "balance_cell", "gen.GENROU_1", 0)


def test_the_tso_never_commands_der():
    for architecture in ARCHITECTURES:
        for stage in STAGES:
            for duty in DSO_FROM:
                assert table(architecture, stage).authorize("tso", duty, "dso_1.f03.s17", 0) is not None


@pytest.mark.parametrize(("actor", "asset", "allowed"), [
    ("dso_1.f03.a0", "dso_1.f03", True), ("dso_1.f03.a2", "dso_1.f03.s17", True),
    ("dso_1.f03.a2", "dso_1.f04.s17", False), ("dso_1.f03.a2", "dso_1.f031.s17", False),
    ("dso_1.f03.a2", "dso_1.i4", False), ("dso_1.f03.a2", "dso_2.f03.s17", False),
    ("dso_1.i4", "dso_1.i4", True), ("dso_1.i4", "dso_1.f03.s17", True), ("dso_1.i4", "dso_2.i4", False),
    ("dso_1.i4", "gen.GENROU_1", False),
])
def test_an_agents_reach(actor, asset, allowed):
    verdict = table("distributed", 4).authorize(actor, "control_voltage", asset, 0)
    assert (verdict is None) == allowed
    assert allowed or asset in verdict


@pytest.mark.parametrize(("asset", "allowed"), [
    ("dso_1.f03", True), ("dso_1.f11.s2", True), ("dso_1.i4", True), ("dso_2.f03", False), ("dso_11.f03", False),
    ("gen.GENROU_1", False),
])
def test_a_control_rooms_reach_is_its_dso(asset, allowed):
    verdict = table("centralized", 4).authorize("dso_1.dms", "restore_supply", asset, 0)
    assert (verdict is None) == allowed


@pytest.mark.parametrize(("architecture", "actor"), [("centralized", "dso_1.dms"), ("distributed", "dso_1.i4")])
@pytest.mark.parametrize(("stage", "duty", "station", "rule"), [
    (4, "balance_cell", "gen.G1", None), (4, "balance_cell", "gen.G9", "not dso_1"),
    (3, "balance_cell", "gen.G1", "held by tso"), (4, "manage_congestion", "gen.G1", "not dso_1"),
])
def test_the_reserve_of_a_station_is_called_by_who_balances_its_cell(architecture, actor, stage, duty, station, rule):
    rules = Responsibility(architecture, stage, ROLES, reserves={actor: frozenset({"gen.G1"})})
    verdict = rules.authorize(actor, duty, station, 0)
    expected = rule if rule is None or "held" in rule else f"{station} is not {actor}'s to move"
    assert verdict is None if expected is None else expected in verdict
    assert rules.authorize("dso_1.f03.a0", duty, station, 0) is not None


def test_refusals_say_why():
    rules = table("centralized", 2)
    assert "'contral_voltage' is no duty" in rules.authorize("dso_1.dms", "contral_voltage", "dso_1.f03", 0)
    assert "nobody in this run" in rules.authorize("dso_9.dms", "control_voltage", "dso_9.f03", 0)
    assert rules.authorize("dso_1.f03.a0", "control_voltage", "dso_1.f03", 0) == (
        "control_voltage at stage 2 is held by device, dms, not by agent"
    )
    assert "held by nobody" in table("centralized", 1).authorize("dso_1.dms", "control_voltage", "dso_1.f03", 0)
    assert "held by operator" in table("centralized", 1).authorize("dso_1.dms", "manage_congestion", "dso_1.f03", 0)


def test_a_table_of_ones_own_is_obeyed():
    early = Responsibility("centralized", 1, ROLES, {**FROM_STAGE, "control_voltage": 1})
    assert early.authorize("dso_1.dms", "control_voltage", "dso_1.f03", 0) is None


def test_degenerate_pairings_exist():
    assert all(a in ARCHITECTURES and s in STAGES for a, s in DEGENERATE)
    assert {("local", 4), ("local", 3), ("centralized", 1)} <= set(DEGENERATE)


HANDED = (Handover(3_600_000, "support_tso_voltage", True), Handover(7_200_000, "support_tso_voltage", False))


def test_a_duty_changes_hands_at_its_time_and_back():
    rules = Responsibility("centralized", 2, ROLES, handovers=HANDED[::-1])
    duty, act = "support_tso_voltage", ("dso_1.dms", "support_tso_voltage", "dso_1.f03.s4")
    assert [rules.held(duty, t) for t in (0, 3_599_999, 3_600_000, 7_199_999, 7_200_000)] == [
        False, False, True, True, False
    ]
    assert rules.held_spans_ms(duty) == ((3_600_000, 7_200_000),)
    for _ in range(2):  # the second time from what is known already
        assert rules.authorize(*act, 3_599_999) == "support_tso_voltage at stage 2 is held by tso, not by dms"
        assert rules.authorize(*act, 3_600_000) is None
        assert rules.authorize(*act, 9_000_000) == (
            "support_tso_voltage at stage 2 is held by tso since 120 min, not by dms"
        )
        assert rules.authorize("tso", duty, "gen.G1", 0) is None
        assert "is held by device, dms since 60 min, not by tso" in rules.authorize("tso", duty, "gen.G1", 3_600_000)
    assert "support_tso_voltage" in rules.duties_of("dms")
    assert "support_tso_voltage" in rules.duties_of("tso")


def test_what_is_not_handed_over_stays():
    rules = Responsibility("centralized", 2, ROLES, handovers=HANDED)
    assert not rules.ever_held("balance_cell")
    assert rules.held_spans_ms("control_voltage") == ((0, ALWAYS_MS),)
    assert not rules.changes_hands("control_voltage")


def test_a_duty_that_the_stage_gives_can_be_handed_back():
    rules = Responsibility("distributed", 4, ROLES, handovers=(Handover(60_000, "balance_cell", False),))
    assert rules.held_spans_ms("balance_cell") == ((0, 60_000),)
    assert rules.holders("balance_cell", 60_000) == {"tso"}
    assert rules.holders("balance_cell", 0) == {"device", "agent"}
