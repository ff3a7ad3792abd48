"""Heat pumps with a store of heat: demand from a profile, running shifted by caps, comfort before obedience."""

from __future__ import annotations

from sims.der.buffer import Array, Buffered


class HeatPumps(Buffered):
    """Many heat pumps; heat is counted as the electric energy that would make it at the rated COP.

    A pump steers its store back to three quarters. Where a series of the COP is given, `worth` is the COP over that
    at the rating: the same heat takes less power on a mild day.
    """

    def __init__(self, p_rated_mw: Array, e_buffer_mwh: Array, soc_start: Array, recover_h: float = 1.0) -> None:
        super().__init__(p_rated_mw, e_buffer_mwh, soc_start, target=0.75, recover_h=recover_h)
