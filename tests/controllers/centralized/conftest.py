"""A DSO to control: real nets, true states, meters and actuators; the controllers see only the mail."""

import dataclasses
import functools

import numpy as np
import pandapower.networks as pn
import pytest

from controllers.belief import Belief, CellBelief, DeviceBelief, FeederBelief, InterfaceBelief
from controllers.contract import Site
from controllers.dms.network import Network
from controllers.dms.quick_estimation import Feed
from controllers.local.qu import prescribed_q
from sims.core.message import Message
from sims.grid.compiled import CompiledNet


@functools.cache
def grid(kind):
    net = {"oberrhein": pn.mv_oberrhein, "cigre": pn.create_cigre_network_mv, "case33bw": pn.case33bw}[kind]()
    if len(net.trafo):
        net.trafo["shift_degree"] = 0.0
    net.line["max_i_ka"] = net.line["max_i_ka"].clip(upper=0.5)
    return CompiledNet.from_net(net, kind)


def feeder_belief(kind="oberrhein", name="dso_1.f01", pv=1.2, storage=0.2, wind=0.0, first=0):
    g = grid(kind)
    n = g.n_nodes
    p, q = g.nominal()
    load, mvar = np.maximum(-p, 0), np.maximum(-q, 0)
    at = np.flatnonzero(load > 0)
    feeding = np.isin(np.arange(n), g.roots)
    at = at[~feeding[at]]
    rows = [("load", at, load[at], load[at])]
    rows += [(k, at, share * load[at], 1.1 * share * load[at])
             for k, share in (("pv", pv), ("wind", wind), ("storage", storage)) if share]
    kinds = np.concatenate([np.full(len(r[1]), r[0]) for r in rows])
    rated = np.concatenate([r[2] for r in rows])
    devices = DeviceBelief(
        index=np.arange(first, first + len(kinds)), kind=kinds, node=np.concatenate([r[1] for r in rows]),
        p_rated_mw=rated, s_rated_mva=np.concatenate([r[3] for r in rows]),
        energy_mwh=np.where(kinds == "storage", 2 * rated, 0.0), controllable=kinds != "load",
    )
    gateways = tuple(f"{name}.s{i:03d}" if i in set(at.tolist()) else "" for i in range(n))
    return FeederBelief(
        name=name, interface="dso_1.i4", grid=g, devices=devices, gateways=gateways, area=np.zeros(n, dtype=np.int64),
        agents=(f"{name}.a0",), agent_node=np.zeros(1, dtype=np.int64), area_neighbours=((),),
        load_mw=np.where(np.isin(np.arange(n), at), load, 0), load_mvar=np.where(np.isin(np.arange(n), at), mvar, 0),
        customers=(load > 0).astype(np.int64) * 100,
    )


