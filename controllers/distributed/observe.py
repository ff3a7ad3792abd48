"""Observation without a centre: each area estimates itself and agrees with its neighbours at the edges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed.area import Area, column, number
from controllers.distributed.area_state import Accuracy, AreaState
from controllers.distributed.book import shared
from controllers.distributed.picture import picture_of
from controllers.logbook import LOGBOOK
from sims.core.message import Message

Floats = NDArray[np.float64]


class ObserveArea:
    """Estimates the voltages of one area every five minutes and reports them.

    Every cycle each area sends its neighbours voltage, angle, P and Q at its end of their common lines. An
    area takes the voltage from the area above it and the flow from the areas below it, estimates again once it
    has heard all of them, and writes once more only to a neighbour for whom what it takes from here has moved by
    more than `tolerance`: the voltage for the area below, the flow for the area above.
    It reports when all neighbours have been heard and both sides agree to within it, at the latest at its next
    cycle.

    Settings
    --------
    every_s : float
        (300; or `estimation_ms`)
    v_class_percent : float
        Class of accuracy of the own voltage meter (0.6).
    tolerance : float
        Largest mismatch at an edge, in pu of voltage and of `base_mva` (1e-3).
    base_mva : float
        (10)
    rounds : int
        Most letters to one neighbour per cycle (8).
    """

    urgent = frozenset({"boundary"})
    reads: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        s = site.settings
        self.every_s = float(s.get("every_s", s.get("estimation_ms", 300_000) / 1000))
        self.tolerance = float(s.get("tolerance", 1e-3))
        self.base_mva = float(s.get("base_mva", 10.0))
        self.rounds = int(s.get("rounds", 8))
        feeder = self.area.feeder
        # A class of accuracy is taken as three standard deviations.
        accuracy = Accuracy(v_own_pu=float(s.get("v_class_percent", 0.6)) / 300)
        self.state = AreaState(feeder, self.area.number, self.area.own_node, accuracy)
        m = self.state
        n_i, n_e, n_x = len(m.injecting), len(m.entry), len(m.exit_node)
        self.at_v, self.at_p, self.at_q = 1, 1 + n_i, 1 + 2 * n_i
        self.at_up_p, self.at_up_q = 1 + 3 * n_i, 1 + 3 * n_i + n_e
        self.at_w = 1 + 3 * n_i + 2 * n_e
        self.at_out_p = self.at_w + n_e
        self.at_out_q = self.at_out_p + n_x
        self.z = np.zeros(m.n_z)
        self.z[self.at_p:self.at_p + n_i], self.z[self.at_q:self.at_q + n_i] = m.pseudo_p, m.pseudo_q
        self.row = {int(n): k for k, n in enumerate(m.injecting)}
        self.own_row = self.row.get(self.area.own_node, -1)
        self.entry_of = {int(line): k for k, line in enumerate(m.entry_line)}
        self.exit_of = {int(line): k for k, line in enumerate(m.exit_line)}
        self.entry_at = [int(np.flatnonzero(m.node == n)[0]) for n in m.entry]
        self.exit_at = [int(np.flatnonzero(m.node == n)[0]) for n in m.exit_node]
        self.exit_entry = [int(np.argmax(m.gain[k])) for k in self.exit_at]
        at = {int(n): k for k, n in enumerate(m.node)}
        self.told_node = np.array([n for n in self.area.nodes if int(feeder.grid.rep[n]) in at], dtype=np.int64)
        self.told_at = np.array([at[int(feeder.grid.rep[n])] for n in self.told_node], dtype=np.int64)
        self.framed = np.zeros(n_i, dtype=bool)
        self.bounded = np.zeros(n_e, dtype=bool)
        self.gain: Floats | None = None
        self.entry_z = [(z.real, z.imag) for z in m.entry_z.tolist()]
        self.angle_rad = [0.0] * n_e
        self.up_mva, self.out_mva = [(0.0, 0.0)] * n_e, [(0.0, 0.0)] * n_x
        self.entry_w = [0.0] * n_e
        self.above_v_pu = [math.nan] * n_e
        self.above_rad = [0.0] * n_e
        self.below_mva: dict[int, tuple[float, float]] = {}
        self.board, self.frames = picture_of(site, self.area), 0
        ups = [(int(m.entry_line[k]), (feeder.agents[a], True, k)) for k, a in enumerate(m.entry_area) if a >= 0]
        downs = [(int(m.exit_line[k]), (feeder.agents[a], False, k)) for k, a in enumerate(m.exit_area)]
        self.edges: dict[int, tuple[str, bool, int]] = dict(ups + downs)
        self.heard: set[int] = set()
        self.letters: dict[int, int] = {}
        self.said: dict[int, tuple[float, float, float, float]] = {}
        self.solved, self.result = np.zeros(0), list[float]()
        self.open = False
        self.agreed: dict[str, float] = shared(site, "agreed", dict)
        self.next_s = self.due_s = 0.0

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take measurements and neighbours' letters; estimate, write, report."""
        self.board.look(inbox)
        news = False
        for message in inbox:
            if message.topic == "boundary":
                news = self._letter(message) or news
        out: list[Message] = []
        if now_s >= self.next_s:
            if self.open and not self._blind(self.next_s):
                out.append(self._report())
            self.next_s = (now_s // self.every_s + 1) * self.every_s
            self.due_s = self.next_s
            self.open = not self._blind(now_s)
            self.heard, self.letters = set(), {}
            if self.open:
                self._measure()
                out += self._write(first=True)
        elif news and self.open and self.heard.issuperset(self.edges):
            out += self._write(first=False)
        if self.open and self.heard.issuperset(self.edges):
            self.agreed["mismatch_pu"] = mismatch = self.mismatch()
            if mismatch < self.tolerance:
                out.append(self._report())
        return out

    def _blind(self, now_s: float) -> bool:
        own, primary = self.board.own, self.board.primary
        newest_ms = max(own.sent_ms if own else -math.inf, primary.sent_ms if primary else -math.inf)
        return now_s - newest_ms / 1000 > max(150.0, self.every_s / 2)

    def _frames(self) -> None:
        """Put the frames that are new into the vector."""
        z, framed = self.z, self.framed
        for frame in self.board.frames_since(self.frames):
            k, v_pu = self.row.get(frame.node), frame.v_pu
            if k is None or not v_pu > 0.2:
                continue
            z[self.at_v + k] = v_pu * v_pu / 2
            z[self.at_p + k] = frame.p_mw
            z[self.at_q + k] = frame.q_mvar
            if not framed[k]:
                framed[k], self.gain = True, None
        self.frames = self.board.count

    def _measure(self) -> None:
        """Put the newest measurements into the vector."""
        self._frames()
        z = self.z
        if self.board.own is not None:
            values = self.board.own.values
            if not self.area.at_root:
                v_pu = number(values["v_pu"])
                z[0] = v_pu * v_pu / 2
                if self.own_row >= 0:
                    z[self.at_p + self.own_row] = number(values["p_mw"])
                    z[self.at_q + self.own_row] = number(values["q_mvar"])
            if "boundary_line" in values:
                flows = [column(values[key]) for key in ("boundary_line", "boundary_p_mw", "boundary_q_mvar")]
                for line, p_mw, q_mvar in zip(*flows, strict=True):
                    if line in self.edges:
                        _, upwards, k = self.edges[line]
                        (self._up if upwards else self._out)(k, p_mw, q_mvar)
        if self.board.primary is not None:
            values = self.board.primary.values
            busbars = list(zip(*(column(values[key]) for key in ("v_pu", "p_mw", "q_mvar")), strict=True))
            for k, trafo in enumerate(self.state.entry_trafo.tolist()):
                if 0 <= trafo < len(busbars):
                    v_pu, p_mw, q_mvar = busbars[trafo]
                    self._up(k, -p_mw, -q_mvar)
                    self._above(k, v_pu**2 / 2)
        self._edges()

    def _up(self, entry: int, p_mw: float, q_mvar: float) -> None:
        """Put the flow upwards at an entry into the vector."""
        self.up_mva[entry] = self.z[self.at_up_p + entry], self.z[self.at_up_q + entry] = p_mw, q_mvar

    def _out(self, leaving: int, p_mw: float, q_mvar: float) -> None:
        """Put the flow outwards at an exit into the vector."""
        self.out_mva[leaving] = self.z[self.at_out_p + leaving], self.z[self.at_out_q + leaving] = p_mw, q_mvar

    def _above(self, entry: int, w: float) -> None:
        """Put what is known from above of the voltage at an entry into the vector, as U^2 / 2."""
        self.entry_w[entry] = self.z[self.at_w + entry] = w
        if not self.bounded[entry]:
            self.bounded[entry], self.gain = True, None

    def _edges(self) -> None:
        """Put what the neighbours say into the vector: voltage above, flows below."""
        for k, v_pu in enumerate(self.above_v_pu):
            if v_pu > 0.2:
                (p_mw, q_mvar), (r, x) = self.up_mva[k], self.entry_z[k]
                self.angle_rad[k] = self.above_rad[k] + x * p_mw - r * q_mvar
                self._above(k, v_pu * v_pu / 2 + r * p_mw + x * q_mvar)
        for k, (p_mw, q_mvar) in self.below_mva.items():
            self._out(k, -p_mw, -q_mvar)

    def _letter(self, message: Message) -> bool:
        """Take a neighbour's letter; tell whether it moves this side."""
        values, moved = message.values, False
        line = int(values["line"])
        self.heard.add(line)
        if line in self.entry_of:
            k, v_pu = self.entry_of[line], float(values["v_pu"])
            moved = not abs(v_pu - self.above_v_pu[k]) < self.tolerance / 4
            self.above_v_pu[k], self.above_rad[k] = v_pu, float(values["va_rad"])
        elif line in self.exit_of:
            k, p_mw, q_mvar = self.exit_of[line], float(values["p_mw"]), float(values["q_mvar"])
            old = self.below_mva.get(k, (math.inf, math.inf))
            moved = max(abs(p_mw - old[0]), abs(q_mvar - old[1])) > self.tolerance * self.base_mva / 4
            self.below_mva[k] = p_mw, q_mvar
        return moved

    def _estimate(self) -> None:
        if self.gain is None:
            self.gain = self.state.gain_matrix(self.framed, self.own_row, self.bounded)
        self.solved = self.gain @ self.z
        self.result = self.solved.tolist()

    def _write(self, *, first: bool) -> list[Message]:
        """Estimate, and write to the neighbours whose side has moved."""
        if not first:
            self._frames()
            self._edges()
        self._estimate()
        m, result = self.state, self.result
        n, n_x, n_e = len(m.node), len(m.exit_node), len(m.entry)
        out = []
        for line, (name, upwards, k) in self.edges.items():
            if upwards:
                up = n + n_x + k
                w, angle, p_mw, q_mvar = result[self.entry_at[k]], self.angle_rad[k], result[up], result[up + n_e]
            else:
                w, angle = result[self.exit_at[k]], result[n + k] + self.angle_rad[self.exit_entry[k]]
                p_mw, q_mvar = self.out_mva[k]
            says = math.sqrt(max(2.0 * w, 0.0)), angle, p_mw, q_mvar
            if not first and (self.letters.get(line, 0) >= self.rounds or not self._moved(line, says, upwards)):
                continue
            self.said[line] = says
            self.letters[line] = self.letters.get(line, 0) + 1
            values = {"line": line, "v_pu": says[0], "va_rad": angle, "p_mw": p_mw, "q_mvar": q_mvar}
            out.append(Message(self.site.name, name, "boundary", values, size_bytes=80))
        return out

    def _moved(self, line: int, says: tuple[float, float, float, float], upwards: bool) -> bool:
        """Tell whether what the neighbour takes from here differs by more than the tolerance from what it was told."""
        said = self.said.get(line)
        if said is None:
            return True
        if upwards:
            return max(abs(says[2] - said[2]), abs(says[3] - said[3])) > self.tolerance * self.base_mva
        return max(abs(says[0] - said[0]), abs(says[1] - said[1])) > self.tolerance

    def mismatch(self) -> float:
        """Return the largest difference between this side of the edges and what the neighbours say [pu]."""
        worst = 0.0
        for k, v_pu in enumerate(self.above_v_pu):
            if v_pu > 0.2:
                here_pu = math.sqrt(2 * max(self.result[self.entry_at[k]], 0.0))
                worst = max(worst, abs(here_pu - math.sqrt(2 * self.entry_w[k])))
        for k, (p_mw, q_mvar) in self.below_mva.items():
            out_p_mw, out_q_mvar = self.out_mva[k]
            worst = max(worst, max(abs(out_p_mw + p_mw), abs(out_q_mvar + q_mvar)) / self.base_mva)
        return worst

    def _report(self) -> Message:
        """Return the estimate of the area's nodes for the logbook."""
        self.open = False
        v_pu = np.sqrt(np.maximum(2.0 * self.solved[self.told_at], 0.0))
        values = {"feeder": self.area.feeder.name, "node": self.told_node, "v_pu": v_pu}
        return Message(self.site.name, LOGBOOK, "estimate", values)
