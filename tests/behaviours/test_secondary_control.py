"""The TSO's secondary control through a whole run, reckoned again from what was metered, sent and delivered."""

from pathlib import Path

import numpy as np
import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.run import run_pairing
from scenarios.shipped import transmission_path
from sims.transmission.case import MachineCase

SMALL = Path(__file__).parents[1] / "scenarios" / "data" / "small.yaml"
LOST = {
    "time.duration": "6 min",
    "transmission.frequency.model": "dynamic",
    "disturbances": [{"at": "2 min", "kind": "generator_trip", "generator": "G8"}],
}
K_P, T_I_S, FULL_S = 0.1, 120.0, 300.0
RESERVE_MW = np.array([400.0, 500.0, 400.0])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The loss of a power station at 2 min while the TSO balances."""
    with Run(run_pairing(load(SMALL, None, LOST), "local", 1, tmp_path_factory.mktemp("tso"))) as run:
        yield run


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same where nobody calls a station."""
    with Run(run_pairing(load(SMALL, None, LOST), "local", 4, tmp_path_factory.mktemp("alone"))) as run:
        yield run


@pytest.fixture(scope="module")
def machines():
    """Names, cells, and parts of their cell's reserve."""
    case = MachineCase.load(transmission_path("ieee39"))
    m = case.machines
    cell = case.bus_cell[m.bus]
    return m, cell, m["sn_mva"] / np.bincount(cell, m["sn_mva"])[cell]


