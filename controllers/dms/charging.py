"""What vehicles are believed to draw, and what they may be held back to."""

from __future__ import annotations

import numpy as np

from controllers.dms.readings import Readings
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
        place, rated, rows = register.place, register.p_rated_mw, register.of("ev")
        zero = np.zeros(0)
        load_mw = np.concatenate([zero, *(f.load_mw for f in register.feeders)])
        plugs = np.bincount(place[rows], rated[rows], len(load_mw))[place]
        weight = EV_WEIGHT * plugs
        charging = weight / np.maximum(weight + LOAD_WEIGHT * load_mw[place], 1e-12)
        self._part = charging * rated / np.maximum(plugs, 1e-12)
        self._base_mva = np.array([f.grid.base_mva for f in register.feeders])[register.feeder]

    def believed(self, readings: Readings, rows: Ints, cap_mw: Floats) -> tuple[Floats, Floats, Floats]:
        """Return what clusters `rows` draw, would draw if let, and must be left at least [MW].

        Parameters
        ----------
        readings : Readings
            Of the feeders of the register.
        rows : int array
        cap_mw : array [device]
            What they are held to by this site, nan where not.
        """
        place, rated = self._register.place[rows], self._register.p_rated_mw[rows]
        demand = np.maximum(readings.der_mw[place] - readings.s[place].real * self._base_mva[rows], 0.0)
        drawn = np.minimum(demand * self._part[rows], rated)
        held = np.isfinite(cap_mw[rows])
        self._natural_mw[rows] = np.where(held, np.maximum(self._natural_mw[rows], drawn), drawn)
        natural = self._natural_mw[rows]
        now = np.where(held, np.minimum(cap_mw[rows], natural), drawn)
        return now, natural, KEPT_SHARE * natural
