"""Switch states turned into compiled variants of one grid, each computed once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.parts import BoolArray, IntArray


class TopologyVariants:
    """The variants of one compiled grid, memoised by switch and in-service mask.

    Nodes, branches, switches and transformers keep the numbers of the base grid, so that arrays fit every
    variant; nodes without supply are `dark` and carry no voltage.

    Parameters
    ----------
    compiled : CompiledNet
        Compile with ``split=True`` where bus-bus switches that are closed shall open.
    capacity : int
        So many variants are kept; the oldest goes first.
    """

    def __init__(self, compiled: CompiledNet, *, capacity: int = 512) -> None:
        self.base = compiled
        self._capacity = capacity
        self._known: dict[bytes, CompiledNet] = {
            _key(compiled.switch_closed, compiled.branch_in_service): compiled
        }
        self._switch_row = {int(i): row for row, i in enumerate(compiled.switches.index)}

    def variant(
        self,
        open_switches: Iterable[int] = (),
        closed_switches: Iterable[int] = (),
        out_of_service_lines: Iterable[int] = (),
        in_service_lines: Iterable[int] = (),
        out_of_service_trafos: Iterable[int] = (),
    ) -> CompiledNet:
        """Return the base grid with these pandapower switches and elements moved.

        Raises
        ------
        GridError
            Unknown switch or element, or a bus-bus switch opened inside one node.
        """
        closed = self.base.switch_closed.copy()
        opened, shut = self._rows(open_switches), self._rows(closed_switches)
        both = np.intersect1d(opened, shut)
        if len(both):
            raise GridError(f"net {self.base.name}: switch {self.base.switches.index[both[0]]} cannot be open and "
                            "closed at once")
        closed[opened], closed[shut] = False, True
        on = self.base.branch_in_service.copy()
        for line in out_of_service_lines:
            on[self.base.branch("line", line)] = False
        for line in in_service_lines:
            on[self.base.branch("line", line)] = True
        for trafo in out_of_service_trafos:
            on[self.base.branch("trafo", trafo)] = False
        return self.of_masks(closed, on)

    def of_masks(self, closed: BoolArray, in_service: BoolArray | None = None) -> CompiledNet:
        """Return the variant with these states, closed[switch] and in_service[branch]."""
        base = self.base
        on = base.branch_in_service if in_service is None else in_service
        key = _key(closed, on)
        known = self._known.pop(key, None)
        if known is None:
            table = base.switches
            inside = (table.branch < 0) & (table.end < 0) & ~closed & (table.node == table.far_node)
            stuck = np.nonzero(inside & base.switch_closed)[0]
            if len(stuck):
                raise GridError(
                    f"net {base.name}: switch {table.index[stuck[0]]} joins buses that are compiled as one node; "
                    "compile with CompiledNet.from_net(net, split=True) to open it")
            known = base.switched(np.asarray(closed, dtype=bool), np.asarray(on, dtype=bool))
            if len(self._known) >= self._capacity:
                self._known.pop(next(iter(self._known)))
        self._known[key] = known
        return known

    def _rows(self, switches: Iterable[int]) -> IntArray:
        rows = []
        for index in switches:
            if int(index) not in self._switch_row:
                raise GridError(f"net {self.base.name}: switch {index} does not exist; it has switches "
                                f"{sorted(self._switch_row)[:8]}...")
            rows.append(self._switch_row[int(index)])
        return np.array(rows, dtype=np.int64)


def _key(closed: BoolArray, on: BoolArray) -> bytes:
    return np.packbits(closed).tobytes() + np.packbits(on).tobytes()


def below(net: CompiledNet, root: int) -> CompiledNet:
    """Return a radial grid with what hangs below its node `root` alive and all else dark."""
    if net.roots.size == 1:
        return net
    alone = net.roots == root
    return replace(net, roots=net.roots[alone], root_v=net.root_v[alone]).switched(
        net.switch_closed, net.branch_in_service)
