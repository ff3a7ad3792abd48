"""The inertia account of a run: what each cell owns, needs, can hand on and can take, moment by moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.dms.inertia import Reference, converters_mws, needed_mws, trade
from sims.core.errors import GridError

Floats = NDArray[np.float64]
ON_MW = 1e-3
"""Above that output a machine counts as running."""


def account(path: Path, at_h: float | None, rocof_max: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what there is to say about a run, and a row per cell.

    Machines count with H S while they run; storage counts as synthetic inertia where the pairing makes cells
    provide it, with the energy it holds. A cell needs what limits the slope after the loss of its largest running
    machine. Transfer capacity between cells is that of the ties less the exchange at that moment.

    Parameters
    ----------
    at_h : float, optional
        Hours after the start; the moment with the least margin by default.

    Raises
    ------
    GridError
        The run holds no generators, or the time lies outside it.
    """
    from results.runfile import Run
    from scenarios.beliefs import TIE_CAPACITY_MW
    from scenarios.shipped import transmission_path
    from sims.transmission.case import MachineCase

    with Run(path) as run:
        if not run.has("gen", "p_mw") or not run.has("cell", "p_tie_mw"):
            raise GridError(f"{path}: holds no generators and cells; it was recorded without the transmission grid")
        grid, folder = _grid_of(run)
        case = MachineCase.load(transmission_path(grid, folder))
        t_s, p_gen = run.seconds("gen"), run.values("gen", "p_mw").astype(float)
        names = run.labels("gen")
        t_cell, tie = run.seconds("cell"), run.values("cell", "p_tie_mw").astype(float)
        stage = int(run.attrs["stage"])
        storage = _storage(run, t_s, len(case.cells)) if stage == 4 else np.zeros((2, len(t_s), len(case.cells)))
    order = [case.machines.names.index(name) for name in names]
    cell = case.bus_cell[case.machines.bus[order]]
    stored = case.machines.stored_mws[order]
    tie = tie[np.searchsorted(t_cell, t_s, side="right").clip(1) - 1]
    ref = Reference(case.f0_hz, rocof_max, rocof_max)
    count = len(case.cells)
    member = cell[:, None] == np.arange(count)
    kinetic = (np.where(p_gen > ON_MW, stored, 0.0)) @ member
    largest = np.stack([np.where(member[:, c], p_gen, 0.0).max(axis=1) for c in range(count)], axis=1)
    synthetic = converters_mws(storage[0] / ref.rocof_ref_hz_per_s, storage[0], storage[1], ref)
    need = needed_mws(1.0, ref) * largest
    own = kinetic + synthetic
    moment = _moment(t_s, at_h, (own - need).min(axis=1), path)
    shared = trade(own[moment], need[moment], _free_mw(case, tie[moment], TIE_CAPACITY_MW), ref)
    rows = [
        {
            "cell": str(case.cells[c]).partition(" (")[0], "own_mws": float(own[moment, c]),
            "machines_mws": float(kinetic[moment, c]),
            "converters_mws": float(synthetic[moment, c]), "needed_mws": float(need[moment, c]),
            "deliverable_mws": float(shared.deliverable_mws[c]), "receivable_mws": float(shared.receivable_mws[c]),
            "delivered_mws": float(shared.lent_mws[c].sum()), "received_mws": float(shared.lent_mws[:, c].sum()),
            "steepest_hz_per_s": float(largest[moment, c] * case.f0_hz / (2 * max(own[moment, c], 1e-9))),
        }
        for c in range(count)
    ]
    short = [str(row["cell"]) for row in rows
             if row["own_mws"] + row["received_mws"] < row["needed_mws"] - 1e-6]  # type: ignore[operator]
    facts = {"run": path.name, "stage": stage, "time_h": float(t_s[moment] / 3600.0), "short_of_inertia": short}
    return facts, rows


def _grid_of(run: Any) -> tuple[str, Path]:
    """Return the name of the transmission grid, and the folder its file lies in."""
    import json

    text = run.attrs.get("scenario_json") or run.provenance.get("scenario_json")
    if not text:
        raise GridError(f"{run.path}: does not say which scenario it was made from")
    return str(json.loads(text).get("transmission", {}).get("grid", "ieee39")), Path(run.path).parent


def _storage(run: Any, t_s: Floats, cells: int) -> Floats:
    """Return power and energy of the storage in each cell, array [2, time, cell] [MW, MWs].

    A run holds what storage does, not its nameplate: the largest power seen counts as what it can do.
    """
    out = np.zeros((2, len(t_s), cells))
    if not run.has("feeder", "storage_mw", "storage_soc_mwh"):
        return out
    at = np.searchsorted(run.seconds("feeder"), t_s, side="right").clip(1) - 1
    power = np.abs(run.values("feeder", "storage_mw").astype(float))
    energy = run.values("feeder", "storage_soc_mwh").astype(float) * 3600.0
    number = [int(str(name).rpartition("_")[2]) - 1 for name in run.static("feeder", "cell")]
    for k, c in enumerate(number):
        out[0, :, c] += np.maximum(power[:, k].max() - power[at, k], 0.0)
        out[1, :, c] += energy[at, k]
    return out


def _moment(t_s: Floats, at_h: float | None, margin: Floats, path: Path) -> int:
    if at_h is None:
        return int(margin.argmin())
    if not t_s[0] - 1e-6 <= at_h * 3600.0 <= t_s[-1] + 1e-6:
        raise GridError(f"{path}: covers {t_s[0] / 3600:.2f} h to {t_s[-1] / 3600:.2f} h, not {at_h:g} h")
    return int(np.abs(t_s - at_h * 3600.0).argmin())


def _free_mw(case: Any, export_mw: Floats, tie_mw: float) -> Floats:
    """Return what is left of the ties' capacity, array [from cell, to cell].

    How an exchange runs over the ties is reckoned as a direct current would share it.
    """
    n = len(case.cells)
    a, b = case.bus_cell[case.branch_from], case.bus_cell[case.branch_to]
    capacity = np.zeros((n, n))
    for i, j in zip(a[a != b], b[a != b], strict=True):
        capacity[i, j] += tie_mw
        capacity[j, i] += tie_mw
    laplace = np.diag(capacity.sum(axis=1)) - capacity
    angle = np.linalg.lstsq(laplace, export_mw - export_mw.mean(), rcond=None)[0]
    flow = capacity * (angle[:, None] - angle[None, :])
    free: Floats = np.maximum(capacity - flow, 0.0)
    return free
