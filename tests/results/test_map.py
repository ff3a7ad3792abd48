from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from results.map import bus_map, hours_outside
from results.runfile import Run

BAND = {"bus": {"v_min_pu": 0.95, "v_max_pu": 1.05}}


def places(n: int) -> dict[str, Any]:
    return {"bus": {"lon": np.linspace(7, 8, n), "lat": np.linspace(51, 51.5, n)}}


def test_hours_above_and_below_the_band(make_run: Callable[..., Run]) -> None:
    vm = [[1.06, 0.90, np.nan], [1.06, 0.96, np.nan], [1.00, 0.90, 1.05], [0.94, 1.00, 1.05]]
    above, below = hours_outside(make_run({"bus": {"vm_pu": vm}}, every_s=900, attrs=BAND))
    assert above == pytest.approx([0.5, 0, 0])
    assert below == pytest.approx([0.25, 0.5, 0])


def test_the_map_counts_the_buses_that_left_the_band(make_run: Callable[..., Run]) -> None:
    vm = [[1.06, 1.0, 0.9], [1.0, 1.0, 1.0]]
    drawn = bus_map({("local", 1): make_run({"bus": {"vm_pu": vm}}, attrs=BAND, static=places(3))})
    assert drawn is not None
    assert "2 of 3 outside" in drawn
    assert "image/png" not in drawn


def test_many_buses_are_drawn_as_an_image_inside_the_page(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": np.full((2, 2000), 1.1)}}, attrs=BAND, static=places(2000))
    drawn = bus_map({("local", 1): run})
    assert drawn is not None
    assert 'href="data:image/png;base64' in drawn.replace("\n", "")
    assert "http" not in drawn
    assert len(drawn) < 300_000


@pytest.mark.parametrize(
    "given",
    [
        {"static": places(2)},
        {"attrs": BAND},
        {"attrs": BAND, "static": {"bus": {"lon": [np.nan, np.nan], "lat": [51.0, 51.0]}}},
    ],
)
def test_without_places_or_a_band_there_is_no_map(make_run: Callable[..., Run], given: dict[str, Any]) -> None:
    assert bus_map({("local", 1): make_run({"bus": {"vm_pu": [[1.0, 1.1]]}}, **given)}) is None
