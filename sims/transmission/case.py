"""A transmission grid with its machines, as arrays: what the frequency model is built from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import GridError, Problem
from sims.transmission import machines as table
from sims.transmission.machines import Machines

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_BRANCH = ("r_pu", "x_pu", "b_pu", "tap", "shift_deg")


@dataclass(frozen=True)
class MachineCase:
    """Network, loads, machines and cells of one synchronous system.

    Parameters
    ----------
    bus_ids : tuple of int
        Bus numbers; every `*_bus` array holds positions in it.
    bus_cell : array of int [bus]
        Position of each bus's cell in `cells`.
    cells : tuple of str
        Names of the cells, in the order of their numbers.
    branch_from, branch_to : array of int [branch]
        The tap, where there is one, is at the from end.
    branch : dict of arrays
        ``r_pu``, ``x_pu``, ``b_pu`` on `base_mva`; ``tap`` (ratio), ``shift_deg``.
    shunt_pu : complex array [bus]
        Fixed admittance to ground.
    load_bus, load_mva : arrays [load]
        Consumption, positive out of the grid.
    load_z, load_i : arrays [load]
        Shares of constant impedance and constant current; the rest is constant power.
    """

    name: str
    base_mva: float
    f0_hz: float
    bus_ids: tuple[int, ...]
    bus_cell: Index
    cells: tuple[str, ...]
    branch_from: Index
    branch_to: Index
    branch: Mapping[str, Array]
    shunt_pu: NDArray[np.complex128]
    load_bus: Index
    load_mva: NDArray[np.complex128]
    load_z: Array
    load_i: Array
    machines: Machines
    slack: int
    slack_deg: float = 0.0

    @classmethod
    def load(cls, path: str | Path) -> MachineCase:
        """Read a case from JSON.

        Raises
        ------
        GridError
            Everything wrong with the file, with the element and field at fault.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as err:
            raise GridError(f"{path}: cannot be read as a machine case: {err}") from err
        return cls.from_dict(data, str(path))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "case") -> MachineCase:
        """Build a case from the content of such a file; errors as in `load`."""
        problems = [
            Problem(where, key, "is missing or empty")
            for key in ("base_mva", "f0_hz", "cells", "bus", "branch", "machine") if not data.get(key)
        ]
        if problems:
            raise GridError("\n".join(map(str, problems)))
        ids = [row.get("id") for row in data["bus"]]
        bus_of = {bus: i for i, bus in enumerate(ids)}
        if len(bus_of) != len(ids):
            problems.append(Problem(where, "bus", "a bus number is used more than once"))
        cells = {str(key): i for i, key in enumerate(data["cells"])}
        cell = np.zeros(len(ids), np.int64)
        for i, row in enumerate(data["bus"]):
            if str(row.get("cell")) in cells:
                cell[i] = cells[str(row["cell"])]
            else:
                problems.append(Problem(where, f"bus.{ids[i]}.cell", f"there is no cell {row.get('cell')}"))

        def at(kind: str, key: str) -> Index:
            out = np.zeros(len(data.get(kind, ())), np.int64)
            for i, row in enumerate(data.get(kind, ())):
                if row.get(key) in bus_of:
                    out[i] = bus_of[row[key]]
                else:
                    problems.append(Problem(where, f"{kind}[{i}].{key}", f"there is no bus {row.get(key)}"))
            return out

        def column(kind: str, key: str, default: float) -> Array:
            return np.array([row.get(key, default) for row in data.get(kind, ())], np.float64)

        rows = list(data["machine"])
        found = table.read(rows, bus_of, where, problems)
        slack = [i for i, row in enumerate(rows) if row.get("slack")]
        if len(slack) != 1:
            problems.append(Problem(where, "machine", f"exactly one must be the slack, found {len(slack)}"))
        branch = {key: column("branch", key, 1.0 if key == "tap" else 0.0) for key in _BRANCH}
        dead = np.flatnonzero((np.hypot(branch["r_pu"], branch["x_pu"]) < 1e-9) | (branch["tap"] <= 0))
        problems += [Problem(where, f"branch[{i}]", "needs an impedance and a positive tap") for i in dead]
        ends = at("branch", "from"), at("branch", "to")
        shunt = np.zeros(len(ids), np.complex128)
        np.add.at(shunt, at("shunt", "bus"), column("shunt", "g_pu", 0.0) + 1j * column("shunt", "b_pu", 0.0))
        load_bus, load = at("load", "bus"), column("load", "p_mw", 0.0) + 1j * column("load", "q_mvar", 0.0)
        if problems:
            raise GridError("\n".join(map(str, problems)))
        return cls(
            str(data.get("name", where)), float(data["base_mva"]), float(data["f0_hz"]), tuple(ids), cell,
            tuple(str(x) for x in data["cells"].values()), *ends, branch, shunt, load_bus, load,
            column("load", "z_share", 0.0), column("load", "i_share", 0.0), found, slack[0],
            float(rows[slack[0]].get("v_deg", 0.0)),
        )

    @property
    def n_bus(self) -> int:
        """Number of buses."""
        return len(self.bus_ids)

    def bus_index(self, buses: Sequence[int]) -> Index:
        """Return positions of bus numbers; raises GridError naming those that do not exist."""
        where = {bus: i for i, bus in enumerate(self.bus_ids)}
        missing = [bus for bus in buses if bus not in where]
        if missing:
            raise GridError(f"{self.name}: there is no bus {', '.join(map(str, missing))}")
        return np.array([where[bus] for bus in buses], np.int64)

    def with_loads(self, *, z: float = 0.0, i: float = 0.0) -> MachineCase:
        """Return the case with the shares `z` and `i` of every load at constant impedance and current."""
        if z < 0 or i < 0 or z + i > 1:
            raise GridError(f"{self.name}: load shares z = {z} and i = {i} must be in 0..1 and sum to at most 1")
        ones = np.ones(len(self.load_bus))
        return replace(self, load_z=z * ones, load_i=i * ones)

    def with_transformers(
        self, buses: Sequence[int], new_ids: Sequence[int], r_pu: Array, x_pu: Array, tap: Array,
    ) -> MachineCase:
        """Return the case with a busbar behind a transformer added for each entry, in the cell of its bus.

        Parameters
        ----------
        buses, new_ids : sequences of int
            Numbers of the transmission buses, and of the busbars to add.
        r_pu, x_pu : arrays
            Series impedance on `base_mva`.
        tap : array
            Ratio at the transmission end.
        """
        at = self.bus_index(buses)
        taken = sorted(set(new_ids) & set(self.bus_ids)) or sorted({i for i in new_ids if list(new_ids).count(i) > 1})
        if taken:
            raise GridError(f"{self.name}: bus {', '.join(map(str, taken))} exists already; give every busbar its own")
        zero = np.zeros(len(at))
        rows = {"r_pu": r_pu, "x_pu": x_pu, "b_pu": zero, "tap": tap, "shift_deg": zero}
        return replace(
            self,
            bus_ids=(*self.bus_ids, *new_ids),
            bus_cell=np.append(self.bus_cell, self.bus_cell[at]),
            branch_from=np.append(self.branch_from, at),
            branch_to=np.append(self.branch_to, self.n_bus + np.arange(len(at))),
            branch={k: np.append(column, rows[k]) for k, column in self.branch.items()},
            shunt_pu=np.append(self.shunt_pu, zero),
        )

    def with_machines(self, machines: Machines) -> MachineCase:
        """Return the case with other data for its machines."""
        return replace(self, machines=machines)

    @property
    def cell_pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of cells (positions, lower first) that at least one branch joins."""
        a, b = self.bus_cell[self.branch_from], self.bus_cell[self.branch_to]
        return tuple(sorted({(min(x, y), max(x, y)) for x, y in zip(a.tolist(), b.tolist(), strict=True) if x != y}))
