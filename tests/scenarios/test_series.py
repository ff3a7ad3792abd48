"""Own series, weather, listed devices and connection rules, from a scenario file to the devices of a run."""

import datetime as dt
from importlib.resources import files

import numpy as np
import pytest

from controllers.responsibility import Responsibility
from scenarios.devices import der_simulator, device_table, drivers
from scenarios.load import load
from scenarios.places import places
from scenarios.series import profiles
from sims.core.errors import ScenarioError

pytest.importorskip("pvlib")
pytest.importorskip("windpowerlib")
pytest.importorskip("demandlib")

OWN = """\
weather: {file: ./weather.csv, latitude: 51.3, longitude: 9.5, altitude_m: 160}
series:
  south: {kind: pv, tilt_deg: 35}
  west: {kind: pv, azimuth_deg: 270}
  e115: {kind: wind, turbine: E-115/3000, hub_height_m: 135}
  homes: {kind: standard_load, shape: h0}
  heat: {kind: heat, source: air}
der:
  pv: {profiles: [south, west], count: 6, unit_kw: 400}
  wind: {profiles: [e115]}
  heatpump: {mw_per_mw_load: 0.2, profiles: [heat]}
  flexible: {mw_per_mw_load: 0.1}
  chp: {mw_per_mw_load: 0.1}
  storage: {schedule: price, soc_min: 0.1}
  rules: ieee1547_b
devices:
  - {name: park, kind: wind, feeder: north.f01, bus: 5, p_mw: 6.0, profile: e115}
  - {name: bank, kind: capacitor, feeder: north.f01, bus: 6, s_mva: 1.2, steps: 4}
  - {name: svc1, kind: svc, feeder: north.f02, bus: 7, s_mva: 2.0}
  - {name: shop, kind: load, feeder: north.f02, bus: 8, energy_mwh_a: 800, profile: homes}
"""


@pytest.fixture
def scene(small, write, tmp_path):
    """Write the small scenario with own series, lines replaced as asked; return its path."""
    start = dt.datetime.fromisoformat("2016-07-19T00:00:00+02:00")
    lines = ["time,ghi_w_m2,temp_air_c,wind_speed_m_s"]
    for hour in range(72):
        light = max(0.0, 800 * np.sin((hour % 24 - 5) / 16 * np.pi)) if 5 <= hour % 24 <= 21 else 0.0
        lines.append(f"{(start + dt.timedelta(hours=hour)).isoformat()},{light:.1f},{10 + hour % 24 / 3:.1f},6")
    (tmp_path / "weather.csv").write_text("\n".join(lines) + "\n")

    def put(old="", new=""):
        text = small + OWN
        assert old in text
        return write(text.replace(old, new) if old else text)

    return put


def test_a_profile_file_of_ones_own_beside_the_scenario(small, write, tmp_path):
    shipped = (files("scenarios") / "data" / "profiles" / "summer_2016-07-18.csv").read_text().splitlines()
    own = [shipped[0] + ",mine_p", *(f"{line},{n}" for n, line in enumerate(shipped[1:]))]
    (tmp_path / "own.csv").write_text("\n".join(own) + "\n")
    series = profiles(load(write(small + "profiles: ./own.csv\n")))
    first = next(n for n, line in enumerate(shipped[1:]) if line.startswith("2016-07-20T00:00"))
    assert series.at(3_600_000)[series.column("mine_p")] == first + 4


def test_series_stand_beside_those_of_the_file(scene):
    scenario = load(scene())
    series = profiles(scenario)
    assert {"south_p", "west_p", "e115_p", "homes_p", "heat_p", "heat_cop", "H0-A_p"} <= set(series.names)
    noon, midnight = series.at(13 * 3_600_000), series.at(0)
    south = series.column("south_p")
    assert noon[south] > 0.5
    assert midnight[south] == 0.0


def test_by_share_by_count_and_by_list(scene):
    scenario = load(scene())
    spots, series = places(scenario), profiles(scenario)
    table = device_table(scenario, spots, series)
    for number in range(len(spots.feeders)):
        own = (table.kind == "pv") & (table.feeder == number)
        assert own.sum() == 6
        assert table.p_rated_mw[own].sum() == pytest.approx(6 * 0.4)
    row = {name: int(np.flatnonzero(table.name == name)[0]) for name in ("park", "bank", "svc1", "shop")}
    grid = spots.feeders[0].plan.grid
    assert table.node[row["park"]] == grid.node(5)
    assert (table.steps[row["bank"]], table.s_rated_mva[row["svc1"]]) == (4, 2.0)
    hours = 800 / table.p_rated_mw[row["shop"]]
    assert 2000 < hours < 5000, "full-load hours of households"
    assert set(table.kind.tolist()) >= {"heatpump", "flexible", "chp", "svc", "capacitor"}
    load_mw = table.p_rated_mw[(table.kind == "load") & (table.feeder == 0)].sum()
    assert table.p_rated_mw[(table.kind == "flexible") & (table.feeder == 0)].sum() == pytest.approx(0.1 * load_mw)


