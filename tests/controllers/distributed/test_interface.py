import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from controllers.distributed.admm import Agreement, DistributionSide, TransmissionSide
from controllers.distributed.interface import AdmmInterface, ShareReactive
from controllers.specimen import small_feeder
from controllers.tso.admm import AdmmTso
from sims.core.message import Message


@pytest.mark.parametrize("u_set", [1.0, 1.03, 0.9])
def test_two_sides_agree_on_the_common_optimum(u_set):
    measured = np.array([0.3, -0.1, 0.99])
    t = TransmissionSide(measured, u_set, 0.02)
    d = DistributionSide(0.3, -0.1, 0.25)
    at_t, at_d = Agreement(measured.copy(), t.curvature), Agreement(measured.copy(), t.curvature)
    for _ in range(300):
        x_t = t.wish(at_t)
        x_d = d.wish(at_d, x_t)
        at_t.advance(x_t, x_d)
        at_d.advance(x_t, x_d)
        assert at_t.reached == at_d.reached
        if at_t.reached:
            break
    assert at_t.reached
    assert at_t.rounds <= 8

    def cost(q):
        u = 0.99 + 0.02 * (q + 0.1)
        return 0.5 * ((u - u_set) / 0.01) ** 2 + 0.5 * 0.05 * ((q + 0.1) / 0.25) ** 2

    best = minimize_scalar(cost, bounds=(-0.35, 0.15), method="bounded", options={"xatol": 1e-9}).x
    assert at_t.z[1] == pytest.approx(best, abs=2e-3)
    assert at_t.z[0] == pytest.approx(0.3, abs=1e-3)
    assert at_t.z[2] == pytest.approx(0.99 + 0.02 * (at_t.z[1] + 0.1), abs=1e-3)
    assert np.allclose(at_t.z, at_d.z)
    assert np.allclose(at_t.multiplier, at_d.multiplier)


@pytest.mark.parametrize("u_0", [0.99, 1.012])
def test_with_a_price_the_agreement_lies_on_the_characteristic(u_0):
    k_pu, rise, rating = 4000 / 700, 0.2, 700
    measured = np.array([0.3, -0.03, u_0])
    t = TransmissionSide.with_droop(measured, 1.0, rise, k_pu)
    d = DistributionSide(0.3, -0.03, 0.25, weight=0.0)
    at_t, at_d = Agreement(measured.copy(), t.curvature), Agreement(measured.copy(), t.curvature)
    for _ in range(300):
        x_t = t.wish(at_t)
        x_d = d.wish(at_d, x_t)
        at_t.advance(x_t, x_d)
        at_d.advance(x_t, x_d)
        if at_t.reached:
            break
    assert at_t.reached
    # By hand: Q = k (1 - u_0 - rise (Q - Q_0)), so Q = k (1 - u_0 + rise Q_0) / (1 + k rise).
    by_hand = 4000 * (1 - u_0 + rise * -0.03) / (1 + k_pu * rise)
    assert at_t.z[1] * rating == pytest.approx(by_hand, abs=0.2)


def test_a_negotiation_that_begins_where_the_last_ended_takes_fewer_rounds():
    def rounds(v_pu, z, multiplier):
        measured = np.array([0.3, -0.03, v_pu])
        t, d = TransmissionSide.with_droop(measured, 1.0, 0.2, 4000 / 700), DistributionSide(0.3, -0.03, 0.3)
        at_t, at_d = Agreement(z.copy(), 40.0, multiplier), Agreement(z.copy(), 40.0, multiplier)
        while not at_t.reached:
            x_t = t.wish(at_t)
            x_d = d.wish(at_d, x_t)
            at_t.advance(x_t, x_d)
            at_d.advance(x_t, x_d)
        return at_t

    first = rounds(0.99, np.array([0.3, -0.03, 0.99]), np.zeros(3))
    cold = rounds(0.991, np.array([0.3, -0.03, 0.991]), np.zeros(3))
    start = np.array([0.3, first.z[1], 0.991 + 0.2 * (first.z[1] + 0.03)])
    warm = rounds(0.991, start, first.multiplier)
    assert warm.rounds <= 0.7 * cold.rounds
    assert warm.z == pytest.approx(cold.z, abs=1e-3)


