import numpy as np
import pytest

from scenarios.load import load
from scenarios.network import TOPICS, Route, addresses, build, carrier, port_of
from sims.comms.network import Network
from sims.comms.sampled import SampledNetwork
from sims.core.errors import ScenarioError
from sims.core.message import Message


@pytest.fixture
def machines(shared):
    return shared.case.machines.names


def test_everybody_has_one_address(shared, machines):
    names = addresses(shared.places, machines)
    assert len(names) == len(set(names))
    some = {"tso", "gen.G8", "dso_2.dms", "dso_2.crew", "dso_3.i1", "dso_1.f02", "dso_1.f02.a0", "dso_1.f02.s7"}
    assert some <= set(names)


def test_the_order_is_the_same_every_time(shared, machines):
    assert addresses(shared.places, machines) == addresses(shared.places, machines)


@pytest.mark.parametrize(
    ("sender", "receiver"),
    [("dso_1.f01.s7", "dso_1.dms"), ("dso_1.dms", "dso_1.f01.s7"), ("dso_1.f01.a0", "dso_1.i1"), ("tso", "gen.G8"),
     ("dso_1.i1", "dso_3.i1"), ("dso_1.crew", "dso_1.f01"), ("tso", "dso_2.crew"), ("dso_1.f01.a1", "dso_1.f01.a0")],
)  # fmt: skip
def test_mail_finds_its_way(shared, machines, sender, receiver):
    network = build(shared.scenario, shared.places, machines)
    network.send(Message(sender, receiver, "primary"), 0)
    arrived = network.advance(10**13)
    if not arrived:  # lost on a radio link: the next one
        network.send(Message(sender, receiver, "primary"), 10**13)
        arrived = network.advance(2 * 10**13)
    assert [(m.sender, m.receiver) for m in arrived] == [(sender, receiver)]
    assert arrived[0].arrived_ms > 0


def test_a_call_by_telephone_takes_minutes_and_a_fibre_milliseconds(shared, machines):
    network = build(shared.scenario, shared.places, machines)
    network.send(Message("dso_1.dms", "dso_1.crew", "request"), 0)
    network.send(Message("dso_1.dms", "tso", "request"), 0)
    fast, slow = network.advance(10**13)
    assert fast.receiver == "tso"
    assert fast.arrived_ms < 100
    assert slow.arrived_ms > 20_000


def test_an_outage_of_the_scenario_stops_mail_and_ends(shared, machines):
    network = build(shared.scenario, shared.places, machines)  # dso_2.dms is down from 13:30 for 5 min
    for minute in (29, 31, 36):
        network.advance(minute * 60 * 10**9)
        network.send(Message("tso", "dso_2.dms", "u_set", {"minute": minute}), minute * 60 * 10**9)
    network.advance(10**13)
    counts = network.counts()
    assert (counts["sent"], counts["delivered"]) == (3, 2)


def test_technologies_are_the_scenarios(small_path, shared, machines):
    slow = load(small_path, None, {"communication.links": [{"from": "dms", "to": "tso", "technology": "geo"}]})
    arrival = []
    for scenario in (shared.scenario, slow):
        network = build(scenario, shared.places, machines)
        network.send(Message("dso_1.dms", "tso", "request"), 0)
        arrival += [m.arrived_ms for m in network.advance(10**13)]
    assert arrival[0] < 50 < 200 < arrival[1]


@pytest.mark.parametrize(
    ("topic", "receiver", "port"),
    [
        ("command/manage_congestion", "dso_1.f01.s7", "der"),
        ("command/restore_supply", "dso_2.f01", "distribution_dso_2"),
        ("command/support_tso_voltage", "dso_3.i1", "transmission"),
        ("command/balance_cell", "gen.G8", "transmission"),
        ("primary", "dso_1.f01", "control"),
        ("request", "dso_1.crew", "control"),
        ("command/manage_congestion", "dso_1.dms", "control"),
    ],
)
def test_orders_go_to_the_actuators_and_all_else_to_the_sites(shared, topic, receiver, port):
    assert Route(port_of(shared.places))(Message("x", receiver, topic)) == port


