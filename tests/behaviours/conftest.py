"""The small scenario under all twelve pairings, run once for all files of this folder."""

import shutil
from pathlib import Path

import pytest

from results.runfile import Run
from scenarios.load import load
from scenarios.matrix import jobs_of, sweep
from scenarios.run import run_pairing

SMALL = Path(__file__).parents[1] / "scenarios" / "data" / "small.yaml"
PAIRINGS = tuple((a, s) for a in ("local", "centralized", "distributed") for s in (1, 2, 3, 4))


@pytest.fixture(scope="session")
def scenario():
    return load(SMALL, "twenty_minutes")


@pytest.fixture(scope="session")
def outcomes(scenario, tmp_path_factory):
    """Pairing -> how it ended; two workers, hash seed 0."""
    patch = pytest.MonkeyPatch()
    patch.setenv("PYTHONHASHSEED", "0")
    try:
        found = sweep(jobs_of([scenario], tmp_path_factory.mktemp("twelve")), 2)
    finally:
        patch.undo()
    return {(o.job.architecture, o.job.stage): o for o in found}


@pytest.fixture(scope="session")
def runs(outcomes):
    """Pairing -> open run file; pairings that failed are missing."""
    opened = {pairing: Run(o.path) for pairing, o in outcomes.items() if o.path is not None}
    yield opened
    for run in opened.values():
        run.close()


@pytest.fixture(params=PAIRINGS, ids=lambda p: f"{p[0]}-{p[1]}")
def run(request, outcomes, runs):
    """Each of the twelve runs in turn."""
    assert request.param in runs, outcomes[request.param].error
    return runs[request.param]


@pytest.fixture
def beside(tmp_path):
    """Put controllers beside a copy of the small scenario; return its path."""

    def put(source, controllers):
        (tmp_path / "mine.py").write_text(source)
        path = tmp_path / "small.yaml"
        shutil.copy(SMALL, path)
        with path.open("a") as file:
            file.write(f"controllers: {controllers}\n")
        return path

    return put


@pytest.fixture
def short_run(tmp_path):
    """Run a scenario file for a few minutes under one pairing, in this process."""
    opened = []

    def go(path, architecture, stage, minutes=6, name="out", **overrides):
        given = {"time.duration": f"{minutes} min", "disturbances": [], **overrides}
        opened.append(Run(run_pairing(load(path, None, given), architecture, stage, tmp_path / name)))
        return opened[-1]

    yield go
    for run in opened:
        run.close()


@pytest.fixture(scope="session")
def acts():
    """All acts of a run as plain tuples, in order."""

    def table(run):
        found = run.actions
        columns = ("t_ms", "actor", "duty", "asset", "quantity", "value", "count", "refused")
        return list(zip(*(found[c].values.tolist() for c in columns), strict=True))

    return table
