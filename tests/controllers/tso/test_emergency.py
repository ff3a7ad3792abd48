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
    assert (message.receiver, message.topic) == ("dso_1.operator", "request")
    assert message.values["relief_mw"] == pytest.approx(-8.0), "20 % of 40 MVA less export"
    assert not message.topic.startswith("command/")


def test_a_passing_violation_is_not():
    call = EmergencyCall(site())
    for t in range(0, 3600, 60):
        loading = 120.0 if t % 600 else 80.0
        assert not call.decide(float(t), [interface(loading=loading)])


@pytest.mark.parametrize(("v_pu", "p_mw", "relief_mw"), [
    (0.94, -10.0, 2.0), (0.94, 10.0, 0.0), (0.8, -10.0, 10.0), (1.06, 10.0, -2.0), (1.06, -10.0, 0.0),
])
def test_a_voltage_calls_for_less_of_the_flow_that_makes_it_worse(v_pu, p_mw, relief_mw):
    call = EmergencyCall(site(v_band_pu=(0.95, 1.05)))
    sent = [call.decide(float(t), [interface(v_pu=v_pu, p_mw=p_mw)]) for t in range(0, 700, 60)]
    values = sent[10][0].values
    assert (values["quantity"], values["p_mw"]) == ("v_pu", p_mw)
    assert values["relief_mw"] == pytest.approx(relief_mw), "20 % of the flow for each 0.01 pu"
