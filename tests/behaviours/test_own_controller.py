"""A user's own controller stands beside the scenario, in a few lines, and acts."""

import pytest

from sims.core.errors import ScenarioError

MINE = '''\
import numpy as np
from controllers.contract import command

class Mine:
    urgent = frozenset()

    def __init__(self, site):
        self.site, self.share = site, site.settings.get("share", 0.5)

    def decide(self, now_s, inbox):
        feeder = self.site.grid.feeders[0]
        reached = np.array(feeder.gateways)[feeder.devices.node] != ""
        pv = np.flatnonzero((feeder.devices.kind == "pv") & reached)[:3]
        return [command(self.site, feeder.gateways[feeder.devices.node[k]], "manage_congestion",
                        device=feeder.devices.index[[k]], p_max_mw=self.share * feeder.devices.p_rated_mw[[k]])
                for k in pv]
'''


def test_it_is_short():
    assert len(MINE.splitlines()) < 20


def test_it_takes_the_place_of_ours_and_acts(beside, short_run, acts):
    path = beside(MINE, "[{use: ./mine.py:Mine, at: dms, duties: [manage_congestion], settings: {share: 0.0}}]")
    run = short_run(path, "centralized", 2, 8)
    mine = [a for a in acts(run) if a[2] == "manage_congestion" and a[1] == "dso_1.dms"]
    assert len(mine) >= 6
    assert {(quantity, value, refused) for _, _, _, _, quantity, value, _, refused in mine} == {("p_max_mw", 0.0, "")}
    pv, available = run.values("feeder", "pv_mw")[:, 0], run.values("feeder", "pv_avail_mw")[:, 0]
    assert available[-1] - pv[-1] > 0.05, "three plants stand still"


def test_its_settings_reach_it(beside, short_run, acts):
    path = beside(MINE, "[{use: ./mine.py:Mine, at: dms, duties: [manage_congestion], settings: {share: 0.25}}]")
    found = {round(a[5], 6) for a in acts(short_run(path, "centralized", 2)) if a[2] == "manage_congestion"}
    assert found
    assert 0.0 not in found


def test_an_architecture_it_is_not_for_keeps_ours(beside, short_run, acts):
    path = beside(MINE, "[{use: ./mine.py:Mine, at: dms, duties: [manage_congestion]}]")
    assert not [a for a in acts(short_run(path, "local", 2)) if a[1] == "dso_1.dms"]


def test_a_misspelt_class_is_named_and_nothing_is_left_behind(beside, short_run, tmp_path):
    path = beside(MINE, "[{use: './mine.py:Mne', at: dms, duties: [manage_congestion]}]")
    with pytest.raises(ScenarioError, match="did you mean Mine"):
        short_run(path, "centralized", 2)
    assert not list(tmp_path.rglob("*.h5"))
