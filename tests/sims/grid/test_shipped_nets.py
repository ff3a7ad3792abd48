"""Grids that pandapower and SimBench ship, under random inputs, by every engine that takes them."""

import copy
import functools
import importlib.util
import warnings

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest
from pandapower.auxiliary import LoadflowNotConverged

from sims.grid.compiled import CompiledNet
from sims.grid.fleet import FleetPowerFlow
from sims.grid.meshed import MeshedPowerFlow

DISTRIBUTION = {
    "cigre_hv": pn.create_cigre_network_hv, "landnetz_freileitung_2": pn.create_kerber_landnetz_freileitung_2,
    "landnetz_kabel_1": pn.create_kerber_landnetz_kabel_1, "landnetz_kabel_2": pn.create_kerber_landnetz_kabel_2,
    "vorstadtnetz_kabel_2": pn.create_kerber_vorstadtnetz_kabel_2,
    "extrem_freileitung": pn.kb_extrem_landnetz_freileitung, "extrem_kabel": pn.kb_extrem_landnetz_kabel,
    "extrem_freileitung_trafo": pn.kb_extrem_landnetz_freileitung_trafo,
    "extrem_kabel_trafo": pn.kb_extrem_landnetz_kabel_trafo, "extrem_dorfnetz": pn.kb_extrem_dorfnetz,
    "extrem_vorstadtnetz_1": pn.kb_extrem_vorstadtnetz_1, "extrem_vorstadtnetz_2": pn.kb_extrem_vorstadtnetz_2,
    "extrem_dorfnetz_trafo": pn.kb_extrem_dorfnetz_trafo,
    "extrem_vorstadtnetz_trafo_1": pn.kb_extrem_vorstadtnetz_trafo_1,
    "extrem_vorstadtnetz_trafo_2": pn.kb_extrem_vorstadtnetz_trafo_2,
    **{f"voltage_control_{kind}": functools.partial(pn.create_synthetic_voltage_control_lv_network, kind)
       for kind in ("rural_1", "rural_2", "village_1", "village_2", "suburb_1")},
    "four_load_branch": pn.panda_four_load_branch, "four_loads_branches_out": pn.four_loads_with_branches_out,
    "simple_four_bus": pn.simple_four_bus_system, "open_ring": pn.simple_mv_open_ring_net,
    "dickert_lv": pn.create_dickert_lv_network, "european_lv": pn.ieee_european_lv_asymmetric,
    "schutterwald": pn.lv_schutterwald, "example_simple": pn.example_simple,
}
SIMBENCH = {code: code for code in ("1-LV-rural1--0-sw", "1-LV-urban6--0-sw", "1-MV-rural--0-sw", "1-HV-mixed--0-sw")}
HAS_SIMBENCH = importlib.util.find_spec("simbench") is not None
needs = pytest.mark.skipif(not HAS_SIMBENCH, reason="needs the extra simbench")


