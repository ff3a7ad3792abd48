from pathlib import Path

import numpy as np
import pytest

from results.layout import Kind, Quantity, action_table, alarm_table, goal_table, message_table
from results.recorder import Recorder, RunWriter, Tap
from results.runfile import Run
from sims.core.errors import ModelError
from sims.core.harness import Harness
from sims.core.message import Message
from sims.core.orders import Action
from sims.core.ports import Inputs, Ports, Step

VM, P = Quantity("vm_pu", "1", "voltage"), Quantity("p_mw", "MW", "power")


@pytest.fixture
def writer(tmp_path: Path) -> RunWriter:
    return RunWriter(
        tmp_path / "r.h5", attrs={"title": "t"}, start_iso="2026-01-01",
        kinds=[Kind("bus", ["a", "b", "c"], [VM], every_ms=60_000), Kind("feeder", ["f", "g"], [P], every_ms=120_000)],
        events=[
            action_table({"actor": ["dms"]}), alarm_table({"kind": ["v"]}),
            message_table(["x", "y"], ["t"], ["delivered"]), goal_table({"quantity": ["p_mw"]}),
                ],
    )  # fmt: skip


TAPS = [
    Tap("vm", "bus", "vm_pu", {"north": np.array([2, 0]), "south": np.array([1])}),
    Tap("p", "feeder", "p_mw", {"north": None}),
]


def test_rows_are_gathered_from_their_sources_at_their_own_pace(writer: RunWriter) -> None:
    seen: list[int] = []
    recorder = Recorder(writer, TAPS, progress=seen.append)
    assert recorder.ports.reads == ("vm", "p", "acts", "log", "fine")
    for k in range(4):
        inputs = {
            "vm": {"north": np.array([1.0, 2.0]) + k, "south": np.array([9.0])},
            "p": {"north": np.array([5.0, 6.0]) * k},
        }
        assert recorder.step(k * 60_000, inputs).next_ms == (k + 1) * 60_000
    recorder.finish()
    writer.close()
    with Run(writer.path) as run:
        np.testing.assert_array_equal(run.values("bus", "vm_pu"), [[2 + k, 9, 1 + k] for k in range(4)])
        np.testing.assert_array_equal(run.seconds("feeder"), [0, 120])
        np.testing.assert_array_equal(run.values("feeder", "p_mw"), [[0, 0], [10, 12]])
    assert seen == [0, 60_000, 120_000, 180_000]


def test_a_source_that_has_said_nothing_leaves_a_gap(writer: RunWriter) -> None:
    recorder = Recorder(writer, TAPS)
    recorder.step(0, {"vm": {"south": np.array([9.0])}})
    recorder.finish()
    writer.close()
    with Run(writer.path) as run:
        np.testing.assert_array_equal(run.values("bus", "vm_pu"), [[np.nan, 9, np.nan]])
        assert np.isnan(run.values("feeder", "p_mw")).all()


def test_stepped_twice_at_an_instant_the_later_values_count(writer: RunWriter) -> None:
    recorder = Recorder(writer, TAPS)
    for value in (1.0, 3.0):
        recorder.step(0, {"vm": {"south": np.array([value])}})
    recorder.step(30_000, {"vm": {"south": np.array([7.0])}})  # an event came between two rows
    recorder.finish()
    writer.close()
    with Run(writer.path) as run:
        assert run.seconds("bus").tolist() == [0]
        assert run.values("bus", "vm_pu")[0, 1] == 3.0


def test_events_are_kept_as_they_come(writer: RunWriter) -> None:
    recorder = Recorder(writer, TAPS)
    assert recorder.ports.hears == ("actions", "alarms", "reports")
    batch = {
        "sender": np.array([0, 1]), "receiver": np.array([1, 0]), "topic": np.array([0, 0]),
        "sent_ms": np.array([1.0, 2.0]),
        "arrived_ms": np.array([4.0, np.nan]), "size_bytes": np.array([85, 85]), "hops": np.array([2, 1], np.int16),
        "fate": np.array([0, 0], np.int8),
    }  # fmt: skip
    recorder.step(1_500, {
        "actions": {"host": [Action(1_500, "dms", "observe", "f", "p_max_mw", 2.0, 4, "no")]},
        "alarms": {"dso": [(1_500, "f", "v", "too high", 1.12), {"text": "plain"}]},
        "reports": {"host": [
            Message("dms", "logbook", "goal", {"duty": "observe", "feeder": "f1", "p_mw": 1.5, "n": np.array([2])}),
            Message("dms", "logbook", "estimate", {"feeder": "f1", "v_pu": np.ones(3)}),
            Message("a0", "logbook", "state", {"p_mw": 0.25, "v_pu": np.ones(3), "step": "open"}),
        ]},
        "acts": {"der": (Action(0, "dms", "observe", "f", "q", 9.0),)},
        "log": {"net": batch},
    })  # fmt: skip
    acts = {
        "south": (Action(50_000, "dms", "observe", "s", "q", 1.0),),
        "north": (Action(40_000, "dms", "observe", "n", "q", 1.0),),
    }
    for _ in range(2):  # what is new at a tick is taken once, however often the tick is stepped
        recorder.step(60_000, {"acts": acts, "log": {"net": batch}})
    recorder.finish(log={k: v[:1] for k, v in batch.items()})
    writer.close()
    with Run(writer.path) as run:
        assert list(run.actions.asset.values) == ["f", "n", "s"]
        assert run.actions.refused.values[0] == "no"
        assert run.actions["count"].values[0] == 4
        assert list(run.alarms.text.values) == ["too high", "plain"]
        assert list(run.alarms.t_ms.values) == [1_500, 1_500]  # when it came, where it does not say
        assert run.alarms.value.values[0] == 1.12
        assert np.isnan(run.alarms.value.values[1])
        table = run.events("goals")
        told = zip(*(table[c].values.tolist() for c in ("t_ms", "source", "about", "quantity", "value")), strict=True)
        assert list(told) == [
            (1_500, "dms", "f1", "p_mw", 1.5), (1_500, "dms", "f1", "n", 2.0), (1_500, "a0", "", "p_mw", 0.25),
        ]
        assert list(run.messages.sender.values) == ["x", "y", "x"]
        assert run.messages.arrived_ms.values[0] == 4.0


