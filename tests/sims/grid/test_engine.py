"""Every engine offers the protocol, and all give one answer."""

import numpy as np
import pytest

from sims.grid.engine import PowerFlow
from sims.grid.fleet import FleetPowerFlow
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.reference import ReferencePowerFlow


@pytest.mark.parametrize("engine_of", [ReferencePowerFlow, FleetPowerFlow, MeshedPowerFlow])
def test_one_answer(grid_of, engine_of):
    _, grid = grid_of("mv_oberrhein")
    engine: PowerFlow = engine_of(grid)
    engine.set("load", "p_mw", grid.net.load.p_mw.to_numpy() * 0.8)
    engine.set_slack(1.02 * np.exp(0.05j))
    engine.set_tap(1, 2)
    assert np.all(engine.solve())
    want = FleetPowerFlow(grid, 1)
    want.set("load", "p_mw", grid.net.load.p_mw.to_numpy() * 0.8)
    want.set_slack(1.02 * np.exp(0.05j))
    want.set_tap(1, 2)
    want.solve()
    np.testing.assert_allclose(np.ravel(engine.vm), want.vm[:, 0], atol=1e-8)
    np.testing.assert_allclose(np.ravel(engine.va), want.va[:, 0], atol=1e-8)
    np.testing.assert_allclose(np.ravel(engine.loading_percent), want.loading_percent[:, 0], atol=1e-5)
    assert len(engine.export().bus) == len(grid.net.bus)
