import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest
from pandapower.estimation import estimate

from controllers.dms.state_estimation import Branches, Measurements, without_bad_data, wls
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet

ABUR_Y = 1 / np.array([0.01 + 0.03j, 0.02 + 0.05j, 0.03 + 0.08j])
ABUR_NET = Branches(
    np.array([0, 0, 1]), np.array([1, 2, 2]), np.stack((ABUR_Y, -ABUR_Y, -ABUR_Y, ABUR_Y)), np.zeros(3, complex)
)


def abur(**changed):
    kind = ["v", "v", "p", "q", "p_from", "p_from", "q_from", "q_from"]
    value = np.array([1.006, 0.968, -0.501, -0.286, 0.888, 1.173, 0.568, 0.663])
    for k, new in changed.items():
        value[int(k[1:])] = new
    return Measurements(
        np.array(kind), np.array([0, 1, 1, 1, 0, 1, 0, 1]), value, np.array([0.004] * 2 + [0.01] * 2 + [0.008] * 4)
    )


def test_abur_exposito_three_buses():
    found = wls(ABUR_NET, abur())
    np.testing.assert_allclose(np.abs(found.v), [0.9996, 0.9741, 0.9439], atol=2e-4)
    np.testing.assert_allclose(np.degrees(np.angle(found.v)), [0, -1.2475, -2.7457], atol=2e-4)
    assert found.threshold == pytest.approx(7.815, abs=1e-3)  # 8 measurements, 5 states
    assert len(found.unobservable) == 0


def test_a_gross_error_is_found_and_removed():
    clean = wls(ABUR_NET, abur(z0=0.9996, z1=0.9742))
    bad = abur(z0=0.9996, z1=0.9742, z4=0.888 + 0.3, z5=1.173)
    assert not wls(ABUR_NET, bad).plausible
    found, removed = without_bad_data(ABUR_NET, bad)
    assert found.plausible
    assert len(removed) >= 1
    np.testing.assert_allclose(found.v, clean.v, atol=0.01)


def test_unobservable_nodes_are_named():
    few = abur()
    keep = np.array([0, 4, 6])  # V1 and the flow 1-2: bus 3 hangs in the air
    found = wls(ABUR_NET, Measurements(few.kind[keep], few.place[keep], few.value[keep], few.sigma[keep]))
    assert found.unobservable.tolist() == [2]
    assert found.threshold == 0.0
    assert found.plausible


def test_equals_pandapowers_estimator_on_a_meshed_net():
    net = pn.case14()
    pp.runpp(net)
    grid = CompiledNet.from_net(net, "case14")
    rng = np.random.default_rng(5)
    rows = []
    for bus in range(14):
        rows.append(("v", bus, net.res_bus.vm_pu[bus] + 0.004 * rng.standard_normal(), 0.004))
        for kind, column in (("p", "p_mw"), ("q", "q_mvar")):
            rows.append((kind, bus, -net.res_bus[column][bus] + 0.5 * rng.standard_normal(), 0.5))
    for line in net.line.index[::2]:
        rows.append(("p_from", grid.branch("line", line), net.res_line.p_from_mw[line] + 0.3, 0.5))
        rows.append(("q_from", grid.branch("line", line), net.res_line.q_from_mvar[line] - 0.3, 0.5))
    for kind, place, value, sigma in rows:
        if kind == "v":
            pp.create_measurement(net, "v", "bus", value, sigma, place)
        elif kind in ("p", "q"):
            pp.create_measurement(net, kind, "bus", -value, sigma, place)
        else:
            element = int(grid.branch_element[place])
            pp.create_measurement(net, kind[0], "line", value, sigma, element, side="from")
    assert estimate(net, init="flat", zero_injection=None)["success"]
    unit = np.array([1.0 if r[0] == "v" else grid.base_mva for r in rows])
    mine = wls(
        Branches(grid.branch_from, grid.branch_to,
                 np.stack((grid.y_ff, grid.y_ft, grid.y_tf, grid.y_tt)), grid.shunt_y),
        Measurements(np.array([r[0] for r in rows]), np.array([r[1] for r in rows]),
                     np.array([r[2] for r in rows]) / unit, np.array([r[3] for r in rows]) / unit),
        reference=int(grid.roots[0]),
    )
    bus = grid.node_bus
    np.testing.assert_allclose(np.abs(mine.v), net.res_bus_est.vm_pu[bus], atol=2e-6)
    np.testing.assert_allclose(np.degrees(np.angle(mine.v)), net.res_bus_est.va_degree[bus], atol=2e-4)


def test_what_a_user_does_wrong_is_named():
    with pytest.raises(GridError, match="'volts'"):
        Measurements(np.array(["volts"]), np.array([0]), np.array([1.0]), np.array([0.01]))
    with pytest.raises(GridError, match="positive sigma"):
        Measurements(np.array(["p"]), np.array([0]), np.array([0.0]), np.array([0.0]))
