import subprocess

import pytest

from results.layout import Kind, Quantity
from results.writer import RunWriter
from scenarios import cell
from scenarios.cell import cell_digest, finished, git_state
from scenarios.load import changed, load


def left_behind(path, digest, status="complete"):
    kinds = [Kind("system", ["system"], [Quantity("gen_mw", "MW", "g")])]
    writer = RunWriter(path, attrs={"cell": digest}, start_iso="2026-01-01", kinds=kinds)
    writer.close(status)
    return path


@pytest.fixture
def scenario(small, write):
    return load(write(small))


def test_a_cell_is_known_by_what_bears_on_the_run(scenario):
    one = cell_digest(scenario, "local", 1)
    assert one == cell_digest(changed(scenario, {"matrix.stage": [3], "stage": 4, "title": "x"}), "local", 1)
    others = [
        cell_digest(scenario, "local", 2), cell_digest(scenario, "centralized", 1),
        cell_digest(changed(scenario, {"seed": 9}), "local", 1),
        cell_digest(changed(scenario, {"der.pv.mw_per_mw_load": 0.7}), "local", 1),
    ]  # fmt: skip
    assert len({one, *others}) == 5


def test_files_beside_the_scenario_belong_to_it(small, write, tmp_path):
    own = "controllers: [{use: './mine.py:Mine', at: dms, duties: [manage_congestion]}]\n"
    body = "class Mine:\n    urgent = frozenset()\n    def __init__(self, site): ...\n    def decide(self, n, i): ...\n"
    (tmp_path / "mine.py").write_text(body)
    scenario = load(write(small + own))
    before = cell_digest(scenario, "local", 1)
    (tmp_path / "mine.py").write_text(body + "# changed\n")
    assert cell_digest(scenario, "local", 1) != before


def test_other_code_runs_again(scenario, monkeypatch, tmp_path):
    before = cell_digest(scenario, "local", 1)
    monkeypatch.setattr(cell, "source_digest", lambda: "other")
    assert cell_digest(scenario, "local", 1) != before


def test_code_and_data_count_and_results_do_not(tmp_path):
    for package in ("sims", "controllers", "scenarios", "results/runs"):
        (tmp_path / package).mkdir(parents=True)
    digests = []
    for name in ("sims/a.py", "scenarios/b.json", "results/runs/c.csv", "sims/notes.txt"):
        (tmp_path / name).write_text("1")
        digests.append(cell.source_digest.__wrapped__(tmp_path))
    assert len(set(digests)) == 2
    (tmp_path / "sims" / "a.py").write_text("2")
    assert cell.source_digest.__wrapped__(tmp_path) not in digests


def test_only_the_complete_run_of_the_same_cell_is_kept(scenario, tmp_path):
    digest = cell_digest(scenario, "local", 1)
    assert finished(scenario, "local", 1, left_behind(tmp_path / "good.h5", digest))
    assert not finished(scenario, "local", 2, tmp_path / "good.h5")
    assert not finished(changed(scenario, {"seed": 9}), "local", 1, tmp_path / "good.h5")
    assert not finished(scenario, "local", 1, left_behind(tmp_path / "stopped.h5", digest, "aborted"))
    assert not finished(scenario, "local", 1, tmp_path / "none.h5")
    (tmp_path / "cut.h5").write_bytes((tmp_path / "good.h5").read_bytes()[:2000])
    assert not finished(scenario, "local", 1, tmp_path / "cut.h5")
    (tmp_path / "other.h5").write_text("no run")
    assert not finished(scenario, "local", 1, tmp_path / "other.h5")


def test_the_commit_is_that_of_the_checkout(monkeypatch):
    git_state.cache_clear()
    try:
        found = git_state()
        if (cell._ROOT / ".git").exists():
            head = subprocess.run(
                ["git", "-C", str(cell._ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
            ).stdout
            assert head.startswith(found.removesuffix("-dirty"))
        git_state.cache_clear()
        monkeypatch.setattr(cell, "_ROOT", cell._ROOT / "scenarios")
        assert git_state() == ""
    finally:
        git_state.cache_clear()
