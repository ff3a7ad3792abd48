import shutil
import socket
import struct
import subprocess
from collections import deque

import numpy as np
import pytest

from sims.comms.field import NODES, Bench, DerUnit, FeederUnit
from sims.comms.modbus import FieldServer
from sims.comms.sunspec import BASE, PLACE, DerMap
from sims.core.errors import ScenarioError

client_of = pytest.importorskip("pymodbus.client", reason="the extra 'modbus' is not installed")


ENDS = np.array([[0] * 20, [1] * 19 + [2]])
CLOSED = np.arange(20) != 2


def authorize(actor, duty, asset, now_ms):
    return None if duty == "manage_congestion" or actor == "chief" else f"{duty} is not {actor}'s"


@pytest.fixture
def bench():
    return Bench(lambda feeder: "dso_1.dms", authorize, deque(), deque(), [60_000])


@pytest.fixture
def units(bench):
    feeder = FeederUnit(bench, "dso_1.f01", 3, np.array([7, 8, 9, *range(20, 37)]), ENDS, np.array([0]))
    feeder.update(
        120_000, {"p_mw": -1.25, "q_mvar": 0.5, "f_hz": 49.97}, np.array([1.0, 1.01, np.nan]),
        np.array([10.0, 20.0, np.nan, *[5.0] * 17]), CLOSED, np.array([-2.0]), np.array([1.02]),
    )  # fmt: skip
    maps = DerMap(["pv.1"], ["pv"], np.array([0.4]), np.array([0.44]), np.array([0.4]))
    maps.update(np.array([0.3]), np.array([0.0]), np.array([1.01]), np.array([50.0]), np.array([0.3]))
    return [feeder, DerUnit(bench, maps, 0, 41, "dso_1.f01", "dso_1.f01.s7")]


@pytest.fixture
def server(units):
    with FieldServer({"dso_1.f01": units}, port=0) as running:
        yield running


@pytest.fixture
def client(server):
    with client_of.ModbusTcpClient("127.0.0.1", port=server.ports["dso_1.f01"]) as connected:
        yield connected


def floats(registers):
    return list(struct.unpack(f">{len(registers) // 2}f", struct.pack(f">{len(registers)}H", *registers)))


def test_a_feeder_s_points_are_read_as_floats(client):
    found = client.read_input_registers(0, count=8, device_id=1).registers
    assert found[0] << 16 | found[1] == 120_000
    assert floats(found[2:]) == pytest.approx([-1.25, 0.5, 49.97])
    volts = floats(client.read_input_registers(NODES, count=6, device_id=1).registers)
    assert volts[:2] == pytest.approx([1.0, 1.01])
    assert np.isnan(volts[2])
    assert floats(client.read_holding_registers(0, count=2, device_id=1).registers) == pytest.approx([1.02])


def test_switches_are_coils_and_voltage_is_a_discrete_input(client):
    assert client.read_coils(0, count=20, device_id=1).bits[:20] == [True, True, False] + [True] * 17
    # line 2 is open, the far end of line 19 is dark
    live = client.read_discrete_inputs(0, count=20, device_id=1).bits[:20]
    assert [k for k, on in enumerate(live) if not on] == [2, 19]


def test_new_values_are_seen_at_the_next_read(client, units):
    units[0].update(
        120_060, {"p_mw": 2.5}, np.ones(3), np.ones(20), ~np.ones(20, bool), np.array([1.0]), np.array([1.0])
    )  # fmt: skip
    found = client.read_input_registers(0, count=4, device_id=1).registers
    assert found[0] << 16 | found[1] == 120_060
    assert floats(found[2:]) == [2.5]
    assert not any(client.read_coils(0, count=20, device_id=1).bits[:20])


def test_a_client_finds_the_device_the_way_sunspec_says(client):
    assert client.read_holding_registers(BASE, count=2, device_id=2).registers == [0x5375, 0x6E53]
    at, found = BASE + 2, []
    while True:
        model, length = client.read_holding_registers(at, count=2, device_id=2).registers
        if model == 0xFFFF:
            break
        found.append(model)
        at += 2 + length
    assert found == [1, 103, 701, 702, 703, 704]
    watts = client.read_holding_registers(BASE + PLACE[701, "W"], count=1, device_id=2).registers[0]
    scale = client.read_holding_registers(BASE + PLACE[701, "W_SF"], count=1, device_id=2).registers[0]
    assert watts * 10**scale == pytest.approx(300_000, rel=1e-3)


