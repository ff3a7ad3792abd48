import json
from pathlib import Path

import numpy as np
import pandapower as pp
import pytest

from sims.core.errors import GridError
from sims.transmission.grid import InterfaceTransformer, tap_data, transmission_net

DATA = Path(__file__).parents[2] / "data" / "frequency"
CASES = Path(__file__).parents[3] / "scenarios" / "data" / "transmission"


def interface(bus=4, name="dso_1.i1", **changes):
    given = {"sn_mva": 700.0, "vn_lv_kv": 110.0, "vk_percent": 14.0, "vkr_percent": 0.3, "tap_min": -12,
             "tap_max": 12, "tap_step_percent": 1.25, "v_set_pu": 1.02}  # fmt: skip
    return InterfaceTransformer(name=name, bus=bus, **given | changes)


def net_of(case_of, name="ieee39", interfaces=(), level=1.0):
    case = case_of(name)
    rows = json.loads((CASES / f"{name}.json").read_text())["bus"]
    return case, transmission_net(case, interfaces, [float(b["vn_kv"]) for b in rows], level)


def loaded(case, net):
    for bus, s in zip(case.load_bus, case.load_mva, strict=True):
        pp.create_load(net, int(bus), p_mw=s.real, q_mvar=s.imag)
    return net


@pytest.mark.parametrize("name", ["ieee39", "ieee39_weak", "kundur"])
def test_solved_by_pandapower_it_equals_the_published_power_flow(case_of, name):
    case, net = net_of(case_of, name)
    pp.runpp(loaded(case, net), calculate_voltage_angles=True, tolerance_mva=1e-9)
    known = json.loads((DATA / f"pf_sys_{name}.json").read_text())
    np.testing.assert_allclose(net.res_bus.vm_pu, known["V"], atol=2e-6)
    angle = np.deg2rad(net.res_bus.va_degree.to_numpy()) - np.array(known["a"])
    np.testing.assert_allclose(angle - angle[0], 0, atol=2e-6)
    assert np.ptp(known["V"]) > 0.02, "there is something to compare"


def test_buses_keep_the_cases_order_and_the_busbars_follow(case_of):
    case, net = net_of(case_of, interfaces=[interface(4, "a"), interface(27, "b")])
    assert net.bus.name.tolist() == [*(str(b) for b in case.bus_ids), "a", "b"]
    assert net.bus.vn_kv.tolist()[-2:] == [110.0, 110.0]
    assert net.trafo.hv_bus.tolist()[-2:] == [case.bus_ids.index(4), case.bus_ids.index(27)]
    assert net.trafo.lv_bus.tolist()[-2:] == [case.n_bus, case.n_bus + 1]


def test_machines_are_generators_but_for_the_slack(case_of):
    case, net = net_of(case_of)
    assert net.gen.name.tolist() == [n for g, n in enumerate(case.machines.names) if g != case.slack]
    assert net.ext_grid.name.tolist() == [case.machines.names[case.slack]]
    assert len(net.load) == 0, "loads are the simulator's"


def test_the_voltage_level_scales_the_machines_set_points(case_of):
    case, net = net_of(case_of, level=0.95)
    np.testing.assert_allclose(net.ext_grid.vm_pu, 0.95 * case.machines.values["v_pu"][case.slack])
    np.testing.assert_allclose(net.gen.vm_pu, 0.95 * np.delete(case.machines.values["v_pu"], case.slack))


def test_a_tap_up_lowers_the_busbar_by_its_step(case_of):
    case, net = net_of(case_of, interfaces=[interface()])
    loaded(case, net)
    before = []
    for pos in (0, 4):
        net.trafo.loc[net.trafo.index[-1], "tap_pos"] = pos
        pp.runpp(net, calculate_voltage_angles=True)
        before.append(net.res_bus.vm_pu.iloc[-1] / net.res_bus.vm_pu.at[case.bus_ids.index(4)])
    assert before == pytest.approx([1.0, 1 / 1.05], abs=1e-6)  # unloaded: the ratio itself


def test_tap_changers_as_arrays():
    data = tap_data([interface(), interface(name="b", tap_min=-5, tap_max=7, tap_step_percent=2.0)])
    assert (data.pos_min.tolist(), data.pos_max.tolist()) == ([-12, -5], [12, 7])
    assert (data.step_percent.tolist(), data.hv_side.tolist()) == ([1.25, 2.0], [True, True])


def test_an_interface_at_a_bus_that_is_not_there_is_named(case_of):
    with pytest.raises(GridError, match=r"interface dso_1\.i1: .* has no bus 44 \(did you mean (4|14|24|34)\?\)"):
        net_of(case_of, interfaces=[interface(44)])
