"""What each PV and wind plant is believed to feed in, and could, by the sums its substation reports."""

from __future__ import annotations

import numpy as np

from controllers.dms.readings import Readings
from controllers.dms.set_points import Floats, Ints, Register


def believed_feed_in(register: Register, readings: Readings, rows: Ints, cap_mw: Floats) -> tuple[Floats, Floats]:
    """Return present and available power of PV and wind devices `rows` [MW].

    Substations report sums: what is fed in, and what could be. Where nothing is held back each device gets the
    share of its rating. Else those that are held give what they are held to, what is left of the sum comes from the
    others, and what could be fed in beyond that stands behind the caps. So the two groups are told apart, whose
    profiles differ, and a plan made on a wrong split is corrected by what came of it.

    Parameters
    ----------
    register : Register
    readings : Readings
        Of its feeders.
    rows : int array
    cap_mw : array [device]
        What each is held to by this site, nan where it is not.
    """
    rated, share, place = register.p_rated_mw[rows], register.share[rows], register.place[rows]
    given, available = readings.der_mw[place], readings.der_avail_mw[place]
    held = np.flatnonzero(np.isfinite(cap_mw) & register.feeds_in)
    if not len(held):
        now: Floats = np.clip(given * share, 0.0, rated)
        return now, np.clip(available * share, now, rated)
    there, nodes = register.place[held], len(readings.der_mw)
    capped = np.minimum(cap_mw[held], readings.der_avail_mw[there] * register.share[held])
    held_share = np.bincount(there, register.share[held], nodes)[place]
    held_mw = np.bincount(there, capped, nodes)[place]
    free_share = np.maximum(1.0 - held_share, 0.0)
    # Unheld devices give all they could; frames from before a cap tell of more than these can give.
    free_mw = np.clip(given - held_mw, 0.0, available) * (free_share > 1e-9)
    of_free = free_mw * share / np.maximum(free_share, 1e-9)
    of_held = (available - free_mw) * share / np.maximum(held_share, 1e-9)
    mine = np.isfinite(cap_mw[rows])
    now = np.clip(np.where(mine, np.minimum(cap_mw[rows], of_held), of_free), 0.0, rated)
    return now, np.clip(np.where(mine, of_held, of_free), now, rated)
