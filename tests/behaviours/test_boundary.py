"""Transmission and distribution agree at each interface, at every step, in every pairing."""

import numpy as np

SN_MVA, VK, VKR = 150.0, 0.14, 0.003
"""The interface transformers of the small scenario."""


def test_the_residual_is_below_its_limits(run):
    assert (run.values("interface", "residual_v_pu") < 1e-6).all()
    assert (run.values("interface", "residual_s_mva") < 1e-4).all()
    assert (run.values("system", "iterations") >= 1).all()
    assert (run.values("system", "iterations") < 50).all()


def test_power_is_equal_on_both_sides(run):
    of_feeder = run.static("feeder", "interface").tolist()
    for i, name in enumerate(run.labels("interface")):
        mine = [k for k, interface in enumerate(of_feeder) if interface == name]
        assert mine
        drawn = run.values("feeder", "p_mw")[:, mine].sum(axis=1)
        drawn = drawn + 1j * run.values("feeder", "q_mvar")[:, mine].sum(axis=1)
        v_busbar = run.values("interface", "v_busbar_pu")[:, i].astype(float)
        # what the transformer keeps: |I|^2 (R + jX), on its own rating
        z = VKR + 1j * np.sqrt(VK**2 - VKR**2)
        kept = z * np.abs(drawn / v_busbar) ** 2 / SN_MVA
        into = run.values("interface", "p_mw")[:, i] + 1j * run.values("interface", "q_mvar")[:, i]
        np.testing.assert_allclose(-into, drawn + kept, rtol=0, atol=1e-4)


def test_every_feeder_has_a_solution(run):
    assert (run.values("feeder", "converged") == 1).all()
    assert np.isfinite(run.values("interface", "v_pu")).all()


def test_all_cells_share_one_frequency_while_they_are_connected(run):
    f_hz = run.values("cell", "f_hz")
    assert (f_hz == f_hz[:, :1]).all()


def test_exports_sum_to_minus_what_the_ties_lose(run):
    ties = run.values("cell", "p_tie_mw").sum(axis=1)
    assert (ties > 0).all(), "more leaves the cells than arrives in them"
    assert (ties < run.values("system", "loss_transmission_mw")[:, 0]).all()