def test_a_write_becomes_an_order_and_reads_back(client, bench):
    at = BASE + PLACE[704, "WMaxLimPctEna"]
    assert not client.write_registers(at, [1, 500], device_id=2).isError()
    assert client.read_holding_registers(at, count=2, device_id=2).registers == [1, 500]
    (order,) = bench.orders
    assert (order.sender, order.receiver, order.topic) == ("dso_1.dms", "dso_1.f01.s7", "command/manage_congestion")
    assert order.values["device"].tolist() == [41]
    assert order.values["p_max_mw"].tolist() == pytest.approx([0.2])


def test_a_write_that_is_not_the_client_s_to_make_is_refused_and_written_down(client, bench):
    assert client.write_coil(1, False, device_id=1).exception_code == 1
    assert client.read_coils(0, count=2, device_id=1).bits[:2] == [True, True]
    (act,) = bench.refused
    assert (act.actor, act.duty, act.asset, act.quantity) == ("dso_1.dms", "restore_supply", "dso_1.f01", "closed")
    assert act.refused == "restore_supply is not dso_1.dms's"
    assert not bench.orders


def test_switching_and_voltage_orders_of_who_may(units, client, bench):
    object.__setattr__(bench, "actor", lambda feeder: "chief")
    assert not client.write_coils(1, [False, True], device_id=1).isError()
    words = list(struct.unpack(">2H", struct.pack(">f", 1.03)))
    assert not client.write_registers(0, words, device_id=1).isError()
    switch, volt = bench.orders
    assert (switch.values["line"].tolist(), switch.values["closed"].tolist()) == ([8, 9], [0.0, 1.0])
    assert volt.values["trafo"].tolist() == [0]
    assert volt.values["v_set_pu"].tolist() == pytest.approx([1.03])


def test_what_a_client_does_wrong(client, bench):
    object.__setattr__(bench, "actor", lambda feeder: "chief")
    assert client.read_input_registers(500, count=2, device_id=1).exception_code == 2
    assert client.read_holding_registers(0, count=2, device_id=2).exception_code == 2
    assert client.write_register(BASE + PLACE[701, "W"], 1, device_id=2).exception_code == 2
    assert client.write_registers(BASE + PLACE[704, "WMaxLimPctEna"], [1, 2000], device_id=2).exception_code == 3
    assert client.write_register(0, 1, device_id=1).exception_code == 2
    assert client.write_registers(0, [0, 0], device_id=1).exception_code == 3
    assert client.write_coils(19, [True, True], device_id=1).isError()
    assert client.read_input_registers(0, count=2, device_id=9).isError()
    assert not bench.orders


def test_it_listens_on_this_machine_only_unless_told_otherwise(server):
    own = socket.gethostbyname(socket.gethostname())
    if own.startswith("127."):
        pytest.skip("this machine has no address but its own")
    with pytest.raises(ConnectionError), socket.create_connection((own, server.ports["dso_1.f01"]), timeout=1):
        pass


def test_a_port_that_is_taken_is_named(server, units):
    port = server.ports["dso_1.f01"]
    with pytest.raises(ScenarioError, match=rf"dso_1.f02 cannot listen at 127.0.0.1:{port}"), \
            FieldServer({"dso_1.f02": units}, port=port):  # fmt: skip
        pass


def test_too_many_units(units):
    with pytest.raises(ScenarioError, match="248 units, but a Modbus server has 247"):
        FieldServer({"f": units * 124})


@pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed (apt install mbpoll)")
def test_mbpoll_reads_and_writes(server, bench):
    def poll(*args, values=()):
        line = ["mbpoll", "-m", "tcp", "-p", str(server.ports["dso_1.f01"]), "-0", "-1", *args, "127.0.0.1", *values]
        return subprocess.run(line, capture_output=True, text=True, timeout=20, check=True).stdout

    told = poll("-a", "2", "-t", "4", "-r", str(BASE), "-c", "2")
    assert f"[{BASE}]: \t21365" in told
    assert f"[{BASE + 1}]: \t28243" in told
    told = poll("-a", "1", "-t", "3:float", "-B", "-r", "2", "-c", "1")
    assert "-1.25" in told
    poll("-a", "2", "-t", "4", "-r", str(BASE + PLACE[704, "WMaxLimPctEna"]), values=("1", "250"))
    assert bench.orders[-1].values["p_max_mw"].tolist() == pytest.approx([0.1])
