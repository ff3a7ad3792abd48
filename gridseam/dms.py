"""``gridseam dms``: each function of the distribution management system on a grid or a run, for a person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gridseam import dms_monitoring, dms_run_commands
from gridseam.dms_options import (
    CloseOption,
    GridOption,
    JsonOption,
    LoadOption,
    OpenOption,
    PictureOption,
    RunArgument,
    VMaxOption,
    VMinOption,
)
from gridseam.dms_tell import check_picture, picture_of, tell

app = typer.Typer(
    help="Functions of the distribution management system: what an operator would do, on any grid or run.",
    no_args_is_help=True, pretty_exceptions_enable=False,
)  # fmt: skip
for watching in (
    dms_monitoring.power_flow, dms_monitoring.load_estimate, dms_monitoring.forecast, dms_monitoring.gis,
    dms_monitoring.volt_var, dms_run_commands.storage, dms_run_commands.v2g, dms_run_commands.supervise,
):
    app.command(watching.__name__.replace("_", "-"))(watching)


@app.command()
def flisr(
    fault: Annotated[str, typer.Option(help="Where the fault is, such as line:6.")],
    grid: GridOption = "case33bw",
    load: LoadOption = 1.0,
    v_min: VMinOption = 0.9,
    loading_max: Annotated[float, typer.Option(help="Loading that must be kept [%].")] = 100.0,
    lost: Annotated[list[str] | None, typer.Option(help="A fault indicator whose message was lost (line:5).")] = None,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Locate a fault by its indicators, isolate it, restore what can be restored."""
    import numpy as np

    from controllers.dms.flisr import Case, locate, plan
    from gridseam.dms_grid import dms_grid
    from sims.core.errors import GridError

    check_picture(picture)
    found = dms_grid(grid, load)
    net, row, g = found.net, found.row(fault), found.compiled
    top = net.topology(net.normal)
    if not top.radial:
        raise GridError(f"grid {found.name}: is meshed as switched; indicators do not tell where a fault is")
    path = _path(top, row)
    if not path:
        raise GridError(f"grid {found.name}: {fault} carries nothing as switched; a fault there trips nothing")
    missing = {found.row(name) for name in lost or ()}
    head, seen = path[-1], [r for r in path if r not in missing]
    closed = net.normal.copy()
    closed[head] = False
    located = locate(top, head, seen)
    case = Case(net, closed, found.s, np.ones(len(net.anchor), complex), v_min, loading_max)
    result = plan(case, head, located)
    after = closed.copy()
    after[list(result.opened)], after[list(result.closed)] = False, True
    v = np.abs(net.topology(after).flow(np.where(net.topology(after).live, found.s, 0.0), np.ones(len(net.anchor))))
    base = g.base_mva
    dark = float(np.maximum(-found.s.real, 0.0)[~net.topology(closed).live].sum()) * base
    facts = {
        "grid": found.name, "fault": found.branch(row), "tripped": found.branch(head),
        "located": found.branch(located), "found": located == row, "dark_after_trip_mw": dark,
        "open": [found.branch(r) for r in result.opened], "close": [found.branch(r) for r in result.closed],
        "restored_mw": dark - result.dark_mw, "dark_mw": result.dark_mw, "v_min_pu": result.v_min_pu,
        "loading_percent": result.loading_percent, "losses_mw": result.losses_mw,
    }
    if not (~net.normal[g.branch_kind == "line"]).any():
        facts["why_dark"] = f"grid {found.name} has no open line to close: what lies beyond waits for the repair"
    if located != row and row not in result.opened:
        facts["warning"] = "the fault lies elsewhere: the breaker would trip again on reclosing"
    tell(facts, as_json, f"FLISR on {found.name}")
    if picture:
        picture_of(found, picture, v, "voltage [pu]", f"{found.name}: fault on {found.branch(row)}", row,
              result.opened, result.closed)


