import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from sims.comms.arq import Arq
from sims.comms.attacks import Delay, Drop, Flood, Replay
from sims.comms.ledger import FATES
from sims.comms.link import LinkSpec
from sims.comms.network import Network
from sims.comms.node import Node
from sims.comms.outages import Outage, RandomOutage
from sims.comms.technology import technology
from sims.core.errors import ScenarioError
from sims.core.message import Message

MS = 1_000_000
FAR = 10**15


def wire(rate_bit_s=0, ms=0.0, **overrides):
    return technology("ideal", rate_bit_s=rate_bit_s, median_ms=ms, p95_ms=ms, **overrides)


def line(*techs, **options):
    names = "abcdefgh"[: len(techs) + 1]
    specs = [LinkSpec(a, b, tech) for a, b, tech in zip(names, names[1:], techs, strict=False)]
    return Network(options.pop("nodes", list(names)), specs, **options)


def sent(counts):
    return counts["delivered"] + sum(counts["dropped"].values()) + counts["in_flight"]


def test_two_hops_arrive_at_the_exact_nanosecond():
    # 128 B: 1.024 ms at 1 Mbit/s, 0.1024 ms at 10 Mbit/s, 12 + 10 ms on the way
    net = line(wire(1_000_000, 12.0), wire(10_000_000, 10.0))
    net.send(Message("a", "c", "m", size_bytes=128), 0)
    assert net.advance(23_126_399) == []
    assert net.next_event_ns == 23_126_400
    (arrived,) = net.advance(23_126_400)
    assert arrived.arrived_ms == 23.1264


def test_burst_of_a_hundred_leaves_the_wire_at_the_exact_nanosecond():
    net = line(wire(1_000_000))
    for i in range(100):
        net.send(Message("a", "b", "m", {"i": i}, size_bytes=128), 0)
    assert len(net.advance(102_399_999)) == 99
    (last,) = net.advance(102_400_000)
    assert last.values["i"] == 99
    assert last.arrived_ms == 102.4


def test_delivered_message_keeps_everything_but_its_arrival():
    net = line(wire(ms=5.0))
    values = {"v_pu": np.array([1.0, 0.99])}
    net.send(Message("a", "b", "telemetry/v", values, 3, 64, 900, 0), 3 * MS)
    (got,) = net.advance(FAR)
    assert got == Message("a", "b", "telemetry/v", values, 3, 64, 900, 0, 8.0)


def test_a_message_to_oneself_arrives_at_once():
    net = line(wire(ms=5.0))
    net.send(Message("a", "a", "m"), 7 * MS)
    (got,) = net.advance(7 * MS)
    assert got.arrived_ms == 7.0


def test_time_to_live_ends_on_the_way():
    net = line(wire(ms=5.0), wire(ms=5.0))
    for ttl in (4, 9, 10):
        net.send(Message("a", "c", "m", ttl_ms=ttl), 0)
    assert [m.ttl_ms for m in net.advance(FAR)] == [10]
    assert net.counts()["dropped"]["expired"] == 2


def test_jitter_lets_messages_overtake():
    net = line(technology("lte", loss=0.0), seed=3)
    for i in range(500):
        net.send(Message("a", "b", "m", {"i": i}), i * MS)
    order = [m.values["i"] for m in net.advance(FAR)]
    assert sorted(order) == list(range(500))
    assert order != sorted(order)


def test_duplicates_arrive_twice_but_count_once():
    net = Network(["a", "b"], [LinkSpec("a", "b", technology("lte", loss=0.0), duplicate=0.2)], seed=5)
    for i in range(5000):
        net.send(Message("a", "b", "m", {"i": i}), i * MS)
    heard = Counter(m.values["i"] for m in net.advance(FAR))
    counts = net.counts()
    assert counts["sent"] == counts["delivered"] == len(heard) == 5000
    assert set(heard.values()) == {1, 2}
    twice = sum(times == 2 for times in heard.values())
    assert counts["duplicates"] == twice == pytest.approx(1000, rel=0.1)
    assert (net.drain_log()["fate"] == FATES.index("duplicate")).sum() == twice


def test_multicast_uses_a_shared_link_once_and_counts_each_receiver():
    specs = [LinkSpec("a", "hub", wire(ms=1.0))] + [LinkSpec("hub", x, wire(ms=1.0)) for x in "bcd"]
    net = Network(["a", "hub", *"bcd"], specs, groups={"feeder": ["a", "b", "c", "d"]})
    net.send(Message("a", "feeder", "m", size_bytes=100), 0)
    assert sorted(m.receiver for m in net.advance(FAR)) == ["b", "c", "d"]
    net.send(Message("a", "b", "m", size_bytes=100), FAR, receivers=["c", "hub"])
    assert sorted(m.receiver for m in net.advance(2 * FAR)) == ["c", "hub"]
    traffic = dict(zip(net.traffic()["link"], net.traffic()["packets"], strict=True))
    assert traffic["a--hub:a>hub"] == 2
    assert traffic["hub--b:hub>b"] == 1
    assert net.counts()["sent"] == net.counts()["delivered"] == 5


