"""The grid a DMS command works on, found by name, and the places in it that a person names."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from controllers.dms.network import Bools, Complexes, Network
from scenarios import formats
from sims.core.errors import GridError, nearest
from sims.grid.compiled import CompiledNet

PUBLISHED = ("case33bw",)
"""Nets of pandapower that come without a scenario of ours."""


@dataclass(frozen=True, eq=False)
class DmsGrid:
    """A grid with its loads as the operator believes them.

    Parameters
    ----------
    name : str
    raw : pandapowerNet
    net : Network
    s : complex array [node]
        Injections [pu].
    """

    name: str
    raw: Any
    net: Network
    s: Complexes

    @property
    def compiled(self) -> CompiledNet:
        """The grid as arrays."""
        return self.net.grid

    def bus(self, node: int) -> str:
        """Return how a node is called in tables: its bus number, and its name where it has one."""
        number = int(self.compiled.node_bus[node])
        if number < 0:
            return f"star {node}"
        text = str(self.raw.bus["name"].get(number) or "") if "name" in self.raw.bus else ""
        return f"{number} ({text})" if text not in ("", "None", "nan", str(number)) else str(number)

    def branch(self, row: int) -> str:
        """Return how a branch is called, such as ``line:6 (6-7)``."""
        g = self.compiled
        ends = f"{int(g.node_bus[g.branch_from[row]])}-{int(g.node_bus[g.branch_to[row]])}"
        return f"{g.branch_kind[row]}:{int(g.branch_element[row])} ({ends})"

    def switched(self, close: Iterable[str], open_: Iterable[str]) -> Bools:
        """Return the switch states [branch] with lines closed and opened by name, the others as they are."""
        closed = self.net.normal.copy()
        for names, state in ((close, True), (open_, False)):
            closed[[self.row(name) for name in names]] = state
        return closed

    def row(self, text: str) -> int:
        """Return the branch row of ``line:6``.

        Raises
        ------
        GridError
            It is written otherwise, or there is no such branch; the nearest one is named.
        """
        kinds = sorted({str(kind) for kind in self.compiled.branch_kind if kind in ("line", "trafo")})
        kind, number = self._place(text, kinds)
        known = self.compiled.branch_element[self.compiled.branch_kind == kind]
        if number not in known:
            close = int(known[np.abs(known - number).argmin()])
            raise GridError(f"grid {self.name}: there is no {kind}:{number} (did you mean {kind}:{close}?)")
        return self.compiled.branch(kind, number)

    def node(self, text: str) -> int:
        """Return the node of ``bus:17``, with the same errors."""
        _, number = self._place(text, ["bus"])
        known = np.array(sorted(self.compiled.bus_node))
        if number not in known:
            close = int(known[np.abs(known - number).argmin()])
            raise GridError(f"grid {self.name}: there is no bus:{number} (did you mean bus:{close}?)")
        return self.compiled.node(number)

    def _place(self, text: str, kinds: Iterable[str]) -> tuple[str, int]:
        kinds = list(kinds)
        kind, _, number = text.strip().partition(":")
        if kind not in kinds or not re.fullmatch(r"\d+", number):
            digits = re.search(r"\d+", text)
            close = next((k for k in kinds if nearest(kind, [k])), kinds[0])
            raise GridError(f"'{text}' names nothing in grid {self.name} "
                            f"(did you mean {close}:{digits.group() if digits else '<number>'}?)")
        return kind, int(number)


def grid_names() -> tuple[str, ...]:
    """Return the names of the grids that come along; files and SimBench codes bring others."""
    from scenarios.schema_grid import SHIPPED_GRIDS

    return tuple(sorted({*SHIPPED_GRIDS, *PUBLISHED}))


def dms_grid(name: str, load: float = 1.0) -> DmsGrid:
    """Return a grid with its loads times `load`.

    Raises
    ------
    GridError
        There is no grid of that name, or the file cannot be compiled.
    """
    if name not in grid_names() and not _brought(name):
        known = ", ".join(grid_names())
        raise GridError(f"there is no grid '{name}'{nearest(name, grid_names())}; there are {known}, or a "
                        f"./file{', '.join(formats.SUFFIXES)}, or a SimBench code like {formats.EXAMPLE}")
    raw = _raw(name)
    called = Path(name).stem if formats.suffix_of(name) in formats.SUFFIXES else name
    compiled = CompiledNet.from_net(raw, called, merge_roots=True)
    p_mw, q_mvar = compiled.nominal()
    s: Complexes = (load * (p_mw + 1j * q_mvar) / compiled.base_mva).astype(np.complex128)
    return DmsGrid(compiled.name, raw, Network(compiled), s)


def _raw(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in PUBLISHED:
            import pandapower.networks as pn

            net = getattr(pn, name)()
            net.name = name
            return net
        from scenarios.nets import net as shipped

        if name not in grid_names() and not name.startswith(formats.SIMBENCH):
            path = Path(name)
            return shipped(f"./{path.name}", path.parent)
        return shipped(name)


def _brought(name: str) -> bool:
    return name.startswith(formats.SIMBENCH) or formats.suffix_of(name) in formats.SUFFIXES
