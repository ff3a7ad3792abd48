"""What leaves gridseam for others to look at, and who may come in."""

import inspect
import socket

import pytest

NAME = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def test_names_in_a_scenario_stay_text_in_report_and_page(home, root):
    from gridseam.study import compare
    from scenarios.load import load

    text = (root / "tests/scenarios/data/small.yaml").read_text()
    text = text.replace("title: Three", f"description: '{NAME}'\ntitle: '{NAME}' # Three")
    (home / "a.yaml").write_text(text)
    scenario = load(home / "a.yaml", "twenty_minutes", {"time.duration": "3 min", "disturbances": []})
    study = compare(scenario, architecture=["local"], stage=[1, 2], out=home / "out", workers=1)
    assert not study.failed
    pages = sorted((home / "out").rglob("*.html"))
    assert len(pages) == 3
    for page in pages:
        written = page.read_text(encoding="utf-8")
        assert "<script>alert" not in written
        assert "<img src=x" not in written
    assert "&lt;script&gt;alert(1)" in study.report.read_text(encoding="utf-8")


def test_modbus_listens_at_this_machine_alone_unless_told(monkeypatch):
    pytest.importorskip("pymodbus")
    from gridseam.field_commands import serve_rtu
    from scenarios.field import replay, serve_run
    from sims.comms.modbus import FieldServer

    for function in (FieldServer.__init__, serve_run, replay, serve_rtu):
        assert inspect.signature(function).parameters["bind"].default == "127.0.0.1"
    bound = []
    listen = socket.socket.bind
    monkeypatch.setattr(socket.socket, "bind", lambda self, where: (bound.append(where[0]), listen(self, where))[1])

    class Unit:
        def blocks(self):
            return {3: [(0, [1, 2])]}

        def write(self, table, at, values):
            return 1

    with FieldServer({"north": [Unit()]}, port=0) as server:
        assert server.ports["north"] > 0
        with socket.create_connection(("127.0.0.1", server.ports["north"]), timeout=5):
            pass
    assert set(bound) == {"127.0.0.1"}