def test_topics_are_named_once():
    assert len(TOPICS) == len(set(TOPICS))


def test_outages_of_one_place_that_overlap_are_refused_with_file_and_line(small, write):
    second = '      - {at: "16:05", kind: comms_outage, node: north.dms, duration: 10 min}\n'.replace("      ", "  ")
    head, mark, tail = small.partition("variants:")
    one = second.replace("16:05", "16:00")
    text = head + one + second + mark + tail
    line = text[: text.index("16:05")].count("\n") + 1
    with pytest.raises(ScenarioError, match=rf"winter.yaml:{line}.*north.dms is down then already"):
        load(write(text))
    load(write(text.replace("16:05", "16:10")))


def network(path, machines, shared, **overrides):
    """Return the exact network of the small scenario with other keys."""
    return build(load(path, None, {"disturbances": [], **overrides}), shared.places, machines)


def spec(net, name):
    return next(link for link in net.links if link.label == name)


def test_columns_of_a_link_are_the_scenarios_and_the_others_the_table_s(small_path, shared, machines):
    entry = {
        "from": "dms", "to": "tso", "technology": "lte", "median": "40 ms", "rate_bit_s": 5000, "loss": 0.25,
        "in_order": True, "queue_packets": 7, "duplicate": 0.5,
    }  # fmt: skip
    link = spec(network(small_path, machines, shared, **{"communication.links": [entry]}), "dso_1.dms--tso")
    assert (link.rate, link.loss, link.in_order, link.limit, link.p_duplicate) == (5000, 0.25, True, 7, 0.5)
    assert np.exp(link.mu) == pytest.approx(40e6)
    assert link.sigma == pytest.approx(np.log(80 / 25) / 1.645)  # the spread of lte
    untouched = spec(network(small_path, machines, shared), "dso_1.dms--tso")
    assert (untouched.rate, untouched.limit, untouched.p_duplicate) == (100_000_000, 1000, 0.0)


def test_a_link_between_two_places_is_taken_where_it_is_quicker(small_path, shared, machines):
    entry = {"from": "dso_1.dms", "to": "dso_3.dms", "technology": "ideal"}
    arrivals = []
    for links in ([], [entry]):
        net = network(small_path, machines, shared, **{"communication.links": links})
        net.send(Message("dso_1.dms", "dso_3.dms", "request"), 0)
        arrivals.append(net.advance(10**10)[0].arrived_ms)
    assert arrivals[0] > 0 == arrivals[1]


def test_links_and_places_fail_by_chance_with_the_mean_times_given(small_path, shared, machines):
    net = network(
        small_path, machines, shared,
        **{
            "communication.links": [
                {"from": "primary", "to": "dms", "technology": "fibre", "mtbf": "9 h", "mttr": "1 h"},
            ],
            "communication.random_outages": [
                {"node": "dso_2.dms", "mtbf": "3 h", "mttr": "1 h"},
                {"link": "tso--dso_3.dms", "mtbf": "1 h", "mttr": "1 h"},
            ],
        },
    )  # fmt: skip
    rows = {(row.kind, row.name): row for row in net.disruptions.outages}
    assert rows["link", "dso_1.i1--dso_1.dms"].availability == pytest.approx(0.9)
    assert rows["node", "dso_2.dms"].availability == pytest.approx(0.75)
    assert rows["link", "dso_3.dms--tso"].mttr_ms == 3_600_000
    net.advance(4000 * 3600 * 10**9)
    assert net.availability("dso_2.dms", "node") == pytest.approx(0.75, abs=0.04)


