import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sims.core.errors import ModelError
from sims.core.message import Message
from sims.grid.compiled import CompiledNet
from sims.grid.exchange import Exchange
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.taps import Avr
from sims.transmission.disturbances import GeneratorTrip
from sims.transmission.grid import InterfaceTransformer, branch_elements, tap_data, transmission_net
from sims.transmission.machinery import Machinery
from sims.transmission.plant import Plant, Wish
from sims.transmission.quasi_steady import Governors, QuasiSteady
from sims.transmission.schedule import Schedule
from sims.transmission.simulator import TransmissionSimulator
from sims.transmission.ties import Ties

CASES = Path(__file__).parents[3] / "scenarios" / "data" / "transmission"
MIN = 60_000


@pytest.fixture(scope="module")
def grid(case_of):
    case = case_of("ieee39")
    levels = [float(b["vn_kv"]) for b in json.loads((CASES / "ieee39.json").read_text())["bus"]]
    given = (700.0, 110.0, 14.0, 0.3, -12, 12, 1.25, 1.02)
    transformers = [InterfaceTransformer(n, b, *given) for n, b in (("a.i1", 4), ("a.i2", 8), ("b.i1", 15))]
    return case, CompiledNet.from_net(transmission_net(case, transformers, levels), "ieee39"), transformers, levels


@pytest.fixture
def make(grid):
    def build(trips=(), authorize=lambda *_: None, fcr=300.0):
        case, compiled, transformers, levels = grid
        names = case.machines.names
        n, cell = len(names), case.bus_cell[case.machines.bus]
        nodes = np.array([compiled.node(case.n_bus + i) for i in range(3)])
        system = QuasiSteady(
            MeshedPowerFlow(compiled), Governors(np.full(n, 100.0), np.full(n, fcr), np.full(n, 5000.0)), case.slack,
            np.array([compiled.node(int(b)) for b in case.load_bus]), nodes, 0.01,
        )
        p = case.machines.values["p_mw"] * 1.02
        schedule = Schedule(15 * MIN, np.array([p, p]), np.zeros((2, len(case.cells))))
        plant = Plant(
            names, cell, tuple(t.name for t in transformers), {"a": np.array([0, 1]), "b": np.array([2])},
            case.bus_cell[case.load_bus], np.full(len(case.cells), 300.0), np.full(n, 100.0),
            case.machines.stored_mws, 120.0,
        )
        avr = Avr(tap_data(transformers), np.full(3, 1.02), np.zeros(3, int))
        return TransmissionSimulator(
            system, Ties(case), schedule, plant, avr, lambda _: case.load_mva,
            [GeneratorTrip(t, g) for t, g in trips], authorize, MIN, f_nominal_hz=60.0,
            machinery=Machinery(
                case, tuple(transformers), np.array([compiled.node(b) for b in range(case.n_bus)]),
                branch_elements(case, levels),
            ),
            wish=Wish(np.full(3, 1.0), 1000.0, np.full(3, 20.0)),
        )

    return build


S0 = {"a": np.array([60 + 10j, 40 + 5j]), "b": np.array([80 + 20j])}
OPENING = {"a": np.array([1.0, 1.01]), "b": np.array([1.02])}


def draws(dso, v_pu, f_hz):
    """What a DSO tells whose load depends on voltage: S = S0 V^2; no droop of its own."""
    v = np.abs(v_pu)
    return Exchange(dso, S0[dso] * v**2, 2 * S0[dso] * v, 0j * v, v, f_hz)


def disagreeing(offers):
    """What is told by those DSOs for which an offer does not hold."""
    told = [(offer, draws(dso, offer.v_pu, offer.f_hz)) for dso, offer in offers.items()]
    return [new for offer, new in told if np.abs(new.s_mva - offer.drawn_mva).sum() > offer.within_mva]


def instant(sim, now_ms, orders=(), opening=OPENING):
    """Exchange until nobody disagrees; return (acts, results, number of solutions)."""
    told = [draws(dso, v, 60.0) for dso, v in opening.items()]
    acts, count = None, 0
    while told or not count:
        inputs = {"commands": {"comms": tuple(orders)}, "exchange": {"dso": told}}
        out = sim.step(now_ms, inputs).outputs
        acts, count = out.get("acts", acts), count + 1
        assert count < 60
        told = disagreeing(out["boundary"][0])
    return acts, out, count


