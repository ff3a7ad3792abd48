"""Every element of docs/elements.md in a grid of its own, by every engine that takes it, against pandapower."""

import copy

import numpy as np
import pandapower as pp
import pytest

from sims.core.errors import GridError
from sims.grid.compiled import CompiledNet
from sims.grid.fleet import FleetPowerFlow
from sims.grid.meshed import MeshedPowerFlow
from sims.grid.reference import ReferencePowerFlow


def _base():
    """110/20 kV, two lines in a row, a load at each end."""
    net = pp.create_empty_network(name="small")
    a = pp.create_bus(net, 110.0)
    b, c, d = (pp.create_bus(net, 20.0) for _ in range(3))
    pp.create_ext_grid(net, a, vm_pu=1.01, va_degree=3.0)
    pp.create_transformer(net, a, b, "25 MVA 110/20 kV", tap_pos=-1)
    pp.create_line(net, b, c, 4.0, "NA2XS2Y 1x240 RM/25 12/20 kV")
    pp.create_line(net, c, d, 3.0, "NA2XS2Y 1x240 RM/25 12/20 kV")
    pp.create_load(net, c, 4.0, 1.0)
    pp.create_load(net, d, 2.0, 0.5)
    return net


def _trafo3w(net):
    mv, lv = pp.create_bus(net, 20.0), pp.create_bus(net, 10.0)
    pp.create_transformer3w(net, 0, mv, lv, "63/25/38 MVA 110/20/10 kV", tap_pos=-3)
    pp.create_load(net, mv, 7.0, 2.0)
    pp.create_load(net, lv, 5.0, 1.0)


def _shunt(net):
    pp.create_shunt(net, 2, q_mvar=-1.5, p_mw=0.1, step=2)
    pp.create_shunt(net, 3, q_mvar=0.4, vn_kv=21.0)


def _ward(net):
    pp.create_ward(net, 3, ps_mw=0.5, qs_mvar=0.2, pz_mw=0.4, qz_mvar=-0.3)


def _impedance(net):
    far = pp.create_bus(net, 20.0)
    pp.create_impedance(net, 3, far, rft_pu=0.01, xft_pu=0.03, sn_mva=10.0, rtf_pu=0.012, xtf_pu=0.031)
    pp.create_load(net, far, 1.0, 0.3)


def _z_switch(net):
    far = pp.create_bus(net, 20.0)
    pp.create_switch(net, 3, far, "b", z_ohm=0.4)
    pp.create_load(net, far, 1.0, 0.3)


def _bus_switch(net):
    far, apart = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_switch(net, 3, far, "b")
    pp.create_switch(net, 3, apart, "b", closed=False)
    pp.create_load(net, far, 1.0, 0.3)


def _ring(net):
    pp.create_line(net, 3, 1, 6.0, "NA2XS2Y 1x240 RM/25 12/20 kV")


def _several_slacks(net):
    hv = pp.create_bus(net, 110.0)
    pp.create_ext_grid(net, hv, vm_pu=1.0, va_degree=1.0)
    pp.create_transformer(net, hv, 3, "25 MVA 110/20 kV")


def _asymmetric(net):
    pp.create_asymmetric_load(net, 2, p_a_mw=0.3, p_b_mw=0.1, p_c_mw=0.2, q_a_mvar=0.1, q_c_mvar=0.05, scaling=0.9)
    pp.create_asymmetric_sgen(net, 3, p_a_mw=0.2, p_b_mw=0.4, q_b_mvar=0.1)


def _motor(net):
    pp.create_motor(net, 2, pn_mech_mw=1.0, cos_phi=0.85, efficiency_percent=95.0, loading_percent=80.0)


def _sgen_storage(net):
    pp.create_sgen(net, 3, 1.2, -0.3, scaling=0.8)
    pp.create_storage(net, 2, 0.7, max_e_mwh=2.0, q_mvar=0.1)
    pp.create_load(net, 2, 9.0, in_service=False)


def _line_forms(net):
    far = pp.create_bus(net, 20.0)
    pp.create_line(net, 3, far, 2.0, "NA2XS2Y 1x240 RM/25 12/20 kV", parallel=2, df=0.8)
    pp.create_load(net, far, 1.0, 0.2)
    loose = pp.create_line(net, 2, far, 2.0, "NA2XS2Y 1x240 RM/25 12/20 kV")
    pp.create_switch(net, far, loose, "l", closed=False)


