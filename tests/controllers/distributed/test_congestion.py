import numpy as np
import pytest

from controllers.distributed.congestion import ConsensusCurtailment


def test_over_voltage_is_shared_as_one_ratio(town, physics):
    world = physics(v0=1.04, pv_mw=2.0, load_mw=0.1)
    assert world.v.max() > 1.05
    agents = town([ConsensusCurtailment], physics=world)
    agents.run(3_600_000, world.minute())
    ratios = np.array([c.ratio.value for c in agents.of(ConsensusCurtailment)])
    measured = world.v
    assert measured.max() <= 1.05 + 5e-4
    assert measured.max() > 1.05 - 0.006, "no more is given up than the limit asks"
    assert np.ptp(ratios) < 0.05
    pv = world.feeder.devices.kind == "pv"
    assert np.ptp(world.p_max[pv]) < 0.1
    assert not agents.refused


def test_overloaded_transformer_enters_at_the_leader(town, physics):
    world = physics(v0=0.98, pv_mw=2.0, load_mw=0.0, load_mvar=0.0, rating_scale=0.36)
    agents = town([ConsensusCurtailment], physics=world)
    for c in agents.of(ConsensusCurtailment):
        c.trafo_mva = [0.36 * mva for mva in c.trafo_mva]
    agents.run(3_600_000, world.minute())
    loading = float(world.primary(0).values["loading_percent"][0])
    assert 94 < loading < 100.5


def test_import_overload_is_not_answered_by_curtailing(town, physics):
    world = physics(v0=1.0, pv_mw=0.0, load_mw=2.0, rating_scale=0.3)
    assert float(world.primary(0).values["loading_percent"][0]) > 110
    agents = town([ConsensusCurtailment], physics=world)
    agents.run(600_000, world.minute())
    assert not agents.mail


def test_silent_while_nothing_is_wrong(town, physics):
    world = physics(v0=1.0, pv_mw=0.5)
    agents = town([ConsensusCurtailment], physics=world)
    agents.run(1_800_000, world.minute())
    assert not agents.mail
    assert not agents.commands


def test_released_smoothly_and_silent_again_without_windup(town, physics):
    world = physics(v0=1.08, pv_mw=2.0, load_mw=0.0)  # beyond what curtailing can cure: ratio at its limit
    agents = town([ConsensusCurtailment], physics=world)
    agents.run(3_600_000, world.minute())
    assert all(c.ratio.value == 0.0 for c in agents.of(ConsensusCurtailment))
    world.v0 = 1.0
    agents.run(3_600_000 + 30 * 60_000, world.minute())
    middle = [c.ratio.value for c in agents.of(ConsensusCurtailment)]
    assert all(0.2 < m < 1.0 for m in middle), "released step by step, at once when the cause is gone"
    agents.run(3_600_000 + 70 * 60_000, world.minute())
    assert all(c.ratio.value == 1.0 for c in agents.of(ConsensusCurtailment))
    assert np.allclose(world.p_max[world.feeder.devices.kind == "pv"], 2.0)
    before = len(agents.mail)
    agents.run(3_600_000 + 100 * 60_000, world.minute())
    assert len(agents.mail) == before


def test_a_dead_neighbour_does_not_stop_the_others(town, physics):
    world = physics(v0=1.04, pv_mw=2.0, load_mw=0.1)
    agents = town([ConsensusCurtailment], physics=world)
    agents.lost = lambda m: "a3" in m.sender or "a3" in m.receiver
    agents.run(3_600_000, world.minute())
    assert world.v[[2, 3, 4]].max() <= 1.051


def test_caps_are_renewed_before_they_expire(town, physics):
    world = physics(v0=1.04, pv_mw=2.0, load_mw=0.1)
    agents = town([ConsensusCurtailment], physics=world, settings={"ttl_s": 600})
    agents.run(5_400_000, world.minute())
    for gateway in world.feeder.gateways[2:]:
        times = [t for t, m in agents.commands if m.receiver == gateway]
        assert np.diff(times[1:]).max() < 600_000
    assert all(m.ttl_ms == 600_000 and m.topic == "command/manage_congestion" for _, m in agents.commands)


@pytest.mark.parametrize("gain", [0.3, 0.55])
def test_settles_at_a_delay_of_two_rounds_below_the_bound(town, physics, gain):
    world = physics(v0=1.04, pv_mw=2.0, load_mw=0.1)
    agents = town([ConsensusCurtailment], physics=world, delay_ms=59_000, settings={"loop_gain": gain})
    agents.run(2 * 3_600_000, world.minute(), tick_ms=1000)
    history = [c.ratio.value for c in agents.of(ConsensusCurtailment)]
    agents.run(2 * 3_600_000 + 600_000, world.minute(), tick_ms=1000)
    later = [c.ratio.value for c in agents.of(ConsensusCurtailment)]
    assert np.abs(np.subtract(history, later)).max() < 0.08
