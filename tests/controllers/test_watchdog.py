"""The watchdog interrupts whoever decides for too long, and nobody else."""

import threading
import time
from contextlib import suppress

import pytest

from controllers import watchdog
from controllers.watchdog import Watchdog


@pytest.fixture
def dog(monkeypatch):
    """One that looks often; a decision may take 0.1 s."""
    monkeypatch.setattr(watchdog, "LOOK_S", 0.01)
    return Watchdog(lambda: ("somebody", 0.1))


def test_a_decision_over_its_budget_is_interrupted(dog):
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), dog:
        time.sleep(30)
    assert time.monotonic() - began < 10
    assert dog.fired


def test_many_short_ones_are_not(dog):
    for _ in range(40):
        with dog:
            time.sleep(0.01)
    time.sleep(0.3)
    assert not dog.fired


@pytest.mark.parametrize("ends", ["returns", "raises"])
def test_an_interrupt_sent_as_the_decision_ends_still_meets_it(dog, monkeypatch, ends):
    interrupt, sending = watchdog._interrupt, threading.Event()

    def slowly():
        sending.set()
        time.sleep(0.3)
        interrupt()

    def decide():
        with dog:
            assert sending.wait(10)
            if ends == "raises":
                raise ValueError("at the last moment")

    monkeypatch.setattr(watchdog, "_interrupt", slowly)
    with pytest.raises(KeyboardInterrupt):
        decide()
    assert dog.fired
    time.sleep(0.6)  # one that came now would end the tests


def test_one_that_swallows_the_interrupt_is_still_over_its_budget(dog):
    def decide():
        with dog, suppress(KeyboardInterrupt):
            time.sleep(30)

    with pytest.raises(KeyboardInterrupt):
        decide()
    assert dog.fired


def test_each_of_several_has_a_budget_of_its_own_and_the_one_that_is_over_is_named(monkeypatch):
    monkeypatch.setattr(watchdog, "LOOK_S", 0.01)
    names = ["first"]
    dog = Watchdog(lambda: (names[-1], 0.2))

    def decide():
        with dog:
            for name, takes_s in [("second", 0.1), ("third", 0.1), ("fourth", 0.1), ("last", 30)]:
                assert dog.over is None, "together they took longer than one may"
                dog.next()
                names.append(name)
                time.sleep(takes_s)

    with pytest.raises(KeyboardInterrupt):
        decide()
    assert dog.over == ("last", 0.2)


def test_one_that_swallows_the_interrupt_is_met_before_the_next_decides(dog):
    decided = []

    def decide():
        with dog:
            for name in ["first", "second"]:
                dog.next()
                decided.append(name)
                with suppress(KeyboardInterrupt):
                    time.sleep(30)

    with pytest.raises(KeyboardInterrupt):
        decide()
    assert (decided, dog.over) == (["first"], ("somebody", 0.1))


def test_a_user_who_interrupts_leaves_nobody_deciding(dog):
    with pytest.raises(KeyboardInterrupt), dog:
        raise KeyboardInterrupt
    time.sleep(0.3)
    assert not dog.fired
