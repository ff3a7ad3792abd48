"""Where things are: kilometres along the grid, electrical distance, GeoJSON, and who is nearest to a violation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from controllers.belief import DeviceBelief
from controllers.dms.network import Floats, Ints, Network, Topology
from sims.core.errors import GridError


@dataclass(frozen=True, eq=False)
class Ranking:
    """Devices by how much they can do about a place, the most effective first.

    Parameters
    ----------
    row : int array [device]
        Rows of the device register.
    z_ohm, way_km : array [device]
        Size of the mutual impedance Z_ij to the place, seen at the place's voltage; way along the lines.
    """

    row: Ints
    z_ohm: Floats
    way_km: Floats


def positions(net: Network) -> Floats:
    """Return longitude and latitude [node, 2].

    Raises
    ------
    GridError
        The grid has no positions; which nodes lack them is said.
    """
    g = net.grid
    missing = np.flatnonzero(~(np.isfinite(g.lon) & np.isfinite(g.lat)) & (g.node_bus >= 0))
    if len(missing):
        raise GridError(f"net {g.name}: {len(missing)} of {g.n_nodes} nodes have no position (first: bus "
                        f"{int(g.node_bus[missing[0]])}); fill the column geo of the bus table to draw maps")
    return np.stack((g.lon, g.lat), axis=1)


def line_km(net: Network) -> Floats:
    """Return the length of every branch [km]; 0 for what is no line."""
    g = net.grid
    table = g.net.line["length_km"]
    out = np.zeros(g.n_branches)
    rows = np.flatnonzero(g.branch_kind == "line")
    out[rows] = table.reindex(g.branch_element[rows]).to_numpy(float)
    return out


def way_km(topology: Topology, nodes: Iterable[int], length_km: Floats) -> Floats:
    """Return the way along closed lines from each of `nodes` to every node [place, node]; inf where there is none.

    Parameters
    ----------
    length_km : array [branch]
        From `line_km`; busbars with several transformers are one place.
    """
    g, n = topology.net.grid, topology.net.grid.n_nodes
    rows = np.flatnonzero(topology.joined)
    f, t = topology.rep[g.branch_from[rows]], topology.rep[g.branch_to[rows]]
    length = np.maximum(length_km[rows], 1e-9)  # scipy takes an edge of length 0 for none
    graph = csr_matrix((length, (f, t)), shape=(n, n))
    start = topology.rep[np.asarray(list(nodes), dtype=np.int64)]
    far = dijkstra(graph, directed=False, indices=start)
    found: Floats = np.where(topology.live[None, :] & topology.live[start][:, None], far[:, topology.rep], np.inf)
    return np.where(found < 1e-6, 0.0, found)


def electrical_ohm(topology: Topology, node: int) -> Floats:
    """Return the size of the mutual impedance between `node` and every node [ohm], at the voltage of `node`.

    |Z_ij| tells how far an injection at i moves the voltage at j; where only the busbar is common, it is what
    the transformers behind the busbar contribute. Nodes in the dark have nan.
    """
    net, g = topology.net, topology.net.grid
    at = topology.at[node]
    if not topology.live[node]:
        raise GridError(f"net {g.name}: bus {int(g.node_bus[node])} is not supplied; nothing acts on it")
    out = np.full(g.n_nodes, np.nan, dtype=complex)
    anchors = np.isin(topology.rep, topology.rep[net.anchor])
    w = np.zeros((g.n_nodes, len(net.anchor)), dtype=complex)
    hit = topology.at >= 0
    w[hit] = topology.w[topology.at[hit]]
    for a, anchor in enumerate(topology.rep[net.anchor]):
        w[topology.rep == anchor, a] = 1.0
    shared = (w * net.z_feed) @ w[node]
    out[anchors] = shared[anchors]
    out[hit] = shared[hit]
    if at >= 0:
        out[hit] += topology.z[topology.at[hit], at]
    base_ohm = g.vn_kv[node] ** 2 / g.base_mva
    found: Floats = np.where(topology.live, np.abs(out), np.nan) * base_ohm
    return found


def nearest_resources(
    topology: Topology, devices: DeviceBelief, node: int, length_km: Floats | None = None, kinds: Sequence[str] = (),
    most: int = 10,
) -> Ranking:
    """Return the devices that act most on the voltage at `node`, those that take commands.

    Electrical distance counts, not kilometres: what hangs on another branch may be near and of no use. Without
    `length_km` the ways are nan.
    """
    may = devices.controllable if not kinds else devices.controllable & np.isin(devices.kind, list(kinds))
    rows = np.flatnonzero(may & topology.live[devices.node])
    z = electrical_ohm(topology, node)[devices.node[rows]]
    km = np.full(len(rows), np.nan)
    if length_km is not None:
        km = way_km(topology, [node], length_km)[0][devices.node[rows]]
    order = np.lexsort((rows, km, -np.round(z, 9)))[:most]
    return Ranking(rows[order], z[order], km[order])


def geojson(
    net: Network, topology: Topology | None = None, nodes: Mapping[str, Sequence[Any]] | None = None,
    branches: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Return the grid as a GeoJSON FeatureCollection (RFC 7946): a point a node, a line string a branch.

    Parameters
    ----------
    topology : Topology, optional
        Tells what is supplied; left out, nothing is said about it.
    nodes, branches : mapping of str to sequence, optional
        Further properties, one value a node or a branch.
    """
    g, place = net.grid, positions(net)
    features = []
    for node in range(g.n_nodes):
        facts: dict[str, Any] = {"node": node, "bus": int(g.node_bus[node]), "vn_kv": float(g.vn_kv[node])}
        if topology is not None:
            facts["supplied"] = bool(topology.live[node])
        facts |= {key: _plain(values[node]) for key, values in (nodes or {}).items()}
        features.append(_feature("Point", place[node].tolist(), facts))
    for row in range(g.n_branches):
        facts = {"kind": str(g.branch_kind[row]), "index": int(g.branch_element[row])}
        if topology is not None:
            facts["closed"] = bool(topology.closed[row])
        facts |= {key: _plain(values[row]) for key, values in (branches or {}).items()}
        ends = place[[g.branch_from[row], g.branch_to[row]]].tolist()
        features.append(_feature("LineString", ends, facts))
    return {"type": "FeatureCollection", "features": features}


def _feature(kind: str, coordinates: Any, facts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": facts}


def _plain(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not np.isfinite(plain) else plain
