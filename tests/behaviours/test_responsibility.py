"""An order without the duty is refused and logged, and moves nothing."""

import numpy as np
import pytest

PAIRINGS = tuple((a, s) for a in ("local", "centralized", "distributed") for s in (1, 2, 3, 4))

BOSSY = '''\
import numpy as np

from controllers.contract import command


class Mine:
    urgent = frozenset()

    def __init__(self, site):
        self.site = site

    def decide(self, now_s, inbox):
        if self.site.actor == "tso":
            given = {"device": np.array([0]), "p_max_mw": np.zeros(1)}
            return [command(self.site, "dso_1.f01.s5", "manage_congestion", **given)]
        feeder = self.site.grid.feeders[0]
        reached = np.array(feeder.gateways)[feeder.devices.node] != ""
        pv = np.flatnonzero((feeder.devices.kind == "pv") & reached)[0]
        return [command(self.site, feeder.gateways[feeder.devices.node[pv]], self.site.settings["under"],
                        device=feeder.devices.index[[pv]], p_max_mw=np.zeros(1))]
'''


def bossy(at, under="manage_congestion", duty="observe"):
    return f"[{{use: ./mine.py:Mine, at: {at}, duties: [{duty}], settings: {{under: {under}}}}}]"


@pytest.mark.parametrize(
    ("architecture", "stage", "at", "under", "duty", "rule"),
    [
        ("centralized", 1, "dms", "manage_congestion", "observe", "stage 1 is held by operator, not by dms"),
        ("centralized", 3, "dms", "balance_cell", "observe", "stage 3 is held by tso, not by dms"),
        ("distributed", 1, "agent", "manage_congestion", "observe", "stage 1 is held by operator, not by agent"),
        ("centralized", 2, "tso", "manage_congestion", "balance_cell", "not by tso"),
        ("centralized", 2, "dms", "rule_the_world", "observe", "no duty of the table"),
    ],
)
def test_it_is_refused_logged_and_moves_nothing(beside, short_run, acts, architecture, stage, at, under, duty, rule):
    path = beside(BOSSY, bossy(at, under, duty))
    run = short_run(path, architecture, stage, 4)
    refused = [a for a in acts(run) if a[7]]
    assert refused
    assert all(rule in a[7] for a in refused)
    assert not [a for a in acts(run) if a[1] == refused[0][1] and a[2] == under and not a[7]]
    mail = run.messages
    sent = zip(mail.topic.values.tolist(), mail.sender.values.tolist(), strict=True)
    assert (f"command/{under}", refused[0][1]) not in list(sent), "it never left"
    available, power = run.values("feeder", "pv_avail_mw"), run.values("feeder", "pv_mw")
    np.testing.assert_allclose(power, available, atol=1e-6)


def test_the_same_order_with_the_duty_is_carried_out(beside, short_run, acts):
    run = short_run(beside(BOSSY, bossy("dms", duty="manage_congestion")), "centralized", 2, 8)
    mine = [a for a in acts(run) if a[1] == "dso_1.dms" and a[2] == "manage_congestion"]
    assert mine
    assert not any(a[7] for a in mine)
    assert run.values("feeder", "pv_mw")[-1, 0] < run.values("feeder", "pv_avail_mw")[-1, 0] - 0.01


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_in_every_pairing_each_act_carried_out_was_its_actors_to_do(runs, acts, pairing):
    """Held against the table of the specification, written down here once more."""
    architecture, stage = pairing
    first = {"observe": 1, "contain_frequency": 1, "manage_congestion": 2, "control_voltage": 2, "restore_supply": 2,
             "support_tso_voltage": 3, "balance_cell": 4, "provide_inertia": 4}
    for _, actor, duty, asset, _, _, _, refused in acts(runs[pairing]):
        if refused or duty == "protection":
            continue
        kind = actor if actor in ("device", "tso") else actor.rsplit(".", 1)[1]
        if kind == "device":
            continue
        if kind == "tso":
            assert duty == "balance_cell"
            assert stage < 4
            assert asset.startswith("gen.")
        elif kind in ("crew", "operator"):
            assert duty == {"crew": "restore_supply", "operator": "manage_congestion"}[kind]
        else:
            assert stage >= first[duty]
            assert (kind == "dms") == (architecture == "centralized")
            assert architecture != "local"
            own = asset.startswith(actor.split(".", 1)[0] + ".")
            assert own or (duty == "balance_cell" and asset.startswith("gen.")), "inside its own grid and cell"


@pytest.mark.parametrize("pairing", PAIRINGS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_our_own_controllers_neither_overstep_nor_send_stale_orders(runs, acts, pairing):
    assert {a[7] for a in acts(runs[pairing])} == {""}
