"""The agents' consensus finds the dispatch of Wood and Wollenberg's three units at 850 MW."""

import numpy as np
import pytest

from controllers.distributed.dispatch import TOP, Dispatch, Sources, priced

B = np.array([7.92, 7.85, 7.97])
C = np.array([0.001562, 0.00194, 0.00482])
LINE, FULL = [[1], [0, 2], [1]], [[1, 2], [0, 2], [0, 1]]


def unit(k, low=0.0, high=1e6):
    return Sources(B[k : k + 1], 1 / (2 * C[k : k + 1]), np.array([low]), np.array([high]))


class Agents:
    """Agents that step at once and then write to their neighbours; a letter in `loss` gets lost."""

    def __init__(self, graph, sources, loss=0.0, **settings):
        settings = {"price": 7.9, "most": 1.0, "limit": 100.0, "least_slope": 1.0, **settings}
        self.agents = [Dispatch({str(j): len(graph[j]) for j in near}, **settings) for near in graph]
        self.sources, self.loss, self.rng = sources, loss, np.random.default_rng(5)
        self.letters = 0

    def round(self, needs):
        given = [a.step(n, s) for a, n, s in zip(self.agents, needs, self.sources, strict=True)]
        mail = [m for i, a in enumerate(self.agents) if a.news for m in a.letters(str(i), "price")]
        for m in mail:
            if self.rng.random() >= self.loss:
                self.agents[int(m.receiver)].hear(m)
        self.letters += len(mail)
        return np.array(given), len(mail)

    def run(self, needs, rounds):
        for _ in range(rounds):
            given, _ = self.round(needs)
        return given

    def agreed(self, needs, rounds=60):
        """Return what is given, and after how many rounds nobody has news any more."""
        for k in range(rounds):
            given, letters = self.round(needs)
            if not letters:
                return given, k
        raise AssertionError("never agreed")


@pytest.mark.parametrize("graph", [LINE, FULL])
@pytest.mark.parametrize("needs", [(850 / 3,) * 3, (850.0, 0.0, 0.0)])
def test_neighbours_find_the_published_dispatch_whoever_is_asked(graph, needs):
    agents = Agents(graph, [unit(k) for k in range(3)], dead_price=1e-9, dead_mw=1e-7)
    given = agents.run(needs, 150)
    assert given == pytest.approx([393.17, 334.60, 122.23], abs=0.005)
    assert [a.price for a in agents.agents] == pytest.approx([9.14826] * 3, abs=5e-6)


def by_admm(b, c, demand_mw, *, rho=0.0, max_rounds=20_000):
    """Return outputs, price and rounds of the cheapest dispatch by ADMM in its sharing form, as a second method.

    Each unit minimises its own cost plus rho/2 (P - (P_old - mean mismatch - scaled price))^2; only the mean mismatch
    is shared (Boyd et al., Foundations and Trends in Machine Learning 3(1), 2011, section 7.3).
    """
    rho = rho or float(np.exp(np.mean(np.log(2.0 * c))))
    part_mw = demand_mw / len(b)
    p_mw, scaled = np.full(len(b), part_mw), 0.0
    for rounds in range(1, max_rounds + 1):
        centre = p_mw - (p_mw.mean() - part_mw) - scaled
        moved = (rho * centre - b) / (2.0 * c + rho)
        mismatch = moved.mean() - part_mw
        scaled += mismatch
        still = np.abs(moved - p_mw).max()
        p_mw = moved
        if abs(mismatch) * len(b) < 1e-6 and still < 1e-6:
            return p_mw, -rho * scaled, rounds
    return None


def test_admm_finds_the_same():
    p_mw, price, rounds = by_admm(B, C, 850.0)
    assert p_mw == pytest.approx([393.17, 334.60, 122.23], abs=0.005)
    assert price == pytest.approx(9.14826, abs=5e-6)
    assert p_mw.sum() == pytest.approx(850, abs=1e-5)
    assert rounds == 37
    assert by_admm(B, C, 850.0, rho=1e6, max_rounds=50) is None, "too large a penalty never agrees"


def test_lost_letters_delay_the_agreement_and_do_not_change_it():
    agents = Agents(LINE, [unit(k) for k in range(3)], loss=0.3, dead_price=0.0, dead_mw=0.0)
    given = agents.run((850 / 3,) * 3, 400)
    assert given == pytest.approx([393.17, 334.60, 122.23], abs=0.005)


