"""``gridseam dms``: what the control rooms of a run knew of storage, vehicles and their agents."""

from __future__ import annotations

from typing import Annotated

import typer

from gridseam.dms_options import JsonOption, RunArgument
from gridseam.dms_tell import tell

AtOption = Annotated[float | None, typer.Option(help="Hours after the start. [default: the end]")]


def storage(run: RunArgument, at: AtOption = None, as_json: JsonOption = False) -> None:
    """Tell where the storage of every feeder of a run stands, what it can lend, and which alarms it raised."""
    from gridseam.dms_runs import stored

    facts, rows = stored(run, at)
    tell(facts, as_json, f"Storage in {run.name}", rows)


def v2g(run: RunArgument, at: AtOption = None, as_json: JsonOption = False) -> None:
    """Tell what share of the vehicles of a run takes part in reserve, and what that reserve is, by feeder."""
    from gridseam.dms_runs import reserved

    facts, rows = reserved(run, at)
    tell(facts, as_json, f"Vehicles in {run.name}", rows)


def supervise(run: RunArgument, at: AtOption = None, as_json: JsonOption = False) -> None:
    """Tell what the agents of a distributed run reported last, and who is silent or does not get anywhere."""
    from gridseam.dms_runs import supervised

    facts, rows = supervised(run, at)
    tell(facts, as_json, f"Agents in {run.name}", rows)
