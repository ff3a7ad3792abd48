"""Which laws are active in devices, by architecture and stage: rows of a table, nothing else decides it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.local.compensator import StaticCompensator
from controllers.local.inertia import SyntheticInertia
from controllers.local.makers import makers
from controllers.local.rules import Rules, read
from controllers.local.terminal import Array
from sims.core.errors import ScenarioError

ARCHITECTURES = ("local", "centralized", "distributed")
_ALL = frozenset(ARCHITECTURES)
_LOCAL = frozenset({"local"})
_SOURCES = ("pv", "wind", "chp")
_INVERTERS = ("pv", "wind")


@dataclass(frozen=True)
class Row:
    """A law and where it holds: architectures, stages (both included), kinds, connection rule.

    `v2g` asks for clusters with vehicles that can feed back.
    """

    law: str
    architectures: frozenset[str]
    stages: tuple[int, int]
    kinds: tuple[str, ...]
    level: str = ""
    v2g: bool = False


TABLE: tuple[Row, ...] = (
    Row("cap", _LOCAL, (2, 4), ("pv",)),
    Row("cosphi", _ALL, (1, 1), _INVERTERS),
    Row("qu", _ALL, (2, 4), _INVERTERS),
    Row("pu", _LOCAL, (2, 4), _INVERTERS),
    Row("pf_4105", _ALL, (1, 4), _SOURCES, level="lv"),
    Row("pf_4110", _ALL, (1, 4), _SOURCES, level="mv"),
    Row("pf_storage", _ALL, (1, 3), ("storage",)),
    Row("fcr", _ALL, (4, 4), ("storage",)),
    Row("fcr_v2g", _ALL, (4, 4), ("ev",), v2g=True),
    Row("inertia", _ALL, (4, 4), ("storage",)),
    Row("svc", _ALL, (1, 4), ("svc",)),
    Row("statcom", _ALL, (1, 4), ("statcom",)),
    Row("trips", _ALL, (1, 4), (*_SOURCES, "storage")),
)
"""Order is the order in which the laws act on a device. P(f) and its trips are today's practice and stay at every
pairing. From stage 2 on inverters follow Q(U) in place of cos phi(P), whoever controls: a control centre and the
neighbours' agents add set-points where that does not suffice and take them back after. What they know of a branch is
minutes old, what the inverter knows is not."""


_COMPENSATORS: dict[str, Callable[[int], Any]] = {
    "svc": lambda n: StaticCompensator(n, susceptance=True, name="svc"),
    "statcom": lambda n: StaticCompensator(n, susceptance=False, name="statcom"),
}


def active(architecture: str, stage: int) -> tuple[Row, ...]:
    """Return the rows that hold at one pairing, in the order in which they act.

    Raises
    ------
    ScenarioError
        Unknown architecture or stage.
    """
    if architecture not in ARCHITECTURES or stage not in (1, 2, 3, 4):
        raise ScenarioError(
            f"no laws for architecture '{architecture}' at stage {stage}: "
            f"architectures are {' | '.join(ARCHITECTURES)}, stages 1 to 4"
        )
    return tuple(r for r in TABLE if architecture in r.architectures and r.stages[0] <= stage <= r.stages[1])


def equip(
    architecture: str, stage: int, *, kind: NDArray[np.str_], level: NDArray[np.str_], v2g_share: Array,
    p_rated_mw: Array, inertia_s: float | None = None, rules: str | Rules = "vde", f0_hz: float | None = None,
    make: dict[str, Callable[[int], Any]] | None = None,
) -> list[tuple[Any, NDArray[np.int64]]]:
    """Return (law, indices of the devices that carry it) at one pairing.

    Parameters
    ----------
    kind, level : ndarray of str, [device]
    v2g_share, p_rated_mw : ndarray, [device]
    inertia_s : float, optional
        Gain of synthetic inertia in MW s/Hz per MW of rated power; with 0 only what is ordered, None leaves it out.
    rules : str or Rules
        Connection rules, or the name of some that come along; a law they do not have is left out.
    f0_hz : float, optional
        Nominal frequency of the grid, if the rules are to follow it.
    make : mapping, optional
        Law name -> factory by number of devices, to set other numbers than the defaults.
    """
    found = read(rules) if isinstance(rules, str) else rules
    made = {**_COMPENSATORS, **makers(found, f0_hz), **(make or {})}
    out: list[tuple[Any, NDArray[np.int64]]] = []
    for row in active(architecture, stage):
        here = np.isin(kind, row.kinds)
        if row.level:
            here &= level == row.level
        if row.v2g:
            here &= v2g_share > 0
        devices = np.flatnonzero(here)
        if len(devices) == 0:
            continue
        if row.law == "inertia" and inertia_s is not None:
            out.append((SyntheticInertia(inertia_s * p_rated_mw[devices]), devices))
        elif row.law in made:
            out.append((made[row.law](len(devices)), devices))
    return out
