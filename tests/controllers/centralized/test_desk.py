from dataclasses import replace

import numpy as np

from controllers.centralized.congestion import ManageCongestion
from controllers.centralized.desk import FILED, Desk
from controllers.centralized.observe import Observe
from controllers.centralized.restoration import RestoreSupply


def at_one_desk(kit, *periods):
    site = kit.site([kit.feeder("cigre")])
    shared = {}
    return [replace(site, period_ms=ms, settings={**site.settings, "shared": shared}) for ms in periods]


def test_mail_is_filed_once_by_whoever_looks_most_often(kit):
    slow, quick, other = at_one_desk(kit, 300_000, 60_000, 60_000)
    congestion, observe, restore = ManageCongestion(slow), Observe(quick), RestoreSupply(other)
    assert congestion.reads == {"primary"}
    assert observe.reads == FILED
    assert restore.reads == {"fault", "fault_indicator"}


def test_who_sits_alone_files_its_own_mail(kit):
    (site,) = at_one_desk(kit, 300_000)
    assert ManageCongestion(site).reads == FILED


def test_a_substations_sum_is_split_by_rating_over_all_feeders(kit):
    one, two = kit.feeder("cigre", pv=1.0), kit.feeder("oberrhein", pv=1.0)
    desk = Desk(kit.site([one, replace(two, name="dso_1.f02")]))
    for number, feeder in enumerate(desk.register.feeders):
        file = desk.state.files[feeder.name]
        file.der_mw[:], file.der_avail_mw[:] = 0.1 * (number + 1), 0.2 * (number + 1)
    rows = np.flatnonzero(desk.register.feeds_in)
    now, available = desk.feed_in(rows)
    for number in (0, 1):
        for node in np.unique(desk.register.node[rows]):
            here = (desk.register.feeder[rows] == number) & (desk.register.node[rows] == node)
            rated = desk.register.p_rated_mw[rows][here]
            part = rated / rated.sum() if here.any() else rated
            np.testing.assert_allclose(now[here], np.minimum(0.1 * (number + 1) * part, rated))
            np.testing.assert_allclose(available[here], np.minimum(0.2 * (number + 1) * part, rated))
