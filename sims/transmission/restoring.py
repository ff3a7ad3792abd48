"""The way back after a disturbance: quasi-steady instants between two grid steps, while frequency still moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.transmission.boundary import Held
from sims.transmission.quasi_steady import QuasiSteady
from sims.transmission.seen import Rows, settled
from sims.transmission.ties import Ties

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

STEP_MS = 4000
"""From one instant to the next: the cycle of secondary control in Continental Europe."""
RESTORED_HZ = 5e-3
"""Most that frequency may have moved within `RESTORED_MS` to count as restored, whatever its offset."""
RESTORED_MS = 300_000
"""As long as restoration reserve takes to come (see `reserve`)."""
LONGEST_MS = 900_000
"""Time to restore frequency in Continental Europe (Regulation (EU) 2017/1485, annex III); later, the day moves it."""

FIRST_SHARE, LEAST_SHARE = 0.5, 0.05
"""Of what the devices' answer has changed by: taken at first, and at least."""


class Restoring:
    """The quasi-steady system every 4 s, while reserves that have been called come.

    What goes on at the grid step only is held: schedules, static loads, and the feeders, which follow voltage along
    their slopes. The devices answer the frequency of the instant before. As that may be more than frequency can bear
    in one step (their droop may well be stiffer than the machines'), the answer is relaxed after Aitken: by as much as
    the last two show to lead to a frequency that is answered so (Irons and Tuck, Int. J. Num. Meth. Eng. 1, 1969).

    Parameters
    ----------
    held : Held
        What the interfaces draw until the feeders are solved again.
    tap_rows : sequence of int
        Rows of the interface transformers in the engine's tap table.
    """

    moving = True

    def __init__(
        self, system: QuasiSteady, ties: Ties, tap_rows: Sequence[int], n_cells: int, f0_hz: float, held: Held,
    ) -> None:
        self.system, self.held = system, held
        self._ties, self._tap_rows, self._n_cells, self._f0 = ties, tap_rows, n_cells, f0_hz
        self._seen: list[tuple[int, float]] = []
        self._since_ms = 0
        self._missed, self._share = np.zeros(0), FIRST_SHARE

    def feeders(self, held: Held) -> None:
        """Take what the feeders draw, solved anew."""
        self.held, self._missed = held, np.zeros(0)

    def answer(self, der_mw: Floats) -> None:
        """Take what the devices feed at the frequency of the instant before, [interface]."""
        missed = der_mw - self.held.der_mw
        if self._missed.size:
            turned = missed - self._missed
            size = float(turned @ turned)
            share = -self._share * float(self._missed @ turned) / size if size > 1e-12 else FIRST_SHARE
            self._share = min(max(share, LEAST_SHARE), 1.0)
        self.held.der_mw = self.held.der_mw + self._share * missed
        self._missed = missed

    def solve(self, now_ms: int, p_set_mw: Floats, static_mva: Complexes) -> None:
        """Find the frequency of this instant between two grid steps."""
        self.system.solve(now_ms, p_set_mw, static_mva, self.held)
        self.watch(now_ms)

    def watch(self, now_ms: int) -> None:
        """Take note of the frequency of this instant; it is restored once it stands still."""
        self._seen = [row for row in self._seen if now_ms - RESTORED_MS <= row[0] < now_ms]
        self._seen.append((now_ms, self.system.df_hz))
        self._since_ms = self._since_ms or now_ms
        moved_hz = np.ptp([df_hz for _, df_hz in self._seen])
        whole = self._seen[0][0] <= now_ms - RESTORED_MS
        self.moving = now_ms - self._since_ms < LONGEST_MS and not (whole and moved_hz <= RESTORED_HZ)

    @property
    def step_ms(self) -> int:
        """Interval of exchange with the devices."""
        return STEP_MS

    @property
    def f_cell_hz(self) -> Floats:
        """Frequency [cell], one for all."""
        return np.full(self._n_cells, self._f0 + self.system.df_hz)

    def signals(self) -> Rows:
        """Return what is recorded of this instant, by kind of thing, as `Zoom.signals` does."""
        system, f_hz = self.system, self._f0 + self.system.df_hz
        seen = settled(system, self._ties, self._tap_rows, np.zeros(0, np.complex128))
        made = seen.p_gen_mw
        return {
            "cell_fine": {"f_hz": self.f_cell_hz, "p_tie_mw": seen.p_tie_mw},
            "interface_fine": {
                "f_hz": np.full(len(self._tap_rows), f_hz), "v_pu": np.abs(system.v_interface),
                "p_mw": seen.export_mva.real, "q_mvar": seen.export_mva.imag, "der_mw": self.held.der_mw,
            },
            "gen_fine": {
                "f_hz": np.where(system.running, f_hz, np.nan), "p_mech_mw": made, "p_elec_mw": made,
            },
        }

    def get_state(self) -> dict[str, Any]:
        """Return what is held, and the frequency seen lately."""
        return {
            "held": self.held, "seen": list(self._seen), "since_ms": self._since_ms, "missed": self._missed,
            "share": self._share,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from `get_state`."""
        self.held, self._seen, self._since_ms = state["held"], list(state["seen"]), state["since_ms"]
        self._missed, self._share = state["missed"], state["share"]
