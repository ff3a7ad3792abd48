"""Keeps checkpoints while a run goes on, and takes a run up again where it was broken off."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from results.continuation import carry_over, rows_of
from results.runfile import Run
from results.writer import RunWriter
from scenarios.cell import cell_digest
from scenarios.checkpoint import Checkpoint, place_of
from scenarios.document import Document
from scenarios.load import build
from scenarios.schema import Scenario
from sims.core.clock import MS_PER_H
from sims.core.errors import GridseamError, ModelError
from sims.core.packing import packed, unpacked

if TYPE_CHECKING:
    from scenarios.assemble import World

EVERY_MS = MS_PER_H
"""Simulated time from one pause of a run to the next; all runs pause, whether a checkpoint is written or not."""
VARIABLE = "GRIDSEAM_CHECKPOINT_S"
"""Environment variable: least seconds from one checkpoint to the next, ``off`` for none."""
EVERY_S = 300.0
"""A checkpoint of the reference scenario costs some seconds."""


class Keeper:
    """Writes a checkpoint at the pauses of a run, not more often than every `EVERY_S` seconds."""

    def __init__(self, world: World, writer: RunWriter, cell: str, folder: Path) -> None:
        self._world, self._writer, self._cell, self._folder = world, writer, cell, str(folder.resolve())
        given = os.environ.get(VARIABLE, "")
        self._every_s = float("inf") if given == "off" else float(given or EVERY_S)
        self._last_s = time.monotonic()

    def pauses_ms(self, until_ms: int) -> range:
        """Return when the run is to pause."""
        return range(EVERY_MS, until_ms, EVERY_MS)

    def __call__(self, now_ms: int) -> None:
        """Write a checkpoint if it is time; a model that cannot be kept at this instant is kept at a later one."""
        if time.monotonic() - self._last_s < self._every_s:
            return
        try:
            state = self._world.harness.get_state()
        except ModelError:
            return
        self._writer.flush()
        kept = Checkpoint(
            self._cell, self._folder, now_ms, rows_of(self._writer), packed(state, self._world.host.fixed)
        )
        try:
            kept.write(place_of(self._writer.path))
        except OSError as err:
            raise ModelError("recorder", now_ms, f"the checkpoint cannot be written: {err}") from err
        self._last_s = time.monotonic()


def interrupted(run_file: Path) -> tuple[Scenario, str, int, Checkpoint]:
    """Return scenario, architecture, stage and checkpoint of a run that was broken off.

    Raises
    ------
    GridseamError
        There is nothing to continue, or not with this scenario folder and this gridseam.
    """
    with Run(run_file) as run:
        status, about = run.status, dict(run.attrs)
    if status == "complete":
        raise GridseamError(f"{run_file}: the run is complete")
    checkpoint = Checkpoint.read(place_of(run_file))
    doc = Document(json.loads(about["scenario_json"]), {(): f"scenario {about['scenario']}"})
    scenario = build(doc, Path(checkpoint.folder), None, {}, named=str(about.get("variant", "")))
    architecture, stage = str(about["architecture"]), int(about["stage"])
    if not checkpoint.cell == about["cell"] == cell_digest(scenario, architecture, stage):
        raise GridseamError(
            f"{run_file}: the scenario's files, or gridseam itself, have changed since it was written; run it anew"
        )
    return scenario, architecture, stage, checkpoint


def restore(world: World, writer: RunWriter, run_file: Path, checkpoint: Checkpoint) -> None:
    """Bring an assembled world and its new run file to where `checkpoint` stands; the file takes its place."""
    world.harness.set_state(unpacked(checkpoint.state, world.host.fixed))
    carry_over(run_file, writer, checkpoint.rows)
    writer.move_to(run_file)
