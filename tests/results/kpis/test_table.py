from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from results.kpis.table import KPIS, compute, kpi_places, own_kpi
from results.runfile import Run
from sims.core.errors import GridseamError, ScenarioError

OWN = '''
def midday_pu(run):
    """Mean voltage at noon."""
    return run.values("bus", "vm_pu").mean()
midday_pu.unit = "pu"
midday_pu.better = "higher"

def broken(run):
    return 1 / 0
'''


def test_every_name_is_there_once_and_every_figure_is_defined() -> None:
    names = [k.name for k in KPIS]
    assert len(set(names)) == len(names)
    assert all(k.label and k.unit and k.definition.endswith(".") and k.source and k.function.__doc__ for k in KPIS)
    assert kpi_places()[0] == (KPIS[0].name, KPIS[0].unit, KPIS[0].definition)


def test_a_run_that_holds_nothing_gives_nan_for_all(make_run: Callable[..., Run]) -> None:
    found = compute(make_run({"gen": {"p_mw": [1.0]}}))
    assert set(found) == {k.name for k in KPIS}
    assert {n for n, v in found.items() if not np.isnan(v)} == set()


def test_a_full_run_gives_a_number_for_nearly_all(day_run: Callable[..., Path]) -> None:
    with Run(day_run("centralized", 4)) as run:
        found = compute(run)
    unknown = {n for n, v in found.items() if np.isnan(v)}
    needs_more = {"decision_age_s", "losses_transmission_mwh", "frequency_rocof_hz_per_s", "cell_outside_share"}
    assert unknown == needs_more | {"balance_residual_mw", "boundary_residual_pu", "diverged_feeder_steps"}
    assert found["saidi_min"] == pytest.approx(1500 * 5 / 8000)


def test_a_user_adds_a_figure(tmp_path: Path, make_run: Callable[..., Run]) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    kpi = own_kpi("./mine.py:midday_pu", tmp_path)
    assert (kpi.name, kpi.unit, kpi.better, kpi.definition) == ("midday_pu", "pu", "higher", "Mean voltage at noon.")
    assert compute(make_run({"bus": {"vm_pu": [1.0, 1.1]}}), [kpi])["midday_pu"] == pytest.approx(1.05)


def test_a_users_error_is_told_as_theirs(tmp_path: Path, make_run: Callable[..., Run]) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    kpi = own_kpi("mine.py:broken", tmp_path)
    with pytest.raises(ScenarioError, match=r"kpi mine\.py:broken: failed on run0\.h5: ZeroDivisionError"):
        compute(make_run({"bus": {"vm_pu": [1.0]}}), [kpi])


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("mine.py", "write it as ./file.py:function"),
        ("absent.py:f", "no such file"),
        ("mine.py:midday", r"no function 'midday' \(did you mean midday_pu\?\)"),
        ("bad.py:f", "fails on import: SyntaxError"),
        ("odd.py:f", "better is 'bigger'"),
    ],
)
def test_a_reference_that_leads_nowhere_is_refused(tmp_path: Path, reference: str, text: str) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    (tmp_path / "bad.py").write_text("def f(:")
    (tmp_path / "odd.py").write_text("def f(run):\n    return 1\nf.better = 'bigger'")
    with pytest.raises(GridseamError, match=text):
        own_kpi(reference, tmp_path)
