"""Who acted, under which duty, and what the table of responsibilities refused."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from results.runfile import Run


def role_of(actor: str) -> str:
    """Return the role in an actor's name where the run states none: ``north.dms2`` is a ``dms``."""
    return actor.rsplit(".", 1)[-1].rstrip("0123456789_-") or actor


def roles(run: Run) -> NDArray[np.str_]:
    """Return the role of the actor of every action."""
    stated = run.notes("actions", "actor", "role")
    codes = run.column("actions", "actor")
    if (codes >= 0).all() and (codes < len(run.names("actions", "actor"))).all():
        actors, inverse = np.array(run.names("actions", "actor"), dtype=str), codes
    else:
        actors, inverse = np.unique(run.texts("actions", "actor").astype(str), return_inverse=True)
    named = np.array([stated.get(a) or role_of(str(a)) for a in actors], dtype=str)
    return named[inverse] if actors.size else np.zeros(0, dtype=str)


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
    return float((np.isin(roles(run), wanted) & _carried_out(run)).sum())


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
    done = _carried_out(run)
    who = list(zip(roles(run).tolist(), map(str, run.texts("actions", "duty")), strict=True))
    good = Counter(key for key, ok in zip(who, done, strict=True) if ok)
    bad = Counter(key for key, ok in zip(who, done, strict=True) if not ok)
    return {key: (good[key], bad[key]) for key in sorted(good | bad)}