def test_the_instant_closes_with_voltage_and_power_agreed(make, grid):
    sim = make()
    _, out, count = instant(sim, 0)
    assert count == 2, "V^2 is no straight line, and the opening was 2 % off"
    assert out["system"]["iterations"][0] == count
    assert out["boundary"][0]["a"].within_mva == pytest.approx(1e-4 / 2)
    # what stands at the interfaces is what those voltages draw
    v = out["interface"]["v_busbar_pu"]
    drawn = np.array([60 + 10j, 40 + 5j, 80 + 20j]) * v**2
    kept = (0.003 + 1j * np.sqrt(0.14**2 - 0.003**2)) * np.abs(drawn / v) ** 2 / 700.0
    into = out["interface"]["p_mw"] + 1j * out["interface"]["q_mvar"]
    np.testing.assert_allclose(-into, drawn + kept, atol=1e-3)


def test_one_solution_does_where_the_opening_was_near(make):
    sim = make()
    for minute in range(5):  # until the tap changers stand
        out = instant(sim, minute * MIN)[1]
    near = {dso: np.abs(offer.v_pu) + 1e-5 for dso, offer in out["boundary"][0].items()}
    _, out, count = instant(sim, 5 * MIN, opening=near)
    assert count == out["system"]["iterations"][0] == 1


def test_an_instant_opens_without_exchanges_where_nobody_knows_a_voltage_yet(make):
    out = instant(make(), 0, opening={})[1]
    np.testing.assert_allclose(out["interface"]["v_busbar_pu"], instant(make(), 0)[1]["interface"]["v_busbar_pu"],
                               atol=1e-6)


def test_an_offer_says_how_its_voltages_follow_what_is_drawn(make):
    sim = make()
    offers = instant(sim, 0)[1]["boundary"][0]
    told = [draws(dso, offer.v_pu, offer.f_hz) for dso, offer in offers.items()]
    more = [replace(t, s_mva=t.s_mva + (np.array([0.0, 2.0 + 3.0j]) if t.dso == "a" else 0.0)) for t in told]
    fixed = [replace(t, per_pu=0j * t.per_pu) for t in more]
    moved = sim.step(0, {"exchange": {"dso": fixed}}).outputs["boundary"][0]["a"]
    dv = np.abs(moved.v_pu) - np.abs(offers["a"].v_pu)
    np.testing.assert_allclose(dv, offers["a"].by_p @ [0.0, 2.0] + offers["a"].by_q @ [0.0, 3.0], rtol=0.05)


def test_power_balances_over_the_system(make):
    _, out, _ = instant(make(), 0)
    v = out["interface"]["v_busbar_pu"]
    drawn = (np.array([60.0, 40.0, 80.0]) * v**2).sum()
    system = {k: float(x[0]) for k, x in out["system"].items()}
    assert system["gen_mw"] == pytest.approx(
        system["static_load_mw"] + drawn + system["loss_transmission_mw"], abs=1e-3
    )
    assert out["gen"]["p_mw"].sum() == pytest.approx(system["gen_mw"])
    assert out["cell"]["p_gen_mw"].sum() == pytest.approx(system["gen_mw"])


def test_between_grid_steps_it_says_nothing(make):
    sim = make()
    instant(sim, 0)
    step = sim.step(30_000, {})
    assert (step.outputs, step.next_ms) == ({}, MIN)


def test_a_trip_strikes_at_its_time_and_lowers_the_frequency(make):
    sim = make([(2 * MIN, "G8")])
    f = [instant(sim, k * MIN)[1]["f_hz"][0] for k in range(4)]
    assert f[1] == pytest.approx(f[0], abs=0.02)
    assert f[2] < f[1] - 0.3
    assert f[3] == pytest.approx(f[2], abs=0.05)


def order(receiver, duty="balance_cell", **values):
    return Message("tso", receiver, f"command/{duty}", values)


def test_secondary_control_moves_set_points_and_brings_the_frequency_back(make):
    sim = make()
    before = instant(sim, 0)[1]
    acts, after, _ = instant(sim, MIN, [order("gen.G3", p_delta_mw=50.0)])
    assert [(a.actor, a.asset, a.quantity, a.value, a.refused) for a in acts if a.actor == "tso"] == [
        ("tso", "gen.G3", "p_delta_mw", 50.0, "")
    ]
    moved = after["gen"]["p_set_mw"] - before["gen"]["p_set_mw"]
    assert sorted(np.round(moved, 9).tolist()) == [0.0] * 9 + [50.0]
    assert after["f_hz"][0] > before["f_hz"][0]