@functools.cache
def _net(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in SIMBENCH:
            from scenarios.brought import read

            return read(f"simbench:{name}").net
        return DISTRIBUTION[name]()


def _changed(net, rng):
    """Return a copy with random P, Q, slack, taps, and some line switches of rings moved."""
    other = copy.deepcopy(net)
    for table in ("load", "sgen"):
        frame = other[table]
        frame["p_mw"] = frame.p_mw.astype(float) * rng.uniform(0.3, 1.1, len(frame))
        frame["q_mvar"] = frame.q_mvar.astype(float) * rng.uniform(0.3, 1.1, len(frame))
    other.ext_grid["vm_pu"] = rng.uniform(0.99, 1.03)
    other.ext_grid["va_degree"] = rng.uniform(-5, 5)
    if "tap_changer_type" in other.trafo and len(other.trafo):
        kind = other.trafo.tap_changer_type.astype(object)
        has = other.trafo.tap_step_percent.astype(float).fillna(0).ne(0) & other.trafo.tap_pos.notna()
        other.trafo["tap_changer_type"] = kind.where(~(kind.isna() & has), "Ratio")
        for i in other.trafo.index[has & other.trafo.tap_min.notna()]:
            low, high = other.trafo.tap_min.at[i], other.trafo.tap_max.at[i]
            other.trafo.loc[i, "tap_pos"] = float(np.clip(other.trafo.tap_pos.at[i] + rng.integers(-1, 2), low, high))
    return other


def _switch_over(net, rng):
    """Open one line of the net; what hangs on it goes dark or is fed from the other side."""
    other = copy.deepcopy(net)
    lines = other.line.index[other.line.in_service.astype(bool)]
    if len(lines) > 3:
        other.line.loc[rng.choice(lines[1:]), "in_service"] = False
    return other


def _first(values):
    values = np.asarray(values)
    return values[:, 0] if values.ndim == 2 else values


def _numbers(found):
    return [float(np.asarray(x).reshape(-1)[0]) for x in (found.slack_p_mw, found.slack_q_mvar)]


@pytest.mark.parametrize("name", [*DISTRIBUTION, *(pytest.param(code, marks=needs) for code in SIMBENCH)])
def test_equal_to_pandapower_under_random_inputs_taps_and_lines(name, oracle, rng):
    for net in (_changed(_net(name), rng), _switch_over(_changed(_net(name), rng), rng)):
        grid = CompiledNet.from_net(net, name, allow_dark=True)
        try:
            solved = oracle(copy.deepcopy(net), grid)
        except LoadflowNotConverged:
            pytest.skip("pandapower finds no solution")
        meshed = MeshedPowerFlow(grid, tolerance_mva=1e-9)
        assert meshed.solve()
        solved.check(meshed.v, meshed.loading_percent, *_numbers(meshed))
        if not len(net.gen) and len(set(np.round(grid.root_v, 12))) == 1:
            fleet = FleetPowerFlow(grid, 2, tolerance_pu=1e-11)  # of the last step; sweeps converge linearly
            assert fleet.solve().all()
            solved.check(_first(fleet.v), _first(fleet.loading_percent), *_numbers(fleet))


@needs
def test_simbench_cut_at_its_transformers_equals_the_whole():
    """HV grid and an MV grid with two transformers, cut between them: 1e-6 pu, 1e-3 MVA."""
    from scenarios.brought import read
    from sims.grid.coupled import CoupledPowerFlow
    from sims.grid.partition import join, split
    from sims.grid.sanitise import sanitised

    net = sanitised(read("simbench:1-HVMV-mixed-1.105-0-sw").net)
    cut = split(net, 20.0)
    coupled = CoupledPowerFlow(cut)
    coupled.solve()
    pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9, max_iteration=40)
    above = [bus for bus in cut.upper.bus.index if np.isfinite(net.res_bus.vm_pu[bus])]
    v = [abs(coupled.upper.v[coupled.upper.compiled.node(bus)]) for bus in above]
    np.testing.assert_allclose(v, net.res_bus.vm_pu[above], rtol=0, atol=1e-6)
    for k, part in enumerate(cut.lower):
        below = [bus for bus in part.net.bus.index if np.isfinite(net.res_bus.vm_pu[bus])]
        v = np.abs([coupled.voltages(k)[coupled.compiled[k].node(bus)] for bus in below])
        np.testing.assert_allclose(v, net.res_bus.vm_pu[below], rtol=0, atol=1e-6)
    for (k, above_bus, _), s in zip(cut.boundaries, coupled.s_mva, strict=True):
        rows = net.trafo.index[(net.trafo.hv_bus == above_bus) & net.trafo.index.isin(cut.lower[k].net.trafo.index)]
        want = (net.res_trafo.p_hv_mw + 1j * net.res_trafo.q_hv_mvar)[rows].sum()
        assert abs(s - want) < 1e-3
    again = join(cut)
    pp.runpp(again, calculate_voltage_angles=True, tolerance_mva=1e-9, max_iteration=40)
    np.testing.assert_allclose(again.res_bus.vm_pu.loc[net.bus.index], net.res_bus.vm_pu, rtol=0, atol=1e-12)
