"""How often gross errors are found, and what is said about wrong switch states, over seeded trials."""

import numpy as np
import pytest

from controllers.dms.bad_data import identify, residual_limit
from controllers.dms.network import Network
from controllers.dms.state_estimation import Branches, Measurements, wls
from controllers.dms.topology_check import misreported, switched

V_SIGMA, POWER_SIGMA = 0.005, 0.01


class Metered:
    """case33bw with every voltage, injection and line flow metered, and its true values."""

    def __init__(self, grid, closed=None):
        self.net = Network(grid)
        self.grid = grid
        self.closed = self.net.normal if closed is None else closed
        self.whole = Branches(grid.branch_from, grid.branch_to, grid.y_raw, grid.shunt_y)
        p, q = grid.nominal()
        s = (p + 1j * q) / grid.base_mva
        top = self.net.topology(self.closed)
        v = top.flow(s, np.ones(1))
        n, rows = grid.n_nodes, np.flatnonzero(self.closed)
        _, i_from, _ = top.currents(v)
        flow = v[grid.branch_from[rows]] * np.conj(i_from)
        every = np.arange(n)
        s[grid.roots] = v[grid.roots] * np.conj(top.drawn(v))  # what the transformer's meter reads
        parts = [("v", every, np.abs(v)), ("p", every, s.real), ("q", every, s.imag),
                 ("p_from", rows, flow.real), ("q_from", rows, flow.imag)]
        self.kind = np.concatenate([np.full(len(place), kind) for kind, place, _ in parts])
        self.place = np.concatenate([place for _, place, _ in parts])
        self.exact = np.concatenate([value for _, _, value in parts])
        self.sigma = np.where(self.kind == "v", V_SIGMA, POWER_SIGMA * np.abs(self.exact) + 1e-4 * np.abs(s).max())

    def read(self, rng, bad=-1, sigmas=10.0):
        value = self.exact + self.sigma * rng.standard_normal(len(self.exact))
        if bad >= 0:
            value[bad] = self.exact[bad] + sigmas * self.sigma[bad]
        return Measurements(self.kind, self.place, value, self.sigma)


@pytest.fixture(scope="module")
def metered():
    import pandapower.networks as pn

    from sims.grid.compiled import CompiledNet

    return Metered(CompiledNet.from_net(pn.case33bw(), "case33bw"))


@pytest.fixture
def short(chain):
    """Ten loads on a line, small enough for hundreds of estimates."""
    from sims.grid.compiled import CompiledNet

    return Metered(CompiledNet.from_net(chain(np.linspace(0.3, 1.2, 10), infeeds=1), "ten loads"))


def test_the_limit_grows_with_the_number_of_measurements():
    # Two-sided 5 % of the largest of n: 1.96 for one, 3.48 for a hundred.
    assert residual_limit(1) == pytest.approx(1.95996, abs=1e-5)
    assert residual_limit(100) == pytest.approx(3.4808, abs=1e-4)


def redundant(metered):
    """Indices whose error shows: at least half of it appears in the residual of a set without noise."""
    net = switched(metered.whole, metered.closed)
    shown = []
    for k in range(len(metered.exact)):
        value = metered.exact.copy()
        value[k] += 10.0 * metered.sigma[k]
        found = wls(net, Measurements(metered.kind, metered.place, value, metered.sigma))
        shown.append(found.normalised[k] >= 5.0 and found.normalised.argmax() == k)
    return np.flatnonzero(shown)


def test_ten_sigma_is_identified_by_index(short):
    metered = short
    net, places = switched(metered.whole, metered.closed), redundant(short)
    assert len(places) > 25
    hits = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        bad = int(rng.choice(places))
        _, removed = identify(net, metered.read(rng, bad))
        hits += len(removed) > 0 and removed[0] == bad
    assert hits >= 95


def test_clean_measurements_raise_few_alarms(short):
    metered = short
    net = switched(metered.whole, metered.closed)
    alarms = sum(
        len(identify(net, metered.read(np.random.default_rng(1000 + seed)))[1]) > 0 for seed in range(100)
    )
    assert alarms <= 5


def test_a_tie_that_is_closed_without_saying_so_is_flagged(metered):
    tie, opened = metered.net.line(34), metered.net.line(6)
    truth = metered.closed.copy()
    truth[tie], truth[opened] = True, False
    other = Metered(metered.grid, truth)
    # Flows are metered where the control room believes lines closed; the open one really carries nothing.
    rng = np.random.default_rng(4)
    believed = metered.read(rng)
    value = believed.value.copy()
    v_and_load = np.isin(metered.kind, ("v", "p", "q"))
    value[v_and_load] = other.read(np.random.default_rng(5)).value[np.isin(other.kind, ("v", "p", "q"))]
    for kind in ("p_from", "q_from"):
        mine, theirs = (np.flatnonzero(m.kind == kind) for m in (metered, other))
        by_row = dict(zip(other.place[theirs], other.exact[theirs], strict=True))
        value[mine] = [by_row.get(row, 0.0) for row in metered.place[mine]]
    measured = Measurements(metered.kind, metered.place, value, metered.sigma)
    first = wls(switched(metered.whole, metered.closed), measured)
    assert not first.plausible
    may = metered.grid.branch_kind == "line"
    found = misreported(metered.whole, metered.closed, may, measured, first)
    assert found is not None
    assert set(found.rows) == {tie, opened}
    assert found.estimate.plausible


def test_states_that_fit_are_left_alone_and_bad_data_is_no_switch(metered):
    may = metered.grid.branch_kind == "line"
    net = switched(metered.whole, metered.closed)
    clean = metered.read(np.random.default_rng(7))
    assert misreported(metered.whole, metered.closed, may, clean, wls(net, clean)) is None
    spoilt = metered.read(np.random.default_rng(8), bad=5, sigmas=25.0)
    first = wls(net, spoilt)
    assert not first.plausible
    assert misreported(metered.whole, metered.closed, may, spoilt, first) is None
    _, removed = identify(net, spoilt)
    assert removed.tolist() == [5]