def test_a_link_outage_cuts_one_way_or_both(small_path, shared, machines):
    def arrived(link):
        event = {"at": "1 min", "kind": "link_outage", "duration": "1 min", "link": link}
        net = network(small_path, machines, shared, disturbances=[event])
        net.advance(90 * 10**9)
        net.send(Message("dso_1.f01", "dso_1.i1", "request"), 90 * 10**9)
        net.send(Message("dso_1.i1", "dso_1.f01", "request"), 90 * 10**9)
        return {m.sender for m in net.advance(10**13)}

    assert arrived("dso_1.i1--dso_1.f01") == set()
    assert arrived("dso_1.f01>dso_1.i1") == {"dso_1.i1"}
    assert arrived("dso_1.i1>dso_1.f01") == {"dso_1.f01"}


def test_mail_goes_around_a_link_that_is_down(small_path, shared, machines):
    event = {"at": "1 min", "kind": "link_outage", "duration": "1 min", "link": "dso_1.dms--tso"}
    net = network(small_path, machines, shared, disturbances=[event])
    net.advance(90 * 10**9)
    net.send(Message("dso_1.dms", "tso", "request"), 90 * 10**9)
    assert len(net.advance(10**13)) == 1
    assert net.drain_log()["hops"].tolist() == [4]  # by the interface substations of dso_1 and another DSO


MINE = """
from dataclasses import replace

from sims.comms.attacks import Attack

class Twice(Attack):
    def __init__(self, link, start_ms, end_ms, *, name, topic=""):
        super().__init__(link, start_ms, end_ms, topic=topic)
        self.name = name

    def touch(self, message, now_ms, rng):
        values = {**message.values, self.name: 2 * message.values[self.name]}
        return [(0.0, replace(message, values=values))]

class Other:
    pass
"""


@pytest.mark.parametrize(
    ("event", "heard", "at"),
    [
        ({"kind": "drop"}, [], []),
        ({"kind": "drop", "topic": "command"}, [3.0], [62]),
        ({"kind": "tamper", "bias": {"v_pu": 0.5}}, [3.5], [62]),
        ({"kind": "tamper", "replace": {"v_pu": 1.0}}, [1.0], [62]),
        ({"kind": "delay", "delay": "30 s"}, [3.0], [92]),
        ({"kind": "replay", "delay": "30 s"}, [3.0, 3.0], [62, 92]),
        ({"kind": "flood", "load": 0.5}, [3.0], [62]),
        ({"kind": "attack", "use": "./mine.py:Twice", "settings": {"name": "v_pu"}}, [6.0], [62]),
    ],
)
def test_attacks_are_scheduled_by_the_scenario(small_path, shared, machines, tmp_path, event, heard, at):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "small.yaml").write_bytes(small_path.read_bytes())
    event = {"at": "1 min", "duration": "5 s", "link": "dso_1.dms>tso", **event}
    net = network(tmp_path / "small.yaml", machines, shared, disturbances=[event])
    got = []
    for second in (30, 62, 90, 200):  # before, during and after
        got += net.advance(second * 10**9)
        net.send(Message("dso_1.dms", "tso", "primary", {"v_pu": 3.0, "second": second}), second * 10**9)
    of = {second: [m for m in got if m.values.get("second", 62) == second] for second in (30, 62, 90)}
    assert [m.values["v_pu"] for m in of[62]] == heard
    assert [int(m.arrived_ms / 1000) for m in of[62]] == at
    assert [m.values["v_pu"] for m in of[30] + of[90]] == [3.0, 3.0]
    counts = net.counts()
    assert counts["sent"] == counts["delivered"] + sum(counts["dropped"].values()) + counts["in_flight"]


