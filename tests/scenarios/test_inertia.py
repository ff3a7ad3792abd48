from types import SimpleNamespace

import numpy as np
import pytest

from controllers.local.inertia import SyntheticInertia
from scenarios.inertia import refuse_too_much
from scenarios.shipped import transmission_path
from sims.core.errors import ScenarioError
from sims.transmission.case import MachineCase


def world(k_in, inertia_gws=15.0):
    """One battery in cell 2, of a DSO that lies there."""
    case = MachineCase.load(transmission_path("ieee39_weak"))
    m = case.machines
    case = case.with_machines(m.scaled_inertia(inertia_gws * 1000 / m.stored_mws.sum()))
    ground = SimpleNamespace(
        case=case, cell_of_dso={"d": 1}, places=SimpleNamespace(dsos=("d",)), table=SimpleNamespace(dso=np.array([0])),
        scenario=SimpleNamespace(transmission=SimpleNamespace(frequency=SimpleNamespace(coupling_ms=20))))
    bound = SimpleNamespace(law=SyntheticInertia(np.array([k_in])), devices=np.array([0]))
    der = SimpleNamespace(laws=SimpleNamespace(laws=(bound,)), settings=SimpleNamespace(meter_window_s=0.1))
    stored = m.scaled_inertia(inertia_gws * 1000 / m.stored_mws.sum()).stored_mws
    return ground, der, float(stored[case.bus_cell[m.bus] == 1].sum())


def test_less_than_the_machines_have_is_always_borne():
    ground, der, machines = world(1.0)
    _, der, _ = world(0.99 * machines / 25.0)
    refuse_too_much(ground, der)


def test_beyond_the_margin_cell_and_margin_are_named():
    ground, _, machines = world(1.0)
    _, der, _ = world(3.0 * machines / 25.0)
    # r = 3: w_c = sqrt(8)/0.1 = 28.28 rad/s, (pi - atan(2.828))/28.28 = 67.6 ms; less 50 and 10 ms leaves 8 ms
    with pytest.raises(ScenarioError, match=r"cell 'cell_2'.* delay of 8 ms, its devices have 20 ms"):
        refuse_too_much(ground, der)
