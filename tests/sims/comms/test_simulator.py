import pickle

import numpy as np
import pytest

from sims.comms.ledger import COUNTERS
from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.sampled import SampledNetwork
from sims.comms.simulator import CommsSimulator
from sims.comms.technology import technology
from sims.core.bundle import Addresses, Bundle, unbundled
from sims.core.clock import next_tick
from sims.core.errors import ModelError, ScenarioError
from sims.core.harness import Harness
from sims.core.message import Message
from sims.core.ports import Ports, Step, items


def tech(ms, **overrides):
    return technology("ideal", median_ms=ms, p95_ms=ms, **overrides)


def network(ms=22.0, **options):
    return Network(["sub", "dms"], [LinkSpec("sub", "dms", tech(ms))], seed=1, **options)


class Sender:
    """Sends `times` messages every period."""

    ports = Ports(tells=("outbox",))

    def __init__(self, period_ms, name="sub", receiver="dms", times=1):
        self.period_ms, self.name, self.receiver, self.times = period_ms, name, receiver, times

    def step(self, now_ms, inputs):
        out = [Message(self.name, self.receiver, "m", {"i": i}, now_ms) for i in range(self.times)]
        return Step(next_tick(now_ms, self.period_ms), {"outbox": out})

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


class Listener:
    """Notes when it heard what; steps of its own come every period."""

    ports = Ports(hears=("mail",))

    def __init__(self, period_ms=60_000):
        self.period_ms = period_ms
        self.heard = []

    def step(self, now_ms, inputs):
        self.heard += [(now_ms, message) for message in items(inputs, "mail")]
        return Step(next_tick(now_ms, self.period_ms))

    def get_state(self):
        return {}

    def set_state(self, state):
        pass


def run(comms, until_ms, senders, listener):
    with Harness() as world:
        world.add("comms", comms)
        world.add("host", listener)
        world.connect("comms", "control", "host", "mail")
        for i, sender in enumerate(senders):
            world.add(f"sender_{i}", sender)
            world.connect(f"sender_{i}", "outbox", "comms", shifted=True)
        world.run(until_ms)
        return {name: bridge.steps for name, bridge in world.bridges.items()}


@pytest.mark.parametrize(("slot_ms", "tick"), [(1, 22), (10, 30), (100, 100)])
def test_a_message_arrives_at_the_right_tick_through_mosaik(slot_ms, tick):
    listener = Listener()
    comms = CommsSimulator(network(), ["control"], {"dms": "control"}, slot_ms=slot_ms)
    run(comms, 5000, [Sender(1000)], listener)
    assert [(at, m.sent_ms, m.arrived_ms) for at, m in listener.heard] == [
        (sent + tick, sent, sent + 22.0) for sent in range(0, 5000, 1000)
    ]


def test_an_arrival_between_ticks_comes_at_the_next():
    listener = Listener()
    comms = CommsSimulator(network(22.4), ["control"], {"dms": "control"}, slot_ms=1)
    run(comms, 2000, [Sender(1000)], listener)
    assert [(at, m.arrived_ms) for at, m in listener.heard] == [(23, 22.4), (1023, 1022.4)]


def test_even_a_link_without_latency_costs_only_the_shift():
    listener = Listener()
    comms = CommsSimulator(network(0.0), ["control"], {"dms": "control"}, slot_ms=1)
    run(comms, 2000, [Sender(1000)], listener)
    assert [(at, m.arrived_ms) for at, m in listener.heard] == [(1, 0.0), (1001, 1000.0)]