def test_a_unit_at_its_limit_leaves_the_rest_to_the_others():
    """With at most 300 MW of the first: the others at one lambda, 550 = sum (lambda - b) / 2c, so 9.406."""
    agents = Agents(FULL, [unit(0, high=300.0), unit(1), unit(2)], dead_price=1e-9, dead_mw=1e-7)
    given = agents.run((850 / 3,) * 3, 200)
    slopes = 1 / (2 * C[1:])
    price = (550 + (B[1:] * slopes).sum()) / slopes.sum()
    assert given == pytest.approx([300.0, *(price - B[1:]) * slopes], abs=0.01)
    assert agents.agents[0].price == pytest.approx(price, abs=1e-4)


def test_too_large_a_gain_never_agrees():
    agents = Agents(FULL, [unit(k) for k in range(3)], gain=5.0)
    with pytest.raises(AssertionError, match="never agreed"):
        agents.agreed((850 / 3,) * 3)


CELL = {"price": 0.0, "most": TOP / 8, "limit": TOP, "least_slope": 2.0, "gain": 0.25}
TWO = [[1], [0]]


def cell(**settings):
    """Two agents with storage 100 and 50, vehicles 200 and 20, CHP 10 and 30, PV and wind 300 and 100 MW."""
    return Agents(TWO, [priced(100, 100, 200, 10, 300), priced(50, 40, 20, 30, 100)], **{**CELL, **settings})


@pytest.mark.parametrize(("order", "expected"), [
    (60.0, (40.0, 20.0)),  # of 150 MW of storage 40 %
    (150.0, (100.0, 50.0)),  # all storage, no vehicle
    (205.0, (150.0, 55.0)),  # a quarter of the vehicles
    (-70.0, (-50.0, -20.0)),  # half of what can charge
    (-160.0, (-105.0, -55.0)),  # all of it, and half of the CHP
    (-380.0, (-260.0, -120.0)),  # all of both, and half of PV and wind
])  # fmt: skip
def test_the_dearer_is_not_touched_while_anybody_has_the_cheaper(order, expected):
    agents = cell()
    given, rounds = agents.agreed((order / 2,) * 2)
    assert given == pytest.approx(expected, abs=2.0), "to within what is worth a letter"
    assert given.sum() == pytest.approx(order, abs=1.0)
    assert rounds <= 30
    exact = cell(dead_price=1e-9, dead_mw=1e-7).run((order / 2,) * 2, 200)
    assert exact == pytest.approx(expected, abs=0.01)


def test_the_order_is_met_while_the_agents_still_seek():
    """Averages of two agents are exact after one letter each, so only the price is still on its way."""
    agents = cell()
    agents.agreed((30.0, 30.0))
    given, _ = agents.round((31.0, 31.0))
    assert given.sum() == pytest.approx(62.0, abs=1.0)


def test_who_has_come_to_rest_says_so_and_forgets():
    agents = cell()
    agents.agreed((30.0, 30.0))
    first = agents.agents[0]
    first.rest()
    assert first.news
    assert first.price == 0.0
    letter, = first.letters("0", "price")
    assert letter.values["price"] == 0.0
    assert not letter.values["average"].any()
    assert not first.news


@pytest.mark.parametrize("seed", range(10))
def test_the_agents_pay_what_a_centre_that_knows_all_costs_would(seed):
    """Six units on a ring with limits: the sum of their costs within 0.5 % of the optimum, by bisection."""
    rng = np.random.default_rng(seed)
    b, c = rng.uniform(6.0, 9.0, 6), rng.uniform(0.001, 0.006, 6)
    low, high = rng.uniform(0.0, 80.0, 6), rng.uniform(150.0, 500.0, 6)
    order = 0.3 * low.sum() + 0.7 * high.sum()
    ends = [0.0, 30.0]
    for _ in range(80):
        middle = sum(ends) / 2
        ends[int(np.clip((middle - b) / (2 * c), low, high).sum() > order)] = middle
    best = np.clip((ends[0] - b) / (2 * c), low, high)
    units = [Sources(b[k : k + 1], 1 / (2 * c[k : k + 1]), low[k : k + 1], high[k : k + 1]) for k in range(6)]
    ring = [[(k - 1) % 6, (k + 1) % 6] for k in range(6)]
    given = Agents(ring, units, dead_price=1e-6, dead_mw=1e-4).run((order / 6,) * 6, 300)
    assert given.sum() == pytest.approx(order, rel=1e-4)
    assert float(b @ given + c @ given**2) == pytest.approx(float(b @ best + c @ best**2), rel=0.005)
    assert given == pytest.approx(best, abs=0.5)
