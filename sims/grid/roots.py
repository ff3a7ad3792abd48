"""The voltages that the roots of one grid are held at."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sims.core.errors import GridError, nearest
from sims.grid.compiled import CompiledNet
from sims.grid.parts import ComplexArray

FIELDS = ("vm_pu", "va_degree")


class Roots:
    """Set-points of the roots, `v` complex [root] [pu]."""

    def __init__(self, compiled: CompiledNet) -> None:
        self._net = compiled
        self.v: ComplexArray = compiled.root_v.copy()

    def hold(self, v: ArrayLike) -> None:
        """Hold the roots at `v`, one for all or [root]."""
        held = np.empty_like(self.v)
        held[...] = v
        self.v = held

    def set(self, field: str, values: ArrayLike) -> None:
        """Write `vm_pu` or `va_degree` of the ext_grids in service."""
        net = self._net
        if field not in FIELDS:
            raise GridError(f"net {net.name}: ext_grid has no field {field}{nearest(field, FIELDS)}")
        buses = net.net.ext_grid.loc[net.net.ext_grid["in_service"], "bus"]
        given = np.asarray(values, dtype=float).reshape(-1)
        if len(given) not in (1, len(buses)):
            raise GridError(f"net {net.name}: ext_grid.{field} has {len(given)} values, needs {len(buses)}")
        for bus, value in zip(buses, np.broadcast_to(given, (len(buses),)), strict=True):
            row = int(np.nonzero(net.roots == net.bus_node[int(bus)])[0][0])
            v = self.v[row]
            self.v[row] = value * v / abs(v) if field == "vm_pu" else abs(v) * np.exp(1j * np.deg2rad(value))
