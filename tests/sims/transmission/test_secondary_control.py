"""The TSO's controller closes the loop around the machines: two areas by hand, and a cell that restores itself."""

import numpy as np
import pytest

from controllers.belief import Belief, CellBelief, GeneratorBelief
from controllers.contract import Site
from controllers.tso.afrr import Afrr
from sims.core.errors import ModelError
from sims.core.message import Message
from sims.transmission.case import MachineCase
from sims.transmission.disturbances import LoadStep
from sims.transmission.dynamics import Dynamics


class Tso:
    """The controller with one power station in each cell, which gives at once what it is called for."""

    def __init__(self, bias_mw_per_hz, scheduled_mw, **settings):
        numbers = range(1, len(bias_mw_per_hz) + 1)
        grid = Belief(
            cells=tuple(
                CellBelief(f"cell_{n}", n, np.zeros(1), 900_000, bias, 1e4, ())
                for n, bias in zip(numbers, bias_mw_per_hz, strict=True)
            ),
            generators=tuple(GeneratorBelief(f"G{n}", f"gen.G{n}", n, 1000.0, 1e-3) for n in numbers),
        )
        duties, rng = frozenset({"balance_cell"}), np.random.default_rng(1)
        settings |= {"reserve_deadband_mw": 0.0}
        self.afrr = Afrr(Site("tso", "tso", duties, grid, (), 60_000, rng, settings))
        self.scheduled_mw, self.called_mw = scheduled_mw, np.zeros(len(bias_mw_per_hz))

    def act(self, now_ms, dynamics):
        """Measure the ties; return what the stations give from now on, by cell [MW]."""
        seen = {"f_hz": dynamics.f_cell_hz, "p_tie_mw": dynamics.p_export_mw, "p_sched_mw": self.scheduled_mw}
        for order in self.afrr.decide(now_ms / 1000, [Message("tso", "tso", "tie", seen, sent_ms=now_ms)]):
            self.called_mw[int(order.receiver.removeprefix("gen.G")) - 1] = order.values["p_delta_mw"]
        return self.called_mw.copy()


def saadat():
    """Two areas of H. Saadat, Power System Analysis, example 12.4/12.5, with a tie of P_s = 2 pu."""
    areas = [(5.0, 0.05, 0.6, 0.2, 0.5), (4.0, 0.0625, 0.9, 0.3, 0.6)]
    return MachineCase.from_dict({
        "name": "Saadat", "base_mva": 1000.0, "f0_hz": 50.0, "cells": {"1": "area 1", "2": "area 2"},
        "bus": [{"id": 1, "cell": 1}, {"id": 2, "cell": 2}], "branch": [{"from": 1, "to": 2, "x_pu": 0.48}],
        "load": [{"bus": 1, "p_mw": 500.0}, {"bus": 2, "p_mw": 500.0}],
        "machine": [
            {"name": f"area {i + 1}", "bus": i + 1, "sn_mva": 1000.0, "p_mw": 500.0, "slack": i == 0, "h_s": h,
             "d_pu": d, "xd1": 0.01,
             "governor": {"model": "tgov1n", "r": r, "t1_s": t_g, "t2_s": 0.0, "t3_s": t_t, "v_max": 2.0}}
            for i, (h, r, d, t_g, t_t) in enumerate(areas)
        ],
    })


def mean_of_the_end(dynamics, t_ms, each=lambda _: None):
    """Means over the last 20 s: the tie's own swing, which these data hardly damp, is left out."""
    seen = []
    for now_ms in range(0, t_ms + 1, 100):
        dynamics.advance(now_ms)
        each(now_ms)
        if now_ms > t_ms - 20_000:
            seen.append(np.concatenate([dynamics.f_cell_hz, dynamics.p_mech_mw, dynamics.p_tie_mw]))
    mean = np.mean(seen, axis=0)
    return mean[:2], mean[2:4], mean[4]


def test_two_areas_share_a_load_by_their_droops():
    dynamics = Dynamics(saadat(), np.ones(2, complex))
    dynamics.schedule(LoadStep(0, 1, 187.5))
    f_hz, p_mw, tie_mw = mean_of_the_end(dynamics, 200_000)
    assert f_hz / 50.0 - 1.0 == pytest.approx([-0.005, -0.005], rel=2e-3)
    assert p_mw - 500.0 == pytest.approx([100.0, 80.0], rel=2e-3)
    assert tie_mw == pytest.approx(-84.5, rel=2e-3)


def test_two_areas_with_secondary_control_end_where_the_disturbance_is():
    dynamics = Dynamics(saadat(), np.ones(2, complex))
    tso = Tso(np.array([20.6, 16.9]) * 1000.0 / 50.0, np.zeros(2), k_p=0.0, t_i_s=1 / 0.3, cycle_ms=100)
    dynamics.schedule(LoadStep(0, 1, 187.5))
    f_hz, p_mw, tie_mw = mean_of_the_end(
        dynamics, 150_000, lambda now_ms: dynamics.set_p_ref(tso.act(now_ms, dynamics)))
    assert p_mw - 500.0 == pytest.approx([187.5, 0.0], abs=0.1)
    assert f_hz == pytest.approx([50.0, 50.0], abs=1e-4)
    assert tie_mw == pytest.approx(0.0, abs=0.1)


def restore(case, v, t_end_s, **settings):
    """300 MW more in cell 2; one bus of each cell feeds in what its control calls, every 4 s from the second on."""
    m = case.machines
    governed = np.where(m.governor > 0, m["sn_mva"], 0.0) / (m.governor_values["r"] * 50.0)
    dynamics = Dynamics(case, v, interfaces=[8, 15, 3])  # one bus in each cell, in the order of the cells
    tso = Tso(np.bincount(case.bus_cell[m.bus], governed, 3), dynamics.p_export_mw, **settings)
    dynamics.schedule(LoadStep(1000, 16, 300.0))
    df = []
    for t_ms in range(0, t_end_s * 1000, 1000):
        dynamics.advance(t_ms)
        if t_ms % 4000 == 0:
            dynamics.set_boundary(tso.act(t_ms, dynamics), np.zeros(3))
        df.append(dynamics.f_coi_hz - 50.0)
    return np.array(df), tso


def test_a_cell_restores_itself_and_nobody_else_moves(case_of, solve):
    case = case_of("ieee39_weak")
    df, tso = restore(case, solve(case), 600)
    assert df.min() < -0.1
    restored_s = np.flatnonzero(np.abs(df) > 0.02)[-1]
    assert 150 < restored_s < 260
    assert df[20:].max() < 0.002
    assert tso.called_mw == pytest.approx([0.0, 300.0, 0.0], abs=4.0)


def test_a_cell_in_too_much_of_a_hurry_does_not_settle(case_of, solve):
    case = case_of("ieee39_weak")
    try:
        df, _ = restore(case, solve(case), 200, k_p=0.3, t_i_s=20.0)
    except ModelError:
        return  # the oscillation has torn the system apart
    assert np.ptp(df[-50:]) > 0.1
