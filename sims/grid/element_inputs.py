"""Columns of element tables, written by users, summed onto nodes by their dependence on voltage."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sims.core.errors import GridError, nearest
from sims.grid.compiled import CompiledNet
from sims.grid.parts import FloatArray

KINDS = ("load", "sgen", "storage")
FIELDS = ("p_mw", "q_mvar")


class ElementInputs:
    """P and Q of loads, static generators and storages, as columns [element, feeder].

    Parameters
    ----------
    compiled : CompiledNet
    width : int
        Number of feeders.
    """

    def __init__(self, compiled: CompiledNet, width: int) -> None:
        self._net = compiled
        self._width = width
        self._columns: dict[tuple[str, str], FloatArray] = {}
        self.depends = any(compiled.elements[kind].has_zip for kind in KINDS)

    def set(self, kind: str, field: str, values: ArrayLike) -> None:
        """Write a column in pandapower's units and signs; [element, feeder] or [element].

        Raises
        ------
        GridError
            Unknown kind or field, wrong shape.
        """
        net = self._net
        allowed = [k for k in KINDS if len(net.elements[k])]
        if kind not in allowed:
            raise GridError(f"net {net.name}: no {kind} to set{nearest(kind, allowed)}; it has "
                            f"{', '.join(allowed) or 'no such elements'}")
        if field not in FIELDS:
            raise GridError(f"net {net.name}: {kind} has no field {field}{nearest(field, FIELDS)}")
        group = net.elements[kind]
        given = np.asarray(values, dtype=float)
        given = given[:, None] if given.ndim == 1 else given
        try:
            full = np.broadcast_to(given, (len(group), self._width))
        except ValueError:
            raise GridError(f"net {net.name}: {kind}.{field} has shape {given.shape}, needs [element, feeder] = "
                            f"{(len(group), self._width)}") from None
        self._columns[kind, field] = full * (group.sign * group.scaling * group.in_service)[:, None]

    def nodal(self) -> list[FloatArray]:
        """Return P constant, P per |V|, P per |V|^2 and the same of Q, each [node, feeder] [MW, Mvar].

        Motors, wards and asymmetric elements are counted as constant; generators are not counted.
        """
        net, width = self._net, self._width
        sums = [np.zeros((net.n_nodes, width)) for _ in range(6)]
        sums[0] += net.fixed_p_mw[:, None]
        sums[3] += net.fixed_q_mvar[:, None]
        for kind in KINDS:
            group = net.elements[kind]
            for first, field, z, i in ((0, "p_mw", group.z_p, group.i_p), (3, "q_mvar", group.z_q, group.i_q)):
                values = self._columns.get((kind, field), getattr(group, field)[:, None])
                for k, share in enumerate((1.0 - z - i, i, z)):
                    if k == 0 or share.any():
                        np.add.at(sums[first + k], group.node,
                                  np.broadcast_to(values * share[:, None], (len(group), width)))
        return sums
