import numpy as np
import pytest

from controllers.distributed.consensus import integrator_bound
from controllers.distributed.voltage import ConsensusVoltVar


@pytest.mark.parametrize(("v0", "pv", "load", "sign"), [(1.035, 1.6, 0.1, -1), (0.97, 0.0, 1.6, 1)])
def test_one_ratio_brings_the_worst_voltage_inside_the_guard(town, physics, v0, pv, load, sign):
    world = physics(v0=v0, pv_mw=pv, load_mw=load)
    outside = world.v[2:].max() > 1.042 or world.v[2:].min() < 0.958
    assert outside
    agents = town([ConsensusVoltVar], physics=world)
    agents.run(3_600_000, world.minute(primary=False))
    assert world.v[2:].max() < 1.0425
    assert world.v[2:].min() > 0.9575
    ratios = np.array([c.ratio.value for c in agents.of(ConsensusVoltVar)])
    assert (np.sign(ratios) == sign).all()
    assert np.ptp(ratios) < 0.06
    assert not agents.refused
    assert {m.topic for _, m in agents.commands} == {"command/control_voltage"}


def test_silent_inside_the_band_and_after_release(town, physics):
    world = physics(v0=1.035, pv_mw=1.6, load_mw=0.1)
    agents = town([ConsensusVoltVar], physics=world)
    agents.run(1_800_000, world.minute(primary=False))
    assert agents.mail
    world.v0 = 1.0
    agents.run(3_600_000 + 1_800_000, world.minute(primary=False))
    before = len(agents.mail)
    agents.run(2 * 3_600_000, world.minute(primary=False))
    assert len(agents.mail) == before
    assert all(c.ratio.value == 0 for c in agents.of(ConsensusVoltVar))
    last = [m for _, m in agents.commands][-1]
    assert np.isinf(last.values["q_set_mvar"]).all(), "taken back: the own law takes over"
    assert not world.q_set.any()


def test_what_counts_as_told_has_been_told(town, physics):
    world = physics(v0=1.035, pv_mw=1.6, load_mw=0.1)
    agents = town([ConsensusVoltVar], physics=world)
    told = {}

    def drifting(now_ms):
        told.update({m.sender: [*m.values["low"], *m.values["high"]] for _, m in agents.mail if "low" in m.values})
        for c in agents.of(ConsensusVoltVar):
            if c.site.name in told:
                assert c.span.said == told[c.site.name]
        world.v0 -= 1e-5
        return world.minute(primary=False)(now_ms)

    agents.run(1_800_000, drifting)
    assert len(told) == 3, "all but the leading agent"


def test_inverters_keep_their_apparent_power(town, physics):
    world = physics(v0=1.07, pv_mw=2.0, load_mw=0.0)
    agents = town([ConsensusVoltVar], physics=world)
    agents.run(3_600_000, world.minute(primary=False))
    pv = world.feeder.devices.kind == "pv"
    # s = 1.1 p leaves sqrt(1.1^2 - 1) = 0.458 p, VDE-AR-N 4110 stops at 0.33 p: 0.66 Mvar of 2 MW
    assert np.allclose(world.q_set[pv], -0.66, atol=1e-9)
    ev = world.feeder.devices.kind == "ev"
    assert not world.q_set[ev].any()


@pytest.mark.parametrize("factor", [0.35, 0.95])
def test_settles_below_the_bound_for_two_rounds_of_delay(town, physics, factor):
    world = physics(v0=1.033, pv_mw=1.6, load_mw=0.1)
    gain = factor * integrator_bound(2)
    agents = town([ConsensusVoltVar], physics=world, delay_ms=59_000, settings={"loop_gain": gain})
    swings = []

    def measure(now_ms):
        mail = world.minute(primary=False)(now_ms)
        swings.append(world.v[2:].max())
        return mail

    agents.run(3 * 3_600_000, measure, tick_ms=1000)
    late = np.ptp(swings[-60:])
    assert late < 1e-3
    assert max(swings[-60:]) < 1.0425


def test_dark_area_pushes_nothing(town, physics):
    world = physics(v0=1.0)
    agents = town([ConsensusVoltVar], physics=world)
    world.closed[0] = False
    agents.run(600_000, world.minute(primary=False))
    assert not [m for _, m in agents.mail if m.values["hold"] or m.values["ratio"]]
    assert not agents.commands
    told = [m.sender for _, m in agents.mail]
    assert len(told) == len(set(told)), "where it stands is told once, and only by who is lit"


def test_what_would_cost_the_own_area_its_other_limit_is_taken_back_bit_by_bit(town, physics):
    agents = town([ConsensusVoltVar], physics=physics(v0=1.0, pv_mw=1.0, load_mw=0.5))
    agent = next(c for c in agents.of(ConsensusVoltVar) if c.whole_mvar > 0)
    agent.ratio.value = 1.0
    own_rise_pu = agent.area.medium_impedance.imag * agent.whole_mvar
    over = own_rise_pu / 2
    assert [agent._own_share(over, -0.05) for _ in range(3)] == pytest.approx([0.85, 0.70, 0.55])
    assert agent._own_share(-agent.margin_v_pu / 2, -0.05) == pytest.approx(0.55), "held just inside the limit"
    assert agent._own_share(-2 * agent.margin_v_pu, -0.05) == pytest.approx(0.60), "given again by the release"
    agent.ratio.value = 0.0
    assert agent._own_share(over, -0.05) == 1.0
