import numpy as np
import pytest

from sims.transmission.case import MachineCase
from sims.transmission.network import admittance, branch_admittances, initial, islands, reduce


def classical(name, bus, **more):
    return {"name": name, "bus": bus, "sn_mva": 100.0, "h_s": 5.0, "xd1": 0.25, **more}


@pytest.fixture
def chain():
    """Three buses in a row, a machine at each end; all reactances on 100 MVA."""
    return MachineCase.from_dict({
        "name": "chain", "base_mva": 100.0, "f0_hz": 50.0, "cells": {"1": "west", "2": "east"},
        "bus": [{"id": i, "cell": c} for i, c in ((10, 1), (20, 1), (30, 2))],
        "branch": [{"from": 10, "to": 20, "x_pu": 0.1}, {"from": 20, "to": 30, "x_pu": 0.4}],
        "machine": [classical("A", 10, slack=True), classical("B", 30)],
    })


def test_pi_circuit_with_tap_and_shift():
    case = MachineCase.from_dict({
        "base_mva": 100.0, "f0_hz": 50.0, "cells": {"1": "a"}, "bus": [{"id": 1, "cell": 1}, {"id": 2, "cell": 1}],
        "branch": [{"from": 1, "to": 2, "r_pu": 0.0, "x_pu": 0.5, "b_pu": 0.2, "tap": 1.25, "shift_deg": 90.0}],
        "machine": [classical("A", 1, slack=True)],
    })
    yff, yft, ytf, ytt = (complex(y[0]) for y in branch_admittances(case))
    # series -2j, half charging +0.1j, tap 1.25j at the from end
    assert yff == pytest.approx(-1.9j / 1.5625)
    assert yft == pytest.approx(2j / (-1.25j))
    assert ytf == pytest.approx(2j / 1.25j)
    assert ytt == pytest.approx(-1.9j)


def test_reduction_equals_the_full_network(case_of):
    case = case_of("ieee39")
    rng = np.random.default_rng(7)
    slots = case.bus_index([4, 16, 20])
    extra = rng.uniform(0, 1, case.n_bus) - 0.3j
    closed = np.ones(len(case.branch_from), bool)
    net = reduce(case, closed, np.ones(10, bool), slots, extra)
    e = rng.normal(size=10) + 1j * rng.normal(size=10)
    current = rng.normal(size=3) + 1j * rng.normal(size=3)
    y = admittance(case, closed, extra).toarray()
    z = (case.machines["ra"] + 1j * case.machines["xd2"]) * 100.0 / case.machines["sn_mva"]
    driven = np.zeros(case.n_bus, complex)
    driven[case.machines.bus] += e / z
    y[case.machines.bus, case.machines.bus] += 1 / z
    driven[slots] += current
    assert net.a @ e + net.z @ current == pytest.approx(np.linalg.solve(y, driven), abs=1e-10)


def test_frequency_divider_goes_by_electrical_distance(chain):
    on = np.ones(2, bool)
    divider = reduce(chain, on, on, np.zeros(0, np.int64), np.zeros(3, complex)).divider
    # from rotor A at 0.25 over 0.1 to the middle, and on over 0.4 and 0.25 to rotor B: 1.0 in all
    assert divider[:, 0] == pytest.approx([0.75, 0.65, 0.25])
    assert divider.sum(axis=1) == pytest.approx([1.0, 1.0, 1.0])


def test_divider_rows_sum_to_one(case_of):
    case = case_of("ieee39")
    on = np.ones(10, bool)
    on[3] = False
    divider = reduce(case, np.ones(46, bool), on, np.zeros(0, np.int64), np.zeros(39, complex)).divider
    assert divider.sum(axis=1) == pytest.approx(np.ones(39))
    assert divider[:, 3] == pytest.approx(np.zeros(39))


def test_islands_without_a_machine_are_dead(chain):
    on, closed = np.array([True, False]), np.array([True, False])
    island, count = islands(chain, closed, on)
    assert island.tolist() == [0, 0, -1]
    assert count == 1
    net = reduce(chain, closed, on, np.array([2]), np.zeros(3, complex))
    assert np.all(net.a[2] == 0)
    assert np.all(net.z == 0)


def test_islands_are_numbered_apart(chain):
    island, count = islands(chain, np.array([True, False]), np.ones(2, bool))
    assert count == 2
    assert island.tolist() == [0, 0, 1]


def test_initial_power_counts_boundary_and_machines_in_service(chain):
    v = np.array([1.0, 1.0 * np.exp(-0.02j), np.exp(-0.1j)])
    s_gen, mismatch = initial(chain, v)
    p12 = np.sin(0.02) / 0.1 * 100
    p23 = np.sin(0.08) / 0.4 * 100
    assert s_gen.real == pytest.approx([p12, -p23])
    assert mismatch.real == pytest.approx([0.0, p23 - p12, 0.0], abs=1e-9)
    _, balanced = initial(chain, v, np.array([0.0, mismatch[1], 0.0]))
    assert np.abs(balanced).max() < 1e-9
    s_gen, mismatch = initial(chain, v, online=np.array([True, False]))
    assert s_gen[1] == 0
    assert mismatch[2].real == pytest.approx(-p23)
