"""The agents of a cell make up for missing inertia, and account for it among cells; by hand at 50 Hz and 1 Hz/s."""

import numpy as np
import pytest

from controllers.distributed.inertia import InertiaAgents, ShareInertia
from controllers.specimen import small_feeder
from sims.core.message import Message

CELL_1 = ("dso_1.i4", "dso_1.i8")
NAMES = (*small_feeder().agents, *CELL_1)


def build(town, **kwargs):
    classes = {name: [ShareInertia] for name in NAMES[:4]} | {name: [InertiaAgents] for name in CELL_1}
    return town(classes, sites=NAMES, roles=dict.fromkeys(NAMES, "agent"), **kwargs)


def ties(inertia_mws, largest_mw=200.0):
    """The TSO's frames; at first the other interface's feeder tells a gain of 4.5 MW s/Hz."""
    def each(now_ms):
        values = {"f_hz": 50.0, "p_tie_mw": 100.0, "p_sched_mw": 100.0, "inertia_mws": inertia_mws(now_ms),
                  "largest_mw": largest_mw}
        mail = [Message("tso", name, "tie", values, sent_ms=now_ms) for name in CELL_1]
        if not now_ms:
            mail.append(Message("dso_1.f09.a0", "dso_1.i8", "capacity/inertia", {"capacity": np.array([4.5])}))
        return mail

    return each


def accounts(agents):
    return [(sender, m.values) for sender, m in ((m.sender, m) for _, m in agents.reports) if m.topic == "goal"]


def test_what_the_machines_lack_is_the_same_share_of_every_battery(town, physics):
    world = physics()
    agents = build(town, physics=world)
    agents.run(3_600_000, ties(lambda _: 4925.0))
    # 75 MWs missing are a gain of 3; six batteries of 0.5 MW give half their rating, 1.5, and the others 4.5.
    kind = world.feeder.devices.kind
    np.testing.assert_allclose(world.inertia[kind == "storage"], 0.5 * 0.25, rtol=0.02)
    assert not world.inertia[kind != "storage"].any()
    assert not agents.refused


def test_one_agent_keeps_the_account(town, physics):
    agents = build(town, physics=physics())
    agents.run(3_600_000, ties(lambda _: 4925.0))
    told = accounts(agents)
    assert {sender for sender, _ in told} == {"dso_1.i4"}
    last = told[-1][1]
    assert last["needed_mws"] == pytest.approx(5000.0)
    assert last["assigned_mws"] == pytest.approx(75.0)
    assert last["own_mws"] == pytest.approx(5000.0)
    letters = [m for _, m in agents.mail if m.topic == "inertia"]
    assert {(m.sender, m.receiver) for m in letters} == {("dso_1.i4", "dso_2.i15")}
    assert len(letters) <= 5, "once a quarter-hour"


def test_a_lost_machine_is_answered_at_once_and_a_rest_is_borrowed(town, physics):
    world = physics()
    agents = build(town, physics=world)
    agents.run(1_500_000, ties(lambda _: 6000.0))
    assert not world.inertia.any()
    other = {"cell": 2, "own_mws": 9000.0, "needed_mws": 5000.0, "export_mw": 300.0, "import_mw": 300.0}
    agents.post(Message("dso_2.i15", "dso_1.i4", "inertia", other, sent_ms=1_500_000))
    agents.run(2_400_000, ties(lambda _: 4500.0))
    # All 6 MW s/Hz there are make 150 of the 500 MWs that are missing.
    kind = world.feeder.devices.kind
    np.testing.assert_allclose(world.inertia[kind == "storage"], 0.25, rtol=0.02)
    last = accounts(agents)[-1][1]
    assert last["assigned_mws"] == pytest.approx(150.0)
    assert last["borrowed_mws"] == pytest.approx(350.0)
