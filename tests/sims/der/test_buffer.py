import numpy as np
import pytest

from sims.der.buffer import Buffered
from sims.der.heatpump import HeatPumps


def test_at_its_target_it_draws_its_demand():
    flexible = Buffered(np.array([1.0]), np.array([2.0]), np.array([0.5]))
    assert flexible.wish(np.array([0.3])) == pytest.approx([0.3])


def test_what_is_put_off_is_made_up_for_and_never_lost():
    flexible = Buffered(np.array([1.0]), np.array([2.0]), np.array([0.5]))
    drawn = 0.0
    for minute in range(600):
        p = flexible.wish(np.array([0.4]))
        if 60 <= minute < 120:
            p = np.minimum(p, 0.1)
        p = flexible.bounded(p, 60.0)
        flexible.advance(p, 60_000)
        drawn += float(p[0]) / 60
    assert drawn + 1.0 - flexible.e_mwh[0] == pytest.approx(4.0, abs=1e-9)
    assert flexible.e_mwh[0] == pytest.approx(1.0, abs=1e-3)


def test_nothing_is_put_off_beyond_the_buffer():
    flexible = Buffered(np.array([1.0]), np.array([1.0]), np.array([0.5]))
    for _ in range(120):
        flexible.wish(np.array([0.8]))
        p = flexible.bounded(np.array([0.0]), 60.0)
        flexible.advance(p, 60_000)
    assert p == pytest.approx([0.8])


def test_a_better_cop_gives_the_same_heat_for_less():
    pump = HeatPumps(np.array([1.0]), np.array([1.0]), np.array([0.75]))
    assert pump.wish(np.array([0.6]), np.array([1.5])) == pytest.approx([0.4])
    pump.advance(np.array([0.4]), 3_600_000)
    assert pump.e_mwh == pytest.approx([0.75])
    pump.advance(np.array([0.0]), 600_000)
    twin = HeatPumps(np.array([1.0]), np.array([1.0]), np.array([0.75]))
    twin.set_state(pump.get_state())
    assert twin.bounded(np.array([0.0]), 3600.0) == pytest.approx(pump.bounded(np.array([0.0]), 3600.0))
