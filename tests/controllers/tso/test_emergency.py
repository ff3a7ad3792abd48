import numpy as np
import pytest

from controllers.contract import Site
from controllers.specimen import small_belief
from controllers.tso.emergency import EmergencyCall
from sims.core.message import Message


def site(**settings):
    duties, rng = frozenset({"balance_cell"}), np.random.default_rng(1)
    return Site("tso", "tso", duties, small_belief(), (), 60_000, rng, settings)


def interface(loading=50.0, v_pu=1.0, p_mw=10.0):
    values = {"v_pu": v_pu, "p_mw": p_mw, "q_mvar": 0.0, "loading_percent": loading}
    return Message("dso_1.i4", "tso", "interface", values)


def test_a_lasting_violation_is_answered_by_a_call_to_people():
    call = EmergencyCall(site())
    sent = {t: call.decide(float(t), [interface(loading=120.0)]) for t in range(0, 3600, 60)}
    calls = [t for t, out in sent.items() if out]
    assert calls == [600, 2400]
    message = sent[600][0]
    assert (message.receiver, message.topic) == ("dso_1.crew", "request")
    assert message.values["relief_mw"] == pytest.approx(-8.0), "20 % of 40 MVA less export"
    assert not message.topic.startswith("command/")


def test_a_passing_violation_is_not():
    call = EmergencyCall(site())
    for t in range(0, 3600, 60):
        loading = 120.0 if t % 600 else 80.0
        assert not call.decide(float(t), [interface(loading=loading)])


def test_low_voltage_calls_too():
    call = EmergencyCall(site(v_band_pu=(0.95, 1.05)))
    sent = [call.decide(float(t), [interface(v_pu=0.94)]) for t in range(0, 700, 60)]
    assert sent[10][0].values["quantity"] == "v_pu"
