"""Power is neither made nor lost: over the whole system, at every step, in every pairing."""

import numpy as np

BELOW = ("pv_mw", "wind_mw", "chp_mw", "storage_mw", "ev_mw", "heatpump_mw")


def test_generation_meets_demand_and_losses_at_every_step(run):
    def system(quantity):
        return run.values("system", quantity)[:, 0]

    def feeders(quantity):
        return run.values("feeder", quantity).sum(axis=1)

    infeed = system("gen_mw") + sum(feeders(quantity) for quantity in BELOW)
    demand = system("static_load_mw") + feeders("load_mw")
    losses = system("loss_transmission_mw") + feeders("loss_mw")
    assert infeed.shape == (20,)
    assert (infeed > 1000).all()
    np.testing.assert_allclose(infeed, demand + losses, rtol=0, atol=1e-4)


def test_the_machines_add_up_to_the_systems_and_the_cells_generation(run):
    machines = run.values("gen", "p_mw").sum(axis=1)
    np.testing.assert_allclose(machines, run.values("system", "gen_mw")[:, 0], atol=1e-6)
    np.testing.assert_allclose(run.values("cell", "p_gen_mw").sum(axis=1), machines, atol=2e-3)  # single precision


def test_each_feeder_draws_what_stands_in_it(run):
    inside = run.values("feeder", "load_mw") + run.values("feeder", "loss_mw")
    inside = inside - sum(run.values("feeder", quantity) for quantity in BELOW)
    np.testing.assert_allclose(run.values("feeder", "p_mw"), inside, atol=1e-6)


def test_a_battery_holds_what_it_took_up_less_losses(run):
    power, stored = run.values("feeder", "storage_mw"), run.values("feeder", "storage_soc_mwh")
    change = np.diff(stored, axis=0)
    flow = power[:-1] / 60  # MWh per step of a minute
    expected = np.where(flow < 0, -flow * 0.95, -flow / 0.95)
    # within a feeder some batteries may charge and others discharge, which costs more
    assert (change <= np.maximum(expected, -flow) + 1e-4).all()


def test_a_tripped_machine_gives_nothing_and_the_frequency_falls(run):
    g8 = run.labels("gen").index("G8")
    power, f_hz = run.values("gen", "p_mw")[:, g8], run.values("cell", "f_hz")[:, 0]
    assert (power[:12] > 100).all()
    assert (power[12:] == 0).all()
    assert f_hz[12] < f_hz[11] - 0.02
