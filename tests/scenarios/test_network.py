import pytest

from scenarios.load import load
from scenarios.network import TOPICS, Route, addresses, build, port_of
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
