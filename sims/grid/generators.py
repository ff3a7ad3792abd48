"""Generators that hold a voltage: dispatch, set-points, and reactive limits."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sims.core.errors import GridError, nearest
from sims.grid.compiled import CompiledNet
from sims.grid.parts import BoolArray, ComplexArray, FloatArray, IntArray

FIELDS = ("p_mw", "vm_pu")


class Generators:
    """The generators of one grid, in the order of ``compiled.elements['gen']``.

    Attributes
    ----------
    on : ndarray of bool
    p_mw, vm_pu : ndarray
    held_mvar : dict
        Generators standing at a reactive limit -> that limit.
    """

    def __init__(self, compiled: CompiledNet) -> None:
        group = compiled.elements["gen"]
        self._compiled = compiled
        self._name, self._node, self._scaling = compiled.name, group.node, group.scaling
        self.on: BoolArray = group.in_service.copy()
        self.p_mw: FloatArray = group.p_mw.copy()
        self.vm_pu: FloatArray = group.vm_pu.copy()
        self.held_mvar: dict[int, float] = {}

    @cached_property
    def _q_limits(self) -> tuple[FloatArray, FloatArray]:
        """The reactive limits of pandapower's table [Mvar]; infinite where it has none."""
        table = self._compiled.net.gen
        low, high = (table[c].to_numpy(float) if c in table else np.full(len(table), np.nan)
                     for c in ("min_q_mvar", "max_q_mvar"))
        return np.where(np.isfinite(low), low, -np.inf), np.where(np.isfinite(high), high, np.inf)

    def set(self, field: str, values: ArrayLike) -> None:
        """Write `p_mw` or `vm_pu` of all generators, or one value for all."""
        if field not in FIELDS:
            raise GridError(f"net {self._name}: gen has no field {field}{nearest(field, FIELDS)}")
        given = np.asarray(values, dtype=float).reshape(-1)
        if len(given) not in (1, len(self.on)):
            raise GridError(f"net {self._name}: gen.{field} has {len(given)} values, needs {len(self.on)}")
        full = np.broadcast_to(given, self.on.shape)
        if field == "p_mw":
            self.p_mw = full * self._scaling
        else:
            self.vm_pu = full.copy()

    def holding(self, net: CompiledNet) -> BoolArray:
        """Tell which generators hold the voltage of their node: on, supplied, not at a root or a limit."""
        holds = self.on & net.live[self._node] & ~np.isin(net.rep[self._node], net.rep[net.roots])
        holds[list(self.held_mvar)] = False
        return holds

    def add_to(self, s: ComplexArray) -> None:
        """Add active power, and reactive power at limits, to the nodal injections `s` [MVA]."""
        np.add.at(s, self._node, np.where(self.on, self.p_mw, 0.0))
        for row, value in self.held_mvar.items():
            s[self._node[row]] += 1j * value

    @property
    def _free(self) -> BoolArray:
        free = self.on.copy()
        free[list(self.held_mvar)] = False
        return free

    def take_from(self, s: ComplexArray) -> None:
        """Take what `write` puts into a generator table off the nodal injections `s` again."""
        np.add.at(s, self._node, -np.where(self._free, self.p_mw, 0.0))

    def write(self, table: Any, roots: IntArray) -> None:
        """Write dispatch and set-points to a pandapower generator table; those at limits go out of service."""
        table["in_service"] = self._free
        table["scaling"] = 1.0
        table["p_mw"] = self.p_mw
        free = ~np.isin(self._node, roots)
        table.loc[table.index[free], "vm_pu"] = self.vm_pu[free]

    def reactive(self, net: CompiledNet, q_node_mvar: FloatArray) -> FloatArray:
        """Share out what each node's generators give together [Mvar]: evenly, limits kept."""
        free = self._free
        node = net.rep[self._node]
        count = np.bincount(node[free], minlength=net.n_nodes)
        q = np.where(free, q_node_mvar[node] / np.maximum(count[node], 1), 0.0)
        for row, value in self.held_mvar.items():
            q[row] = value
        return q

    def hold_limits(self, net: CompiledNet, q_mvar: FloatArray) -> bool:
        """Put those beyond their limits on the limit; returns whether there were any."""
        free, (low, high) = self.holding(net), self._q_limits
        over, under = free & (q_mvar > high), free & (q_mvar < low)
        for row in np.nonzero(over | under)[0]:
            self.held_mvar[int(row)] = float(high[row] if over[row] else low[row])
        return bool((over | under).any())
