"""A town for controllers: the specimen grid solved by a sweep, mail that takes its time, real agents."""

import dataclasses
import itertools

import numpy as np
import pytest

from controllers.contract import Site
from controllers.host import ControllerHost
from controllers.responsibility import Responsibility
from controllers.seat import Seat
from controllers.specimen import TIE_LINE, small_belief, small_feeder, small_grid
from sims.core.bundle import unbundled
from sims.core.message import Message


class Physics:
    """The specimen's AC power flow by backward-forward sweep, its PV, storage and switches."""

    def __init__(self, v0=1.0, pv_mw=0.0, load_mw=0.8, load_mvar=0.2, rating_scale=1.0):
        self.grid, self.feeder = small_grid(), small_feeder()
        self.v0, self.avail = v0, pv_mw
        self.load_mw, self.load_mvar = load_mw, load_mvar
        d = self.feeder.devices
        self.row = {int(i): k for k, i in enumerate(d.index)}
        self.p_max = d.p_rated_mw.copy()
        self.p_set = np.zeros(len(d.index))
        self.q_set = np.zeros(len(d.index))
        self.droop, self.inertia = np.zeros(len(d.index)), np.zeros(len(d.index))
        self.rating_scale = rating_scale
        self.fault_line = None
        self.trips = 0
        self.switch_log = []
        self.lines = {0: (1, 2), 1: (2, 3), 2: (3, 4), 3: (1, 5), 4: (5, 6), 5: (6, 7), TIE_LINE: (4, 7)}
        self.closed = {line: line != TIE_LINE for line in self.lines}
        self.solve()

    def tree(self):
        parent, order, todo = {1: (0, None)}, [1], [1]
        while todo:
            at = todo.pop(0)
            for line, (a, b) in self.lines.items():
                if self.closed[line] and at in (a, b):
                    other = b if at == a else a
                    if other not in parent:
                        parent[other] = (at, line)
                        order.append(other)
                        todo.append(other)
        return parent, order

    def device_p(self):
        d = self.feeder.devices
        p = np.where(d.kind == "load", -self.load_mw, 0.0)
        p = np.where(d.kind == "pv", np.minimum(self.avail, self.p_max), p)
        return np.where((d.kind == "storage") | (d.kind == "ev"), self.p_set, p)

    def solve(self):
        d = self.feeder.devices
        p = np.bincount(d.node, self.device_p(), 8)
        q = np.bincount(d.node, np.where(d.kind == "load", -self.load_mvar, self.q_set), 8)
        base = self.grid.base_mva
        s = (p + 1j * q) / base
        v = np.full(8, complex(self.v0))
        parent, order = self.tree()
        z_line = -1 / self.grid.y_raw[1]
        flow = {}
        for _ in range(60):
            i = np.conj(s / v)
            total = dict.fromkeys(order, 0j)
            for node in reversed(order):
                total[node] += i[node]
                up, line = parent[node]
                if line is not None:
                    total[up] += total[node]
                    flow[line] = (node, total[node])
            for node in order[1:]:
                up, line = parent[node]
                z = z_line[self.grid.branch("line", line)]
                v[node] = v[up] + z * total[node]
        self.v = np.array([abs(v[n]) if n in parent or n == 0 else 0.0 for n in range(8)])
        self.p, self.q = np.where(self.v > 0, p, 0.0), np.where(self.v > 0, q, 0.0)
        self.line_s = {k: (node, v[node] * np.conj(i) * base) for k, (node, i) in flow.items()}
        self.dark = [n for n in range(2, 8) if n not in parent]
        self.root_s = v[1] * np.conj(total[1]) * base

    def boundary(self, area):
        f = self.feeder
        rows = [], [], [], []
        for line, (a, b) in self.lines.items():
            if f.area[a] == f.area[b] or area not in (f.area[a], f.area[b]):
                continue
            mine, other = (a, b) if f.area[a] == area else (b, a)
            out = 0j
            if line in self.line_s and self.closed[line]:
                below, s = self.line_s[line]
                out = s if below == mine else -s
            for column, value in zip(rows, (line, out.real, out.imag, f.area[other]), strict=True):
                column.append(value)
        return rows

    def own(self, area, now_ms):
        node = int(self.feeder.agent_node[area])
        line, p, q, other = self.boundary(area)
        return Message(
            f"{self.feeder.name}.s{node}", self.feeder.agents[area], "own",
            {"node": node, "v_pu": float(self.v[node]), "p_mw": float(self.p[node]), "q_mvar": float(self.q[node]),
             "boundary_line": np.array(line), "boundary_p_mw": np.array(p), "boundary_q_mvar": np.array(q),
             "neighbour_area": np.array(other)},
            sent_ms=now_ms, arrived_ms=now_ms,
        )

    def secondary(self, node, now_ms):
        f = self.feeder
        p = self.device_p()
        here = f.devices.node == node
        pv = here & (f.devices.kind == "pv")
        return Message(
            f"{f.name}.s{node}", f.agents[f.area[node]], "secondary",
            {"node": node, "v_pu": float(self.v[node]), "p_mw": float(self.p[node]), "q_mvar": float(self.q[node]),
             "der_avail_mw": float(self.avail * pv.sum()), "der_mw": float(p[pv].sum())},
            sent_ms=now_ms,
        )

    def primary(self, now_ms, receiver=None):
        f = self.feeder
        s = -self.root_s
        loading = abs(s) / (25.0 * self.rating_scale) * 100
        return Message(
            f.name, receiver or f.agents[0], "primary",
            {"v_pu": np.array([self.v[1]]), "p_mw": np.array([s.real]), "q_mvar": np.array([s.imag]),
             "tap_pos": np.array([0]), "loading_percent": np.array([loading]), "v_set_pu": np.array([1.0]),
             "head_line": np.array([0, 3]), "line_loading_percent": np.array([0.0, 0.0])},
            sent_ms=now_ms,
        )

    def act(self, message, now_ms):
        """Carry out a command; return the mail it causes (breaker trips)."""
        values = message.values
        for name, field in (("p_max_mw", self.p_max), ("p_set_mw", self.p_set), ("q_set_mvar", self.q_set),
                            ("droop_mw_per_hz", self.droop), ("inertia_mw_s_per_hz", self.inertia)):
            if name in values:
                rows = [self.row[int(i)] for i in values["device"]]
                assert len(rows) == len(values[name])
                nodes = {int(self.feeder.devices.node[r]) for r in rows}
                assert {self.feeder.gateways[n] for n in nodes} == {message.receiver}
                # An infinite value takes a set-point back; here a device without one gives nothing of its own.
                told = np.asarray(values[name], float)
                free = self.feeder.devices.p_rated_mw[rows] if name == "p_max_mw" else 0.0
                field[rows] = np.where(np.isfinite(told), told, free)
        if "line" not in values:
            return []
        assert message.receiver == self.feeder.name
        for line, closed in zip(np.atleast_1d(values["line"]), np.atleast_1d(values["closed"]), strict=True):
            self.closed[int(line)] = bool(closed)
            self.switch_log.append((now_ms, int(line), bool(closed)))
        return self.protect(now_ms)

    def protect(self, now_ms):
        """Trip the head line where the fault is fed; return the alarms."""
        if self.fault_line is None or not self.closed[self.fault_line]:
            return []
        parent, _ = self.tree()
        a, b = self.lines[self.fault_line]
        fed = [n for n in (a, b) if n in parent]
        if not fed:
            return []
        below = a if a in parent and parent[a][1] == self.fault_line else b
        passed, line, at = [], parent[below][1], below
        while line is not None:
            passed.append(line)
            at, line = parent[at][0], parent[parent[at][0]][1]
        head = passed[-1]
        self.closed[head] = False
        self.trips += 1
        lead = self.feeder.agents[0]
        mail = [Message(self.feeder.name, lead, "fault", {"tripped_line": np.array([head])}, sent_ms=now_ms)]
        for passed_line in passed:
            node = max(self.lines[passed_line][0], 2)
            mail.append(Message(f"{self.feeder.name}.s{node}", lead, "fault_indicator",
                                {"line": np.array([passed_line]), "passed": np.array([True])}, sent_ms=now_ms))
        return mail

    def minute(self, primary=True):
        """Return what measures each minute: the agents' own stations, the busbar, every 15 min the low-voltage ones."""

        def measure(now_ms):
            self.solve()
            mail = [self.own(a, now_ms) for a in range(4)] + ([self.primary(now_ms)] if primary else [])
            if now_ms % 900_000 == 0:
                mail += [self.secondary(n, now_ms) for n in range(2, 8)]
            return mail

        return measure