def _open_trafo(net):
    idle = pp.create_bus(net, 20.0)
    spare = pp.create_transformer(net, 0, idle, "25 MVA 110/20 kV")
    pp.create_switch(net, idle, spare, "t", closed=False)


def _phase_shifter(net):
    net.trafo.loc[0, ["tap_changer_type", "tap_step_degree", "tap_step_percent"]] = ["Ideal", 1.0, 0.0]


def _zip(net):
    net.load.loc[0, ["const_z_p_percent", "const_z_q_percent"]] = 30.0
    net.load.loc[0, ["const_i_p_percent", "const_i_q_percent"]] = 20.0


def _gen(net):
    pp.create_gen(net, 3, 1.0, vm_pu=1.015)


BOTH = (_trafo3w, _shunt, _ward, _impedance, _z_switch, _bus_switch, _ring, _asymmetric, _motor, _sgen_storage,
        _line_forms, _open_trafo, _phase_shifter, _zip)
ENGINES = {"fleet": lambda grid: FleetPowerFlow(grid, 3), "meshed": MeshedPowerFlow, "reference": ReferencePowerFlow}


def _first(values):
    values = np.asarray(values)
    return values[:, 0] if values.ndim == 2 else values


@pytest.mark.parametrize("add", [*BOTH, _several_slacks, _gen], ids=lambda f: f.__name__[1:])
@pytest.mark.parametrize("engine", list(ENGINES))
def test_equal_to_pandapower(add, engine, oracle):
    net = _base()
    add(net)
    grid = CompiledNet.from_net(net)
    if engine == "fleet" and add is _gen:
        with pytest.raises(GridError, match=r"net small: gen 0 holds a voltage; fleets take sgen only"):
            ENGINES[engine](grid)
        return
    found = ENGINES[engine](grid)
    assert np.all(found.solve())
    slack = [float(np.asarray(x).reshape(-1)[0]) for x in (found.slack_p_mw, found.slack_q_mvar)]
    solved = oracle(copy.deepcopy(net), grid)
    solved.check(_first(found.v), _first(found.loading_percent), *slack)
    for kind in ("trafo3w",):
        for index in net[kind].index:
            rows = (grid.branch_kind == kind) & (grid.branch_element == index)
            want = solved.net.res_trafo3w.loading_percent[index]
            assert _first(found.loading_percent)[rows].max() == pytest.approx(want, abs=1e-5)


def _dc(net):
    return pp.create_bus_dc(net, 20.0), pp.create_bus_dc(net, 20.0)


@pytest.mark.parametrize(
    ("create", "text"),
    [
        (lambda net: pp.create_xward(net, 2, 0, 0, 0, 0, 0.1, 0.1, 1.0), "xward 0"),
        (lambda net: pp.create_dcline(net, 1, 3, 1.0, 1.0, 0.01, 1.0, 1.0), "dcline 0"),
        (lambda net: pp.create_svc(net, 2, 1.0, -10.0, 1.0, 120.0), "svc 0"),
        (lambda net: pp.create_ssc(net, 2, 0.0, 10.0), "ssc 0"),
        (lambda net: pp.create_tcsc(net, 2, 3, 1.0, -10.0, 1.0, 120.0), "tcsc 0"),
        (lambda net: pp.create_vsc(net, 2, pp.create_bus_dc(net, 20.0), 0.1, 1.0, 0.1), "vsc 0"),
        (lambda net: pp.create_vsc_stacked(net, 2, *_dc(net), 0.1, 1.0, 0.1), "vsc_stacked 0"),
        (lambda net: pp.create_vsc_bipolar(net, 2, *_dc(net), 0.1, 1.0, 0.1), "vsc_bipolar 0"),
        (lambda net: pp.create_line_dc_from_parameters(net, *_dc(net), 1.0, 0.1, 1.0), "line_dc 0"),
    ],
)
def test_what_is_not_modelled_is_refused_by_name(create, text):
    net = _base()
    create(net)
    with pytest.raises(GridError, match=rf"net small: {text}: this element is not supported; see docs/elements.md$"):
        CompiledNet.from_net(net)
