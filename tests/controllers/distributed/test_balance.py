from dataclasses import replace

import numpy as np
import pytest

from controllers.belief import Belief
from controllers.contract import Site
from controllers.distributed.balance import CellAgents
from controllers.distributed.delivery import FALLING, RISING, ShareActive
from controllers.specimen import small_belief, small_feeder
from sims.core.message import Message

CELL_1 = ("dso_1.i4", "dso_1.i8")
CELL_2 = ("dso_2.i15",)
NAMES = (*small_feeder().agents, *CELL_1, *CELL_2)


class Cells:
    """Two cells with an imbalance each; what the agents have their feeders deliver changes the tie flow."""

    def __init__(self, town, imbalance, capacity=((300, 300, 0), (100, 100, 0), (500, 500, 0)), with_areas=False,
                 cut=(0.0, 200.0), **kwargs):
        classes = {name: [CellAgents] for name in (*CELL_1, *CELL_2)}
        if with_areas:
            classes |= {name: [ShareActive] for name in small_feeder().agents}
        names = tuple(classes)
        self.town = town(classes, sites=names, roles=dict.fromkeys(names, "agent"), **kwargs)
        self.imbalance, self.capacity, self.cut, self.with_areas = imbalance, capacity, cut, with_areas
        self.given = dict.fromkeys((*CELL_1, *CELL_2), 0.0)
        self.called = dict.fromkeys((f"gen.GENROU_{k}" for k in (1, 2, 3)), 0.0)
        self.come = dict(self.called)
        self.parts = {}
        self.ties = []

    def minute(self, now_ms):
        for _, m in self.town.mail:
            if m.topic in ("share/p", "share/cut") and m.sender in self.given:
                self.parts[m.sender, m.topic] = float(m.values["amount"])
        for name in self.given:
            self.given[name] = self.parts.get((name, "share/p"), 0.0) - self.parts.get((name, "share/cut"), 0.0)
        for _, m in self.town.commands:
            if "p_delta_mw" in m.values:
                self.called[m.receiver] = m.values["p_delta_mw"]
        for g in small_belief().generators:  # all of the reserve is there after five minutes
            step = g.reserve_mw / 5
            self.come[g.address] += float(np.clip(self.called[g.address] - self.come[g.address], -step, step))
        mail = []
        if self.with_areas and self.town.physics is not None:
            world = self.town.physics
            world.solve()
            mail += [world.own(a, now_ms) for a in range(4)]
            if now_ms % 900_000 == 0:
                mail += [world.secondary(n, now_ms) for n in range(2, 8)]
        for name, able in zip((*CELL_1, *CELL_2), self.capacity, strict=True):
            if now_ms == 0 and any(able):
                mail.append(Message(f"{name}.f.a0", name, "capacity/p", {"capacity": np.array(able, float)}))
                mail.append(Message(f"{name}.f.a0", name, "capacity/cut", {"capacity": np.array(self.cut)}))
        self.ties.append([])
        for cell, members, schedule in ((0, CELL_1, 100.0), (1, CELL_2, -100.0)):
            come = sum(self.come[g.address] for g in small_belief().generators if g.cell == cell + 1)
            tie = schedule - self.imbalance(cell, now_ms) + sum(self.given[m] for m in members) + come
            self.ties[-1].append(tie - schedule)
            for name in members:
                values = {"cell": cell, "f_hz": 50.0, "p_tie_mw": tie, "p_sched_mw": schedule}
                mail.append(Message("tso", name, "tie", values, sent_ms=now_ms))
        return mail

    def run(self, minutes):
        self.town.run(minutes * 60_000, self.minute)
        return np.array(self.ties)


def test_a_step_is_restored_by_both_agents_pro_rata_of_capacity(town):
    cells = Cells(town, lambda cell, now_ms: 200.0 if cell == 0 and now_ms >= 300_000 else 0.0, settings={"net_mw": 0})
    errors = cells.run(40)
    assert abs(errors[-1]).max() < 4.0
    assert errors[:, 0].min() == pytest.approx(-200.0)
    assert errors[:, 0].max() < 30.0, "hardly any overshoot at a cycle of half T_i"
    assert cells.given["dso_1.i4"] == pytest.approx(150.0, abs=4)
    assert cells.given["dso_1.i8"] == pytest.approx(50.0, abs=2)
    assert cells.given["dso_2.i15"] == 0.0, "restored inside the disturbed cell alone"


