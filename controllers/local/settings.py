"""Which laws are active in devices, by architecture and stage: rows of a table, nothing else decides it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.local.cap import FeedInCap
from controllers.local.cosphi import CosPhi
from controllers.local.fcr import FCR, V2G, Containment
from controllers.local.freq_droop import FrequencyDroop
from controllers.local.inertia import SyntheticInertia
from controllers.local.pf import VDE_4105, VDE_4110, PowerFrequency, StorageFrequency
from controllers.local.pu import VOLT_WATT_B, PowerVoltage
from controllers.local.qu import VOLT_VAR_B, ReactiveVoltage
from controllers.local.terminal import Array
from sims.core.errors import ScenarioError, nearest

ARCHITECTURES = ("local", "centralized", "distributed")
_ALL = frozenset(ARCHITECTURES)
_LOCAL = frozenset({"local"})
_REMOTE = _ALL - _LOCAL
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
    Row("cosphi", _REMOTE, (2, 4), _INVERTERS),
    Row("qu", _LOCAL, (2, 4), _INVERTERS),
    Row("pu", _LOCAL, (2, 4), _INVERTERS),
    Row("pf_4105", _ALL, (1, 4), _SOURCES, level="lv"),
    Row("pf_4110", _ALL, (1, 4), _SOURCES, level="mv"),
    Row("pf_storage", _ALL, (1, 3), ("storage",)),
    Row("fcr", _ALL, (4, 4), ("storage",)),
    Row("fcr_v2g", _ALL, (4, 4), ("ev",), v2g=True),
    Row("inertia", _ALL, (4, 4), ("storage",)),
)
"""Order is the order in which the laws act on a device. P(f), its trips and cos phi(P) are today's practice and
stay at every pairing; cos phi(P) is what a device falls back to when a reactive set-point expires."""

_MAKE: dict[str, Callable[[int], Any]] = {
    "cap": lambda n: FeedInCap(),
    "cosphi": lambda n: CosPhi(),
    "qu": lambda n: ReactiveVoltage(n),
    "pu": lambda n: PowerVoltage(n),
    "pf_4105": lambda n: PowerFrequency(n, VDE_4105, "pf_4105"),
    "pf_4110": lambda n: PowerFrequency(n, VDE_4110, "pf_4110"),
    "pf_storage": lambda n: StorageFrequency(n),
    "fcr": lambda n: Containment(n, FCR, "fcr"),
    "fcr_v2g": lambda n: Containment(n, V2G, "fcr_v2g"),
}

_RULES: dict[str, dict[str, Callable[[int], Any]]] = {
    "vde": {},
    "ieee1547": {
        "qu": lambda n: ReactiveVoltage(n, VOLT_VAR_B, ratio=0.44, of="s", tau_s=5.0 / math.log(10.0)),
        "pu": lambda n: PowerVoltage(n, VOLT_WATT_B, of="rated", tau_s=10.0 / math.log(10.0)),
        "pf_4105": lambda n: FrequencyDroop(n),
        "pf_4110": lambda n: FrequencyDroop(n),
        "pf_storage": lambda n: FrequencyDroop(n, name="freq_droop_storage"),
        "fcr": lambda n: Containment(n, replace(FCR, f0_hz=60.0), "fcr"),
        "fcr_v2g": lambda n: Containment(n, replace(V2G, f0_hz=60.0), "fcr_v2g"),
    },
}
"""Connection rules: the laws that differ from the German ones."""


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
    p_rated_mw: Array, inertia_s: float = 0.0, rules: str = "vde",
    make: dict[str, Callable[[int], Any]] | None = None,
) -> list[tuple[Any, NDArray[np.int64]]]:
    """Return (law, indices of the devices that carry it) at one pairing.

    Parameters
    ----------
    kind, level : ndarray of str, [device]
    v2g_share, p_rated_mw : ndarray, [device]
    inertia_s : float
        Gain of synthetic inertia in MW s/Hz per MW of rated power; 0 leaves it out.
    rules : {"vde", "ieee1547"}
    make : mapping, optional
        Law name -> factory by number of devices, to set other numbers than the defaults.
    """
    if rules not in _RULES:
        raise ScenarioError(f"no connection rules '{rules}'{nearest(rules, _RULES)}; known are {', '.join(_RULES)}")
    makers = {**_MAKE, **_RULES[rules], **(make or {})}
    out: list[tuple[Any, NDArray[np.int64]]] = []
    for row in active(architecture, stage):
        here = np.isin(kind, row.kinds)
        if row.level:
            here &= level == row.level
        if row.v2g:
            here &= v2g_share > 0
        devices = np.flatnonzero(here)
        if len(devices) == 0 or (row.law == "inertia" and inertia_s <= 0):
            continue
        if row.law == "inertia":
            out.append((SyntheticInertia(inertia_s * p_rated_mw[devices]), devices))
        else:
            out.append((makers[row.law](len(devices)), devices))
    return out
