"""Weather, series made from it, and devices given one by one."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from scenarios.base import Name, NotNegative, Part, Positive, Real, Share, Text

Shape = Literal["h0", "h0_dyn", "g0", "g1", "g2", "g3", "g4", "g5", "g6", "l0", "l1", "l2"]


class Weather(Part):
    """A weather file and where it was measured."""

    file: Text
    """./file.csv beside the scenario: time, ghi_w_m2, temp_air_c, wind_speed_m_s; dni_w_m2, dhi_w_m2, pressure_pa."""
    latitude: Annotated[float, Field(strict=True, ge=-90, le=90)]
    """North positive [degree]."""
    longitude: Annotated[float, Field(strict=True, ge=-180, le=180)]
    """East positive [degree]."""
    altitude_m: Real = 0.0
    """Above the sea."""
    wind_height_m: Positive = 10.0
    """Height at which the wind was measured."""
    roughness_m: Positive = 0.15
    """Roughness length of the ground."""


class PvSeries(Part):
    """Photovoltaics from the weather file, by pvlib."""

    kind: Literal["pv"] = "pv"
    """From what it is made."""
    tilt_deg: Annotated[float, Field(strict=True, ge=0, le=90)] = 30.0
    """Of the modules against the ground."""
    azimuth_deg: Annotated[float, Field(strict=True, ge=0, le=360)] = 180.0
    """Where the modules face; 180 is south."""
    losses: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.10
    """Between modules and grid."""


class WindSeries(Part):
    """Wind turbines from the weather file, by windpowerlib."""

    kind: Literal["wind"] = "wind"
    """From what it is made."""
    turbine: Text
    """A type windpowerlib has a power curve of, such as E-115/3000."""
    hub_height_m: Positive = 120.0
    """Height of the hub."""


class LoadSeries(Part):
    """A standard load profile of BDEW, by demandlib."""

    kind: Literal["standard_load"] = "standard_load"
    """From what it is made."""
    shape: Shape
    """Which profile; h0_dyn is the household with its course over the year."""


class HeatSeries(Part):
    """Heat pumps from the temperature of the weather file, with the COP of the lift."""

    kind: Literal["heat"] = "heat"
    """From what it is made."""
    source: Literal["air", "ground"] = "air"
    """Where the heat comes from; the ground has 8 degrees."""
    sink_c: Annotated[float, Field(strict=True, ge=25, le=75)] = 40.0
    """Temperature of the heating water."""
    limit_c: Real = 15.0
    """Outdoor temperature above which nobody heats."""
    design_c: Real = -12.0
    """Outdoor temperature at which the pump's rating is needed."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.design_c >= self.limit_c:
            raise ValueError(f"design_c {self.design_c:g} is not below limit_c {self.limit_c:g}")
        return self


OwnSeries = Annotated[PvSeries | WindSeries | LoadSeries | HeatSeries, Field(discriminator="kind")]


class Listed(Part):
    """A device given by name and place."""

    name: Name
    """Its name."""
    kind: Literal[
        "load", "flexible", "pv", "wind", "chp", "storage", "ev", "heatpump", "svc", "statcom", "capacitor"
    ]
    """What it is."""
    feeder: Text
    """Name of the feeder, such as dso_1.f01."""
    bus: Annotated[int, Field(strict=True, ge=0)]
    """Index in the grid's bus table."""
    p_mw: NotNegative | None = None
    """Rated active power; of an EV cluster it follows from vehicles and plugs."""
    energy_mwh_a: Positive | None = None
    """Yearly energy, in the place of p_mw, where the profile is a standard load."""
    s_mva: Positive | None = None
    """Rated apparent power of the inverter; reactive power of a compensation."""
    e_mwh: Positive | None = None
    """Energy of a storage or of a buffer."""
    soc_start: Share = 0.5
    """Share of it at the start."""
    profile: Text = ""
    """Profile series; none: constant."""
    vehicles: Annotated[int, Field(strict=True, ge=0)] = 0
    """Vehicles of an EV cluster."""
    steps: Annotated[int, Field(strict=True, ge=1, le=100)] = 1
    """Steps of a switched capacitor."""
    level: Literal["lv", "mv"] | None = None
    """Which connection rule holds, where it shall not follow from place and size."""
    remote: bool = True
    """Whether orders reach it."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        static = self.kind in ("svc", "statcom", "capacitor")
        if static and self.s_mva is None:
            raise ValueError(f"a {self.kind} needs s_mva")
        if self.kind == "ev" and not self.vehicles:
            raise ValueError("an ev cluster needs vehicles")
        if self.kind in ("storage", "heatpump", "flexible") and self.e_mwh is None:
            raise ValueError(f"a {self.kind} needs e_mwh")
        if not static and self.kind != "ev" and (self.p_mw is None) == (self.energy_mwh_a is None):
            raise ValueError("needs p_mw or energy_mwh_a, one of both")
        if self.energy_mwh_a is not None and not self.profile:
            raise ValueError("energy_mwh_a needs a profile that is a standard_load")
        return self
