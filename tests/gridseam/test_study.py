import pytest

from gridseam import study
from gridseam.study import Study, new_folder
from scenarios.load import load
from scenarios.matrix import Outcome
from scenarios.worker import Job
from sims.core.errors import GridseamError


def test_folders_are_numbered_after_the_highest(tmp_path):
    assert new_folder("a", tmp_path).name == "a-1"
    assert new_folder("a", tmp_path).name == "a-2"
    (tmp_path / "a-9").mkdir()
    (tmp_path / "a-x").mkdir()
    (tmp_path / "ab-20").mkdir()
    assert new_folder("a", tmp_path).name == "a-10"
    assert new_folder("new", tmp_path / "deep" / "er").is_dir()


def test_a_comparison_runs_what_was_asked_for(tmp_path, monkeypatch):
    asked = []

    def sweep(jobs, workers, watch):
        asked.extend((j.architecture, j.stage, j.scenario.seed, j.out.name) for j in jobs)
        return [Outcome(j, None, "no") for j in jobs]

    monkeypatch.setattr(study, "sweep", sweep)
    done = study.compare("three_cells", architecture=["local"], stage=[4, 1], seed=[5, 6, 5], out=tmp_path / "o")
    assert asked == [("local", stage, seed, f"seed-{seed}") for seed in (5, 6) for stage in (4, 1)]
    assert len(done.failed) == 4
    assert done.report is None


def test_a_run_that_is_not_there_is_said(tmp_path):
    scenario = load("three_cells")
    outcome = Outcome(Job(scenario, "local", 1, tmp_path), tmp_path / "x.h5")
    done = Study(tmp_path, (outcome,), {("local", 1, 2016): tmp_path / "x.h5"})
    with pytest.raises(GridseamError, match=r"there is no run of local, stage 2; there are: local 1 \(seed 2016\)"):
        done.open("local", 2)
    assert done.failed == ()


def test_an_input_that_is_refused_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GridseamError, match=r"matrix\.architecture"):
        study.compare("three_cells", architecture=["centrall"])
    with pytest.raises(GridseamError, match=r"pairing.stage: '7' is not one of 1 \| 2 \| 3 \| 4"):
        study.run("three_cells", stage=7)
    assert list(tmp_path.iterdir()) == []
