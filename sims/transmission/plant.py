"""Names and places of the transmission system, and what the TSO wants at its interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ON_MW = 1e-3
"""Above that output a machine counts as running."""


@dataclass(frozen=True)
class Plant:
    """Names and places: machines with their cell, interfaces with the DSO's slice, each cell's bias [MW/Hz].

    `afrr_mw` is what each machine has contracted for restoration, both ways, `full_s` how long it takes to give all,
    `stored_mws` its kinetic energy at nominal speed.
    """

    machines: tuple[str, ...]
    machine_cell: NDArray[np.int64]
    interfaces: tuple[str, ...]
    dso_interfaces: Mapping[str, NDArray[np.int64]]
    load_cell: NDArray[np.int64]
    bias_mw_per_hz: Floats
    afrr_mw: Floats
    stored_mws: Floats
    full_s: float = 300.0

    def running(self, p_gen_mw: Floats) -> tuple[Floats, Floats]:
        """Return the kinetic energy of the machines that run [MWs], and the power of the largest, by cell [MW]."""
        member = self.machine_cell == np.arange(self.n_cells)[:, None]
        stored: Floats = member @ np.where(p_gen_mw > ON_MW, self.stored_mws, 0.0)
        return stored, np.where(member, p_gen_mw, 0.0).max(axis=1)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.bias_mw_per_hz.size)


@dataclass(frozen=True)
class Wish:
    """What the TSO wants at each interface: a voltage, and what reactive power that asks for.

    Q_ref = sat(k (U_set - U)), positive into transmission; `q_band_mvar` is both its limit and the static
    band that holds without it.
    """

    v_set_pu: Floats
    k_mvar_per_pu: float
    q_band_mvar: Floats

    def q_ref_mvar(self, v_pu: Floats) -> Floats:
        """Return the reactive power wished for at the voltages `v_pu` [Mvar]."""
        return np.clip(self.k_mvar_per_pu * (self.v_set_pu - v_pu), -self.q_band_mvar, self.q_band_mvar)
