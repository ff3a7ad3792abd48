"""Grids under test and pandapower as the oracle, read bus by bus so that no code under test is in between."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

from sims.grid.compiled import CompiledNet

RADIAL: dict[str, Callable[[], Any]] = {
    "mv_oberrhein": pn.mv_oberrhein,
    "mv_oberrhein_generation": functools.partial(pn.mv_oberrhein, scenario="generation"),
    "cigre_mv": functools.partial(pn.create_cigre_network_mv, with_der=False),
    "cigre_mv_pv_wind": functools.partial(pn.create_cigre_network_mv, with_der="pv_wind"),
    "cigre_mv_all": functools.partial(pn.create_cigre_network_mv, with_der="all"),
    "cigre_lv": pn.create_cigre_network_lv,
    "kerber_dorfnetz": pn.create_kerber_dorfnetz,
    "kerber_landnetz": pn.create_kerber_landnetz_freileitung_1,
    "kerber_vorstadtnetz": pn.create_kerber_vorstadtnetz_kabel_1,
    "case33bw": pn.case33bw,
}
MESHED: dict[str, Callable[[], Any]] = {
    "case9": pn.case9, "case14": pn.case14, "case30": pn.case30, "case39": pn.case39, "case118": pn.case118,
}


@functools.cache
def built(name: str) -> tuple[Any, CompiledNet]:
    """One net and its compiled form per name; tests copy the net before they change it."""
    net = (RADIAL | MESHED)[name]()
    return net, CompiledNet.from_net(net, name)


class Oracle:
    """pandapower's Newton-Raphson on a net, with the comparisons that the engines must stand."""

    def __init__(self, net: Any, compiled: CompiledNet, **options: Any) -> None:
        pp.runpp(net, calculate_voltage_angles=True, tolerance_mva=1e-9, max_iteration=40, **options)
        self.net, self.compiled = net, compiled

    def check(self, v: Any, loading: Any, slack_p: float, slack_q: float) -> None:
        """Voltage 1e-8 pu, angle 1e-6 degree, loading 1e-5 %, slack 1e-6 MW."""
        net, grid = self.net, self.compiled
        nodes = np.array([grid.bus_node[b] for b in net.bus.index])
        dark = net.res_bus.vm_pu.isna().to_numpy()
        got = v[nodes]
        assert np.all(got[dark] == 0)
        np.testing.assert_allclose(np.abs(got[~dark]), net.res_bus.vm_pu[~dark], rtol=0, atol=1e-8)
        turned = got[~dark] * np.exp(-1j * np.deg2rad(net.res_bus.va_degree[~dark].to_numpy()))
        np.testing.assert_allclose(np.rad2deg(np.angle(turned)), 0, atol=1e-6)
        for kind in ("line", "trafo"):
            if len(net[kind]):
                rows = [grid.branch(kind, int(i)) for i in net[kind].index]
                want = net[f"res_{kind}"].loading_percent.fillna(0.0)
                np.testing.assert_allclose(loading[rows], want, rtol=0, atol=1e-5)
        assert slack_p == pytest.approx(net.res_ext_grid.p_mw.sum(), abs=1e-6)
        assert slack_q == pytest.approx(net.res_ext_grid.q_mvar.sum(), abs=1e-6)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20150901)


@pytest.fixture
def grid_of() -> Callable[[str], tuple[Any, CompiledNet]]:
    return built


@pytest.fixture
def oracle() -> type[Oracle]:
    return Oracle


@pytest.fixture(params=list(RADIAL))
def radial(request: pytest.FixtureRequest) -> tuple[Any, CompiledNet]:
    return built(request.param)


@pytest.fixture(params=list(MESHED))
def meshed(request: pytest.FixtureRequest) -> tuple[Any, CompiledNet]:
    return built(request.param)


@pytest.fixture
def two_bus() -> Any:
    """20 kV source, one line of 1 + j2 ohm, a load of 2 MW and 1 Mvar: solvable by hand."""
    net = pp.create_empty_network(sn_mva=10.0)
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a, vm_pu=1.02)
    pp.create_line_from_parameters(net, a, b, 1.0, r_ohm_per_km=1.0, x_ohm_per_km=2.0, c_nf_per_km=0.0, max_i_ka=0.1)
    pp.create_load(net, b, 2.0, 1.0)
    return net