def test_a_receiver_slower_than_its_senders_loses_nothing():
    listener = Listener(period_ms=1700)
    net = Network(["sub", "dms", "p"], [LinkSpec("sub", "dms", tech(3.0)), LinkSpec("p", "dms", tech(30.0))])
    comms = CommsSimulator(net, ["control"], lambda message: "control", slot_ms=10)
    run(comms, 3000, [Sender(13, times=3), Sender(17, "p")], listener)
    sent = 3 * len(range(0, 2990 - 3, 13)) + len(range(0, 2990 - 30, 17))
    assert len(listener.heard) >= sent
    assert net.counts()["sent"] - len(listener.heard) <= 3 * 3 + 3
    stamps = [(m.sender, m.sent_ms, m.values["i"]) for _, m in listener.heard]
    assert len(set(stamps)) == len(stamps)
    assert [m.arrived_ms for _, m in listener.heard] == sorted(m.arrived_ms for _, m in listener.heard)


def test_the_network_steps_only_when_something_is_due():
    comms = CommsSimulator(network(), ["control"], {"dms": "control"}, slot_ms=1, step_ms=900_000)
    steps = run(comms, 3_600_000, [Sender(600_000)], Listener(900_000))
    # 6 outboxes, 6 deliveries, 4 grid ticks
    assert steps["comms"] <= 6 + 6 + 4


def step(comms, now_ms, *mail):
    return comms.step(now_ms, {"outbox": {"a": list(mail)}} if mail else {})


def test_mail_is_sorted_into_ports_by_a_callable():
    def route(message):
        return "der" if message.topic.startswith("command/") else "control"

    net = network(5.0)
    comms = CommsSimulator(net, ["control", "der"], route, slot_ms=10)
    assert comms.ports.tells == ("control", "der")
    out = step(comms, 1, Message("dms", "sub", "command/p", sent_ms=0), Message("dms", "sub", "price", sent_ms=0))
    assert out.next_ms == 10
    assert set(out.outputs) == set()
    out = step(comms, 10)
    assert [m.topic for m in out.outputs["der"]] == ["command/p"]
    assert [m.topic for m in out.outputs["control"]] == ["price"]
    assert out.next_ms == 900_000


def test_a_delivery_waits_for_its_slot_where_another_step_comes_first():
    comms = CommsSimulator(network(5.0), ["control"], {"dms": "control"}, slot_ms=100)
    step(comms, 1, Message("sub", "dms", "m", sent_ms=0))
    out = step(comms, 31, Message("sub", "dms", "m", sent_ms=30))
    assert "control" not in out.outputs
    assert out.next_ms == 100
    assert [m.arrived_ms for m in step(comms, 100).outputs["control"]] == [5.0, 35.0]


def test_messages_enter_in_the_order_of_their_sending_from_any_source():
    comms = CommsSimulator(network(5.0), ["control"], {"dms": "control"}, slot_ms=10)
    late, early = Message("sub", "dms", "late", sent_ms=11), Message("sub", "dms", "early", sent_ms=10)
    comms.step(11, {"outbox": {"a": [late], "b": [early]}})
    assert [(m.topic, m.arrived_ms) for m in step(comms, 20).outputs["control"]] == [("early", 15.0), ("late", 16.0)]


def test_a_sending_time_that_is_not_now_is_not_believed():
    comms = CommsSimulator(network(5.0), ["control"], {"dms": "control"}, slot_ms=10)
    step(comms, 1000, Message("sub", "dms", "m", sent_ms=0), Message("sub", "dms", "m", sent_ms=5000))
    assert [m.arrived_ms for m in step(comms, 1010).outputs["control"]] == [1004.0, 1005.0]


def test_counters_and_log_come_at_grid_ticks():
    comms = CommsSimulator(network(5.0), ["control"], {"dms": "control"}, slot_ms=10, step_ms=1000)
    out = step(comms, 0)
    assert out.outputs["counters"].sum() == 0
    assert out.outputs["log"]["fate"].size == 0
    step(comms, 1, Message("sub", "dms", "m", sent_ms=0))
    assert not {"log", "counters"} & step(comms, 10).outputs.keys()
    out = step(comms, 1000)
    counters = dict(zip(COUNTERS, out.outputs["counters"].tolist(), strict=True))
    assert (counters["sent"], counters["delivered"], counters["in_flight"]) == (1, 1, 0)
    assert out.outputs["log"]["arrived_ms"].tolist() == [5.0]
    assert step(comms, 2000).outputs["log"]["fate"].size == 0


