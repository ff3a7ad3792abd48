import math

import numpy as np
import pytest

from controllers.distributed import extremes
from controllers.distributed.area import Area
from controllers.distributed.congestion import ConsensusCurtailment
from sims.core.message import Message


@pytest.fixture
def volts(town, monkeypatch):
    """What the leading agent knows where node 2 is fed by the first transformer and node 3 by the second."""
    site = next(c.site for c in town([ConsensusCurtailment]).of(ConsensusCurtailment) if c.area.leads)
    monkeypatch.setattr(extremes, "fed_by", lambda grid: np.array([-1, 0, 0, 1, 1]))
    monkeypatch.setattr(extremes, "source_transformers", lambda grid: np.arange(2))
    return extremes.Extremes(Area(site))


def busbars(minute, *v_pu):
    return Message("station", "lead", "primary", {"v_pu": list(v_pu)}, sent_ms=60_000 * minute)


def test_each_voltage_is_carried_along_with_its_own_busbar(volts):
    volts.primary(busbars(0, 1.00, 1.03))
    volts.frame("s2", 2, 1.02)
    volts.frame("s3", 3, 1.04)
    assert volts.range_pu() == pytest.approx((1.00, 1.04))
    # The taps take the second busbar down: what hangs from the first does not move, and nothing is at 1.05.
    volts.primary(busbars(1, 1.00, 1.01))
    assert volts.range_pu() == pytest.approx((1.00, 1.02))
    volts.primary(busbars(2, 1.04, 1.01))
    assert volts.range_pu() == pytest.approx((1.01, 1.06))


def test_a_dark_busbar_counts_not_and_silence_is_dark(volts):
    assert volts.dark
    volts.primary(busbars(0, 1.00, 0.0))
    volts.frame("s3", 3, 0.0)
    volts.frame("s2", 2, 0.98)
    assert volts.range_pu() == pytest.approx((0.98, 1.00))
    volts.expire(1000.0)
    assert volts.dark
    assert all(math.isnan(v_pu) for v_pu in volts.range_pu())
