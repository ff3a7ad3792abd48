"""Three DSOs of one instant, one after the other and side by side on two cores: the same results, then the time."""

import numpy as np
import pandapower.networks as nw
import pytest

from sims.core.harness import Harness
from sims.core.ports import Ports, Step, items
from sims.grid.compiled import CompiledNet
from sims.grid.forest import Forest

INSTANTS = 30


class Dso:
    """So many feeders, solved twice an instant under loads that move, as between two offers of the grid above."""

    threaded = True

    def __init__(self, grid, feeders, seed):
        self.ports = Ports(tells=("drawn",))
        self.forest, size = Forest([grid] * feeders, []), grid.n_nodes * feeders
        self.p_mw = -np.random.default_rng(seed).uniform(0.1, 0.5, size)
        self.v, self.bent, self.per_hz = np.ones(feeders, complex), np.zeros((size, 0)), np.zeros(size)

    def step(self, now_ms, inputs):
        p_mw = self.p_mw * (1 + 0.05 * np.sin(now_ms / 7))
        self.forest.inject(p_mw, 0.3 * p_mw, self.bent, self.bent, self.per_hz)
        for v_pu in (1.0, 1.003):
            assert self.forest.solve(v_pu * self.v).all()
        self.forest.read()
        return Step(now_ms + 1, {"drawn": [self.forest.power_mva.sum()]})


class Hub:
    """Writes down what is drawn."""

    ports = Ports(hears=("drawn",))

    def __init__(self):
        self.drawn = []

    def step(self, now_ms, inputs):
        self.drawn.append(items(inputs, "drawn"))
        return Step(now_ms + 1)


def world(grid, feeders, threads):
    hub = Hub()
    with Harness() as harness:
        for i in range(3):
            harness.add(f"dso_{i}", Dso(grid, feeders, i))
        harness.add("hub", hub)
        for i in range(3):
            harness.connect(f"dso_{i}", "drawn", "hub")
        harness.run(INSTANTS, threads)
    return hub.drawn


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("feeders", [30, 300, 1000])
def test_dsos_of_an_instant(benchmark, feeders, threads):
    grid = CompiledNet.from_net(nw.create_cigre_network_mv())
    assert world(grid, feeders, 2) == world(grid, feeders, 1)
    benchmark.pedantic(world, args=(grid, feeders, threads), rounds=3)
