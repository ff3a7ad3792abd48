"""The areas of a host that estimate themselves at one instant, at one stroke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from controllers.distributed import observe_kernels as kernel
from controllers.distributed.area import column, number
from controllers.logbook import LOGBOOK
from sims.core.bundle import Addresses, Bundle, Mail
from sims.core.message import Message

if TYPE_CHECKING:
    from controllers.distributed.observe import ObserveArea

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TABLES = ("z", "result", "gain", "entry", "leaving", "edge")
COLUMNS = ("v_pu", "va_rad", "p_mw", "q_mvar")


class Estimators:
    """Areas on one bench: their arrays stand one after the other, so that one pass serves all that are due.

    Each area still has its own part only, as a view of it, and what came by mail; nothing goes from one to the other
    but letters, which leave as one bundle.

    Parameters
    ----------
    agents : sequence of ObserveArea
    """

    topics = frozenset({"boundary"})

    def __init__(self, agents: Sequence[ObserveArea]) -> None:
        self.agents = list(agents)
        sizes = {name: [len(getattr(agent, name)) for agent in agents] for name in TABLES}
        sizes["injection"], sizes["node"] = ([len(a.framed) for a in agents], [len(a.state.node) for a in agents])
        starts = {name: list(accumulate(size, initial=0)) for name, size in sizes.items()}
        self.layout: Ints = np.array(list(starts.values()), dtype=np.int64).T.copy()
        for name in TABLES:
            table = np.concatenate([getattr(agent, name) for agent in agents])
            setattr(self, name, table)
            for agent, a, b in zip(agents, starts[name], starts[name][1:], strict=False):
                setattr(agent, name, table[a:b])
        self.settings = np.array([(agent.tolerance, agent.base_mva, agent.rounds) for agent in agents], dtype=float)
        self.edge_of = np.repeat(np.arange(len(agents)), sizes["edge"])
        self.entry_of = np.repeat(np.arange(len(agents)), sizes["entry"])
        ends = [(agent.site.name, line) for agent in agents for line in agent.beyond]
        self.row = {end: row for row, end in enumerate(ends)}
        names = [name for agent in agents for name in agent.beyond.values()]
        self.addresses = Addresses(tuple(name for name, _ in ends), tuple(names))
        # The far end of each edge is an edge of the area there, -1 where that sits on another bench.
        self.far: Ints = np.array(
            [self.row.get((name, line), -1) for name, (_, line) in zip(names, ends, strict=True)], dtype=np.int64
        )
        self.written = np.zeros(len(ends), dtype=np.int64)
        told = [agent.told_at + start for agent, start in zip(agents, starts["result"], strict=False)]
        self.told_at: Ints = np.concatenate([*told, np.zeros(0, dtype=np.int64)])
        self.told = [slice(b - len(at), b) for at, b in zip(told, accumulate(map(len, told)), strict=True)]
        self.own_at = [_own_places(agent, z) for agent, z in zip(agents, starts["z"], strict=False)]
        self.below_trafo = [bool((agent.state.entry_trafo >= 0).any()) for agent in agents]
        self.lines: dict[int, tuple[Any, Ints]] = {}
        self._place = {id(agent): i for i, agent in enumerate(agents)}
        for agent in agents:
            agent.seated = self

    z: Floats
    result: Floats
    gain: Floats
    entry: Floats
    leaving: Floats
    edge: Floats

    def __deepcopy__(self, memo: Any) -> None:
        """Return nothing: who is copied takes arrays of its own along, and is seated anew."""

    def place(self, agent: ObserveArea) -> int:
        """Return where an area sits."""
        return self._place[id(agent)]

    def mismatch(self, agent: ObserveArea) -> float:
        """Return the largest difference between an area's side of its edges and what its neighbours say [pu]."""
        areas = np.array([self.place(agent)])
        return float(kernel.mismatch(areas, self.layout, self.settings, self.result, self.entry, self.leaving)[0])

    def called(self, bundle: Bundle) -> list[int] | None:
        """Return who is written to in a bundle of letters; None where they are not from here or not all to here."""
        who, ours = bundle.addresses, self.addresses
        if who is not ours and (who.senders, who.receivers) != (ours.senders, ours.receivers):
            return None
        far = self.far[bundle.rows]
        return None if (far < 0).any() else np.unique(self.edge_of[far]).tolist()

    def decide(
        self, now_s: float, due: Sequence[int], inboxes: Mapping[int, Sequence[Message]], letters: Sequence[Bundle] = ()
    ) -> list[Mail]:
        """Take measurements and letters; estimate, write and report for those whose turn it is.

        Parameters
        ----------
        due : sequence of int
            Who decides; whoever is written to is among them.
        inboxes : mapping of int to sequence of Message
            What has come for each as messages.
        letters : sequence of Bundle
            And all else.
        """
        agents, areas = self.agents, np.array(due, dtype=np.int64)
        for i in due:
            agents[i].board.look(inboxes.get(i, ()))
        moved = self._hear(inboxes, letters)
        out: list[Mail] = []
        first = np.array([now_s >= agents[i].next_s for i in due])
        if first.any():
            begun = areas[first].tolist()
            out += self._reports([i for i in begun if agents[i].open and not agents[i].blind(agents[i].next_s)])
            self._begin(begun, now_s)
        ready = kernel.whole(areas, self.layout, self.edge)
        opened = np.array([agents[i].open for i in due])
        turn = opened & (first | (moved[areas] & ready))
        if turn.any():
            out += self._write(areas[turn], first[turn], now_s)
        heard = areas[opened & ready]
        if len(heard):
            off = kernel.mismatch(heard, self.layout, self.settings, self.result, self.entry, self.leaving)
            for i, mismatch in zip(heard.tolist(), off.tolist(), strict=True):
                agents[i].agreed["mismatch_pu"] = mismatch
            out += self._reports(heard[off < self.settings[heard, kernel.TOLERANCE]].tolist())
        return out

    def _hear(self, inboxes: Mapping[int, Sequence[Message]], letters: Sequence[Bundle]) -> NDArray[np.bool_]:
        """Take what neighbours have written; return whose side of an edge has moved."""
        moved = np.zeros(len(self.agents), dtype=bool)
        rows: list[Ints] = [self.far[bundle.rows] for bundle in letters]
        said: list[list[Any]] = [[bundle.values[name] for name in COLUMNS] for bundle in letters]
        arrived: list[Floats] = [bundle.arrived_ms for bundle in letters]
        for i, inbox in inboxes.items():
            for message in inbox:
                if message.topic != "boundary":
                    continue
                row = self.row.get((self.agents[i].site.name, int(message.values["line"])), -1)
                if row >= 0:
                    rows.append(np.array([row]))
                    said.append([[float(message.values[name])] for name in COLUMNS])
                    arrived.append(np.array([message.arrived_ms]))
        if rows:
            order = np.argsort(np.concatenate(arrived), kind="stable")
            told = [np.concatenate(values)[order] for values in zip(*said, strict=True)]
            kernel.hear(
                np.concatenate(rows)[order], *told, self.edge_of, self.layout, self.settings, self.entry, self.leaving,
                self.edge, moved,
            )
        return moved

    def _begin(self, areas: Sequence[int], now_s: float) -> None:
        """Begin a cycle: take the newest measurements, unless there are none."""
        places: list[int] = []
        values: list[float] = []
        edges: list[Ints] = []
        flows: list[tuple[Floats, Floats]] = []
        kernel.forget(np.array(areas), self.layout, self.edge)
        for i in areas:
            agent = self.agents[i]
            board = agent.board
            agent.next_s = agent.due_s = (now_s // agent.every_s + 1) * agent.every_s
            agent.open = not agent.blind(now_s)
            if not agent.open:
                continue
            if agent.frames != board.count:
                agent.read()
            if board.own is not None:
                told, (at_w, at_p, at_q) = board.own.values, self.own_at[i]
                if at_w >= 0:
                    v_pu = number(told["v_pu"])
                    places.append(at_w)
                    values.append(v_pu * v_pu / 2)
                if at_p >= 0:
                    places += (at_p, at_q)
                    values += (number(told["p_mw"]), number(told["q_mvar"]))
                if "boundary_line" in told:
                    edges.append(self._edges(i, told["boundary_line"]))
                    flows.append((_flat(told["boundary_p_mw"]), _flat(told["boundary_q_mvar"])))
            if board.primary is not None and self.below_trafo[i]:
                self._busbars(i, board.primary)
        self.z[places] = values
        if edges:
            kernel.flows(
                np.concatenate(edges), *map(np.concatenate, zip(*flows, strict=True)), self.edge_of, self.layout,
                self.z, self.entry, self.leaving, self.edge,
            )

    def _edges(self, i: int, lines: Any) -> Ints:
        """Return the edges of area `i` that its own measurement tells of, -1 for other lines."""
        known = self.lines.get(i)
        if known is None or known[0] is not lines:
            name = self.agents[i].site.name
            rows = np.array([self.row.get((name, int(line)), -1) for line in column(lines)], dtype=np.int64)
            known = self.lines[i] = lines, rows
        return known[1]

    def _busbars(self, i: int, primary: Message) -> None:
        """Put what is measured at the transformers above area `i` into its vector."""
        agent, values = self.agents[i], primary.values
        trafo = agent.state.entry_trafo
        v_pu, p_mw, q_mvar = (np.ravel(values[key]) for key in ("v_pu", "p_mw", "q_mvar"))
        there = np.flatnonzero((trafo >= 0) & (trafo < len(v_pu)))
        if len(there):
            at, stale = trafo[there], np.zeros(len(self.agents), dtype=bool)
            kernel.busbars(
                self.layout[i, kernel.ENTRIES] + there, v_pu[at], p_mw[at], q_mvar[at], self.entry_of, self.layout,
                self.z, self.entry, stale,
            )
            agent.stale = agent.stale or bool(stale[i])

    def _write(self, areas: Ints, first: NDArray[np.bool_], now_s: float) -> list[Mail]:
        """Estimate `areas`, and write to the neighbours whose side has moved."""
        stale = np.zeros(len(self.agents), dtype=bool)
        for i in areas[~first].tolist():
            agent = self.agents[i]
            if agent.frames != agent.board.count:
                agent.read()
        kernel.join(areas, self.layout, self.z, self.entry, self.leaving, stale)
        for i in areas.tolist():
            if self.agents[i].stale or stale[i]:
                self.agents[i].weigh()
        count = kernel.estimate(
            areas, first, self.layout, self.settings, self.z, self.gain, self.result, self.entry, self.leaving,
            self.edge, self.written,
        )
        if not count:
            return []
        rows = self.written[:count].copy()
        said = self.edge[rows]
        values = {"line": said[:, kernel.LINE].astype(np.int64)}
        values |= dict(zip(COLUMNS, said[:, kernel.SAID_V:].T.copy(), strict=True))
        return [Bundle(self.addresses, rows, "boundary", values, sent_ms=round(1000 * now_s), size_bytes=80)]

    def _reports(self, areas: Sequence[int]) -> list[Mail]:
        """Return the estimates of areas for the logbook; what is reported is closed."""
        if not areas:
            return []
        v_pu = np.sqrt(np.maximum(2.0 * self.result[self.told_at], 0.0))
        out: list[Mail] = []
        for i in areas:
            agent = self.agents[i]
            agent.open = False
            values = {"feeder": agent.area.feeder.name, "node": agent.told_node, "v_pu": v_pu[self.told[i]]}
            out.append(Message(agent.site.name, LOGBOOK, "estimate", values))
        return out


def _own_places(agent: ObserveArea, start: int) -> tuple[int, int, int]:
    """Return where U^2 / 2, P and Q of the own substation stand in a vector that begins at `start`, -1 if not there."""
    at_p = start + 1 + len(agent.framed) + agent.own_row
    if agent.area.at_root:
        return -1, -1, -1
    return (start, at_p, at_p + len(agent.framed)) if agent.own_row >= 0 else (start, -1, -1)


def _flat(values: Any) -> Floats:
    return values if isinstance(values, np.ndarray) and values.ndim == 1 else np.ravel(values)
