import numpy as np
import pytest

from sims.transmission.schedule import Schedule

PLAN = Schedule(900_000, np.array([[100.0, 10.0], [200.0, 10.0], [0.0, 40.0]]), np.array([[5.0], [-5.0], [0.0]]))


@pytest.mark.parametrize(
    ("now_ms", "p_mw", "export_mw"),
    [
        (0, [100.0, 10.0], [5.0]),
        (450_000, [150.0, 10.0], [0.0]),
        (900_000, [200.0, 10.0], [-5.0]),
        (1_125_000, [150.0, 17.5], [-3.75]),
        (1_800_000, [0.0, 40.0], [0.0]),
        (9_000_000, [0.0, 40.0], [0.0]),
    ],
)
def test_straight_lines_between_the_quarter_hours_and_the_last_value_after_them(now_ms, p_mw, export_mw):
    assert PLAN.machines(now_ms).tolist() == pytest.approx(p_mw)
    assert PLAN.exports(now_ms).tolist() == pytest.approx(export_mw)


def test_what_is_given_out_is_not_the_plan_itself():
    PLAN.machines(0)[0] = -1.0
    assert PLAN.p_mw[0, 0] == 100.0


def test_a_plan_of_one_row_stands():
    one = Schedule(900_000, np.array([[7.0]]), np.array([[1.0]]))
    assert one.machines(12_345_678).tolist() == [7.0]
