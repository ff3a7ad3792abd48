"""A table of responsibilities of the user's own: who sits, who acts and who is refused follows it."""

import itertools
import json

import pytest

from controllers.responsibility import FROM_STAGE
from scenarios.load import load
from scenarios.schema_operation import FromStage
from sims.core.errors import ScenarioError

SMALL = "small_day"


def test_the_schema_shows_the_usual_table():
    usual = FromStage.model_validate({}).model_dump()
    assert usual == {duty: stage for duty, stage in FROM_STAGE.items() if stage > 1}


@pytest.fixture
def did(short_run, acts):
    """Duties under which each role acted in twelve minutes, and the run."""

    numbers = itertools.count()

    def go(architecture, stage, **given):
        run = short_run(SMALL, architecture, stage, 12, f"out_{next(numbers)}", **given)
        rows = acts(run)
        assert {a[7] for a in rows} == {""}
        return {(a[1].rsplit(".", 1)[-1], a[2]) for a in rows}, run

    return go


def test_the_balance_alone_may_go_to_the_dso(did):
    found, run = did("centralized", 2, from_stage={"balance_cell": 2})
    assert ("dms", "balance_cell") in found
    assert ("tso", "balance_cell") not in found
    assert ("dms", "support_tso_voltage") not in found
    assert json.loads(run.attrs["duties"])["balance_cell"] == ["device", "dms"]
    assert {t for t in run.messages.topic.values.tolist() if t in ("tie", "u_set")} == {"tie"}


def test_a_duty_may_wait_for_a_later_stage(did):
    usual, _ = did("centralized", 3)
    later, run = did("centralized", 3, from_stage={"manage_congestion": 4})
    assert ("dms", "manage_congestion") in usual
    assert ("dms", "manage_congestion") not in later
    assert json.loads(run.attrs["duties"])["manage_congestion"] == ["operator"]


def test_stage_one_that_acts_is_no_longer_called_degenerate(did):
    _, plain = did("centralized", 1)
    found, early = did("centralized", 1, from_stage={"manage_congestion": 1, "control_voltage": 1})
    assert plain.attrs["degenerate"]
    assert "degenerate" not in early.attrs
    assert ("dms", "manage_congestion") in found


def test_a_duty_that_there_is_not_is_named():
    with pytest.raises(ScenarioError, match="restore_suply"):
        load(SMALL, None, {"from_stage": {"restore_suply": 1}})
