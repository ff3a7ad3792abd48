import json

import pytest

BROKEN = 'name: w\ntime: {start: "2016-07-20T00:00:00+02:00", duration: 1 h}\npairing: {architecture: centrall}\n'


def nothing_left(folder):
    return [p.name for p in folder.iterdir() if p.suffix != ".yaml"] == []


@pytest.mark.parametrize("command", ["run", "compare", "validate"])
def test_a_refused_scenario_gives_its_faults_and_exit_code_2(python, tmp_path, command):
    (tmp_path / "winter.yaml").write_text(BROKEN)
    done = python("-m", "gridseam.cli", command, "winter.yaml")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "winter.yaml:1 dsos: is missing",
        "winter.yaml:3 pairing.architecture: 'centrall' is not one of local | centralized | distributed "
        "(did you mean centralized?)",
    ]
    assert done.stdout == ""
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "thre_cells"], "thre_cells: there is no such file (did you mean three_cells?)"),
        (["run", "three_cells", "--stage", "9"], "-x stage=9 pairing.stage: '9' is not one of 1 | 2 | 3 | 4"),
        (["run", "three_cells", "--variant", "wintr"], "there is no variant 'wintr'"),
        (["run", "three_cells", "-x", "seed=1,2"], "seed has several values"),
        (["compare", "three_cells", "-x", "architecture=central"], "'central' is not one of local | centralized"),
        (["compare", "three_cells", "-x", "stage"], "-x stage: write it as key=value"),
        (["compare", "three_cells", "-x", "seed=1", "-x", "seed=2"], "'seed' stands here twice"),
        (["compare", "three_cells", "-x", "seed=1,x"], "-x seed=x seed: 'x' is not a whole number"),
        (["compare", "three_cells", "-x", "limits.v_max_pu=1.05,0.9"], "v_min_pu 0.95 is not below v_max_pu 0.9"),
        (["compare", "three_cells", "-j", "0"], "-j"),
        (["info", "none.h5"], "none.h5: no such run file"),
        (["report", "."], "holds no run files"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
)
def test_a_wrong_command_line_gives_exit_code_2_and_no_traceback(gridseam, tmp_path, arguments, says):
    done = gridseam(*arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert nothing_left(tmp_path)


SMALL = """\
name: small
time: {start: "2016-07-20T00:00:00+02:00", duration: 24 h}
matrix: {stage: [1, 2]}
dsos:
  - name: north
    cell: 1
    interfaces:
      - {bus: 4, trafo: {sn_mva: 700}, grids: [{grid: cigre_mv, count: 3}]}
      - {bus: 8, trafo: {sn_mva: 300}, grids: [{grid: mv_oberrhein}]}
variants:
  short: {time: {duration: 2 h}}
"""


def test_validate_tells_what_a_scenario_holds(gridseam, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    done = gridseam("validate", "small.yaml")
    assert done.returncode == 0, done.stderr
    held = (
        "4 feeders behind 2 interfaces of 1 DSOs, {} from 2016-07-20 00:00 in steps of 1 min, 0 disturbances, "
        "6 pairings"
    )
    assert done.stdout.splitlines() == [f"small: {held.format('1 d')}", f"small, variant short: {held.format('2 h')}"]


def test_validate_checks_every_variant(gridseam, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL + "  bad: {seed: -1}\n")
    done = gridseam("validate", "small.yaml")
    assert done.returncode == 2
    assert done.stderr == "small.yaml:12 seed: -1 must be >= 0\n"


def test_the_shipped_scenario_is_valid(gridseam):
    done = gridseam("validate", "three_cells")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


def test_list_names_what_there_is(gridseam):
    text = gridseam("list").stdout
    for expected in ("three_cells: ", "variants: two_hours, winter", "ieee39", "mv_oberrhein_kerber"):
        assert expected in text


def test_schema_is_a_json_schema(gridseam):
    schema = json.loads(gridseam("schema").stdout)
    assert {"time", "dsos", "disturbances"} <= set(schema["properties"])


def test_help_names_the_commands(gridseam):
    text = gridseam("--help").stdout
    for command in ("run", "compare", "validate", "list", "schema", "info", "report", "export", "diff", "repair"):
        assert f" {command} " in text


STAND_IN = """\
from sims.core.errors import ModelError, ScenarioError

def run_pairing(scenario, architecture, stage, out, *, progress=None, threads=1):
    if stage == 1:
        raise ModelError("der", 61_000, "battery below zero")
    raise ScenarioError("line 12 is not in the grid")
"""


@pytest.mark.parametrize(
    ("stages", "code", "says"),
    [
        ("1,2", 3, ["local, stage 1 (seed 2016): der at 61.000 s: battery below zero", "details in"]),
        ("2,3", 2, ["local, stage 2 (seed 2016); local, stage 3 (seed 2016): scenario: line 12 is not in the grid"]),
    ],
)
def test_failures_are_told_once_and_decide_the_exit_code(gridseam, tmp_path, monkeypatch, stages, code, says):
    from scenarios import matrix

    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(matrix.sweep, "__kwdefaults__", {"target": "stand_in:run_pairing"})
    done = gridseam("compare", "three_cells", "-x", "architecture=local", "-x", f"stage={stages}", "-j", "1")
    assert done.returncode == code
    for text in says:
        assert text in done.stderr
    assert ("details in" in done.stderr) == (code == 3)
    logs = list(tmp_path.glob("results/runs/three_cells-1/*.failure.txt"))
    assert [log.name for log in logs] == (["local-1.failure.txt"] if code == 3 else [])
    assert (tmp_path / "results" / "runs" / "three_cells-1").exists() == (code == 3)
