"""Grids that a user brings: the same power flow in every format, and what is left out is said."""

import copy
import importlib.util
import json
import zipfile
from pathlib import Path

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest
from pandapower.converter.matpower.to_mpc import to_mpc

from scenarios import brought, formats, shelf
from scenarios.brought import read
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.meshed import MeshedPowerFlow

CGMES = Path(__file__).parents[1] / "data" / "grids" / "cgmes"
simbench = pytest.mark.skipif(importlib.util.find_spec("simbench") is None, reason="needs the extra simbench")
text_cases = pytest.mark.skipif(importlib.util.find_spec("matpowercaseframes") is None, reason="needs the extra grids")


def _v(net):
    engine = MeshedPowerFlow(net)
    assert engine.solve()
    return np.array([engine.vm[engine.compiled.node(bus)] for bus in sorted(net.bus.index)])


@pytest.mark.parametrize("suffix", ["json", "xlsx"])
def test_pandapowers_own_formats(tmp_path, suffix):
    net = pn.create_cigre_network_mv()
    (pp.to_json if suffix == "json" else pp.to_excel)(net, str(tmp_path / f"mine.{suffix}"))
    found = read(f"./mine.{suffix}", tmp_path)
    assert found.counts == {"bus": 15, "line": 15, "trafo": 2, "switch": 8, "ext_grid": 1, "load": 18}
    assert found.left_out == ()
    np.testing.assert_allclose(_v(found.net), _v(net), rtol=0, atol=1e-12)


def test_a_matpower_case_as_data(tmp_path):
    net = pn.case14()
    to_mpc(net, str(tmp_path / "case14.mat"), init="flat")
    found = read("./case14.mat", tmp_path)
    np.testing.assert_allclose(_v(found.net), _v(net), rtol=0, atol=1e-9)
    assert any("lines have no rating" in line for line in found.left_out)
    assert "5 costs: the power flow has no use for them" in found.left_out


CASE3 = """function mpc = case3
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
    1 3 0 0 0 0 1 1 0 20 1 1.1 0.9;
    2 1 2 1 0 0 1 1 0 20 1 1.1 0.9;
    3 1 1 0.4 0 0.5 1 1 0 20 1 1.1 0.9;
];
mpc.gen = [
    1 0 0 9 -9 1.02 10 1 9 0 0 0 0 0 0 0 0 0 0 0 0;
];
mpc.branch = [
    1 2 0.025 0.05 0.001 5 5 5 0 0 1 -360 360;
    2 3 0.010 0.02 0.000 5 5 5 0 0 1 -360 360;
];
mpc.areas = [
    1 1;
];
"""


@text_cases
def test_a_matpower_case_as_text_against_the_equations(tmp_path):
    (tmp_path / "case3.m").write_text(CASE3)
    found = read("./case3.m", tmp_path)
    assert "mpc.areas: not converted" in found.left_out
    engine = MeshedPowerFlow(found.net)
    assert engine.solve()
    grid = engine.compiled
    v1, v2, v3 = (engine.v[grid.node(bus)] for bus in sorted(found.net.bus.index))
    y12, y23 = 1 / (0.025 + 0.05j), 1 / (0.010 + 0.02j)
    assert v1 == pytest.approx(1.02)
    assert v2 * np.conj(y12 * (v2 - v1) + 0.0005j * v2 + y23 * (v2 - v3)) == pytest.approx(-0.2 - 0.1j, abs=1e-9)
    assert v3 * np.conj(y23 * (v3 - v2) + 0.05j * v3) == pytest.approx(-0.1 - 0.04j, abs=1e-9)


def test_cgmes_through_pandapowers_converter(tmp_path):
    with zipfile.ZipFile(tmp_path / "grid.zip", "w") as archive:
        for path in CGMES.glob("*.xml"):
            archive.write(path, path.name)
    found = read("./grid.zip", tmp_path)
    assert found.counts["line"] == 1
    assert found.counts["load"] == 1
    assert found.counts["ext_grid"] == 1
    assert "1 FrequencyConverter: not converted" in found.left_out
    engine = MeshedPowerFlow(found.net)
    assert engine.solve()
    far = engine.compiled.node(int(found.net.load.bus.iloc[0]))
    near = engine.compiled.node(int(found.net.ext_grid.bus.iloc[0]))
    y = 400 / (1 + 2j)
    assert engine.v[far] * np.conj(y * (engine.v[far] - engine.v[near])) == pytest.approx(-2 - 1j, abs=1e-6)