def test_a_lost_multicast_packet_is_lost_for_all_behind_it():
    specs = [LinkSpec("a", "hub", wire(loss=1.0))] + [LinkSpec("hub", x, wire()) for x in "bc"]
    net = Network(["a", "hub", "b", "c"], specs, groups={"all": ["b", "c"]})
    net.send(Message("a", "all", "m"), 0)
    assert net.advance(FAR) == []
    assert net.counts()["dropped"]["lost"] == 2


def test_a_line_carries_its_topic_and_nothing_else():
    specs = [
        LinkSpec("tso", "dms", wire(ms=3.0)),
        LinkSpec("tso", "dms", wire(ms=300_000.0), name="call", topic="command/"),
    ]
    net = Network(["tso", "dms"], specs)
    net.send(Message("tso", "dms", "command/p"), 0)
    net.send(Message("tso", "dms", "telemetry"), 0)
    assert [(m.topic, m.arrived_ms) for m in net.advance(FAR)] == [("telemetry", 3.0), ("command/p", 300_000.0)]


def test_a_line_that_is_down_is_not_replaced_by_the_data_link():
    specs = [LinkSpec("tso", "dms", wire()), LinkSpec("tso", "dms", wire(), name="call", topic="command/")]
    net = Network(["tso", "dms"], specs, outages=[Outage("call", 0, 100)])
    net.send(Message("tso", "dms", "command/p"), MS)
    net.send(Message("tso", "dms", "telemetry"), MS)
    assert [m.topic for m in net.advance(FAR)] == ["telemetry"]
    assert net.counts()["dropped"]["link_down"] == 1


def chaotic(seed=9):
    """Everything at once: loss, duplicates, small queues, outages, attackers, retries, groups."""
    nodes = ["tso", Node("dms", stores=True, buffer_packets=20), *(f"p{i}" for i in range(4))]
    nodes += [f"s{i}" for i in range(20)]
    specs = [LinkSpec("tso", "dms", technology("fibre", loss=0.01, rate_bit_s=200_000), 5)]
    specs += [LinkSpec("dms", f"p{i}", technology("lte", loss=0.05)) for i in range(4)]
    specs += [LinkSpec(f"p{i}", f"p{(i + 1) % 4}", technology("rf_mesh")) for i in range(4)]
    specs += [LinkSpec(f"s{i}", f"p{i % 4}", technology("lte450", loss=0.05), duplicate=0.05) for i in range(20)]
    return Network(
        nodes, specs, seed=seed, arq={"command": Arq(2, 200.0)}, groups={"all": [f"s{i}" for i in range(20)]},
        outages=[
            Outage("dms--p1", 300, 900), Outage("p2", 500, 700, "node"), Outage("tso--dms", 800, 950),
            RandomOutage("s3--p3", 400.0, 200.0), RandomOutage("p0", 600.0, 50.0, "node"),
        ],
        attacks=[
            Drop("s1--p1", 0, 500, probability=0.5), Delay("s2--p2", 0, 500, delay_ms=30.0),
            Replay("s4--p0", 0, 900, delay_ms=50.0), Flood("tso--dms", 400, 600, load=2.0),
        ],
    )  # fmt: skip


def mail(step_ms):
    """What is sent at a time, always the same."""
    out = [Message(f"s{i}", "tso", "telemetry", {"i": i}, step_ms, 85, 400) for i in range(20)]
    out += [Message("dms", f"s{i}", "command/p", {}, step_ms, 60, 900, 0) for i in range(0, 20, 3)]
    return [*out, Message("tso", "all", "price", {}, step_ms, 50)]


def drive(net, start_ms, end_ms):
    out = []
    for now in range(start_ms, end_ms, 20):
        for message in mail(now):
            net.send(message, now * MS)
        out += net.advance((now + 20) * MS)
    return out


def test_every_message_s_fate_is_accounted_for():
    net = chaotic()
    heard = 0
    for now in range(0, 1200, 20):
        heard += len(drive(net, now, now + 20))
        counts = net.counts()
        assert counts["sent"] == sent(counts)
        assert counts["in_flight"] >= 0
    heard += len(net.advance(10**12))
    counts = net.counts()
    kept = sum(len(packets) for packets in net.get_state()["parked"].values())
    assert counts["sent"] == 60 * (20 + 7 + 20)
    assert counts["in_flight"] == kept
    log = net.drain_log()
    by_fate = Counter(FATES[code] for code in log["fate"])
    assert heard == by_fate["delivered"] + by_fate["duplicate"] + by_fate["replayed"]
    for cause, count in counts["dropped"].items():
        assert by_fate[cause] == count
    assert len([cause for cause, count in counts["dropped"].items() if count]) >= 6
    assert np.isnan(log["arrived_ms"]).sum() == sum(counts["dropped"].values())
    assert counts["retries"] > 0


