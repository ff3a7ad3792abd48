"""The devices of a scenario: placed by share, the same in every pairing but for the laws they carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controllers.local.settings import equip
from controllers.responsibility import Responsibility
from scenarios.places import FeederPlace, Places
from scenarios.schema import Scenario
from scenarios.shipped import profile_path
from sims.der.fleet import DeviceTable
from sims.der.law import Bound
from sims.der.placement import FeederSite, Shares, place
from sims.der.profiles import Profiles
from sims.der.sessions import Behaviour
from sims.der.simulator import DerSettings, DerSimulator
from sims.der.storage import StorageSettings
from sims.distribution.simulator import KINDS, DeviceMap


def profiles(scenario: Scenario, folder: Path | None = None) -> Profiles:
    """Return the scenario's profiles, with time 0 at its start; straight lines between the rows."""
    path = profile_path(scenario.profiles, folder or scenario.folder)
    until_ms = scenario.time.duration_ms
    return Profiles.read(path, start=scenario.time.start, until_ms=until_ms, interpolation="linear")


def scaled(series: Profiles, names: Sequence[str], peak: float) -> tuple[NDArray[np.int64], float]:
    """Return the columns of some profiles, and the factor that brings the peak of their mix to `peak`."""
    columns = np.array([series.column(f"{name}_p") for name in names], np.int64)
    return columns, peak / float(series.values[:, columns].mean(axis=1).max())


def device_table(scenario: Scenario, places: Places, series: Profiles) -> DeviceTable:
    """Return all devices of all feeders."""
    dsos = {name: i for i, name in enumerate(places.dsos)}
    sites = [_site(f, dsos[f.entry.dso], scenario) for f in places.feeders]
    _, scale = scaled(series, scenario.der.load.profiles, scenario.der.load.peak)
    shares = {f.name: _shares(f, scenario, scale) for f in places.feeders}
    names = [f.name for f in places.feeders]
    return place(sites, shares, seed=scenario.seed, feeder_names=names, dso_names=places.dsos)


def _site(place: FeederPlace, dso: int, scenario: Scenario) -> FeederSite:
    """Return where load stands in one feeder, each consumer's peak drawn around the grid's own table."""
    plan = place.plan
    nodes = np.flatnonzero(plan.load_mw > 0)
    rng = np.random.default_rng([scenario.seed, place.number, 77])
    spread = scenario.der.load.spread_percent / 100
    factor = np.clip(1 + spread * rng.standard_normal(nodes.size), 0.3, 2.0)
    return FeederSite(
        place.name, place.number, dso, nodes, plan.load_mw[nodes] * factor, plan.load_mvar[nodes] * factor, "mv"
    )


def _shares(place: FeederPlace, scenario: Scenario, scale: float) -> Shares:
    entry, der = place.entry, scenario.der
    load = dict.fromkeys(der.load.profiles, 1.0)
    peak_mw = float(place.plan.load_mw.sum())
    return Shares(
        pv_mw_per_mw_load=entry.pv_mw_per_mw_load, wind_mw_per_mw_load=entry.wind_mw_per_mw_load,
        storage_mw_per_mw_pv=entry.storage_mw_per_mw_pv, storage_hours=der.storage.hours,
        soc_start=der.storage.soc_start,
        ev_per_mw_load=entry.vehicles_per_mw_load, plug_mw={der.ev.plug_kw / 1000: 1.0},
        v2g_share=der.ev.v2g_share, strategy=der.ev.charging, s_per_p=der.pv.s_over_p,
        counts={
            "wind": max(1, round(peak_mw * entry.wind_mw_per_mw_load / WIND_TURBINE_MW)),
            "pv": max(1, round(peak_mw * entry.pv_mw_per_mw_load * 1000 / der.pv.unit_kw)),
        },
        cos_phi_load=der.load.cos_phi, load_scaling=scale,
        profiles={
            "load": load, "grid": load, "pv": dict.fromkeys(der.pv.profiles, 1.0),
            "wind": dict.fromkeys(der.wind.profiles, 1.0),
        },
    )


WIND_TURBINE_MW = 3.0
"""Size of one turbine on a medium-voltage feeder."""


def der_simulator(
    scenario: Scenario, table: DeviceTable, series: Profiles, responsibility: Responsibility,
    cells: Mapping[str, int], *, step_ms: int, equipped: bool = True,
) -> DerSimulator:
    """Return the devices with the laws of this pairing, or bare (`equipped` False) for a forecast."""
    laws: list[Bound] = []
    if equipped:
        found = equip(
            responsibility.architecture, responsibility.stage, kind=table.kind, level=table.level,
            v2g_share=table.v2g_share, p_rated_mw=table.p_rated_mw,
        )
        laws = [Bound(law, devices) for law, devices in found]
    sources = {name: table.of_dso(i) for i, name in enumerate(table.dso_names)}
    storage = StorageSettings(eta_charge=scenario.der.storage.efficiency, eta_discharge=scenario.der.storage.efficiency)
    return DerSimulator(
        table, series, sources=sources, laws=laws, authorize=responsibility.authorize, step_ms=step_ms,
        until_ms=scenario.time.duration_ms, seed=scenario.seed,
        cell_of_dso=np.array([cells[name] for name in table.dso_names]),
        settings=DerSettings(storage=storage, behaviour=Behaviour(battery_kwh=scenario.der.ev.battery_kwh)),
    )


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
