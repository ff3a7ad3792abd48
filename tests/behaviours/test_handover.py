"""A duty that changes hands within a run: who acted before, who after, and what was refused."""

import numpy as np
import pytest

from gridseam.study import run
from scenarios.load import load

FIVE, TEN = 5 * 60_000, 10 * 60_000


@pytest.fixture(scope="module")
def handed(tmp_path_factory):
    scenario = load("handover_day", overrides={
        "time.duration": "15 min",
        "handover": [
            {"at": "5 min", "duty": "support_tso_voltage", "to": "dso"},
            {"at": "10 min", "duty": "support_tso_voltage", "to": "tso"},
            {"at": "10 min", "duty": "balance_cell", "to": "dso"},
        ],
    })  # fmt: skip
    with run(scenario, architecture="centralized", stage=2, out=tmp_path_factory.mktemp("handed")) as found:
        yield found


def times(found, duty, actor, refused=False):
    acts = found.actions
    mine = (acts.duty == duty) & np.array([actor in str(a) for a in acts.actor.values])
    return acts.t_ms.values[mine.values & ((acts.refused.values != "") == refused)]


def test_the_dso_supports_the_voltage_only_while_it_holds_the_duty(handed):
    acted = times(handed, "support_tso_voltage", ".dms")
    assert acted.size
    assert acted.min() >= FIVE
    assert acted.max() < TEN + 1000  # what was under way at ten arrives as it was sent


def test_the_tso_balances_until_the_dsos_do(handed):
    assert times(handed, "balance_cell", "tso").size
    assert times(handed, "balance_cell", "tso").max() < TEN + 1000
    assert times(handed, "balance_cell", ".dms").min() >= TEN


def test_the_run_tells_of_it(handed):
    assert "support tso voltage to DSO" in handed.attrs["events_json"]
    assert "from 0.166667 h after the start: device, dms" in handed.attrs["duties"]
