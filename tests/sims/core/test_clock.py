import pytest
from hypothesis import given
from hypothesis import strategies as st

from sims.core.clock import MS_PER_H, MS_PER_MIN, MS_PER_S, is_tick, next_tick


@pytest.mark.parametrize(("now_ms", "tick_ms"), [(0, 900), (1, 900), (899, 900), (900, 1800), (901, 1800)])
def test_the_next_tick_lies_strictly_ahead(now_ms, tick_ms):
    assert next_tick(now_ms, 900) == tick_ms


def test_ticks_are_the_multiples_of_the_step_and_nothing_else():
    assert [t for t in range(31) if is_tick(t, 10)] == [0, 10, 20, 30]


def test_units():
    assert (MS_PER_S, MS_PER_MIN, MS_PER_H) == (1_000, 60_000, 3_600_000)


@given(st.integers(0, 10**12), st.integers(1, 10**8))
def test_between_now_and_the_next_tick_there_is_none(now_ms, step_ms):
    tick = next_tick(now_ms, step_ms)
    assert type(tick) is int, "mosaik takes no numpy integer"
    assert is_tick(tick, step_ms)
    assert 0 < tick - now_ms <= step_ms