@pytest.mark.parametrize(("q_range", "weight"), [(0.3, 0.05), (0.3, 0.0), (0.02, 0.05), (0.0, 0.05), (0.1, 50.0)])
def test_with_the_tsos_own_curvature_few_rounds_do_whatever_the_other_side_is_like(q_range, weight):
    measured = np.array([0.3, -0.03, 0.985])
    t = TransmissionSide.with_droop(measured, 1.0, 0.2, 4000 / 700)
    d = DistributionSide(0.31, -0.03, q_range, weight)
    talk = Agreement(measured.copy(), t.curvature)
    while not talk.reached:
        asked = t.wish(talk)
        talk.advance(asked, d.wish(talk, asked))
    assert talk.rounds <= 5

    def cost(q):
        u, span = 0.985 + 0.2 * (q + 0.03), max(q_range, 1e-9)
        return 0.5 * ((u - 1.0) / 0.01) ** 2 + 0.5 * t.price * q**2 + 0.5 * weight * ((q + 0.03) / span) ** 2

    best = minimize_scalar(cost, bounds=(-0.03 - q_range, -0.03 + q_range), method="bounded", options={"xatol": 1e-9}).x
    assert talk.z[1] == pytest.approx(best, abs=2e-4)
    assert talk.z[0] == pytest.approx(0.31, abs=2e-4)


@pytest.mark.parametrize("seed", range(20))
def test_the_agreement_costs_what_a_centre_that_knows_both_sides_would_pay(seed):
    """Both costs are convex in Q: the two at their interface end within 0.5 % of the common optimum."""
    rng = np.random.default_rng(seed)
    q_0, u_0, u_set = rng.uniform(-0.2, 0.2), rng.uniform(0.96, 1.04), rng.uniform(0.98, 1.02)
    rise, q_range, weight = rng.uniform(0.05, 0.3), rng.uniform(0.02, 0.4), rng.uniform(0.01, 5.0)
    measured = np.array([0.3, q_0, u_0])
    t = TransmissionSide.with_droop(measured, u_set, rise, rng.uniform(2.0, 10.0))
    d = DistributionSide(0.3, q_0, q_range, weight)
    talk = Agreement(measured.copy(), t.curvature)
    while not talk.reached:
        asked = t.wish(talk)
        talk.advance(asked, d.wish(talk, asked))

    def cost(q):
        u = u_0 + rise * (q - q_0)
        return 0.5 * ((u - u_set) / 0.01) ** 2 + 0.5 * t.price * q**2 + 0.5 * weight * ((q - q_0) / q_range) ** 2

    bounds = q_0 - q_range, q_0 + q_range
    best = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-9}).fun
    assert bounds[0] - 1e-4 <= talk.z[1] <= bounds[1] + 1e-4
    assert cost(talk.z[1]) == pytest.approx(best, rel=0.005)
    assert max(talk.primal, talk.dual) < 1e-4


NAMES = (*small_feeder().agents, "dso_1.i4", "tso")


def build(town, physics, **kwargs):
    roles = dict.fromkeys(NAMES[:-1], "agent") | {"tso": "tso"}
    classes = {name: [ShareReactive] for name in NAMES[:4]} | {"dso_1.i4": [AdmmInterface], "tso": [AdmmTso]}
    return town(classes, stage=3, physics=physics, sites=NAMES, roles=roles, **kwargs)


def minute(world, u_0=0.985, lines=6000.0):
    def measure(now_ms):
        world.solve()
        s = world.root_s
        u = u_0 + s.imag / lines
        values = {"v_pu": u, "v_set_pu": 1.0, "p_mw": s.real, "q_mvar": s.imag, "tap_pos": 0.0, "loading_percent": 20.0}
        return [
            *[world.own(a, now_ms) for a in range(4)], world.primary(now_ms),
            Message("dso_1.i4", "dso_1.i4", "interface", values, sent_ms=now_ms),
            Message("dso_1.i4", "tso", "interface", values, sent_ms=now_ms),
        ]
    return measure