def test_a_day_of_all_devices_with_their_laws(scene):
    scenario = load(scene())
    spots, series = places(scenario), profiles(scenario)
    table = device_table(scenario, spots, series)
    sim = der_simulator(
        scenario, table, series, Responsibility("local", 2), {"north": 0, "south": 1}, step_ms=900_000,
        stays=drivers(scenario, table, series),
    )
    assert {bound.law.name for bound in sim.laws.laws} >= {"trips", "svc", "qu", "pu"}
    kind, of = table.kind, {}
    for now in range(0, 86_400_000, 900_000):
        out = sim.step(now, {}).outputs
        assert np.isfinite(out["p_mw"]).all()
        assert np.isfinite(out["q_mvar"]).all()
        for name in ("storage", "heatpump", "flexible", "pv", "capacitor"):
            of.setdefault(name, []).append(float(out["p_mw"][kind == name].sum()))
    assert min(of["storage"]) < 0 < max(of["storage"]), "trades by the tariff"
    assert max(of["heatpump"]) <= 0 >= max(of["flexible"])
    assert max(of["pv"]) > 0 == max(of["capacitor"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("profiles: [south, west]", "profiles: [sooth]", ":42 der.pv.profiles.0: 'sooth' is not a series"),
        ("weather: {file: ./weather.csv, latitude: 51.3, longitude: 9.5, altitude_m: 160}\n", "",
         "is made from weather, but the scenario has no 'weather'"),
        ("./weather.csv", "./wether.csv", ":34 weather.file: there is no file './wether.csv'"),
        ("latitude: 51.3", "latitude: 513.0", ":34 weather.latitude: 513.0 must be <= 90"),
        ("shape: h0", "shape: h9", "series.homes.shape: 'h9' is not one of h0 | h0_dyn"),
        ("heat: {kind: heat, source: air}", "heat: {kind: heat, design_c: 20.0}",
         "design_c 20 is not below limit_c 15"),
        ("feeder: north.f01, bus: 5", "feeder: north.f09, bus: 5", "devices.0.feeder: 'north.f09' is not a feeder"),
        ("s_mva: 1.2, steps: 4", "steps: 4", "devices.1: a capacitor needs s_mva"),
        ("name: svc1", "name: bank", "devices.2.name: 'bank' is the name of two devices"),
        ("energy_mwh_a: 800, profile: homes", "energy_mwh_a: 800, profile: H0-A",
         "'H0-A' is no standard_load: give p_mw"),
        ("rules: ieee1547_b", "rules: ieee1574_b", "der.rules: no connection rules 'ieee1574_b' (did you mean"),
        ("soc_min: 0.1", "soc_min: 0.95", ":47 der.storage.soc_min: soc_min 0.95 is not below soc_max 0.95"),
        ("soc_min: 0.1", "soc_max: 0.05", "der.storage.soc_max: soc_min 0.05 is not below soc_max 0.05"),
        ("schedule: price", "efficiency: 0", "der.storage.efficiency: 0 must be > 0"),
        ("schedule: price", "efficiency: 1.2", "der.storage.efficiency: 1.2 must be <= 1"),
        ("chp: {mw_per_mw_load: 0.1}", "chp: {mw_per_mw_load: 0.1, profiles: [BM99]}",
         "der.chp.profiles.0: 'BM99' is not a series"),
        ("rules: ieee1547_b", "ev: {sessions: ./gone.csv}", "der.ev.sessions: there is no file './gone.csv'"),
    ],
)  # fmt: skip
def test_what_is_refused_says_where(scene, old, new, says):
    with pytest.raises(ScenarioError) as err:
        load(scene(old, new))
    assert says in str(err.value)


def test_a_turbine_or_a_bus_that_is_not_there(scene):
    with pytest.raises(ScenarioError, match="turbine 'E-115/9' has no power curve"):
        profiles(load(scene("E-115/3000", "E-115/9")))
    scenario = load(scene("bus: 5", "bus: 999"))
    with pytest.raises(ScenarioError, match=r"device 'park': north\.f01 has no bus 999"):
        device_table(scenario, places(scenario), profiles(scenario))


def test_weather_shorter_than_the_run_names_file_and_line(scene, tmp_path):
    path = scene()
    lines = (tmp_path / "weather.csv").read_text().splitlines()
    (tmp_path / "weather.csv").write_text("\n".join(lines[:31]) + "\n")
    with pytest.raises(ScenarioError, match=r"winter.yaml:34 weather.file: './weather.csv' lasts from"):
        load(path)


def test_sessions_of_vehicles_from_a_file(scene, tmp_path):
    scenario = load(scene())
    table = device_table(scenario, places(scenario), profiles(scenario))
    cluster = str(table.name[np.flatnonzero(table.kind == "ev")[0]])
    (tmp_path / "stays.csv").write_text(
        "device,vehicle,arrival,departure,energy_kwh,v2g\n"
        f"{cluster},a,2016-07-20T18:00:00,2016-07-21T07:00:00,12,1\n"
    )
    scenario = load(scene("rules: ieee1547_b", "ev: {sessions: ./stays.csv}"))
    stays = drivers(scenario, table, profiles(scenario))
    assert stays.energy_mwh[0].tolist() == [0.012]
    assert stays.arrival_ms[0].tolist() == [18 * 3_600_000]
    assert stays.v2g.tolist() == [True]
