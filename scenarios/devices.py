"""The devices of a scenario: placed by share, the same in every pairing but for the laws they carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controllers.local import rules
from controllers.local.settings import equip
from controllers.responsibility import Responsibility
from scenarios.places import LOW_VOLTAGE_KV, FeederPlace, Places
from scenarios.schema import Scenario
from scenarios.schema_devices import LoadSeries
from sims.core.errors import GridError, ScenarioError
from sims.der.ev import EvSettings
from sims.der.fleet import DeviceTable
from sims.der.law import Bound
from sims.der.placement import FeederSite, Listed, Shares, place
from sims.der.profiles import Profiles
from sims.der.sessions import Behaviour, Sessions, drawn, read, zoned
from sims.der.simulator import DerSettings, DerSimulator
from sims.der.standard_load import full_load_hours
from sims.der.storage import StorageSettings
from sims.distribution.devices import KINDS, DeviceMap


def scaled(series: Profiles, names: Sequence[str], peak: float) -> tuple[NDArray[np.int64], float]:
    """Return the columns of some profiles, and the factor that brings the peak of their mix to `peak`."""
    columns = np.array([series.column(f"{name}_p") for name in names], np.int64)
    return columns, peak / float(series.values[:, columns].mean(axis=1).max())


def device_table(scenario: Scenario, places: Places, series: Profiles) -> DeviceTable:
    """Return all devices of all feeders."""
    dsos = {name: i for i, name in enumerate(places.dsos)}
    sites = [_site(f, dsos[f.entry.dso], scenario) for f in places.feeders]
    _, scale = scaled(series, scenario.der.load.profiles, scenario.der.load.peak)
    peaks = [float(site.load_mw.sum()) for site in sites]
    shares = {f.name: _shares(f, scenario, scale, peak) for f, peak in zip(places.feeders, peaks, strict=True)}
    names = [f.name for f in places.feeders]
    return place(
        sites, shares, seed=scenario.seed, feeder_names=names, dso_names=places.dsos, listed=_listed(scenario, places)
    )


def _listed(scenario: Scenario, places: Places) -> list[Listed]:
    """Return the devices given one by one; a yearly energy becomes a peak by the hours of its standard load."""
    out = []
    by_name = {f.name: f for f in places.feeders}
    der = scenario.der
    for given in scenario.devices:
        grid = by_name[given.feeder].plan.grid
        try:
            node = int(grid.node(given.bus))
        except (KeyError, IndexError, GridError) as err:
            raise ScenarioError(f"device '{given.name}': {given.feeder} has no bus {given.bus}") from err
        p_mw = given.p_mw or 0.0
        if given.energy_mwh_a is not None:
            own = scenario.series[given.profile]
            assert isinstance(own, LoadSeries), "the schema has checked that"
            p_mw = given.energy_mwh_a / full_load_hours(own.shape, scenario.time.start.year)
        columns: dict[str, Any] = {
            "profile": given.profile, "soc_start": given.soc_start, "remote": given.remote, "steps": given.steps,
            "e_rated_mwh": given.e_mwh or 0.0,
        }
        if given.kind == "ev":
            p_mw = given.vehicles * der.ev.plug_kw / 1000
            columns |= {
                "vehicles": given.vehicles, "plug_mw": der.ev.plug_kw / 1000, "v2g_share": der.ev.v2g_share,
                "strategy": der.ev.charging,
            }
        if given.kind in ("load", "flexible"):
            columns["cos_phi"] = der.load.cos_phi
        if given.s_mva is not None:
            columns["s_rated_mva"] = given.s_mva
        if given.level is not None:
            columns["level"] = given.level
        out.append(Listed(given.name, given.kind, given.feeder, node, p_mw, columns))
    return out


def _site(place: FeederPlace, dso: int, scenario: Scenario) -> FeederSite:
    """Return where load stands in one feeder, each consumer's peak drawn around the grid's own table."""
    plan = place.plan
    nodes = np.flatnonzero(plan.load_mw > 0)
    rng = np.random.default_rng([scenario.seed, place.number, 77])
    spread = scenario.der.load.spread_percent / 100
    factor = np.clip(1 + spread * rng.standard_normal(nodes.size), 0.3, 2.0)
    level = np.where(plan.grid.vn_kv[nodes] > LOW_VOLTAGE_KV, "mv", "lv")
    return FeederSite(
        place.name, place.number, dso, nodes, plan.load_mw[nodes] * factor, plan.load_mvar[nodes] * factor, level
    )


def _shares(place: FeederPlace, scenario: Scenario, scale: float, site_mw: float) -> Shares:
    """Return what stands in one feeder; `site_mw` is its peak load as drawn, what a count of plants is held against."""
    entry, der = place.entry, scenario.der
    load = dict.fromkeys(der.load.profiles, 1.0)
    peak_mw = float(place.plan.load_mw.sum())
    pv, wind = entry.pv_mw_per_mw_load, entry.wind_mw_per_mw_load
    pv_count = max(1, round(peak_mw * pv * 1000 / der.pv.unit_kw))
    wind_count = max(1, round(peak_mw * wind / der.wind.unit_mw))
    if der.pv.count is not None:
        pv_count, pv = der.pv.count, der.pv.count * der.pv.unit_kw / 1000 / site_mw
    if der.wind.count is not None:
        wind_count, wind = der.wind.count, der.wind.count * der.wind.unit_mw / site_mw
    return Shares(
        pv_mw_per_mw_load=pv, wind_mw_per_mw_load=wind,
        chp_mw_per_mw_load=der.chp.mw_per_mw_load,
        heatpump_mw_per_mw_load=der.heatpump.mw_per_mw_load, heatpump_buffer_h=der.heatpump.buffer_h,
        flexible_mw_per_mw_load=der.flexible.mw_per_mw_load, flexible_buffer_h=der.flexible.buffer_h,
        storage_mw_per_mw_pv=entry.storage_mw_per_mw_pv, storage_hours=der.storage.hours,
        soc_start=der.storage.soc_start,
        ev_per_mw_load=entry.vehicles_per_mw_load, plug_mw={der.ev.plug_kw / 1000: 1.0},
        v2g_share=der.ev.v2g_share, strategy=der.ev.charging, s_per_p=der.pv.s_over_p,
        counts={"wind": wind_count, "pv": pv_count},
        cos_phi_load=der.load.cos_phi, load_scaling=scale,
        profiles={
            "load": load, "grid": load, "pv": dict.fromkeys(der.pv.profiles, 1.0),
            "wind": dict.fromkeys(der.wind.profiles, 1.0), "chp": dict.fromkeys(der.chp.profiles, 1.0),
            "heatpump": dict.fromkeys(der.heatpump.profiles, 1.0),
            "flexible": dict.fromkeys(der.flexible.profiles, 1.0),
        },
    )


def drivers(scenario: Scenario, table: DeviceTable, series: Profiles) -> Sessions:
    """Return when the vehicles are plugged in and what they need, the same in every pairing."""
    ev = scenario.der.ev
    behaviour = Behaviour(battery_kwh=ev.battery_kwh)
    start = zoned(series.start, scenario.time.zone)
    if ev.sessions is not None:
        return read(scenario.folder / ev.sessions, table, start=start, battery_kwh=ev.battery_kwh)
    return drawn(table, seed=scenario.seed, start=start, until_ms=scenario.time.duration_ms, behaviour=behaviour)


def der_simulator(
    scenario: Scenario, table: DeviceTable, series: Profiles, responsibility: Responsibility,
    cells: Mapping[str, int], *, step_ms: int, stays: Sessions, equipped: bool = True, f0_hz: float = 50.0,
    place: NDArray[np.int64] | None = None,
) -> DerSimulator:
    """Return the devices with the laws of this pairing, or bare (`equipped` False) for a forecast.

    `stays` of the vehicles, as `drivers` draws them, are only read; `f0_hz` is the grid's nominal frequency,
    `place` the interface of each device.
    """
    laws: list[Bound] = []
    if equipped:
        found = equip(
            responsibility.architecture, responsibility.stage, kind=table.kind, level=table.level,
            v2g_share=table.v2g_share, p_rated_mw=table.p_rated_mw, f0_hz=f0_hz,
            inertia_s=_inertia_s(scenario, responsibility),
            rules=rules.read(scenario.der.rules, scenario.folder),
        )
        laws = [Bound(law, devices) for law, devices in found]
    sources = {name: table.of_dso(i) for i, name in enumerate(table.dso_names)}
    given = scenario.der.storage
    storage = StorageSettings(
        given.efficiency, given.efficiency, given.soc_min, given.soc_max, given.standby_share, given.reserve_h,
        given.schedule, given.wear,
    )
    ev = EvSettings(tariff=scenario.der.tariff)
    return DerSimulator(
        table, series, sources=sources, laws=laws, authorize=responsibility.authorize, step_ms=step_ms,
        until_ms=scenario.time.duration_ms, seed=scenario.seed,
        cell_of_dso=np.array([cells[name] for name in table.dso_names]),
        settings=DerSettings(f0_hz=f0_hz, storage=storage, ev=ev, timezone=scenario.time.zone), sessions=stays,
        place=place,
    )


def _inertia_s(scenario: Scenario, responsibility: Responsibility) -> float | None:
    """Return the gain that devices have by themselves; None where they have none and nobody can order one."""
    own = scenario.der.inertia_s
    ordered = scenario.transmission.frequency.model == "dynamic" and responsibility.architecture != "local"
    return own if own > 0 or ordered else None


def device_map(table: DeviceTable, der: DerSimulator, places: Places, dso: str) -> DeviceMap:
    """Return where one DSO's devices stand in its flat arrays."""
    index = table.of_dso(places.dsos.index(dso))
    own = places.of_dso(dso)
    start = np.concatenate([[0], np.cumsum([f.plan.grid.n_nodes for f in own])])
    feeder = table.feeder[index] - own[0].number
    kind = np.array([KINDS.index(k) for k in table.kind[index].tolist()], np.int64)
    return DeviceMap(
        index, start[feeder] + table.node[index], feeder, kind,
        der.curve_pu[index], der.curve_qu[index], der.curve_pf[index],
    )
