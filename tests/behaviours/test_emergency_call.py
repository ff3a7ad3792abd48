"""While nothing is transferred the TSO rings up, and the operator on duty relieves the interface by hand."""

import numpy as np
import pytest

SMALL_TRANSFORMER_MVA = 30
STANDS_MIN = 10


@pytest.fixture(scope="module")
def called(tmp_path_factory):
    """Run twenty-four minutes of noon in which the PV below one interface overloads its transformer; each once."""
    from pathlib import Path

    from results.runfile import Run
    from scenarios.load import load
    from scenarios.run import run_pairing

    kept = {}
    small = Path(__file__).parents[1] / "scenarios" / "data" / "small.yaml"
    folder = tmp_path_factory.mktemp("called")
    path = folder / "narrow.yaml"
    path.write_text(small.read_text().replace("sn_mva: 150", f"sn_mva: {SMALL_TRANSFORMER_MVA}"))

    def go(*pairing):
        if pairing not in kept:
            scenario = load(path, None, {"time.duration": "24 min", "disturbances": []})
            kept[pairing] = Run(run_pairing(scenario, *pairing, folder / f"{pairing}"))
        return kept[pairing]

    yield go
    for run in kept.values():
        run.close()


def loading(run):
    return run.values("interface", "loading_percent")[:, list(run.labels("interface")).index("dso_1.i1")]


def request(run):
    """Sent and arrived [ms] and hops of the call about that interface."""
    mail = run.messages
    mine = np.flatnonzero((mail.topic.values == "request") & (mail.receiver.values == "dso_1.operator"))
    return [(float(mail.sent_ms[k]), float(mail.arrived_ms[k]), int(mail.hops[k])) for k in mine]


def test_the_tso_rings_once_the_overload_has_stood_and_the_call_takes_its_time(called):
    (sent_ms, arrived_ms, hops), = request(called("local", 1))
    assert sent_ms >= STANDS_MIN * 60_000
    assert hops == 1, "from one telephone to the other"
    assert arrived_ms - sent_ms > 30_000, "people talk for minutes, not milliseconds"


@pytest.mark.parametrize("pairing", [("local", 1), ("centralized", 2)], ids=lambda p: f"{p[0]}-{p[1]}")
def test_the_operator_relieves_it_under_the_duty_of_the_table(called, acts, pairing):
    run = called(*pairing)
    mine = [a for a in acts(run) if a[1] == "dso_1.operator"]
    assert mine
    assert {(a[2], a[7]) for a in mine} == {("manage_congestion", "")}
    assert all(a[3].startswith("dso_1.") for a in mine)
    arrived_ms = request(run)[0][1]
    assert min(a[0] for a in mine) >= arrived_ms
    told = run.alarms
    assert [(str(a), str(b)) for a, b in zip(told.source.values, told.kind.values, strict=True)
            if b == "request"] == [("dso_1.operator", "request")]
    percent, row = loading(run), int(arrived_ms // 60_000)
    assert percent[row] > 100.0
    assert (percent[row + 2 :] < 100.0).all()


def test_the_tso_itself_moves_no_device(called, acts):
    run = called("local", 1)
    assert not [a for a in acts(run) if a[1] == "tso" and not a[3].startswith("gen.")]


def test_where_the_duty_is_transferred_nobody_rings(called):
    assert not request(called("centralized", 3))
