"""Switches that report what they are not: bad data that no single measurement explains.

A wrong measurement spoils one residual; a wrong switch state spoils all around it, and taking measurements out one
by one does not help. So where an estimate fails its test, the states that differ by one switch, or by one exchange
of an open for a closed branch, near the largest residuals are estimated too, and the one that explains the
measurements is named (topology error identification by hypothesis testing, after Abur and Exposito, 2004, ch. 8).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controllers.dms.state_estimation import Branches, Estimate, Measurements, wls
from sims.core.errors import GridError

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

AROUND = 6
"""Measurements with the largest residuals whose surroundings are searched."""
DECISIVE = 0.5
"""Share of the objective that another state must get below to be believed."""


@dataclass(frozen=True, eq=False)
class Suspicion:
    """Branches whose reported states do not fit the measurements.

    Parameters
    ----------
    rows : tuple of int
        Branch rows; each is the other way than reported.
    closed : bool array [branch]
        The states that explain the measurements.
    estimate : Estimate
        The estimate under these states.
    """

    rows: tuple[int, ...]
    closed: Bools
    estimate: Estimate


def misreported(
    net: Branches, closed: Bools, may_switch: Bools, measured: Measurements, found: Estimate, reference: int = 0
) -> Suspicion | None:
    """Return the switches that seem misreported, or None where the states fit or nothing explains the data.

    Parameters
    ----------
    net : Branches
        All branches as if closed.
    closed, may_switch : bool array [branch]
        As reported; and which of them have a switch.
    measured, found : Measurements, Estimate
        The measurements and their estimate under `closed`.
    """
    if found.plausible:
        return None
    near = _near(net, measured, found)
    best: Suspicion | None = None
    for rows in _hypotheses(net, closed, may_switch, near):
        state = closed.copy()
        state[list(rows)] = ~state[list(rows)]
        try:
            trial = wls(switched(net, state), measured, reference)
        except (GridError, np.linalg.LinAlgError):
            continue
        if len(trial.unobservable) > len(found.unobservable):
            continue  # a state that cuts nodes off explains nothing about them
        if best is None or trial.objective < best.estimate.objective:
            best = Suspicion(rows, state, trial)
    if best is None or best.estimate.objective > DECISIVE * found.objective:
        return None
    return best


def switched(net: Branches, closed: Bools) -> Branches:
    """Return the net with only the branches that are closed."""
    return Branches(net.start, net.end, np.where(closed, net.y, 0.0), net.shunt)


def _near(net: Branches, measured: Measurements, found: Estimate) -> Bools:
    """Mark the nodes at the largest residuals and their neighbours."""
    near = np.zeros(len(net.shunt), dtype=bool)
    for k in np.argsort(-found.normalised)[:AROUND]:
        place = int(measured.place[k])
        flow = str(measured.kind[k]).endswith(("_from", "_to"))
        near[[net.start[place], net.end[place]] if flow else [place]] = True
    beside = near.copy()
    beside[net.start[near[net.end]]] = True
    beside[net.end[near[net.start]]] = True
    return beside


def _hypotheses(net: Branches, closed: Bools, may_switch: Bools, near: Bools) -> Iterable[tuple[int, ...]]:
    """Give single changes near the residuals, then exchanges of an open for a closed branch."""
    rows = np.flatnonzero(may_switch & (near[net.start] | near[net.end]))
    shut, opened = rows[closed[rows]], rows[~closed[rows]]
    for row in rows:
        yield (int(row),)
    for a in opened:
        for b in shut:
            yield int(a), int(b)