@simbench
def test_simbench_comes_once_and_is_then_kept(tmp_path, monkeypatch):
    import simbench

    came, fetch = [], simbench.get_simbench_net

    def counted(code, **where):
        came.append(copy.deepcopy(came[0]) if came else fetch(code, **where))
        return came[-1]

    monkeypatch.setattr(simbench, "get_simbench_net", counted)
    monkeypatch.setenv(shelf.FOLDER, str(tmp_path))
    first = read("simbench:1-LV-rural1--0-sw")
    kept = next(tmp_path.glob("simbench-*.kept"))
    np.testing.assert_array_equal(_v(read("simbench:1-LV-rural1--0-sw").net), _v(first.net))
    assert len(came) == 1
    assert first.counts["bus"] == 15
    assert "profiles" not in first.net
    kept.write_bytes(kept.read_bytes()[:1000])  # a write that was cut off
    np.testing.assert_array_equal(_v(read("simbench:1-LV-rural1--0-sw").net), _v(first.net))
    assert len(came) == 2


@simbench
def test_only_the_years_of_profiles_are_left_unread():
    import simbench

    whole = Path(simbench.complete_data_path(0))
    with brought._without_years(str(whole)) as brief:
        assert {path.name for path in Path(brief).iterdir()} == {path.name for path in whole.glob("*.csv")}
        for path in Path(brief).iterdir():
            if "Profile" in path.name:
                with (whole / path.name).open("rb") as table:
                    assert path.read_bytes().splitlines(True) == [table.readline(), table.readline()]
            else:
                assert path.read_bytes() == (whole / path.name).read_bytes()


@simbench
def test_a_simbench_code_that_does_not_exist_is_named():
    with pytest.raises(GridError, match=r"grid simbench:1-LV-rural9--0-sw: simbench .* has no such code"):
        read("simbench:1-LV-rural9--0-sw")


def test_without_simbench_the_remedy_is_named(monkeypatch):
    def absent(name):
        raise brought.PackageNotFoundError(name)

    monkeypatch.setattr(brought, "version", absent)
    with pytest.raises(GridError, match=r"pip install 'gridseam\[simbench\]'"):
        read("simbench:1-MV-rural--0-sw")


@pytest.mark.parametrize(
    "name", ["simbench:1-MV-rural--0-sw", "simbench:1-HVMV-mixed-1.105-2-no_sw", "./a.M", "../b.zip"]
)
def test_names_are_judged_without_reading(name):
    assert formats.fault(name) == ""


@pytest.mark.parametrize(("name", "said"), [("simbench:MV", "is no SimBench code"), ("./a.p", "nor a ./file.json")])
def test_wrong_names_say_what_is_right(name, said):
    assert said in formats.fault(name)


def test_what_is_not_modelled_is_said(tmp_path):
    net = pn.create_cigre_network_mv()
    pp.create_measurement(net, "v", "bus", 1.0, 0.01, 3)
    pp.create_xward(net, 3, 0, 0, 0, 0, 0.1, 0.1, 1.0)
    pp.to_json(net, str(tmp_path / "mine.json"))
    assert read("./mine.json", tmp_path).left_out == (
        "1 xward: not modelled; the grid is refused while any is in service",
        "1 measurements: the power flow has no use for them",
    )


def test_a_workbook_may_not_name_code(tmp_path):
    net = pn.create_cigre_network_mv()
    net.load["object"] = None
    net.load.loc[0, "object"] = json.dumps({"_module": "os.path", "_class": "x", "_object": {}})
    pp.to_excel(net, str(tmp_path / "mine.xlsx"))
    with pytest.raises(GridError, match=r"grid mine.xlsx: sheet load, column object: names the module 'os.path'"):
        read("./mine.xlsx", tmp_path)


def _bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", b" " * 300_000_000)


def _entities(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.xml", '<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>')


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("a.zip", _bomb, "unpacks to 300 MB"),
        ("a.zip", _entities, "declares entities"),
        ("a.zip", lambda path: path.write_bytes(b"PK"), "not a zip file"),
        ("a.xlsx", lambda path: path.write_bytes(b"PK"), "not a zip file"),
        ("a.mat", lambda path: path.write_bytes(b"x" * 200), ""),
        ("a.json", lambda path: path.write_text("{}"), "is no pandapower net"),
    ],
)
def test_damaged_and_hostile_files_are_one_message(tmp_path, name, write, said):
    write(tmp_path / name)
    with pytest.raises(GridError, match=rf"grid {name}: .*{said}"):
        read(f"./{name}", tmp_path)


@pytest.mark.parametrize("name", ["./none.json", "./none.xlsx", "./none.mat", "./none.zip"])
def test_an_absent_file_is_named(tmp_path, name):
    with pytest.raises(GridError, match=r"grid none.*cannot be read"):
        read(name, tmp_path)


@simbench
def test_simbenchs_mv_grid_serves_as_a_feeder():
    from scenarios.nets import net

    grid = CompiledNet.from_net(net("simbench:1-MV-rural--0-sw"))
    assert grid.radial
