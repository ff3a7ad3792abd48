"""The command that serves a run's field devices: serve-rtu."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

field = typer.Typer()


@field.command("serve-rtu")
def serve_rtu(
    source: Annotated[str, typer.Argument(metavar="RUN_OR_SCENARIO", help="A run file (.h5), or a scenario.")],
    pace: Annotated[float, typer.Option(help="Simulated seconds in each real one; 0: as fast as it goes.")] = 1.0,
    feeder: Annotated[list[str] | None, typer.Option(help="Only this feeder; may be repeated.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Of the first feeder; the others follow.")] = 5020,
    bind: Annotated[str, typer.Option(help="Address to listen at; any but this machine's own opens it to others.")]
    = "127.0.0.1",
    actor: Annotated[str, typer.Option("--as", help="Who the clients are. [default: the DSO's control centre]")] = "",
    architecture: Annotated[str | None, typer.Option(help="local | centralized | distributed")] = None,
    stage: Annotated[int | None, typer.Option(help="1 to 4")] = None,
    variant: Annotated[str | None, typer.Option(help="One of the scenario's variants.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the run file. [default: a new one in results/runs]")]
    = None,
    x: Annotated[list[str] | None, typer.Option("-x", metavar="KEY=VALUE", help="Change a value.")] = None,
) -> None:  # fmt: skip
    """Serve the RTUs and DER of a run over Modbus/TCP: one server a feeder, unit 1 the feeder, then its DER.

    What a client writes passes the responsibility table, here and at the actuator; docs/modbus.md has the registers.
    """
    from scenarios.field import replay
    from sims.comms.desk import paced
    from sims.core.errors import Problem, ScenarioError

    if pace < 0:
        raise ScenarioError([Problem("serve-rtu", "pace", f"{pace:g} must be 0 or above")])
    wait = paced(pace) if pace else _straight_on

    def told(ports: Mapping[str, int]) -> None:
        for name, number in ports.items():
            typer.echo(f"{name}: {bind}:{number}")

    if source.endswith(".h5"):
        replay(Path(source), wait, told, feeders=feeder or (), bind=bind, port=port)
        return
    _live(source, variant, x, architecture, stage, out, {
        "wait": wait, "told": told, "feeders": feeder or (), "actor": actor, "bind": bind, "port": port,
    })  # fmt: skip


def _live(
    source: str, variant: str | None, x: list[str] | None, architecture: str | None, stage: int | None,
    out: Path | None, options: dict[str, object],
) -> None:  # fmt: skip
    from gridseam.axes import axes
    from gridseam.study import folder_for
    from scenarios.field import serve_run
    from scenarios.load import load
    from scenarios.matrix import cores
    from scenarios.run import run_pairing

    asked = axes(x)
    if several := [key for key, values in asked.items() if len(values) > 1]:
        raise typer.BadParameter(f"{several[0]} has several values; one run has one")
    overrides = {key: values[0] for key, values in asked.items()}
    given = {"architecture": architecture, "stage": stage}
    overrides |= {key: value for key, value in given.items() if value is not None}
    checked = load(source, variant, overrides)
    pairing = checked.pairing
    typer.echo(run_pairing(
        checked, pairing.architecture, pairing.stage, folder_for(checked.name, out), threads=cores(),
        beside=lambda world, ground, table: serve_run(ground, table, world, **options),  # type: ignore[arg-type]
    ))  # fmt: skip


def _straight_on(now_ms: int) -> None:
    """Wait for nothing."""
