import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from controllers.dms.inertia import Reference, assigned_gains, converters_mws, machines_mws, needed_mws, trade

REF = Reference(50.0, 1.0, 0.5, 0.8)


def test_hand_worked_figures():
    assert machines_mws(np.array([1.0, 0.0]), np.array([5.0, 4.0]), np.array([600.0, 300.0])) == 3000.0
    assert needed_mws(100.0, REF) == 2500.0
    # K 4: 100 MWs by gain; headroom 1 MW allows 50; 2 MWs of energy do not last for 0.8 Hz x 4 = 3.2.
    counted = converters_mws(np.array([4.0, 4.0, 4.0]), np.array([9.0, 1.0, 9.0]), np.array([9.0, 9.0, 2.0]), REF)
    np.testing.assert_allclose(counted, [100.0, 50.0, 0.0])


def test_assigned_gains_count_for_exactly_what_is_missing():
    headroom, energy = np.array([10.0, 20.0, 0.0]), np.array([100.0, 100.0, 100.0])
    k = assigned_gains(500.0, headroom, energy, REF)
    assert converters_mws(k, headroom, energy, REF).sum() == pytest.approx(500.0)
    assert k[2] == 0
    assert assigned_gains(-5.0, headroom, energy, REF).sum() == 0
    most = assigned_gains(1e9, headroom, energy, REF)
    np.testing.assert_allclose(most, [20.0, 40.0, 0.0])


positive = arrays(float, 4, elements=st.floats(0, 1e4))


@settings(max_examples=80, deadline=None)
@given(positive, positive, arrays(float, (4, 4), elements=st.floats(0, 500)), st.integers(0, 3))
def test_invariants_of_the_trade(own, least, atc, island):
    atc[island] = atc[:, island] = 0.0
    found = trade(own, least, atc, REF)
    given_away, taken = found.lent_mws.sum(axis=1), found.lent_mws.sum(axis=0)
    assert given_away.sum() == pytest.approx(taken.sum())
    assert (found.lent_mws >= 0).all()
    assert (given_away <= np.maximum(own - least, 0) + 1e-6).all()
    assert (given_away <= found.deliverable_mws + 1e-6).all()
    assert (taken <= found.receivable_mws + 1e-6).all()
    assert (taken <= np.maximum(least - own, 0) + 1e-6).all()
    assert (found.lent_mws <= REF.f0_hz * atc / (2 * REF.rocof_ref_hz_per_s) + 1e-6).all()
    assert given_away[island] == taken[island] == found.deliverable_mws[island] == found.receivable_mws[island] == 0
    assert (np.diag(found.lent_mws) == 0).all()
