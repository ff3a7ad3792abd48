import math

import numpy as np
import pytest

from controllers.contract import Site
from controllers.distributed.area import Area
from controllers.distributed.sharing import Shares, ShareTree, by_grain, by_merit, stepped
from controllers.specimen import small_belief, small_feeder
from sims.core.message import Message

SIZES = {"a": 10.0, "b": 30.0, "c": 20.0}


@pytest.mark.parametrize("amount", [-60.0, -31.0, -0.5, 0.0, 7.0, 15.0, 44.0, 60.0])
def test_steps_sum_to_the_amount_and_stay_within_one_step(amount):
    sizes = list(SIZES.values())
    parts = stepped(amount, sizes, 0.25)
    assert sum(parts) == pytest.approx(amount)
    use = np.abs(parts) / sizes
    assert np.ptp(use) <= 0.25 + 1e-9


def test_a_small_change_moves_one_part():
    before, after = stepped(40.0, [10.0] * 10, 0.25), stepped(41.0, [10.0] * 10, 0.25)
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_no_more_than_there_is():
    assert stepped(99.0, [1.0, 2.0], 0.25) == pytest.approx([1.0, 2.0])
    assert stepped(5.0, [0.0, 0.0], 0.25) == [0.0, 0.0]


def test_who_gives_most_per_order_comes_first():
    assert list(by_grain(SIZES, {"a": 1, "b": 10, "c": 4})) == ["a", "c", "b"]


def test_parts_within_the_dead_band_are_not_told_and_all_are_told_again():
    shares = Shares("share/p", dead=0.1)
    assert len(shares.letters("x", 0.0, {"a": 5.0, "b": 0.0}, SIZES)) == 1
    assert not shares.letters("x", 60.0, {"a": 5.9, "b": 0.0}, SIZES)
    again, = shares.letters("x", 120.0, {"a": 6.2, "b": 0.0}, SIZES)
    assert again.values["amount"] == 6.2
    assert not shares.letters("x", 120.0 + shares.RENEW_S - 1, {"a": 6.2, "b": 0.0}, SIZES)
    assert shares.due_s == 120.0 + shares.RENEW_S
    assert len(shares.letters("x", shares.due_s, {"a": 6.2, "b": 0.0}, SIZES)) == 1
    ended, = shares.letters("x", 5000.0, {"a": 0.0, "b": 0.0}, SIZES)
    assert ended.values["amount"] == 0.0


@pytest.fixture
def tree():
    name = small_feeder().agents[1]
    return ShareTree(Area(Site(name, "agent", frozenset(), small_belief(1), (), 60_000, np.random.default_rng(1))), "p")


def test_a_letter_that_a_newer_one_overtook_changes_nothing(tree):
    old = Message(tree.parent, "x", "share/p", {"amount": 3.0, "as_of_s": 60.0})
    new = Message(tree.parent, "x", "share/p", {"amount": 4.0, "as_of_s": 120.0})
    assert tree.take(new)
    assert not tree.take(old)
    assert tree.amount == 4.0
    assert not tree.take(Message("stranger", "x", "share/p", {"amount": 9.0, "as_of_s": 180.0}))


def test_a_sum_is_told_when_it_moved_or_is_old(tree):
    tree.own = [10.0]
    assert tree.announce("x", 0.0)
    tree.own = [10.7]
    assert not tree.announce("x", 300.0)
    tree.own = [10.9]
    letter, = tree.announce("x", 600.0)
    assert letter.values["capacity"][0] == 10.9
    assert not tree.announce("x", 600.0 + tree.REFRESH_S - 1)
    assert tree.announce("x", 600.0 + tree.REFRESH_S)


def test_who_has_nothing_says_nothing(tree):
    assert not tree.announce("x", 0.0)


CAPACITIES = {"a": [10.0, 30.0], "b": [30.0, 0.0], "c": [20.0, 50.0]}


@pytest.mark.parametrize(("amount", "first", "second"), [(24.0, 24.0, 0.0), (60.0, 60.0, 0.0), (-84.0, -60.0, -24.0)])
def test_nobodys_second_tier_is_touched_while_anybodys_first_has_room(amount, first, second):
    parts, sizes = by_merit(amount, CAPACITIES, dict.fromkeys(CAPACITIES, 1), (0, 1), 0.25)
    assert sizes == {"a": 40.0, "b": 30.0, "c": 70.0}
    assert sum(parts.values()) == pytest.approx(amount)
    beyond = {name: math.copysign(max(abs(part) - CAPACITIES[name][0], 0.0), amount) for name, part in parts.items()}
    assert sum(beyond.values()) == pytest.approx(second)
    use = {name: abs(parts[name] - beyond[name]) / CAPACITIES[name][0] for name in parts}
    assert sum(use[name] * CAPACITIES[name][0] for name in use) == pytest.approx(abs(first))
    assert max(use.values()) - min(use.values()) <= 0.25 + 1e-9


def test_a_parent_that_splits_asks_no_vehicle_while_a_child_has_storage():
    name = small_feeder().agents[0]
    site = Site(name, "agent", frozenset(), small_belief(0), (), 60_000, np.random.default_rng(1))
    tree = ShareTree(Area(site), "p", width=3)
    children = sorted(tree.below)
    tree.own = [1.0, 0.0, 5.0]
    for child, able in zip(children, ([4.0, 4.0, 0.0], [0.0, 0.0, 8.0]), strict=False):
        tree.hear(Message(child, name, tree.capacity_topic, {"capacity": np.array(able)}))
    tree.take(Message(tree.parent, name, tree.share_topic, {"amount": 5.0, "as_of_s": 1.0}))
    own, letters = tree.split(name, 1.0, (0, 2))
    assert own == pytest.approx(1.0)
    assert {m.receiver: m.values["amount"] for m in letters} == {children[0]: pytest.approx(4.0)}
