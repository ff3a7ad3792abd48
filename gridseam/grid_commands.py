"""Commands on grids that a user brings: what is in one, cut it in parts, put the parts together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from scenarios.brought import Brought
    from sims.grid.partition import Cut

grid = typer.Typer(
    help="Look at a grid, cut a joined one into transmission and distribution, put the parts together.",
    no_args_is_help=True,
)
LIST = "cut.json"
"""File that says which part hangs where."""
GridArgument = Annotated[
    str, typer.Argument(metavar="GRID", help="A .json, .xlsx (pandapower), .m, .mat (MATPOWER), .zip, .xml (CGMES) "
                                             "file, or simbench:CODE.")
]  # fmt: skip


@grid.command("show")
def show_grid(grid: GridArgument) -> None:
    """Say what a grid holds, what was not converted, and whether it can be a feeder of a scenario."""
    found = _read(grid)
    net = found.net
    levels = net.bus.vn_kv.astype(float).round(6).value_counts().sort_index(ascending=False)
    typer.echo(f"{found.source}: {', '.join(f'{count} {kind}' for kind, count in found.counts.items())}")
    typer.echo(f"levels: {', '.join(f'{kv:g} kV ({count} buses)' for kv, count in levels.items())}")
    for line in found.left_out:
        typer.echo(f"left out: {line}")
    typer.echo(_fitness(found))


@grid.command("split")
def split_grid(
    grid: GridArgument,
    at: Annotated[list[str], typer.Option("--at", help="A voltage in kV: it and all below is distribution. Or "
                                                        "transformers by name or as trafo:3, repeated.")],
    out: Annotated[Path, typer.Option(help="Folder for the parts; it may not hold any.")],
    check: Annotated[bool, typer.Option("--check", help="Solve the parts coupled and joined, and compare.")] = False,
) -> None:  # fmt: skip
    """Cut a joined net into a transmission grid and the distribution grids below it."""
    import pandapower as pp

    from sims.core.errors import GridError
    from sims.grid.partition import split

    if (out / LIST).exists():
        raise GridError(f"{out} holds the parts of another cut")
    found = _read(grid)
    cut = split(found.net, _level(at) or at, Path(grid).stem)
    out.mkdir(parents=True, exist_ok=True)
    pp.to_json(cut.upper, str(out / "transmission.json"))
    parts = {}
    for part in cut.lower:
        pp.to_json(part.net, str(out / f"{part.name}.json"))
        parts[part.name] = [list(map(int, pair)) for pair in part.boundary]
        typer.echo(f"{part.name}: {len(part.net.bus)} buses, boundary at {', '.join(str(a) for a, _ in part.boundary)}")
    (out / LIST).write_text(json.dumps({"name": cut.name, "boundary": parts}, indent=1), encoding="utf-8")
    if check:
        typer.echo(_compared(cut, found))


@grid.command("join")
def join_grid(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `gridseam grid split` has written.")],
    out: Annotated[Path, typer.Option(help="A .json file that is not there yet.")],
) -> None:
    """Put the parts of a cut together again, with what was changed in them."""
    import pandapower as pp

    from sims.core.errors import GridError
    from sims.grid.partition import join

    if out.exists():
        raise GridError(f"{out} is there already")
    joined = join(_cut_in(folder))
    pp.to_json(joined, str(out))
    typer.echo(f"{out}: {len(joined.bus)} buses")


def _read(name: str) -> Brought:
    from scenarios import formats
    from scenarios.brought import read

    if name.startswith(formats.SIMBENCH):
        return read(name)
    path = Path(name)
    return read(path.name, path.parent)


def _level(at: list[str]) -> float | None:
    try:
        return float(at[0]) if len(at) == 1 else None
    except ValueError:
        return None


def _fitness(found: Brought) -> str:
    from sims.core.errors import GridError
    from sims.grid.compiled import CompiledNet

    try:
        compiled = CompiledNet.from_net(found.net, found.source)
    except GridError as err:
        return f"cannot be solved: {err}"
    shape = "radial" if compiled.radial else "meshed"
    use = "may be a feeder of a scenario" if compiled.radial else "is none for a scenario's feeder, which is radial"
    return f"{shape}, {compiled.n_nodes} nodes, {compiled.n_branches} branches: {use}"


def _cut_in(folder: Path) -> Cut:
    from scenarios.brought import read
    from sims.core.errors import GridError
    from sims.grid.partition import Cut, Lower

    try:
        told: dict[str, Any] = json.loads((folder / LIST).read_text(encoding="utf-8"))
        lower = tuple(
            Lower(name, read(f"{name}.json", folder).net, tuple((int(a), int(b)) for a, b in pairs))
            for name, pairs in told["boundary"].items() if Path(name).name == name
        )
        return Cut(str(told["name"]), read("transmission.json", folder).net, lower)
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise GridError(f"{folder}: holds no cut net ({err})") from err


def _compared(cut: Cut, found: Brought) -> str:
    """Solve the parts coupled and the whole at once; say how far they are apart."""
    import numpy as np

    from sims.core.errors import GridError
    from sims.grid.coupled import CoupledPowerFlow
    from sims.grid.meshed import MeshedPowerFlow

    coupled = CoupledPowerFlow(cut, tolerance_pu=1e-8, tolerance_mva=1e-6)
    settled = coupled.solve()
    whole = MeshedPowerFlow(found.net)
    if not whole.solve():
        raise GridError(f"net {cut.name}: the joined net has no solution")
    assert isinstance(coupled.upper, MeshedPowerFlow)  # cut at one level
    parts = [(cut.upper, coupled.upper.compiled, coupled.upper.v)]
    parts += [(part.net, coupled.compiled[k], coupled.voltages(k)) for k, part in enumerate(cut.lower)]
    apart = max(
        abs(v[grid.node(bus)] - whole.v[whole.compiled.node(bus)])
        for net, grid, v in parts for bus in net.bus.index[np.asarray(net.bus.in_service, bool)]
    )
    return f"coupled in {settled.rounds} rounds; largest difference to the joined net {apart:.1e} pu"
