import json
import random

import pandapower.networks as pn
import pytest

from scenarios import nets
from scenarios.schema_grid import SHIPPED_GRIDS
from sims.core.errors import GridError


def test_every_grid_that_a_scenario_can_name_is_there():
    assert set(nets.GRIDS) == set(SHIPPED_GRIDS)


@pytest.mark.parametrize("name", SHIPPED_GRIDS)
def test_they_solve_and_come_without_generators_and_with_tap_changers(name):
    net = nets.net(name)
    assert len(net.sgen) == len(net.storage) == 0
    large = net.trafo[net.trafo.vn_hv_kv > 60]
    assert len(large)
    assert (large.tap_changer_type == "Ratio").all()
    assert large.tap_step_percent.notna().all()


def test_mv_oberrhein_is_the_load_case_of_its_publisher():
    theirs, ours = pn.mv_oberrhein("load"), nets.net("mv_oberrhein")
    at = theirs.load.sort_values("bus"), ours.load.sort_values("bus")
    p = [(t.p_mw * t.scaling).to_numpy() for t in at]
    assert p[1] == pytest.approx(p[0])
    assert (ours.load.q_mvar / ours.load.p_mw).to_numpy() == pytest.approx(0.2031)


def test_a_low_voltage_grid_takes_the_place_of_the_load_it_stands_for():
    mv, both = nets.net("cigre_mv"), nets.net("cigre_mv_lv")
    assert 5 in mv.load.bus.to_numpy()
    assert 5 not in both.load.bus.to_numpy()
    assert (both.bus.vn_kv < 1).sum() == (pn.create_cigre_network_lv().bus.vn_kv < 1).sum()
    kerber = nets.net("mv_oberrhein_kerber")
    assert (kerber.bus.vn_kv < 1).sum() > 57
    assert len(kerber.ext_grid) == len(nets.net("mv_oberrhein").ext_grid)


def test_the_village_has_the_same_cables_in_every_process():
    built = []
    for seed in (1, 2):  # wherever pandapower's lot stands
        random.seed(seed)
        first = random.random()
        random.seed(seed)
        nets._published.cache_clear()
        lines = nets.net("mv_oberrhein_kerber").line
        assert random.random() == first, "the lot of others is left where it was"
        built.append(lines.r_ohm_per_km.to_numpy().tolist())
    assert built[0] == built[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "cannot be read as JSON"),
        ('{"a": 1}', "is no pandapower net"),
        (json.dumps({"_module": "os.path", "_class": "x", "_object": {}}), "names the module 'os.path'"),
        (json.dumps({"_object": json.dumps({"_module": "subprocess", "_class": "Popen"})}), "the module 'subprocess'"),
        (json.dumps({"_module": "pandapowerful.x", "_class": "x"}), "names the module 'pandapowerful.x'"),
    ],
)
def test_what_is_no_net_or_names_foreign_code_is_refused(tmp_path, text, said):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(GridError, match=r"grid bad\.json: .*" + said):
        nets.net("./bad.json", tmp_path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GridError, match=r"grid none\.json: cannot be read"):
        nets.net("./none.json", tmp_path)