@pytest.mark.parametrize(
    ("use", "settings", "text"),
    [
        ("./mine.py:Other", {}, "'./mine.py:Other' does not derive from sims.comms.attacks.Attack"),
        ("./mine.py:Twice", {"nome": "v_pu"}, "disturbances.0 Twice: cannot be made with nome: TypeError: "),
    ],
)
def test_a_class_that_is_no_attack_is_refused(small_path, shared, machines, tmp_path, use, settings, text):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "small.yaml").write_bytes(small_path.read_bytes())
    event = {"at": "1 min", "duration": "1 min", "node": "dso_1.dms", "kind": "attack", "use": use}
    event["settings"] = settings
    with pytest.raises(ScenarioError) as caught:
        network(tmp_path / "small.yaml", machines, shared, disturbances=[event])
    assert text in str(caught.value)


def test_who_insists_is_heard_in_spite_of_losses(small_path, shared, machines):
    lossy = [{"from": "dms", "to": "tso", "technology": "fibre", "loss": 0.5}]
    heard = []
    for acknowledged in ([], [{"topic": "request", "retries": 12, "timeout": "1 s", "backoff": 1.0}]):
        keys = {"communication.links": lossy, "communication.acknowledged": acknowledged}
        net = network(small_path, machines, shared, **keys)
        for k in range(100):
            net.send(Message("dso_1.dms", "tso", "request"), k * 10**6)
        heard.append(len(net.advance(10**12)))
    assert heard[0] < 70 < 99 <= heard[1]


def test_places_that_store_forward_when_the_link_is_back(small_path, shared, machines):
    event = {"at": "1 min", "kind": "link_outage", "duration": "1 min", "link": "dso_1.f01--dso_1.i1"}
    heard = []
    for kinds in ([], ["primary"]):
        net = network(small_path, machines, shared, disturbances=[event], **{"communication.store_and_forward": kinds})
        net.advance(90 * 10**9)
        net.send(Message("dso_1.f01", "tso", "request"), 90 * 10**9)
        heard.append([m.arrived_ms > 120_000 for m in net.advance(10**12)])
    assert heard == [[], [True]]


def test_the_sampled_mode_is_a_key(small_path, shared, machines):
    for mode, kind in (("exact", Network), ("sampled", SampledNetwork)):
        scenario = load(small_path, None, {"disturbances": [], "communication.mode": mode})
        assert type(carrier(scenario, shared.places, machines)) is kind


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_mail_to_a_group_reaches_each_of_its_places_and_uses_a_shared_link_once(small_path, shared, machines, mode):
    keys = {"communication.groups": {"desks": ["tso", "dso_1.dms", "dso_2.dms", "dso_3.dms"]}}
    keys |= {"disturbances": [], "communication.mode": mode}
    keys["communication.links"] = [{"between": "cells", "technology": "geo"}]  # so that the TSO is the shorter way
    net = carrier(load(small_path, None, keys), shared.places, machines)
    net.send(Message("dso_1.f01", "desks", "request", ttl_ms=60_000), 0)
    heard = net.advance(10**12)
    assert sorted(m.receiver for m in heard) == ["dso_1.dms", "dso_2.dms", "dso_3.dms", "tso"]
    assert {m.sender for m in heard} == {"dso_1.f01"}
    assert net.counts()["sent"] == 4
    if mode == "exact":
        carried = dict(zip(*(net.traffic()[name].tolist() for name in ("link", "packets")), strict=True))
        assert carried["dso_1.dms--tso:dso_1.dms>tso"] == 1, "for the three beyond"


def test_mail_that_has_outlived_its_time_arrives_nowhere(small_path, shared, machines):
    slow = [{"from": "dms", "to": "tso", "technology": "geo"}]
    net = network(small_path, machines, shared, **{"communication.links": slow})
    for ttl_ms in (0, 1, 10_000):
        net.send(Message("dso_1.dms", "tso", "primary", {"ttl_ms": ttl_ms}, ttl_ms=ttl_ms), 0)
    assert sorted(m.values["ttl_ms"] for m in net.advance(10**12)) == [0, 10_000]
    assert net.counts()["dropped"]["expired"] == 1
