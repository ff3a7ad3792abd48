"""Impedances on the way to the source: what an agent knows of the grid above its substation."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sims.grid.compiled import CompiledNet

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


def branch_impedance(grid: CompiledNet) -> Complexes:
    """Return the series impedance of each branch per MVA [pu / MVA], 0 where it has none.

    A transformer's is taken from its own admittance behind the ratio, because ratio and phase shift turn the
    coupling admittance.
    """
    y = np.where(grid.branch_kind == "line", -grid.y_raw[1], grid.y_raw[3])
    z = np.zeros(len(y), dtype=np.complex128)
    np.divide(1.0, y, out=z, where=np.abs(y) > 0)
    return (np.abs(z.real) + 1j * np.abs(z.imag)) / grid.base_mva


@lru_cache(maxsize=64)
def root_impedance(grid: CompiledNet) -> Complexes:
    """Return the impedance from each node to its source as normally switched [pu / MVA], shape [node].

    Its real part is the voltage that 1 MW adds where it is fed in, its imaginary part that of 1 Mvar. Zero at
    roots, at dark nodes and throughout a meshed grid.
    """
    z = branch_impedance(grid)
    total = np.zeros(grid.n_nodes, dtype=np.complex128)
    for node in grid.order:
        above = int(grid.parent[node])
        if above >= 0:
            total[node] = total[grid.rep[above]] + z[grid.parent_branch[node]]
    total = total[grid.rep]
    total.flags.writeable = False
    return total


def source_transformers(grid: CompiledNet) -> NDArray[np.int64]:
    """Return the branch rows of the HV/MV transformers in the order of the net's table."""
    at_root = np.isin(grid.branch_from, grid.roots) | np.isin(grid.branch_to, grid.roots)
    return np.flatnonzero((grid.branch_kind == "trafo") & at_root)


@lru_cache(maxsize=64)
def fed_by(grid: CompiledNet) -> NDArray[np.int64]:
    """Return through which HV/MV transformer (0, 1, ... in their order) each node is fed as normally switched.

    -1 where it is fed through none.
    """
    number = {int(row): k for k, row in enumerate(source_transformers(grid))}
    found = np.full(grid.n_nodes, -1, dtype=np.int64)
    for node in grid.order:
        above = int(grid.parent[node])
        if above >= 0:
            found[node] = number.get(int(grid.parent_branch[node]), int(found[grid.rep[above]]))
    fed: NDArray[np.int64] = found[grid.rep]
    fed.flags.writeable = False
    return fed


def transformer_mva(grid: CompiledNet) -> Floats:
    """Return the rating of each HV/MV transformer in the order of the net's table [MVA]."""
    rated: Floats = np.nan_to_num(grid.rating[source_transformers(grid)])
    return rated


def line_mva(grid: CompiledNet, element: int) -> float:
    """Return the rating of the line with this pandapower index [MVA], infinite where it has none."""
    rating = float(grid.rating[grid.branch("line", element)])
    return rating if rating > 0 else float("inf")
