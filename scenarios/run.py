"""One run: a scenario under one pairing, from assembly to the closed run file."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from controllers import logbook
from controllers.responsibility import DEGENERATE, FROM_STAGE, Responsibility
from results.digest import vouch
from results.kpis.table import compute, definitions, kpi_places
from results.layout import EventTable, action_table, alarm_table, goal_table, message_table
from results.runfile import Run
from results.writer import RunWriter, write_kpis, write_provenance
from scenarios import recording
from scenarios.assemble import World, assemble, responsibility_of
from scenarios.beliefs import cell_numbers
from scenarios.cell import cell_digest, git_state
from scenarios.checkpoint import Checkpoint, place_of
from scenarios.ground import Ground, ground
from scenarios.network import TOPICS, addresses
from scenarios.resume import Keeper, interrupted, restore
from scenarios.schema import Scenario
from scenarios.upsets import disturbed
from sims.comms.ledger import FATES
from sims.core.errors import GridseamError, ModelError
from sims.core.harness import rarely_collecting

PACKAGES = ("gridseam", "mosaik", "mosaik-api-v3", "pandapower", "lightsim2grid", "numpy", "numba", "simpy", "h5py")

Beside = Callable[[World, Ground, Responsibility], AbstractContextManager[Any]]

_last: tuple[str, Ground] | None = None


def run_pairing(
    scenario: Scenario, architecture: str, stage: int, out: Path, *,
    progress: Callable[[int], None] | None = None, beside: Beside | None = None, threads: int = 1,
) -> Path:
    """Run `scenario` under one pairing; return the run file ``<out>/<architecture>-<stage>.h5``.

    Parameters
    ----------
    progress : callable, optional
        Called with the simulated time [ms] as it advances.
    beside : callable, optional
        Adds to the assembled world what stands beside the run, and returns what is to be open while it lasts.
    threads : int
        How many cores the distribution grids may share at each instant; the run file does not depend on it.

    Raises
    ------
    GridseamError
        The scenario cannot be assembled (nothing is left behind), or a simulator failed (the file is closed
        with the status "aborted"); the error names simulator and time.
    """
    with threadpool_limits(1), rarely_collecting():  # sums must not depend on how many cores there are
        return _run(scenario, architecture, stage, Path(out) / f"{architecture}-{stage}.h5", progress, threads, beside)


def resume(run_file: str | Path, *, progress: Callable[[int], None] | None = None, threads: int = 1) -> Path:
    """Take up a run that was broken off at its last checkpoint; the finished file is as if it had not been.

    Raises
    ------
    GridseamError
        There is no checkpoint, or it is not one of this scenario and this gridseam; or as `run_pairing`.
    """
    scenario, architecture, stage, checkpoint = interrupted(Path(run_file))
    with threadpool_limits(1), rarely_collecting():
        return _run(scenario, architecture, stage, Path(run_file), progress, threads, None, checkpoint)


def _run(
    scenario: Scenario, architecture: str, stage: int, path: Path, progress: Callable[[int], None] | None,
    threads: int, beside: Beside | None, checkpoint: Checkpoint | None = None,
) -> Path:
    started = time.perf_counter()
    shared = _ground(scenario)
    responsibility = responsibility_of(shared, architecture, stage)
    writer = _writer(path if checkpoint is None else path.with_suffix(".resuming.h5"), shared, responsibility)
    try:
        world = assemble(shared, responsibility, writer, progress)
        company = _company(world, shared, responsibility, beside)
        if checkpoint is not None:
            _restore(world, writer, path, checkpoint)
        else:
            place_of(path).unlink(missing_ok=True)
    except BaseException:
        writer.discard()
        raise
    cell = cell_digest(scenario, architecture, stage)
    keeper = Keeper(world, writer, cell, scenario.folder)
    try:
        with writer, world.harness as harness, company:
            ready = time.perf_counter()
            try:
                harness.pausing(keeper.pauses_ms(scenario.time.duration_ms), keeper)
                harness.run(scenario.time.duration_ms, threads)
            except (ModelError, KeyboardInterrupt):
                world.recorder.finish(None, *world.transmission.since())  # the last instant that was settled
                raise
            world.recorder.finish(world.comms.close(scenario.time.duration_ms), *world.transmission.since())
            costs = _costs(world, ready - started, time.perf_counter() - ready)
    except KeyboardInterrupt:
        with suppress(GridseamError):
            _write_figures(path)
        raise
    vouch(path)
    _write_figures(path)
    write_provenance(path, costs)
    vouch(path)
    place_of(path).unlink(missing_ok=True)
    return path


def _writer(path: Path, shared: Ground, responsibility: Responsibility) -> RunWriter:
    """Return the run file that is to be written, with all that stands in it from the start."""
    scenario = shared.scenario
    return RunWriter(
        path, attrs=_attrs(shared, responsibility), start_iso=scenario.time.start.isoformat(),
        kinds=recording.kinds(
            scenario, shared.places, shared.case.machines.names, _cells(shared), shared.interface_kv,
            disturbed(scenario, shared.case),
        ) + recording.company(scenario),
        events=_events(shared, responsibility), kpis=kpi_places(),
    )


def _write_figures(path: Path) -> None:
    """Compute the key figures of what a closed run file holds, and write them into it."""
    with Run(path) as run:
        found = compute(run)
    write_kpis(path, found, definitions=definitions())


def _restore(world: World, writer: RunWriter, path: Path, checkpoint: Checkpoint) -> None:
    """Bring the world to where `checkpoint` stands; it is closed where that is refused."""
    try:
        restore(world, writer, path, checkpoint)
    except BaseException:
        with world.harness:
            raise


def _company(
    world: World, shared: Ground, responsibility: Responsibility, beside: Beside | None
) -> AbstractContextManager[Any]:
    """Return what is open beside the run; the world is closed where that is refused."""
    if beside is None:
        return nullcontext()
    try:
        return beside(world, shared, responsibility)
    except BaseException:
        with world.harness:
            raise


def _ground(scenario: Scenario) -> Ground:
    """Return what all pairings share, kept for the next pairing of the same scenario in this process."""
    global _last
    key = f"{scenario.folder}:{scenario.as_json()}"
    if _last is None or _last[0] != key:
        _last = (key, ground(scenario))
    return _last[1]


def _cells(shared: Ground) -> list[str]:
    return [f"cell_{n}" for n in cell_numbers(shared.case)]


def _attrs(shared: Ground, responsibility: Responsibility) -> dict[str, Any]:
    scenario, pairing = shared.scenario, (responsibility.architecture, responsibility.stage)
    return {
        "title": scenario.title or scenario.name, "scenario": scenario.name, "variant": scenario.variant,
        "description": scenario.description, "architecture": responsibility.architecture,
        "stage": responsibility.stage,
        "degenerate": DEGENERATE.get(pairing, "") if responsibility.from_stage == FROM_STAGE else "",
        "seed": scenario.seed, "scenario_json": scenario.as_json(),
        "cell": cell_digest(scenario, responsibility.architecture, responsibility.stage),
        "duties": json.dumps({d: _held(responsibility, d) for d in responsibility.from_stage}),
        "events_json": json.dumps([
            {"t_ms": scenario.at_ms(d), "text": d.words} for d in (*scenario.disturbances, *scenario.handover)
        ]),
        "provenance": {
            "python": platform.python_version(), "machine": platform.platform(), "git": git_state(),
            **{f"version_{name.replace('-', '_')}": version(name) for name in PACKAGES},
        },
    }


def _held(responsibility: Responsibility, duty: str) -> list[str]:
    """Return who holds `duty`, and from when where it changes hands."""
    found = sorted(responsibility.holders(duty))
    for change in responsibility.handovers:
        if change.duty == duty:
            who = ", ".join(sorted(responsibility.holders(duty, change.at_ms)))
            found.append(f"from {change.at_ms / 3_600_000:g} h after the start: {who}")
    return found


def _events(shared: Ground, responsibility: Responsibility) -> list[EventTable]:
    """Return the event tables, with every name that can be known before the run."""
    everybody = addresses(shared.places, shared.case.machines.names)
    tables = {
        "actor": ("device", *responsibility.roles), "duty": (*responsibility.from_stage, "protection"),
        "asset": everybody,
        "quantity": (
            "p_mw", "q_mvar", "p_max_mw", "p_set_mw", "q_set_mvar", "droop_mw_per_hz", "inertia_mw_s_per_hz",
            "p_delta_mw", "tap_pos", "v_set_pu", "closed",
        ),
    }
    by_role = {"device": "device", **responsibility.roles}
    told = {
        "source": everybody, "duty": tuple(responsibility.from_stage), "about": (*everybody, *_cells(shared)),
        "quantity": logbook.QUANTITIES,
    }
    return [
        action_table(tables, by_role), message_table(everybody, TOPICS, FATES),
        alarm_table({"source": everybody, "kind": logbook.KINDS}), goal_table(told),
    ]


def _costs(world: World, assembly_s: float, run_s: float) -> dict[str, float]:
    """Return wall times: assembly, run, and the part of each simulator."""
    return {
        "wall_assembly_s": assembly_s, "wall_run_s": run_s,
        **{f"wall_{name}_s": bridge.wall_s for name, bridge in world.harness.bridges.items()},
    }