@pytest.mark.parametrize(("lack", "expected"), [
    (120.0, (30.0, 90.0)),  # three fifths of the storage, 50 and 150 MW
    (260.0, (100.0, 160.0)),  # all of it, and a quarter of the vehicles, 200 and 40 MW
    (-240.0, (-70.0, -170.0)),  # all that can charge, and half of the CHP, 40 MW each
    (-480.0, (-190.0, -290.0)),  # all of both, and half of PV and wind, 200 MW each
])  # fmt: skip
def test_a_cell_uses_the_cheapest_first_wherever_it_stands(town, lack, expected):
    cells = Cells(town, lambda cell, now_ms: lack if cell == 0 and now_ms >= 300_000 else 0.0,
                  capacity=((50, 50, 200), (150, 150, 40), (500, 500, 0)), cut=(40.0, 200.0), settings={"net_mw": 0})
    errors = cells.run(60)
    assert abs(errors[-1]).max() < 4.0
    assert [cells.given[name] for name in CELL_1] == pytest.approx(expected, abs=4.0)
    told = {m.values["amount"] for _, m in cells.town.mail if m.topic == "share/cut"}
    assert bool(told) == (lack < -200.0), "generation is held back only once all that can charge does"


def test_lost_letters_about_the_price_do_not_stop_the_agreement(town):
    cells = Cells(town, lambda cell, now_ms: 260.0 if cell == 0 else 0.0,
                  capacity=((50, 50, 200), (150, 150, 40), (500, 500, 0)), settings={"net_mw": 0})
    rng = np.random.default_rng(3)
    cells.town.lost = lambda m: m.topic == "consensus/price" and rng.random() < 0.3
    errors = cells.run(60)
    assert abs(errors[-1]).max() < 4.0
    assert [cells.given[name] for name in CELL_1] == pytest.approx([100.0, 160.0], abs=5.0)


def test_agents_find_the_price_in_seconds_and_then_say_no_more_than_once_a_minute(town):
    cells = Cells(town, lambda cell, now_ms: 150.0 if cell == 0 else 0.0, settings={"net_mw": 0})
    cells.run(60)
    sent = np.array([now_ms for now_ms, m in cells.town.mail if m.topic == "consensus/price"])
    late = sent[sent > 2_400_000]
    assert len(late) <= 2 * 20 + 4
    assert (sent % 60_000).max() < 10_000, "each round takes two slots"


def test_stations_take_over_what_feeders_fill_in(town):
    cells = Cells(town, lambda cell, now_ms: 300.0 if cell == 0 and now_ms >= 300_000 else 0.0, settings={"net_mw": 0},
                  stations=True)
    filled = []
    minute = cells.minute

    def watched(now_ms):
        mail = minute(now_ms)
        filled.append(sum(cells.given.values()))
        return mail

    cells.minute = watched
    errors = cells.run(40)
    assert max(filled) > 40.0, "the reserve takes its time, and feeders are quick"
    assert filled[-1] == 0.0, "and are let go"
    assert abs(errors[-1]).max() < 4.0
    assert abs(errors[12:, 0]).max() < 0.05 * 300.0, "back within 5 % some minutes after the loss"
    assert errors[:, 0].max() < 15.0
    # 300 of 400 MW by the contracts of 300 and 100 MW, the first interface's and the second's to call
    assert [cells.come[f"gen.GENROU_{k}"] for k in (1, 2, 3)] == pytest.approx([225.0, 75.0, 0.0], abs=3.0)
    by = {(m.sender, m.receiver) for _, m in cells.town.commands if m.receiver.startswith("gen.")}
    assert by == {("dso_1.i4", "gen.GENROU_1"), ("dso_1.i8", "gen.GENROU_2")}
    assert not cells.town.refused


def test_what_the_stations_cannot_give_stays_with_the_feeders(town):
    cells = Cells(town, lambda cell, now_ms: 550.0 if cell == 0 else 0.0, settings={"net_mw": 0}, stations=True)
    errors = cells.run(40)
    assert cells.come["gen.GENROU_1"] + cells.come["gen.GENROU_2"] == pytest.approx(400.0)
    assert cells.given["dso_1.i4"] + cells.given["dso_1.i8"] == pytest.approx(150.0, abs=6)
    assert abs(errors[-1]).max() < 6.0


