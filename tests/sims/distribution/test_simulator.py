import pickle

import numpy as np
import pytest

from sims.core.errors import ModelError
from sims.core.message import Message
from sims.distribution.devices import KINDS, DeviceMap
from sims.distribution.simulator import DistributionSimulator, LineFault
from sims.grid.curve import Curve
from sims.grid.exchange import Offer
from sims.grid.taps import Avr, TapData

MIN = 60_000
PF = Curve("pf", (50.2, 51.2), (0.0, -1.0))
V = np.array([1.03 + 0j])


@pytest.fixture
def dso(fleet):
    """Two CIGRE feeders with a load and a PV plant at each medium-voltage node; the plants follow P(f)."""

    def make(faults=(), authorize=lambda *_: None, load=1.0, pv=0.4, hold=False):
        feeders = fleet("cigre_mv", "cigre_mv", curves=[PF])
        feeders.hold = hold
        grid = feeders.feeders[0].grid
        nodes = np.concatenate([
            feeders.node_start[f] + np.flatnonzero((grid.vn_kv < 60) & ~np.isin(grid.node_bus, (1, 12))) for f in (0, 1)
        ])
        n = nodes.size
        feeder = np.repeat([0, 1], n // 2)
        kind = np.array([KINDS.index("load")] * n + [KINDS.index("pv")] * n)
        none = np.full(2 * n, -1)
        devices = DeviceMap(np.arange(2 * n), np.tile(nodes, 2), np.tile(feeder, 2), kind, none, none,
                            np.where(kind == KINDS.index("pv"), 0, -1))  # fmt: skip
        taps = [f.grid.taps[t] for f, own in zip(feeders.feeders, feeders.regulated, strict=True) for t in own]
        avr = Avr(
            TapData(np.full(4, -9), np.full(4, 9), np.full(4, 1.5), np.ones(4, bool)), np.full(4, 1.02),
            np.zeros(4, int),
        )
        busbar = np.repeat(feeders.node_start[:-1], 2) + np.array([t.lv_node for t in taps])
        sim = DistributionSimulator("dso", feeders, devices, avr, busbar, [PF], faults, authorize, MIN)
        p = np.concatenate([np.full(n, -load), np.full(n, pv)])
        state = {
            "p_mw": p, "q_mvar": np.where(p < 0, -0.2, 0.0), "pu_mw": 0 * p, "qu_mvar": 0 * p,
            "pf_mw": np.where(p > 0, p, 0.0), "p_avail_mw": np.where(p > 0, p, 0.0),
        }  # fmt: skip
        return sim, {port: {"der": values} for port, values in state.items()}

    return make


BY_P, BY_Q = np.array([[-1e-4]]), np.array([[-6e-4]])
"""How the busbar voltage of the interface follows what is drawn [pu/MW, pu/Mvar]."""


def offer(v=V, f_hz=50.0, drawn_mva=0j, within_mva=1e-4):
    given = Offer(v, f_hz, np.array([drawn_mva]), within_mva, BY_P, BY_Q)
    return {"boundary": {"transmission": [{"dso": given}]}}


def instant(sim, state, now_ms, *, v=V, f_hz=50.0, orders=()):
    """The opening and one offer; return (acts and faults told, results)."""
    told = sim.step(now_ms, state | {"commands": {"comms": tuple(orders)}}).outputs
    results = sim.step(now_ms, state | {"commands": {"comms": tuple(orders)}} | offer(v, f_hz)).outputs
    return told if "acts" in told else results, results


def order(receiver="dso.f01", duty="restore_supply", sender="dso.dms", **values):
    return Message(sender, receiver, f"command/{duty}", values)


def test_it_answers_an_offer_that_does_not_hold_with_what_is_drawn(dso):
    sim, state = dso()
    out = sim.step(0, state | offer()).outputs
    (told,) = out["exchange"]
    assert (told.dso, told.per_hz.tolist()) == ("dso", [0.0]), "inside the dead band frequency moves nothing"
    assert (told.v_pu.tolist(), told.f_hz) == ([1.03], 50.0)
    # 2 x 12 nodes draw 1.0 - 0.4 MW, and losses
    assert 14.4 < told.s_mva[0].real < 15.5
    assert told.per_pu[0].real < 0, "less is lost at more voltage"
    assert out["feeder"]["p_mw"].sum() == pytest.approx(told.s_mva[0].real)
    assert out["residual"]["residual_s_mva"] == pytest.approx(np.abs(told.s_mva))


def test_it_agrees_in_silence(dso):
    sim, state = dso()
    sim.step(0, state | offer())
    (told,) = sim.step(0, state | offer()).outputs["exchange"]
    out = sim.step(0, state | offer(drawn_mva=told.s_mva[0] + 5e-5j)).outputs
    assert "exchange" not in out
    assert out["residual"]["residual_s_mva"] == pytest.approx([5e-5], abs=1e-7)
    assert out["residual"]["residual_v_pu"] == pytest.approx([7e-4 * 5e-5], abs=1e-10)


def test_it_opens_an_instant_at_the_voltage_its_own_power_leads_to(dso):
    sim, state = dso()
    sim.step(0, state | offer())
    (first,) = sim.step(0, state | offer()).outputs["exchange"]
    sim.step(0, state | offer(drawn_mva=first.s_mva[0]))
    more = state | {"q_mvar": {"der": 1.5 * state["q_mvar"]["der"]}}
    out = sim.step(MIN, more).outputs
    (told,) = out["exchange"]
    assert (set(out), told.f_hz) == ({"exchange", "acts", "faults"}, 50.0)
    drawn = told.s_mva - first.s_mva
    assert drawn[0].imag > 2.0
    expected = 1.03 + BY_P[0, 0] * drawn[0].real + BY_Q[0, 0] * drawn[0].imag
    assert told.v_pu[0] == pytest.approx(expected, abs=2e-5)
    again = sim.step(MIN, more | offer(v=told.v_pu + 0j)).outputs["exchange"][0]
    assert again.s_mva == pytest.approx(told.s_mva, abs=1e-6)


def test_it_iterates_within_an_instant_on_the_same_injections(dso):
    sim, state = dso()
    instant(sim, state, 0)  # at the first instant of all the tap changers settle
    sim.step(0, state | offer())
    first = sim.step(MIN, state | offer()).outputs["exchange"][0].s_mva
    lower = sim.step(MIN, state | offer(0.95 * V)).outputs["exchange"][0].s_mva
    again = sim.step(MIN, state | offer()).outputs["exchange"][0].s_mva
    assert lower.real > first.real, "the same power at less voltage: more losses"
    assert again == pytest.approx(first, abs=1e-7)


def test_without_any_voltage_it_only_waits(dso):
    sim, state = dso()
    for now_ms, following in ((0, MIN), (30_000, MIN)):
        step = sim.step(now_ms, state)
        assert (step.next_ms, step.outputs) == (following, {})


def test_the_feeder_table_adds_up(dso):
    sim, state = dso()
    feeder = instant(sim, state, 0)[1]["feeder"]
    assert feeder["load_mw"].tolist() == pytest.approx([12.0, 12.0])
    assert feeder["pv_mw"].tolist() == pytest.approx([4.8, 4.8])
    assert feeder["pv_avail_mw"].tolist() == pytest.approx([4.8, 4.8])
    assert (feeder["wind_mw"] == 0).all()
    np.testing.assert_allclose(feeder["p_mw"], feeder["load_mw"] - feeder["pv_mw"] + feeder["loss_mw"], atol=1e-6)
    assert (feeder["customers"].tolist(), feeder["customers_out"].tolist()) == ([150, 150], [0, 0])
    assert (feeder["vm_min_pu"] < feeder["vm_max_pu"]).all()


def test_node_sums_are_those_of_the_devices(dso):
    sim, state = dso()
    results = instant(sim, state, 0)[1]
    busbars = np.isin(sim.feeders.feeders[0].grid.node_bus, (0, 1, 12))
    p = results["p_node_mw"][: sim.feeders.node_start[1]]
    assert p[busbars].tolist() == [0, 0, 0]
    assert p[~busbars] == pytest.approx(-0.6)
    assert results["der_mw"].sum() == pytest.approx(9.6)


def test_plants_follow_the_frequency_inside_the_exchange(dso):
    sim, state = dso()
    results = instant(sim, state, 0, f_hz=50.7)[1]  # half of their power is left
    assert results["feeder"]["pv_mw"].tolist() == pytest.approx([2.4, 2.4])
    assert results["feeder"]["pv_avail_mw"].tolist() == pytest.approx([4.8, 4.8])


def fault(line=6, at_ms=2 * MIN, repaired_ms=10 * MIN):
    return LineFault(at_ms, 0, line, repaired_ms)


def test_a_fault_darkens_its_feeder_counts_customers_and_tells_who_saw_it(dso):
    sim, state = dso([fault()])
    for minute in (0, 1):
        told, results = instant(sim, state, minute * MIN)
        assert told["faults"] == ()
    told, results = instant(sim, state, 2 * MIN)
    (seen,) = told["faults"]
    assert (seen["feeder"], seen["tripped_line"], seen["passed"].tolist()) == ("dso.f01", 0, [6, 9, 1, 0])
    assert [(a.actor, a.duty, a.asset, a.value) for a in told["acts"]] == [("device", "protection", "dso.f01", 0.0)]
    feeder = results["feeder"]
    assert feeder["customers_out"].tolist() == [100, 0]  # buses 2 to 11 with 10 each
    assert feeder["unserved_mw"].tolist() == pytest.approx([10.0, 0.0])
    assert feeder["load_mw"].tolist() == pytest.approx([2.0, 12.0])
    assert feeder["pv_mw"].tolist() == pytest.approx([0.8, 4.8])
    assert feeder["pv_avail_mw"].tolist() == pytest.approx([4.8, 4.8]), "the sun still shines"
    assert np.isnan(results["v_pu"]).sum() == 10
    assert np.isnan(results["bus"]["vm_pu"]).sum() == 10
    on = results["v_dev_pu"] > 0
    assert np.count_nonzero(~on) == 20
    assert (results["p_real_mw"][~on] == 0).all()
    assert instant(sim, state, 3 * MIN)[0]["faults"] == (), "it trips once"


def test_isolating_and_reclosing_brings_the_healthy_part_back(dso):
    sim, state = dso([fault()])
    for minute in range(3):
        instant(sim, state, minute * MIN)
    steps = order(line=np.array([6, 0, 13]), closed=np.array([False, True, True]))
    told, results = instant(sim, state, 3 * MIN, orders=[steps])
    acts = [(a.actor, a.quantity, a.value, a.count, a.refused) for a in told["acts"]]
    assert [a for a in acts if a[1] == "closed"] == [
        ("dso.dms", "closed", 2.0, 3, "")
    ]
    assert results["feeder"]["customers_out"].tolist() == [0, 0]


def test_reclosing_onto_the_fault_trips_again_until_it_is_repaired(dso):
    sim, state = dso([fault()])
    for minute in range(3):
        instant(sim, state, minute * MIN)
    reclose = order(line=np.array([0]), closed=np.array([True]))
    told, results = instant(sim, state, 3 * MIN, orders=[reclose])
    assert len(told["faults"]) == 1
    assert results["feeder"]["customers_out"].tolist() == [100, 0]
    told, results = instant(sim, state, 10 * MIN, orders=[reclose])
    assert told["faults"] == ()
    assert results["feeder"]["customers_out"].tolist() == [0, 0]


def test_a_refused_order_is_logged_and_not_carried_out(dso):
    sim, state = dso(authorize=lambda *_: "not yours")
    told, results = instant(sim, state, 0, orders=[order(line=np.array([0]), closed=np.array([False]))])
    assert [(a.actor, a.asset, a.refused) for a in told["acts"]] == [("dso.dms", "dso.f01", "not yours")]
    assert results["feeder"]["customers_out"].tolist() == [0, 0]


def test_whoever_judges_is_told_who_what_where_and_when(dso):
    asked = []
    sim, state = dso(authorize=lambda *args: asked.append(args))
    instant(sim, state, 2 * MIN, orders=[order("dso.f02", line=np.array([0]), closed=np.array([False]))])
    assert asked == [("dso.dms", "restore_supply", "dso.f02", 2 * MIN)]


def test_an_order_to_a_feeder_that_is_not_there_is_refused(dso):
    sim, state = dso()
    told, _ = instant(sim, state, 0, orders=[order("dso.f09", line=np.array([0]), closed=np.array([False]))])
    assert told["acts"][0].refused == "there is no feeder dso.f09"


def test_orders_move_taps_and_set_points_of_their_own_feeder(dso):
    sim, state = dso()
    before = instant(sim, state, 0)[1]["tap_pos"].tolist()
    orders = [order("dso.f02", "control_voltage", trafo=np.array([1]), tap_pos=np.array([-4])),
              order("dso.f01", "control_voltage", trafo=np.array([0]), v_set_pu=np.array([1.0]))]  # fmt: skip
    results = instant(sim, state, 1000, orders=orders)[1]  # too soon for the regulators
    assert before[3] != -4
    assert results["tap_pos"].tolist() == [*before[:3], -4]
    assert results["v_set_pu"].tolist() == [1.0, 1.02, 1.02, 1.02]
    assert results["trafo"]["tap_pos"].tolist() == [*before[:3], -4]


def busbars(sim, results):
    return results["v_pu"][sim._busbar]


def test_at_the_first_instant_the_tap_changers_stand_where_the_hours_before_have_brought_them(dso):
    sim, state = dso()
    told, results = instant(sim, state, 0, v=0.93 * V)
    assert told["acts"] == (), "nobody acted: it was like that before"
    assert (results["tap_pos"] < 0).all()
    assert busbars(sim, results) == pytest.approx(1.02, abs=0.012)


def test_the_regulator_acts_between_two_instants_after_its_delay(dso):
    sim, state = dso()
    before = instant(sim, state, 0)[1]["tap_pos"]
    low = 0.95 * V
    told, results = instant(sim, state, MIN, v=low)
    assert told["acts"] == (), "when it could act the voltage was right"
    assert (busbars(sim, results) < 1.0).all()
    told, results = instant(sim, state, 2 * MIN, v=low)
    assert {(a.actor, a.duty, a.quantity) for a in told["acts"]} == {("device", "control_voltage", "tap_pos")}
    assert [a.value for a in told["acts"]] == results["tap_pos"].tolist()
    assert (results["tap_pos"] < before).all()
    assert busbars(sim, results) == pytest.approx(1.02, abs=0.012)


def test_no_solution_is_named_with_feeder_and_time(dso):
    sim, state = dso(load=40.0)
    with pytest.raises(ModelError, match=r"dso at 120\.000 s: power flow of dso\.f01, dso\.f02 has no solution"):
        sim.step(2 * MIN, state | offer())


def test_continues_from_its_state(dso):
    one, state = dso([fault()])
    two, _ = dso([fault()])
    for minute in range(3):
        instant(one, state, minute * MIN, v=0.97 * V)
    two.set_state(one.get_state())
    a, b = (instant(sim, state, 3 * MIN, v=0.97 * V)[1] for sim in (one, two))
    np.testing.assert_allclose(a["v_pu"], b["v_pu"], atol=1e-9)
    assert a["tap_pos"].tolist() == b["tap_pos"].tolist()
    assert a["feeder"]["customers_out"].tolist() == b["feeder"]["customers_out"].tolist() == [100, 0]


def overloaded(sim, state):
    """The same with five hundred times the power in the first feeder: no voltages carry that."""
    first = sim.devices.places.feeder == 0
    return state | {"p_mw": {"der": np.where(first, 500.0, 1.0) * state["p_mw"]["der"]}}


def test_a_feeder_without_a_solution_stops_the_run_unless_it_is_to_be_held(dso):
    for hold, at_ms in ((False, MIN), (True, 0)):  # at the first instant there is nothing to hold
        sim, state = dso(hold=hold)
        if at_ms:
            instant(sim, state, 0)
        with pytest.raises(ModelError, match=rf"dso at {at_ms // 1000}\.000 s: power flow of dso\.f01 has no solution"):
            instant(sim, overloaded(sim, state), at_ms)


def test_a_held_feeder_draws_what_it_drew_and_says_nothing_until_it_is_solved_again(dso):
    sim, state = dso(hold=True)
    instant(sim, state, 0)
    _, before = instant(sim, state, 0)
    drawn = sim.feeders.slack_mva.copy()
    told, held = instant(sim, overloaded(sim, state), MIN)
    assert held["feeder"]["converged"].tolist() == [0, 1]
    figures = {name: np.isnan(values).tolist() for name, values in held["feeder"].items()}
    assert figures.pop("customers") == figures.pop("converged") == [False, False]
    assert set(map(tuple, figures.values())) == {(True, False)}
    first = np.arange(held["v_pu"].size) < sim.feeders.node_start[1]
    for name in ("v_pu", "p_node_mw", "q_node_mvar", "der_mw", "der_avail_mw"):
        assert np.isnan(held[name][first]).all(), name
    assert np.isnan(held["flow_p_mw"][: sim.feeders.branch_start[1]]).all()
    assert np.isfinite(held["flow_p_mw"][sim.feeders.branch_start[1] :]).all()
    devices = sim.devices.places.feeder == 0
    for name in ("p_real_mw", "q_real_mvar", "v_dev_pu"):
        assert np.array_equal(held[name][devices], before[name][devices]), name
    (exchange,) = told["exchange"]
    assert exchange.s_mva[0] == pytest.approx(drawn.sum(), abs=0.05)  # the opening is at other voltages
    assert sim.feeders.slack_mva[0] == drawn[0]
    kept = pickle.loads(pickle.dumps(sim.get_state()))
    _, after = instant(sim, state, 2 * MIN)
    assert after["feeder"]["converged"].tolist() == [1, 1]
    assert after["v_pu"] == pytest.approx(before["v_pu"], abs=1e-9)
    other, _ = dso(hold=True)
    other.set_state(kept)
    _, again = instant(other, state, 2 * MIN)
    assert np.array_equal(again["v_pu"], after["v_pu"], equal_nan=True)
    assert all(np.array_equal(again["feeder"][k], v, equal_nan=True) for k, v in after["feeder"].items())


def test_a_feeder_once_held_stays_so_until_the_instant_is_over(dso):
    sim, state = dso(hold=True)
    instant(sim, state, 0)
    instant(sim, overloaded(sim, state), MIN)
    out = sim.step(MIN, state | offer(1.05 * V)).outputs
    assert out["feeder"]["converged"].tolist() == [0, 1]
