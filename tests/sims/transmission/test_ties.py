import numpy as np
import pytest

from sims.transmission.case import MachineCase
from sims.transmission.ties import Ties

GOVERNOR = {"model": "tgov1n", "r": 0.05}


def two_cells(**branch):
    return MachineCase.from_dict({
        "name": "two", "base_mva": 100.0, "f0_hz": 50.0, "cells": {"1": "west", "2": "east"},
        "bus": [{"id": 1, "vn_kv": 110.0, "cell": 1}, {"id": 2, "vn_kv": 110.0, "cell": 2},
                {"id": 3, "vn_kv": 110.0, "cell": 1}],
        "branch": [{"from": 1, "to": 2, "r_pu": 0.01, "x_pu": 0.1, **branch}, {"from": 1, "to": 3, "x_pu": 0.1}],
        "load": [{"bus": 2, "p_mw": 50.0}],
        "machine": [{"name": "G", "bus": 1, "sn_mva": 100.0, "p_mw": 50.0, "slack": True, "h_s": 5.0, "d_pu": 0.0,
                     "xd1": 0.2, "governor": GOVERNOR}],
    })  # fmt: skip


V = np.array([1.02 * np.exp(0.1j), 0.99, 1.01])


def test_flow_by_hand():
    """S = V_1 ((V_1 - V_2) / z)* on a line without charging."""
    ties = Ties(two_cells())
    assert ties.rows.tolist() == [0]
    current = (V[0] - V[1]) / (0.01 + 0.1j)
    p_from, p_to = ties.flows(V)
    assert p_from[0] == pytest.approx(100 * (V[0] * np.conj(current)).real)
    assert p_to[0] == pytest.approx(-100 * (V[1] * np.conj(current)).real)
    assert ties.exports(V).tolist() == pytest.approx([p_from[0], p_to[0]])


def test_exports_sum_to_what_the_tie_loses():
    current = (V[0] - V[1]) / (0.01 + 0.1j)
    assert Ties(two_cells()).exports(V).sum() == pytest.approx(100 * 0.01 * abs(current) ** 2)


def test_charging_and_ratio_by_hand():
    """A tap of 0.95 and 10 degrees at the from side: V_1 / t behind it, the current divided by t*."""
    ties = Ties(two_cells(b_pu=0.2, tap=0.95, shift_deg=10.0))
    t = 0.95 * np.exp(1j * np.deg2rad(10.0))
    behind = V[0] / t
    current = (behind - V[1]) / (0.01 + 0.1j) + 0.1j * behind
    p_from, p_to = ties.flows(V)
    assert p_from[0] == pytest.approx(100 * (behind * np.conj(current)).real)
    received = (behind - V[1]) / (0.01 + 0.1j) - 0.1j * V[1]
    assert p_to[0] == pytest.approx(-100 * (V[1] * np.conj(received)).real)


def test_the_39_bus_system_exports_sum_to_the_losses_of_its_ties(case_of, solve):
    case = case_of("ieee39")
    v = solve(case)
    ties = Ties(case)
    a, b = case.branch_from[ties.rows], case.branch_to[ties.rows]
    assert (case.bus_cell[a] != case.bus_cell[b]).all()
    r, x, charging = (case.branch[k][ties.rows] for k in ("r_pu", "x_pu", "b_pu"))
    assert (case.branch["tap"][ties.rows] == 1).all()
    through = (v[a] - v[b]) / (r + 1j * x)
    assert ties.exports(v).sum() == pytest.approx(case.base_mva * float((r * np.abs(through) ** 2).sum()))
    assert charging.any()
