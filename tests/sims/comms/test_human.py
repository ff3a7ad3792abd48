import numpy as np
import pytest

from sims.comms.human import crew, phone
from sims.comms.network import Network
from sims.core.message import Message

MIN_NS = 60_000_000_000


def delays_min(spec, count):
    net = Network([spec.a, spec.b], [spec], seed=6)
    for i in range(count):
        # far enough apart for no call to wait for another
        net.send(Message(spec.a, spec.b, "call", sent_ms=i * 10**8), i * 10**14)
    return np.array([(m.arrived_ms - m.sent_ms) / 60_000 for m in net.advance(10**14 * (count + 1))])


def test_a_call_takes_minutes():
    delays = delays_min(phone("tso", "dms"), 20_000)
    assert len(delays) == 20_000
    assert np.median(delays) == pytest.approx(5.0, rel=0.03)
    assert np.quantile(delays, 0.95) == pytest.approx(15.0, rel=0.05)


def test_a_crew_drives_out():
    delays = delays_min(crew("dms", "field", median_min=45.0, p95_min=60.0), 20_000)
    assert np.median(delays) == pytest.approx(45.0, rel=0.01)
    assert np.quantile(delays, 0.95) == pytest.approx(60.0, rel=0.01)


def test_calls_do_not_overtake_each_other():
    net = Network(["tso", "dms"], [phone("tso", "dms")], seed=1)
    for i in range(200):
        net.send(Message("tso", "dms", "call", {"i": i}), i * MIN_NS)
    heard = [m.values["i"] for m in net.advance(10**17)]
    assert heard == list(range(200))
