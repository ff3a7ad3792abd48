"""The feeders of a fleet that share one topology."""

from __future__ import annotations

import numpy as np

from sims.grid.compiled import CompiledNet
from sims.grid.flows import FlowReader
from sims.grid.no_load import node_turns
from sims.grid.parts import IntArray
from sims.grid.radial import RadialSolver
from sims.grid.ring import RingSolver


class FeederGroup:
    """The feeders that share one topology, and what solves and reads them."""

    def __init__(self, compiled: CompiledNet, feeders: IntArray) -> None:
        self.net = compiled
        self.feeders = feeders
        self.solver = (RadialSolver if compiled.radial else RingSolver)(compiled, len(feeders))
        self.reader = FlowReader(compiled)
        self.turns = node_turns(compiled)
        rep_of_root = compiled.rep[compiled.roots]
        self.root_rows = np.array([int(np.nonzero(rep_of_root == h)[0][0]) for h in self.solver.heads])
        self.root_nodes = np.nonzero(np.isin(compiled.rep, self.solver.heads))[0]
        self.joined_nodes = np.nonzero(compiled.rep != np.arange(compiled.n_nodes))[0]
