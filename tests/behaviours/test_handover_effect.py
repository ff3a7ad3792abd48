"""What a transfer changes: the day with a handover against the same day with nothing handed over."""

import numpy as np
import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.run import run_pairing

AT_MIN, UNTIL_MIN = 10, 35


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The run in which the DSOs take over reactive power, and the one in which they do not."""
    opened, transfer = [], {"at": f"{AT_MIN} min", "duty": "support_tso_voltage", "to": "dso"}
    for name, handed in (("with", [transfer]), ("without", [])):
        given = {"time.duration": f"{UNTIL_MIN} min", "handover": handed}
        path = run_pairing(load("handover_day", None, given), "centralized", 2, tmp_path_factory.mktemp(name))
        opened.append(Run(path))
    yield opened
    for run in opened:
        run.close()


def test_until_the_handover_nothing_differs(both):
    for quantity in ("v_pu", "p_mw", "q_mvar"):
        handed, kept = (run.values("interface", quantity)[: AT_MIN + 1] for run in both)
        np.testing.assert_array_equal(handed, kept)


def test_after_it_every_interface_comes_nearer_to_what_the_tso_wishes(both):
    off = [np.abs(run.values("interface", "q_mvar") - run.values("interface", "q_ref_mvar"))[-10:] for run in both]
    handed, kept = (mvar.mean(axis=0) for mvar in off)
    assert (handed < 0.7 * kept).all()


def test_active_power_and_balance_stay_whose_they_were(both):
    handed, kept = (run.values("interface", "p_mw")[-10:] for run in both)
    np.testing.assert_allclose(handed, kept, rtol=0.02)
    for run in both:
        acts = run.actions
        assert set(acts.actor.values[acts.duty.values == "balance_cell"].tolist()) == {"tso"}
