"""What an instant comes to, whether the machines stand or move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sims.transmission.quasi_steady import QuasiSteady
from sims.transmission.ties import Ties

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Rows = dict[str, dict[str, Floats]]


@dataclass(frozen=True)
class Seen:
    """Arrays [interface] at the transmission side, [machine], [cell], and what is drawn beyond loads [bus]."""

    v_high_pu: Floats
    export_mva: Complexes
    loading_percent: Floats
    p_gen_mw: Floats
    p_tie_mw: Floats
    drawn_mva: Complexes
    loss_mw: float


def settled(system: QuasiSteady, ties: Ties, tap_rows: Sequence[int], drawn_mva: Complexes) -> Seen:
    """Return what the last solution of the quasi-steady system shows; `tap_rows` are the interfaces' transformers."""
    engine = system.engine
    at = np.array([int(engine.compiled.taps[row].branches[0]) for row in tap_rows], np.int64)
    return Seen(
        np.abs(engine.v[engine.compiled.branch_from[at]]), -engine.s_from_mva[at],
        engine.loading_percent[at], system.p_gen_mw, ties.exports(engine.v), drawn_mva, float(engine.loss_mw),
    )