class Field:
    """The truth of one feeder: loads, sun, taps, switches; telemetry out, commands in.

    With `q_u`, PV and wind without a reactive set-point follow Q(U); else they give none.
    """

    def __init__(self, belief, load=0.5, sun=0.0, v_hv=1.0, seed=1, q_u=False):
        self.q_u = q_u
        self.belief, self.net = belief, Network(belief.grid)
        self.load, self.sun, self.v_hv = load, sun, v_hv
        self.closed = self.net.normal.copy()
        d = belief.devices
        self.spread = np.random.default_rng(seed).uniform(0.7, 1.3, belief.grid.n_nodes)
        self.p_max = np.full(len(d.index), np.inf)
        self.p_set = np.zeros(len(d.index))
        self.q_set = np.zeros(len(d.index))
        self.q_told = np.zeros(len(d.index), dtype=bool)
        tables = {t.element: t for t in belief.grid.taps}
        self.tables = [tables[int(t)] for t in self.net.feed_trafo]
        self.taps = np.array([t.initial for t in self.tables])
        self.v_set = np.ones(len(self.taps))
        self.fault = -1
        self.trips = 0
        self.solve()

    def available(self):
        d = self.belief.devices
        return np.where(np.isin(d.kind, ("pv", "wind", "chp")), self.sun * d.p_rated_mw, 0.0)

    def solve(self):
        self.flow()
        d = self.belief.devices
        free = ~self.q_told & np.isin(d.kind, ("pv", "wind"))
        for _ in range(25 if self.q_u else 0):
            law = prescribed_q(d.p_rated_mw, np.abs(self.v[d.node]))
            new = np.where(free, (self.q_set + law) / 2, self.q_set)
            if np.abs(new - self.q_set).max() < 1e-6:
                break
            self.q_set = new
            self.flow()
        return self.v

    def flow(self):
        b, d = self.belief, self.belief.devices
        n = b.grid.n_nodes
        self.der = np.minimum(self.available(), self.p_max)
        p = -self.load * self.spread * b.load_mw + np.bincount(d.node, self.der + self.p_set, n)
        q = -self.load * self.spread * b.load_mvar + np.bincount(d.node, self.q_set, n)
        self.s = (p + 1j * q) / b.grid.base_mva
        t = self.topology = self.net.topology(self.closed)
        feed, anchor = self.net.feed, self.net.anchor
        if not len(feed):
            self.v = t.flow(self.s, np.full(len(anchor), self.v_hv))
            self.s = np.where(t.live, self.s, 0)
            return self.v
        y = np.stack([tab.y[0, :, tab.slot(pos)] for tab, pos in zip(self.tables, self.taps, strict=True)], axis=1)
        self.feeds = Feed(self.net.feed_anchor, np.ones(len(feed)), y)
        v_a = np.full(len(anchor), self.v_hv, dtype=complex)
        for _ in range(30):
            self.v = t.flow(self.s, v_a)
            current = t.drawn(self.v) - np.conj(self.s[anchor] / v_a)
            v_a = ((-current[self.net.feed_anchor] - y[2] * self.v_hv) / y[3])
        self.drawn, _ = self.feeds.seen(self.v[anchor], current)
        self.s = np.where(t.live, self.s, 0)
        return self.v

    def regulate(self):
        """Let the AVRs step until each busbar is within 0.6 of a step of its set-point."""
        for _ in range(20):
            self.solve()
            moved = False
            for i, table in enumerate(self.tables):
                error = abs(self.v[self.net.feed_busbar[i]]) - self.v_set[i]
                if len(table.positions) > 1 and abs(error) > 0.6 * table.step_percent / 100:
                    rise = 1 if table.side == "hv" else -1
                    new = int(np.clip(self.taps[i] + rise * np.sign(error), table.positions[0], table.positions[-1]))
                    moved |= new != self.taps[i]
                    self.taps[i] = new
            if not moved:
                break
        return self.solve()

    def primary(self, t_ms, to="dso_1.dms"):
        base, feed = self.belief.grid.base_mva, self.net.feed
        if len(feed):
            s, v = self.drawn * base, np.abs(self.v[self.net.feed_busbar])
        else:
            s, v = np.zeros(1, complex), np.array([self.v_hv])
        values = {"v_pu": v, "p_mw": s.real, "q_mvar": s.imag, "tap_pos": self.taps.astype(float),
                  "v_set_pu": self.v_set.copy(), "loading_percent": np.zeros(len(feed))}
        return Message(self.belief.name, to, "primary", values, sent_ms=t_ms, arrived_ms=t_ms + 20)

    def secondary(self, t_ms, rng=None, to="dso_1.dms"):
        b, d = self.belief, self.belief.devices
        base, n = b.grid.base_mva, b.grid.n_nodes
        avail, der = np.bincount(d.node, self.available(), n), np.bincount(d.node, self.der, n)
        out = []
        for node, gateway in enumerate(b.gateways):
            if not gateway or not self.topology.live[node]:
                continue
            e = np.zeros(3) if rng is None else rng.standard_normal(3)
            values = {
                "node": node, "v_pu": float(abs(self.v[node]) * (1 + 0.005 / 3 * e[0])),
                "p_mw": float(self.s[node].real * base * (1 + 0.01 / 3 * e[1])),
                "q_mvar": float(self.s[node].imag * base * (1 + 0.01 / 3 * e[2])),
                "der_avail_mw": float(avail[node]), "der_mw": float(der[node]),
            }
            out.append(Message(gateway, to, "secondary", values, sent_ms=t_ms, arrived_ms=t_ms + 50))
        return out

    def obey(self, messages):
        """Carry out commands; check that they are fit to be carried out."""
        d = self.belief.devices
        for m in messages:
            if not m.topic.startswith("command/"):
                continue
            values = m.values
            if "device" in values:
                if self.belief.name not in (m.receiver, m.receiver.rpartition(".")[0]):
                    continue
                row = np.asarray(values["device"]) - d.index[0]
                assert all((self.belief.gateways[k] or self.belief.name) == m.receiver for k in d.node[row])
                assert d.controllable[row].all()
                for name, store in (("p_max_mw", self.p_max), ("p_set_mw", self.p_set), ("q_set_mvar", self.q_set)):
                    if name in values:
                        # An infinite value takes an order back.
                        assert not np.isnan(values[name]).any()
                        told = np.isfinite(values[name])
                        store[row] = np.where(told | (name == "p_max_mw"), values[name], 0.0)
                        if name == "q_set_mvar":
                            self.q_told[row] = told
                assert (self.p_max >= 0).all()
                assert (np.abs(self.p_set) <= d.p_rated_mw + 1e-9).all()
                assert (np.abs(self.q_set) <= d.s_rated_mva + 1e-9).all()
            elif m.receiver == self.belief.name and "line" in values:
                for line, closed in zip(values["line"], values["closed"], strict=True):
                    self.closed[self.net.line(line)] = closed
                if self.fault >= 0:
                    row = self.net.line(self.fault)
                    live = self.net.topology(self.closed).live
                    g = self.belief.grid
                    self.trips += bool(self.closed[row] and (live[g.branch_from[row]] or live[g.branch_to[row]]))
            elif m.receiver == self.belief.name and "v_set_pu" in values:
                at = [list(self.net.feed_trafo).index(t) for t in values["trafo"]]
                self.v_set[at] = values["v_set_pu"]
        return self.solve()

    def strike(self, line, t_ms, to="dso_1.dms"):
        """Let a permanent fault hit; return the mail of protection and indicators."""
        g, t = self.belief.grid, self.topology
        self.fault = line
        row = self.net.line(line)
        node = int(g.branch_to[row]) if t.parent_branch[g.branch_to[row]] == row else int(g.branch_from[row])
        path = []
        while (up := int(t.parent_branch[node])) >= 0:
            path.append(int(g.branch_element[up]))
            node = int(t.parent[node])
        self.closed[self.net.line(path[-1])] = False
        self.solve()
        mail = [Message(self.belief.name, to, "fault", {"tripped_line": path[-1]}, sent_ms=t_ms, arrived_ms=t_ms)]
        return mail + [
            Message(f"{self.belief.name}.s", to, "fault_indicator", {"line": i, "passed": True}, sent_ms=t_ms,
                    arrived_ms=t_ms + 30) for i in path
        ]


def site(feeders, name="dso_1.dms", actor="dms", stage=4, settings=None, period_ms=60_000, **belief):
    from controllers.responsibility import Responsibility

    names = tuple(f.name for f in feeders)
    interfaces = (InterfaceBelief("dso_1.i4", "dso_1", 1, 4, 700.0, 14.0, names, 200.0, 400.0),)
    cells = (CellBelief("cell_1", 1, np.zeros(96), 900_000, 1000.0, 500.0, ("dso_1.i4",)),)
    table = Responsibility("centralized", stage, {name: actor})
    return Site(
        name, actor, table.duties_of(actor), dataclasses.replace(
            Belief(feeders=tuple(feeders), interfaces=interfaces, cells=cells), **belief),
        (), period_ms, np.random.default_rng(7), {"shared": {}, **(settings or {})},
    )


class Kit:
    """What a test needs, under one fixture."""

    grid, feeder, field, site = staticmethod(grid), staticmethod(feeder_belief), Field, staticmethod(site)


@pytest.fixture
def kit():
    return Kit
