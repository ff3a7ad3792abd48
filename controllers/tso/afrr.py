"""The TSO's secondary control: brings each cell's area control error back to zero."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from controllers.contract import Site
from controllers.restoration_law import RestorationLaw, cell_error
from controllers.stations import Stations
from sims.core.message import Message

DUTY = "balance_cell"


class Afrr:
    """Automatic frequency restoration: ACE per cell, PI with anti-windup, shared out over power stations.

    ACE = (P_tie - P_sched) + B df; dP = -(k_p ACE + integral of ACE / T_i), limited to what the cell's reserve can
    give by the next cycle and given to its power stations in proportion to theirs (ENTSO-E, Operation Handbook
    policy 1, appendix A1). Cells whose balance the DSO holds are left alone. It decides on each measurement of the
    ties, once a cycle: every 4 s while frequency moves, at the grid step while the system rests.

    Settings
    --------
    k_p, t_i_s : float
        (0.1, 120)
    cycle_ms : int
        (4000)
    cells_held_by_dso : sequence of int
        Numbers of cells that balance themselves (none).
    held_spans_s : sequence of (float, float)
        When they do, from and until [s] (at any time).
    reserve_deadband_mw, reserve_ttl_s : float
        Of `Stations`.
    """

    urgent = frozenset({"tie"})
    REST_S = 60.0
    """Most that is taken for the time to the next measurement: while the system rests none may come for long."""

    def __init__(self, site: Site) -> None:
        self.site = site
        s = site.settings
        self.released = {int(c) for c in s.get("cells_held_by_dso", ())}
        self.spans_s = tuple((float(a), float(b)) for a, b in s.get("held_spans_s", ((0.0, math.inf),)))
        belief = site.grid
        self.f_nominal_hz = belief.f_nominal_hz
        always = self.spans_s == ((0.0, math.inf),)
        self.cells = [c for c in belief.cells if not (always and c.cell in self.released)]
        self.stations = {
            c.cell: Stations(site, [g for g in belief.generators if g.cell == c.cell]) for c in self.cells
        }
        k_p, t_i_s = float(s.get("k_p", 0.1)), float(s.get("t_i_s", 120.0))
        self.laws = {c.cell: RestorationLaw(k_p, t_i_s) for c in self.cells}
        self.place = {c.cell: k for k, c in enumerate(belief.cells)}
        self.cycle_ms = int(s.get("cycle_ms", 4000))
        self.measured_ms = -math.inf
        self.due_s = math.inf  # called by each measurement

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take the newest tie measurement and send each station its part."""
        newest = max((m for m in inbox if m.topic == "tie"), key=lambda m: m.sent_ms, default=None)
        if newest is None or newest.sent_ms < self.measured_ms + self.cycle_ms:
            return []
        within_s = min((newest.sent_ms - self.measured_ms) / 1000, self.REST_S)
        self.measured_ms = newest.sent_ms
        f_hz, p_tie, p_sched = (np.ravel(newest.values[k]) for k in ("f_hz", "p_tie_mw", "p_sched_mw"))
        out: list[Message] = []
        away = self.released if any(start <= now_s < end for start, end in self.spans_s) else set()
        for cell in self.cells:
            k, stations, law = self.place[cell.cell], self.stations[cell.cell], self.laws[cell.cell]
            if k >= len(p_tie):
                continue
            if cell.cell in away:  # the last order runs out by itself; after a handover back it begins anew
                law.forget()
                stations.forget()
                continue
            error = cell_error(float(p_tie[k]), float(p_sched[k]), float(f_hz[k]), self.f_nominal_hz,
                               cell.bias_mw_per_hz)
            stations.advance(now_s)
            law.measure(error, newest.sent_ms / 1000)
            out += stations.call(DUTY, law.ask(*stations.reach_mw(within_s)), now_s)
        return out