def test_a_disturbance_elsewhere_is_no_error_though_devices_answer_to_it(town):
    agent = Cells(town, lambda cell, now_ms: 0.0, stations=True).town.of(CellAgents)[0]
    df = -0.05
    # machines by their bias of 700 MW/Hz, devices by the tenth of it that they owe beyond 10 mHz
    answer = -(700.0 * df + 70.0 * (df + 0.01))
    values = {"cell": 0, "f_hz": 50.0 + df, "p_tie_mw": 100.0 + answer, "p_sched_mw": 100.0}
    agent.decide(60.0, [Message("tso", agent.site.name, "tie", values, sent_ms=60_000)])
    assert agent.error_mw == 0.0
    assert agent.demand_mw == 0.0


def test_demand_stops_at_the_capacity_and_comes_back_at_once(town):
    cells = Cells(town, lambda cell, now_ms: 900.0 if cell == 0 and now_ms < 3_600_000 else 0.0, settings={"net_mw": 0})
    cells.run(60)
    assert cells.given["dso_1.i4"] + cells.given["dso_1.i8"] == pytest.approx(400.0, abs=5)
    errors = cells.run(75)
    assert abs(errors[-1]).max() < 4.0, "no wind-up over the hour"


def test_an_agent_without_measurements_is_carried_along(town):
    cells = Cells(town, lambda cell, now_ms: 200.0 if cell == 0 else 0.0, settings={"net_mw": 0})
    minute = cells.minute
    cells.minute = lambda now_ms: [m for m in minute(now_ms) if not (m.topic == "tie" and m.receiver == "dso_1.i8")]
    errors = cells.run(60)
    assert abs(errors[-1]).max() < 5.0
    assert cells.given["dso_1.i8"] == pytest.approx(50.0, abs=4)


def test_opposite_imbalances_are_netted_and_nothing_is_activated_for_long(town):
    size = {0: 80.0, 1: -60.0}
    cells = Cells(town, lambda cell, now_ms: size[cell], settings={"net_from": 0.0})
    cells.run(12)
    agents = {c.site.name: c for c in cells.town.of(CellAgents)}
    a, b = agents["dso_1.i4"], agents["dso_2.i15"]
    assert a.shift_mw < 0 < b.shift_mw
    assert a.shift_mw == pytest.approx(-b.shift_mw)
    assert agents["dso_1.i8"].shift_mw == pytest.approx(a.shift_mw), "the whole cell knows its new schedule"
    assert abs(a.shift_mw) <= 60.0 + 2
    activated = sum(abs(v) for v in cells.given.values())
    assert activated < 80.0, "without netting 140 MW are activated"


def test_equal_imbalances_are_not_netted(town):
    cells = Cells(town, lambda cell, now_ms: 80.0, settings={"net_from": 0.0})
    cells.run(15)
    assert all(c.shift_mw == 0 for c in cells.town.of(CellAgents))
    assert [m for _, m in cells.town.mail if m.topic == "net/request"]


def test_tie_capacity_limits_a_deal(town):
    size = {0: -250.0, 1: 250.0}  # cell 1 has too much and already exports 100 of 300 MW
    cells = Cells(town, lambda cell, now_ms: size[cell], settings={"net_from": 0.0})
    cells.run(14)
    shift = next(c.shift_mw for c in cells.town.of(CellAgents) if c.site.name == "dso_1.i4")
    assert 0 < shift <= 200.0 + 1e-6


def test_deals_end_together(town):
    size = {0: 80.0, 1: -80.0}
    cells = Cells(town, lambda cell, now_ms: size[cell] if now_ms < 600_000 else 0.0, settings={"net_from": 0.0})
    cells.run(60)
    assert all(c.shift_mw == 0 for c in cells.town.of(CellAgents))
    assert all(not c.ledger.sales and not c.ledger.purchases for c in cells.town.of(CellAgents))
    assert abs(np.array(cells.ties)[-1]).max() < 4.0


def test_balanced_cells_stay_silent(town):
    cells = Cells(town, lambda cell, now_ms: 0.5)
    cells.run(30)
    assert not cells.town.mail


