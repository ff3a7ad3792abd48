import dataclasses

import numpy as np
import pytest

from controllers.contract import Site
from controllers.distributed.area_state import Accuracy, AreaState
from controllers.distributed.observe import ObserveArea
from controllers.logbook import LOGBOOK
from controllers.specimen import small_belief, small_feeder


def agents(**settings):
    feeder = small_feeder()
    return {
        name: ObserveArea(Site(name, "agent", frozenset({"observe"}), small_belief(k), (), 60_000,
                               np.random.default_rng(k), settings))
        for k, name in enumerate(feeder.agents)
    }


def together(reports):
    """Return one voltage per node; the source's own node belongs to nobody's estimate."""
    whole = np.full(8, np.nan)
    for nodes, v_pu in reports.values():
        whole[nodes] = v_pu
    return whole


def noisy(message, rng, share):
    values = {
        key: value * (1 + share * rng.standard_normal(np.shape(value))) if key[:2] in ("v_", "p_", "q_", "bo") and
        key != "boundary_line" else value
        for key, value in message.values.items()
    }
    return dataclasses.replace(message, values=values)


def cycle(sites, world, now_ms, rng=None, *, frames=True, share=0.003):
    """Run one estimation cycle; return the reports by agent and the number of letters."""
    world.solve()
    mail = [world.own(a, now_ms) for a in range(4)] + [world.primary(now_ms)]
    if frames:
        mail = [world.secondary(n, now_ms) for n in range(2, 8)] + mail
    if rng is not None:
        mail = [noisy(m, rng, share) for m in mail]
    reports, letters = {}, 0
    for round_ in range(20):
        boxes = {name: [m for m in mail if m.receiver == name] for name in sites}
        mail = []
        for name, site in sites.items():
            if round_ and not boxes[name]:
                continue
            for message in site.decide(now_ms / 1000 + 0.1 * round_, boxes[name]):
                if message.receiver == LOGBOOK:
                    reports[name] = message.values["node"], message.values["v_pu"]
                else:
                    mail.append(message)
        letters += len(mail)
        if not mail:
            break
    return reports, letters


@pytest.mark.parametrize(("pv", "load"), [(0.0, 1.5), (2.0, 0.2), (1.0, 0.8)])
def test_areas_together_know_every_voltage(physics, pv, load):
    world = physics(v0=1.01, pv_mw=pv, load_mw=load)
    sites = agents()
    reports, letters = cycle(sites, world, 0)
    assert len(reports) == 4
    whole = together(reports)
    assert np.abs(whole[1:] - world.v[1:]).max() < 5e-4
    for name, (nodes, _) in reports.items():
        assert (small_feeder().area[nodes] == small_feeder().agents.index(name)).all()
    assert letters <= 30


def test_edges_agree_within_the_tolerance(physics):
    world = physics(v0=1.01, pv_mw=2.0, load_mw=0.2)
    sites = agents()
    rng = np.random.default_rng(1)
    for k in range(4):
        cycle(sites, world, k * 300_000, rng)
        assert max(site.mismatch() for site in sites.values()) < 1e-3


def test_noise_is_no_worse_than_that_of_one_meter(physics):
    world = physics(v0=1.0, pv_mw=1.0, load_mw=0.5)
    rng = np.random.default_rng(7)
    errors = []
    for _ in range(60):
        reports, _ = cycle(agents(), world, 0, rng, share=0.003)
        whole = together(reports)
        errors.append(whole[2:] - world.v[2:])
    assert np.sqrt(np.mean(np.square(errors))) < 0.0033
    assert abs(np.mean(errors)) < 0.0005


def test_without_frames_the_nameplate_and_the_edge_flows_stand_in(physics):
    world = physics(v0=1.0, pv_mw=0.0, load_mw=0.8)
    reports, _ = cycle(agents(), world, 0, frames=False)
    whole = together(reports)
    assert np.abs(whole[1:] - world.v[1:]).max() < 0.004


def test_reports_once_every_five_minutes(physics):
    world = physics(v0=1.0)
    sites = agents()
    count = 0
    for minute in range(31):
        reports, letters = cycle(sites, world, minute * 60_000, frames=minute % 15 == 0)
        count += len(reports)
        assert (letters > 0) == (minute % 5 == 0)
    assert count == 4 * 7


def test_a_silent_neighbour_delays_the_report_but_does_not_lose_it(physics):
    world = physics(v0=1.0)
    sites = agents()
    del sites["dso_1.f03.a3"]
    reports, _ = cycle(sites, world, 0)
    assert set(reports) == {"dso_1.f03.a1", "dso_1.f03.a2"}, "they have no line in service to the silent area"
    world.solve()
    lead = sites["dso_1.f03.a0"]
    out = lead.decide(300.0, [world.own(0, 300_000), world.primary(300_000)])
    assert [m.topic for m in out if m.receiver == LOGBOOK] == ["estimate"]


def test_a_dark_area_reports_nothing(physics):
    world = physics(v0=1.0)
    sites = agents()
    site = sites["dso_1.f03.a2"]
    assert not site.decide(0.0, [])
    assert site.decide(300.0, [world.own(2, 300_000)])
    assert not [m for m in site.decide(1200.0, []) if m.topic == "boundary"]


def test_gain_reproduces_exact_linear_data():
    """Measurements made from any state by the model itself must return that state."""
    feeder = small_feeder()
    state = AreaState(feeder, 3, 5, Accuracy())
    assert list(state.node) == [5, 6, 7]
    assert list(state.entry_line) == [3]
    assert list(state.exit_line) == []
    rng = np.random.default_rng(3)
    p, q, w = rng.normal(size=3), rng.normal(size=3), 0.52
    volts = w + state.r @ p + state.x @ q
    # r of line 3 belongs to the entry: only what lies below node 5 counts inside
    assert state.r[0].tolist() == [0, 0, 0]
    z = np.concatenate(([volts[0]], volts, p, q, [p.sum()], [q.sum()], [volts[0]]))
    gain = state.gain_matrix(np.ones(3, bool), 0, np.ones(1, bool))
    result = gain @ z
    assert result[:3] == pytest.approx(volts, abs=1e-9)
    assert result[3:] == pytest.approx([p.sum(), q.sum()], abs=1e-9)