@app.command("short-circuit")
def short_circuit(
    grid: GridOption = "case33bw",
    close: CloseOption = None,
    open_: OpenOption = None,
    converters: Annotated[float, typer.Option(help="Current of converters into a fault, per rated current.")] = 1.0,
    source_mva: Annotated[float | None, typer.Option(help="Short-circuit power of the external grid [MVA].")] = None,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Work out short-circuit currents after IEC 60909, and hold them against the breakers."""
    import numpy as np

    from controllers.dms.short_circuit import check_breakers, levels
    from gridseam.dms_grid import dms_grid

    check_picture(picture)
    found = dms_grid(grid)
    moved = {int(found.compiled.branch_element[found.row(name)]): state
             for names, state in ((close, True), (open_, False)) for name in names or ()}
    result = levels(found.raw, moved, converters, source_mva)
    rows = [{"bus": int(b), "vn_kv": float(kv), "ik_max_ka": float(a), "ik_min_ka": float(i), "ip_ka": float(p),
             "sk_mva": float(s)} for b, kv, a, i, p, s in zip(
                 result.bus, result.vn_kv, result.ik_max_ka, result.ik_min_ka, result.ip_ka, result.sk_mva,
                 strict=True)]  # fmt: skip
    facts: dict[str, Any] = {"grid": found.name, "assumed": list(result.assumed)}
    if len(found.raw.switch):
        check = check_breakers(found.raw, result)
        facts["breakers"] = len(check.switch)
        facts["insufficient"] = [f"switch {s} at bus {b}: {ik:.2f} of {can:g} kA" for s, b, ik, can, ok in zip(
            check.switch, check.bus, check.ik_ka, check.breaking_ka, check.sufficient, strict=True) if not ok]
    else:
        facts["breakers"] = "the grid has no switches: nothing to check"
    tell(facts, as_json, f"Short circuit on {found.name}", rows)
    if picture:
        at = {int(b): float(ik) for b, ik in zip(result.bus, result.ik_max_ka, strict=True)}
        values = np.array([at.get(int(b), 0.0) for b in found.compiled.node_bus])
        picture_of(found, picture, values, 'Ik" [kA]', f"{found.name}: largest short-circuit current")


@app.command()
def reconfigure(
    grid: GridOption = "case33bw",
    load: LoadOption = 1.0,
    v_min: VMinOption = 0.0,
    infeed: Annotated[list[float] | None, typer.Option(help="Rating of each infeed [MVA], in their order.")] = None,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Find the switching that ends overloads, then the one with the least losses."""
    import numpy as np

    from controllers.dms.load_management import relieve
    from gridseam.dms_grid import dms_grid
    from sims.core.errors import GridError

    check_picture(picture)
    found = dms_grid(grid, load)
    if infeed and len(infeed) != len(found.net.anchor):
        raise GridError(f"grid {found.name} has {len(found.net.anchor)} infeeds, not {len(infeed)}")
    result = relieve(found.net, found.net.normal, found.s, np.array(infeed) if infeed else None, v_min, worth_mw=0.0)
    plan = result.plan
    facts = {
        "grid": found.name, "close": [found.branch(r) for r in plan.closed],
        "open": [found.branch(r) for r in plan.opened], "losses_before_kw": plan.losses_mw[0] * 1e3,
        "losses_after_kw": plan.losses_mw[1] * 1e3, "v_min_before_pu": plan.v_min_pu[0],
        "v_min_after_pu": plan.v_min_pu[1], "loading_before_percent": plan.loading_percent[0],
        "loading_after_percent": plan.loading_percent[1], "states": plan.states, "all_states_tried": plan.complete,
    }
    rows = [{"infeed": found.bus(int(n)), "before_mva": float(a), "after_mva": float(b), "rating_mva": float(r)}
            for n, a, b, r in zip(result.busbar, *result.load_mva, result.rating_mva, strict=True)]
    tell(facts, as_json, f"Reconfiguration of {found.name}", rows)
    if picture:
        closed = found.net.normal.copy()
        closed[list(plan.opened)], closed[list(plan.closed)] = False, True
        v = np.abs(found.net.topology(closed).flow(found.s, np.ones(len(found.net.anchor))))
        title = f"{found.name}: {plan.losses_mw[0] * 1e3:.1f} to {plan.losses_mw[1] * 1e3:.1f} kW of losses"
        picture_of(found, picture, v, "voltage [pu]", title, -1, plan.opened, plan.closed)


@app.command("hosting-capacity")
def hosting_capacity(
    grid: GridOption = "case33bw",
    load: LoadOption = 0.3,
    demand: Annotated[bool, typer.Option(help="Ask for load instead of generation.")] = False,
    cos_phi: Annotated[float, typer.Option(min=0.5, max=1.0, help="Of what is connected.")] = 1.0,
    rise: Annotated[float, typer.Option(help="Change of voltage that is accepted [pu].")] = 0.02,
    v_min: VMinOption = 0.9,
    v_max: VMaxOption = 1.1,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Say how much each bus takes before a limit is reached, and how much all take together."""
    import numpy as np

    from controllers.dms.hosting_capacity import Limits, at_each_node, together
    from controllers.dms.loops import Loops
    from gridseam.dms_grid import dms_grid

    check_picture(picture)
    found = dms_grid(grid, load)
    loops, limits = Loops(found.net, found.net.normal), Limits(v_min, v_max, rise)
    result = at_each_node(loops, found.s, limits, cos_phi=cos_phi, demand=demand)
    share = np.where(found.net.topology(found.net.normal).live, np.maximum(-found.s.real, 0.0), 0.0)
    facts: dict[str, Any] = {"grid": found.name, "what": "demand" if demand else "generation"}
    if share.sum() > 0:
        total, why = together(loops, found.s, share, limits, cos_phi=cos_phi, demand=demand)
        facts |= {"together_mw": total, "together_limit": why}
    rows = [{"bus": found.bus(int(n)), "most_mw": float(p), "limit": str(r)}
            for n, p, r in zip(result.node, result.p_mw, result.reason, strict=True)]
    tell(facts, as_json, f"Hosting capacity of {found.name}", rows)
    if picture:
        values = np.full(found.compiled.n_nodes, np.nan)
        values[result.node] = result.p_mw
        picture_of(found, picture, values, "most [MW]", f"{found.name}: what each bus takes alone")


@app.command()
def contingency(
    grid: GridOption = "case33bw",
    load: LoadOption = 1.0,
    v_min: VMinOption = 0.9,
    as_json: JsonOption = False,
) -> None:
    """Try every single outage (N-1): what goes dark, and whether one tie brings it back."""
    from controllers.dms.contingency import screen
    from controllers.dms.loops import Loops
    from gridseam.dms_grid import dms_grid

    found = dms_grid(grid, load)
    result = screen(Loops(found.net, found.net.normal), found.s, v_min)
    rows = [
        {
            "outage": found.branch(int(r)) if r >= 0 else f"infeed {found.bus(int(n))}", "lost_mw": float(mw),
            "tie": found.branch(int(t)) if t >= 0 else "none", "v_min_pu": float(v), "loading_percent": float(p),
            "restorable": bool(ok),
        }
        for r, n, mw, t, v, p, ok in zip(result.row, result.node, result.lost_mw, result.tie, result.v_min_pu,
                                         result.loading_percent, result.restorable, strict=True)
    ]  # fmt: skip
    facts = {"grid": found.name, "outages": len(result), "restorable": int(result.restorable.sum())}
    tell(facts, as_json, f"Single outages of {found.name}", rows)


@app.command()
def estimate(
    grid: GridOption = "case33bw",
    load: LoadOption = 1.0,
    measurements: Annotated[
        Path | None, typer.Option(help="CSV with kind,place,value,sigma; else the grid is metered with noise.")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="A bus that is not metered, such as bus:17.")] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Estimate the state from measurements; name bad ones, areas nobody sees, switches that seem misreported."""
    from gridseam.dms_estimate import estimated
    from gridseam.dms_grid import dms_grid

    check_picture(picture)
    found = dms_grid(grid, load)
    facts, rows, v_pu = estimated(found, measurements, without or (), seed)
    tell(facts, as_json, f"State estimate of {found.name}", rows)
    if picture:
        picture_of(found, picture, v_pu, "voltage [pu]", f"{found.name}: estimated voltages; white: not observed")


@app.command()
def inertia(
    run: RunArgument,
    at: Annotated[float | None, typer.Option(help="Hours after the start. [default: the tightest moment]")] = None,
    rocof_max: Annotated[float, typer.Option(min=0.01, help="Steepest slope that may occur [Hz/s].")] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Account the inertia of each cell of a run: own, needed, deliverable, receivable."""
    from gridseam.dms_inertia import account

    facts, rows = account(run, at, rocof_max)
    tell(facts, as_json, f"Inertia in {run.name}", rows)


def _path(top: Any, row: int) -> list[int]:
    """Return the branch rows from a branch up to the busbar, its own first; empty where it carries nothing."""
    below = {int(r): node for node, r in enumerate(top.parent_branch) if r >= 0}
    node, out = below.get(row, -1), []
    while node >= 0 and top.parent_branch[node] >= 0:
        out.append(int(top.parent_branch[node]))
        node = int(top.parent[node])
    return out