def test_areas_deliver_storage_first_then_hold_back_generation(town, physics):
    world = physics(pv_mw=1.0)
    cells = Cells(town, lambda cell, now_ms: -6.0 if cell == 0 else 0.0, capacity=((0,), (0,), (0,)),
                  with_areas=True, physics=world, settings={"net_mw": 0, "deadband_mw": 0.2})
    cells.run(40)
    kind = world.feeder.devices.kind
    storage, pv = kind == "storage", kind == "pv"
    assert np.allclose(world.p_set[storage], -0.5), "all six charge"
    assert -np.minimum(world.p_max[pv], 1.0).sum() + 6.0 == pytest.approx(3.0, abs=0.4)
    assert not cells.town.refused
    assert {m.topic for _, m in cells.town.commands} == {"command/balance_cell"}


def test_an_empty_storage_is_no_capacity(town, physics):
    world = physics(pv_mw=0.0)
    cells = Cells(town, lambda cell, now_ms: 3.0 if cell == 0 else 0.0, capacity=((0,), (0,), (0,)),
                  with_areas=True, physics=world, settings={"net_mw": 0, "deadband_mw": 0.2})
    cells.run(90)
    # half of 1 MWh each at 0.5 MW lasts 48 minutes down to a tenth
    for c in cells.town.of(ShareActive):
        assert c.tree.own[:2] == [0.0, pytest.approx(c.reserve.rated_mw.sum())], "nothing up, all down"
        assert c.tree.own[2] == pytest.approx(c.reserve.ev_mw.sum())


def test_one_battery_after_the_other_is_taken_and_given_back():
    feeder = small_feeder()
    sites = [
        Site(name, "agent", frozenset({"balance_cell"}), Belief((feeder,), area=k), (), 60_000,
             np.random.default_rng(1))
        for k, name in enumerate(feeder.agents)
    ]
    share = next(s for s in map(ShareActive, sites) if len(s.reserve.rated_mw) >= 2)
    share.decide(0.0, [])
    fleet = share.reserve.storage.fleet
    first, second = fleet.device[:2].tolist()
    rated = fleet.p_rated_mw

    def told(amount, now_s):
        tiers = RISING if amount >= 0 else FALLING
        whole, own = (sum(part[tier] for tier in tiers) for part in (share.tree.total, share.tree.own))
        asked = whole / own * amount
        mail = Message(share.tree.parent, share.site.name, "share/p", {"amount": asked}, sent_ms=int(now_s * 1000))
        orders = [m.values for m in share.decide(now_s, [mail]) if "p_set_mw" in m.values]
        return {int(d): float(v) for m in orders for d, v in zip(m["device"], m["p_set_mw"], strict=True)}

    up = told(float(rated[0]), 60.0)
    assert up == {first: pytest.approx(rated[0])}, "at its full power, and nothing is said to the rest"
    down = told(-float(rated[:2].sum()), 120.0)
    assert [down[first], down[second]] == pytest.approx(-rated[:2])
    whole = fleet.energy_mwh[0]
    assert share.reserve.energy_mwh[0] == pytest.approx(0.5 * whole - rated[0] / 60), "a minute of discharge"
    ended = told(0.0, 180.0)
    assert {first, second} == set(ended)
    assert all(np.isinf(v) for v in ended.values()), "given back to their own plans"


def test_an_area_holds_back_its_chp_before_the_sun():
    feeder = small_feeder()
    devices = replace(feeder.devices, kind=np.where(feeder.devices.index == 101, "chp", feeder.devices.kind))
    share = next(
        s for s in (ShareActive(Site(name, "agent", frozenset({"balance_cell"}),
                                     Belief((replace(feeder, devices=devices),), area=k), (), 60_000,
                                     np.random.default_rng(1))) for k, name in enumerate(feeder.agents))
        if s.chp.any() and not s.chp.all()
    )
    share.avail_mw[share.caps.fleet.node] = 1.2  # of each 2 MW plant
    chp, sun = share._cuttable_mw()
    assert chp == pytest.approx(1.2)
    assert sun == pytest.approx(1.2 * (len(share.chp) - 1))
    first = share._caps(0.6)
    assert first[share.chp] == pytest.approx(0.6)
    assert np.isnan(first[~share.chp]).all()
    both = share._caps(1.2 + 0.25 * sun)
    assert both[share.chp] == pytest.approx(0.0)
    assert both[~share.chp] == pytest.approx(0.9)
