from pathlib import Path

import pytest
from typer.testing import CliRunner

from gridseam.cli import app
from sims.core.errors import ScenarioError

pytest.importorskip("pymodbus.client", reason="the extra 'modbus' is not installed")

SMALL = Path(__file__).parents[1] / "scenarios" / "data" / "small.yaml"


def serve(*args):
    return CliRunner().invoke(app, ["serve-rtu", *map(str, args)])


def test_a_scenario_is_served_and_its_run_file_after_it(tmp_path):
    live = serve(
        SMALL, "--pace", 0, "--port", 0, "--feeder", "dso_1.f02", "--architecture", "local", "--stage", 1,
        "--out", tmp_path, "-x", "time.duration=3 min", "-x", "disturbances=[]",
    )  # fmt: skip
    assert live.exit_code == 0, live.output
    place, run = live.output.split("\n")[0], Path(live.output.split("\n")[-2])
    assert place.startswith("dso_1.f02: 127.0.0.1:")
    assert run == tmp_path / "local-1.h5"
    again = serve(run, "--pace", 0, "--port", 0)
    assert again.exit_code == 0, again.output
    assert [line.split(":")[0] for line in again.output.split()[::2]] == [
        "dso_1.f01", "dso_1.f02", "dso_2.f01", "dso_3.f01",
    ]  # fmt: skip


def test_what_a_user_does_wrong(tmp_path):
    with pytest.raises(ScenarioError, match="pace: -1 must be 0 or above"):
        raise serve(SMALL, "--pace", -1).exception
    assert serve(SMALL, "-x", "seed=1,2").exit_code == 2
    asked = ["--feeder", "dso_1.f9", "--out", tmp_path, "--port", 0]
    with pytest.raises(ScenarioError, match=r"there is no feeder 'dso_1\.f9'"):
        raise serve(SMALL, *asked).exception
    assert not list(tmp_path.glob("*.h5"))
