import numpy as np

from controllers.centralized.observe import Observe
from controllers.logbook import LOGBOOK


def test_reports_the_estimate_once_a_period(kit):
    field = kit.field(kit.feeder("oberrhein"), load=0.5)
    observe = Observe(kit.site([field.belief]))
    assert observe.decide(0.0, []) == []
    out = observe.decide(60.0, [field.primary(0), *field.secondary(0, np.random.default_rng(1))])
    assert [m.topic for m in out] == ["estimate"]
    assert out[0].receiver == LOGBOOK
    assert out[0].values["feeder"] == field.belief.name
    v = out[0].values["v_pu"]
    assert v.shape == field.v.shape
    assert not v.flags.writeable
    live = field.topology.live
    assert np.abs(v - np.abs(field.v))[live].max() < 1e-3
    # The upper side of the transformers is part of the picture.
    np.testing.assert_allclose(v[field.net.feed_root], 1.0, atol=5e-3)
    assert observe.decide(120.0, [field.primary(60_000)]) == []
    assert len(observe.decide(360.0, [field.primary(300_000)])) == 1


def test_estimates_every_feeder_and_shares_one_estimation(kit):
    fields = [kit.field(kit.feeder("cigre", name=f"dso_1.f{i}", first=1000 * i)) for i in range(3)]
    site = kit.site([f.belief for f in fields])
    first, second = Observe(site), Observe(site)
    mail = [m for f in fields for m in (f.primary(0), *f.secondary(0))]
    assert len(first.decide(60.0, mail)) == len(second.decide(60.0, mail)) == 3
    assert first._desk.state is second._desk.state
    assert first._desk.state.estimations == 3
