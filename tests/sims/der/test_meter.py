import numpy as np
import pytest

from sims.der.meter import FrequencyMeter


def test_a_ramp_is_seen_with_its_slope_and_half_a_window_late():
    meter = FrequencyMeter(0.1)
    for k in range(20):
        mean, slope = meter.measure(np.array([50.0 - 0.5 * k * 0.02, 50.0]), 0.02)
    assert slope.tolist() == pytest.approx([-0.5, 0.0])
    assert mean[0] == pytest.approx(50.0 - 0.5 * (19 - 2) * 0.02)


def test_a_step_takes_the_window_to_be_seen_in_full():
    meter = FrequencyMeter(0.1)
    meter.measure(np.array([50.0]), 0.02)
    seen = [meter.measure(np.array([49.9]), 0.02)[0][0] for _ in range(5)]
    assert seen[1] > 49.9
    assert seen[4] == pytest.approx(49.9)


def test_reset_forgets():
    meter = FrequencyMeter()
    meter.measure(np.array([49.0]), 0.02)
    meter.reset()
    assert meter.measure(np.array([50.0]), 0.02)[1][0] == 0.0
