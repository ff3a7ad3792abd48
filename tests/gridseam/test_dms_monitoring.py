"""What an operator watches a grid with, on the command line: power flow, loads, forecasts, places, volt/VAr, runs."""

import json
from itertools import pairwise

import numpy as np
import pandapower as pp
import pytest

from results.runfile import Run


def told(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def bare(tmp_path):
    """Four substations in a row: no switch, no tie, no position."""
    net = pp.create_empty_network(name="bare")
    buses = [pp.create_bus(net, 20.0) for _ in range(5)]
    pp.create_ext_grid(net, buses[0])
    for a, b in pairwise(buses):
        pp.create_line(net, a, b, 1.0, "NA2XS2Y 1x185 RM/25 12/20 kV")
        pp.create_load(net, b, 0.5, 0.1)
    pp.to_json(net, str(tmp_path / "bare.json"))
    return net


def test_power_flow_on_request_is_the_published_one(gridseam):
    found = told(gridseam("dms", "power-flow", "--json"))
    assert found["losses_mw"] == pytest.approx(0.202677, abs=1e-6)
    assert found["v_min_pu"] == pytest.approx(0.91309, abs=1e-5)
    switched = told(gridseam("dms", "power-flow", "--close", "line:34", "--open", "line:6", "--json"))
    assert switched["losses_mw"] == pytest.approx(0.156529, abs=1e-6)


def test_power_flow_follows_a_day_on_period_and_on_change(gridseam):
    found = told(gridseam("dms", "power-flow", "--series", "mv_comm", "--hours", "12", "--period-min", "120",
                          "--change-mw", "0.02", "--json"))
    causes = [row["cause"] for row in found["rows"]]
    assert (found["steps"], found["solved"]) == (49, len(causes))
    assert set(causes) == {"period", "change"}
    times = np.array([row["time_h"] for row in found["rows"]])
    assert np.diff(times).max() <= 2.0
    still = told(gridseam("dms", "power-flow", "--series", "mv_comm", "--hours", "12", "--period-min", "120",
                          "--change-mw", "9", "--json"))
    assert [row["cause"] for row in still["rows"]] == ["period"] * 7


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("bus:1,-10", "few.csv:3: has 2 values instead of 3"),
        ("bus:1,-10,x", "few.csv:3: could not convert"),
        ("bus:1,nan,0", "few.csv:3: p_mw and q_mvar are finite numbers"),
        ("bus:99,-1,0", "few.csv:3: grid cigre_mv: there is no bus:99"),
    ],
)
def test_a_wrong_line_of_meters_is_named_with_its_number(gridseam, tmp_path, line, says):
    (tmp_path / "few.csv").write_text(f"bus,p_mw,q_mvar\nbus:3,-1,-0.2\n{line}\n")
    done = gridseam("dms", "load-estimate", "--grid", "cigre_mv", "--metered", "few.csv")
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split()), done.stderr


def test_loads_add_up_to_what_the_busbars_give(gridseam, tmp_path):
    (tmp_path / "few.csv").write_text("bus,p_mw,q_mvar\nbus:1,-10,-2\nbus:14,-0.5,-0.1\n")
    found = told(gridseam("dms", "load-estimate", "--grid", "cigre_mv", "--drawn", "20,5", "--drawn", "15,4",
                          "--metered", "few.csv", "--json"))
    rows = {row["bus"].split()[0]: row for row in found["rows"]}
    assert (rows["1"]["p_mw"], rows["1"]["source"], rows["3"]["source"]) == (-10.0, "meter", "allocation")
    assert -sum(row["p_mw"] for row in found["rows"]) == pytest.approx(35.0 - found["losses_mw"], abs=1e-6)
    # Below the second busbar 13 and 12 draw in proportion of .034 to 20.01.
    assert rows["12"]["p_mw"] / rows["13"]["p_mw"] == pytest.approx(20.01 / 0.034)


def test_forecast_tells_its_skill_and_draws_it(gridseam, tmp_path):
    found = told(gridseam("dms", "forecast", "--series", "mv_semiurb", "--json", "--picture", "f.svg"))
    skills = {row["forecast"]: row["skill_over_persistence"] for row in found["rows"]}
    assert skills["persistence"] == 0.0
    assert skills["regression"] > 0.05
    assert (tmp_path / "f.svg").exists()


def test_places_are_ranked_by_impedance_and_written_as_geojson(gridseam, tmp_path):
    found = told(gridseam("dms", "gis", "--grid", "case33bw", "--at", "bus:17", "--most", "4", "--json"))
    assert [row["bus"] for row in found["rows"]] == ["17", "16", "15", "14"]
    assert [row["way_km"] for row in found["rows"]] == [0.0, 1.0, 2.0, 3.0]
    assert found["rows"][0]["z_ohm"] > found["rows"][3]["z_ohm"] > 0
    told(gridseam("dms", "gis", "--at", "bus:80", "--geojson", "map.json", "--json"))
    drawn = json.loads((tmp_path / "map.json").read_text())
    assert {f["geometry"]["type"] for f in drawn["features"]} == {"Point", "LineString"}


