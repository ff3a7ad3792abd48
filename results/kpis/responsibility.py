"""Who acted, under which duty, and what the table of responsibilities refused."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from results.runfile import Run


def role_of(actor: str) -> str:
    """Return the role in an actor's name where the run states none: ``north.dms2`` is a ``dms``."""
    return actor.rsplit(".", 1)[-1].rstrip("0123456789_-") or actor


def roles(run: Run) -> tuple[list[str], NDArray[np.int64]]:
    """Return the roles that acted, sorted, and which of them the actor of every action has."""
    stated = run.notes("actions", "actor", "role")
    actors, index = run.numbered("actions", "actor")
    named = [stated.get(actor) or role_of(actor) for actor in actors]
    found = sorted(set(named))
    return found, np.array([found.index(role) for role in named], np.int64)[index]


def _carried_out(run: Run) -> NDArray[np.bool_]:
    return run.is_one_of("actions", "refused", "")


def acts(run: Run) -> float:
    """Return the acts that were carried out [1]."""
    return float(_carried_out(run).sum()) if "actions" in run.tables else np.nan


def refused(run: Run) -> float:
    """Return the acts that the table of responsibilities refused [1]."""
    return float((~_carried_out(run)).sum()) if "actions" in run.tables else np.nan


def _acts_by(run: Run, *wanted: str) -> float:
    if "actions" not in run.tables:
        return np.nan
    found, index = roles(run)
    return float((np.isin(index, [k for k, role in enumerate(found) if role in wanted]) & _carried_out(run)).sum())


def acts_by_dso(run: Run) -> float:
    """Return the acts of the DSO's deciders: DMS, agents, operators [1]."""
    return _acts_by(run, "dms", "agent", "operator")


def acts_by_tso(run: Run) -> float:
    """Return the acts of the TSO [1]."""
    return _acts_by(run, "tso")


def acts_by_devices(run: Run) -> float:
    """Return the acts of laws inside devices [1]."""
    return _acts_by(run, "device")


def acts_by_crews(run: Run) -> float:
    """Return the acts of crews on site [1]."""
    return _acts_by(run, "crew")


def by_role_and_duty(run: Run) -> dict[tuple[str, str], tuple[int, int]]:
    """Return (role, duty) -> (acts carried out, acts refused)."""
    if "actions" not in run.tables:
        return {}
    (who, role), (duties, duty) = roles(run), run.numbered("actions", "duty")
    done, pair = _carried_out(run), role * len(duties) + duty
    good, bad = (np.bincount(pair[mine], minlength=len(who) * len(duties)) for mine in (done, ~done))
    return {
        (who[k // len(duties)], duties[k % len(duties)]): (int(good[k]), int(bad[k]))
        for k in np.flatnonzero(good + bad).tolist()
    }
