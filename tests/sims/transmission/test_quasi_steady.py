import json
from pathlib import Path

import numpy as np
import pytest

from sims.core.errors import ModelError
from sims.grid.compiled import CompiledNet
from sims.grid.meshed import MeshedPowerFlow
from sims.transmission.grid import transmission_net
from sims.transmission.quasi_steady import Governors, QuasiSteady, machine_row

CASES = Path(__file__).parents[3] / "scenarios" / "data" / "transmission"
BUS = 20  # where an interface would hang


class Fixed:
    """Interfaces that draw this whatever voltage and frequency."""

    per_pu = per_hz = np.zeros(1, complex)

    def __init__(self, mva):
        self.mva = np.array([mva + 0j])

    def expected(self, v_pu, df_hz):
        return self.mva


def draws(mva):
    return Fixed(mva)


NONE = draws(0.0)


@pytest.fixture(scope="module")
def grid(case_of):
    case = case_of("ieee39")
    levels = [float(b["vn_kv"]) for b in json.loads((CASES / "ieee39.json").read_text())["bus"]]
    return case, CompiledNet.from_net(transmission_net(case, [], levels), "ieee39")


@pytest.fixture
def system(grid):
    case, compiled = grid

    def make(k=None, fcr=1000.0, regulation=0.0, p_max=None):
        n = len(case.machines.names)
        governors = Governors(
            np.full(n, 100.0) if k is None else np.asarray(k, float), np.full(n, float(fcr)),
            np.full(n, 5000.0) if p_max is None else np.asarray(p_max, float),
        )
        load = np.array([compiled.node(int(b)) for b in case.load_bus])
        at = np.array([compiled.node(case.bus_ids.index(BUS))])
        return QuasiSteady(MeshedPowerFlow(compiled), governors, case.slack, load, at, regulation)

    return make


def dispatch(case, system):
    """Set-points that meet the load at nominal frequency, losses included."""
    p = case.machines.values["p_mw"].copy()
    system.solve(0, p, case.load_mva, NONE)
    return system.p_gen_mw.copy()


def settled(system, case, extra_mw, machines=None):
    p_set = dispatch(case, system) if machines is None else machines
    system.df_hz = 0.0
    system.solve(0, p_set, case.load_mva, draws(extra_mw))
    return p_set


def total_losses(system, case):
    return float(system.engine.loss_mw)


def test_balanced_set_points_leave_the_frequency_where_it_is(system, grid):
    case = grid[0]
    qs = system()
    p_set = dispatch(case, qs)
    qs.df_hz = 0.0
    qs.solve(0, p_set, case.load_mva, NONE)
    assert qs.df_hz == pytest.approx(0.0, abs=1e-7)
    assert qs.p_gen_mw == pytest.approx(p_set, abs=1e-4)


def test_every_machine_takes_its_part_by_droop(system, grid):
    case = grid[0]
    k = np.arange(1, 11) * 50.0
    qs = system(k)
    p_set = settled(qs, case, 200.0)
    moved = qs.p_gen_mw - p_set
    assert moved == pytest.approx(-k * qs.df_hz, abs=1e-3)
    # 200 MW and the change of losses over 2750 MW/Hz
    assert qs.df_hz == pytest.approx(-moved.sum() / k.sum(), abs=1e-7)
    assert moved.sum() == pytest.approx(200.0, rel=0.05)


def test_generation_equals_load_interface_and_losses(system, grid):
    case = grid[0]
    qs = system(regulation=0.01)
    settled(qs, case, 300.0)
    demand = case.load_mva.real.sum() * (1 + 0.01 * qs.df_hz) + 300.0
    assert qs.p_gen_mw.sum() == pytest.approx(demand + total_losses(qs, case), abs=1e-4)


def test_loads_regulate_themselves_by_one_percent_a_hertz(system, grid):
    case = grid[0]
    stiff, soft = system(regulation=0.01), system()
    for qs in (stiff, soft):
        settled(qs, case, 400.0)
    load = case.load_mva.real.sum()
    assert stiff.load_mva.real.sum() == pytest.approx(load * (1 + 0.01 * stiff.df_hz))
    assert soft.load_mva.real.sum() == pytest.approx(load)
    # about 61 MW/Hz beside 1000 MW/Hz of droop
    assert stiff.df_hz / soft.df_hz == pytest.approx(1000 / (1000 + 0.01 * load), rel=0.02)


def test_a_machine_at_its_reserve_gives_no_more_and_the_others_go_on(system, grid):
    case = grid[0]
    qs = system(fcr=30.0)
    p_set = settled(qs, case, 200.0)
    moved = qs.p_gen_mw - p_set
    assert (moved <= 30.0 + 1e-4).all()
    assert moved == pytest.approx(np.full(10, moved.mean()), abs=1e-3)


def test_a_machine_never_exceeds_its_rating(system, grid):
    case = grid[0]
    rating = np.full(10, 5000.0)
    rating[0] = dispatch(case, system())[0] + 5.0
    qs = system(p_max=rating)
    settled(qs, case, 300.0)
    assert qs.p_gen_mw[0] == pytest.approx(rating[0], abs=1e-3)


def test_the_loss_of_a_machine_is_taken_by_the_others(system, grid):
    case = grid[0]
    qs = system()
    p_set = dispatch(case, qs)
    g8 = case.machines.names.index("G8")
    qs.trip(g8)
    qs.df_hz = 0.0
    qs.solve(0, p_set, case.load_mva, NONE)
    moved = qs.p_gen_mw - p_set
    assert qs.p_gen_mw[g8] == pytest.approx(0.0, abs=1e-9)
    others = np.arange(10) != g8
    assert moved[others] == pytest.approx(np.full(9, -100.0 * qs.df_hz), abs=1e-3)
    assert qs.df_hz == pytest.approx(-p_set[g8] / 900.0, rel=0.1)
    # its bus is no longer held: the voltage is free to leave the set-point
    v = abs(qs.engine.v[grid[1].node(int(case.machines.bus[g8]))])
    assert v != pytest.approx(case.machines.values["v_pu"][g8], abs=1e-4)


def test_exhausted_reserves_are_named_with_time_and_remedy(system, grid):
    case = grid[0]
    qs = system(fcr=10.0)
    p_set = dispatch(case, qs)
    qs.df_hz = 0.0
    text = r"transmission at 90\.000 s: generation cannot meet demand: \+.* MW are missing .*transmission\.reserves"
    with pytest.raises(ModelError, match=text):
        qs.solve(90_000, p_set, case.load_mva, draws(500.0))


def test_a_grid_that_cannot_carry_the_load_is_named(system, grid):
    case = grid[0]
    qs = system(fcr=1e6, k=np.full(10, 1e5), p_max=np.full(10, 1e6))
    with pytest.raises(ModelError, match="power flow of the transmission grid has no solution"):
        qs.solve(0, case.machines.values["p_mw"].copy(), case.load_mva, draws(50_000.0))


def test_rows_of_machines_among_generators_leave_the_slack_out():
    assert [machine_row(m, 3) for m in (0, 2, 4, 9)] == [0, 2, 3, 8]


def test_continues_from_its_state(system, grid):
    case = grid[0]
    one, two = system(), system()
    p_set = dispatch(case, one)
    one.trip(2)
    one.solve(0, p_set, case.load_mva, NONE)
    two.set_state(one.get_state())
    for qs in (one, two):
        qs.solve(60_000, p_set, case.load_mva, draws(50.0))
    assert two.df_hz == pytest.approx(one.df_hz, abs=1e-7)
    assert two.p_gen_mw == pytest.approx(one.p_gen_mw, abs=1e-4)
