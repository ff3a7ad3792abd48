import struct

import numpy as np
import pytest

from results.runfile import Run
from scenarios.field import replay, serve_run
from scenarios.load import load
from scenarios.run import run_pairing
from sims.comms.field import NODES
from sims.comms.sunspec import BASE, PLACE
from sims.core.errors import ScenarioError

client_of = pytest.importorskip("pymodbus.client", reason="the extra 'modbus' is not installed")

FEEDER = "dso_1.f01"
LIMIT = BASE + PLACE[704, "WMaxLimPctEna"]


class Operator:
    """Stands where the run waits: reads and writes over Modbus at given minutes, in the run's own time."""

    def __init__(self, script):
        self.script, self.ports, self.seen = script, {}, {}

    def told(self, ports):
        self.ports = dict(ports)

    def wait(self, now_ms):
        if now_ms in self.script:
            with client_of.ModbusTcpClient("127.0.0.1", port=self.ports[FEEDER]) as client:
                self.seen[now_ms] = self.script[now_ms](client)


def floats(registers):
    return list(struct.unpack(f">{len(registers) // 2}f", struct.pack(f">{len(registers)}H", *registers)))


def watts(client, unit):
    def word(point):
        found = client.read_holding_registers(BASE + PLACE[701, point], count=1, device_id=unit).registers[0]
        return found - 65_536 if found > 32_767 else found

    return word("W") * 10.0 ** word("W_SF")


def pv_unit(client):
    """Return the first unit that says it is a PV plant."""
    at = BASE + PLACE[1, "Md"]
    return next(
        unit for unit in range(2, 248)
        if client.read_holding_registers(at, count=1, device_id=unit).registers == [0x7076]
    )


@pytest.fixture
def serve(small_path, tmp_path):
    def go(script, architecture, stage, **options):
        operator = Operator(script)
        scenario = load(small_path, None, {"time.duration": "6 min", "disturbances": []})
        path = run_pairing(
            scenario, architecture, stage, tmp_path / f"{architecture}{stage}",
            beside=lambda world, ground, table: serve_run(
                ground, table, world, operator.wait, operator.told, feeders=[FEEDER], port=0, **options
            ),
        )
        return operator, path

    return go


def outside(run):
    """Return the acts that came under the duty of congestion from the control centre."""
    acts = run.actions
    return [
        (int(t), asset, quantity, float(value), refused)
        for t, actor, duty, asset, quantity, value, refused in zip(
            *(acts[c].values.tolist() for c in ("t_ms", "actor", "duty", "asset", "quantity", "value", "refused")),
            strict=True,
        )
        if actor == "dso_1.dms" and duty in ("manage_congestion", "restore_supply")
    ]


def test_a_modbus_client_limits_a_plant_of_a_running_scenario(serve):
    script = {
        60_000: lambda c: (pv_unit(c), watts(c, pv_unit(c))),
        120_000: lambda c: c.write_registers(LIMIT, [1, 0], device_id=pv_unit(c)).isError(),
        180_000: lambda c: watts(c, pv_unit(c)),
        240_000: lambda c: (watts(c, pv_unit(c)), c.write_register(LIMIT, 0, device_id=pv_unit(c)).isError()),
        300_000: lambda c: watts(c, pv_unit(c)),
    }
    operator, path = serve(script, "centralized", 2)
    unit, before = operator.seen[60_000]
    assert unit >= 2
    assert before > 1000
    assert operator.seen[120_000] is False
    assert operator.seen[180_000] < 0.7 * before  # on its way down: a plant has a ramp
    assert operator.seen[240_000] == (pytest.approx(0.0, abs=before / 100), False)
    assert operator.seen[300_000] > 0.2 * before
    with Run(path) as run:
        acts = [row for row in outside(run) if row[0] in (180_000, 300_000) and row[1] == FEEDER]
        assert (180_000, FEEDER, "p_max_mw", 0.0, "") in acts


def test_a_feeder_s_registers_are_what_the_run_file_holds(serve):
    script = {300_000: lambda c: (
        floats(c.read_input_registers(2, count=14, device_id=1).registers),
        floats(c.read_input_registers(NODES, count=20, device_id=1).registers),
    )}  # fmt: skip
    operator, path = serve(script, "local", 1)
    points, volts = operator.seen[300_000]
    with Run(path) as run:
        row = int(np.flatnonzero(run.seconds("feeder") == 300)[0])
        at = run.labels("feeder").index(FEEDER)
        for k, name in ((0, "p_mw"), (1, "q_mvar"), (3, "vm_min_pu"), (5, "loading_max_percent")):
            assert points[k] == pytest.approx(run.values("feeder", name)[row, at], rel=1e-6), name
        own = np.flatnonzero(run.static("bus", "feeder") == FEEDER)[:10]
        assert volts == pytest.approx(run.values("bus", "vm_pu")[row, own], rel=1e-6)
        assert points[2] == pytest.approx(run.values("cell", "f_hz")[row, 0], rel=1e-6)