def test_continuing_from_a_snapshot_in_mid_flight_is_bit_identical():
    whole = chaotic()
    before = drive(whole, 0, 620)
    state = pickle.loads(pickle.dumps(whole.get_state()))
    assert whole.counts()["in_flight"] > 10
    after = drive(whole, 620, 1200) + whole.advance(10**12)

    again = chaotic()
    again.set_state(state)
    assert drive(again, 620, 1200) + again.advance(10**12) == after
    assert again.counts() == whole.counts()
    for mine, theirs in zip(again.drain_log().values(), whole.drain_log().values(), strict=True):
        assert mine.tobytes() == theirs.tobytes()
    assert len(before) > 300
    assert len(after) > 300


def test_taking_a_snapshot_changes_nothing():
    watched, plain = chaotic(), chaotic()
    out = []
    for now in range(0, 600, 20):
        out += drive(watched, now, now + 20)
        watched.get_state()
    assert out == drive(plain, 0, 600)


def test_another_seed_gives_another_run():
    assert drive(chaotic(1), 0, 600) != drive(chaotic(2), 0, 600)


SCRIPT = """
import hashlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("case", sys.argv[1])
case = importlib.util.module_from_spec(spec)
spec.loader.exec_module(case)
net = case.chaotic()
out = case.drive(net, 0, 1200)
log = net.drain_log()
digest = hashlib.sha256(repr(out).encode())
for column in log.values():
    digest.update(column.tobytes())
print(digest.hexdigest())
"""


def test_output_does_not_depend_on_python_s_hash_seed():
    root = Path(__file__).parents[3]
    digests = set()
    for seed in "012":
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, __file__], env=env, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout)
    assert len(digests) == 1
    assert len(digests.pop().strip()) == 64


def test_log_has_codes_into_the_name_tables():
    net = line(wire(ms=2.0), wire(ms=3.0), topics=["price"])
    net.send(Message("a", "c", "telemetry", size_bytes=85), 4 * MS)
    net.advance(FAR)
    log, names = net.drain_log(), net.ledger.names()
    row = {name: column[0] for name, column in log.items()}
    assert (names["node"][row["sender"]], names["node"][row["receiver"]]) == ("a", "c")
    assert names["topic"][row["topic"]] == "telemetry"
    assert names["topic"][0] == "price"
    assert (row["sent_ms"], row["arrived_ms"], row["size_bytes"], row["hops"]) == (4.0, 9.0, 85, 2)
    assert names["fate"][row["fate"]] == "delivered"
    assert net.drain_log()["fate"].size == 0


def test_unknown_names_are_refused_with_the_nearest():
    net = Network(["dms_north", "sub_1"], [LinkSpec("dms_north", "sub_1", wire())])
    with pytest.raises(ValueError, match=r"receiver 'dms_nord' is not a node.*did you mean dms_north"):
        net.send(Message("sub_1", "dms_nord", "m"), 0)
    with pytest.raises(ValueError, match="sender 'sub_9' is not a node"):
        net.send(Message("sub_9", "dms_north", "m"), 0)


def test_unreachable_destination_is_refused():
    net = Network(["a", "b", "c"], [LinkSpec("a", "b", wire())])
    with pytest.raises(ValueError, match="no links lead from 'a' to 'c'"):
        net.send(Message("a", "c", "m"), 0)
    with pytest.raises(ScenarioError, match="no links lead from 'b' to 'c'"):
        net.require_routes([("a", "b"), ("b", "c")])


def test_sending_into_the_past_and_negative_sizes_are_refused():
    net = line(wire())
    net.advance(5 * MS)
    with pytest.raises(ValueError, match="has passed"):
        net.send(Message("a", "b", "m"), 4 * MS)
    with pytest.raises(ValueError, match="size_bytes -1"):
        net.send(Message("a", "b", "m", size_bytes=-1), 5 * MS)
    net.send(Message("a", "b", "m"), 5 * MS)
    with pytest.raises(ValueError, match=r"size_bytes 2000000000 is not within 0\.\.1073741824"):
        net.send_all([Message("a", "b", "m", size_bytes=2 * 10**9)], [5 * MS])
    with pytest.raises(ValueError, match="4000000 ns has passed"):
        net.send_all([Message("a", "b", "m")], [4 * MS])


def test_all_faults_of_a_network_are_reported_at_once():
    specs = [
        LinkSpec("a", "x", wire()),
        LinkSpec("a", "b", wire(), duplicate=1.5),
        LinkSpec("a", "b", wire()),
        LinkSpec("b", "b", wire()),
    ]
    with pytest.raises(ScenarioError) as refused:
        Network(
            ["a", "b", "b"], specs, outages=[Outage("a--c", 0, 10)], attacks=[Drop("b--c", 0, 10)],
            groups={"a": ["z"]}, arq={"m": Arq(retries=-1)},
        )  # fmt: skip
    text = str(refused.value)
    for part in (
        "'x' is not a node", "1.5 is not a probability", "given 2 times", "to itself", "outage of link a--c",
        "Drop on b--c", "'z' is not a node", "retries: -1",
    ):  # fmt: skip
        assert part in text
