"""The distribution grids a scenario can name, as pandapower nets: published networks, made ready for the harness."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandapower as pp
import pandapower.networks as pn

from scenarios.brought import read
from sims.grid.parallels import merge_parallel_transformers

OLTC = {"tap_side": "hv", "tap_neutral": 0, "tap_min": -9, "tap_max": 9, "tap_step_percent": 1.5,
        "tap_pos": 0, "tap_changer_type": "Ratio"}
"""Tap changer of the pandapower standard type '25 MVA 110/20 kV', given to 110/20 kV transformers that
come without one (CIGRE MV): no such transformer is built without it today."""


def net(name: str, folder: Path | None = None) -> Any:
    """Return the pandapower net called `name`; do not change it (deep-copy first).

    The nets keep their lines, transformers, switches, positions and loads; the generators they come
    with are taken out, because the scenario places its own.

    Parameters
    ----------
    name : str
        One of `GRIDS`, or what `scenarios.brought.read` takes: a file in `folder`, or a SimBench code.

    Raises
    ------
    GridError
        The file is no net, names code from outside pandapower, or a package is missing that reads it.
    """
    return _published(name) if name in GRIDS else _ready(lambda: read(name, folder).net, name)


@cache
def _published(name: str) -> Any:
    return _ready(GRIDS[name], name)


def _ready(build: Callable[[], Any], name: str) -> Any:
    """Return what `build` gives without its generators, every large transformer with a tap changer, and alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = build()
        for table in ("sgen", "storage"):
            built[table].drop(built[table].index, inplace=True)
        built.gen.drop(built.gen.index[~built.gen.slack.fillna(False).astype(bool)], inplace=True)
        large = built.trafo.vn_hv_kv > 60
        unequipped = large & built.trafo.tap_pos.isna()
        for field, value in OLTC.items():
            built.trafo.loc[unequipped, field] = value
        merge_parallel_transformers(built)
        built.name = name
        return built


def _mv_oberrhein() -> Any:
    """MV grid of the Upper Rhine, two 110 kV infeeds, 35 MW, real positions (pandapower)."""
    built = pp.from_json(str(Path(pn.__file__).parent / "mv_oberrhein.json"))
    built.load["scaling"] = LOAD_CASE_SCALING
    built.load["q_mvar"] = LOAD_CASE_TAN * built.load.p_mw
    return built


LOAD_CASE_SCALING, LOAD_CASE_TAN = 0.6, 0.2031
"""The load case of `pandapower.networks.mv_oberrhein` (cos phi 0.98), without the power flow it runs."""


def _mv_oberrhein_kerber() -> Any:
    """MV grid of the Upper Rhine with a Kerber village LV grid (57 households) below one of its substations."""
    mv, lv = _mv_oberrhein(), _village()
    excess = mv.load.p_mw * mv.load.scaling - lv.load.p_mw.sum()
    at = excess.abs().idxmin()  # the substation whose load the village comes closest to
    bus = int(mv.load.bus.at[at])
    mv.load.drop(at, inplace=True)
    return _below(mv, lv, bus, std_type="0.4 MVA 20/0.4 kV")


def _village() -> Any:
    """Kerber's village grid, whose house cables pandapower draws by lot: the same ones in every process."""
    before = random.getstate()
    random.seed(0)
    try:
        return pn.create_kerber_dorfnetz()
    finally:
        random.setstate(before)


def _cigre_mv() -> Any:
    """CIGRE MV benchmark (Task Force C6.04.02), 45 MW on two 110/20 kV transformers."""
    return pn.create_cigre_network_mv(with_der=False)


def _cigre_mv_lv() -> Any:
    """CIGRE MV with the CIGRE LV benchmark in the place of the load at bus 5."""
    mv, lv = _cigre_mv(), pn.create_cigre_network_lv()
    bus = 5
    mv.load.drop(mv.load.index[mv.load.bus == bus], inplace=True)
    return _below(mv, lv, bus)


GRIDS: dict[str, Callable[[], Any]] = {
    "mv_oberrhein": _mv_oberrhein,
    "mv_oberrhein_kerber": _mv_oberrhein_kerber,
    "cigre_mv": _cigre_mv,
    "cigre_mv_lv": _cigre_mv_lv,
}


def _below(mv: Any, lv: Any, bus: int, std_type: str | None = None) -> Any:
    """Return `mv` with the net `lv` hung below its `bus`, in the place of the net's external grid."""
    if std_type:
        for i in lv.trafo.index:
            pp.change_std_type(lv, i, std_type, element="trafo")
            lv.trafo.loc[i, "vn_hv_kv"] = 20.0
    head = int(lv.ext_grid.bus.iloc[0])
    lv.ext_grid.drop(lv.ext_grid.index, inplace=True)
    lv.bus.loc[:, "name"] = [f"LV {n}" for n in lv.bus["name"]]
    lv.bus.loc[head, "vn_kv"] = 20.0
    joined, lookup = pp.toolbox.merge_nets(mv, lv, validate=False, return_net2_reindex_lookup=True)
    pp.toolbox.fuse_buses(joined, bus, int(lookup["bus"][head]))
    return joined
