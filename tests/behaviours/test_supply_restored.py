"""A faulted line is located, isolated and bypassed by whoever holds the duty; a lost indicator costs supply."""

import pytest

from results.kpis.table import compute

FAULT = {"at": "13:03", "kind": "line_fault", "feeder": "dso_1.f01", "line": 2}
LOST = {"at": "13:01", "kind": "drop", "node": "dso_1.f01.s3", "topic": "fault_indicator", "duration": "10 min"}
"""The indicator of the faulted line itself; without it the fault seems to lie one line nearer to the busbar."""
HOLDERS = {
    ("local", 2): "dso_1.crew", ("centralized", 1): "dso_1.crew", ("distributed", 1): "dso_1.crew",
    ("centralized", 2): "dso_1.dms", ("distributed", 2): "dso_1.f01.a0",
}


@pytest.fixture(scope="module")
def struck(tmp_path_factory):
    """Run eighteen minutes with the fault under a pairing, with and without the indicator's message; each once."""
    from pathlib import Path

    from results.runfile import Run
    from scenarios.load import load
    from scenarios.run import run_pairing

    small = Path(__file__).parents[1] / "scenarios" / "data" / "small.yaml"
    kept = {}

    def go(pairing, lost):
        if (pairing, lost) not in kept:
            given = {
                "time.duration": "18 min", "disturbances": [FAULT, LOST] if lost else [FAULT],
                "control.restore_supply.crew_delay": "9 min",
            }
            out = tmp_path_factory.mktemp("struck")
            kept[pairing, lost] = Run(run_pairing(load(small, None, given), *pairing, out))
        return kept[pairing, lost]

    yield go
    for run in kept.values():
        run.close()


def dark(run):
    """Customers of the struck feeder without supply, by row."""
    return run.values("feeder", "customers_out")[:, list(run.labels("feeder")).index("dso_1.f01")]


@pytest.mark.parametrize("pairing", HOLDERS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_whoever_holds_the_duty_brings_supply_back(struck, acts, pairing):
    run = struck(pairing, False)
    switching = [a for a in acts(run) if a[2] == "restore_supply"]
    assert switching[0][1] == HOLDERS[pairing]
    # Word reaches the crew by telephone: it may arrive and find that all is done.
    assert {a[1] for a in switching} <= {HOLDERS[pairing], "dso_1.crew"}
    assert not any(a[7] for a in switching)
    out = dark(run)
    assert out.max() > 0
    assert out[-1] < out.max()


def test_saidi_differs_by_who_restores_and_how_fast(struck):
    saidi = {pairing: compute(struck(pairing, False))["saidi_min"] for pairing in HOLDERS}
    # By hand it takes the drive; where a drive is all there is, it matters little who else would know.
    assert saidi["local", 2] == pytest.approx(saidi["centralized", 1]) == pytest.approx(saidi["distributed", 1])
    for remote in (("centralized", 2), ("distributed", 2)):
        assert 0 < saidi[remote] < 0.8 * saidi["local", 2]


@pytest.mark.parametrize("pairing", [("centralized", 2), ("distributed", 2)], ids=lambda p: f"{p[0]}-{p[1]}")
def test_a_lost_indicator_makes_the_fault_trip_again_and_saidi_rise(struck, pairing):
    whole, blind = struck(pairing, False), struck(pairing, True)
    trips = [int((run.texts("messages", "topic") == "fault").sum()) for run in (whole, blind)]
    assert trips == [1, 2], "the tie is closed onto the fault"
    assert "attacked" in blind.texts("messages", "fate")[blind.texts("messages", "topic") == "fault_indicator"]
    assert compute(blind)["saidi_min"] > 1.5 * compute(whole)["saidi_min"]
    assert compute(blind)["ens_mwh"] > compute(whole)["ens_mwh"]


def test_the_crew_reads_the_indicators_on_site_and_needs_no_message(struck):
    pairing = ("local", 2)
    assert compute(struck(pairing, True))["saidi_min"] == compute(struck(pairing, False))["saidi_min"]
