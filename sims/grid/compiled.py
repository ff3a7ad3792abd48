"""A pandapower net as arrays: read once, never touched again inside the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sims.core.errors import GridError
from sims.grid.parts import BoolArray, ComplexArray, Elements, FloatArray, IntArray, Switches, TapTable
from sims.grid.supply import dead_ends, trace

__all__ = ["CompiledNet", "Elements", "Switches", "TapTable"]


@dataclass(frozen=True, eq=False)
class CompiledNet:
    """A grid as arrays, with pandapower's own branch parameters.

    Complex quantities are per unit on `base_mva` and the nodes' nominal voltages. A node is a set of buses
    joined by closed ideal bus switches, or the star point of a three-winding transformer. Every branch of
    the net has a row, in service or not; its admittances are zero where it carries nothing.

    Parameters
    ----------
    name : str
    base_mva, f_hz : float
    node_bus : ndarray of int [node]
        First pandapower bus of the node; -1 for star points.
    bus_node : dict
        pandapower bus -> node.
    vn_kv : ndarray [node]
    lon, lat : ndarray [node]
        Degrees, NaN where the net has no position.
    roots : ndarray of int [root]
        Nodes whose voltage is given.
    root_v : ndarray of complex [root]
        Their set-points [pu].
    branch_kind, branch_element : ndarray of str, of int [branch]
        ``line``, ``trafo``, ``trafo3w`` (three rows each), ``impedance``, ``switch`` (with impedance); its index.
    branch_side : ndarray of int [branch]
        0, 1, 2 for the high, middle and low side of a three-winding transformer, else 0.
    branch_from, branch_to : ndarray of int [branch]
    branch_in_service : ndarray of bool [branch]
        The in-service flag alone; `joined` tells what also has both ends closed and supplied.
    y_raw : ndarray of complex [4, branch]
        y_ff, y_ft, y_tf, y_tt as if in service with both ends closed.
    y_ff, y_ft, y_tf, y_tt : ndarray of complex [branch]
        As switched; a branch fed at one end only keeps its charging as y_ff or y_tt.
    rating_from, rating_to : ndarray [branch]
        Current at each end that pandapower calls 100 % loading [pu]; NaN where it knows none.
    shunt_y : ndarray of complex [node]
        Shunts and the constant-impedance part of wards.
    fixed_p_mw, fixed_q_mvar : ndarray [node]
        Injections of motors, wards and asymmetric elements.
    elements : dict
        ``load``, ``sgen``, ``storage``, ``gen`` -> `Elements`.
    switches : Switches
    switch_closed : ndarray of bool [switch]
        State in this variant.
    taps : tuple of TapTable
        One per transformer, two-winding first, in pandapower's order.
    node_in_service : ndarray of bool [node]
    rep : ndarray of int [node]
        The node standing electrically for this one; itself unless a bus switch joins them.
    live : ndarray of bool [node]
        Connected to a root; the others are dark.
    joined : ndarray of bool [branch]
        In service, both ends closed, both nodes live.
    radial : bool
    order : ndarray of int
        Live nodes from the roots outwards, each electrical node once.
    parent, parent_branch : ndarray of int [node]
        Towards the root; -1 where there is none and everywhere in a meshed grid.
    origin : callable
        Gives the pandapower net behind the arrays, which only exports and reactive limits ask for.
    """

    name: str
    base_mva: float
    f_hz: float
    node_bus: IntArray
    bus_node: dict[int, int]
    vn_kv: FloatArray
    lon: FloatArray
    lat: FloatArray
    roots: IntArray
    root_v: ComplexArray
    branch_kind: Any
    branch_element: IntArray
    branch_side: IntArray
    branch_from: IntArray
    branch_to: IntArray
    branch_in_service: BoolArray
    y_raw: ComplexArray
    y_ff: ComplexArray
    y_ft: ComplexArray
    y_tf: ComplexArray
    y_tt: ComplexArray
    rating_from: FloatArray
    rating_to: FloatArray
    shunt_y: ComplexArray
    fixed_p_mw: FloatArray
    fixed_q_mvar: FloatArray
    elements: dict[str, Elements]
    switches: Switches
    switch_closed: BoolArray
    taps: tuple[TapTable, ...]
    node_in_service: BoolArray
    rep: IntArray
    live: BoolArray
    joined: BoolArray
    radial: bool
    order: IntArray
    parent: IntArray
    parent_branch: IntArray
    origin: Callable[[], Any]

    @classmethod
    def from_net(
        cls, net: Any, name: str | None = None, *, merge_roots: bool = False, split: bool = False,
        allow_dark: bool = False,
    ) -> CompiledNet:
        """Compile a pandapower net; the net itself is left as it is.

        Parameters
        ----------
        net : pandapowerNet
        name : str, optional
            For messages; the net's own name by default.
        merge_roots : bool
            Make all ext_grid buses one node: infeeds hanging on the same busbar upstream.
        split : bool
            Keep every bus as a node of its own, so that `TopologyVariants` can open bus-bus switches.
        allow_dark : bool
            Accept an island that has loads or generation but no slack.

        Raises
        ------
        GridError
            Missing slack, island without slack, NaN parameter, unknown bus, unsupported element.
        """
        from sims.grid import translation  # with it comes pandapower, which a grid kept as arrays does without
        from sims.grid.sanitise import check, sanitised

        name = str(name or net.get("name") or "net")
        check(net, name)
        lean = sanitised(net)
        full = translation.everything_on(lean)
        try:
            ppc, lookups = translation.per_unit(full)
        except GridError:
            raise
        except Exception as err:
            raise GridError(f"net {name}: pandapower cannot build its matrices: {err}") from err
        built = translation.branches(lean, full, ppc, lookups)
        row_node, node_bus, bus_node = _nodes(lean, ppc, lookups, merge_roots=merge_roots, split=split)
        n = len(node_bus)
        ends = row_node[built.pop("ends")]
        on = built.pop("on")
        vn_row, y_row, p_row, q_row = translation.buses(ppc)
        shunt_y = np.zeros(n, dtype=np.complex128)
        fixed_p, fixed_q, vn_kv = np.zeros(n), np.zeros(n), np.zeros(n)
        np.add.at(shunt_y, row_node, y_row)
        np.add.at(fixed_p, row_node, p_row)
        np.add.at(fixed_q, row_node, q_row)
        vn_kv[row_node] = vn_row
        in_service = np.ones(n, dtype=bool)
        in_service[node_bus >= 0] = lean.bus["in_service"].loc[node_bus[node_bus >= 0]].to_numpy(bool)
        roots, root_v = _roots(lean, bus_node, name)
        lon, lat = translation.positions(lean, node_bus)
        table = translation.switches(lean, built, bus_node)
        none = np.zeros(0, dtype=np.int64)
        blank = np.zeros(len(on), dtype=np.complex128)
        compiled = cls(
            name=name, base_mva=float(ppc["baseMVA"]), f_hz=float(lean.f_hz), node_bus=node_bus,
            bus_node=bus_node, vn_kv=vn_kv, lon=lon, lat=lat, roots=roots, root_v=root_v,
            branch_from=ends[:, 0].copy(), branch_to=ends[:, 1].copy(), branch_in_service=on,
            y_ff=blank, y_ft=blank, y_tf=blank, y_tt=blank, shunt_y=shunt_y, fixed_p_mw=fixed_p,
            fixed_q_mvar=fixed_q, elements=translation.elements(lean, bus_node), switches=table,
            switch_closed=table.closed.copy(),
            taps=translation.tap_tables(full, built, bus_node),
            node_in_service=in_service, rep=none, live=none.astype(bool), joined=none.astype(bool),
            radial=False, order=none, parent=none, parent_branch=none, origin=lambda: lean, **built,
        ).switched(table.closed, on)
        if not allow_dark:
            _refuse_islands(compiled)
        return compiled

    def switched(self, closed: BoolArray, in_service: BoolArray) -> CompiledNet:
        """Return this grid under other switch states; nodes and branches keep their numbers.

        Parameters
        ----------
        closed : ndarray of bool [switch]
        in_service : ndarray of bool [branch]
        """
        table = self.switches
        ends = np.ones((2, self.n_branches), dtype=bool)
        at_branch = (table.end >= 0) & ~closed
        ends[table.end[at_branch], table.branch[at_branch]] = False
        ends[:, table.branch[(table.end < 0) & (table.branch >= 0) & ~closed]] = False
        is_line = self.branch_kind == "line"
        ok_f, ok_t = self.node_in_service[self.branch_from], self.node_in_service[self.branch_to]
        on = in_service & (is_line | (ok_f & ok_t))
        from_closed, to_closed = on & ends[0] & ok_f, on & ends[1] & ok_t
        bus_bus = (table.branch < 0) & closed & (table.far_node >= 0)
        bus_bus &= self.node_in_service[table.node] & self.node_in_service[table.far_node]
        fused = np.stack((table.node[bus_bus], table.far_node[bus_bus]), axis=1)
        supply = trace(
            self.n_nodes, self.roots, self.branch_from, self.branch_to, from_closed & to_closed,
            self.node_in_service, fused[fused[:, 0] != fused[:, 1]],
        )
        from_closed &= supply.live[self.branch_from]
        to_closed &= supply.live[self.branch_to]
        y = dead_ends(self.y_raw, from_closed, to_closed)
        return replace(
            self, y_ff=y[0], y_ft=y[1], y_tf=y[2], y_tt=y[3], switch_closed=closed.copy(),
            branch_in_service=in_service.copy(), rep=supply.rep, live=supply.live, joined=supply.joined,
            radial=supply.radial, order=supply.order, parent=supply.parent,
            parent_branch=supply.parent_branch,
        )

    @property
    def net(self) -> Any:
        """The lean pandapower net behind the arrays; do not change it (deep-copy first)."""
        return self.origin()

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.node_bus)

    @property
    def n_branches(self) -> int:
        """Number of branches."""
        return len(self.branch_from)

    @property
    def dark(self) -> IntArray:
        """Nodes without supply."""
        return np.nonzero(~self.live)[0]

    @property
    def rating(self) -> FloatArray:
        """Rated apparent power of each branch at nominal voltage [MVA]."""
        return np.fmin(self.rating_from, self.rating_to) * self.base_mva

    def node(self, bus: int) -> int:
        """Return the node of a pandapower bus.

        Raises
        ------
        GridError
            Unknown bus.
        """
        try:
            return self.bus_node[int(bus)]
        except KeyError:
            close = sorted(self.bus_node, key=lambda b: abs(b - int(bus)))[:3]
            raise GridError(f"net {self.name}: bus {bus} does not exist (near it: {close})") from None

    def branch(self, kind: str, element: int, side: int = 0) -> int:
        """Return the row of a pandapower branch element.

        Raises
        ------
        GridError
            Unknown element.
        """
        hit = (self.branch_kind == kind) & (self.branch_element == element) & (self.branch_side == side)
        rows = np.nonzero(hit)[0]
        if not len(rows):
            raise GridError(f"net {self.name}: {kind} {element} does not exist")
        return int(rows[0])

    def nominal(self) -> tuple[FloatArray, FloatArray]:
        """Return the net's own injections (p_mw[node], q_mvar[node]), generators' P included."""
        p, q = self.fixed_p_mw.copy(), self.fixed_q_mvar.copy()
        for group in self.elements.values():
            np.add.at(p, group.node, group.p_mw)
            np.add.at(q, group.node, group.q_mvar)
        return p, q


def _nodes(
    net: Any, ppc: dict[str, Any], lookups: dict[str, Any], *, merge_roots: bool, split: bool
) -> tuple[IntArray, IntArray, dict[int, int]]:
    """Return the node of each ppc row, the first bus of each node, and bus -> node."""
    lookup = lookups["bus"]
    lead = {int(b): int(b) for b in net.bus.index}

    def top(bus: int) -> int:
        while lead[bus] != bus:
            bus = lead[bus]
        return bus

    on = net.bus["in_service"]
    if not split:
        z = net.switch["z_ohm"].fillna(0).to_numpy(float) if "z_ohm" in net.switch else np.zeros(len(net.switch))
        hit = (net.switch["et"] == "b").to_numpy() & net.switch["closed"].to_numpy(bool) & (z == 0)
        for a, b in net.switch.loc[hit, ["bus", "element"]].to_numpy(np.int64):
            if on[a] and on[b]:
                a, b = top(int(a)), top(int(b))
                lead[max(a, b)] = min(a, b)
    if merge_roots:
        slack = [top(int(b)) for b in net.ext_grid.loc[net.ext_grid["in_service"], "bus"]]
        for bus in slack:
            lead[max(top(bus), top(slack[0]))] = min(top(bus), top(slack[0]))
    heads = sorted({top(b) for b in lead})
    number = {bus: node for node, bus in enumerate(heads)}
    bus_node = {bus: number[top(bus)] for bus in lead}
    row_node = np.full(len(ppc["bus"]), -1, dtype=np.int64)
    for bus, node in bus_node.items():
        row_node[lookup[bus]] = node
    stars = np.nonzero(row_node < 0)[0]
    row_node[stars] = len(heads) + np.arange(len(stars))
    return row_node, np.array(heads + [-1] * len(stars), dtype=np.int64), bus_node


def _roots(net: Any, bus_node: dict[int, int], name: str) -> tuple[IntArray, ComplexArray]:
    """Return slack nodes and their set-points, refusing two different set-points at one node."""
    found: dict[int, complex] = {}
    slack = [("ext_grid", i, r) for i, r in net.ext_grid[net.ext_grid["in_service"]].iterrows()]
    if len(net.gen) and "slack" in net.gen:
        gens = net.gen[net.gen["slack"].fillna(False).astype(bool) & net.gen["in_service"]]
        slack += [("gen", i, r) for i, r in gens.iterrows()]
    for kind, index, row in slack:
        angle = float(row["va_degree"]) if "va_degree" in row and np.isfinite(row["va_degree"]) else 0.0
        v = complex(float(row["vm_pu"]) * np.exp(1j * np.deg2rad(angle)))
        node = bus_node[int(row["bus"])]
        if abs(found.setdefault(node, v) - v) > 1e-9:
            raise GridError(f"net {name}: {kind} {index}: sets {v} where another slack on the same node sets "
                            f"{found[node]}; give them one set-point")
    return np.array(list(found), dtype=np.int64), np.array(list(found.values()), dtype=np.complex128)


def _refuse_islands(compiled: CompiledNet) -> None:
    """Refuse a base grid in which an element in service is not connected to a slack."""
    faults = [
        f"net {compiled.name}: {kind} {group.index[i]} at bus {compiled.node_bus[group.node[i]]} is in service "
        "on an island without slack; close a switch, add an ext_grid, or compile with allow_dark=True"
        for kind, group in compiled.elements.items()
        for i in np.nonzero(group.in_service & ~compiled.live[group.node])[0]
    ]
    if faults:
        raise GridError("\n".join(faults[:10] + ([f"... and {len(faults) - 10} more"] if len(faults) > 10 else [])))
