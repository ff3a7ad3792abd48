"""What vehicles are believed to draw, and what they may be held back to."""

from __future__ import annotations

import numpy as np

from controllers.dms.feeder_file import FeederFile
from controllers.dms.set_points import Floats, Ints, Register

EV_WEIGHT, LOAD_WEIGHT = 0.15, 0.8
"""Share of the nameplate that is drawn in the evening peak: what splits a metered demand into charging and the rest.

Of many vehicles few charge at once. Whoever believes in more of it orders caps that hold nobody back.
"""
KEPT_SHARE = 4.2 / 11.0
"""What a grid operator leaves to a charging point it holds back: 4.2 kW (EnWG section 14a), of 11 kW."""


class Charging:
    """The believed draw of the charging clusters of a site.

    Substations meter the sum behind them. What is not fed in there is demand, and clusters get their part of
    it by nameplate, as in load allocation. While a cluster is held back its meter no longer tells what it
    would draw; then what it drew before is taken for that.

    Parameters
    ----------
    register : Register
    """

    def __init__(self, register: Register) -> None:
        self._register = register
        self._natural_mw = np.zeros(len(register))

    def believed(self, file: FeederFile, rows: Ints, cap_mw: Floats) -> tuple[Floats, Floats, Floats]:
        """Return what clusters `rows` draw, would draw if let, and must be left at least [MW].

        Parameters
        ----------
        rows : int array
            Clusters of one feeder.
        cap_mw : array [device]
            What they are held to by this site, nan where not.
        """
        register, base = self._register, file.belief.grid.base_mva
        node, rated = register.node[rows], register.p_rated_mw[rows]
        demand = np.maximum(file.der_mw - file.s.real * base, 0.0)[node]
        whole = np.bincount(node, rated, len(file.s))[node]
        part = EV_WEIGHT * whole / np.maximum(EV_WEIGHT * whole + LOAD_WEIGHT * file.load_pu[node] * base, 1e-12)
        drawn = np.minimum(demand * part * rated / np.maximum(whole, 1e-12), rated)
        held = np.isfinite(cap_mw[rows])
        self._natural_mw[rows] = np.where(held, np.maximum(self._natural_mw[rows], drawn), drawn)
        natural = self._natural_mw[rows]
        now = np.where(held, np.minimum(cap_mw[rows], natural), drawn)
        return now, natural, KEPT_SHARE * natural
