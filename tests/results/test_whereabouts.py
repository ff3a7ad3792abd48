from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from results.runfile import Run
from results.whereabouts import by_feeder, hours_outside

BAND = {"bus": {"v_min_pu": 0.95, "v_max_pu": 1.05}}
FEEDER = {"bus": {"feeder": ["f", "g", "f"]}}
VM = [[1.06, 0.90, np.nan], [1.06, 0.96, np.nan], [1.00, 0.90, 1.06], [0.94, 1.00, 1.05]]


def test_bus_hours_above_and_below_the_band_by_feeder(make_run: Callable[..., Run]) -> None:
    found = hours_outside(make_run({"bus": {"vm_pu": VM}}, every_s=900, attrs=BAND, static=FEEDER))
    assert found is not None
    assert found[0] == ["f", "g"]
    assert found[1] == pytest.approx([0.75, 0])
    assert found[2] == pytest.approx([0.25, 0.5])


def test_few_feeders_are_named_under_their_bars(make_run: Callable[..., Run]) -> None:
    static = {"bus": {"feeder": ["<north>", "south", "south"]}}
    drawn = by_feeder({("local", 1): make_run({"bus": {"vm_pu": VM}}, attrs=BAND, static=static)})
    assert drawn is not None
    assert "&lt;north&gt;" in drawn
    assert "bus-hours" in drawn


@pytest.mark.parametrize("given", [{"static": FEEDER}, {"attrs": BAND}])
def test_without_feeders_or_a_band_there_is_no_picture(make_run: Callable[..., Run], given: dict[str, Any]) -> None:
    assert by_feeder({("local", 1): make_run({"bus": {"vm_pu": VM}}, **given)}) is None
