"""All devices of all distribution grids as columns, and their sub-arrays by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import ScenarioError, nearest
from sims.der.step_kernels import scaled

KINDS = ("load", "pv", "wind", "storage", "ev", "heatpump", "chp", "flexible", "svc", "statcom", "capacitor")
GENERATION = ("pv", "wind", "chp")
"""Kinds whose available power is set by sun, wind or heat, and which can be curtailed."""
COMPENSATION = ("svc", "statcom", "capacitor")
"""Kinds that feed reactive power only."""
STRATEGIES = ("uncontrolled", "price", "controlled")
"""How EV clusters charge: from arrival, in the cheapest hours, or spread over the stay."""

_DEFAULTS: dict[str, Any] = {
    "p_rated_mw": 0.0, "s_rated_mva": np.nan, "profile": "", "scaling": 1.0, "cos_phi": 1.0,
    "level": "lv", "remote": True, "e_rated_mwh": 0.0, "soc_start": 0.5, "vehicles": 0, "plug_mw": 0.011,
    "v2g_share": 0.0, "strategy": "uncontrolled", "steps": 1,
}
_TEXT = ("name", "kind", "profile", "level", "strategy")
_WHOLE = ("feeder", "node", "dso", "vehicles", "steps")


@dataclass(frozen=True)
class DeviceTable:
    """Frozen columns, one entry a device, over every feeder of every DSO.

    Attributes
    ----------
    name, kind : ndarray of str
        Unique name; one of `KINDS`.
    feeder, node, dso : ndarray of int
        Global feeder index, node index within the feeder, DSO index.
    p_rated_mw, s_rated_mva : ndarray
        Rated active power of the unit as a positive number, apparent power of its inverter or connection.
    profile : ndarray of str
        Series of the profile file without its ``_p``; empty: constant 1.
    scaling, cos_phi : ndarray
        Factor on the profile; power factor of loads without a ``_q`` series (lagging).
    level : ndarray of str
        ``lv`` or ``mv``: which connection rule holds.
    remote : ndarray of bool
        Whether commands can reach it.
    e_rated_mwh, soc_start : ndarray
        Storage: usable energy and share at the start; heat pump, flexible: buffer as electric energy.
    vehicles, plug_mw, v2g_share, strategy : ndarray
        EV clusters: how many vehicles, plug power, share able to feed back, ``uncontrolled`` | ``price`` |
        ``controlled``.
    steps : ndarray of int
        Steps of a switched capacitor, whose `s_rated_mva` is that of all together.
    feeder_names, dso_names : tuple of str
        Names by the global indices above.
    """

    name: NDArray[np.str_]
    kind: NDArray[np.str_]
    feeder: NDArray[np.int64]
    node: NDArray[np.int64]
    dso: NDArray[np.int64]
    p_rated_mw: NDArray[np.float64]
    s_rated_mva: NDArray[np.float64]
    profile: NDArray[np.str_]
    scaling: NDArray[np.float64]
    cos_phi: NDArray[np.float64]
    level: NDArray[np.str_]
    remote: NDArray[np.bool_]
    e_rated_mwh: NDArray[np.float64]
    soc_start: NDArray[np.float64]
    vehicles: NDArray[np.int64]
    plug_mw: NDArray[np.float64]
    v2g_share: NDArray[np.float64]
    strategy: NDArray[np.str_]
    steps: NDArray[np.int64]
    feeder_names: tuple[str, ...]
    dso_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.name)

    @classmethod
    def of(cls, *, feeder_names: Sequence[str], dso_names: Sequence[str], **columns: Any) -> DeviceTable:
        """Return a checked table; columns left out take their default, scalars are repeated.

        Raises
        ------
        ScenarioError
            Unknown column or kind, uneven lengths, index out of range, doubled name, negative or missing
            rating; the device is named.
        """
        known = [f.name for f in fields(cls) if f.name not in ("feeder_names", "dso_names")]
        for column in columns:
            if column not in known:
                raise ScenarioError(f"device table has no column '{column}'{nearest(column, known)}")
        count = len(columns["name"])
        data: dict[str, Any] = {}
        for column in known:
            if column not in columns and column not in _DEFAULTS:
                raise ScenarioError(f"device table needs the column '{column}'")
            dtype = (
                np.str_ if column in _TEXT else np.int64 if column in _WHOLE
                else np.bool_ if column == "remote" else np.float64
            )
            raw: NDArray[Any] = np.asarray(columns.get(column, _DEFAULTS.get(column)), dtype=dtype)
            if raw.ndim == 0:
                raw = np.full(count, raw)
            if raw.shape != (count,):
                raise ScenarioError(f"column '{column}' has {raw.shape} entries for {count} devices")
            data[column] = raw.copy()
        unset = np.isnan(data["s_rated_mva"])
        data["s_rated_mva"][unset] = data["p_rated_mw"][unset] / np.maximum(data["cos_phi"][unset], 1e-3)
        for values in data.values():
            values.flags.writeable = False
        table = cls(**data, feeder_names=tuple(feeder_names), dso_names=tuple(dso_names))
        table._check()
        return table

    def _check(self) -> None:
        faults = (
            (~np.isin(self.kind, KINDS), f"kind is not one of {' | '.join(KINDS)}"),
            ((self.feeder < 0) | (self.feeder >= len(self.feeder_names)), "feeder index out of range"),
            ((self.dso < 0) | (self.dso >= len(self.dso_names)), "dso index out of range"),
            (self.node < 0, "node index is negative"),
            (~(self.p_rated_mw >= 0), "p_rated_mw must be 0 or more"),
            (~((self.cos_phi > 0) & (self.cos_phi <= 1)), "cos_phi must lie in (0, 1]"),
            (~((self.soc_start >= 0) & (self.soc_start <= 1)), "soc_start must lie in [0, 1]"),
            (self.vehicles < 0, "vehicles must be 0 or more"),
            (self.steps < 1, "steps must be 1 or more"),
            (~np.isin(self.level, ("lv", "mv")), "level must be lv or mv"),
            (~np.isin(self.strategy, STRATEGIES), f"strategy is not one of {' | '.join(STRATEGIES)}"),
        )
        for wrong, text in faults:
            if wrong.any():
                k = int(np.argmax(wrong))
                raise ScenarioError(f"device '{self.name[k]}': {text} ({int(wrong.sum())} device(s))")
        names, counts = np.unique(self.name, return_counts=True)
        if (counts > 1).any():
            raise ScenarioError(f"device name '{names[np.argmax(counts > 1)]}' is given twice")

    def of_kind(self, *kinds: str) -> NDArray[np.int64]:
        """Return the indices of all devices of these kinds, rising."""
        return np.flatnonzero(np.isin(self.kind, kinds))

    def of_dso(self, dso: int) -> NDArray[np.int64]:
        """Return the indices of the devices of one DSO, rising."""
        return np.flatnonzero(self.dso == dso)

    def joined(self, other: DeviceTable) -> DeviceTable:
        """Return both tables as one; `other` has to use the same feeder and DSO names."""
        if (self.feeder_names, self.dso_names) != (other.feeder_names, other.dso_names):
            raise ScenarioError("device tables can be joined only over the same feeders and DSOs")
        columns = {
            f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)])
            for f in fields(self) if f.name not in ("feeder_names", "dso_names")
        }
        return DeviceTable.of(feeder_names=self.feeder_names, dso_names=self.dso_names, **columns)


def picked(index: NDArray[np.int64]) -> slice | NDArray[np.int64]:
    """Return a slice where rising indices have no gap, so that columns are views and not copies."""
    if len(index) and int(index[-1]) - int(index[0]) + 1 == len(index):
        return slice(int(index[0]), int(index[-1]) + 1)
    return index


class DeviceFleet:
    """The table split by kind, and what every step needs of it: signs, profile columns, neighbours.

    Attributes
    ----------
    index : dict of str to slice or ndarray
        Kind -> where its devices stand in the global arrays.
    column_p, column_q : ndarray of int
        Column of each device in the profile file, -1 where it has none.
    behind : ndarray of int
        Number of the connection point (feeder and node) of each device.
    """

    def __init__(self, table: DeviceTable, series: Sequence[str]) -> None:
        self.table = table
        self.index = {kind: picked(table.of_kind(kind)) for kind in KINDS}
        self.column_p = _columns(table, series, "_p", required=True)
        self.column_q = _columns(table, series, "_q", required=False)
        heat = self.index["heatpump"]
        self._take_cop = _columns(table, series, "_cop", required=False)[heat]
        points = table.feeder * (int(table.node.max(initial=0)) + 1) + table.node
        self.behind = np.unique(points, return_inverse=True)[1].reshape(-1).astype(np.int64)
        self.points = int(self.behind.max(initial=-1)) + 1
        self.generates = np.isin(table.kind, GENERATION)
        self.tan_phi = np.tan(np.arccos(table.cos_phi))
        load = self.index["load"]
        self._column_q, self._scaling_q = self.column_q[load], table.scaling[load]

    def shares(self, profile: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the P share of each device and the Q share of each load; Q is nan without a series."""
        p, q = np.empty(len(self.column_p)), np.empty(len(self._column_q))
        scaled(profile, self.column_p, self.table.scaling, 1.0, p)
        scaled(profile, self._column_q, self._scaling_q, np.nan, q)
        return p, q

    def worth(self, profile: NDArray[np.float64]) -> NDArray[np.float64] | float:
        """Return the COP of each heat pump over that at its rating, 1 where there is no series of it."""
        if not (self._take_cop >= 0).any():
            return 1.0
        return np.append(profile, 1.0)[self._take_cop]  # -1 takes the last, which is 1


def _columns(table: DeviceTable, series: Sequence[str], ending: str, *, required: bool) -> NDArray[np.int64]:
    place = {name: k for k, name in enumerate(series)}
    names, inverse = np.unique(table.profile, return_inverse=True)
    found = np.array([place.get(f"{n}{ending}", place.get(n, -1) if required else -1) for n in names])
    for name, column in zip(names, found, strict=True):
        if required and name and column < 0:
            device = table.name[np.argmax(table.profile == name)]
            plain = sorted({s.removesuffix("_p").removesuffix("_q") for s in series})
            raise ScenarioError(f"device '{device}': no profile '{name}'{nearest(name, plain)}")
    return found[inverse.reshape(-1)].astype(np.int64)
