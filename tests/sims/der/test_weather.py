import datetime as dt

import numpy as np
import pytest

from sims.core.errors import ScenarioError
from sims.der import weather
from sims.der.weather import PvPlant, Site, Weather, pv_share, wind_share

SITE = Site(51.3, 9.5, 160.0)
START = dt.datetime.fromisoformat("2016-06-21T00:00:00+02:00")
AT_MS = np.arange(0, 24 * 3_600_000, 900_000)


def file(tmp_path, row, header="time,ghi_w_m2,temp_air_c,wind_speed_m_s", hours=25):
    lines = [header]
    for hour in range(hours):
        stamp = (START + dt.timedelta(hours=hour)).isoformat()
        lines.append(f"{stamp},{row(hour)}")
    path = tmp_path / "weather.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def read(path, until_ms=24 * 3_600_000):
    return Weather.read(path, SITE, start=START, at_ms=AT_MS, until_ms=until_ms)


def sunny(hour):
    return f"{max(0.0, 900 * np.sin((hour - 5) / 16.5 * np.pi)) if 5 <= hour <= 21 else 0.0:.1f},20,3"


def test_straight_lines_between_the_rows(tmp_path):
    found = read(file(tmp_path, lambda hour: f"{100 * hour % 1500},{hour},3"))
    assert found.columns["temp_air_c"][:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


def test_a_sunny_day_through_pvlib(tmp_path):
    pytest.importorskip("pvlib")
    here = read(file(tmp_path, sunny))
    south = pv_share(here, PvPlant(tilt_deg=30))
    east, west = (pv_share(here, PvPlant(tilt_deg=30, azimuth_deg=a)) for a in (90, 270))
    assert south[:16].max() == 0.0
    assert 0.65 < south.max() < 0.9
    assert abs(AT_MS[south.argmax()] / 3.6e6 - 13.4) < 1.0, "noon by the sun is at 13:24 in summer time"
    assert east.argmax() < south.argmax() < west.argmax()
    assert pv_share(here, PvPlant(losses=0.55)) == pytest.approx(0.5 * south)


def test_flat_modules_see_the_horizontal_irradiance(tmp_path):
    """Without tilt the plane has the measured light: power by hand from it, the cell at u0 = 25, u1 = 6.84."""
    pytest.importorskip("pvlib")
    here = read(file(tmp_path, sunny))
    ghi = here.columns["ghi_w_m2"]
    cell = 20 + ghi / (25 + 6.84 * 3)
    by_hand = ghi / 1000 * (1 - 0.0037 * (cell - 25)) * 0.9
    noon = np.abs(AT_MS / 3.6e6 - 13.4) < 3
    assert pv_share(here, PvPlant(tilt_deg=0))[noon] == pytest.approx(by_hand[noon], rel=0.01)


def test_wind_through_windpowerlib(tmp_path):
    pytest.importorskip("windpowerlib")
    calm, storm = (
        wind_share(read(file(tmp_path, lambda hour, v=v: f"0,15,{v}")), "E-115/3000", 135.0) for v in (0.3, 12.0)
    )
    assert calm.max() == 0.0
    assert storm == pytest.approx(1.0, abs=1e-6)
    half = wind_share(read(file(tmp_path, lambda hour: "0,15,5.0")), "E-115/3000", 135.0)
    at_hub = 5.0 * np.log(135 / 0.15) / np.log(10 / 0.15)  # 8.1 m/s
    assert 7.9 < at_hub < 8.3
    assert 0.45 < half[0] < 0.70


def test_a_turbine_nobody_knows(tmp_path):
    pytest.importorskip("windpowerlib")
    with pytest.raises(ScenarioError, match=r"did you mean E-115/3000"):
        wind_share(read(file(tmp_path, sunny)), "E-115/30000", 135.0)


def test_a_missing_library_says_how_to_get_it():
    with pytest.raises(ScenarioError, match=r"'nosuchlib' is not installed: pip install 'gridseam\[weather\]'"):
        weather.library("nosuchlib.part", "weather")


@pytest.mark.parametrize(
    ("row", "header", "says"),
    [
        (lambda h: "1,2", "time,ghi_w_m2,temp_air_c", "weather.csv:1 wind_speed_m_s: columns missing"),
        (lambda h: "1,2,3,4", "time,ghi_w_m2,temp_air_c,wind_speed_m_s,gihi",
         "weather.csv:1 gihi: is no column of weather"),
        (lambda h: f"{-5 if h == 3 else 0},2,3", "time,ghi_w_m2,temp_air_c,wind_speed_m_s",
         "weather.csv:5 ghi_w_m2: -5 lies outside 0 to 1600"),
        (lambda h: f"0,{293 if h == 0 else 20},3", "time,ghi_w_m2,temp_air_c,wind_speed_m_s",
         "weather.csv:2 temp_air_c: 293 lies outside"),
    ],
)
def test_what_no_weather_has_is_refused_with_the_line(tmp_path, row, header, says):
    with pytest.raises(ScenarioError) as err:
        read(file(tmp_path, row, header))
    assert says in str(err.value)


def test_weather_shorter_than_the_run(tmp_path):
    with pytest.raises(ScenarioError, match=r"weather\.csv:26 time: .* needs 0 h to 48\.00 h"):
        read(file(tmp_path, sunny), until_ms=48 * 3_600_000)
