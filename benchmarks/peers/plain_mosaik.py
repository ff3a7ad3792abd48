"""The study in plain mosaik: one simulator for each grid, which settle within a quarter hour over weak connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mosaik
import mosaik_api_v3
import numpy as np
from mosaik.starters import PythonStarter
from numpy.typing import NDArray

from benchmarks.peers.study import GRIDS, WITHIN_MVA, WITHIN_PU, factors

QUARTER_S = 900
Told = dict[str, Any]
Seen = list[NDArray[np.complex128]]


def _meta(hears: str, says: list[str]) -> Any:
    return {"api_version": "3.0", "type": "hybrid", "models": {"Grid": {
        "public": True, "params": [], "attrs": [hears, *says], "trigger": [hears], "non-persistent": says,
    }}}  # fmt: skip


class Above(mosaik_api_v3.Simulator):
    """The transmission grid: on what is drawn, tells each boundary voltage that has moved."""

    def __init__(self, grid: Any, seen: Seen) -> None:
        super().__init__(_meta("s_mva", [f"v{k}" for k in range(GRIDS)]))
        self.grid, self.seen = grid, seen
        self.s, self.v = np.zeros(GRIDS, np.complex128), np.ones(GRIDS, np.complex128)
        self.out: Told = {}

    def create(self, num: int, model: str) -> Any:
        """Return the one grid."""
        return [{"eid": "grid", "type": model}]

    def step(self, time: int, inputs: Any, max_advance: int) -> int | None:
        """Answer what is drawn."""
        for source, s in inputs["grid"]["s_mva"].items():
            self.s[int(source.partition("-")[2].partition(".")[0])] = s
        v = self.grid.answer(self.s)
        moved = np.flatnonzero(np.abs(v - self.v) >= WITHIN_PU)
        self.v[moved] = v[moved]
        self.out = {"grid": {f"v{k}": complex(self.v[k]) for k in moved.tolist()}} if len(moved) else {}
        while len(self.seen) <= time // QUARTER_S:
            self.seen.append(v)
        self.seen[-1] = v
        return None

    def get_data(self, outputs: Any) -> Any:
        """Return the voltages that have moved."""
        return self.out


class Below(mosaik_api_v3.Simulator):
    """A distribution grid: each quarter hour, and on each voltage, tells what it draws if that has changed."""

    def __init__(self, grid: Any) -> None:
        super().__init__(_meta("v_pu", ["s_mva"]))
        self.grid, self.v, self.s, self.at = grid, 1.0 + 0j, complex(np.inf), -1
        self.out: Told = {}

    def create(self, num: int, model: str) -> Any:
        """Return the one grid."""
        return [{"eid": "grid", "type": model}]

    def step(self, time: int, inputs: Any, max_advance: int) -> int:
        """Solve and tell."""
        for v in inputs.get("grid", {}).get("v_pu", {}).values():
            self.v = v
        if time != self.at:
            self.at = time
            self.grid.load(factors()[time // QUARTER_S])
        s = self.grid.answer(self.v)
        self.out = {"grid": {"s_mva": s}} if not abs(s - self.s) < WITHIN_MVA else {}
        self.s = s if self.out else self.s
        return time - time % QUARTER_S + QUARTER_S

    def get_data(self, outputs: Any) -> Any:
        """Return what is drawn, where it has changed."""
        return self.out


def run(upper: Callable[[], Any], lower: Callable[[int], Any], steps: int) -> Callable[[], Seen]:
    """Build the world; return what runs it and gives the boundary voltages [step][boundary, pu]."""
    seen: Seen = []
    world = mosaik.World({}, skip_greetings=True, configure_logging=False)
    with world.group():
        above = world.start(PythonStarter(lambda: Above(upper(), seen)), sim_id="above").Grid()  # type: ignore[arg-type]
        for k in range(GRIDS):
            below = world.start(PythonStarter(lambda k=k: Below(lower(k))), sim_id=f"below-{k}").Grid()  # type: ignore[arg-type, misc]
            world.connect_one(below, above, "s_mva")
            world.connect_one(above, below, f"v{k}", "v_pu", weak=True)

    def go() -> Seen:
        world.run(until=steps * QUARTER_S, print_progress=False)
        return seen

    return go