def errors(run, machines):
    """Time [s] and area control error [cell] of everything that the TSO was told."""
    m, cell, _ = machines
    bias = np.bincount(cell, m["sn_mva"] / (m.governor_values["r"] * 50.0))
    at, fine = run.seconds("cell"), run.seconds("cell_fine")
    told = [(t, "cell", k) for k, t in enumerate(at)]
    told += [(t, "cell_fine", k) for k, t in enumerate(fine) if t % 4 == 0 and t % 60 and t > 120]
    for t, kind, k in sorted(told):
        df = run.values(kind, "f_hz")[k] - 50.0
        due = run.values("cell", "p_sched_mw")[int(t // 60)]
        yield float(t), run.values(kind, "p_tie_mw")[k] - due + bias * df


def called(run, machines):
    """What the PI law calls of each cell at each of these times, by hand."""
    integral, come, out = np.zeros(3), np.zeros(3), np.zeros(3)
    rate, before = RESERVE_MW / FULL_S, -np.inf
    for t, ace in errors(run, machines):
        first = np.isinf(before)
        dt = 0.0 if first else t - before
        come = np.clip(out, come - rate * dt, come + rate * dt)
        reach = rate * (60.0 if first else min(dt, 60.0))
        low, high = np.maximum(come - reach, -RESERVE_MW), np.minimum(come + reach, RESERVE_MW)
        grown = integral + ace * dt / T_I_S
        asked = -(K_P * ace + grown)
        # the integral grows up to what can be there by the next cycle, never beyond
        to_high = np.minimum(np.maximum(grown, -high - K_P * ace), integral)
        to_low = np.maximum(np.minimum(grown, -low - K_P * ace), integral)
        integral = np.where((asked > high) & (ace < 0), to_high, np.where((asked < low) & (ace > 0), to_low, grown))
        out, before = np.clip(asked, low, high), t
        yield t, out


def test_the_calls_follow_the_control_errors_of_every_four_seconds(run, machines):
    m, cell, share = machines
    orders = run.messages
    mine = (orders["topic"].values == "command/balance_cell") & (orders["sender"].values == "tso")
    sent_s = np.unique(orders["sent_ms"].values[mine]) / 1000.0
    assert np.isin(np.arange(124.0, 180.0, 4.0), sent_s).all(), "no cycle after the loss without an order"
    assert set(sent_s[sent_s < 120]) <= {0.0, 60.0}, "at rest the TSO is told at the grid step"
    acts = run.actions
    told = {}
    stations = [f"gen.{name}" for name in m.names]
    for t_ms, actor, place, mw in zip(*(acts[c].values for c in ("t_ms", "actor", "asset", "value")), strict=True):
        if actor == "tso":
            told.setdefault(int(t_ms), {})[stations.index(place)] = float(mw)
    last, checked = np.zeros(3), 0
    for t, want in called(run, machines):
        moved = np.abs(want - last) >= 1.0
        last = np.where(moved, want, last)
        obeyed = min((at for at in told if at > 1000 * t), default=None)
        if not moved.any() or obeyed is None or obeyed - 1000 * t > 60_000:
            continue
        for g, mw in told[obeyed].items():
            assert mw == pytest.approx(share[g] * last[cell[g]], abs=1e-3), (t, m.names[g])
        assert {int(c) for c in cell[list(told[obeyed])]} == set(np.flatnonzero(moved)), t
        assert obeyed == (1000 * t + 4000 if t >= 120 else 1000 * (t // 60 + 1) * 60), "the next look at the box"
        checked += 1
    assert checked > 40


@pytest.mark.parametrize("row", [3, 5])
def test_the_reserve_ramps_from_the_moment_at_which_the_call_has_arrived(run, alone, machines, row):
    given, until_s = run.values("gen", "p_set_mw")[row] - alone.values("gen", "p_set_mw")[row], 60.0 * row
    m, cell, share = machines
    orders, acts = run.messages, run.actions
    rate = share * RESERVE_MW[cell] / FULL_S
    for g, name in enumerate(m.names):
        mine = orders["receiver"].values == f"gen.{name}"
        arrived_s = orders["arrived_ms"].values[mine] / 1000.0
        assert (arrived_s > orders["sent_ms"].values[mine] / 1000.0).all(), "no order is there when it leaves"
        values = acts["value"].values[acts["asset"].values == f"gen.{name}"]
        order = np.argsort(acts["t_ms"].values[acts["asset"].values == f"gen.{name}"], kind="stable")
        p, now, goal = 0.0, 0.0, 0.0
        for at, value in [*zip(arrived_s, values[order], strict=False), (until_s, 0.0)]:
            reach = rate[g] * (min(at, until_s) - now)
            p, now = p + np.clip(goal - p, -reach, reach), min(at, until_s)
            if at >= until_s:
                break
            goal = value
        assert given[g] == pytest.approx(p, abs=0.6e-3 * rate[g] + 1e-3), name  # times are whole milliseconds
    assert given[cell == 2].sum() > 50.0
    assert np.abs(given[cell != 2]).max() < 30.0


@pytest.mark.parametrize(
    ("architecture", "stage"),
    [("centralized", 4), ("local", 1), pytest.param("distributed", 4, marks=pytest.mark.validate)],
)
def test_a_cell_is_restored_without_overshoot_and_in_the_end_only_it_has_moved(tmp_path, machines, architecture, stage):
    step = {"disturbances": [{"at": "2 min", "kind": "load_step", "bus": 27, "p_mw": 200.0}]}
    found = {}
    for name, change in (("calm", {"disturbances": []}), ("struck", step)):
        given = LOST | {"time.duration": "17 min"} | change
        with Run(run_pairing(load(SMALL, None, given), architecture, stage, tmp_path / name)) as run:
            found[name] = {q: run.values("cell", q).astype(float) for q in ("p_tie_mw", "f_hz")}
            found[name]["p_set_mw"] = run.values("gen", "p_set_mw").astype(float)
    # The day moves the system too: what counts is what the disturbance has changed.
    moved = {q: found["struck"][q] - found["calm"][q] for q in found["calm"]}
    tie, df = moved["p_tie_mw"], moved["f_hz"][:, 0]
    assert tie[3, 2] < -70.0, "a minute on, the others carry most of it"
    assert tie[3:, 2].max() < 0.05 * 100.0, "no overshoot"
    assert df[3:].max() < 0.002
    assert np.abs(df[9:]).max() < 0.01, "restored within seven minutes"
    assert np.abs(tie[-1]).max() < 0.05 * 200.0
    _, cell, _ = machines
    reserve = np.bincount(cell, moved["p_set_mw"][-1])
    assert reserve[2] == pytest.approx(200.0, abs=15.0)
    assert np.abs(reserve[:2]).max() < 0.05 * 200.0
