import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.ticks import next_tick

AT = st.floats(0, 1e7)
EVERY = st.sampled_from((0.1, 0.2, 1.0, 7.0))


@pytest.mark.parametrize(
    ("now", "tick"),
    [(0.0, 0.2), (0.1, 0.2), (0.199, 0.2), (0.2, 0.4), (0.3, 0.4), (1000.05, 1000.2), (0.6, 0.8), (1.2, 1.4)],
)
def test_the_next_tick_is_the_first_multiple_that_is_not_reached_yet(now: float, tick: float) -> None:
    assert next_tick(now, every=0.2) == pytest.approx(tick)


@pytest.mark.parametrize(("now", "tick"), [(0.0, 0.02), (0.019, 0.02), (0.02, 0.12), (0.1, 0.12), (0.119, 0.12)])
def test_an_offset_puts_each_tick_so_much_behind(now: float, tick: float) -> None:
    assert next_tick(now, every=0.1, offset=0.02) == pytest.approx(tick)


@given(now=AT, every=EVERY, offset=st.sampled_from((0.0, 0.02)))
def test_nobody_waits_longer_than_from_one_tick_to_the_next(now: float, every: float, offset: float) -> None:
    assert now < next_tick(now, every=every, offset=offset) <= now + every * 1.001 + 1e-8


@given(now=AT, every=EVERY)
def test_all_who_ask_before_a_tick_are_told_the_very_same_moment(now: float, every: float) -> None:
    tick = next_tick(now, every=every)
    assert next_tick((now + tick) / 2, every=every) in {tick, next_tick(tick, every=every)}
    assert next_tick(tick, every=every) == pytest.approx(tick + every)