@pytest.mark.parametrize(("architecture", "stage"), [("local", 4), ("centralized", 1), ("distributed", 2)])
def test_a_write_meets_the_responsibility_table(serve, architecture, stage):
    script = {120_000: lambda c: c.write_registers(LIMIT, [1, 0], device_id=pv_unit(c)).exception_code}
    operator, path = serve(script, architecture, stage)
    assert operator.seen[120_000] == 1
    with Run(path) as run:
        ((t_ms, asset, quantity, _, rule),) = outside(run)
        assert (t_ms, asset, quantity) == (120_000, FEEDER, "p_max_mw")
        assert f"manage_congestion at stage {stage} is held by" in rule


def test_the_actuator_asks_the_table_again(serve, monkeypatch):
    """A server that let everything pass would still move nothing."""
    monkeypatch.setattr("scenarios.field._bench", _credulous)
    script = {
        120_000: lambda c: c.write_registers(LIMIT, [1, 0], device_id=pv_unit(c)).isError(),
        240_000: lambda c: watts(c, pv_unit(c)),
    }
    operator, path = serve(script, "centralized", 1)
    assert operator.seen[120_000] is False
    assert operator.seen[240_000] > 1000
    with Run(path) as run:
        assert [(row[0], row[1]) for row in outside(run) if row[4]] == [(180_000, FEEDER)]


def _credulous(actor, authorize):
    from collections import deque

    from sims.comms.field import Bench

    return Bench(actor, lambda *_: None, deque(), deque(), [0])


def test_a_line_is_opened_from_outside_and_its_end_goes_dark(serve):
    def switch(client):
        return client.write_coil(1, False, device_id=1).isError()

    script = {
        120_000: switch,
        240_000: lambda c: (
            c.read_coils(0, count=3, device_id=1).bits[:3], c.read_discrete_inputs(0, count=3, device_id=1).bits[:3]
        ),
    }  # fmt: skip
    operator, _ = serve(script, "centralized", 2)
    assert operator.seen[120_000] is False
    closed, live = operator.seen[240_000]
    assert closed == [True, False, True]
    assert live[0]
    assert not live[1]


def test_serving_changes_nothing_while_nobody_writes(serve, small_path, tmp_path):
    _, served = serve({}, "centralized", 2)
    scenario = load(small_path, None, {"time.duration": "6 min", "disturbances": []})
    alone = run_pairing(scenario, "centralized", 2, tmp_path / "alone")
    with Run(served) as a, Run(alone) as b:
        assert np.array_equal(a.values("bus", "vm_pu"), b.values("bus", "vm_pu"), equal_nan=True)
        assert np.array_equal(a.column("messages", "arrived_ms"), b.column("messages", "arrived_ms"), equal_nan=True)


def test_a_run_file_is_replayed_and_cannot_be_written(serve):
    _, path = serve({}, "local", 1)
    operator = Operator({
        240_000: lambda c: (
            floats(c.read_input_registers(2, count=2, device_id=1).registers)[0],
            c.write_coil(0, False, device_id=1).exception_code,
        )
    })  # fmt: skip
    replay(path, operator.wait, operator.told, feeders=[FEEDER], port=0)
    with Run(path) as run:
        row = int(np.flatnonzero(run.seconds("feeder") == 240)[0])
        told = run.values("feeder", "p_mw")[row, run.labels("feeder").index(FEEDER)]
    assert operator.seen[240_000] == (pytest.approx(told, rel=1e-6), 1)


def test_what_a_user_does_wrong(serve, tmp_path):
    with pytest.raises(ScenarioError, match=r"'dso_9\.dms' is nobody in this run"):
        serve({}, "local", 1, actor="dso_9.dms")
    _, path = serve({}, "local", 1)
    with pytest.raises(ScenarioError, match=r"there is no feeder 'dso_1\.f0l' \(did you mean dso_1"):
        replay(path, lambda now: None, lambda ports: None, feeders=["dso_1.f0l"])
