import numpy as np
import pytest

from scenarios.areas import divide
from scenarios.catalogue import compiled


@pytest.mark.parametrize(("name", "most"), [("cigre_mv", 5), ("mv_oberrhein", 30), ("cigre_mv_lv", 5)])
def test_every_node_has_one_area_and_every_area_hangs_together(name, most):
    grid = compiled(name)
    areas = divide(grid, most)
    count = len(areas.head)
    assert sorted(set(areas.of_node.tolist())) == list(range(count))
    assert count > 1
    for k in range(count):
        inside = {int(n) for n in np.flatnonzero(areas.of_node == k)} & {int(n) for n in grid.order}
        up = {n: int(grid.rep[grid.parent[n]]) for n in inside if grid.parent[n] >= 0}
        leaving = [n for n in inside if up.get(n) not in inside]
        assert leaving == [int(areas.head[k])], "one way towards the root, at the head"


def test_area_0_holds_the_root():
    grid = compiled("cigre_mv")
    areas = divide(grid, 5)
    assert areas.of_node[grid.roots].tolist() == [0]
    assert areas.head[0] == grid.order[0]


def test_cigre_by_hand():
    """From the leaves up: 3 and all behind it fills two areas, the short feeder stays with the busbars."""
    grid = compiled("cigre_mv")
    areas = divide(grid, 5)
    of = {int(b): int(a) for b, a in zip(grid.node_bus, areas.of_node, strict=True)}
    assert of[0] == of[1] == of[12]
    assert of[10] == of[11]
    assert of[3] == of[4]
    assert all(np.count_nonzero(areas.of_node == k) <= 8 for k in range(1, len(areas.head)))


def test_ties_make_neighbours_and_only_lines_in_service_make_a_boundary():
    grid = compiled("cigre_mv")
    areas = divide(grid, 5)
    for k, near in enumerate(areas.neighbours):
        assert k not in near
        assert all(k in areas.neighbours[other] for other in near)
    crossing = areas.of_node[grid.branch_from] != areas.of_node[grid.branch_to]
    expected = np.flatnonzero(crossing & (grid.branch_kind == "line") & grid.joined)
    assert sorted(set(np.concatenate(areas.boundary).tolist())) == expected.tolist()
    counts = np.bincount(np.concatenate(areas.boundary), minlength=grid.n_branches)
    assert set(counts[expected]) == {2}, "each belongs to both sides"
    ties = [grid.branch("line", t) for t in (12, 13, 14)]
    assert not np.isin(ties, np.concatenate(areas.boundary)).any()


def test_as_many_nodes_as_there_are_make_one_area():
    areas = divide(compiled("cigre_mv"), 1000)
    assert (areas.of_node == 0).all()
    assert areas.neighbours == ((),)
    assert areas.boundary[0].size == 0
