"""The profiles of a scenario: those of its file, and its own made from weather and standard loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scenarios.schema import Scenario
from scenarios.schema_devices import HeatSeries, LoadSeries, OwnSeries, PvSeries
from scenarios.shipped import profile_path
from sims.der import standard_load
from sims.der.profiles import Profiles
from sims.der.weather import PvPlant, Site, Weather, pv_share, wind_share

Array = NDArray[np.float64]
GROUND_C = 8.0
"""Temperature of the ground that a heat pump draws from, the year round."""


def profiles(scenario: Scenario, folder: Path | None = None) -> Profiles:
    """Return all series of the scenario on the time axis of its profile file, with time 0 at its start."""
    folder = folder or scenario.folder
    until_ms = scenario.time.duration_ms
    base = Profiles.read(
        profile_path(scenario.profiles, folder), start=scenario.time.start, until_ms=until_ms,
        interpolation=scenario.interpolation, timezone=scenario.time.zone,
    )
    if not scenario.series:
        return base
    at_ms = base.first_ms + base.spacing_ms * np.arange(len(base.values))
    weather = _weather(scenario, base, at_ms, folder)
    made: dict[str, Array] = {}
    for name, own in scenario.series.items():
        made |= {f"{name}{ending}": values for ending, values in _made(own, base, at_ms, weather, scenario).items()}
    return base.joined(made)


def _weather(scenario: Scenario, base: Profiles, at_ms: NDArray[np.int64], folder: Path) -> Weather | None:
    given = scenario.weather
    if given is None:
        return None
    site = Site(given.latitude, given.longitude, given.altitude_m, given.wind_height_m, given.roughness_m)
    return Weather.read(
        folder / given.file, site, start=base.start, at_ms=at_ms, until_ms=scenario.time.duration_ms,
        timezone=scenario.time.zone,
    )


def _made(
    own: OwnSeries, base: Profiles, at_ms: NDArray[np.int64], weather: Weather | None, scenario: Scenario
) -> dict[str, Array]:
    """Return the columns of one own series by ending of their name."""
    if isinstance(own, LoadSeries):
        return {"_p": standard_load.standard_share(own.shape, base.start, at_ms, scenario.time.zone)}
    assert weather is not None, "the schema has checked that"
    if isinstance(own, PvSeries):
        return {"_p": pv_share(weather, PvPlant(own.tilt_deg, own.azimuth_deg, own.losses))}
    if isinstance(own, HeatSeries):
        return _heat(own, weather.columns["temp_air_c"])
    return {"_p": wind_share(weather, own.turbine, own.hub_height_m)}


def _heat(own: HeatSeries, temp_c: Array) -> dict[str, Array]:
    """Return demand in the electric terms of the design day, and the COP over that of the design day."""
    source = temp_c if own.source == "air" else np.full_like(temp_c, GROUND_C)
    design = own.design_c if own.source == "air" else GROUND_C
    at_design = float(standard_load.cop(np.array([design]), own.sink_c, own.source)[0])
    return {
        "_p": standard_load.heat_share(temp_c, own.limit_c, own.design_c),
        "_cop": standard_load.cop(source, own.sink_c, own.source) / at_design,
    }
