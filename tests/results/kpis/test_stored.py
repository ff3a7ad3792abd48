"""Key figures that stand in a run file are used again, but only those of the same definitions."""

import dataclasses

import numpy as np
import pytest

from results.kpis import table
from results.kpis.table import KPIS, compute, definitions, known_or_computed
from results.runfile import Run
from results.writer import write_kpis


@pytest.fixture
def path(make_run):
    with make_run({"bus": {"vm_pu": np.full((4, 2), 1.01)}}) as run:
        return run.path


def false_figures():
    return {k.name: 42.0 for k in KPIS}


def test_what_was_stored_by_the_same_definitions_is_taken(path):
    write_kpis(path, false_figures(), definitions=definitions())
    with Run(path) as run:
        assert set(known_or_computed(run).values()) == {42.0}


@pytest.mark.parametrize("stored", ["", "of another version"])
def test_what_others_defined_is_computed_again(path, stored):
    write_kpis(path, false_figures(), definitions=stored)
    with Run(path) as run:
        np.testing.assert_equal(known_or_computed(run), compute(run))
        assert known_or_computed(run)["voltage_highest_pu"] == pytest.approx(1.01)


def test_a_figure_of_the_users_own_is_computed(path):
    write_kpis(path, false_figures(), definitions=definitions())
    own = dataclasses.replace(KPIS[0], name="mine", topic="Own", function=lambda run: 7.0)
    with Run(path) as run:
        assert known_or_computed(run, (*KPIS, own))["mine"] == 7.0


def test_the_file_stays_sound(path):
    write_kpis(path, false_figures(), definitions=definitions())
    with Run(path) as run:
        run.check()
        assert run.kpi_definitions == table.definitions()
