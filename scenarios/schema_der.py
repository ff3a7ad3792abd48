"""What stands in the feeders: loads, PV, wind, storage and vehicles, by default shares."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from scenarios.base import Count, NotNegative, Part, Percent, Positive, Real, Series, Share, Text

PowerFactor = Annotated[float, Field(strict=True, gt=0, le=1)]


TARIFF = tuple(
    float(p) for p in (22, 21, 20, 20, 21, 24, 29, 33, 32, 28, 24, 21, 19, 19, 21, 25, 30, 36, 40, 41, 37, 32, 28, 25)
)


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
    count: Count | None = None
    """Plants a feeder, each of unit_kw on average, in the place of mw_per_mw_load."""
    profiles: Series = ("PV1", "PV3")
    """Profile series, dealt out over the plants."""
    s_over_p: Annotated[float, Field(strict=True, ge=1, le=2)] = 1.1
    """Rated apparent over active power of the inverter."""


class Wind(Part):
    """Wind turbines."""

    mw_per_mw_load: NotNegative = 0.2
    """Installed power over the feeder's peak load."""
    unit_mw: Positive = 3.0
    """Size of one turbine."""
    count: Count | None = None
    """Turbines a feeder, each of unit_mw on average, in the place of mw_per_mw_load."""
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
    soc_min: Share = 0.05
    """Lowest share of the energy that is used."""
    soc_max: Share = 0.95
    """Highest share of the energy that is used."""
    standby_share: Annotated[float, Field(strict=True, ge=0, le=0.1)] = 0.002
    """What it draws for itself, over its rated power."""
    schedule: Literal["self_consumption", "price"] = "self_consumption"
    """What a battery does without a command: balance its connection point, or trade by the tariff a day ahead."""
    wear: NotNegative = 4.0
    """Cost of wear for each energy that is given back, in the tariff's unit: what a trade has to earn."""
    reserve_h: NotNegative = 0.25
    """How long a reserve it has promised must last; the energy for it is kept, both ways."""


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
    sessions: Text | None = None
    """./file.csv beside the scenario with device, vehicle, arrival, departure, energy_kwh, v2g; else drawn."""


class HeatPump(Part):
    """Heat pumps with a store of heat."""

    mw_per_mw_load: NotNegative = 0.0
    """Electric rating over the feeder's peak load."""
    buffer_h: Positive = 1.0
    """Store of heat over what the rating makes [h]."""
    profiles: Series = ("Air_Parallel_1", "Air_Semi-Parallel_1")
    """Profile series, dealt out over the pumps."""


class Flexible(Part):
    """Consumption that can wait: it is made up for later, and never put off beyond its buffer."""

    mw_per_mw_load: NotNegative = 0.0
    """Rated power over the feeder's peak load."""
    buffer_h: Positive = 2.0
    """How long rated power can be put off or drawn ahead, both together [h]."""
    profiles: Series = ("G0-A",)
    """Profile series, dealt out over the consumers."""


class Chp(Part):
    """Biogas and combined heat and power, which can be dispatched below what their profile offers."""

    mw_per_mw_load: NotNegative = 0.0
    """Installed power over the feeder's peak load."""
    profiles: Series = ("BM1", "BM2")
    """Profile series, dealt out over the plants."""


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
    heatpump: HeatPump = HeatPump()
    """Heat pumps."""
    flexible: Flexible = Flexible()
    """Consumption that can wait."""
    chp: Chp = Chp()
    """Combined heat and power."""
    inertia_s: NotNegative = 0.0
    """Gain of batteries against the slope of frequency at stage 4, over rated power [MW s/Hz per MW]."""
    rules: Text = "vde"
    """Connection rules: vde, ieee1547_a, ieee1547_b, or ./file.toml beside the scenario."""
    tariff: Annotated[tuple[Real, ...], Field(min_length=24, max_length=24)] = TARIFF
    """Price by local hour, for charging and trading by price."""
