import numpy as np
import pytest

from sims.comms.sunspec import BASE, LENGTH, PLACE, DerMap

ENA, PCT = PLACE[704, "WMaxLimPctEna"], PLACE[704, "WMaxLimPct"]


@pytest.fixture
def maps():
    return DerMap(
        ["pv.1", "battery.2"], ["pv", "storage"], np.array([0.5, 0.1]), np.array([0.55, 0.1]), np.array([20.0, 0.4])
    )


def signed(word):
    return word - 65_536 if word > 32_767 else word


def test_the_models_have_the_lengths_of_the_standard_and_follow_each_other(maps):
    row = maps.registers[0].tolist()
    assert bytes([row[0] >> 8, row[0] & 255, row[1] >> 8, row[1] & 255]) == b"SunS"
    at, found = 2, {}
    while row[at] != 0xFFFF:
        found[row[at]] = row[at + 1]
        at += 2 + row[at + 1]
    assert found == {1: 66, 103: 50, 701: 153, 702: 50, 703: 17, 704: 65}
    assert (at + 2, BASE) == (LENGTH, 40_000)


def test_places_known_from_the_standard(maps):
    """Offsets from the head of a model as device manuals print them."""
    head = {model: min(at for (m, _), at in PLACE.items() if m == model) - 2 for model in (103, 701, 704)}
    assert PLACE[103, "W"] - head[103] == 14
    assert PLACE[103, "Hz"] - head[103] == 16
    assert PLACE[103, "St"] - head[103] == 38
    assert PLACE[701, "W"] - head[701] == 10
    assert PLACE[704, "WMaxLimPctEna"] - head[704] == 14
    assert PLACE[704, "WMaxLimPct"] - head[704] == 15


def test_who_it_is_stands_in_model_1(maps):
    at = PLACE[1, "SN"]
    text = maps.registers[1, at : at + 16].astype(">u2").tobytes().rstrip(b"\0")
    assert text == b"battery.2"


def test_measurements_have_the_value_that_their_scale_gives_back(maps):
    maps.update(
        np.array([0.25, -0.08]), np.array([-0.05, 0.01]), np.array([1.02, 0.95]), np.array([49.98, 49.98]),
        np.array([0.4, 0.0]),
    )  # fmt: skip
    for row, (p, q, v) in enumerate([(250_000, -50_000, 20_400), (-80_000, 10_000, 380)]):
        registers = maps.registers[row]
        for model, var in ((103, "VAr"), (701, "Var")):
            scale = 10.0 ** signed(registers[PLACE[model, "W_SF"]])
            assert signed(registers[PLACE[model, "W"]]) * scale == pytest.approx(p, abs=scale / 2)
            assert signed(registers[PLACE[model, var]]) * scale == pytest.approx(q, abs=scale / 2)
        volt = registers[PLACE[701, "LLV"]] * 10.0 ** signed(registers[PLACE[701, "V_SF"]])
        assert volt == pytest.approx(v, rel=1e-3)
        assert registers[PLACE[103, "Hz"]] == 4998
        assert registers[PLACE[701, "Hz"] + 1] == 49_980
    assert maps.registers[0, PLACE[103, "St"]] == 5  # 0.25 of 0.4 MW available: held back
    assert maps.registers[1, PLACE[103, "St"]] == 4


def test_a_device_without_supply_is_off(maps):
    none = np.full(2, np.nan)
    maps.update(none, none, none, np.full(2, 50.0), np.zeros(2))
    assert maps.registers[0, PLACE[103, "St"]] == 1
    assert maps.registers[0, PLACE[701, "ConnSt"]] == 1
    assert maps.registers[0, PLACE[701, "W"]] == 0


def wish(maps, row, point, *values):
    found = maps.written(row, PLACE[704, point], values)
    assert found is not None
    maps.registers[row] = found[1]
    return [(w.quantity, w.value, w.ttl_ms) for w in found[0]]


def test_a_limit_counts_once_it_is_enabled_and_ends_when_it_is_not(maps):
    assert wish(maps, 0, "WMaxLimPct", 600) == []
    assert wish(maps, 0, "WMaxLimPctEna", 1) == [("p_max_mw", pytest.approx(0.3), 0)]
    assert wish(maps, 0, "WMaxLimPct", 400) == [("p_max_mw", pytest.approx(0.2), 0)]
    assert wish(maps, 0, "WMaxLimPctEna", 0) == [("p_max_mw", np.inf, 0)]


def test_a_reversion_time_is_how_long_an_order_holds(maps):
    wish(maps, 0, "WMaxLimPctRvrtTms", 0, 900)
    assert wish(maps, 0, "WMaxLimPctEna", 1, 500) == [("p_max_mw", pytest.approx(0.25), 900_000)]


def test_set_points_in_watts_vars_and_percent(maps):
    wish(maps, 1, "WSetMod", 2)
    wish(maps, 1, "WSet", *divmod(-50_000 & 0xFFFF_FFFF, 65_536))
    assert wish(maps, 1, "WSetEna", 1) == [("p_set_mw", pytest.approx(-0.05), 0)]
    wish(maps, 1, "VarSetMod", 1)
    wish(maps, 1, "VarSetPct", -250 & 0xFFFF)
    assert wish(maps, 1, "VarSetEna", 1) == [("q_set_mvar", pytest.approx(-0.025), 0)]


@pytest.mark.parametrize("point", ["W_SF", "WRmp", "InjPF", "WSetRvrtRem"])
def test_what_is_read_only_or_not_offered(maps, point):
    assert maps.written(0, PLACE[702 if point == "W_SF" else 704, point], [1]) is None


def test_half_a_number_is_no_number(maps):
    assert maps.written(0, PLACE[704, "WSet"], [1]) is None
    assert maps.written(0, PLACE[704, "WSet"] + 1, [1]) is None


@pytest.mark.parametrize(
    ("point", "values", "text"),
    [("WMaxLimPctEna", [1, 1001], "0 to 1000"), ("WMaxLimPctEna", [2], "0 or 1"), ("WSetEna", [1, 3], "Mod is 1"),
     ("WSetEna", [1, 2], "never given")],
)  # fmt: skip
def test_values_that_no_device_can_follow(maps, point, values, text):
    with pytest.raises(ValueError, match=text):
        maps.written(0, PLACE[704, point], values)
