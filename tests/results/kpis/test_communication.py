from collections.abc import Callable

import numpy as np
import pytest

from results.kpis import communication
from results.runfile import Run


def test_messages_latency_and_losses(make_run: Callable[..., Run]) -> None:
    # fates: delivered, duplicate, replayed, lost, link_down (see the fixture)
    fate = np.array([0, 0, 0, 0, 0, 1, 2, 3, 4, 4])
    arrived = np.array([10.0, 20, 30, 40, 100, 500, 500, np.nan, np.nan, np.nan])
    run = make_run({"bus": {"vm_pu": [1.0]}}, messages={
        "sent_ms": np.zeros(10), "arrived_ms": arrived, "size_bytes": np.full(10, 250_000), "fate": fate,
    })  # fmt: skip
    assert communication.messages(run) == 8  # a copy and a replay are none of their own
    assert communication.megabytes(run) == pytest.approx(2.5)
    assert communication.median_latency_ms(run) == 30.0
    assert communication.p95_latency_ms(run) == pytest.approx(40 + 0.8 * 60)
    assert communication.lost(run) == 3
    assert communication.lost_share(run) == pytest.approx(3 / 8)


def test_age_and_error_of_what_is_known(make_run: Callable[..., Run]) -> None:
    run = make_run({"estimate": {"age_s": [[2, 10], [4, np.nan]], "v_max_err_pu": [[0.01, 0.03], [0.02, np.nan]]}})
    assert communication.mean_age_s(run) == pytest.approx(16 / 3)
    assert communication.worst_estimate_pu(run) == pytest.approx(0.03)


def test_no_network_gives_nan_and_a_silent_one_zero(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": [1.0]}})
    functions = (communication.messages, communication.megabytes, communication.lost, communication.lost_share,
                 communication.median_latency_ms, communication.mean_age_s,
                 communication.worst_estimate_pu)  # fmt: skip
    assert np.isnan([f(run) for f in functions]).all()
    none = {k: np.zeros(0) for k in ("sent_ms", "arrived_ms")} | {k: np.zeros(0, int) for k in ("size_bytes", "fate")}
    silent = make_run({"bus": {"vm_pu": [1.0]}}, messages=none)
    assert communication.messages(silent) == 0
    assert np.isnan(communication.lost_share(silent))


def test_age_of_information_at_each_decision(make_run: Callable[..., Run]) -> None:
    """A source of which nothing has come yet does not count; what was overtaken, or lost, makes nothing younger."""
    rows = [  # sender, receiver, topic, sent, arrived, fate: site b hears a and c, and gives orders to a
        (0, 1, 1, 0, 10.0, 0), (2, 1, 1, 0, 50_000.0, 0), (0, 1, 1, 60_000, 60_020.0, 0),
        (0, 1, 1, 30_000, 80_000.0, 0), (0, 1, 1, 85_000, np.nan, 3), (0, 1, 0, 85_000, 85_001.0, 0),
        (1, 0, 2, 30_000, 30_010.0, 0), (1, 0, 2, 30_000, 30_020.0, 0), (1, 0, 2, 60_010, 60_030.0, 0),
        (1, 0, 2, 90_000, 90_010.0, 3), (2, 0, 2, 90_000, 90_010.0, 0),
    ]  # fmt: skip
    names = ("sender", "receiver", "topic", "sent_ms", "arrived_ms", "fate")
    columns = {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    run = make_run({"bus": {"vm_pu": [1.0]}}, messages=columns | {"size_bytes": np.full(len(rows), 100)})
    _, at_s, age_s = communication.decision_ages(run)
    assert at_s.tolist() == [30.0, 60.01, 90.0, 90.0]
    assert age_s[:3] == pytest.approx([30.0, 60.01, (30 + 90) / 2])
    assert np.isnan(age_s[3])  # c has never heard anything
    assert communication.decision_age_s(run) == pytest.approx((30 + 60.01 + 60) / 3)


def test_without_orders_or_without_a_network_there_is_no_age(make_run: Callable[..., Run]) -> None:
    assert np.isnan(communication.decision_age_s(make_run({"bus": {"vm_pu": [1.0]}})))
    one = {"sent_ms": np.zeros(1), "arrived_ms": np.ones(1), "size_bytes": np.ones(1, int), "fate": np.zeros(1, int)}
    assert np.isnan(communication.decision_age_s(make_run({"bus": {"vm_pu": [1.0]}}, messages=one)))
