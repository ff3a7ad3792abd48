import numpy as np
import pytest

from results.estimates import Assessor
from sims.core.message import Message

BELIEF = {"dso_1.f01": ("dso_1", slice(0, 3)), "dso_1.f02": ("dso_1", slice(3, 5))}


def report(feeder, v_pu, topic="estimate"):
    return Message("dso_1.dms", "logbook", topic, {"feeder": feeder, "v_pu": np.array(v_pu)})


def errors(assessor, v_pu, now_ms=60_000):
    return assessor.errors(now_ms, {"dso_1": {"vm_pu": np.array(v_pu)}})


def test_error_and_age_by_feeder():
    assessor = Assessor(BELIEF)
    assessor.hear([report("dso_1.f01", [1.00, 0.98, 1.01])], 30_000)
    found = errors(assessor, [1.0, 1.01, 1.05, 1.0, 1.0])
    assert found["v_rmse_pu"][0] == pytest.approx(np.sqrt((0.03**2 + 0.04**2) / 3))
    assert found["v_max_err_pu"][0] == pytest.approx(0.04)
    assert found["age_s"][0] == 30.0
    assert np.isnan([found[k][1] for k in found]).all(), "nobody estimated the second feeder"


@pytest.mark.parametrize(("believed", "truth"), [
    ([1.0, 0.0, 1.01], [1.0, 1.02, 1.0]),
    ([1.0, 1.0, 1.01], [1.0, np.nan, 1.0]),
    ([1.0, 1.0, 1.01], [1.0, 0.0, 1.0]),
    ([1.0, 0.0, 1.01], [1.0, np.nan, 1.0]),
])
def test_a_node_dark_in_truth_or_in_belief_does_not_count(believed, truth):
    assessor = Assessor(BELIEF)
    assessor.hear([report("dso_1.f01", [0.9, 0.9, 0.9])], 0)
    assessor.hear([report("dso_1.f01", believed)], 30_000)
    found = errors(assessor, [*truth, 1.0, 1.0])
    assert found["v_max_err_pu"][0] == pytest.approx(0.01)
    assert found["v_rmse_pu"][0] == pytest.approx(0.01 / np.sqrt(2))


def test_an_agents_estimate_leaves_the_rest_of_the_feeder_as_it_was():
    assessor = Assessor(BELIEF)
    assessor.hear([report("dso_1.f01", [1.0, np.nan, np.nan])], 0)
    assessor.hear([report("dso_1.f01", [np.nan, 1.0, np.nan])], 0)
    found = errors(assessor, [1.01, 1.03, 9.0, 1.0, 1.0])
    assert found["v_max_err_pu"][0] == pytest.approx(0.03)


def test_an_estimate_may_name_its_nodes():
    assessor = Assessor(BELIEF)
    for nodes, v_pu in (([0], [1.0]), ([2, 1], [1.02, 0.0])):
        values = {"feeder": "dso_1.f01", "node": np.array(nodes), "v_pu": np.array(v_pu)}
        assessor.hear([Message("dso_1.f01.a1", "logbook", "estimate", values)], 0)
    found = errors(assessor, [1.01, 1.0, 1.05, 1.0, 1.0])
    assert found["v_max_err_pu"][0] == pytest.approx(0.03)
    assert found["v_rmse_pu"][0] == pytest.approx(np.sqrt((0.01**2 + 0.03**2) / 2)), "node 1 is believed dark"


def test_other_reports_and_foreign_feeders_change_nothing():
    assessor = Assessor(BELIEF)
    assessor.hear([report("dso_9.f01", [1.0])], 0)
    assessor.hear([report("dso_1.f01", [1.0, 1.0, 1.0], topic="goal")], 0)
    assert np.isnan(errors(assessor, np.ones(5))["age_s"]).all()


def test_continues_from_a_kept_state():
    first, second = Assessor(BELIEF), Assessor(BELIEF)
    first.hear([report("dso_1.f01", [1.0, 1.0, 1.0])], 0)
    second.set_state(first.get_state())
    first.hear([report("dso_1.f01", [2.0, 2.0, 2.0])], 0)
    assert errors(second, np.ones(5))["v_max_err_pu"][0] == 0.0


def test_many_feeders_at_once_give_what_each_gives_alone():
    rng = np.random.default_rng(3)
    sizes = [40, 1, 17, 230]
    ends = np.cumsum(sizes).tolist()
    places = {f"f{k}": ("dso_1", slice(end - n, end)) for k, (end, n) in enumerate(zip(ends, sizes, strict=True))}
    truth, noise = rng.uniform(0.95, 1.05, ends[-1]), rng.normal(0, 0.01, ends[-1])
    truth[3] = np.nan
    assessor = Assessor(places)
    for name in ("f0", "f1", "f3"):
        assessor.hear([report(name, (np.nan_to_num(truth, nan=1.0) + noise)[places[name][1]])], 0)
    found = errors(assessor, truth)
    for k, name in enumerate(places):
        here = places[name][1]
        error = (np.nan_to_num(truth, nan=1.0) + noise)[here] - truth[here]
        error = error[np.isfinite(error)]
        if name == "f2":
            assert np.isnan(found["v_rmse_pu"][k])
            continue
        alone = Assessor({name: places[name]})
        alone.hear([report(name, (np.nan_to_num(truth, nan=1.0) + noise)[here])], 0)
        assert found["v_rmse_pu"][k] == errors(alone, truth)["v_rmse_pu"][0]
        assert found["v_rmse_pu"][k] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-14)
        assert found["v_max_err_pu"][k] == np.abs(error).max()


def test_of_several_estimates_heard_at_once_the_later_counts():
    assessor = Assessor(BELIEF)
    assessor.hear([report("dso_1.f01", [1.1, 1.0, np.nan]), report("dso_1.f02", [0.9, 0.9]),
                   report("dso_1.f01", [1.02, np.nan, np.nan])], 0)  # fmt: skip
    found = errors(assessor, np.ones(5))
    assert found["v_max_err_pu"] == pytest.approx([0.02, 0.1])
    assert found["v_rmse_pu"] == pytest.approx([0.02 / np.sqrt(2), 0.1])


@pytest.mark.parametrize("values", [
    {"v_pu": np.ones(4)}, {"v_pu": np.ones(2)}, {"v_pu": np.ones(1), "node": [3]}, {"v_pu": np.ones(1), "node": [-1]},
    {"v_pu": np.ones(2), "node": [1]},
])  # fmt: skip
def test_an_estimate_of_nodes_that_are_not_there_is_refused(values):
    assessor = Assessor(BELIEF)
    with pytest.raises(ValueError, match="an estimate has other voltages than nodes"):
        assessor.hear([Message("dms", "logbook", "estimate", {"feeder": "dso_1.f01", **values})], 0)
