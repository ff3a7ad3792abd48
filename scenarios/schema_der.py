"""What stands in the feeders: loads, PV, wind, storage and vehicles, by default shares."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scenarios.base import NotNegative, Part, Percent, Positive, Series, Share

PowerFactor = Annotated[float, Field(strict=True, gt=0, le=1)]


class Load(Part):
    """Consumers."""

    spread_percent: Percent = 15.0
    """Standard deviation of the consumers' peaks around the grid's table."""
    profiles: Series = ("H0-A", "H0-B", "G0-A")
    """Profile series, dealt out over the consumers."""
    cos_phi: PowerFactor = 0.97
    """Power factor, lagging."""
    peak: Positive = 0.8
    """Highest value of the mixed profiles in their file's week, over the grid's own peak load."""


class Pv(Part):
    """Photovoltaics."""

    mw_per_mw_load: NotNegative = 1.2
    """Installed power over the feeder's peak load."""
    unit_kw: Positive = 500.0
    """Size of one plant."""
    profiles: Series = ("PV1", "PV3")
    """Profile series, dealt out over the plants."""
    s_over_p: Annotated[float, Field(strict=True, ge=1, le=2)] = 1.1
    """Rated apparent over active power of the inverter."""


class Wind(Part):
    """Wind turbines."""

    mw_per_mw_load: NotNegative = 0.2
    """Installed power over the feeder's peak load."""
    profiles: Series = ("WP1",)
    """Profile series, dealt out over the turbines."""


class Storage(Part):
    """Batteries, each beside a PV plant."""

    mw_per_mw_pv: NotNegative = 0.15
    """Rated power over installed PV."""
    hours: Positive = 2.0
    """Energy over power [h]."""
    efficiency: PowerFactor = 0.95
    """One way."""
    soc_start: Share = 0.5
    """Share of the energy stored at the start."""


class Ev(Part):
    """Electric vehicles."""

    vehicles_per_mw_load: NotNegative = 150.0
    """Vehicles over the feeder's peak load [1/MW]."""
    plug_kw: Positive = 11.0
    """Power of one charging point."""
    v2g_share: Share = 0.3
    """Share of vehicles able to feed back."""
    battery_kwh: Positive = 60.0
    """Energy of one battery."""
    charging: Literal["uncontrolled", "price", "controlled"] = "uncontrolled"
    """What a vehicle does without a command: at once, by price, or spread over its stay."""


class Der(Part):
    """Defaults for all feeders; an entry under `grids` may override the shares."""

    load: Load = Load()
    """Consumers."""
    pv: Pv = Pv()
    """Photovoltaics."""
    wind: Wind = Wind()
    """Wind turbines."""
    storage: Storage = Storage()
    """Batteries."""
    ev: Ev = Ev()
    """Electric vehicles."""
