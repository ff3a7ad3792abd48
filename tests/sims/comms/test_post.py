import numpy as np

from sims.comms.post import Post
from sims.core.bundle import Addresses, Bundle
from sims.core.message import Message


def letter(number, at_ms=0):
    return Message("a", "b", "note", {"n": number}, at_ms)


def test_messages_that_follow_each_other_are_one_post_and_bundles_are_not():
    post = Post([letter(1)], [7], [10])
    assert post.took(Post([letter(2), letter(3)], [8, 9], [20, 20]))
    assert [(m.values["n"], way, at) for m, way, at in post.each()] == [(1, 7, 10), (2, 8, 20), (3, 9, 20)]
    bundle = Bundle(Addresses(("a", "c"), ("b", "b")), np.array([1, 0]), "frame", {"p": np.array([1.5, 2.5])}, 3)
    whole = Post(bundle, np.array([4, 5]), [30])
    assert len(whole) == 2
    assert not post.took(whole)
    assert not whole.took(post)
    assert [(m.sender, m.values["p"], way, at) for m, way, at in whole.each()] == [("c", 1.5, 4, 30), ("a", 2.5, 5, 30)]


def test_a_post_is_parted_before_the_time_asked_for():
    post = Post([letter(k) for k in range(4)], [0, 1, 2, 3], [10, 20, 20, 30])
    first, rest = post.parted(20)
    assert (first.ways, first.at_ns) == ([0], [10])
    assert ([m.values["n"] for m in rest.mail], rest.at_ns) == ([1, 2, 3], [20, 20, 30])