def test_low_voltage_upstream_is_answered_with_reactive_power_from_all_areas(town, physics):
    world = physics(v0=1.0, load_mw=0.8, load_mvar=0.2)
    before = world.root_s.imag
    agents = build(town, world)
    agents.run(1_800_000, minute(world))
    tso, = agents.of(AdmmTso)
    interface, = agents.of(AdmmInterface)
    assert "dso_1.i4" in tso.agreed
    assert interface.target_mvar > before + 0.5
    assert world.root_s.imag == pytest.approx(interface.target_mvar, abs=0.15)
    pv = world.feeder.devices.kind == "pv"
    use = [world.q_set[(world.feeder.devices.node >= 2) & (world.feeder.area[world.feeder.devices.node] == a)].sum()
           / c.whole_mvar for a, c in enumerate(agents.of(ShareReactive)) if c.whole_mvar]
    assert np.ptp(use) <= 0.1 + 0.03, "areas give the same part of their own, to within a step"
    assert np.isin(np.round(world.q_set[pv], 6), (0.0, 0.66)).sum() >= pv.sum() - len(use), "one after the other"
    assert not agents.refused
    assert {m.topic for _, m in agents.commands} == {"command/support_tso_voltage"}


def test_nothing_is_negotiated_while_the_wish_is_met(town, physics):
    world = physics()
    agents = build(town, world)
    agents.run(900_000, minute(world, u_0=1.001))
    assert not [m for _, m in agents.mail if m.topic == "admm"]
    assert not agents.commands


def test_own_voltage_comes_before_the_tsos(town, physics):
    world = physics(v0=1.06, load_mw=0.0, load_mvar=0.0)
    agents = build(town, world)
    agents.run(900_000, minute(world))
    assert not agents.commands


def test_capacity_is_summed_up_the_tree(town, physics):
    agents = build(town, physics())
    agents.run(300_000, minute(physics(), u_0=1.0))
    interface, = agents.of(AdmmInterface)
    # 6 x (0.66 PV + 0.165 storage) Mvar
    assert interface.capacity == {"dso_1.f03.a0": pytest.approx(6 * 0.825)}
    assert interface.reach_mvar == pytest.approx(4.95)


def test_a_lost_letter_ends_one_negotiation_and_the_next_succeeds(town, physics):
    world = physics()
    agents = build(town, world)
    agents.lost = lambda m: m.topic == "admm" and m.sender == "dso_1.i4" and agents.now_ms < 200_000 and (
        int(m.values["round"]) == 4)
    agents.run(290_000, minute(world))
    assert not agents.of(AdmmTso)[0].agreed
    agents.run(700_000, minute(world))
    assert agents.of(AdmmTso)[0].agreed


def test_a_negotiation_that_does_not_end_is_cut_short_and_goes_on_in_the_next_quarter_hour(town, physics):
    world = physics(v0=1.0, load_mw=0.8, load_mvar=0.2)
    agents = build(town, world, settings={"rounds": 3})
    agents.run(800_000, minute(world))
    letters = [m for _, m in agents.mail if m.topic == "admm"]
    interface, = agents.of(AdmmInterface)
    assert len(letters) == 6, "three rounds, once a quarter-hour"
    assert abs(interface.target_mvar) <= abs(interface.q_mvar) + interface.reach_mvar + 1e-9
    assert interface.target_mvar != 0
    assert world.q_set.any(), "what was wished last is delivered"


def test_a_voltage_that_stays_is_negotiated_on_again_only_before_the_agreement_ends(town, physics):
    world = physics(v0=1.0, load_mw=0.8, load_mvar=0.2)
    agents = build(town, world, settings={"renew_s": 1800})
    agents.run(3_500_000, minute(world))
    opened = [t for t, m in agents.mail if m.topic == "admm" and m.sender == "tso" and int(m.values["round"]) == 1]
    assert len(opened) <= 3
    assert np.diff(opened).min() >= 900_000


def test_without_new_agreements_the_support_ends(town, physics):
    world = physics()
    agents = build(town, world, settings={"agreement_s": 900})
    agents.run(900_000, minute(world))
    assert world.q_set.any()
    agents.lost = lambda m: m.topic == "admm"
    agents.run(2_400_000, minute(world))
    assert np.allclose(world.q_set, 0.0)
