"""What the README shows has to work as it stands there."""

import re
from pathlib import Path

import numpy as np
import pytest

import gridseam as gs
from controllers.belief import Belief
from controllers.loading import load_class
from controllers.responsibility import FROM_STAGE
from controllers.specimen import small_feeder
from results.kpis.kpi import own_kpi
from scenarios.judgement import checks
from scenarios.load import load

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def block(language, containing):
    return next(text for kind, text in BLOCKS if kind == language and containing in text)


def test_the_controller_halves_the_plants_where_the_voltage_is_high(tmp_path):
    text = block("python", "class Mine")
    assert len([line for line in text.splitlines() if line.strip()]) < 20
    (tmp_path / "mine.py").write_text(text)
    feeder = small_feeder()
    site = gs.Site("dso_1.dms", "dms", frozenset({"manage_congestion"}), Belief((feeder,)), (), 300_000,
                   np.random.default_rng(0))  # fmt: skip
    mine = load_class("./mine.py:Mine", tmp_path)(site)
    high, fine = (
        gs.Message(f"{feeder.name}.s{node}", site.name, "secondary", {"node": node, "v_pu": v_pu})
        for node, v_pu in ((3, 1.06), (4, 1.04))
    )
    (order,) = mine.decide(0.0, [high, fine])
    assert (order.receiver, order.topic) == (f"{feeder.name}.s3", "command/manage_congestion")
    plants = order.values["device"].tolist()
    rows = [int(np.flatnonzero(feeder.devices.index == p)[0]) for p in plants]
    assert {feeder.devices.kind[r] for r in rows} == {"pv"}
    assert {int(feeder.devices.node[r]) for r in rows} == {3}
    assert order.values["p_max_mw"].tolist() == [1.0]


def test_the_scenario_takes_the_controller(tmp_path):
    (tmp_path / "mine.py").write_text(block("python", "class Mine"))
    scenario = (ROOT / "scenarios" / "library" / "three_cells.yaml").read_text()
    lines = [line for line in scenario.splitlines() if not line.startswith("controllers:")]
    (tmp_path / "own.yaml").write_text("\n".join(lines) + "\n" + block("yaml", "controllers:"))
    assert load(tmp_path / "own.yaml").controllers[0].use == "./mine.py:Mine"


def test_every_name_the_python_example_uses_is_offered():
    text = block("python", "gs.compare")
    compile(text, "README", "exec")
    assert set(re.findall(r"\bgs\.(\w+)", README)) <= set(gs.__all__)


@pytest.mark.parametrize("line", [x for x in block("sh", "gridseam list").splitlines() if x.startswith("gridseam")])
def test_every_command_shown_exists(line):
    import shlex

    from typer.main import get_command

    from gridseam.cli import app

    words = shlex.split(line.partition("#")[0].partition(">")[0])[1:]
    command = get_command(app).commands[words[0]]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {w for w in words[1:] if w.startswith("-")} <= known


GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))


def commands_of(guide):
    blocks = re.findall(r"```sh\n(.*?)```", guide.read_text(), re.DOTALL)
    return [line.partition("  #")[0].strip() for text in blocks for line in text.splitlines()]


def test_there_is_a_guide_for_each_kind_of_user():
    assert [guide.stem for guide in GUIDES] == ["ci", "operator", "researcher"]


@pytest.mark.parametrize("line", [line for guide in GUIDES for line in commands_of(guide)])
def test_every_command_of_a_guide_parses_and_names_what_there_is(line, tmp_path, monkeypatch):
    import shlex

    from typer.main import get_command

    from gridseam.axes import axes
    from gridseam.cli import app
    from scenarios.load import changed

    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(line)
    assert program == "gridseam"
    group, name = get_command(app), words.pop(0)
    while hasattr(group.commands[name], "commands"):
        group, name = group.commands[name], words.pop(0)
    given = group.commands[name].make_context(name, words).params
    if given.get("scenario") and not given["scenario"].endswith(".yaml"):
        checked = load(given["scenario"], given["variant"])
        keys = {"architecture": "matrix.architecture", "stage": "matrix.stage"}
        for key, values in axes(given["x"]).items():
            whole = key in keys
            for value in [values] if whole else values:
                changed(checked, {keys.get(key, key): value})


def test_what_the_guide_for_ci_expects_can_be_expected(tmp_path):
    (tmp_path / "mine.yaml").write_text(re.findall(r"```yaml\n(.*?)```", GUIDES[0].read_text(), re.DOTALL)[0])
    assert [check.pairing for check in checks(load(tmp_path / "mine.yaml"))] == [("local", 1), ("centralized", 2)]


def test_what_the_guide_expects_can_be_expected(tmp_path):
    guide = (ROOT / "docs" / "results.md").read_text()
    blocks = re.findall(r"```(\w+)\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "mine.py").write_text(next(text for kind, text in blocks if kind == "python" and "def worst" in text))
    (tmp_path / "kpis.csv").write_text("architecture,stage,seed,kpi,unit,value\n")
    scenario = (ROOT / "scenarios" / "library" / "three_cells.yaml").read_text()
    (tmp_path / "own.yaml").write_text(scenario + next(text for kind, text in blocks if kind == "yaml"))
    loaded = load(tmp_path / "own.yaml")
    assert len(checks(loaded)) == 12 + 6 + 1 + 12 + 12
    assert own_kpi("./mine.py:worst", tmp_path).better == "higher"


def test_every_linked_file_exists():
    guides = [f"docs/guides/{guide.name}" for guide in GUIDES]
    for document in ("README.md", "CONTRIBUTING.md", "docs/nomenclature.md", "docs/results.md", *guides):
        for target in re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", (ROOT / document).read_text()):
            assert (ROOT / document).parent.joinpath(target).exists(), target


def test_the_nomenclature_states_the_stage_of_every_duty():
    text = (ROOT / "docs" / "nomenclature.md").read_text()
    for duty, stage in FROM_STAGE.items():
        assert f"`{duty}` {stage}" in text
