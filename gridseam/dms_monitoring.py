"""``gridseam dms``: what an operator watches a grid with - power flow, loads, forecasts, places, volt/VAr."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gridseam.dms_options import (
    CloseOption,
    GridOption,
    JsonOption,
    LoadOption,
    OpenOption,
    PictureOption,
    VMaxOption,
    VMinOption,
)
from gridseam.dms_tell import check_picture, picture_of, tell

ProfilesOption = Annotated[str, typer.Option(help="A shipped week (summer, winter) or a ./file.csv of profiles.")]


def power_flow(
    grid: GridOption = "case33bw",
    load: LoadOption = 1.0,
    close: CloseOption = None,
    open_: OpenOption = None,
    series: Annotated[str | None, typer.Option(help="Follow the loads by this profile, such as mv_semiurb.")] = None,
    profiles: ProfilesOption = "summer",
    hours: Annotated[float, typer.Option(min=0.25, help="How long to follow them.")] = 24.0,
    period_min: Annotated[float, typer.Option(min=0.01, help="Solved anew at least so often [min].")] = 60.0,
    change_mw: Annotated[float, typer.Option(min=0.0, help="Change of one load that is worth a solution.")] = 0.05,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Solve the power flow on request, or follow a series of loads on-line: on period and on change."""
    import numpy as np

    from gridseam.dms_flow import followed, requested
    from gridseam.dms_grid import dms_grid

    check_picture(picture)
    found = dms_grid(grid, load)
    closed = found.switched(close or (), open_ or ())
    if series is None:
        facts, rows, v = requested(found, closed)
    else:
        facts, rows, v = followed(found, closed, profiles, series, hours, period_min, change_mw)
    tell(facts, as_json, f"Power flow of {found.name}", rows)
    if picture:
        title = f"{found.name}: {facts['losses_mw'] * 1e3:.1f} kW of losses"
        picture_of(found, picture, np.abs(v), "voltage [pu]", title)


def load_estimate(
    grid: GridOption = "case33bw",
    load: LoadOption = 1.0,
    drawn: Annotated[
        list[str] | None, typer.Option(help="P,Q each busbar gives [MW,Mvar], in their order; else the grid's own.")
    ] = None,
    metered: Annotated[
        Path | None, typer.Option(help="CSV with bus,p_mw,q_mvar of substations with a meter (load negative).")
    ] = None,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Spread what the busbars give over the substations without a meter, by the grid's own loads."""
    from gridseam.dms_flow import allocated
    from gridseam.dms_grid import dms_grid

    check_picture(picture)
    found = dms_grid(grid, load)
    facts, rows, p_mw = allocated(found, drawn, metered)
    tell(facts, as_json, f"Loads of {found.name}", rows)
    if picture:
        picture_of(found, picture, -p_mw, "load [MW]", f"{found.name}: loads by allocation")


def forecast(
    series: Annotated[
        list[str] | None, typer.Option(help="Profile to forecast. [default: mv_semiurb, mv_comm]")
    ] = None,
    profiles: ProfilesOption = "summer",
    horizon_h: Annotated[float, typer.Option(min=0.25, max=48.0, help="How far ahead [h].")] = 1.0,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Forecast a series again and again, and say how much better that is than persistence and the day before."""
    from gridseam.dms_forecast import compared, draw

    check_picture(picture)
    names = tuple(series or ("mv_semiurb", "mv_comm"))
    facts, rows, drawn = compared(profiles, names, horizon_h)
    tell(facts, as_json, f"Forecasts {horizon_h:g} h ahead, week {profiles}", rows)
    if picture:
        draw(picture, drawn)
        typer.echo(str(picture), err=True)


def gis(
    at: Annotated[str, typer.Option(help="Place to look from, such as bus:17.")],
    grid: GridOption = "mv_oberrhein",
    close: CloseOption = None,
    open_: OpenOption = None,
    most: Annotated[int, typer.Option(min=1, help="How many resources to list.")] = 10,
    geojson: Annotated[Path | None, typer.Option(help="Write the grid as GeoJSON.")] = None,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Rank loads, plants and storages by electrical distance to a place, beside the way along the lines."""
    from gridseam.dms_flow import ranked
    from gridseam.dms_grid import dms_grid

    check_picture(picture)
    found = dms_grid(grid)
    facts, rows, z_ohm = ranked(found, found.switched(close or (), open_ or ()), at, most, geojson)
    tell(facts, as_json, f"Nearest to {at} in {found.name}", rows)
    if picture:
        picture_of(found, picture, z_ohm, "mutual impedance [ohm]", f"{found.name}: what acts on {at}")


def volt_var(
    grid: GridOption = "mv_oberrhein",
    load: LoadOption = 1.0,
    source: Annotated[
        list[str] | None, typer.Option(help="Reactive power to be had, either way [Mvar], such as bus:80=2.")
    ] = None,
    v_min: VMinOption = 0.95,
    v_max: VMaxOption = 1.05,
    half_band: Annotated[float, typer.Option(help="Half the band aimed at, around the middle [pu].")] = 0.02,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Choose tap steps and reactive power that keep voltages in their band, with the least wear and losses."""
    import numpy as np

    from gridseam.dms_grid import dms_grid
    from gridseam.dms_volt_var import optimised

    check_picture(picture)
    found = dms_grid(grid, load)
    facts, rows, v = optimised(found, source or (), v_min, v_max, half_band)
    tell(facts, as_json, f"Volt/VAr of {found.name}", rows)
    if picture:
        picture_of(found, picture, np.abs(v), "voltage [pu]", f"{found.name}: after volt/VAr control")
