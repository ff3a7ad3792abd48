import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from scenarios import catalogue, nets, shelf
from scenarios.schema_grid import SHIPPED_GRIDS
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """An empty folder to keep grids in, and a catalogue that has read none."""
    monkeypatch.setenv(shelf.FOLDER, str(tmp_path / "kept"))
    catalogue.compiled.cache_clear()
    yield tmp_path / "kept"
    catalogue.compiled.cache_clear()


def parts(thing, name=""):
    """Give every array, number and text of a compiled grid with its place."""
    if hasattr(thing, "__dataclass_fields__"):
        thing = {k: v for k, v in vars(thing).items() if not callable(v)}
    if isinstance(thing, dict):
        for key, value in thing.items():
            yield from parts(value, f"{name}.{key}")
    elif isinstance(thing, tuple):
        for k, value in enumerate(thing):
            yield from parts(value, f"{name}.{k}")
    else:
        yield name, thing


@pytest.mark.parametrize("name", SHIPPED_GRIDS)
def test_they_hang_on_one_busbar_and_are_radial(name):
    grid = catalogue.compiled(name)
    assert grid.roots.size == 1, "all infeeds are one busbar"
    assert grid.live.all()
    assert grid.radial


def test_a_grid_off_the_shelf_is_the_compiled_one_to_the_last_bit(own_folder, monkeypatch):
    made = CompiledNet.from_net(nets.net("cigre_mv_lv"), "cigre_mv_lv", merge_roots=True)
    first = catalogue.compiled("cigre_mv_lv")
    catalogue.compiled.cache_clear()
    monkeypatch.setattr(nets, "net", None)  # nobody builds it again
    again = catalogue.compiled("cigre_mv_lv")
    assert again is not first
    for grid in (first, again):
        for (place, theirs), (same_place, ours) in zip(parts(made), parts(grid), strict=True):
            assert place == same_place
            assert np.asarray(theirs).dtype == np.asarray(ours).dtype, place
            np.testing.assert_array_equal(ours, theirs, err_msg=place)


def test_the_net_behind_the_arrays_is_there_for_whoever_asks(own_folder):
    catalogue.compiled("cigre_mv")
    catalogue.compiled.cache_clear()
    grid = catalogue.compiled("cigre_mv")
    assert len(grid.net.bus) == 15
    assert grid.net is grid.net


def test_a_net_of_the_users_own_is_read_again_when_its_file_changes(own_folder, tmp_path):
    net = pn.create_cigre_network_mv(with_der=False)
    pp.to_json(net, str(tmp_path / "own.json"))
    grid = catalogue.compiled("./own.json", tmp_path)
    assert grid.n_nodes == catalogue.compiled("cigre_mv").n_nodes
    catalogue.compiled.cache_clear()
    net.line.loc[0, "length_km"] *= 2
    pp.to_json(net, str(tmp_path / "own.json"))
    longer = catalogue.compiled("./own.json", tmp_path)
    assert longer.y_raw[1, 0] == pytest.approx(grid.y_raw[1, 0] / 2)
    assert len(list(own_folder.glob("grid-*.kept"))) == 3


def test_a_file_that_is_not_there_is_named(own_folder, tmp_path):
    with pytest.raises(GridError, match=r"grid none\.json: cannot be read"):
        catalogue.compiled("./none.json", tmp_path)
    assert not list(own_folder.glob("*.kept"))
