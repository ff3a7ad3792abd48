import json

import numpy as np
import pandapower.networks as pn
import pytest

from controllers.dms.gis import electrical_ohm, geojson, line_km, nearest_resources, positions, way_km
from controllers.dms.network import Network
from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet


@pytest.fixture
def real(kit):
    belief = kit.feeder("oberrhein")
    net = Network(belief.grid)
    return belief, net, net.topology(net.normal)


def test_ways_along_the_grid_follow_the_lines(chain):
    net = Network(CompiledNet.from_net(chain([1.0, 1.0, 1.0], tie=3)))
    top, km = net.topology(net.normal), line_km(net)
    assert km.tolist() == [2.0] * 4
    at = [net.grid.node(b) for b in range(5)]
    far = way_km(top, [at[0], at[2]], km)
    np.testing.assert_allclose(far[:, at], [[0, 2, 4, 6, np.inf], [4, 2, 0, 2, np.inf]])
    closed = net.normal.copy()
    closed[3], closed[1] = True, False
    np.testing.assert_allclose(way_km(net.topology(closed), [at[2]], km)[0, at], [np.inf, np.inf, 0, 2, 4])


def test_electrical_distance_by_hand(chain):
    net = Network(CompiledNet.from_net(chain([1.0, 1.0, 1.0], tie=3)))
    top = net.topology(net.normal)
    at = [net.grid.node(b) for b in range(5)]
    # 2 km of 0.16 + j0.12 make 0.4 ohm; the common way counts.
    np.testing.assert_allclose(electrical_ohm(top, at[2])[at[:4]], [0.0, 0.4, 0.8, 0.8], atol=1e-9)


def test_the_transformer_is_common_to_all_below_it(real):
    belief, net, top = real
    node = int(top.free[-1])
    z = electrical_ohm(top, node)
    busbar = int(np.argmax(top.share[top.at[node]]))
    behind = abs(net.z_feed[busbar]) * belief.grid.vn_kv[node] ** 2 / belief.grid.base_mva
    same = np.flatnonzero((top.at >= 0) & top.live)
    same = same[top.share[top.at[same], busbar] > 0.5]
    assert (z[same] >= behind * (1 - 1e-6)).all()
    assert z[node] >= 0.99 * z[same].max()


def test_the_nearest_resources_are_those_that_move_the_voltage_most(real):
    belief, net, top = real
    node = int(top.free[len(top.free) // 2])
    found = nearest_resources(top, belief.devices, node, line_km(net), kinds=("storage",), most=5)
    assert len(found.row) == 5
    assert (belief.devices.kind[found.row] == "storage").all()
    assert (np.diff(found.z_ohm) <= 1e-9).all()
    v = np.ones(belief.grid.n_nodes, dtype=complex)
    all_storage = np.flatnonzero(belief.devices.kind == "storage")
    moves = np.abs(top.moves(v, belief.devices.node[all_storage], with_feed=True)[top.at[node]])
    assert moves.max() == pytest.approx(moves[all_storage.tolist().index(found.row[0])])


def test_geojson_is_a_feature_collection(real):
    belief, net, top = real
    found = json.loads(json.dumps(geojson(net, top, nodes={"v_pu": np.full(belief.grid.n_nodes, np.nan)})))
    assert found["type"] == "FeatureCollection"
    points = [f for f in found["features"] if f["geometry"]["type"] == "Point"]
    lines = [f for f in found["features"] if f["geometry"]["type"] == "LineString"]
    assert (len(points), len(lines)) == (belief.grid.n_nodes, belief.grid.n_branches)
    assert points[3]["properties"]["v_pu"] is None
    assert points[3]["properties"]["supplied"] is bool(top.live[3])
    a, b = lines[0]["geometry"]["coordinates"]
    assert [a, b] == positions(net)[[belief.grid.branch_from[0], belief.grid.branch_to[0]]].tolist()


def test_a_grid_without_positions_says_which_are_missing():
    net = Network(CompiledNet.from_net(pn.create_kerber_landnetz_freileitung_1(), "kerber"))
    with pytest.raises(GridError, match=r"net kerber: \d+ of \d+ nodes have no position"):
        geojson(net)


def test_a_dark_place_is_refused(chain):
    net = Network(CompiledNet.from_net(chain([1.0, 1.0])))
    closed = net.normal.copy()
    closed[:] = False
    with pytest.raises(GridError, match="bus 1 is not supplied"):
        electrical_ohm(net.topology(closed), net.grid.node(1))
