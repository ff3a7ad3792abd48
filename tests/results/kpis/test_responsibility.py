from collections.abc import Callable

import numpy as np
import pytest

from results.kpis import responsibility
from results.runfile import Run
from sims.core.orders import Action


@pytest.fixture
def run(make_run: Callable[..., Run]) -> Run:
    def act(actor: str, duty: str, refused: str = "") -> Action:
        return Action(0, actor, duty, "f", "p_max_mw", 1.0, 1, refused)

    acts = [
        act("north.dms", "observe"), act("north.dms", "observe"), act("grid control", "observe"),
        act("north.dms", "balance_cell", "held by tso"), act("device", "contain_frequency"),
        act("crew", "restore_supply"),
    ]  # fmt: skip
    return make_run({"bus": {"vm_pu": [1.0]}}, actions=acts, roles={"grid control": "tso"})


def test_acts_by_role(run: Run) -> None:
    assert responsibility.acts(run) == 5
    assert responsibility.refused(run) == 1
    assert responsibility.acts_by_tso(run) == 1
    assert responsibility.acts_by_devices(run) == 1
    assert responsibility.acts_by_crews(run) == 1


def test_stated_roles_come_first_and_names_stand_in(make_run: Callable[..., Run]) -> None:
    assert responsibility.role_of("north.dms") == "dms"
    assert responsibility.role_of("north.f1.agent12") == "agent"
    assert responsibility.role_of("tso") == "tso"
    run = make_run({"bus": {"vm_pu": [1.0]}}, actions=[Action(0, "north.dms", "observe", "f", "q", 1.0)])
    assert responsibility.acts_by_dso(run) == 1


def test_who_under_which_duty(run: Run) -> None:
    found = responsibility.by_role_and_duty(run)
    assert found["tso", "observe"] == (1, 0)
    assert found["device", "contain_frequency"] == (1, 0)
    assert sum(done + no for done, no in found.values()) == 6


def test_without_a_log_nothing_is_known(make_run: Callable[..., Run]) -> None:
    run = make_run({"bus": {"vm_pu": [1.0]}})
    assert responsibility.by_role_and_duty(run) == {}
    assert np.isnan([responsibility.acts(run), responsibility.refused(run), responsibility.acts_by_tso(run)]).all()
