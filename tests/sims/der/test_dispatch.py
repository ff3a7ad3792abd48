import copy
import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from sims.der.dispatch import Dispatch
from sims.der.ev import EvFleet, EvSettings
from sims.der.fleet import DeviceFleet, DeviceTable
from sims.der.heatpump import HeatPumps
from sims.der.law import Terminal, View
from sims.der.sessions import NEVER_MS, Sessions
from sims.der.setpoints import QUANTITIES
from sims.der.storage import Storage, StorageSettings

H = 3_600_000
LOAD, PV, WIND, CHP, STORE, EV, PUMP = range(7)


def dispatch(v2g=True):
    table = DeviceTable.of(
        name=list("lpwcseh"), kind=["load", "pv", "wind", "chp", "storage", "ev", "heatpump"], feeder=[0] * 7,
        node=[1, 1, 2, 3, 1, 4, 5], dso=[0] * 7, p_rated_mw=[1.0, 2.0, 3.0, 0.5, 1.0, 0.02, 0.4],
        s_rated_mva=[2.0, 1.5, 3.0, 0.6, 1.1, 0.02, 0.5], profile=["L", "S", "W", "S", "", "", "L"],
        e_rated_mwh=[0, 0, 0, 0, 4.0, 0, 0.4], soc_start=[0.5] * 6 + [0.75], vehicles=[0] * 5 + [2, 0],
        feeder_names=("f",), dso_names=("d",),
    )
    fleet = DeviceFleet(table, ("L_p", "S_p", "W_p"))
    stays = Sessions(
        np.zeros(2, dtype=np.int64), np.array([[0, 0], [NEVER_MS] * 2]), np.array([[10 * H] * 2, [NEVER_MS] * 2]),
        np.array([[0.02, 0.02], [0.0, 0.0]]), np.full(2, v2g), np.full(2, 0.06),
    )
    start = dt.datetime(2016, 7, 18, tzinfo=ZoneInfo("Europe/Berlin"))
    return Dispatch(
        fleet, Storage(table.p_rated_mw[[STORE]], table.e_rated_mwh[[STORE]], table.soc_start[[STORE]],
                       fleet.behind[[STORE]], StorageSettings(standby_share=0.0)),
        EvFleet(stays, np.array([0.01]), np.array(["uncontrolled"]), start, EvSettings()),
        HeatPumps(table.p_rated_mw[[PUMP]], table.e_rated_mwh[[PUMP]], table.soc_start[[PUMP]]), 1.0,
    )


def planned(d, now_ms=0, **held):
    full = {name: np.full(7, np.nan) for name in QUANTITIES}
    for name, (device, value) in held.items():
        full[name][device] = value
    d.plan(now_ms, H, H, np.array([0.5, 0.8, 0.25]), full, {name: name in held for name in QUANTITIES})
    return d.p_mw


def test_every_kind_by_itself():
    p = planned(dispatch())
    assert p[[LOAD, PV, WIND, CHP]].tolist() == pytest.approx([-0.5, 1.5, 0.75, 0.4])  # the inverter clips 1.6
    assert p[STORE] == pytest.approx(-1.0)  # the surplus at its point, 1.0
    assert p[EV] == pytest.approx(-0.02)
    assert p[PUMP] == pytest.approx(-0.2)


def test_caps_bound_magnitudes_and_storage_takes_what_is_left():
    p = planned(dispatch(), p_max_mw=([PV, EV, STORE], [0.9, 0.005, 0.3]))
    assert p[[PV, EV, STORE]].tolist() == pytest.approx([0.9, -0.005, -0.3])


def test_a_curtailed_unit_shows_what_it_could_give():
    d = dispatch()
    planned(d, p_set_mw=([WIND], [0.25]))
    assert (d.p_mw[WIND], d.p_avail_mw[WIND], d.p_up_mw[WIND]) == pytest.approx((0.25, 0.75, 0.5))
    planned(d, p_set_mw=([WIND], [9.0]))
    assert d.p_mw[WIND] == pytest.approx(0.75)


def test_a_plant_on_biogas_follows_its_orders_up_to_what_it_can_give_at_its_ramp():
    d = dispatch()
    assert planned(d, p_set_mw=(CHP, 0.1))[CHP] == pytest.approx(0.1)
    assert d.p_up_mw[CHP] == pytest.approx(0.3)  # 0.4 are available
    assert planned(d, H, p_set_mw=(CHP, 0.5))[CHP] == pytest.approx(0.4)
    assert planned(d, 2 * H, p_set_mw=(CHP, -0.2))[CHP] == pytest.approx(0.0)
    d._ramp = 0.1 / 3600 * d.fleet.table.p_rated_mw  # a tenth of its rating in an hour
    assert planned(d, 3 * H, p_set_mw=(CHP, 0.4))[CHP] == pytest.approx(0.05)


def test_vehicles_feed_back_only_if_they_can():
    assert planned(dispatch(), p_set_mw=([EV], [0.015]))[EV] == pytest.approx(0.015)
    assert planned(dispatch(), p_set_mw=([EV], [9.0]))[EV] == pytest.approx(0.02)
    assert planned(dispatch(v2g=False), p_set_mw=([EV], [0.015]))[EV] == 0.0


def test_no_order_keeps_a_vehicle_from_what_it_must_draw():
    # Two vehicles want 20 kWh each by hour 10, at 10 kW and eta 0.92: 21.74 kWh drawn, so the last 2.17 h are
    # needed; in the hour from 7 to 8 the last two can give 20 kWh, and 1.74 kWh cannot wait.
    for held in ({"p_set_mw": ([EV], [0.015])}, {"p_set_mw": ([EV], [0.0])}, {"p_max_mw": ([EV], [0.0])}):
        d = dispatch(v2g=False)
        assert planned(d, 6 * H, **held)[EV] == 0.0
        assert planned(d, 7 * H, **held)[EV] == pytest.approx(-2 * (0.02 / 0.92 - 0.02))
        for hour in (7, 8, 9):
            planned(d, hour * H, **held)
            d.book(d.p_mw, H)
        planned(d, 10 * H, **held)
        assert d.ev.unmet_mwh.sum() == pytest.approx(0.0, abs=1e-12)
        assert d.ev.served_mwh.sum() == pytest.approx(0.04)


def test_a_capped_pump_uses_its_buffer_first():
    d = dispatch()
    assert planned(d, p_max_mw=([PUMP], [0.0]))[PUMP] == pytest.approx(0.0)
    d.book(d.p_mw, H)
    assert d.heatpumps.e_mwh[0] == pytest.approx(0.1)
    assert planned(d, H, p_max_mw=([PUMP], [0.0]))[PUMP] == pytest.approx(-0.1)


def test_room_to_move_counts_energy():
    d = dispatch()
    planned(d)
    assert d.p_up_mw[STORE] == pytest.approx(2.0)
    assert d.p_dn_mw[STORE] == pytest.approx(0.0)
    assert d.p_dn_mw[WIND] == pytest.approx(0.75)
    assert d.p_up_mw[LOAD] == d.p_dn_mw[LOAD] == 0.0


def test_terminals_can_be_copied():
    columns = {name: np.arange(3.0) for name in Terminal.__dataclass_fields__}
    view = copy.deepcopy(View(Terminal(**columns), np.array([1, 2])))
    assert view.v_pu.tolist() == [1.0, 2.0]
