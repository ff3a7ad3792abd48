"""The TSO's secondary control: brings each cell's area control error back to zero."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from controllers.contract import Site, command
from sims.core.message import Message

DUTY = "balance_cell"


class Afrr:
    """Automatic frequency restoration: ACE per cell, PI with anti-windup, shared out over power stations.

    ACE = (P_tie - P_sched) + B df; dP = -(k_p ACE + integral of ACE / T_i), limited to the cell's reserve and
    given to its power stations in proportion to theirs (ENTSO-E, Operation Handbook policy 1, appendix A1).
    The integral stops while the limit is reached and the error would drive it further. Cells whose balance
    the DSO holds are left alone.

    Settings
    --------
    k_p, t_i_s : float
        (0.1, 120)
    deadband_mw : float
        Change of an order below which none is sent (1).
    cells_held_by_dso : sequence of int
        Numbers of cells that balance themselves (none).
    held_spans_s : sequence of (float, float)
        When they do, from and until [s] (at any time).
    ttl_s : float
        Life of an order; renewed at half of it (900).
    """

    urgent: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self.site = site
        s = site.settings
        self.k_p, self.t_i_s = float(s.get("k_p", 0.1)), float(s.get("t_i_s", 120.0))
        self.deadband_mw, self.ttl_s = float(s.get("deadband_mw", 1.0)), float(s.get("ttl_s", 900.0))
        self.released = {int(c) for c in s.get("cells_held_by_dso", ())}
        self.spans_s = tuple((float(a), float(b)) for a, b in s.get("held_spans_s", ((0.0, math.inf),)))
        belief = site.grid
        self.f_nominal_hz = belief.f_nominal_hz
        always = self.spans_s == ((0.0, math.inf),)
        self.cells = [c for c in belief.cells if not (always and c.cell in self.released)]
        self.stations = {c.cell: [g for g in belief.generators if g.cell == c.cell] for c in self.cells}
        self.reserve_mw = {cell: sum(g.reserve_mw for g in those) for cell, those in self.stations.items()}
        order = [c.cell for c in belief.cells]
        self.place = {cell: k for k, cell in enumerate(order)}
        self.integral_mw = dict.fromkeys(self.reserve_mw, 0.0)
        self.order_mw = dict.fromkeys(self.reserve_mw, 0.0)
        self.sent_mw = dict.fromkeys(self.reserve_mw, 0.0)
        self.sent_s = dict.fromkeys(self.reserve_mw, -math.inf)
        self.tie_s = -math.inf

    def decide(self, now_s: float, inbox: Sequence[Message]) -> list[Message]:
        """Take the newest tie measurement and send each station its part."""
        ties = [m for m in inbox if m.topic == "tie" and m.sent_ms / 1000 > self.tie_s]
        if not ties:
            return []
        newest = max(ties, key=lambda m: m.sent_ms)
        at_s = newest.sent_ms / 1000
        dt_s = min(at_s - self.tie_s, 4 * self.site.period_ms / 1000) if math.isfinite(self.tie_s) else 0.0
        self.tie_s = at_s
        f_hz, p_tie, p_sched = (np.ravel(newest.values[k]) for k in ("f_hz", "p_tie_mw", "p_sched_mw"))
        out: list[Message] = []
        away = self.released if any(start <= now_s < end for start, end in self.spans_s) else set()
        for cell in self.cells:
            k = self.place[cell.cell]
            if k >= len(p_tie):
                continue
            if cell.cell in away:  # the last order runs out by itself; after a handover back it begins anew
                self.integral_mw[cell.cell] = self.order_mw[cell.cell] = self.sent_mw[cell.cell] = 0.0
                continue
            error = float(p_tie[k] - p_sched[k]) + cell.bias_mw_per_hz * (float(f_hz[k]) - self.f_nominal_hz)
            out += self._control(cell.cell, error, dt_s, now_s)
        return out

    def _control(self, cell: int, error_mw: float, dt_s: float, now_s: float) -> list[Message]:
        reserve = self.reserve_mw[cell]
        grown = self.integral_mw[cell] - error_mw * dt_s / self.t_i_s
        wish = grown - self.k_p * error_mw
        # Beyond the reserve the integral only moves back.
        if abs(wish) <= reserve or abs(grown) < abs(self.integral_mw[cell]):
            self.integral_mw[cell] = min(max(grown, -reserve), reserve)
        order = min(max(wish, -reserve), reserve)
        self.order_mw[cell] = order
        due = order != 0 and now_s - self.sent_s[cell] >= self.ttl_s / 2
        if reserve <= 0 or (abs(order - self.sent_mw[cell]) < self.deadband_mw and not due):
            return []
        self.sent_mw[cell], self.sent_s[cell] = order, now_s
        return [
            command(self.site, g.address, DUTY, self.ttl_s, p_delta_mw=order * g.reserve_mw / reserve)
            for g in self.stations[cell] if g.reserve_mw > 0
        ]
