import numpy as np

from controllers.contract import Site
from controllers.specimen import small_belief
from controllers.tso.voltage import VoltageWish


def site(**settings):
    duties, rng = frozenset({"balance_cell"}), np.random.default_rng(1)
    return Site("tso", "tso", duties, small_belief(), (), 60_000, rng, settings)


def test_wishes_are_sent_on_change_and_renewed():
    wish = VoltageWish(site(u_set_pu=[1.0, 1.0, 1.03], renew_s=3600))
    sent = {t: wish.decide(float(t), []) for t in range(0, 4500, 300)}
    assert {(m.receiver, m.values["v_set_pu"]) for m in sent[0]} == {
        ("dso_1.dms", 1.0), ("dso_1.i4", 1.0), ("dso_1.i8", 1.0),
    }
    assert not sent[900]
    assert {m.values["v_set_pu"] for m in sent[1800]} == {1.03}
    assert {m.values["v_set_pu"] for m in sent[2700]} == {1.0}
