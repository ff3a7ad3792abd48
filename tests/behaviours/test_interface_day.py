"""A day of voltage support after the Swiss concept: which quarter-hours conform, and what is settled."""

import numpy as np
import pytest

from results.kpis.table import compute
from results.runfile import Run
from scenarios.load import load
from scenarios.run import run_pairing

SLOT_MIN = 15


def settled(run):
    """Return how many quarter-hours conform, how many there are, and the Mvarh of the others, by the rule."""
    v_pu, wish = run.values("interface", "v_pu"), run.values("interface", "v_set_pu")
    q_mvar, vn_kv = run.values("interface", "q_mvar"), run.static("interface", "vn_kv")
    conform = slots = 0
    mvarh = 0.0
    for i, kv in enumerate(vn_kv):
        tolerance_kv = 3.0 if kv >= 300 else 2.0 * min(kv / 220, 1.0)
        for start in range(0, len(v_pu), SLOT_MIN):
            here = slice(start, start + SLOT_MIN)
            off_kv = float(np.mean(v_pu[here, i] - wish[here, i])) * kv
            q = float(np.mean(q_mvar[here, i]))
            slots += 1
            if abs(off_kv) <= tolerance_kv or off_kv * q <= 0:
                conform += 1
            else:
                mvarh += abs(q) * SLOT_MIN / 60
    return conform, slots, mvarh


@pytest.mark.validate
def test_a_day_at_the_interfaces_before_and_after_the_transfer(tmp_path, record_property):
    found = {}
    for pairing in (("centralized", 2), ("centralized", 3), ("distributed", 3)):
        with Run(run_pairing(load("interface_day", "whole_day"), *pairing, tmp_path)) as run:
            key_figures = compute(run)
            conform, slots, mvarh = settled(run)
        assert slots == 4 * 24 * 3, "three interfaces"
        assert key_figures["interface_compliant_share"] == pytest.approx(conform / slots, abs=1e-9)
        assert key_figures["interface_noncompliant_mvarh"] == pytest.approx(mvarh, rel=1e-6)
        found[pairing] = conform / slots, mvarh
        record_property("-".join(map(str, pairing)), found[pairing])
    (before, energy), (after, less), (talked, least) = found.values()
    assert after > before
    assert less < energy
    assert talked > before
    assert least < energy
