import json

import pandapower as pp
import pandapower.networks as pn
import pytest
from typer.testing import CliRunner

from gridseam.cli import app
from sims.core.errors import GridError


def _run(*args):
    result = CliRunner().invoke(app, [str(a) for a in args])
    if isinstance(result.exception, GridError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def multi(tmp_path_factory):
    net = pn.example_multivoltage()
    for table in ("xward",):
        net[table].drop(net[table].index, inplace=True)
    path = tmp_path_factory.mktemp("grid") / "multi.json"
    pp.to_json(net, str(path))
    return path


def test_show_counts_names_levels_and_judges(multi):
    out = _run("grid", "show", multi)
    assert out.startswith("multi.json: 57 bus, 25 line")
    assert "380 kV" in out
    assert "meshed" in out


def test_split_and_join_again(multi, tmp_path):
    out = _run("grid", "split", multi, "--at", "20", "--out", tmp_path / "parts", "--check")
    assert "dso_1" in out
    assert float(out.split()[-2]) < 1e-7
    boundary = json.loads((tmp_path / "parts" / "cut.json").read_text())["boundary"]
    assert set(boundary) == {p.stem for p in (tmp_path / "parts").glob("dso_*.json")}
    _run("grid", "join", tmp_path / "parts", "--out", tmp_path / "again.json")
    again, net = pp.from_json(str(tmp_path / "again.json")), pp.from_json(str(multi))
    pp.runpp(again, calculate_voltage_angles=True)
    pp.runpp(net, calculate_voltage_angles=True)
    assert again.res_bus.vm_pu.to_numpy() == pytest.approx(net.res_bus.vm_pu.to_numpy(), abs=1e-10, nan_ok=True)


def test_what_is_in_the_way_is_named(multi, tmp_path):
    (tmp_path / "cut.json").write_text("{}")
    with pytest.raises(GridError, match="holds the parts of another cut"):
        _run("grid", "split", multi, "--at", "20", "--out", tmp_path)
    with pytest.raises(GridError, match="holds no cut net"):
        _run("grid", "join", tmp_path, "--out", tmp_path / "x.json")
    with pytest.raises(GridError, match="there is no transformer 'nothing'"):
        _run("grid", "split", multi, "--at", "nothing", "--out", tmp_path / "other")
