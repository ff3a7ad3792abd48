"""Weather on the time axis of the profiles, and what sun and wind make of it: pvlib and windpowerlib at work."""

from __future__ import annotations

import datetime as dt
import importlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sims.core.errors import Problem, ScenarioError, nearest
from sims.der.profiles import Profiles

Array = NDArray[np.float64]
NEEDED = ("ghi_w_m2", "temp_air_c", "wind_speed_m_s")
OPTIONAL = ("dni_w_m2", "dhi_w_m2", "pressure_pa")


@dataclass(frozen=True)
class Site:
    """Where the weather was measured; the wind at `wind_height_m` above ground of `roughness_m`."""

    latitude: float
    longitude: float
    altitude_m: float = 0.0
    wind_height_m: float = 10.0
    roughness_m: float = 0.15


@dataclass(frozen=True)
class Weather:
    """Weather at instants; columns by name [W/m2, degree C, m/s, Pa], shape [instant]."""

    file: str
    site: Site
    stamps_ms: NDArray[np.int64]
    columns: dict[str, Array]

    @classmethod
    def read(
        cls, path: str | Path, site: Site, *, start: dt.datetime, at_ms: NDArray[np.int64], until_ms: int,
        timezone: str | None = None,
    ) -> Weather:
        """Read a CSV file with ``time``, `NEEDED` and any of `OPTIONAL`; straight lines between its rows.

        Parameters
        ----------
        start : datetime
        at_ms : ndarray of int
            Instants wanted [ms after start]; beyond the file its first and last row hold.
        until_ms : int
            Length of the run, which the file has to cover [ms].

        Raises
        ------
        ScenarioError
            As `Profiles.read` has them; a column that is missing or unknown, or a value that no weather has.
        """
        series = Profiles.read(path, start=start, until_ms=until_ms, timezone=timezone)
        name = Path(path).name
        missing = [c for c in NEEDED if c not in series.names]
        if missing:
            raise ScenarioError([Problem(f"{name}:1", missing[0], f"columns missing: {', '.join(missing)}")])
        for column in series.names:
            if column not in (*NEEDED, *OPTIONAL):
                text = f"is no column of weather{nearest(column, (*NEEDED, *OPTIONAL))}"
                raise ScenarioError([Problem(f"{name}:1", column, text)])
        for column, (low, high) in _SANE.items():
            if column in series.names:
                values = series.values[:, series.column(column)]
                wrong = np.flatnonzero((values < low) | (values > high))
                if len(wrong):
                    text = f"{values[wrong[0]]:g} lies outside {low:g} to {high:g}"
                    raise ScenarioError([Problem(f"{name}:{wrong[0] + 2}", column, text)])
        rows_ms = series.first_ms + series.spacing_ms * np.arange(len(series.values))
        columns = {c: np.interp(at_ms, rows_ms, series.values[:, k]) for k, c in enumerate(series.names)}
        return cls(name, site, round(start.timestamp() * 1000) + at_ms, columns)

    def index(self) -> Any:
        """Return the instants as a pandas index in UTC."""
        return library("pandas", "weather").to_datetime(self.stamps_ms, unit="ms", utc=True)


_SANE = {"ghi_w_m2": (0, 1600), "dni_w_m2": (0, 1600), "dhi_w_m2": (0, 1600), "temp_air_c": (-60, 60),
         "wind_speed_m_s": (0, 75), "pressure_pa": (5e4, 1.1e5)}  # fmt: skip


def library(name: str, extra: str) -> Any:
    """Return an optional library, imported when it is first needed.

    Raises
    ------
    ScenarioError
        It is not installed; says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as err:
        text = f"the package '{name.split('.')[0]}' is not installed: pip install 'gridseam[{extra}]'"
        raise ScenarioError(text) from err


@dataclass(frozen=True)
class PvPlant:
    """Orientation (azimuth 180 is south), losses between modules and grid, how the modules take heat."""

    tilt_deg: float = 30.0
    azimuth_deg: float = 180.0
    losses: float = 0.10
    gamma_per_k: float = -0.0037
    albedo: float = 0.2


def pv_share(weather: Weather, plant: PvPlant) -> Array:
    """Return AC power over installed module power [1], [instant], by pvlib.

    Sun position (NREL SPA), direct and diffuse light by Erbs where not measured, Hay-Davies on the tilted plane,
    cell temperature by Faiman, power by PVWatts.
    """
    pvlib = library("pvlib", "weather")
    c, site, index = weather.columns, weather.site, weather.index()
    sun = pvlib.solarposition.get_solarposition(index, site.latitude, site.longitude, site.altitude_m)
    zenith = sun["apparent_zenith"].to_numpy()
    split = pvlib.irradiance.erbs(c["ghi_w_m2"], zenith, index)
    dni = c.get("dni_w_m2", np.nan_to_num(np.asarray(split["dni"])))
    dhi = c.get("dhi_w_m2", np.nan_to_num(np.asarray(split["dhi"])))
    plane = pvlib.irradiance.get_total_irradiance(
        plant.tilt_deg, plant.azimuth_deg, zenith, sun["azimuth"].to_numpy(), dni, c["ghi_w_m2"], dhi,
        dni_extra=np.asarray(pvlib.irradiance.get_extra_radiation(index)), albedo=plant.albedo, model="haydavies",
    )
    light = np.maximum(np.nan_to_num(np.asarray(plane["poa_global"])), 0.0)
    cell_c = pvlib.temperature.faiman(light, c["temp_air_c"], c["wind_speed_m_s"])
    share = pvlib.pvsystem.pvwatts_dc(light, cell_c, 1.0, plant.gamma_per_k) * (1.0 - plant.losses)
    return np.clip(np.asarray(share, dtype=np.float64), 0.0, None)


def turbines() -> tuple[str, ...]:
    """Return the types of turbine that windpowerlib has a power curve of."""
    data = library("windpowerlib.data", "weather")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        types = data.get_turbine_types(turbine_library="local", print_out=False, filter_=True)
    return tuple(sorted(types[types["has_power_curve"]]["turbine_type"]))


def wind_share(weather: Weather, turbine: str, hub_height_m: float) -> Array:
    """Return power over rated power [1], [instant], by windpowerlib's chain of models.

    Logarithmic wind profile from the height of measurement to the hub, density by the barometric formula, power
    curve of the type corrected for it.

    Raises
    ------
    ScenarioError
        windpowerlib has no power curve of that type.
    """
    lib, pandas = library("windpowerlib", "weather"), library("pandas", "weather")
    known = turbines()
    if turbine not in known:
        raise ScenarioError(f"turbine '{turbine}' has no power curve in windpowerlib{nearest(turbine, known)}")
    c, site = weather.columns, weather.site
    pressure = c.get("pressure_pa", np.full(len(weather.stamps_ms), 101_325.0 * np.exp(-site.altitude_m / 8434.0)))
    table = pandas.DataFrame(
        {
            ("wind_speed", site.wind_height_m): c["wind_speed_m_s"], ("temperature", 2.0): c["temp_air_c"] + 273.15,
            ("pressure", 0.0): pressure, ("roughness_length", 0.0): np.full(len(pressure), site.roughness_m),
        },
        index=weather.index(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plant = lib.WindTurbine(turbine_type=turbine, hub_height=hub_height_m)
        chain = lib.ModelChain(plant, density_correction=True).run_model(table)
    share = np.asarray(chain.power_output, dtype=np.float64) / float(plant.nominal_power)
    return np.clip(np.nan_to_num(share), 0.0, 1.0)
