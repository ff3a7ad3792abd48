import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from sims.core.errors import ScenarioError
from sims.der.fleet import DeviceTable
from sims.der.sessions import NEVER_MS, Behaviour, drawn, read, zoned

H = 3_600_000
START = dt.datetime(2016, 7, 18, tzinfo=ZoneInfo("Europe/Berlin"))


def clusters(vehicles=(100, 200), feeders=("f0", "f1"), **more):
    n = len(vehicles)
    return DeviceTable.of(
        name=[f"ev{k}" for k in range(n)], kind=["ev"] * n, feeder=np.arange(n) % len(feeders), node=[1] * n,
        dso=[0] * n, p_rated_mw=np.array(vehicles) * 0.011, vehicles=vehicles,
        feeder_names=feeders, dso_names=("d",), **more,
    )


def test_statistics_of_ten_thousand_vehicles_within_two_percent():
    s = drawn(clusters((10_000,), ("f0",), v2g_share=0.3), seed=3, start=START, until_ms=7 * 24 * H)
    came = s.arrival_ms < NEVER_MS
    days = 7 + 3
    assert came.sum() / (10_000 * days) == pytest.approx(0.8, rel=0.02)
    arrival = (s.arrival_ms[came] - 6 * H) % (24 * H) / H + 6
    assert arrival.mean() == pytest.approx(18.0, rel=0.02)
    assert arrival.std() == pytest.approx(2.0, rel=0.02)
    departure = s.departure_ms[came] % (24 * H) / H
    assert departure.mean() == pytest.approx(7.5, rel=0.02)
    assert (1000 * s.energy_mwh[came]).mean() == pytest.approx(9.0, rel=0.02)
    assert s.v2g.mean() == pytest.approx(0.3, rel=0.05)


def test_stays_follow_each_other():
    s = drawn(clusters((2000,), ("f0",)), seed=3, start=START, until_ms=3 * 24 * H)
    assert (s.departure_ms > s.arrival_ms)[s.arrival_ms < NEVER_MS].all()
    assert (s.arrival_ms[1:] >= s.departure_ms[:-1]).all()


def test_a_feeder_draws_for_itself_and_a_longer_run_begins_alike():
    both = drawn(clusters(), seed=3, start=START, until_ms=2 * 24 * H)
    alone = drawn(clusters((100,), ("f0",)), seed=3, start=START, until_ms=2 * 24 * H)
    assert (both.arrival_ms[:, both.cluster == 0] == alone.arrival_ms).all()
    longer = drawn(clusters(), seed=3, start=START, until_ms=4 * 24 * H)
    first = np.where(both.arrival_ms < 24 * H, both.arrival_ms, 0)
    assert (np.where(longer.arrival_ms < 24 * H, longer.arrival_ms, 0)[: len(first) - 2] == first[:-2]).all()
    other = drawn(clusters(), seed=4, start=START, until_ms=2 * 24 * H)
    assert not np.array_equal(other.energy_mwh, both.energy_mwh)


def test_arrivals_keep_wall_clock_time_when_clocks_change():
    start = dt.datetime(2016, 10, 29, tzinfo=ZoneInfo("Europe/Berlin"))
    fixed = Behaviour(arrival_sd_h=0.0, departure_sd_h=0.0, daily_share=1.0)
    s = drawn(clusters((1,), ("f0",)), seed=1, start=start, until_ms=3 * 24 * H, behaviour=fixed)
    assert (s.arrival_ms[:4, 0] / H).tolist() == [-6.0, 18.0, 43.0, 67.0]


def test_zoned_keeps_the_instant():
    bare = dt.datetime.fromisoformat("2016-10-29T00:00+02:00")
    assert zoned(bare) == bare
    assert zoned(bare).tzinfo.key == "Europe/Berlin"


HEADER = "device,vehicle,arrival,departure,energy_kwh,v2g\n"


def test_sessions_from_csv(tmp_path):
    file = tmp_path / "s.csv"
    file.write_text(
        HEADER + "ev1,a,2016-07-18T18:00,2016-07-19T07:00,10,1\n"
        "ev0,b,2016-07-18T17:00+02:00,2016-07-18T19:00+02:00,5,0\n"
        "ev1,a,2016-07-19T18:00,2016-07-20T07:00,12,1\n", encoding="utf-8",
    )
    s = read(file, clusters(), start=START)
    assert s.cluster.tolist() == [0, 1]
    assert (s.arrival_ms[:, 1] / H)[:2].tolist() == [18.0, 42.0]
    assert s.arrival_ms[1, 0] == NEVER_MS
    assert s.energy_mwh[0].tolist() == pytest.approx([0.005, 0.010])
    assert s.v2g.tolist() == [False, True]


def test_every_bad_line_is_listed(tmp_path):
    file = tmp_path / "s.csv"
    file.write_text(
        HEADER + "ev7,a,2016-07-18T18:00,2016-07-19T07:00,10,1\nev0,a,tomorrow,2016-07-19T07:00,10,1\n"
        "ev0,a,2016-07-19T18:00,2016-07-19T07:00,10,1\nev1,c,2016-07-18T18:00,2016-07-19T07:00,10,0\n"
        "ev1,c,2016-07-19T06:00,2016-07-19T08:00,10,0\n", encoding="utf-8",
    )
    with pytest.raises(ScenarioError) as caught:
        read(file, clusters(), start=START)
    text = str(caught.value)
    for expected in ("s.csv:2 device: no EV device 'ev7'", "s.csv:3", "s.csv:4", "s.csv:6 arrival", "line 5"):
        assert expected in text
    file.write_text("device,vehicle\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"s.csv:1: columns missing: arrival"):
        read(file, clusters(), start=START)
