import pytest

from sims.comms.topology import Place, Rule, build_network
from sims.core.errors import ScenarioError
from sims.core.message import Message

PLACES = [
    {"name": "tso", "kind": "tso"},
    {"name": "dms_n", "kind": "dms", "parent": "tso"},
    {"name": "dms_s", "kind": "dms", "parent": "tso"},
    {"name": "p1", "kind": "primary", "parent": "dms_n"},
    {"name": "p2", "kind": "primary", "parent": "dms_s"},
    {"name": "s1", "kind": "substation", "parent": "p1"},
    {"name": "s2", "kind": "substation", "parent": "p1"},
    {"name": "s3", "kind": "substation", "parent": "p1", "stores": True},
    {"name": "s4", "kind": "substation", "parent": "p2"},
]
RULES = [
    {"kind": "substation", "to": "parent", "via": "lte450"},
    {"kind": "primary", "to": "dms", "via": "fibre"},
    {"kind": "dms", "to": "parent", "via": "fibre", "overrides": {"median_ms": 8.0, "p95_ms": 9.0}},
]


def labels(net):
    return sorted({link.label for link in net.links})


def test_rules_join_kinds_to_what_is_above_them():
    net = build_network(RULES, PLACES, seed=1)
    assert labels(net) == sorted(
        ["s1--p1", "s2--p1", "s3--p1", "s4--p2", "p1--dms_n", "p2--dms_s", "dms_n--tso", "dms_s--tso"]
    )
    net.send(Message("s1", "s4", "m"), 0)
    (got,) = net.advance(10**10)
    path = net.routes.path(net.index["s1"], net.index["s4"])
    assert [net.names[link.dst] for link in path] == ["p1", "dms_n", "tso", "dms_s", "p2", "s4"]
    assert got.arrived_ms > 8.0
    assert [net.nodes[net.index[name]].stores for name in ("s2", "s3")] == [False, True]


def test_a_rule_reaches_over_a_missing_kind():
    rules = [{"kind": "substation", "to": "dms", "via": "lte"}, {"kind": "primary", "to": "parent", "via": "fibre"}]
    net = build_network([*rules, RULES[2]], PLACES)
    assert "s1--dms_n" in labels(net)
    assert "s4--dms_s" in labels(net)
    assert "s4--dms_n" not in labels(net)


def test_neighbours_are_siblings_in_a_row_unless_named():
    net = build_network([*RULES, {"kind": "substation", "to": "neighbour", "via": "rf_mesh"}], PLACES)
    assert [name for name in labels(net) if name.startswith("s") and "--s" in name] == ["s1--s2", "s2--s3"]
    named = [dict(place) for place in PLACES]
    named[5]["neighbours"] = ("s3", "s4")
    named[7]["neighbours"] = ("s1",)
    net = build_network([*RULES, Rule("substation", "neighbour", "rf_mesh")], named)
    assert [name for name in labels(net) if name.startswith("s") and "--s" in name] == ["s1--s3", "s1--s4"]


def test_equals_are_joined_pairwise_once():
    net = build_network([*RULES, Rule("dms", "dms", "fibre")], PLACES)
    assert [name for name in labels(net) if name.startswith("dms_n--dms")] == ["dms_n--dms_s"]
    assert "dms_s--dms_n" not in labels(net)


def test_a_kind_below_is_reached_from_above_without_strangers():
    net = build_network([*RULES[:2], Rule("tso", "dms", "phone"), RULES[2]], PLACES)
    assert "tso--dms_n" in labels(net)
    net = build_network([*RULES, Rule("dms", "substation", "phone", topic="call")], PLACES)
    assert [n for n in labels(net) if n.startswith("dms") and "--s" in n] == [
        "dms_n--s1", "dms_n--s2", "dms_n--s3", "dms_s--s4",
    ]  # fmt: skip


def test_a_second_link_of_a_pair_is_named_after_its_technology():
    net = build_network([*RULES, Rule("dms", "parent", "phone", topic="command/")], PLACES)
    assert "dms_n--tso/phone" in labels(net)
    net.send(Message("tso", "dms_n", "command/p"), 0)
    net.send(Message("tso", "dms_n", "price"), 0)
    slow, fast = {m.topic: m.arrived_ms for m in net.advance(10**14)}, None
    fast, slow = slow["price"], slow["command/p"]
    assert fast < 20.0 < 30_000.0 < slow


def test_a_repair_time_makes_links_fail_with_the_table_s_availability():
    net = build_network([Rule("substation", "parent", "lte450", mttr_min=240.0), *RULES[1:]], PLACES)
    (first, *others) = net.disruptions.outages
    assert len(others) == 3
    assert first.name == "s1--p1"
    assert first.availability == pytest.approx(0.9995)
    assert first.mttr_ms == 240 * 60_000


def test_options_reach_the_network():
    net = build_network(RULES, PLACES, groups={"north": ["s1", "s2"]}, topics=["price"])
    net.send(Message("tso", "north", "price"), 0)
    assert len(net.advance(10**10)) == 2


@pytest.mark.parametrize(
    ("rules", "places", "text"),
    [
        ([Rule("substation", "parent", "lte455")], PLACES, r"lte455.*did you mean lte450"),
        ([Rule("substations", "parent", "lte")], PLACES, "did you mean substation"),
        ([Rule("substation", "parents", "lte")], PLACES, "did you mean parent"),
        ([Rule("substation", "parent", "lte", {"loss": 3.0})], PLACES, "not a probability"),
        (RULES, [*PLACES, Place("s9", "substation", "p7")], r"parent: 'p7' is not a node"),
        (RULES, [*PLACES, Place("s9", "substation", "p1", ("s8",))], "neighbours: 's8' is not a node"),
        (RULES, [*PLACES, Place("s9", "station", "p1")], "'station' is not one of"),
        (RULES, [*PLACES, Place("s1", "substation", "p1")], "names are unique"),
        (RULES[1:], PLACES, "no links lead from 's1' to 'p1'; add a rule"),
        ([Rule("substation", "parent", "lte", mttr_min=-1.0), *RULES], PLACES, "0 .never fails. or above"),
    ],
)
def test_impossible_topologies_are_refused(rules, places, text):
    with pytest.raises(ScenarioError, match=text):
        build_network(rules, places)


def test_faults_of_all_rules_and_places_come_together():
    with pytest.raises(ScenarioError) as refused:
        build_network([Rule("x", "y", "z")], [Place("a", "b", "c")])
    assert {problem.field for problem in refused.value.problems} == {"kind", "parent", "to", ""}