def test_volt_var_moves_taps_and_sources(gridseam):
    found = told(gridseam("dms", "volt-var", "--grid", "mv_oberrhein", "--json"))
    assert [row["unit"] for row in found["rows"]] == ["steps up"] * 2
    assert found["outside_after"] == 0
    assert found["v_min_after_pu"] > found["v_min_before_pu"]
    weak = told(gridseam("dms", "volt-var", "--grid", "case33bw", "--source", "bus:17=1", "--v-min", "0.93", "--json"))
    assert weak["outside_after"] < weak["outside_before"]
    assert weak["rows"] == [{"what": "source at bus 17", "from": 0.0, "to": 1.0, "unit": "Mvar"}]


def test_a_grid_without_switches_ties_or_positions_says_what_cannot_run_and_why(gridseam, bare):
    grid = ("--grid", "./bare.json")
    for arguments, says in (
        (("reconfigure",), "has no tie to another infeed"),
        (("gis", "--at", "bus:2", "--geojson", "x.json"), "5 of 5 nodes have no position"),
        (("volt-var",), "has neither tap changers nor sources of reactive power"),
    ):
        done = gridseam("dms", arguments[0], *grid, *arguments[1:])
        assert done.returncode == 2
        assert says in " ".join(done.stderr.split())
    faulted = told(gridseam("dms", "flisr", *grid, "--fault", "line:2", "--json"))
    assert "has no open line to close" in faulted["why_dark"]
    assert (faulted["dark_after_trip_mw"], faulted["dark_mw"]) == pytest.approx((2.0, 1.0))
    assert told(gridseam("dms", "short-circuit", *grid, "--json"))["breakers"].startswith("the grid has no switches")
    # A ring closed: indicators, trees and outages have no meaning there.
    pp.create_line(bare, 0, 4, 1.0, "NA2XS2Y 1x185 RM/25 12/20 kV")
    pp.to_json(bare, "bare.json")
    for command in (("flisr", "--fault", "line:2"), ("reconfigure",), ("contingency",), ("hosting-capacity",)):
        done = gridseam("dms", command[0], *grid, *command[1:])
        assert done.returncode == 2
        assert "is meshed as switched" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["forecast", "--series", "mv_rurl"], "(did you mean mv_rural"),
        (["forecast", "--profiles", "sumer"], "there is no week 'sumer' (did you mean summer?)"),
        (["forecast", "--profiles", "./none.csv"], "none.csv: cannot be read"),
        (["power-flow", "--series", "mv_comm", "--hours", "500"], "cover 168 h, not 500 h"),
        (["power-flow", "--close", "line:999"], "there is no line:999"),
        (["load-estimate", "--drawn", "5"], "'5' is no power of a busbar"),
        (["load-estimate", "--drawn", "5,1", "--drawn", "5,1"], "has 1 busbars, not 2"),
        (["load-estimate", "--metered", "none.csv"], "none.csv: cannot be read"),
        (["gis", "--at", "17"], "(did you mean bus:17?)"),
        (["gis", "--at", "bus:80", "--geojson", "nowhere/x.json"], "nowhere/x.json: cannot be written"),
        (["volt-var", "--source", "bus:80"], "'bus:80' is no source"),
        (["volt-var", "--v-min", "1.1"], "is not below the highest"),
        (["storage", "none.h5"], "none.h5"),
        (["v2g", "none.h5"], "none.h5"),
        (["supervise", "none.h5"], "none.h5"),
    ],
)
def test_what_is_mistyped_is_named_with_exit_code_2(gridseam, arguments, says):
    done = gridseam("dms", *arguments)
    assert done.returncode == 2, done.stdout
    assert says in " ".join(done.stderr.split()), done.stderr


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A quarter of an hour of the small scenario under the two architectures that supervise anything."""
    from pathlib import Path

    from scenarios.load import load
    from scenarios.run import run_pairing

    small = Path(__file__).parents[1] / "scenarios" / "data" / "small.yaml"
    out = tmp_path_factory.mktemp("ran")
    scenario = load(small, None, {"time.duration": "16 min", "disturbances": []})
    return {who: str(run_pairing(scenario, who, 4, out)) for who in ("centralized", "distributed")}


def test_a_run_tells_of_storage_vehicles_and_agents(gridseam, ran):
    stored = told(gridseam("dms", "storage", ran["centralized"], "--json"))
    with Run(ran["centralized"]) as run:
        held, names = run.values("feeder", "storage_soc_mwh")[-1], run.labels("feeder")
    assert stored["stored_mwh"] == pytest.approx(held.sum())
    assert {row["feeder"] for row in stored["rows"]} <= set(names)
    vehicles = told(gridseam("dms", "v2g", ran["centralized"], "--json"))
    assert 0 < vehicles["participating_share"] <= 1
    assert all(row["both_ways_mw"] <= row["up_mw"] + 1e-9 for row in vehicles["rows"])
    agents = told(gridseam("dms", "supervise", ran["distributed"], "--json"))
    assert agents["agents"] == len(agents["rows"]) > 1
    assert all(0.8 < row["v_low_pu"] <= row["v_high_pu"] < 1.2 for row in agents["rows"] if row["v_low_pu"])
    refused = gridseam("dms", "supervise", ran["centralized"])
    assert refused.returncode == 2
    assert "only distributed control has agents" in refused.stderr
    outside = gridseam("dms", "storage", ran["centralized"], "--at", "9")
    assert outside.returncode == 2
    assert "not 9 h" in outside.stderr
