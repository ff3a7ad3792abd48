import numpy as np
import pytest

from controllers.checks import check_controller
from controllers.contract import command
from controllers.logbook import LOGBOOK
from controllers.rehearsal import stand_ins
from sims.core.errors import ControllerError, ScenarioError
from sims.core.message import Message

SHIPPED = [
    f"controllers.{place}"
    for place in (
        "distributed.observe:ObserveArea", "distributed.congestion:ConsensusCurtailment",
        "distributed.voltage:ConsensusVoltVar", "distributed.restoration:RestoreSupply",
        "distributed.interface:AdmmInterface", "distributed.interface:ShareReactive",
        "distributed.balance:CellAgents", "distributed.delivery:ShareActive",
        "distributed.frequency:DroopAgents", "distributed.frequency:ShareDroop",
        "distributed.inertia:InertiaAgents", "distributed.inertia:ShareInertia", "distributed.supervision:TellState",
        "distributed.supervision:Supervise", "centralized.watch:Watch", "centralized.storage:WatchStorage",
        "centralized.foresight:Foresight", "centralized.inertia:ProvideInertia",
        "tso.afrr:Afrr", "tso.admm:AdmmTso", "tso.voltage:VoltageWish", "tso.emergency:EmergencyCall",
    )
]


@pytest.mark.parametrize("reference", SHIPPED)
def test_every_shipped_controller_keeps_the_contract(reference):
    check_controller(reference)


class Good:
    urgent = frozenset({"fault"})

    def __init__(self, site):
        self.site, self.count = site, 0

    def decide(self, now_s, inbox):
        self.count += len(inbox)
        noise = float(self.site.rng.standard_normal())
        return [command(self.site, "dso_1.f03.s2", "manage_congestion", device=np.array([101]),
                        p_max_mw=np.array([abs(noise) + self.count]))]


def test_a_plain_good_one_passes():
    check_controller(Good)


def variant(**methods):
    return type("Mine", (Good,), methods)


def bad_random(self, now_s, inbox):
    return [Message(self.site.name, "x", "t", {"v": float(np.random.default_rng().random())})]


def bad_nan(self, now_s, inbox):
    return [Message(self.site.name, "x", "t", {"v": np.array([np.nan])})]


def bad_duty(self, now_s, inbox):
    return [command(self.site, "dso_1.f03.s2", "control_voltages", device=np.array([1]), q_set_mvar=np.array([0.1]))]


def bad_ttl(self, now_s, inbox):
    return [command(self.site, "a", "manage_congestion", 0.0, device=np.array([1]), p_max_mw=np.array([0.1]))]


def bad_length(self, now_s, inbox):
    return [command(self.site, "a", "manage_congestion", device=np.array([1, 2]), p_max_mw=np.array([0.1]))]


def bad_silence(self, now_s, inbox):
    return [Message(self.site.name, "x", "t", {"v": inbox[0].sent_ms})] if now_s < 60 else []


def bad_duplicates(self, now_s, inbox):
    topics = [m.topic for m in inbox if m.topic == "primary"]
    return [] if len(topics) < 2 else [][1]


def bad_order(self, now_s, inbox):
    return [] if not inbox or inbox[0].topic == "primary" else [][1]


def bad_write(self, now_s, inbox):
    for m in inbox:
        if m.topic == "primary":
            m.values["v_pu"][0] = 1.0
    return []


SEEN = []


def bad_global(self, now_s, inbox):
    SEEN.append(now_s)
    return [Message(self.site.name, "x", "t", {"v": len(SEEN) % 7})]


def bad_none(self, now_s, inbox):
    return None


def bad_object(self, now_s, inbox):
    return [Message(self.site.name, "x", "t", {"v": {"a": 1}})]


def bad_device(self, now_s, inbox):
    return [command(self.site, "dso_1.f03.s2", "manage_congestion", device=np.array([5]), p_max_mw=np.array([0.1]))]


def bad_file(self, site):
    Good.__init__(self, site)
    self.generator = (x for x in range(3))


@pytest.mark.parametrize(("methods", "text"), [
    ({"decide": bad_random}, "differently the second time"),
    ({"decide": bad_nan}, "v not finite"),
    ({"decide": bad_duty}, "did you mean control_voltage"),
    ({"decide": bad_ttl}, "no time to live"),
    ({"decide": bad_length}, "1 values of p_max_mw for 2 of device"),
    ({"decide": bad_silence}, "hears nothing"),
    ({"decide": bad_duplicates}, "hears everything twice"),
    ({"decide": bad_order}, "out of order"),
    ({"decide": bad_write}, "read-only"),
    ({"decide": bad_global}, "differently"),
    ({"decide": bad_none}, "returned NoneType"),
    ({"decide": bad_object}, "v as a dict"),
    ({"decide": bad_device}, r"ordered device 5, which is none of its own \(nearest: 100\)"),
    ({"urgent": "fault"}, "urgent is 'fault'"),
    ({"decide": None}, "no method decide"),
    ({"__init__": bad_file}, "cannot be copied"),
    ({"__init__": lambda self: None}, "cannot be built"),
])
def test_what_is_broken_is_named(methods, text):
    with pytest.raises(ControllerError, match=text):
        check_controller(variant(**methods))


def test_state_outside_the_attributes_is_found():
    memory = {}

    class Hidden(Good):
        def decide(self, now_s, inbox):
            memory[id(self)] = memory.get(id(self), 0) + len(inbox)
            return [Message(self.site.name, "x", "t", {"v": memory[id(self)]})]

    with pytest.raises(ControllerError, match="copied to a new instance"):
        check_controller(Hidden)


def test_duties_of_a_given_site_are_what_counts():
    import dataclasses

    site = dataclasses.replace(stand_ins()[0], duties=frozenset({"observe"}))
    with pytest.raises(ControllerError, match="not among its duties: observe"):
        check_controller(Good, site)


def test_gaps_are_for_the_logbook_only():
    class Estimate(Good):
        def decide(self, now_s, inbox):
            gaps = np.where(np.arange(count) == 1, np.nan, 1.0)
            return [Message(self.site.name, LOGBOOK, "estimate", {"feeder": "dso_1.f03", "v_pu": gaps})]

    count = 8
    check_controller(Estimate)
    count = 9
    with pytest.raises(ControllerError, match=r"estimated dso_1\.f03 with v_pu of shape \(9,\) for 8 nodes"):
        check_controller(Estimate)


def test_references_are_loaded(tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    urgent = frozenset()\n    def __init__(self, site):\n        pass\n"
        "    def decide(self, now_s, inbox):\n        return []\n"
    )
    check_controller("./mine.py:Mine", beside=tmp_path)
    with pytest.raises(ScenarioError, match="did you mean Mine"):
        check_controller("./mine.py:Min", beside=tmp_path)