def batch_of(*sent_ms: float) -> dict[str, object]:
    n = len(sent_ms)
    codes = np.zeros(n, int)
    return {
        "sender": codes, "receiver": codes + 1, "topic": codes, "sent_ms": np.array(sent_ms),
        "arrived_ms": np.array(sent_ms) + 3.0, "size_bytes": codes + 85, "hops": np.ones(n, np.int16),
        "fate": np.zeros(n, np.int8),
    }  # fmt: skip


def test_news_of_a_grid_tick_is_taken_once_however_often_it_is_read(writer: RunWriter) -> None:
    recorder = Recorder(writer, TAPS, step_ms=60_000)

    def news(k: int) -> dict[str, object]:
        act = Action(k * 60_000, "dms", "observe", "f", "q", float(k))
        return {"acts": {"north": (act,), "south": ()}, "log": {"net": batch_of(*[k * 60_000.0] * k)}}

    for k in range(3):
        recorder.step(k * 60_000, news(k))
        recorder.step(k * 60_000, news(k))  # a second step at the tick
        recorder.step(k * 60_000 + 30_000, news(k))  # and one between: the ports still hold the same
    recorder.finish(batch_of(150_000.0))
    writer.close()
    with Run(writer.path) as run:
        assert run.column("actions", "t_ms").tolist() == [0, 60_000, 120_000]
        assert run.column("messages", "sent_ms").tolist() == [60_000, 120_000, 120_000, 150_000]


def test_an_array_of_the_wrong_length_is_named(writer: RunWriter) -> None:
    recorder = Recorder(writer, TAPS)
    with writer, pytest.raises(ModelError, match=r"port 'vm' of north has shape \(3,\); bus.vm_pu takes 2 values"):
        recorder.step(0, {"vm": {"north": np.ones(3)}})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, r"has shape \(\); bus.vm_pu takes 2 values"),
        (np.ones((2, 2)), r"has shape \(2, 2\); bus.vm_pu takes 2 values"),
        (np.array(["a", "b"]), r"has shape \(2,\) of type <U1; bus.vm_pu takes 2 values"),
    ],
)
def test_what_is_no_row_of_numbers_is_named(writer: RunWriter, value: object, text: str) -> None:
    recorder = Recorder(writer, TAPS)
    with writer, pytest.raises(ModelError, match="port 'vm' of north " + text):
        recorder.step(0, {"vm": {"south": np.ones(1), "north": {"vm_pu": value}}})


def test_a_port_may_carry_some_of_its_quantities(tmp_path: Path) -> None:
    taps = [Tap("state", "bus", q, {"north": np.array([0, 2])}) for q in ("vm_pu", "p_mw")]
    kinds = [Kind("bus", ["a", "b", "c"], [VM, P])]
    with RunWriter(tmp_path / "r.h5", attrs={"title": "t"}, start_iso="2026-01-01", kinds=kinds) as writer:
        recorder = Recorder(writer, taps)
        recorder.step(0, {"state": {"north": {"p_mw": np.array([4.0, 5.0])}}})
        recorder.step(60_000, {"state": {"north": {"vm_pu": np.array([1, 2], np.float32), "p_mw": np.zeros(2)}}})
        recorder.finish()
    with Run(tmp_path / "r.h5") as run:
        nan = np.nan
        np.testing.assert_array_equal(run.values("bus", "vm_pu"), [[nan, nan, nan], [1, nan, 2]])
        np.testing.assert_array_equal(run.values("bus", "p_mw"), [[4, nan, 5], [0, nan, 0]])


