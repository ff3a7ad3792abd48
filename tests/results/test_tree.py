import numpy as np

from results.tree import layout


def drawn(nodes, branches, root=0):
    ends = np.array(branches, dtype=int).reshape(-1, 2)
    return layout(nodes, ends[:, 0], ends[:, 1], root)


def test_a_feeder_with_two_branches_worked_by_hand():
    # 0-1-2, and at 1 also 3-4: two ends, so rows 0 and 1; node 1 and 0 midway.
    x, y = drawn(5, [(0, 1), (1, 2), (1, 3), (3, 4)])
    assert (x * 3).tolist() == [0, 1, 2, 2, 3]
    assert y.tolist() == [0.5, 0.5, 0, 1, 1]


def test_a_branch_that_closes_a_loop_does_not_matter_if_it_comes_last():
    tree = [(0, 1), (1, 2), (2, 3)]
    for one, other in zip(drawn(4, tree), drawn(4, [*tree, (0, 3)]), strict=True):
        assert one.tolist() == other.tolist()
    x, _ = drawn(4, [(0, 3), *tree])
    assert x[3] == x[1]


def test_the_root_stands_left_and_parts_apart_follow_below():
    x, y = drawn(5, [(0, 1), (2, 3)], root=1)
    assert (x[1], x[0]) == (0, 1)
    assert x[2] == x[4] == 0
    assert len({y[1], y[2], y[4]}) == 3
    assert drawn(1, [])[0].tolist() == [0]