def sealed(message):
    """Make a message's arrays read-only: a sender that changes one afterwards is caught at it."""
    for value in message.values.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False


class Town:
    """Seats of real controllers in a real host; mail between them takes `delay_ms`."""

    def __init__(self, classes, architecture="distributed", stage=4, period_ms=60_000, delay_ms=100,
                 settings=None, physics=None, sites=None, roles=None, stations=False):
        self.physics = physics
        self.now_ms, self.delay_ms = 0, delay_ms
        names = sites or small_feeder().agents
        of_cell = {
            agent: frozenset(g.address for g in small_belief().generators if g.cell == cell.cell)
            for cell in small_belief().cells for agent in cell.interfaces
        }
        table = Responsibility(architecture, stage, roles or dict.fromkeys(names, "agent"), reserves=of_cell)
        self.sites, self.controllers, seats = {}, {}, []
        for k, name in enumerate(names):
            area = small_feeder().agents.index(name) if name in small_feeder().agents else -1
            belief = small_belief(area) if stations else dataclasses.replace(small_belief(area), generators=())
            site = Site(name, table.roles[name], table.duties_of(table.roles[name]), belief, (),
                        period_ms, np.random.default_rng(k), {**(settings or {}), "shared": {}})
            self.sites[name] = site
            for cls in classes[name] if isinstance(classes, dict) else classes:
                controller = cls(site)
                seats.append(Seat(site, controller))
                self.controllers.setdefault(name, []).append(controller)
        self.host = ControllerHost(seats, table.authorize, period_ms)
        self.flying, self.commands, self.reports, self.refused, self.mail = [], [], [], [], []
        self.counter = itertools.count()
        self.lost = lambda message: False
        self.late_ms = lambda message: 0

    def post(self, message, delay_ms=None):
        due = self.now_ms + (self.delay_ms if delay_ms is None else delay_ms) + self.late_ms(message)
        self.flying.append((due, next(self.counter), message))

    def run(self, until_ms, each_minute=None, tick_ms=100):
        while self.now_ms <= until_ms:
            own = []
            if each_minute and self.now_ms % 60_000 == 0:
                for message in each_minute(self.now_ms) or ():
                    if message.topic == "own":
                        own.append(message)
                    else:
                        self.post(message)
            due = sorted(f for f in self.flying if f[0] <= self.now_ms)
            self.flying = [f for f in self.flying if f[0] > self.now_ms]
            mail = []
            for at, _, message in due:
                if message.topic.startswith("command/"):
                    self.commands.append((self.now_ms, message))
                    if self.physics is not None:
                        for caused in self.physics.act(message, self.now_ms):
                            self.post(caused)
                else:
                    mail.append(dataclasses.replace(message, arrived_ms=float(at)))
            if due and self.physics is not None:
                self.physics.solve()
            if mail or own or self.now_ms % self.host._step_ms == 0 or self.now_ms == self.next_ms:
                step = self.host.step(self.now_ms, {"mail": {"comms": mail}, "own": {"metering": own}})
                self.next_ms = step.next_ms
                for message in unbundled(step.outputs.get("outbox", ())):
                    self.mail.append((self.now_ms, message))
                    sealed(message)
                    if not self.lost(message):
                        self.post(message)
                self.reports += [(self.now_ms, m) for m in step.outputs.get("reports", ())]
                self.refused += step.outputs.get("actions", ())
            self.now_ms += tick_ms

    next_ms = -1

    def of(self, cls):
        return [c for seats in self.controllers.values() for c in seats if isinstance(c, cls)]


@pytest.fixture
def town():
    return Town


@pytest.fixture
def physics():
    return Physics
