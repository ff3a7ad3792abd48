import math

import numpy as np
import pytest

from sims.comms.technology import PRESETS, Technology, technology
from sims.core.errors import ScenarioError


def test_sigma_and_mean_follow_from_median_and_p95():
    lte = technology("lte")
    assert lte.sigma == pytest.approx(math.log(80 / 25) / 1.645)
    # by hand: ln 3.2 = 1.16315, / 1.645 = 0.70708; mean = 25 exp(0.24998)
    assert lte.mean_ms == pytest.approx(32.099, abs=0.002)
    drawn = np.random.default_rng(1).lognormal(math.log(25), lte.sigma, 400_000)
    assert drawn.mean() == pytest.approx(lte.mean_ms, rel=0.005)


@pytest.mark.parametrize(
    ("name", "median_ms", "p95_ms", "rates", "loss", "availability"),
    [
        ("fibre", 3, 6, (100e6, 1e9), (1e-6, 1e-6), (0.9999, 0.9999)),
        ("xdsl", 12, 25, (1e6, 10e6), (1e-4, 1e-4), (0.997, 0.997)),
        ("lte450", 25, 60, (1e6, 5e6), (1e-4, 1e-4), (0.9995, 0.9995)),
        ("lte", 25, 80, (5e6, 50e6), (1e-3, 1e-3), (0.995, 0.995)),
        ("5g", 20, 50, (35e6, 35e6), (1e-3, 1e-3), (0.995, 0.995)),
        ("nb_iot", 800, 3000, (300, 60e3), (1e-2, 1e-2), (0.99, 0.99)),
        ("bb_plc", 10, 50, (1e6, 20e6), (1e-2, 1e-2), (0.99, 0.99)),
        ("nb_plc", 400, 2000, (5.4e3, 128e3), (1e-2, 1e-1), (0.90, 0.98)),
        ("rf_mesh", 400, 2000, (50e3, 300e3), (1e-2, 1e-2), (0.993, 0.993)),
        ("geo", 270, 350, (0.1e6, 10e6), (1e-3, 1e-3), (0.995, 0.995)),
        ("leo", 22, 50, (10e6, 100e6), (1e-2, 1e-2), (0.99, 0.99)),
        ("lorawan", 400, 1800, (300, 5e3), (1e-2, 1e-1), (0.99, 0.99)),
    ],
)
def test_presets_lie_within_the_published_ranges(name, median_ms, p95_ms, rates, loss, availability):
    row = PRESETS[name]
    assert (row.median_ms, row.p95_ms) == (median_ms, p95_ms)
    assert rates[0] <= row.rate_bit_s <= rates[1]
    assert loss[0] <= row.loss <= loss[1]
    assert availability[0] <= row.availability <= availability[1]
    assert row.source


def test_every_preset_is_possible():
    assert [problem for row in PRESETS.values() for problem in row.problems(row.name)] == []


def test_a_scenario_may_override_columns():
    row = technology("lte", rate_bit_s=20_000_000, loss=0.0)
    assert (row.rate_bit_s, row.loss, row.median_ms) == (20_000_000, 0.0, 25.0)
    assert PRESETS["lte"].rate_bit_s == 10_000_000


def test_a_new_median_keeps_the_relative_spread():
    assert technology("phone", median_ms=600_000.0).p95_ms == pytest.approx(1_800_000.0)
    assert technology("phone", median_ms=600_000.0).sigma == pytest.approx(technology("phone").sigma)


@pytest.mark.parametrize(
    ("name", "overrides", "text"),
    [
        ("fiber", {}, "did you mean fibre"),
        ("lte", {"rate": 3}, r"rate: is not a column.*did you mean rate_bit_s"),
        ("lte", {"p95_ms": 20.0}, "below the median"),
        ("lte", {"rate_bit_s": -1}, "must be >= 0"),
        ("lte", {"loss": 1.01}, "not a probability"),
        ("lte", {"availability": -0.1}, "not a probability"),
        ("lte", {"median_ms": float("nan"), "p95_ms": 1.0}, "must be a number"),
        ("lte", {"median_ms": 0.0, "p95_ms": 5.0}, "no lognormal"),
        ("lorawan", {"duty": 0.0}, "above 0"),
    ],
)
def test_impossible_technologies_are_refused(name, overrides, text):
    with pytest.raises(ScenarioError, match=text):
        technology(name, **overrides)


def test_all_faults_of_a_row_are_named_together():
    found = Technology("x", -1.0, 2.0, -5, 2.0, 2.0).problems("x")
    assert [problem.field for problem in found] == ["median_ms", "rate_bit_s", "loss", "availability"]
