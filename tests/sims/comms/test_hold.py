import numpy as np

from sims.comms import express_kernel as kernel
from sims.comms.hold import Asked, Hold
from sims.comms.post import Post
from sims.core.bundle import Addresses, Bundle
from sims.core.message import Message

TRACE = np.array([[3, 4, 10, 12, 1, -1], [5, 6, 20, 23, 0, -1]])
"""From, to, where the links of the way begin and end, whether it gets there, and its line."""


def frames(*p_mw):
    count = len(p_mw)
    addresses = Addresses(tuple(f"s{k}" for k in range(count)), ("dms",) * count)
    return Bundle(addresses, np.arange(count), "frame", {"p_mw": np.array(p_mw)}, 2, 90, 0, 1)


def test_a_packet_stands_in_its_row_with_way_size_rank_and_expiry():
    hold = Hold()
    mail = [Message("a", "b", "note", {}, 5, 120, 30, 2), Message("a", "c", "call", {}, 5, 60, 0, 0)]
    posts = hold.stow(Post(mail, [0, 1], [5_000_000, 6_000_000]), TRACE)
    assert posts[:, 0].tolist() == [5_000_000, 6_000_000]
    rows = hold.rows[posts[:, 1]]
    assert rows[:, kernel.OF_WAY].tolist() == TRACE[:, :5].tolist()
    assert rows[:, kernel.SIZE].tolist() == [120, 60]
    assert rows[:, kernel.PRIORITY].tolist() == [2, 0]
    assert rows[:, kernel.EXPIRES].tolist() == [35_000_000, 0]
    assert [hold.topics[number] for number in rows[:, kernel.TOPIC]] == ["note", "call"]
    assert [hold.message(place) for place in posts[:, 1]] == mail


def test_what_arrives_of_a_bundle_stands_together_where_its_first_does():
    hold = Hold()
    one, two = (hold.stow(Post(frames(*p_mw), np.array([0, 1]), [0]), TRACE)[:, 1] for p_mw in ((1.0, 2.0), (3.0, 4.0)))
    note = hold.stow(Post([Message("a", "b", "note")], [0], [0]), TRACE[:1])[:, 1]
    places = np.array([one[1], note[0], two[0], one[0]])
    first, letter, other = hold.arrived(places, np.array([1.0, 2.0, 3.0, 4.0]))
    assert (first.values["p_mw"].tolist(), first.arrived_ms.tolist()) == ([2.0, 1.0], [1.0, 4.0])
    assert (letter.topic, letter.arrived_ms) == ("note", 2.0)
    assert (other.values["p_mw"].tolist(), other.arrived_ms.tolist()) == ([3.0], [3.0])
    assert hold.message(int(two[1])).values == {"p_mw": 4.0}


def test_places_that_are_left_are_taken_again():
    hold = Hold()
    taken = hold.places(1500)
    assert len(set(taken.tolist())) == 1500
    hold.leave(taken[:1000])
    assert hold.under_way == 500
    again = hold.places(700)
    assert not set(again.tolist()) & set(taken[1000:].tolist())
    assert hold.under_way == 1200
    hold.clear()
    assert hold.under_way == 0
    assert len(set(hold.places(len(hold.rows)).tolist())) == len(hold.rows)


def test_each_receiver_is_asked_about_once_a_topic():
    asked = []

    def concerns(receiver, topic):
        asked.append((receiver, topic))
        return receiver == "b" and topic == "call"

    known = Asked(concerns, ["a", "b"], ["note", "call"])
    assert [known[key] for key in (3, 1, 3, 2, 1)] == [True, False, True, False, False]
    assert asked == [("b", "call"), ("b", "note"), ("a", "call")]
