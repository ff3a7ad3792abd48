import pickle
from copy import copy
from dataclasses import FrozenInstanceError, asdict, replace

import numpy as np
import pytest

from sims.core.message import Message


def test_a_message_is_what_was_written_and_stays_so():
    message = Message("a", "b", "m", {"p_mw": 1.0}, 3, 85, 900, 0)
    assert (message.sender, message.priority, message.arrived_ms) == ("a", 0, 0.0)
    with pytest.raises(FrozenInstanceError):
        message.topic = "other"
    with pytest.raises(FrozenInstanceError):
        del message.topic
    assert type(message) is Message


def test_copies_and_changes_give_messages():
    message = Message("a", "b", "m", {"v": np.ones(2)}, 3)
    changed = replace(message, arrived_ms=8.0)
    assert (changed.values is message.values, changed.sent_ms, changed.arrived_ms) == (True, 3, 8.0)
    plain = Message("a", "b", "m", {"p_mw": 1.0})
    assert pickle.loads(pickle.dumps(plain)) == copy(plain) == plain
    assert plain != replace(plain, priority=0)
    assert Message(**asdict(plain)) == plain


def test_what_is_not_given_is_not_shared():
    first, second = Message("a", "b", "m"), Message("a", "b", "m")
    assert first == second
    assert first.values is not second.values
    assert (first.size_bytes, first.ttl_ms, first.priority) == (100, 0, 1)
    with pytest.raises(TypeError, match="topic"):
        Message("a", "b")