@pytest.mark.parametrize(
    ("tap", "text"),
    [
        (Tap("vm", "node", "vm_pu", {}), "no kind 'node'"),
        (Tap("vm", "bus", "va_deg", {}), "no quantity 'va_deg'"),
        (Tap("vm", "bus", "vm_pu", {"n": np.array([3])}), "indices of 'n' leave the 3 labels of 'bus'"),
    ],
)
def test_a_tap_that_leads_nowhere_is_refused(writer: RunWriter, tap: Tap, text: str) -> None:
    with writer, pytest.raises(ModelError, match=text):
        Recorder(writer, [tap])


class Source:
    """Writes its step number; on every third it tells an act, and it holds one of each grid tick."""

    ports = Ports(writes=("vm", "acts"), tells=("actions",))

    def step(self, now_ms: int, inputs: Inputs) -> Step:
        k = now_ms // 20_000
        out: dict[str, object] = {"vm": np.full(3, float(k))}
        if k % 3 == 1:
            out["actions"] = [Action(now_ms, "dms", "observe", "f", "q", float(k))]
        if k % 3 == 0:
            out["acts"] = (Action(now_ms, "dms", "observe", "f", "q", float(k)),)
        return Step(now_ms + 20_000, out)

    def get_state(self) -> dict[str, object]:
        return {}

    def set_state(self, state: dict[str, object]) -> None:
        pass


def test_in_a_world_it_sees_state_at_its_pace_and_every_event_once(writer: RunWriter) -> None:
    recorder = Recorder(writer, [Tap("vm", "bus", "vm_pu", {"source": None})], hears=("actions",))
    with Harness() as world:
        world.add("source", Source())
        world.add("recorder", recorder)
        world.connect("source", "vm", "recorder")
        world.connect("source", "actions", "recorder")
        world.connect("source", "acts", "recorder")
        world.run(300_000)
    recorder.finish()
    writer.close()
    with Run(writer.path) as run:
        np.testing.assert_array_equal(run.values("bus", "vm_pu")[:, 0], [0, 3, 6, 9, 12])
        assert run.column("actions", "t_ms").tolist() == [
            0, 20_000, 60_000, 80_000, 120_000, 140_000, 180_000, 200_000, 240_000, 260_000,
        ]  # fmt: skip


def test_it_goes_on_from_its_state_with_the_row_it_still_holds(writer: RunWriter) -> None:
    first, second = Recorder(writer, TAPS), Recorder(writer, TAPS)
    first.step(0, {"vm": {"south": np.array([1.0])}})
    first.step(60_000, {"vm": {"south": np.array([2.0])}})
    second.set_state(first.get_state())
    second.step(60_000, {"vm": {"south": np.array([3.0])}})  # the same instant once more: the later values count
    second.finish()
    writer.close("complete")
    with Run(writer.path) as run:
        assert run.seconds("bus").tolist() == [0.0, 60.0]
        assert np.nanmax(run.values("bus", "vm_pu"), axis=1).tolist() == [1.0, 3.0]


def test_what_is_estimated_is_held_against_the_truth_and_goes_on_from_its_state(tmp_path: Path) -> None:
    from results.estimates import Assessor

    errors = [Quantity(name, "1", "error") for name in ("v_rmse_pu", "v_max_err_pu", "age_s")]

    def recorder(name: str) -> Recorder:
        writer = RunWriter(
            tmp_path / f"{name}.h5", attrs={"title": "t"}, start_iso="2026-01-01",
            kinds=[Kind("bus", ["a", "b"], [VM], every_ms=60_000), Kind("estimate", ["f"], errors, every_ms=60_000),
                   Kind("cell_fine", ["c"], [Quantity("f_hz", "Hz", "frequency")], every_ms=100)],
        )  # fmt: skip
        sources = (("bus", {"north": np.array([0])}), ("more", {"south": np.array([1])}))
        taps = [Tap(port, "bus", "vm_pu", source) for port, source in sources]
        return Recorder(writer, taps, assessor=Assessor({"f": ("north", slice(0, 1))}))

    truth = {"bus": {"north": {"vm_pu": np.array([1.0])}}, "more": {"south": np.array([0.9])}}
    told = {"reports": {"host": [Message("dms", "logbook", "estimate", {"feeder": "f", "v_pu": np.array([1.02])})]}}
    first, second = recorder("first"), recorder("second")
    first.step(0, truth | told)
    second.set_state(first.get_state())
    second.step(60_000, truth)
    second.finish(fine=[(60_100, {"cell_fine": {"f_hz": np.array([49.9])}, "gen_fine": {"f_hz": np.array([50.0])}})])
    for each in (first, second):
        each.writer.close()
    with Run(second.writer.path) as run:
        assert run.values("bus", "vm_pu").tolist() == [[1.0, np.float32(0.9)]] * 2
        assert run.values("estimate", "v_max_err_pu")[:, 0] == pytest.approx([0.02, 0.02])
        assert run.values("estimate", "age_s")[:, 0].tolist() == [0.0, 60.0]
        assert run.values("cell_fine", "f_hz").tolist() == [[np.float32(49.9)]]