def test_a_box_holds_what_came_since_the_last_grid_tick():
    comms = CommsSimulator(network(5.0), [], lambda message: "meters", boxes=["meters"], slot_ms=10, step_ms=1000)
    step(comms, 1, Message("sub", "dms", "first", sent_ms=0))
    step(comms, 10)
    step(comms, 501, Message("sub", "dms", "second", sent_ms=500))
    step(comms, 510)
    assert [m.topic for m in step(comms, 1000).outputs["meters"]] == ["first", "second"]
    assert [m.topic for m in step(comms, 2000).outputs.get("meters", ())] == []


def jittery():
    specs = [LinkSpec("sub", "dms", technology("lte", loss=0.05))]
    return CommsSimulator(Network(["sub", "dms"], specs, seed=3), ["control"], {"dms": "control"}, slot_ms=50)


def drive(comms, start_ms, end_ms):
    out = []
    for now in range(start_ms, end_ms, 7):
        result = step(comms, now, *(Message("sub", "dms", "m", {"i": i}, now - 1) for i in range(3)))
        out.append((result.next_ms, result.outputs.get("control")))
    return out


def test_continuing_from_a_snapshot_between_slots_is_bit_identical():
    whole, again = jittery(), jittery()
    drive(whole, 1, 701)
    state = pickle.loads(pickle.dumps(whole.get_state()))
    assert state["held"]
    again.set_state(state)
    rest = drive(whole, 701, 1401)
    assert drive(again, 701, 1401) == rest
    assert np.array_equal(whole.network.ledger.array(), again.network.ledger.array())


def test_the_sampled_network_takes_the_exact_one_s_place():
    listener = Listener()
    comms = CommsSimulator(SampledNetwork(network()), ["control"], {"dms": "control"}, slot_ms=10)
    run(comms, 3000, [Sender(1000)], listener)
    assert [(at, m.arrived_ms) for at, m in listener.heard] == [(30, 22.0), (1030, 1022.0), (2030, 2022.0)]


def gathering(topic, **options):
    listener = Listener(1000)
    comms = CommsSimulator(
        network(), ["control"], lambda message: "control", slot_ms=10, step_ms=1000,
        wakes=lambda receiver, heard: receiver == "dms" and heard == topic, **options,
    )
    return run(comms, 5001, [Sender(1000), Sender(2000, times=2)], listener), listener.heard


def test_mail_that_wakes_nobody_waits_for_the_next_look():
    steps, heard = gathering("fault")
    assert {at for at, _ in heard} == {1000, 2000, 3000, 4000, 5000}
    assert all(at == m.sent_ms + 1000 and m.arrived_ms == m.sent_ms + 22.0 for at, m in heard)
    assert len(heard) == 5 + 3 * 2
    # a tick and an outbox per second, nothing for what happens on the way
    assert steps["comms"] == 6 + 6 - 1
    _, sooner = gathering("fault", gather_ms=250)
    assert {at - m.sent_ms for at, m in sooner} == {250}


def test_mail_that_wakes_somebody_goes_at_its_slot_and_takes_the_rest_along():
    _, heard = gathering("m")
    assert {at - m.sent_ms for at, m in heard} == {30}
    comms = CommsSimulator(
        network(), ["control"], lambda message: "control", slot_ms=10, step_ms=1000,
        wakes=lambda receiver, topic: topic == "fault",
    )
    quiet = step(comms, 1, Message("sub", "dms", "telemetry"))
    assert quiet.next_ms == 1000
    assert step(comms, 51, Message("sub", "dms", "fault", sent_ms=50)).next_ms == 80
    at_slot = step(comms, 80)
    assert [m.topic for m in at_slot.outputs["control"]] == ["telemetry", "fault"]
    assert at_slot.next_ms == 1000