def test_the_reserve_comes_at_its_speed_as_far_as_the_contract_goes_and_ends_with_the_order(make):
    sim = make()
    first = instant(sim, 0)[1]["gen"]["p_set_mw"]
    g3 = 2
    called = Message("tso", "gen.G3", "command/balance_cell", {"p_delta_mw": 170.0}, sent_ms=0, ttl_ms=4 * MIN)
    moved = [instant(sim, k * MIN, [called] if k == 1 else [])[1]["gen"]["p_set_mw"] - first for k in range(1, 7)]
    # 100 MW contracted, all of it within 2 min; the order runs out at the fourth minute
    assert [float(m[g3]) for m in moved] == pytest.approx([50.0, 100.0, 100.0, 50.0, 0.0, 0.0])
    assert sim.get_state()["called"]["ordered_mw"][g3] == 0.0


@pytest.mark.parametrize(
    ("place", "values", "rule"),
    [
        ("gen.G99", {"p_delta_mw": 1.0}, "there is nothing at gen.G99"),
        ("a.i1", {"p_delta_mw": 1.0}, "a.i1 cannot move p_delta_mw"),
        ("gen.G3", {"tap_pos": 1}, "gen.G3 cannot move tap_pos"),
    ],
)
def test_what_cannot_be_done_is_refused_and_logged(make, place, values, rule):
    acts, _, _ = instant(make(), 0, [order(place, **values)])
    assert [a.refused for a in acts] == [rule]


def test_an_order_that_is_not_the_senders_to_give_moves_nothing(make):
    sim, free = make(authorize=lambda *_: "not yours"), make()
    acts, out, _ = instant(sim, 0, [order("gen.G3", p_delta_mw=50.0)])
    assert [a.refused for a in acts] == ["not yours"]
    np.testing.assert_array_equal(out["gen"]["p_set_mw"], instant(free, 0)[1]["gen"]["p_set_mw"])


def test_a_tap_and_a_set_point_are_moved_by_order(make):
    orders = [order("a.i2", "support_tso_voltage", tap_pos=-3), order("b.i1", "support_tso_voltage", v_set_pu=1.0)]
    sim = make()
    instant(sim, 0)
    acts = instant(sim, MIN, orders)[0]
    found = [(a.asset, a.quantity, a.value, a.refused) for a in acts if a.actor == "tso"]
    assert found == [("a.i2", "tap_pos", -3.0, ""), ("b.i1", "v_set_pu", 1.0, "")]
    assert sim._avr.operations[1] >= 3
    assert sim._avr.v_set_pu.tolist() == [1.02, 1.02, 1.0]


def test_the_wish_is_a_saturated_line():
    wish = Wish(np.array([1.0, 1.0, 1.0]), 1000.0, np.full(3, 20.0))
    assert wish.q_ref_mvar(np.array([0.99, 1.005, 1.1])).tolist() == pytest.approx([10.0, -5.0, -20.0])


def test_exports_sum_to_what_the_ties_lose_and_enter_the_control_error(make):
    _, out, _ = instant(make(), 0)
    cell = out["cell"]
    assert 0 < cell["p_tie_mw"].sum() < out["system"]["loss_transmission_mw"][0]
    expected = cell["p_tie_mw"] - cell["p_sched_mw"] + 300.0 * (cell["f_hz"] - 60.0)
    np.testing.assert_allclose(cell["ace_mw"], expected, atol=1e-9)


def test_a_boundary_that_never_agrees_is_named(make):
    sim = make()
    (offers,) = sim.step(0, {}).outputs["boundary"]

    def quarrel():
        for k in range(60):
            told = [draws(dso, offer.v_pu, offer.f_hz) for dso, offer in offers.items()]
            given = [replace(t, s_mva=t.s_mva + 0.02 * (k % 3)) for t in told]
            sim.step(0, {"exchange": {"dso": given}})

    with pytest.raises(ModelError, match=r"transmission at 0\.000 s: the boundary does not agree after 50 iterations"):
        quarrel()


def test_exhausted_reserves_name_the_remedy(make):
    sim = make([(MIN, "G8"), (MIN, "G9")], fcr=60.0)
    instant(sim, 0)
    with pytest.raises(ModelError, match=r"transmission at 60\.000 s: .*state larger reserves"):
        instant(sim, MIN)
