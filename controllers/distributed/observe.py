"""Observation without a centre: each area estimates itself and agrees with its neighbours at the edges."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from controllers.contract import Site
from controllers.distributed import observe_kernels as kernel
from controllers.distributed.area import Area
from controllers.distributed.area_state import Accuracy, AreaState
from controllers.distributed.book import shared
from controllers.distributed.estimators import Estimators
from controllers.distributed.picture import picture_of
from sims.core.bundle import unbundled
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

    What an area knows stands in arrays of its own. Areas that sit on one bench (see `estimators.Estimators`) have them
    laid out one after the other, and decide at one stroke.

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

    Attributes
    ----------
    z : ndarray
        Measurements, in the order of `AreaState.n_z`.
    entry, leaving, edge : ndarray [entry | exit | edge, column]
        What is known there (see `observe_kernels`).
    gain : ndarray
        Row by row; not true while `stale`.
    result : ndarray
        The last estimate.
    """

    urgent = frozenset({"boundary"})
    reads: frozenset[str] = frozenset()
    bench = Estimators

    def __init__(self, site: Site) -> None:
        self.site = site
        self.area: Area = shared(site, "area", lambda: Area(site))
        s = site.settings
        self.every_s = float(s.get("every_s", s.get("estimation_ms", 300_000) / 1000))
        self.tolerance = float(s.get("tolerance", 1e-3))
        self.base_mva = float(s.get("base_mva", 10.0))
        self.rounds = int(s.get("rounds", 8))
        # A class of accuracy is taken as three standard deviations.
        accuracy = Accuracy(v_own_pu=float(s.get("v_class_percent", 0.6)) / 300)
        feeder, number = self.area.feeder, self.area.number
        self.state = m = AreaState(feeder, number, self.area.own_node, accuracy)
        n_i, n_e, n_x = len(m.injecting), len(m.entry), len(m.exit_node)
        self.z = np.zeros(m.n_z)
        self.z[1 + n_i:1 + 3 * n_i] = *m.pseudo_p, *m.pseudo_q
        self.row = {int(n): k for k, n in enumerate(m.injecting)}
        self.own_row = self.row.get(self.area.own_node, -1)
        at = {int(n): k for k, n in enumerate(m.node)}
        rep = feeder.grid.rep
        self.told_node = np.array([n for n in self.area.nodes if int(rep[n]) in at], dtype=np.int64)
        self.told_at = np.array([at[int(rep[n])] for n in self.told_node], dtype=np.int64)
        self.framed = np.zeros(n_i, dtype=bool)
        self.entry = np.zeros((n_e, len(kernel.ENTRY)))
        self.entry[:, kernel.R], self.entry[:, kernel.X] = m.entry_z.real, m.entry_z.imag
        self.entry[:, kernel.ABOVE_V] = np.nan
        self.entry[:, kernel.ENTRY_AT] = [at[int(n)] for n in m.entry]
        self.leaving = np.zeros((n_x, len(kernel.EXIT)))
        self.leaving[:, kernel.EXIT_AT] = [at[int(n)] for n in m.exit_node]
        self.leaving[:, kernel.EXIT_ENTRY] = [np.argmax(m.gain[at[int(n)]]) for n in m.exit_node]
        self.leaving[:, [kernel.BELOW_P, kernel.BELOW_Q]] = np.nan
        ups = [(int(m.entry_line[k]), (feeder.agents[a], 1, k)) for k, a in enumerate(m.entry_area) if a >= 0]
        downs = [(int(m.exit_line[k]), (feeder.agents[a], 0, k)) for k, a in enumerate(m.exit_area)]
        edges: dict[int, tuple[str, int, int]] = dict(ups + downs)
        self.beyond = {line: name for line, (name, _, _) in edges.items()}
        self.edge = np.full((len(edges), len(kernel.EDGE)), np.nan)
        self.edge[:, kernel.LINE] = list(edges)
        self.edge[:, kernel.UPWARDS] = [upwards for _, upwards, _ in edges.values()]
        self.edge[:, kernel.K] = [k for _, _, k in edges.values()]
        self.edge[:, [kernel.HEARD, kernel.LETTERS]] = 0.0
        self.result = np.zeros(len(m.node) + n_x + 2 * n_e)
        self.gain, self.stale = np.zeros(len(self.result) * len(self.z)), True
        self.board, self.frames = picture_of(site, self.area), 0
        self.open = False
        self.agreed: dict[str, float] = shared(site, "agreed", dict)
        self.next_s = self.due_s = 0.0
        self.seated: Estimators | None = None

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take measurements and neighbours' letters; estimate, write, report."""
        bench = self.seated or Estimators([self])
        place = bench.place(self)
        return unbundled(bench.decide(now_s, [place], {place: inbox}))

    def blind(self, now_s: float) -> bool:
        """Tell whether nothing that has been measured is still true."""
        own, primary = self.board.own, self.board.primary
        newest_ms = max(own.sent_ms if own else -math.inf, primary.sent_ms if primary else -math.inf)
        return now_s - newest_ms / 1000 > max(150.0, self.every_s / 2)

    def read(self) -> None:
        """Put the frames that are new into the vector."""
        z, framed, n_i = self.z, self.framed, len(self.framed)
        for frame in self.board.frames_since(self.frames):
            k, v_pu = self.row.get(frame.node), frame.v_pu
            if k is None or not v_pu > 0.2:
                continue
            z[1 + k] = v_pu * v_pu / 2
            z[1 + n_i + k] = frame.p_mw
            z[1 + 2 * n_i + k] = frame.q_mvar
            if not framed[k]:
                framed[k] = self.stale = True
        self.frames = self.board.count

    def weigh(self) -> None:
        """Make the gain true again."""
        bounded = self.entry[:, kernel.BOUNDED] > 0
        self.gain[:] = self.state.gain_matrix(self.framed, self.own_row, bounded).ravel()
        self.stale = False

    def mismatch(self) -> float:
        """Return the largest difference between this side of the edges and what the neighbours say [pu]."""
        return (self.seated or Estimators([self])).mismatch(self)