def test_the_end_of_a_run_books_what_is_under_way():
    comms = CommsSimulator(network(), ["control"], {"dms": "control"}, wakes=lambda receiver, topic: False)
    step(comms, 1, Message("sub", "dms", "m"))
    assert comms.close(50)["arrived_ms"].tolist() == [22.0]


def test_what_a_user_does_wrong():
    with pytest.raises(ScenarioError, match="'log' is a port of the network itself"):
        CommsSimulator(network(), ["control", "log"], {})
    with pytest.raises(ScenarioError, match="at least 1 ms"):
        CommsSimulator(network(), ["control"], {}, slot_ms=0)
    comms = CommsSimulator(network(0.0), ["control"], lambda message: "contrl", slot_ms=1)
    with pytest.raises(ValueError, match=r"there is no port 'contrl' \(did you mean control\?\)"):
        step(comms, 1, Message("sub", "dms", "m"))
    comms = CommsSimulator(network(0.0), ["control"], {"dmz": "control"}, slot_ms=1)
    with pytest.raises(ValueError, match=r"no port is given for it \(did you mean dmz\?\)"):
        step(comms, 1, Message("sub", "dms", "m"))


def test_an_unknown_receiver_is_named_with_the_simulator_and_the_time():
    comms = CommsSimulator(network(), ["control"], {"dms": "control"})
    with pytest.raises(ModelError, match=r"comms at 0\.001 s: .*receiver 'dnms' is not a node.*dms"):
        run(comms, 1000, [Sender(500, receiver="dnms")], Listener())


@pytest.mark.parametrize("mode", [lambda net: net, SampledNetwork])
def test_a_bundle_is_split_by_slot_and_by_port(mode):
    links = [LinkSpec(name, "dms", tech(ms)) for name, ms in (("s0", 12.0), ("s1", 18.0), ("s2", 33.0))]
    links.append(LinkSpec("dms", "tso", tech(1.0)))
    net = mode(Network(["s0", "s1", "s2", "dms", "tso"], links))
    ports = {"dms": "control", "tso": "upstairs"}
    comms = CommsSimulator(net, ["control"], ports, boxes=["upstairs"], slot_ms=10, step_ms=50)
    addresses = Addresses(("s0", "s1", "s2", "s0"), ("dms", "dms", "dms", "tso"))
    bundle = Bundle(addresses, np.arange(4), "m", {"i": np.arange(4)})
    out = [comms.step(1, {"outbox": {"meters": [bundle]}}).outputs]
    out += [comms.step(at, {}).outputs for at in (15, 20, 35, 40, 50)]
    heard = [[(m.values["i"], m.arrived_ms) for m in unbundled(o.get("control", []))] for o in out]
    assert heard == [[], [], [(0, 12.0), (1, 18.0)], [], [(2, 33.0)], []]
    assert [type(o["control"][0]) for o in out if "control" in o] == [Bundle, Bundle]
    assert [(m.values["i"], m.receiver) for m in out[-1]["upstairs"]] == [(3, "tso")], "boxes hold messages"


def test_a_bundle_with_a_message_that_calls_somebody_goes_at_its_slot():
    def stepped(urgent):
        comms = CommsSimulator(
            network(), ["control"], {"dms": "control"}, slot_ms=10, step_ms=1000, wakes=lambda who, topic: urgent
        )
        bundle = Bundle(Addresses(("sub",), ("dms",)), np.array([0, 0]), "m", {"i": np.arange(2)})
        return comms.step(1, {"outbox": {"meters": [bundle]}}).next_ms, "control" in comms.step(30, {}).outputs

    assert stepped(True) == (30, True)
    assert stepped(False) == (1000, False)


def test_a_bundle_to_a_port_that_is_not_there():
    comms = CommsSimulator(network(0.0), ["control"], lambda message: "contrl", slot_ms=1)
    with pytest.raises(ValueError, match=r"m to dms: there is no port 'contrl' \(did you mean control\?\)"):
        step(comms, 1, Bundle(Addresses(("sub",), ("dms",)), np.array([0]), "m"))
