import pytest

from scenarios.shard import Shard
from sims.core.errors import ScenarioError


def test_the_parts_hold_every_item_once():
    items = list(range(11))
    parts = [Shard.read(f"{i}/4").of_these(items) for i in range(1, 5)]
    assert parts[0] == [0, 4, 8]
    assert sorted(item for part in parts for item in part) == items
    assert Shard(3, 4).of_these([7]) == []


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2", ""])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ScenarioError, match=r"write it as i/n with i from 1 to n, such as 2/8"):
        Shard.read(text)
