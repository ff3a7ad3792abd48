import itertools

import pytest

from controllers.restoration_law import RestorationLaw, beyond_mw, cell_error


def test_cell_error_is_long_when_exporting_too_much_or_too_fast():
    assert cell_error(110, 100, 50.0, 50.0, 1000) == 10
    assert cell_error(100, 100, 50.01, 50.0, 1000) == pytest.approx(10)
    # The self-responsible cell: a low frequency that its own droop answers is no error of its own.
    assert cell_error(150, 100, 49.95, 50.0, 1000) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(("d_f_hz", "expected"), [(0.0, 0.0), (0.009, 0.0), (-0.05, -4.0), (0.06, 5.0)])
def test_devices_answer_beyond_their_dead_band(d_f_hz, expected):
    assert beyond_mw(d_f_hz, 0.01, 100.0) == pytest.approx(expected)


def told(law, error_mw, measured_s, dt_s=0.0):
    """What is asked once this error has been measured, or will be in `dt_s`."""
    law.measure(error_mw, measured_s)
    return law.within(dt_s)


def test_law_by_hand():
    law = RestorationLaw(0.1, 120.0)
    assert told(law, -12.0, 0.0) == pytest.approx(1.2), "the first measurement lasts no time"
    assert law.ask(-100, 100) == pytest.approx(1.2)
    assert told(law, -12.0, 60.0) == pytest.approx(1.2 + 6.0)
    assert law.ask(-100, 100) == pytest.approx(7.2)
    assert told(law, -12.0, 120.0) == pytest.approx(1.2 + 12.0)
    assert told(law, -12.0, 124.0) == pytest.approx(1.2 + 6.0 + 0.4)
    assert law.within(60.0) == pytest.approx(1.2 + 6.0 + 6.0), "within a minute, if the error stands"


def test_a_gap_counts_for_five_minutes_at_most():
    law = RestorationLaw(0.0, 100.0, first_s=60.0)
    assert told(law, -10.0, 0.0) == pytest.approx(6.0)
    law.ask(-100, 100)
    assert told(law, -10.0, 7200.0) == pytest.approx(6.0 + 30.0)


def test_the_integral_grows_to_a_bound_and_comes_back_at_once():
    law = RestorationLaw(0.1, 120.0, 60.0)
    for k in range(50):
        law.measure(-12.0, 60.0 * k)
        assert law.ask(-100, 15.0) <= 15.0
    assert law.integral_mw == pytest.approx(-13.8), "15 MW are 1.2 of the error and 13.8 of the integral"
    assert told(law, 12.0, 3000.0) == pytest.approx(-1.2 + 13.8 - 6.0)


def test_a_bound_that_moves_on_is_followed_without_a_step_back():
    law = RestorationLaw(0.1, 120.0, 60.0)
    given = []
    for k in range(8):
        law.measure(-100.0 + 0.9 * (given[-1] if given else 0.0), 60.0 * k)
        given.append(law.ask(-300, 20.0 * (k + 1)))
    assert given[:3] == [20.0, 40.0, 60.0]
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(given))
