import numpy as np
import pytest

from sims.transmission.reserve import CalledReserve

MIN = 60_000


def test_called_reserve_ramps_stops_at_the_contract_and_expires():
    reserve = CalledReserve(np.array([300.0, 100.0, 0.0]), 300.0)
    for machine, p_mw in enumerate((120.0, -500.0, 50.0)):
        reserve.order(machine, p_mw, 0, 4 * MIN if machine == 0 else 0)
    seen = []
    for k in range(1, 7):
        reserve.advance(k * MIN)
        seen.append(reserve.p_mw.copy())
    # a fifth of the contract a minute; the first order ends with the fourth minute, the others never
    by_hand = [[60, 120, 120, 60, 0, 0], [-20, -40, -60, -80, -100, -100], [0] * 6]
    np.testing.assert_allclose(np.array(seen).T, by_hand, atol=1e-9)


def test_state_is_a_copy_that_continues_alike():
    one, other = (CalledReserve(np.array([100.0]), 200.0) for _ in range(2))
    one.order(0, 90.0, 0, 10 * MIN)
    one.advance(MIN)
    state = one.get_state()
    other.set_state(state)
    for k in (2, 3, 11, 12):
        one.advance(k * MIN)
        other.advance(k * MIN)
        assert other.p_mw == pytest.approx(one.p_mw)
    assert state["p_mw"] == pytest.approx([30.0])
