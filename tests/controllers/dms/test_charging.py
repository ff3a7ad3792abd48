import dataclasses

import numpy as np
import pytest

from controllers.dms.charging import KEPT_SHARE, Charging
from controllers.dms.feeder_file import blank
from controllers.dms.network import Network
from controllers.dms.set_points import Register


@pytest.fixture
def cluster(kit):
    """One node: 2 MW of load and 4 MW of plugs, 1.2 MW metered, of which 0.2 MW are covered by PV."""
    belief = kit.feeder("cigre", storage=0.0)
    d, node = belief.devices, int(belief.devices.node[0])
    ev = dataclasses.replace(
        d, index=np.append(d.index, 999), kind=np.append(d.kind, "ev"), node=np.append(d.node, node),
        p_rated_mw=np.append(d.p_rated_mw, 4.0), s_rated_mva=np.append(d.s_rated_mva, 4.0),
        energy_mwh=np.append(d.energy_mwh, 0.0), controllable=np.append(d.controllable, True),
    )
    load = belief.load_mw.copy()
    load[node] = 2.0
    belief = dataclasses.replace(belief, devices=ev, load_mw=load)
    file = blank(belief, Network(belief.grid))
    file.s[node], file.der_mw[node] = -1.0 / belief.grid.base_mva, 0.2
    return Charging(Register([belief])), file, np.array([len(ev.index) - 1]), node


def test_demand_is_split_by_nameplate(cluster):
    charging, file, rows, _ = cluster
    drawn, natural, least = charging.believed(file.readings, rows, np.full(rows[0] + 1, np.nan))
    # 0.15 x 4 against 0.8 x 2 MW: 0.6/2.2 of 1.2 MW
    np.testing.assert_allclose([drawn[0], natural[0]], 1.2 * 0.6 / 2.2)
    np.testing.assert_allclose(least, KEPT_SHARE * natural)


def test_while_held_back_the_draw_before_is_remembered(cluster):
    charging, file, rows, node = cluster
    none, cap = np.full(rows[0] + 1, np.nan), np.full(rows[0] + 1, np.nan)
    _, before, _ = charging.believed(file.readings, rows, none)
    cap[rows] = 0.3
    file.s[node] *= 0.5
    drawn, natural, _ = charging.believed(file.readings, rows, cap)
    np.testing.assert_allclose(drawn, 0.3)
    np.testing.assert_allclose(natural, before)
    _, later, _ = charging.believed(file.readings, rows, none)
    assert later[0] < before[0]
