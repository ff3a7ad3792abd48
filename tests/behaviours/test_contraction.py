"""Where an exchange back and forth stops shrinking errors: Q(U) with its grid, feeders with the transmission grid."""

import numpy as np
import pandapower as pp
import pytest

from sims.grid.compiled import CompiledNet
from sims.grid.curve import Curve
from sims.grid.fleet import FleetPowerFlow
from sims.transmission.boundary import Boundary
from sims.transmission.quasi_steady import Response

SLOPE_PER_PU = 25.0
QU = Curve("qu", (0.93, 0.97, 1.03, 1.07), (1.0, 0.0, 0.0, -1.0))


@pytest.fixture(scope="module")
def inverter():
    """Voltage at the end of a 20 kV line for the reactive power fed in there [Mvar]."""
    net = pp.create_empty_network(sn_mva=10.0)
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a, vm_pu=1.07)
    pp.create_line_from_parameters(net, a, b, 1.0, r_ohm_per_km=1.0, x_ohm_per_km=2.0, c_nf_per_km=0.0, max_i_ka=0.1)
    fleet = FleetPowerFlow(CompiledNet.from_net(net), 1)
    fleet.set_slack([1.07])

    def v_pu(q_mvar):
        fleet.set_injection([0.0, 0.0], [0.0, q_mvar])
        assert fleet.solve().all()
        return float(fleet.vm[1, 0])

    return v_pu


def at_rest(v_pu, q_max):
    """The reactive power at which characteristic and grid agree, by bisection."""
    low, high = -q_max, 0.0
    for _ in range(60):
        q = (low + high) / 2
        low, high = (q, high) if q_max * float(QU(np.array([v_pu(q)]))[0]) > q else (low, q)
    return (low + high) / 2


@pytest.mark.parametrize("gain", [0.9, 0.97, 1.03, 1.1])
def test_q_of_u_fed_back_from_step_to_step_comes_to_rest_below_slope_times_reactance_one_only(inverter, gain):
    q_max = 1.0
    for _ in range(20):  # the size of inverter at which the loop has this gain where it rests
        q = at_rest(inverter, q_max)
        x_sens = (inverter(q + 1e-3) - inverter(q - 1e-3)) / 2e-3
        q_max = gain / (SLOPE_PER_PU * x_sens)
    assert 1.035 < inverter(q) < 1.065, "on the slope"
    begin = told = 1e-3 * q_max
    for _ in range(60):
        told = q_max * float(QU(np.array([inverter(q + told)]))[0]) - q
    assert (abs(told) < begin / 3) == (gain < 1)
    assert (abs(told) > 3 * begin) == (gain > 1)


@pytest.mark.parametrize("rho", [0.9, 0.98, 1.02, 1.1])
def test_an_exchange_of_voltage_and_power_shrinks_errors_as_the_reported_contraction_says(rho):
    rng, count = np.random.default_rng(5), 4
    near = np.eye(count) + 0.3 * rng.random((count, count))  # what one interface draws lowers its neighbours' voltage
    response = Response(-1e-4 * near, -6e-4 * near, np.zeros(count), np.zeros(count), np.zeros(count))
    boundary = Boundary(count, 50.0)
    boundary.per_pu = rng.uniform(100, 300, count) + 1j * rng.uniform(50, 200, count)
    boundary.per_pu *= rho / boundary.contraction(response)
    assert boundary.contraction(response) == pytest.approx(rho)
    dv_pu, size = rng.standard_normal(count), []
    for _ in range(300):
        drawn = boundary.per_pu * dv_pu
        dv_pu = response.v_by_p @ drawn.real + response.v_by_q @ drawn.imag
        size.append(float(np.abs(dv_pu).max()))
    assert size[-1] / size[-101] == pytest.approx(rho**100, rel=1e-6)
